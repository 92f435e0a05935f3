//! Asking the snapshot for a name or an address, before or beside the state files.

use super::format::{Entry, flags};
use super::{Key, Standing, Take};
use crate::forward::Source;
use crate::name::{Wanted, is_host_name};
use crate::nics::Known;
use crate::observe::Observer;
use crate::ranking::{Attached, Candidate, Ranking};
use crate::search::{Search, observing};
use crate::state::StateDir;
use crate::text::Text;

/// Which of the entries that count are taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Where the snapshot stands for the state files, all. Else those that win over the files.
    First,
    /// What is told of this host's guests: it joins what the files say.
    Here,
    /// All that is told, as the files know nothing.
    Rest,
}

/// What is left to be done.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Nothing.
    All,
    /// The files are to be read, and then the snapshot is to be asked for another part.
    Some,
    /// The files are to be read. There is no snapshot that counts, and what it gave is of no use.
    Nothing,
}

/// Where a snapshot's candidates stand: behind those of all files that end at the same time.
const FILE: u32 = u32::MAX;

impl Candidate {
    /// Whether it is an entry of the snapshot, and not a record of a state file.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.rank.file() == FILE
    }

    /// Whether it is the snapshot's entry at byte `offset`.
    #[must_use]
    pub fn is_entry(&self, offset: u32) -> bool {
        self.is_told() && self.rank.offset() == offset
    }
}

/// An entry as a candidate. `exact`: its name is the wanted one in its case too.
#[inline(never)]
pub(crate) fn candidate(offset: u32, entry: &Entry<'_>, exact: bool) -> Option<Candidate> {
    let Entry { mac, bridge, expiry, .. } = *entry;
    let mut candidate = Candidate::new(entry.address?, mac, bridge, expiry, FILE, offset);
    let attached = entry.is(flags::ATTACHED);
    candidate.attached = if attached { Attached::Yes } else { Attached::No };
    candidate.exact = exact;
    Some(candidate)
}

/// Gets the entries of the part that is asked for.
trait Hear {
    fn hear(&mut self, offset: u32, entry: &Entry<'_>);
}

/// Sorts out the entries that are heard.
struct Hearing<'h> {
    part: Part,
    now: i64,
    /// Whether any was taken.
    any: bool,
    to: &'h mut dyn Hear,
    observer: Option<&'h mut dyn Observer>,
}

impl Take for Hearing<'_> {
    fn take(&mut self, offset: u32, entry: &Entry<'_>, standing: Standing) {
        let of_part = match self.part {
            Part::First => standing.leases || entry.is(flags::BEFORE),
            Part::Here => !entry.is(flags::ELSEWHERE),
            Part::Rest => true,
        };
        let taken = of_part && entry.counts(standing, self.now);
        if let Some(observer) = &mut self.observer {
            observer.entry(offset, entry, standing, taken);
        }
        if taken {
            self.any = true;
            self.to.hear(offset, entry);
        }
    }
}

/// The addresses that a name stands for.
struct Addresses<'a, 'p> {
    wanted: &'a Wanted<'a>,
    ranking: &'a mut Ranking<'p>,
    known: &'a mut Known,
}

impl Hear for Addresses<'_, '_> {
    fn hear(&mut self, offset: u32, entry: &Entry<'_>) {
        let Some(fit) = self.wanted.fit(entry.name) else { return };
        if fit.is_whole() {
            self.known.name = true;
            self.known.exact |= fit.exact;
        }
        if let Some(candidate) = candidate(offset, entry, fit.exact) {
            self.ranking.offer(&candidate);
        }
    }
}

/// What an address is called: the first name of the kind, as they stand in the order in which they win.
struct Name<'n> {
    source: Source,
    name: &'n mut Text,
}

impl Hear for Name<'_> {
    fn hear(&mut self, _: u32, entry: &Entry<'_>) {
        let of_domain = entry.is(flags::DOMAIN);
        let good = match self.source {
            Source::HostName => !of_domain && is_host_name(entry.name),
            Source::Domain => of_domain,
        };
        if good && self.name.is_empty() {
            self.name.set(entry.name);
        }
    }
}

impl<S: StateDir> Search<'_, S> {
    /// Offers `ranking` what the snapshot has under a name.
    #[inline(never)]
    pub(crate) fn addresses_told(
        &mut self,
        source: Source,
        wanted: &Wanted<'_>,
        part: Part,
        ranking: &mut Ranking<'_>,
        known: &mut Known,
    ) -> Heard {
        if self.snapshot.is_none() {
            return Heard::Nothing;
        }
        let mut addresses = Addresses { wanted, ranking, known };
        self.hear(&Key::of_name(source, wanted), part, &mut addresses)
    }

    /// Puts the name that the snapshot has for an address into `name`; whether it has one.
    #[inline(never)]
    pub(crate) fn name_told(
        &mut self,
        source: Source,
        address: crate::address::Address,
        part: Part,
        name: &mut Text,
    ) -> (Heard, bool) {
        if self.snapshot.is_none() {
            return (Heard::Nothing, false);
        }
        name.clear();
        let heard = self.hear(&Key::of_address(address), part, &mut Name { source, name });
        (heard, heard != Heard::Nothing && !name.is_empty())
    }

    fn hear(&mut self, key: &Key, part: Part, to: &mut dyn Hear) -> Heard {
        let Some(snapshot) = &mut self.snapshot else { return Heard::Nothing };
        let observer = observing(&mut self.observer);
        let mut hearing = Hearing { part, now: self.now, any: false, to, observer };
        let standing = snapshot.entries(key, self.now, self.window, &mut hearing);
        let any = hearing.any;
        if let Some(observer) = &mut self.observer {
            observer.snapshot(standing);
        }
        match standing {
            Some(standing) if standing.leases || (part == Part::First && any) => Heard::All,
            Some(Standing { told: true, .. }) => Heard::Some,
            _ => {
                // Not asked again.
                self.snapshot = None;
                Heard::Nothing
            }
        }
    }
}
