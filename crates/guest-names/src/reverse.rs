//! From an address to a name.

use core::slice;

use crate::address::Address;
use crate::forward::Source;
use crate::lease::Lease;
use crate::name::is_host_name;
use crate::observe::Fate;
use crate::ranking::{Attached, Candidate, Rank, Ranking};
use crate::search::{Exhausted, Keep, Search};
use crate::snapshot::consult::{Heard, Part};
use crate::sought::Sought;
use crate::state::StateDir;
use crate::text::Text;

/// The leases of an address: candidates for naming it, and the host name of one of them.
struct Namesakes<'n> {
    source: Source,
    ranking: Ranking<'n>,
    /// Whose host name is wanted; `None`: the best one's.
    wanted: Option<Rank>,
    /// Whose host name it is; [`Rank::LAST`]: nobody's.
    named: Rank,
    name: &'n mut Text,
}

impl Keep for Namesakes<'_> {
    fn keep(&mut self, lease: &Lease, candidate: &Candidate) {
        let hostname = lease.hostname.as_bytes();
        if self.source == Source::HostName && !is_host_name(hostname) {
            return;
        }
        self.ranking.offer(candidate);
        let rank = candidate.rank;
        if self.wanted.map_or(rank < self.named, |wanted| rank == wanted) {
            self.named = rank;
            self.name.set(hostname);
        }
    }
}

impl<S: StateDir> Search<'_, S> {
    /// Puts the name of the guest that has `address` into `name`. Where more than one lease says so, one
    /// of a running guest comes before one that was left behind, then the one that lasts longest.
    /// `places`, at least one, is scratch. `false` where no guest has it.
    ///
    /// # Errors
    /// See [`Exhausted`].
    pub fn name_of(
        &mut self,
        source: Source,
        address: Address,
        places: &mut [Candidate],
        name: &mut Text,
    ) -> Result<bool, Exhausted> {
        let (heard, found) = self.name_told(source, address, Part::First, name);
        if heard == Heard::All {
            return Ok(found);
        }
        if self.name_in_files(source, address, places, name)? {
            return Ok(true);
        }
        Ok(heard == Heard::Some && self.name_told(source, address, Part::Rest, name).1)
    }

    /// The same out of the state files alone.
    fn name_in_files(
        &mut self,
        source: Source,
        address: Address,
        places: &mut [Candidate],
        name: &mut Text,
    ) -> Result<bool, Exhausted> {
        let (mut after, mut wanted, mut named) = (Rank::FIRST, None, Rank::LAST);
        loop {
            let ranking = Ranking::new(places, after);
            let mut namesakes = Namesakes { source, ranking, wanted, named, name };
            self.leases(Sought::Address(address), &mut namesakes)?;
            named = namesakes.named;
            let page = namesakes.ranking.finish();
            if wanted.is_some() {
                // The record may be gone by now.
                return Ok(wanted == Some(named));
            }
            let candidates = places.get_mut(..page.len).unwrap_or(&mut []);
            let chosen = match source {
                Source::HostName if page.census.count == 1 => Some(0),
                Source::HostName => self.first_attached(candidates, None)?,
                Source::Domain => self.first_attached(candidates, Some(name))?,
            };
            let mut last = after;
            for (at, candidate) in candidates.iter().enumerate() {
                last = candidate.rank;
                if chosen == Some(at) {
                    wanted = Some(last);
                }
                let fate = if chosen == Some(at) { Fate::Taken } else { Fate::Outranked };
                if let Some(observer) = &mut self.observer {
                    observer.candidate(candidate, fate);
                }
            }
            match (source, wanted) {
                (Source::Domain, Some(_)) => return Ok(true),
                (Source::HostName, Some(rank)) if rank == named => return Ok(true),
                (Source::HostName, Some(_)) => {}
                (_, None) if page.overflowed => after = last,
                (Source::HostName, None) => return Ok(named != Rank::LAST),
                (Source::Domain, None) => return Ok(false),
            }
        }
    }

    /// Which one a running guest has, whose domain's name goes to `name`.
    fn first_attached(
        &mut self,
        candidates: &mut [Candidate],
        mut name: Option<&mut Text>,
    ) -> Result<Option<usize>, Exhausted> {
        for (at, candidate) in candidates.iter_mut().enumerate() {
            self.attach(slice::from_mut(candidate), name.as_deref_mut())?;
            if candidate.attached == Attached::Yes {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }
}
