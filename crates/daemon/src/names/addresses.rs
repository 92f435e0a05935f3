//! The addresses that a guest is believed to have, as they are collected from its sources.

use guest_names::address::{Address, Mac};
use guest_names::bridge::Bridge;
use guest_names::snapshot::format::Source;

use super::index::octets;
use super::{earliest, limits};
use crate::model::Network;

/// An address that a guest is believed to have.
#[derive(Clone, Copy)]
pub(super) struct Believed<'n> {
    pub(super) address: Address,
    pub(super) mac: Mac,
    pub(super) network: Option<&'n Network>,
    pub(super) bridge: Bridge,
    pub(super) source: Source,
    pub(super) expiry: i64,
    /// The fact of a lease of the files.
    pub(super) fact: Option<u32>,
    /// The host name of its lease.
    pub(super) host_name: &'n [u8],
    /// The agent or a neighbour table reports the leased address too.
    pub(super) confirmed: bool,
}

impl Believed<'_> {
    /// Whether it is a lease of the files, or one that libvirt reports.
    pub(super) fn is_leased(&self) -> bool {
        matches!(self.source, Source::Files | Source::Lease)
    }

    /// The address and the NIC, to sort by.
    pub(super) fn identity(&self) -> ((usize, [u8; 16]), [u8; 6]) {
        (octets(self.address), self.mac.0)
    }
}

/// What a guest is believed to have.
#[derive(Default)]
pub(super) struct Addresses<'n> {
    /// Leases of the files, by address.
    pub(super) in_files: Vec<Believed<'n>>,
    /// Everything else, at most [`limits::ADDRESSES`].
    pub(super) reported: Vec<Believed<'n>>,
    pub(super) is_limited: bool,
    /// When a lease ends that keeps an address from it.
    pub(super) until: Option<i64>,
}

impl<'n> Addresses<'n> {
    /// Whether the address is known on that NIC.
    pub(super) fn has(&self, one: &Believed<'_>) -> bool {
        let identity = one.identity();
        self.in_files.binary_search_by_key(&identity, Believed::identity).is_ok()
            || self.reported.iter().any(|known| known.identity() == identity)
    }

    /// Whether the address is known on any NIC. A lease of it is confirmed by this.
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
        if self.reported.len() < limits::ADDRESSES {
            self.reported.push(one);
        } else {
            self.is_limited = true;
        }
    }

    /// A lease of somebody else's keeps an address from the guest until it ends.
    pub(super) fn refuse_until(&mut self, end: i64) {
        if end != 0 {
            earliest(&mut self.until, end);
        }
    }

    /// All of them, link-local ones only where there are no others.
    pub(super) fn all(&self) -> impl Iterator<Item = Believed<'n>> {
        let all = || self.in_files.iter().chain(&self.reported).copied();
        let has_other = all().any(|one| !one.address.is_link_local_v6());
        all().filter(move |one| !(has_other && one.address.is_link_local_v6()))
    }
}
