//! From an address to a name.

use crate::address::Address;
use crate::forward::Source;
use crate::name::is_host_name;
use crate::observe::Fate;
use crate::ranking::{Attached, Candidate, Rank, Ranking};
use crate::search::{Exhausted, Search};
use crate::state::StateDir;
use crate::text::Text;

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
        let mut ranking = Ranking::new(places);
        let mut first: Option<Rank> = None;
        loop {
            let after = ranking.page().last().map(Candidate::rank);
            ranking.restart(after);
            self.leases_of_address(address, &mut |lease, candidate| {
                if source == Source::Domain || is_host_name(lease.hostname.as_bytes()) {
                    ranking.offer(candidate);
                    if first.is_none_or(|first| candidate.rank() < first) {
                        first = Some(candidate.rank());
                        name.set(lease.hostname.as_bytes());
                    }
                }
            })?;
            let single = ranking.census().count == 1;
            let page = ranking.page();
            let chosen = match source {
                Source::HostName if single => Some(0),
                Source::HostName => self.attached_one(page)?,
                Source::Domain => self.one_with_domain(page, name)?,
            };
            for (at, candidate) in page.iter().enumerate() {
                let fate = if chosen == Some(at) { Fate::Taken } else { Fate::Outranked };
                if let Some(observer) = &mut self.observer {
                    observer.candidate(candidate, fate);
                }
            }
            match (source, chosen.and_then(|at| page.get(at)).map(Candidate::rank)) {
                (Source::Domain, Some(_)) => return Ok(true),
                (Source::HostName, Some(rank)) if first == Some(rank) => return Ok(true),
                (Source::HostName, Some(rank)) => return self.host_name_at(address, rank, name),
                (_, None) if ranking.overflowed() => {}
                (Source::HostName, None) if first.is_some() => return Ok(true),
                (_, None) => return Ok(false),
            }
        }
    }

    /// Which one a running guest has.
    fn attached_one(&mut self, page: &mut [Candidate]) -> Result<Option<usize>, Exhausted> {
        self.attach(page)?;
        Ok(page.iter().position(|candidate| candidate.attached == Attached::Yes))
    }

    /// Which one a domain has, whose name goes to `name`.
    fn one_with_domain(
        &mut self,
        page: &[Candidate],
        name: &mut Text,
    ) -> Result<Option<usize>, Exhausted> {
        for (at, candidate) in page.iter().enumerate() {
            if let (Some(mac), Some(bridge)) = (candidate.mac, candidate.bridge) {
                if self.domain_of(&bridge.to_bridge(), mac, name)? {
                    return Ok(Some(at));
                }
            }
        }
        Ok(None)
    }

    /// The host name in the record of this rank; it may be gone by now.
    fn host_name_at(
        &mut self,
        address: Address,
        rank: Rank,
        name: &mut Text,
    ) -> Result<bool, Exhausted> {
        let mut found = false;
        self.leases_of_address(address, &mut |lease, candidate| {
            if candidate.rank() == rank && is_host_name(lease.hostname.as_bytes()) {
                name.set(lease.hostname.as_bytes());
                found = true;
            }
        })?;
        Ok(found)
    }
}
