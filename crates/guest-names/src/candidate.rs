//! Leases and entries of the snapshot that match a name, and their order.

use crate::address::{Address, Family, Mac};
use crate::bridge::Bridge;
use crate::records::lease::Lease;

/// Whether a lease belongs to a NIC of a running guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attached {
    /// The MAC map hasn't been read yet.
    Unknown,
    /// Its MAC is in the MAC map of its bridge.
    Yes,
    /// It was left behind, it has no MAC, or its bridge has no MAC map.
    No,
}

/// Where a candidate is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A record of a `.status` file.
    File {
        /// Which file it was, in the order of the listing.
        file: u32,
        /// Where the record starts, in bytes.
        offset: u32,
    },
    /// An entry of the snapshot.
    Snapshot {
        /// Where the entry starts, in bytes.
        offset: u32,
    },
}

/// How an address is known. Leases come first in every order of addresses. The numbers are those of the snapshot's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Evidence {
    /// A lease in a `.status` file of this host.
    StateFile = 0,
    /// A lease that libvirt's API reported.
    Lease = 1,
    /// The guest's agent reported it.
    Agent = 2,
    /// The neighbour table of the guest's host has it.
    Neighbour = 3,
}

impl Evidence {
    /// Whether it is a DHCP lease.
    #[inline]
    #[must_use]
    pub const fn is_lease(self) -> bool {
        matches!(self, Self::StateFile | Self::Lease)
    }
}

/// Whether a candidate of the snapshot comes before or after those of the state files, if both are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precedence {
    /// A guest of a connection that comes before the files' leases.
    BeforeFiles,
    /// A record of the files, or something else that is known about this host's guests.
    WithFiles,
    /// A guest of another host: it only has names that are not in the files.
    AfterFiles,
}

/// An address that matches a name.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// The guest's address. `None`: only that the guest exists; answers don't contain these.
    pub address: Option<Address>,
    /// Its NIC.
    pub mac: Option<Mac>,
    /// The bridge that the NIC is on; [`Bridge::NONE`] if it isn't on one of this host.
    pub bridge: Bridge,
    /// Whether a running guest has the NIC.
    pub attached: Attached,
    /// The name matches in its case too.
    pub exact: bool,
    /// How the address is known.
    pub evidence: Evidence,
    /// Whether it comes before or after the state files' leases.
    pub precedence: Precedence,
    /// When the lease ends: seconds since the epoch, 0 never.
    pub expiry: i64,
    /// The position of a lease in its file: of two leases of one NIC the one with the higher number is fresher. 0: none.
    pub order: u32,
    /// The client that took the lease ([`client_of`](crate::records::lease::client_of)); 0: unknown.
    pub client: u32,
    /// Where it is recorded.
    pub origin: Origin,
    /// In a list of all guests, where its name is (see [`lookup`](crate::lookup)); else 0.
    pub(crate) tag: u32,
}

impl Candidate {
    /// A placeholder.
    pub const EMPTY: Self = Self {
        address: None,
        mac: None,
        bridge: Bridge::NONE,
        attached: Attached::No,
        exact: true,
        evidence: Evidence::StateFile,
        precedence: Precedence::WithFiles,
        expiry: 0,
        order: 0,
        client: 0,
        origin: Origin::File { file: 0, offset: 0 },
        tag: 0,
    };

    /// A lease of `address` whose record is the one at `offset` in the `file`-th file, which is `bridge`'s.
    #[must_use]
    pub fn of_lease(
        lease: &Lease,
        address: Address,
        bridge: Bridge,
        file: u32,
        offset: u32,
    ) -> Self {
        let attached = if lease.mac.is_some() { Attached::Unknown } else { Attached::No };
        Self {
            address: Some(address),
            mac: lease.mac,
            bridge,
            attached,
            expiry: lease.expiry,
            order: offset.saturating_add(1),
            client: lease.client,
            origin: Origin::File { file, offset },
            ..Self::EMPTY
        }
    }

    /// Whether it is an entry of the snapshot, and not a record of a state file.
    #[must_use]
    pub fn is_of_snapshot(&self) -> bool {
        matches!(self.origin, Origin::Snapshot { .. })
    }

    /// Where it starts, in bytes of its file or of the snapshot.
    #[must_use]
    pub fn offset(&self) -> u32 {
        match self.origin {
            Origin::File { offset, .. } | Origin::Snapshot { offset } => offset,
        }
    }

    /// The order of the answer: leases by expiry time, latest first, never-ending ones last, as in libvirt's own modules;
    /// then addresses that agents reported, then neighbours. Equal ones are in the order of their records.
    #[must_use]
    pub(crate) fn rank(&self) -> u128 {
        let end = match self.expiry {
            expiry if expiry != 0 && self.evidence.is_lease() => {
                (u64::MAX >> 1) - expiry.max(1).unsigned_abs()
            }
            _ => u64::MAX >> 1,
        };
        // Leases are equal, whether a file has them or libvirt's API reported them.
        let evidence = self.evidence.max(Evidence::Lease) as u8;
        let (file, offset) = match self.origin {
            Origin::File { file, offset } => (file, offset),
            Origin::Snapshot { offset } => (u32::MAX >> 1, offset),
        };
        u128::from(evidence) << 126
            | u128::from(end) << 63
            | u128::from(file & (u32::MAX >> 1)) << 32
            | u128::from(offset)
    }

    /// Sorts by [`Candidate::rank`].
    pub(crate) fn by_rank(&self, other: &Self) -> bool {
        self.rank() < other.rank()
    }

    /// Sorts candidates of one address together, the best first.
    pub(crate) fn by_address(&self, other: &Self) -> bool {
        (self.address_key(), self.rank()) < (other.address_key(), other.rank())
    }

    /// The address as numbers.
    pub(crate) fn address_key(&self) -> (u8, u128) {
        let octets = self.address.map_or([0; 16], |address| address.padded());
        (self.family(), u128::from_be_bytes(octets))
    }

    /// Sorts leases of one NIC and one family together, the freshest first.
    pub(crate) fn by_lease(&self, other: &Self) -> bool {
        let key = |candidate: &Self| (candidate.nic(), candidate.lease_group(), !candidate.order);
        key(self) < key(other)
    }

    /// Whether both are leases of one NIC and one family, from the same source.
    pub(crate) fn shares_nic_with(&self, other: &Self) -> bool {
        let have_orders = self.order != 0 && other.order != 0 && self.mac.is_some();
        have_orders && self.nic() == other.nic() && self.lease_group() == other.lease_group()
    }

    /// The bridge and the MAC, as numbers.
    pub(crate) fn nic(&self) -> (u128, u64) {
        (self.bridge.sort_key(), mac_key(self.mac))
    }

    /// Leases of the files and of the snapshot are numbered separately.
    fn lease_group(&self) -> (u8, bool) {
        (self.family(), self.is_of_snapshot())
    }

    /// A number for the family; 0 without an address.
    fn family(&self) -> u8 {
        self.address.map_or(0, |address| if address.family() == Family::V4 { 4 } else { 6 })
    }

    /// Whether it is an IPv6 link-local address.
    pub(crate) fn is_link_local(&self) -> bool {
        self.address.is_some_and(|address| address.is_link_local_v6())
    }
}

/// A MAC as a number; `None` is greater than all.
pub(crate) fn mac_key(mac: Option<Mac>) -> u64 {
    match mac {
        Some(mac) => mac.number(),
        None => u64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(expiry: i64, offset: u32) -> Candidate {
        let origin = Origin::File { file: 1, offset };
        Candidate { expiry, origin, ..Candidate::EMPTY }
    }

    #[test]
    fn the_order_of_an_answer() {
        let agent = Candidate { evidence: Evidence::Agent, ..candidate(0, 0) };
        let neighbour = Candidate { evidence: Evidence::Neighbour, ..candidate(0, 0) };
        let sorted = [
            candidate(i64::MAX, 9),
            candidate(5, 1),
            candidate(5, 9),
            candidate(4, 0),
            Candidate { evidence: Evidence::Lease, ..candidate(3, 0) },
            candidate(2, 0),
            // Times that no program writes.
            candidate(-4, 0),
            candidate(0, 0),
            candidate(0, 1),
            agent,
            neighbour,
        ];
        for pair in sorted.windows(2) {
            assert!(pair[0].by_rank(&pair[1]) && !pair[1].by_rank(&pair[0]), "{pair:?}");
        }
    }
}
