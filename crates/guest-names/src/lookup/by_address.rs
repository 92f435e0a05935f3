//! From an address to a name.

use core::slice;

use super::context::{Lookup, find_entries, is_given, is_own_name};
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

impl<D: StateDir, S: System> Lookup<'_, D, S> {
    /// Puts the name of the guest that has `address` into `name`. If several leases have it, those of running guests come
    /// before those that were left behind, and then the one that ends last comes first. `false` if no guest has it.
    ///
    /// # Errors
    /// See [`Exhausted`].
    pub fn by_address(
        &mut self,
        kind: NameKind,
        address: Address,
        name: &mut Text,
    ) -> Result<bool, Exhausted> {
        if !self.name_in_snapshot(kind, address, name) {
            // Leaves the snapshot's name if the files have none.
            self.name_in_files(kind, address, name)?;
        }
        // Look-ups by name refuse some names.
        Ok(kind.wanted(name.as_bytes()).is_some())
    }

    /// Puts the first name that the snapshot has for the address into `name`; preferably one of a connection that comes
    /// before the files. Returns whether that is the result, whatever the files contain.
    #[inline(never)] // in all, 400 bytes less stack
    fn name_in_snapshot(&mut self, kind: NameKind, address: Address, name: &mut Text) -> bool {
        name.clear();
        let mut is_final = false;
        let Some(snapshot) = &mut self.snapshot else { return false };
        let system = self.files.system;
        let mut standing = None;
        if let Ok(mut found) = find_entries(snapshot, &mut self.files, &Key::of_address(address)) {
            let of = found.entries.standing;
            if of.leases {
                is_final = true;
            }
            standing = loop {
                match found.next() {
                    Ok(Some((_, entry, evidence))) => {
                        // The daemon leaves the host's own name out of a snapshot that replaces the files.
                        let may_be_own = kind == NameKind::HostName && !of.leases;
                        let counts = evidence.is_some()
                            && is_name_of(kind, &entry)
                            && !(may_be_own && is_own_name(system, entry.name));
                        let is_before = !of.leases && entry.is(flags::BEFORE);
                        let is_better = is_before && !is_final;
                        if counts && (name.is_empty() || is_better) {
                            name.set(entry.name);
                            if is_before {
                                is_final = true;
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
            return false;
        }
        is_final
    }

    /// Puts the name of the best lease of the address into `name`, if it has one.
    #[inline(never)] // in all, 400 bytes less stack
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

    /// Lists the leases of the address, and returns the best. If host names are looked up, that of the best goes to `name`.
    #[inline(never)] // in all, 400 bytes less stack
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

    /// Reads a lease again, and puts its host name into `name` if it is still there.
    #[inline(never)] // in all, 400 bytes less stack
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
