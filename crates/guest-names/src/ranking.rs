//! The leases that answer to a name, best first, in a fixed number of places.

use crate::address::{Address, Mac};
use crate::state::Bridge;

/// Whether a lease belongs to a NIC of a running guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attached {
    /// Nobody has looked yet.
    Unknown,
    /// Its MAC stands in its bridge's MAC map.
    Yes,
    /// It was left behind, or its bridge has no MAC map.
    No,
}

/// A bridge's name, as short as the kernel has it (`IFNAMSIZ`, 15 bytes and a NUL).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShortBridge([u8; 16]);

impl ShortBridge {
    /// `None` for what is too long to be a bridge's name.
    fn new(bridge: &Bridge) -> Option<Self> {
        let mut short = [0; 16];
        let name = bridge.as_bytes();
        short.get_mut(..15)?.get_mut(..name.len())?.copy_from_slice(name);
        Some(Self(short))
    }

    /// The name, ended by a NUL.
    #[must_use]
    pub fn with_nul(&self) -> &[u8; 16] {
        &self.0
    }

    /// The name as the state directory's files have it.
    #[must_use]
    pub fn to_bridge(self) -> Bridge {
        let mut bridge = Bridge::new();
        self.0.iter().take_while(|&&byte| byte != 0).for_each(|&byte| bridge.push(byte));
        bridge
    }
}

/// A lease that answers to the name.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// The guest's address.
    pub address: Address,
    /// Its NIC.
    pub mac: Option<Mac>,
    /// Where it was leased; `None` where that can't be a bridge.
    pub bridge: Option<ShortBridge>,
    /// Whether a running guest has the NIC.
    pub attached: Attached,
    /// The record's name is the wanted one in its case too.
    pub exact: bool,
    /// Sorts by expiry: later is better, and what never ends is best.
    lasting: u64,
    /// Sorts what expires together: the order of the records in their files.
    place: u64,
}

impl Candidate {
    /// Fills places that nothing has been put in.
    pub const EMPTY: Self = Self {
        address: Address::V4([0; 4]),
        mac: None,
        bridge: None,
        attached: Attached::No,
        exact: false,
        lasting: 0,
        place: 0,
    };

    /// A lease that ends at `expiry` (seconds since the epoch, 0 never) and whose record is the one at
    /// `offset` in the `file`-th file.
    #[must_use]
    pub fn new(
        address: Address,
        mac: Option<Mac>,
        bridge: &Bridge,
        expiry: i64,
        file: u32,
        offset: u32,
    ) -> Self {
        let bridge = ShortBridge::new(bridge);
        let can_be_attached = mac.is_some() && bridge.is_some();
        Self {
            address,
            mac,
            bridge,
            attached: if can_be_attached { Attached::Unknown } else { Attached::No },
            exact: true,
            lasting: if expiry == 0 { u64::MAX } else { expiry.max(0).unsigned_abs() },
            place: u64::from(file) << 32 | u64::from(offset),
        }
    }

    /// An address that no lease speaks of.
    #[must_use]
    pub fn of(address: Address) -> Self {
        Self { address, ..Self::EMPTY }
    }

    /// Where it stands in the order.
    #[inline]
    #[must_use]
    pub fn rank(&self) -> Rank {
        Rank { ending: u64::MAX - self.lasting, place: self.place }
    }

    /// Whether both come from one record, in whatever order its file was met.
    #[must_use]
    pub fn is_record(&self, other: &Self) -> bool {
        let record = |one: &Self| (one.address, one.bridge, one.place as u32);
        record(self) == record(other)
    }

    /// A number that two different sets of candidates hardly share the sum of.
    fn mixed(&self) -> u64 {
        let octets = self
            .address
            .octets()
            .iter()
            .fold(0u64, |sum, &octet| sum.rotate_left(8) ^ u64::from(octet));
        [self.lasting, self.place, octets].iter().fold(0x9e37_79b9_7f4a_7c15, |mix: u64, &part| {
            let mix = (mix ^ part).wrapping_mul(0xff51_afd7_ed55_8ccd);
            mix ^ (mix >> 32)
        })
    }
}

/// A place in the order of candidates: latest expiry first, then as the files have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    ending: u64,
    place: u64,
}

/// What was offered in one pass over the files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// How many.
    pub count: u32,
    /// A sum over all of them: two passes with the same sum saw the same.
    sum: u64,
}

/// Keeps the best of what it is offered, best first, as many as there are places.
pub struct Ranking<'p> {
    places: &'p mut [Candidate],
    len: usize,
    /// Only what ranks behind this is kept.
    after: Option<Rank>,
    census: Census,
    overflowed: bool,
}

impl<'p> Ranking<'p> {
    /// An empty ranking.
    pub fn new(places: &'p mut [Candidate]) -> Self {
        Self { places, len: 0, after: None, census: Census::default(), overflowed: false }
    }

    /// Starts a pass that keeps the best of what ranks behind `after`.
    pub fn restart(&mut self, after: Option<Rank>) {
        self.len = 0;
        self.after = after;
        self.census = Census::default();
        self.overflowed = false;
    }

    /// What has been offered since the pass began.
    #[must_use]
    pub fn census(&self) -> Census {
        self.census
    }

    /// Whether there was more than there are places for.
    #[must_use]
    pub fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// Takes `candidate` in, if it is among the best.
    pub fn offer(&mut self, candidate: Candidate) {
        self.census.count = self.census.count.saturating_add(1);
        self.census.sum = self.census.sum.wrapping_add(candidate.mixed());
        if self.after.is_some_and(|after| candidate.rank() <= after) {
            return;
        }
        let mut carried = candidate;
        for place in self.page() {
            if carried.rank() < place.rank() {
                core::mem::swap(place, &mut carried);
            }
        }
        match self.places.get_mut(self.len) {
            Some(place) => {
                *place = carried;
                self.len += 1;
            }
            None => self.overflowed = true,
        }
    }

    /// What is kept.
    pub fn page(&mut self) -> &mut [Candidate] {
        self.places.get_mut(..self.len).unwrap_or(&mut [])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;

    fn candidate(expiry: i64, offset: u32) -> Candidate {
        let bridge = Bridge::from(b"virbr0".as_slice());
        Candidate::new(Address::V4(offset.to_be_bytes()), None, &bridge, expiry, 1, offset)
    }

    /// Pages of any size, put together, are the whole in order.
    #[test]
    fn pages_are_the_sorted_whole() {
        let mut random = Random::new(3);
        for places in 1..12 {
            for count in 0..40u32 {
                let all: Vec<_> =
                    (0..count).map(|offset| candidate(random.below(16) as i64, offset)).collect();
                let mut expected: Vec<Rank> = all.iter().map(Candidate::rank).collect();
                expected.sort();
                let mut places = vec![Candidate::EMPTY; places];
                let mut ranking = Ranking::new(&mut places);
                let mut ranks = Vec::new();
                let mut census = None;
                loop {
                    ranking.restart(ranks.last().copied());
                    all.iter().for_each(|&candidate| ranking.offer(candidate));
                    assert_eq!(*census.get_or_insert(ranking.census()), ranking.census());
                    ranks.extend(ranking.page().iter().map(|candidate| candidate.rank()));
                    if !ranking.overflowed() {
                        break;
                    }
                }
                assert_eq!(ranks, expected);
            }
        }
    }

    #[test]
    fn what_never_ends_comes_first() {
        assert!(candidate(0, 9).rank() < candidate(i64::MAX, 1).rank());
        assert!(candidate(5, 9).rank() < candidate(4, 1).rank());
        assert!(candidate(5, 1).rank() < candidate(5, 9).rank());
    }

    #[test]
    fn a_name_too_long_for_a_bridge() {
        let long = Bridge::from(b"sixteen-bytes-16".as_slice());
        assert_eq!(ShortBridge::new(&long), None);
        let fits = Bridge::from(b"fifteen-bytes15".as_slice());
        assert_eq!(ShortBridge::new(&fits).unwrap().to_bridge().as_bytes(), fits.as_bytes());
    }
}
