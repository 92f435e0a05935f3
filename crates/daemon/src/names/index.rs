//! Indexes over the leases and NICs in the state files.

use guest_names::address::{Address, Mac};
use guest_names::bridge::Bridge;

use guest_store::contents::{BridgeIndex, Contents, Domain, Lease};

use crate::facts::Millis;
use crate::state::Files;

/// The current leases in the state files and the NICs in the MAC maps, sorted by what they are searched for. A lease's
/// number is its index in [`Contents::leases`].
pub(super) struct Index<'f> {
    pub(super) files: &'f Contents,
    read: &'f Files,
    now: i64,
    /// The domains' NICs, each with the index of the domain's record.
    nics: Vec<(NicKey, u32)>,
    /// Leases with a MAC.
    by_nic: Vec<(NicKey, u32)>,
    /// Leases by address.
    by_address: Vec<u32>,
}

impl<'f> Index<'f> {
    pub(super) fn new(read: &'f Files, now: i64) -> Self {
        let files = &read.contents;
        let mut nics = Vec::new();
        for (record, domain) in files.domains.iter().enumerate() {
            let record = record as u32;
            nics.extend(files.macs_of(domain).iter().map(|&mac| (nic(domain.bridge, mac), record)));
        }
        nics.sort_unstable();
        nics.dedup();
        let holding = |&at: &u32| !files.leases[at as usize].has_expired(now);
        let mut by_address: Vec<u32> = (0..files.leases.len() as u32).filter(holding).collect();
        let on_nic = |&at: &u32| {
            let lease = &files.leases[at as usize];
            Some((nic(lease.bridge, lease.mac?), at))
        };
        let mut by_nic: Vec<_> = by_address.iter().filter_map(on_nic).collect();
        by_nic.sort_unstable();
        by_address.sort_unstable_by_key(|&at| (octets(files.leases[at as usize].address), at));
        Self { files, read, now, nics, by_nic, by_address }
    }

    /// Seconds since the epoch.
    pub(super) fn now(&self) -> i64 {
        self.now
    }

    /// The lease of this number, unless it has expired.
    pub(super) fn lease(&self, at: u32) -> Option<&'f Lease> {
        self.files.leases.get(at as usize).filter(|lease| !lease.has_expired(self.now))
    }

    /// The bridge's index, if it has state files.
    pub(super) fn bridge(&self, bridge: Bridge) -> Option<BridgeIndex> {
        self.files.find_bridge(bridge.as_bytes())
    }

    /// When the daemon first saw the lease.
    pub(super) fn first_seen(&self, lease: u32) -> Millis {
        self.read.first_seen(lease)
    }

    /// The leases of a NIC, in the file's order.
    pub(super) fn leases_of(&self, bridge: BridgeIndex, mac: Mac) -> impl Iterator<Item = u32> {
        numbers_of(&self.by_nic, nic(bridge, mac))
    }

    /// The leases with an address.
    pub(super) fn leases_with(&self, address: Address) -> &[u32] {
        let wanted = octets(address);
        run(&self.by_address, |&at| octets(self.files.leases[at as usize].address).cmp(&wanted))
    }

    /// The domains that have the NIC, in the file's order, each with its index in [`Contents::domains`].
    pub(super) fn domains_of(
        &self,
        bridge: BridgeIndex,
        mac: Option<Mac>,
    ) -> impl Iterator<Item = (u32, &'f Domain)> {
        let records = mac.into_iter().flat_map(move |mac| numbers_of(&self.nics, nic(bridge, mac)));
        let domain = |record: u32| Some((record, self.files.domains.get(record as usize)?));
        records.filter_map(domain)
    }
}

/// A NIC as a sort key: its bridge, and its MAC address as a number.
type NicKey = (BridgeIndex, u64);

fn nic(bridge: BridgeIndex, mac: Mac) -> NicKey {
    (bridge, mac.number())
}

/// An address as a sort key: its length, and its octets as a number.
pub(super) type AddressKey = (usize, u128);

pub(super) fn octets(address: Address) -> AddressKey {
    (address.octets().len(), u128::from_be_bytes(address.padded()))
}

/// The numbers that a sorted slice has for a NIC.
fn numbers_of(sorted: &[(NicKey, u32)], wanted: NicKey) -> impl Iterator<Item = u32> {
    run(sorted, move |(nic, _)| nic.cmp(&wanted)).iter().map(|&(_, number)| number)
}

/// The items of a sorted slice that compare equal.
fn run<T>(sorted: &[T], compare: impl Fn(&T) -> std::cmp::Ordering) -> &[T] {
    let from = sorted.partition_point(|item| compare(item).is_lt());
    let rest = sorted.get(from..).unwrap_or(&[]);
    let length = rest.partition_point(|item| compare(item).is_eq());
    rest.get(..length).unwrap_or(&[])
}
