//! The addresses that a guest is believed to have, collected from all its sources.

use guest_names::address::{Address, Mac};
use guest_names::bridge::Bridge;
use guest_names::candidate::Evidence;

use super::earliest;
use super::index::{AddressKey, octets};
use crate::model::{GUEST_ADDRESSES, Network};

/// An address that a guest is believed to have.
#[derive(Clone, Copy)]
pub(super) struct Believed<'n> {
    pub(super) address: Address,
    pub(super) mac: Mac,
    pub(super) network: Option<&'n Network>,
    pub(super) bridge: Bridge,
    pub(super) evidence: Evidence,
    pub(super) expiry: i64,
    /// For a lease from the state files: the index of its [`Fact`](super::table::Fact).
    pub(super) fact: Option<u32>,
    /// The host name in the lease; empty if there is none.
    pub(super) host_name: &'n [u8],
    /// Whether the agent or a neighbour table reports the leased address too.
    pub(super) confirmed: bool,
}

impl Believed<'_> {
    /// Whether it comes from a lease, in the state files or reported by libvirt.
    pub(super) fn is_leased(&self) -> bool {
        self.evidence.is_lease()
    }

    /// The address and the NIC, as a sort key.
    pub(super) fn identity(&self) -> (AddressKey, u64) {
        (octets(self.address), self.mac.number())
    }
}

/// All addresses that a guest is believed to have.
#[derive(Default)]
pub(super) struct Addresses<'n> {
    /// Leases from the state files, sorted by [`Believed::identity`].
    pub(super) in_files: Vec<Believed<'n>>,
    /// Everything else, at most [`GUEST_ADDRESSES`].
    pub(super) reported: Vec<Believed<'n>>,
    pub(super) is_limited: bool,
    /// When the first lease ends that keeps an address from this guest, in seconds since the epoch.
    pub(super) until: Option<i64>,
}

impl<'n> Addresses<'n> {
    /// Whether this NIC already has the address.
    pub(super) fn has(&self, one: &Believed<'_>) -> bool {
        let identity = one.identity();
        self.in_files.binary_search_by_key(&identity, Believed::identity).is_ok()
            || self.reported.iter().any(|known| known.identity() == identity)
    }

    /// Whether any NIC of the guest already has the address. Marks leases of it as confirmed.
    pub(super) fn confirm(&mut self, address: Address) -> bool {
        let wanted = octets(address);
        let from = self.in_files.partition_point(|one| octets(one.address) < wanted);
        let in_files = self.in_files.iter_mut().skip(from);
        let in_files = in_files.take_while(|one| octets(one.address) == wanted);
        let reported = self.reported.iter_mut().filter(|one| one.address == address);
        let mut known = false;
        for one in in_files.chain(reported) {
            (known, one.confirmed) = (true, one.is_leased());
        }
        known
    }

    /// Whether a lease that libvirt reports gives the NIC an address of the same family.
    pub(super) fn has_lease(&self, mac: Mac, address: Address) -> bool {
        let length = |address: Address| address.octets().len();
        let mut leases = self.reported.iter().filter(|one| one.is_leased() && one.mac == mac);
        leases.any(|one| length(one.address) == length(address))
    }

    pub(super) fn push(&mut self, one: Believed<'n>) {
        if self.reported.len() < GUEST_ADDRESSES {
            self.reported.push(one);
        } else {
            self.is_limited = true;
        }
    }

    /// Notes that another guest's lease keeps an address from this one until `end` (0: for ever).
    pub(super) fn refuse_until(&mut self, end: i64) {
        if end != 0 {
            earliest(&mut self.until, end);
        }
    }

    /// All addresses, but link-local ones only if there are no others.
    pub(super) fn all(&self) -> impl Iterator<Item = Believed<'n>> {
        let all = || self.in_files.iter().chain(&self.reported).copied();
        let has_other = all().any(|one| !one.address.is_link_local_v6());
        all().filter(move |one| !(has_other && one.address.is_link_local_v6()))
    }
}
