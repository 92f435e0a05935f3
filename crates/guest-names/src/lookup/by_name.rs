//! From a name to addresses.

use super::context::{Lookup, find_entries, is_own_name};
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

/// A look-up by name.
#[derive(Clone, Copy, Debug)]
pub struct Query<'q> {
    /// The kind of name.
    pub kind: NameKind,
    /// The name.
    pub wanted: Wanted<'q>,
    /// `None`: both.
    pub family: Option<Family>,
    /// Whether the answer can contain the scope of an IPv6 link-local address, which is useless without it.
    pub scopes: bool,
}

/// The result of a look-up by name.
#[derive(Clone, Copy, Debug)]
pub enum Found<'a> {
    /// No guest has the name.
    Unknown,
    /// A guest has the name, but no address of the family.
    NoData,
    /// Its addresses, at least one, in the order of the answer.
    Addresses(&'a [Candidate]),
}

/// Places for the NICs of the guest. Most guests have one or two.
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
        // The daemon leaves the host's own name out of a snapshot that replaces the files.
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
            if let Some(evidence) = entry.counts_as(Standing::WHOLE, self.files.now) {
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

    /// Adds what the snapshot has under the name. Returns how much of the snapshot counts.
    #[inline(never)] // in all, 600 bytes less stack
    fn ask_snapshot(&mut self, query: &Query<'_>) -> Result<Standing, Exhausted> {
        let Some(snapshot) = &mut self.snapshot else { return Ok(Standing::default()) };
        let key = Key::of_name(query.kind, &query.wanted);
        let mut known = KnownNames::default();
        let mut standing = None;
        if let Ok(mut found) = find_entries(snapshot, &mut self.files, &key) {
            let of = found.entries.standing;
            standing = loop {
                match found.next() {
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
    #[inline(never)] // in all, 600 bytes less stack
    fn read_leases_of_host(&mut self, wanted: &Wanted<'_>) -> Result<(), Exhausted> {
        let sought = Sought::Host(wanted);
        let mut listing = Listing::of(Kind::Leases);
        while let Some(bridge) = self.files.next(&mut listing)? {
            self.add_leases(bridge, listing.file, sought)?;
        }
        Ok(())
    }

    /// Adds every lease of the domain's NICs on their bridges, and a candidate without an address for the domain.
    #[inline(never)] // in all, 600 bytes less stack
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

    /// Adds the leases of a bridge that are `sought`; its file is the `file`-th.
    #[inline(never)] // in all, 600 bytes less stack
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

/// Which candidates without an address have been added for a name of the snapshot: one for each case and precedence.
#[derive(Default)]
pub(super) struct KnownNames(u8);

impl KnownNames {
    /// Adds an entry's `candidate`; the first time, also one without an address.
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
