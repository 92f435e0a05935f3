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
    /// Bridge, MAC, index of the domain's record.
    nics: Vec<(BridgeIndex, [u8; 6], u32)>,
    /// Leases with a MAC, by bridge and MAC.
    by_nic: Vec<u32>,
    /// Leases by address.
    by_address: Vec<u32>,
}

impl<'f> Index<'f> {
    pub(super) fn new(read: &'f Files, now: i64) -> Self {
        let files = &read.contents;
        let mut nics = Vec::new();
        for (record, domain) in files.domains.iter().enumerate() {
            let record = record as u32;
            nics.extend(files.macs_of(domain).iter().map(|mac| (domain.bridge, mac.0, record)));
        }
        nics.sort_unstable();
        nics.dedup();
        let holding = |&at: &u32| !files.leases[at as usize].has_expired(now);
        let mut by_address: Vec<u32> = (0..files.leases.len() as u32).filter(holding).collect();
        let mut by_nic: Vec<u32> = by_address.clone();
        by_nic.retain(|&at| files.leases[at as usize].mac.is_some());
        by_nic.sort_unstable_by_key(|&at| (nic(&files.leases[at as usize]), at));
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
    pub(super) fn leases_of(&self, bridge: BridgeIndex, mac: Mac) -> &[u32] {
        let wanted = (bridge, Some(mac.0));
        run(&self.by_nic, |&at| nic(&self.files.leases[at as usize]).cmp(&wanted))
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
        let found = mac.map_or(&[][..], |mac| {
            run(&self.nics, |&(on, other, _)| (on, other).cmp(&(bridge, mac.0)))
        });
        let domain = |record: u32| Some((record, self.files.domains.get(record as usize)?));
        found.iter().filter_map(move |&(.., record)| domain(record))
    }
}

fn nic(lease: &Lease) -> (BridgeIndex, Option<[u8; 6]>) {
    (lease.bridge, lease.mac.map(|mac| mac.0))
}

/// A sort key for addresses.
pub(super) fn octets(address: Address) -> (usize, [u8; 16]) {
    (address.octets().len(), address.padded())
}

/// The items of a sorted slice that compare equal.
fn run<T>(sorted: &[T], compare: impl Fn(&T) -> std::cmp::Ordering) -> &[T] {
    let from = sorted.partition_point(|item| compare(item).is_lt());
    let rest = sorted.get(from..).unwrap_or(&[]);
    let length = rest.partition_point(|item| compare(item).is_eq());
    rest.get(..length).unwrap_or(&[])
}
