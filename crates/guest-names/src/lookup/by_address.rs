//! From an address to a name.

use core::slice;

use super::context::{Lookup, is_given, is_own_name, told};
use crate::address::Address;
use crate::candidate::{Attached, Candidate};
use crate::files::{Listing, Sought};
use crate::io::{Exhausted, Kind, StateDir, System};
use crate::list::sort;
use crate::name::{NameKind, is_host_name};
use crate::observe::Fate;
use crate::snapshot::Key;
use crate::snapshot::format::{Entry, flags};
use crate::text::Text;

/// What the snapshot says of an address.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Heard {
    /// What it says counts, whatever the files say.
    Final,
    /// The files come first.
    AfterFiles,
}

impl<D: StateDir, S: System> Lookup<'_, D, S> {
    /// Puts the name of the guest that has `address` into `name`. Where more than one lease says so, one
    /// of a running guest comes before one that was left behind, then the one that lasts longest.
    /// `false` where no guest has it.
    ///
    /// # Errors
    /// See [`Exhausted`].
    pub fn by_address(
        &mut self,
        kind: NameKind,
        address: Address,
        name: &mut Text,
    ) -> Result<bool, Exhausted> {
        if self.name_in_snapshot(kind, address, name) == Heard::AfterFiles {
            // Leaves the snapshot's name where the files have none.
            self.name_in_files(kind, address, name)?;
        }
        // Not a name that look-ups by name refuse.
        Ok(kind.wanted(name.as_bytes()).is_some())
    }

    /// The first name that the snapshot has for the address, as they are in the order in which they win: of a connection
    /// that comes before the files, if there is one. No name: it has none, or is of no use.
    #[inline(never)]
    fn name_in_snapshot(&mut self, kind: NameKind, address: Address, name: &mut Text) -> Heard {
        name.clear();
        let mut heard = Heard::AfterFiles;
        let Some(snapshot) = &mut self.snapshot else { return heard };
        let system = self.files.system;
        let mut standing = None;
        if let Ok(mut told) = told(snapshot, &mut self.files, &Key::of_address(address)) {
            let of = told.entries.standing;
            if of.leases {
                heard = Heard::Final;
            }
            standing = loop {
                match told.next() {
                    Ok(Some((_, entry, evidence))) => {
                        // Where the snapshot stands for the files, the daemon has left the host's own name out.
                        let may_be_own = kind == NameKind::HostName && !of.leases;
                        let counts = evidence.is_some()
                            && is_name_of(kind, &entry)
                            && !(may_be_own && is_own_name(system, entry.name));
                        let is_before = !of.leases && entry.is(flags::BEFORE);
                        let is_better = is_before && heard != Heard::Final;
                        if counts && (name.is_empty() || is_better) {
                            name.set(entry.name);
                            if is_before {
                                heard = Heard::Final;
                            }
                        }
                    }
                    Ok(None) => break Some(of),
                    Err(_) => break None,
                }
            };
        }
        if let Some(observer) = &mut self.files.observer {
            observer.snapshot(standing);
        }
        if standing.is_none() {
            name.clear();
            return Heard::AfterFiles;
        }
        heard
    }

    /// Puts the name of the best lease of the address into `name`, if there is one.
    #[inline(never)]
    fn name_in_files(
        &mut self,
        kind: NameKind,
        address: Address,
        name: &mut Text,
    ) -> Result<(), Exhausted> {
        let best = self.read_leases_of_address(kind, address, name)?;
        let candidates = self.candidates.as_mut_slice();
        sort(candidates, &Candidate::by_rank);
        let is_only = candidates.len() == 1 && kind == NameKind::HostName;
        let mut chosen = None;
        for candidate in candidates.iter_mut() {
            if chosen.is_none() && !is_only {
                let domain = if kind == NameKind::Domain { Some(&mut *name) } else { None };
                self.files.attach(slice::from_mut(candidate), domain)?;
            }
            if chosen.is_none() && (is_only || candidate.attached == Attached::Yes) {
                chosen = Some(*candidate);
            }
        }
        if kind == NameKind::HostName {
            chosen = chosen.or(best);
        }
        if let Some(observer) = &mut self.files.observer {
            for candidate in self.candidates.as_slice() {
                let is_chosen = chosen.is_some_and(|chosen| chosen.origin == candidate.origin);
                let fate = if is_chosen { Fate::Taken } else { Fate::Outranked };
                observer.candidate(candidate, fate);
            }
        }
        match (chosen, best) {
            (Some(chosen), Some(best))
                if kind == NameKind::HostName && chosen.origin != best.origin =>
            {
                self.read_host_name(&chosen, name)
            }
            _ => Ok(()),
        }
    }

    /// Lists the leases of the address that have a name of the kind. If that is a host name, the best one's goes to
    /// `name`.
    #[inline(never)]
    fn read_leases_of_address(
        &mut self,
        kind: NameKind,
        address: Address,
        name: &mut Text,
    ) -> Result<Option<Candidate>, Exhausted> {
        let system = self.files.system;
        self.candidates.truncate(0);
        let mut best: Option<Candidate> = None;
        let sought = Sought::Address(address);
        let mut listing = Listing::of(Kind::Leases);
        while let Some(bridge) = self.files.next(&mut listing)? {
            let mut leases = self.files.leases(bridge, listing.file, sought);
            while let Some(candidate) = leases.next() {
                let host_name = leases.lease().hostname.as_bytes();
                if kind == NameKind::HostName && !is_given(system, host_name) {
                    continue;
                }
                self.candidates.push(candidate)?;
                if best.is_none_or(|best| candidate.by_rank(&best)) {
                    best = Some(candidate);
                    if kind == NameKind::HostName {
                        name.set(host_name);
                    }
                }
            }
            leases.close()?;
        }
        Ok(best)
    }

    /// Puts the host name of a lease that was met before into `name`, if it is still there.
    #[inline(never)]
    fn read_host_name(&mut self, of: &Candidate, name: &mut Text) -> Result<(), Exhausted> {
        let Some(address) = of.address else { return Ok(()) };
        let sought = Sought::Address(address);
        let mut leases = self.files.leases(of.bridge, 0, sought);
        while let Some(candidate) = leases.next() {
            let is_same = candidate.mac == of.mac && candidate.expiry == of.expiry;
            if is_same && candidate.offset() == of.offset() {
                name.set(leases.lease().hostname.as_bytes());
            }
        }
        leases.close()
    }
}

fn is_name_of(kind: NameKind, entry: &Entry<'_>) -> bool {
    let is_of_domain = entry.is(flags::DOMAIN);
    match kind {
        NameKind::HostName => !is_of_domain && is_host_name(entry.name),
        NameKind::Domain => is_of_domain,
    }
}
