//! The leases that answer to a name, best first, in a fixed number of places.

use crate::address::{Address, Mac};
use crate::state::Bridge;

/// Whether a lease belongs to a NIC of a running guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attached {
    /// Nobody has looked yet.
    Unknown,
    /// Its MAC stands in the MAC map's record that is being read, which may turn out to be none.
    Met,
    /// Its MAC stands in its bridge's MAC map.
    Yes,
    /// It was left behind, it has no MAC, or its bridge has no MAC map.
    No,
}

/// A lease that answers to the name.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// The guest's address.
    pub address: Address,
    /// Its NIC.
    pub mac: Option<Mac>,
    /// Where it was leased.
    pub bridge: Bridge,
    /// Whether a running guest has the NIC.
    pub attached: Attached,
    /// The record's name is the wanted one in its case too.
    pub exact: bool,
    /// Where it stands in the order.
    pub rank: Rank,
}

impl Candidate {
    /// Fills places that nothing has been put in.
    pub const EMPTY: Self = Self {
        address: Address::V4([0; 4]),
        mac: None,
        bridge: Bridge::NONE,
        attached: Attached::No,
        exact: false,
        rank: Rank::FIRST,
    };

    /// A lease that ends at `expiry` (seconds since the epoch, 0 never) and whose record is the one at
    /// `offset` in the `file`-th file.
    #[must_use]
    pub fn new(
        address: Address,
        mac: Option<Mac>,
        bridge: Bridge,
        expiry: i64,
        file: u32,
        offset: u32,
    ) -> Self {
        let attached = if mac.is_some() { Attached::Unknown } else { Attached::No };
        let rank = Rank::new(expiry, file, offset);
        Self { address, mac, bridge, attached, exact: true, rank }
    }

    /// An address that no lease speaks of.
    #[must_use]
    pub fn of(address: Address) -> Self {
        Self { address, ..Self::EMPTY }
    }

    /// Whether both come from one record, in whatever order its file was met.
    #[must_use]
    pub fn is_record(&self, other: &Self) -> bool {
        self.rank.offset() == other.rank.offset()
            && self.bridge == other.bridge
            && self.address == other.address
    }

    /// Whether both tell of one lease of an address, as far as can be told of two that stand in different
    /// places.
    #[must_use]
    pub(crate) fn is_lease_of(&self, other: &Self) -> bool {
        self.address == other.address
            && (self.bridge, self.mac) == (other.bridge, other.mac)
            && self.rank.ending() == other.rank.ending()
    }

    /// A number that two different sets of candidates hardly share the sum of.
    fn mixed(&self) -> u128 {
        u128::from_ne_bytes(self.address.padded()).wrapping_mul(self.rank.0 << 1 | 1)
    }
}

/// A place in the order of candidates: latest expiry first, then as the files have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank(u128);

impl Rank {
    /// Before all candidates: the first file is the 1st.
    pub const FIRST: Self = Self(0);

    /// Behind all candidates.
    pub const LAST: Self = Self(u128::MAX);

    /// See [`Candidate::new`].
    fn new(expiry: i64, file: u32, offset: u32) -> Self {
        let ending = match expiry {
            0 => 0,
            _ => u64::MAX - expiry.max(0).unsigned_abs(),
        };
        Self(u128::from(ending) << 64 | u128::from(file) << 32 | u128::from(offset))
    }

    /// When it ends: never is 0, and the later it is the less.
    fn ending(self) -> u64 {
        (self.0 >> 64) as u64
    }

    pub(crate) fn offset(self) -> u32 {
        self.0 as u32
    }

    /// See [`Candidate::new`].
    pub(crate) fn file(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// What was offered in one pass over the files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// How many.
    pub count: u32,
    /// A sum over all of them: two passes with the same sum saw the same.
    sum: u128,
}

/// Keeps the best of what it is offered, best first, as many as there are places.
pub struct Ranking<'p> {
    places: &'p mut [Candidate],
    /// Only what ranks behind this is kept.
    after: Rank,
    page: Page,
}

/// What a pass over the files left in the places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// How many are kept.
    pub len: usize,
    /// There was more to keep than there are places.
    pub overflowed: bool,
    /// What was offered.
    pub census: Census,
}

impl<'p> Ranking<'p> {
    /// An empty ranking, for the best of what ranks behind `after`.
    pub fn new(places: &'p mut [Candidate], after: Rank) -> Self {
        Self { places, after, page: Page::default() }
    }

    /// Whether it was offered anything.
    #[must_use]
    pub fn any(&self) -> bool {
        self.page.census.count > 0
    }

    /// Puts what is kept in order, best first.
    #[must_use]
    pub fn finish(self) -> Page {
        let Self { places, page, .. } = self;
        heapify(places, page.len);
        for len in (1..page.len).rev() {
            exchange(places, 0, len);
            sink(places, 0, len);
        }
        page
    }

    /// Takes `candidate` in, if it is among the best.
    pub fn offer(&mut self, candidate: &Candidate) {
        let page = &mut self.page;
        page.census.count = page.census.count.saturating_add(1);
        page.census.sum = page.census.sum.wrapping_add(candidate.mixed());
        if candidate.rank <= self.after {
            return;
        }
        if let Some(place) = self.places.get_mut(page.len) {
            *place = *candidate;
            page.len += 1;
            if page.len == self.places.len() {
                heapify(self.places, page.len);
            }
            return;
        }
        page.overflowed = true;
        if let Some(worst) = self.places.first_mut() {
            if candidate.rank < worst.rank {
                *worst = *candidate;
                sink(self.places, 0, page.len);
            }
        }
    }
}

/// Makes the first `len` places a heap with the worst on top.
#[inline(never)]
fn heapify(places: &mut [Candidate], len: usize) {
    (0..len / 2).rev().for_each(|at| sink(places, at, len));
}

/// Lets the candidate at `at` sink to its place in the heap.
fn sink(places: &mut [Candidate], mut at: usize, len: usize) {
    let rank = |places: &[Candidate], at: usize| match places.get(at) {
        Some(candidate) if at < len => candidate.rank,
        _ => Rank::FIRST,
    };
    loop {
        let left = 2 * at + 1;
        let right_is_worse = rank(places, left + 1) > rank(places, left);
        let worse = if right_is_worse { left + 1 } else { left };
        if rank(places, worse) <= rank(places, at) {
            return;
        }
        exchange(places, at, worse);
        at = worse;
    }
}

/// Exchanges the candidates at `low` and, above it, `high`.
#[inline(never)]
fn exchange(places: &mut [Candidate], low: usize, high: usize) {
    if let Some((head, tail)) = places.split_at_mut_checked(high) {
        if let (Some(low), Some(high)) = (head.get_mut(low), tail.first_mut()) {
            core::mem::swap(low, high);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;

    fn candidate(expiry: i64, offset: u32) -> Candidate {
        let bridge = Bridge::new(b"virbr0").unwrap();
        Candidate::new(Address::V4(offset.to_be_bytes()), None, bridge, expiry, 1, offset)
    }

    /// Pages of any size, put together, are the whole in order.
    #[test]
    fn pages_are_the_sorted_whole() {
        let mut random = Random::new(3);
        for places in 1..12 {
            for count in 0..40u32 {
                let all: Vec<_> =
                    (0..count).map(|offset| candidate(random.below(16) as i64, offset)).collect();
                let mut expected: Vec<Rank> = all.iter().map(|candidate| candidate.rank).collect();
                expected.sort();
                let mut places = vec![Candidate::EMPTY; places];
                let mut ranks = Vec::new();
                let mut census = None;
                loop {
                    let mut ranking =
                        Ranking::new(&mut places, ranks.last().copied().unwrap_or(Rank::FIRST));
                    all.iter().for_each(|candidate| ranking.offer(candidate));
                    let page = ranking.finish();
                    assert_eq!(*census.get_or_insert(page.census), page.census);
                    ranks.extend(places[..page.len].iter().map(|candidate| candidate.rank));
                    if !page.overflowed {
                        break;
                    }
                }
                assert_eq!(ranks, expected);
            }
        }
    }

    #[test]
    fn what_never_ends_comes_first() {
        assert!(candidate(0, 9).rank < candidate(i64::MAX, 1).rank);
        assert!(candidate(5, 9).rank < candidate(4, 1).rank);
        assert!(candidate(5, 1).rank < candidate(5, 9).rank);
    }
}
