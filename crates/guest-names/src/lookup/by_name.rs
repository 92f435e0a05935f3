//! From a name to addresses.

use super::context::{Lookup, is_own_name, told};
use super::rules::{Rules, settle};
use crate::address::Family;
use crate::bridge::Bridge;
use crate::candidate::{Candidate, Precedence};
use crate::files::{GuestMac, Listing, Sought};
use crate::io::{Exhausted, Kind, StateDir, System};
use crate::list::List;
use crate::name::{NameKind, Wanted};
use crate::snapshot::format::Entry;
use crate::snapshot::{Key, Standing};

/// What is looked up.
#[derive(Clone, Copy, Debug)]
pub struct Query<'q> {
    /// Among which names.
    pub kind: NameKind,
    /// The name.
    pub wanted: Wanted<'q>,
    /// `None` asks for both.
    pub family: Option<Family>,
    /// The answer can have the scope of an IPv6 link-local address. Without it, such an address is of no use.
    pub scopes: bool,
}

/// What a look-up by name came to.
#[derive(Clone, Copy, Debug)]
pub enum Found<'a> {
    /// No guest has the name.
    Unknown,
    /// A guest has the name, and no address of the family.
    NoData,
    /// Its addresses, at least one, in the answer's order.
    Addresses(&'a [Candidate]),
}

/// Places for the NICs of the guest that is looked up. Most have one or two.
const MACS: usize = 8;

impl<D: StateDir, S: System> Lookup<'_, D, S> {
    /// Finds the addresses of a name.
    ///
    /// # Errors
    /// See [`Exhausted`].
    pub fn by_name(&mut self, query: &Query<'_>) -> Result<Found<'_>, Exhausted> {
        self.candidates.truncate(0);
        let standing = self.ask_snapshot(query)?;
        let is_settled = |candidate: &Candidate| candidate.precedence == Precedence::BeforeFiles;
        if !standing.leases && !self.candidates.as_slice().iter().any(is_settled) {
            match query.kind {
                NameKind::HostName => self.read_leases_of_host(&query.wanted)?,
                NameKind::Domain => self.read_leases_of_domain(&query.wanted)?,
            }
        }
        if self.candidates.is_empty() {
            return Ok(Found::Unknown);
        }
        // Where the snapshot stands for the files, the daemon has left the host's own name out of it.
        let may_be_own = query.kind == NameKind::HostName && !standing.leases;
        if may_be_own && is_own_name(self.files.system, query.wanted.canonical()) {
            if let Some(observer) = &mut self.files.observer {
                observer.own_name();
            }
            return Ok(Found::Unknown);
        }
        self.settled(query)
    }

    /// What [`by_name`](Self::by_name) finds in a snapshot that stands for the files while its daemon lives, and that
    /// has these entries under the name. For what is made of all names, without a search for each.
    ///
    /// # Errors
    /// See [`Exhausted`].
    pub fn by_entries<'e>(
        &mut self,
        query: &Query<'_>,
        entries: impl Iterator<Item = Entry<'e>>,
    ) -> Result<Found<'_>, Exhausted> {
        self.candidates.truncate(0);
        let mut known = KnownNames::default();
        for entry in entries {
            if let Some(evidence) = entry.evidence(Standing::WHOLE, self.files.now) {
                let candidate = entry.candidate(0, evidence, Standing::WHOLE, true);
                known.add(&entry, candidate, &query.wanted, &mut self.candidates)?;
            }
        }
        if self.candidates.is_empty() {
            return Ok(Found::Unknown);
        }
        self.settled(query)
    }

    /// Applies the rules to the candidates.
    #[inline(always)]
    fn settled(&mut self, query: &Query<'_>) -> Result<Found<'_>, Exhausted> {
        let rules = Rules { kind: query.kind, family: query.family, scopes: query.scopes };
        let kept = settle(&mut self.files, self.candidates.as_mut_slice(), rules)?;
        self.candidates.truncate(kept);
        match self.candidates.as_slice() {
            [] => Ok(Found::NoData),
            addresses => Ok(Found::Addresses(addresses)),
        }
    }

    /// Adds what the snapshot has under the name; says what of the snapshot counts.
    #[inline(never)]
    fn ask_snapshot(&mut self, query: &Query<'_>) -> Result<Standing, Exhausted> {
        let Some(snapshot) = &mut self.snapshot else { return Ok(Standing::default()) };
        let key = Key::of_name(query.kind, &query.wanted);
        let mut known = KnownNames::default();
        let mut standing = None;
        if let Ok(mut told) = told(snapshot, &mut self.files, &key) {
            let of = told.entries.standing;
            standing = loop {
                match told.next() {
                    Ok(Some((offset, entry, Some(evidence)))) => {
                        let candidate = entry.candidate(offset, evidence, of, true);
                        known.add(&entry, candidate, &query.wanted, &mut self.candidates)?;
                    }
                    Ok(Some((_, _, None))) => {}
                    Ok(None) => break Some(of),
                    Err(_) => break None,
                }
            };
        }
        if let Some(observer) = &mut self.files.observer {
            observer.snapshot(standing);
        }
        if standing.is_none() {
            self.candidates.truncate(0);
        }
        Ok(standing.unwrap_or_default())
    }

    /// Adds every lease with this host name.
    #[inline(never)]
    fn read_leases_of_host(&mut self, wanted: &Wanted<'_>) -> Result<(), Exhausted> {
        let sought = Sought::Host(wanted);
        let mut listing = Listing::of(Kind::Leases);
        while let Some(bridge) = self.files.next(&mut listing)? {
            self.add_leases(bridge, listing.file, sought)?;
        }
        Ok(())
    }

    /// Adds every lease of the domain's NICs, on the bridge that has them, and that there is such a domain.
    #[inline(never)]
    fn read_leases_of_domain(&mut self, wanted: &Wanted<'_>) -> Result<(), Exhausted> {
        let mut places = [GuestMac::EMPTY; MACS];
        let mut macs = List::new(&mut places, self.files.system);
        let mut listing = Listing::of(Kind::Macs);
        while let Some(bridge) = self.files.next(&mut listing)? {
            self.files.macs_of_guest(bridge, wanted, &mut macs, &mut self.candidates)?;
            if !macs.is_empty() {
                let sought = Sought::Guest(wanted, macs.as_slice());
                self.add_leases(bridge, listing.file, sought)?;
            }
        }
        Ok(())
    }

    /// Adds the leases of a bridge that are `sought`; its file is the `file`-th. Never inlined: its stack is free again
    /// while MAC maps are read.
    #[inline(never)]
    fn add_leases(
        &mut self,
        bridge: Bridge,
        file: u32,
        sought: Sought<'_>,
    ) -> Result<(), Exhausted> {
        let mut leases = self.files.leases(bridge, file, sought);
        while let Some(candidate) = leases.next() {
            self.candidates.push(candidate)?;
        }
        leases.close()
    }
}

/// That guests of the name are known, by the snapshot: once for each case and precedence.
#[derive(Default)]
pub(super) struct KnownNames(u8);

impl KnownNames {
    /// Adds an entry's `candidate`, and the first time one without an address.
    pub(super) fn add<S: System>(
        &mut self,
        entry: &Entry<'_>,
        candidate: Candidate,
        wanted: &Wanted<'_>,
        to: &mut List<'_, Candidate, S>,
    ) -> Result<(), Exhausted> {
        let Some(fit) = wanted.fit(entry.name) else { return Ok(()) };
        let candidate = Candidate { exact: fit.exact, ..candidate };
        let bit = 1 << (candidate.precedence as u8 * 2 + u8::from(fit.exact));
        if fit.is_whole() && self.0 & bit == 0 {
            self.0 |= bit;
            to.push(Candidate { address: None, ..candidate })?;
        }
        if candidate.address.is_some() { to.push(candidate) } else { Ok(()) }
    }
}
