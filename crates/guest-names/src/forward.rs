//! From a name to addresses.

use crate::address::{Address, Family};
use crate::name::Wanted;
use crate::nics::Known;
use crate::observe::Fate;
use crate::ranking::{Attached, Candidate, Census, Page, Rank, Ranking};
use crate::search::{Exhausted, Search};
use crate::snapshot::consult::{Heard, Part};
use crate::sought::Sought;
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
    #[inline(never)]
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

    /// Chooses anew the places that [`Answer::lent`] gives: more than `least`, or none. What was in them
    /// is lost.
    fn lend(&mut self, _least: usize) {}

    /// Places for candidates, in memory that the answer doesn't need before as many more addresses as
    /// there are places have been added. None before [`Answer::lend`] and after [`Answer::clear`].
    fn lent(&mut self) -> &mut [Candidate] {
        &mut []
    }
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

impl Found {
    /// Of a look-up that can't come to [`Found::NoData`].
    #[must_use]
    pub fn data_if(found: bool) -> Self {
        if found { Self::Data } else { Self::Unknown }
    }
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

/// The candidates page by page, and the answer that is made of them.
struct Pages<'p> {
    /// For the first page, and where the answer lends none.
    own: &'p mut [Candidate],
    answer: &'p mut dyn Answer,
    page: Page,
}

impl Pages<'_> {
    fn places(&mut self) -> &mut [Candidate] {
        if self.answer.lent().is_empty() { self.own } else { self.answer.lent() }
    }

    #[inline(never)]
    fn candidates(&mut self) -> &mut [Candidate] {
        let len = self.page.len;
        self.places().get_mut(..len).unwrap_or(&mut [])
    }
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
        let mut pages = Pages { own: places, answer, page: Page::default() };
        for _ in 0..ATTEMPTS {
            match self.attempt(query, &mut pages) {
                Ok(found) => return Ok(found),
                Err(Stop::Failed(failure)) => return Err(failure),
                Err(Stop::Changed) => pages.answer.clear(),
            }
        }
        Err(Failure::Exhausted)
    }

    /// Where the candidates don't fit into the places it goes page by page, first to find the rule and
    /// then to answer. Each page must have seen the same candidates: an answer out of two different
    /// states of the files would be one that never was true.
    fn attempt(&mut self, query: &Query<'_>, pages: &mut Pages<'_>) -> Result<Found, Stop> {
        let first = self.pass(query, pages, Rank::FIRST)?;
        if first.census.count == 0 {
            return Ok(if first.known.name { Found::NoData } else { Found::Unknown });
        }
        let mut on_first_page = true;
        let rule = loop {
            if let Some(rule) = self.rule(query.source, first, pages)? {
                break rule;
            }
            if !self.next_page(query, pages, first)? {
                break Rule::All;
            }
            on_first_page = false;
        };
        if !on_first_page {
            self.page_behind(query, pages, first, Rank::FIRST)?;
        }
        let mut found = Found::NoData;
        loop {
            if rule == Rule::Attached {
                self.attach(pages.candidates(), None)?;
            }
            for at in 0..pages.page.len {
                let Some(&candidate) = pages.candidates().get(at) else { break };
                let fate = fate(rule, query.family, &candidate, pages.answer)?;
                if let Some(observer) = &mut self.observer {
                    observer.candidate(&candidate, fate);
                }
                if fate == Fate::Taken {
                    found = Found::Data;
                }
            }
            if !self.next_page(query, pages, first)? {
                return Ok(found);
            }
        }
    }

    /// One go through the snapshot or the files, for the best that rank behind `after`.
    fn pass(
        &mut self,
        query: &Query<'_>,
        pages: &mut Pages<'_>,
        after: Rank,
    ) -> Result<Seen, Exhausted> {
        let mut ranking = Ranking::new(pages.places(), after);
        let mut known = Known::default();
        let Query { source, wanted, .. } = query;
        let heard = self.addresses_told(*source, wanted, Part::First, &mut ranking, &mut known);
        if heard != Heard::All {
            if heard == Heard::Nothing {
                ranking = Ranking::new(pages.places(), after);
                known = Known::default();
            }
            match source {
                Source::HostName => self.leases(Sought::Host(wanted), &mut ranking)?,
                Source::Domain => known = self.leases_of_guest(wanted, &mut ranking)?,
            }
        }
        if heard == Heard::Some {
            let any = known.name || ranking.any();
            let part = if any { Part::Here } else { Part::Rest };
            self.addresses_told(*source, wanted, part, &mut ranking, &mut known);
        }
        pages.page = ranking.finish();
        Ok(Seen { census: pages.page.census, known })
    }

    /// `false` where there is none.
    fn next_page(
        &mut self,
        query: &Query<'_>,
        pages: &mut Pages<'_>,
        first: Seen,
    ) -> Result<bool, Stop> {
        if !pages.page.overflowed {
            return Ok(false);
        }
        let Some(last) = pages.candidates().last() else { return Ok(false) };
        let after = last.rank;
        self.page_behind(query, pages, first, after)?;
        Ok(true)
    }

    /// A page that isn't the first of an attempt, and as long as the answer lends places for.
    fn page_behind(
        &mut self,
        query: &Query<'_>,
        pages: &mut Pages<'_>,
        first: Seen,
        after: Rank,
    ) -> Result<(), Stop> {
        pages.answer.lend(pages.own.len());
        if self.pass(query, pages, after)? == first { Ok(()) } else { Err(Stop::Changed) }
    }

    /// `None` where this page doesn't tell.
    fn rule(
        &mut self,
        source: Source,
        first: Seen,
        pages: &mut Pages<'_>,
    ) -> Result<Option<Rule>, Exhausted> {
        if source == Source::Domain {
            return Ok(Some(if first.known.exact { Rule::Exact } else { Rule::All }));
        }
        let candidates = pages.candidates();
        if candidates.len() == first.census.count as usize && are_of_one_nic(candidates) {
            return Ok(Some(Rule::All));
        }
        self.attach(candidates, None)?;
        let any = candidates.iter().any(|candidate| candidate.attached == Attached::Yes);
        Ok(any.then_some(Rule::Attached))
    }
}

/// Whether all are attached or none is, as far as one can tell without looking.
fn are_of_one_nic(candidates: &[Candidate]) -> bool {
    let nic = |candidate: &Candidate| (candidate.mac, candidate.bridge);
    candidates.iter().all(|candidate| Some(nic(candidate)) == candidates.first().map(nic))
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
