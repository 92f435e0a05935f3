//! From a name to addresses.

use crate::address::{Address, Family};
use crate::name::Wanted;
use crate::observe::Fate;
use crate::ranking::{Attached, Candidate, Census, Rank, Ranking};
use crate::search::{Exhausted, Known, Search};
use crate::state::StateDir;

/// Which names of a guest are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The host name that it gave to DHCP: the module `libvirt`.
    HostName,
    /// The name of its libvirt domain: the module `libvirt_guest`.
    Domain,
}

impl Source {
    /// The name, ready to be compared. `None` where no guest can have it.
    #[must_use]
    pub fn wanted(self, name: &[u8]) -> Option<Wanted<'_>> {
        match self {
            Self::HostName => Wanted::host(name),
            Self::Domain => Wanted::domain(name),
        }
    }
}

/// Where the addresses go.
pub trait Answer {
    /// Drops all that it holds.
    fn clear(&mut self);

    /// Whether it holds `address` already.
    fn holds(&self, address: Address) -> bool;

    /// Adds an address behind those that it holds.
    ///
    /// # Errors
    /// [`NoRoom`]: the answer doesn't fit where it goes.
    fn add(&mut self, candidate: &Candidate) -> Result<(), NoRoom>;
}

/// The answer doesn't fit where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

/// What a look-up came to, where there was one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// No guest has the name or the address.
    Unknown,
    /// A guest has the name, and no address of the family.
    NoData,
    /// The answer holds at least one address.
    Data,
}

/// Why a look-up came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// See [`Exhausted`].
    Exhausted,
    /// See [`NoRoom`].
    NoRoom,
}

impl From<Exhausted> for Failure {
    fn from(_: Exhausted) -> Self {
        Self::Exhausted
    }
}

impl From<NoRoom> for Failure {
    fn from(_: NoRoom) -> Self {
        Self::NoRoom
    }
}

/// What is looked up.
#[derive(Clone, Copy, Debug)]
pub struct Query<'q> {
    /// Among which names.
    pub source: Source,
    /// The name.
    pub wanted: Wanted<'q>,
    /// `None` asks for both.
    pub family: Option<Family>,
}

/// How often a look-up with more candidates than places begins again because the files changed under
/// it.
const ATTEMPTS: u32 = 16;

/// Which candidates are answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    All,
    /// Those that a running guest has.
    Attached,
    /// Those of the domain whose name is the wanted one in its case too.
    Exact,
}

impl Rule {
    fn drops(self, candidate: &Candidate) -> Option<Fate> {
        match self {
            Self::Attached if candidate.attached != Attached::Yes => Some(Fate::LeftBehind),
            Self::Exact if !candidate.exact => Some(Fate::OtherCase),
            _ => None,
        }
    }
}

/// What one pass over the files saw.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Seen {
    census: Census,
    known: Known,
}

/// Why an attempt ended without an answer.
enum Stop {
    Failed(Failure),
    /// A pass saw other candidates than the first.
    Changed,
}

impl<E: Into<Failure>> From<E> for Stop {
    fn from(failure: E) -> Self {
        Self::Failed(failure.into())
    }
}

impl<S: StateDir> Search<'_, S> {
    /// Puts the addresses into `answer`, in the order of [`Candidate::rank`]. `places`, at least one, is
    /// scratch: a name with more candidates than that costs several passes over the files.
    ///
    /// # Errors
    /// See [`Failure`]. What `answer` holds then is of no use.
    pub fn addresses(
        &mut self,
        query: &Query<'_>,
        places: &mut [Candidate],
        answer: &mut dyn Answer,
    ) -> Result<Found, Failure> {
        let mut ranking = Ranking::new(places);
        for _ in 0..ATTEMPTS {
            match self.attempt(query, &mut ranking, answer) {
                Ok(found) => return Ok(found),
                Err(Stop::Failed(failure)) => return Err(failure),
                Err(Stop::Changed) => answer.clear(),
            }
        }
        Err(Failure::Exhausted)
    }

    /// Where the candidates don't fit into the places it goes page by page, first to find the rule and
    /// then to answer. Each page must have seen the same candidates: an answer out of two different
    /// states of the files would be one that never was true.
    fn attempt(
        &mut self,
        query: &Query<'_>,
        ranking: &mut Ranking<'_>,
        answer: &mut dyn Answer,
    ) -> Result<Found, Stop> {
        let first = self.pass(query, ranking, None)?;
        if first.census.count == 0 {
            return Ok(if first.known.name { Found::NoData } else { Found::Unknown });
        }
        let in_one_page = !ranking.overflowed();
        let rule = loop {
            if let Some(rule) = self.rule(query.source, first, ranking.page())? {
                break rule;
            }
            if !self.next_page(query, ranking, first)? {
                break Rule::All;
            }
        };
        if !in_one_page && self.pass(query, ranking, None)? != first {
            return Err(Stop::Changed);
        }
        let mut found = Found::NoData;
        loop {
            let page = ranking.page();
            if rule == Rule::Attached {
                self.attach(page)?;
            }
            for candidate in page.iter() {
                let fate = fate(rule, query.family, candidate, answer)?;
                if let Some(observer) = &mut self.observer {
                    observer.candidate(candidate, fate);
                }
                if fate == Fate::Taken {
                    found = Found::Data;
                }
            }
            if !self.next_page(query, ranking, first)? {
                return Ok(found);
            }
        }
    }

    /// One go through the files, for the best that rank behind `after`.
    fn pass(
        &mut self,
        query: &Query<'_>,
        ranking: &mut Ranking<'_>,
        after: Option<Rank>,
    ) -> Result<Seen, Exhausted> {
        ranking.restart(after);
        let offer = &mut |candidate| ranking.offer(candidate);
        let known = match query.source {
            Source::HostName => {
                self.leases_of_host(&query.wanted, offer)?;
                Known::default()
            }
            Source::Domain => self.leases_of_guest(&query.wanted, offer)?,
        };
        Ok(Seen { census: ranking.census(), known })
    }

    /// `false` where there was none.
    fn next_page(
        &mut self,
        query: &Query<'_>,
        ranking: &mut Ranking<'_>,
        first: Seen,
    ) -> Result<bool, Stop> {
        if !ranking.overflowed() {
            return Ok(false);
        }
        let after = ranking.page().last().map(Candidate::rank);
        if self.pass(query, ranking, after)? != first {
            return Err(Stop::Changed);
        }
        Ok(true)
    }

    /// `None` where this page doesn't tell.
    fn rule(
        &mut self,
        source: Source,
        first: Seen,
        page: &mut [Candidate],
    ) -> Result<Option<Rule>, Exhausted> {
        if source == Source::Domain {
            return Ok(Some(if first.known.exact { Rule::Exact } else { Rule::All }));
        }
        if first.census.count == 1 {
            return Ok(Some(Rule::All));
        }
        self.attach(page)?;
        let any = page.iter().any(|candidate| candidate.attached == Attached::Yes);
        Ok(any.then_some(Rule::Attached))
    }
}

fn fate(
    rule: Rule,
    family: Option<Family>,
    candidate: &Candidate,
    answer: &mut dyn Answer,
) -> Result<Fate, NoRoom> {
    if let Some(fate) = rule.drops(candidate) {
        return Ok(fate);
    }
    if family.is_some_and(|family| family != candidate.address.family()) {
        return Ok(Fate::OtherFamily);
    }
    if answer.holds(candidate.address) {
        return Ok(Fate::Duplicate);
    }
    answer.add(candidate)?;
    Ok(Fate::Taken)
}
