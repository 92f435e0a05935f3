//! The list of all guests.
//!
//! The candidates of all names are gathered and sorted by name, and the rules of a look-up are applied to those of each
//! name. So everything is read once, however many guests there are.

use core::cmp::Ordering;

use super::context::{Lookup, is_given, is_own_name};
use super::rules::{Rules, settle};
use crate::address::Address;
use crate::candidate::{Attached, Candidate, mac_key};
use crate::files::{Listing, Sought};
use crate::io::{Exhausted, Kind, StateDir, System};
use crate::list::{List, lower_bound, sort};
use crate::name::{NameKind, same, without_trailing_dot};
use crate::records::lease::Lease;
use crate::snapshot::{Damaged, Key, Standing};
use crate::text::{TEXT_MAX, Text};

/// A guest's name, and an address that a look-up of that name returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The address.
    pub address: Address,
    /// Where the name is among the [names](Pairs::name).
    tag: u32,
}

/// All pairs.
#[derive(Clone, Copy, Debug)]
pub struct Pairs<'k> {
    names: &'k [u8],
    /// Sorted by name.
    pub pairs: &'k [Pair],
}

impl<'k> Pairs<'k> {
    /// The name of one of these pairs.
    #[must_use]
    pub fn name(&self, pair: &Pair) -> &'k [u8] {
        name_at(self.names, pair.tag)
    }
}

/// Names one after the other. Before each is its length, and how many bytes of it are the guest's own name, which a domain
/// may follow. A tag is the position where one starts.
type NameList<'n, S> = List<'n, u8, S>;

/// The tag of a candidate whose pair has been listed.
const LISTED: u32 = u32::MAX;

/// A name, and how many of its bytes are the guest's own name.
fn split_name(names: &[u8], tag: u32) -> (&[u8], usize) {
    match names.get(tag as usize..) {
        Some(&[len, own, ref names @ ..]) => {
            (names.get(..usize::from(len)).unwrap_or(&[]), own.into())
        }
        _ => (&[], 0),
    }
}

fn name_at(names: &[u8], tag: u32) -> &[u8] {
    split_name(names, tag).0
}

/// Adds the name `own` followed by `rest`, and returns its tag. `None`: it is too long to be looked up.
fn add_name<S: System>(
    names: &mut NameList<'_, S>,
    own: &[u8],
    rest: [&[u8]; 2],
) -> Result<Option<u32>, Exhausted> {
    let len = own.len() + rest.iter().map(|part| part.len()).sum::<usize>();
    if len > TEXT_MAX {
        return Ok(None);
    }
    let tag = u32::try_from(names.len()).ok().filter(|&tag| tag != LISTED).ok_or(Exhausted)?;
    names.push(len as u8)?;
    names.push(own.len() as u8)?;
    for &byte in own.iter().chain(rest.into_iter().flatten()) {
        names.push(byte)?;
    }
    Ok(Some(tag))
}

/// Whether one name sorts before the other: first without regard to case, then by case.
fn is_before(a: &[u8], b: &[u8]) -> bool {
    let lower = |byte: &u8| byte.to_ascii_lowercase();
    match a.iter().map(lower).cmp(b.iter().map(lower)) {
        Ordering::Equal => a.iter().lt(b),
        order => order == Ordering::Less,
    }
}

/// A NIC of a running guest.
#[derive(Clone, Copy)]
struct Nic {
    key: u64,
    /// The domain's name.
    tag: u32,
}

impl<D: StateDir, S: System> Lookup<'_, D, S> {
    /// Lists all names of a kind with the addresses that look-ups of them return, each pair once. The list is in memory of
    /// `kept`; temporary data is in that of the look-up.
    ///
    /// # Errors
    /// See [`Exhausted`].
    pub fn list<'k>(&mut self, kind: NameKind, kept: &'k S) -> Result<Pairs<'k>, Exhausted> {
        let mut names = List::new(&mut [], kept);
        self.candidates.truncate(0);
        let standing = self.add_names_of_snapshot(kind, &mut names)?;
        if !standing.leases {
            match kind {
                NameKind::HostName => self.add_host_names(&mut names)?,
                NameKind::Domain => self.add_domains(&mut names)?,
            }
        }
        if kind == NameKind::HostName {
            self.files.attach(self.candidates.as_mut_slice(), None)?;
        }
        let text = names.as_slice();
        sort(self.candidates.as_mut_slice(), &|a, b| {
            is_before(name_at(text, a.tag), name_at(text, b.tag))
        });
        let mut pairs = List::new(&mut [], kept);
        self.settle_each_name(kind, text, &mut pairs)?;
        Ok(Pairs { names: names.into_slice(), pairs: pairs.into_slice() })
    }

    /// Adds the candidates of the snapshot. Returns how much of it counts.
    fn add_names_of_snapshot(
        &mut self,
        kind: NameKind,
        names: &mut NameList<'_, S>,
    ) -> Result<Standing, Exhausted> {
        let Some(snapshot) = &mut self.snapshot else { return Ok(Standing::default()) };
        let now = self.files.now;
        let system = self.files.system;
        let mut key = Key::NONE;
        let mut standing = None;
        if let Ok(mut records) = snapshot.names(kind, now, &mut *self.files.buffer) {
            let of = records.standing();
            standing = 'records: loop {
                let entries = match records.next_name(&mut key) {
                    Ok(Some(entries)) => entries,
                    Ok(None) => break Some(of),
                    Err(Damaged) => break None,
                };
                let before = self.candidates.len();
                let mut has_own = false;
                loop {
                    let (offset, entry) = match entries.next_entry() {
                        Ok(Some(next)) => next,
                        Ok(None) => break,
                        Err(Damaged) => break 'records None,
                    };
                    let Some(evidence) = entry.counts_as(of, now) else { continue };
                    let is_own = key.is_of(entry.name);
                    if is_own && !is_listed(kind, entry.name, system, of) {
                        continue;
                    }
                    has_own |= is_own;
                    let rest = key.name().get(entry.name.len()..).unwrap_or(&[]);
                    let rest = if is_own { &[] } else { rest };
                    if let Some(tag) = add_name(names, entry.name, [rest, &[]])? {
                        let candidate = entry.candidate(offset, evidence, of, true);
                        self.candidates.push(Candidate { tag, ..candidate })?;
                    }
                }
                // A longer name of guests that are listed under their own isn't needed. (Without the files' leases, it may
                // be the own name of another guest.)
                if of.leases && !has_own {
                    self.candidates.truncate(before);
                }
            };
        }
        if let Some(observer) = &mut self.files.observer {
            observer.snapshot(standing);
        }
        if standing.is_none() {
            self.candidates.truncate(0);
            names.truncate(0);
        }
        Ok(standing.unwrap_or_default())
    }

    /// Adds every lease under its host name, and under the name with the network's domain.
    fn add_host_names(&mut self, names: &mut NameList<'_, S>) -> Result<(), Exhausted> {
        let system = self.files.system;
        let mut listing = Listing::of(Kind::Leases);
        while let Some(bridge) = self.files.next(&mut listing)? {
            let mut leases = self.files.leases(bridge, listing.file, Sought::Any);
            while let Some(candidate) = leases.next() {
                let (name, domain) = names_of(leases.lease());
                if name.is_empty() {
                    continue;
                }
                if is_given(system, name) {
                    if let Some(tag) = add_name(names, name, [&[], &[]])? {
                        self.candidates.push(Candidate { tag, ..candidate })?;
                    }
                }
                if !domain.is_empty() {
                    if let Some(tag) = add_name(names, name, [b".", domain])? {
                        self.candidates.push(Candidate { tag, ..candidate })?;
                    }
                }
            }
            leases.close()?;
        }
        Ok(())
    }

    /// Adds every domain with the leases of its NICs, and these also under the name with the network's domain.
    fn add_domains(&mut self, names: &mut NameList<'_, S>) -> Result<(), Exhausted> {
        let mut nics = List::new(&mut [], self.files.system);
        let mut domain_name = Text::new();
        let mut listing = Listing::of(Kind::Macs);
        while let Some(bridge) = self.files.next(&mut listing)? {
            nics.truncate(0);
            let mut maps = self.files.all_mac_maps(bridge);
            while let Some(map) = maps.next() {
                let name = map.domain.as_bytes();
                if NameKind::Domain.wanted(name).is_none() {
                    continue;
                }
                let Some(tag) = add_name(names, name, [&[], &[]])? else { continue };
                self.candidates.push(Candidate { tag, ..Candidate::EMPTY })?;
                for &mac in map.macs() {
                    nics.push(Nic { key: mac_key(Some(mac)), tag })?;
                }
            }
            maps.close()?;
            if nics.is_empty() {
                continue;
            }
            sort(nics.as_mut_slice(), &|a: &Nic, b: &Nic| a.key < b.key);
            let nics = nics.as_slice();
            let mut leases = self.files.leases(bridge, listing.file, Sought::Any);
            while let Some(candidate) = leases.next() {
                let candidate = Candidate { attached: Attached::Yes, ..candidate };
                let key = mac_key(candidate.mac);
                let from = lower_bound(nics, |nic| nic.key < key);
                let owners = nics.get(from..).unwrap_or(&[]).iter();
                for &Nic { tag, .. } in owners.take_while(|nic| nic.key == key) {
                    self.candidates.push(Candidate { tag, ..candidate })?;
                    let (_, domain) = names_of(leases.lease());
                    if domain.is_empty() {
                        continue;
                    }
                    domain_name.set(name_at(names.as_slice(), tag));
                    if let Some(tag) = add_name(names, domain_name.as_bytes(), [b".", domain])? {
                        self.candidates.push(Candidate { tag, ..candidate })?;
                    }
                }
            }
            leases.close()?;
        }
        Ok(())
    }

    /// Applies the rules to each name's candidates, which are sorted by name.
    fn settle_each_name(
        &mut self,
        kind: NameKind,
        names: &[u8],
        pairs: &mut List<'_, Pair, S>,
    ) -> Result<(), Exhausted> {
        // gethostent can't return the scope of a link-local address.
        let rules = Rules { kind, family: None, scopes: false };
        let mut group = List::new(&mut [], self.files.system);
        let mut rest = self.candidates.as_slice();
        while let Some(first) = rest.first() {
            let name = name_at(names, first.tag);
            let len = rest.iter().take_while(|other| same(name_at(names, other.tag), name)).count();
            let Some((all, others)) = rest.split_at_checked(len) else { break };
            rest = others;
            let mut last = None;
            for own in all {
                let (name, own_len) = split_name(names, own.tag);
                // Domains that differ in case are looked up separately, host names together.
                let is_done = last.is_some_and(|last| kind == NameKind::HostName || last == name);
                if own_len < name.len() || is_done {
                    continue;
                }
                last = Some(name);
                group.truncate(0);
                add_as_looked_up(&mut group, all, names, name)?;
                let kept = settle(&mut self.files, group.as_mut_slice(), rules)?;
                group.truncate(kept);
                sort(group.as_mut_slice(), &Candidate::by_address);
                for candidate in all {
                    let (of, own_len) = split_name(names, candidate.tag);
                    let is_own = own_len == of.len() && (kind == NameKind::HostName || of == name);
                    let group = group.as_mut_slice();
                    let key = candidate.address_key();
                    let at = lower_bound(group, |answered| answered.address_key() < key);
                    let answered = group.get_mut(at).filter(|answered| {
                        answered.address == candidate.address && answered.tag != LISTED
                    });
                    if let (Some(address), Some(answered), true) =
                        (candidate.address, answered, is_own)
                    {
                        answered.tag = LISTED;
                        pairs.push(Pair { address, tag: candidate.tag })?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Adds the candidates of one name as a look-up of `name`, in this spelling, would.
fn add_as_looked_up<S: System>(
    group: &mut List<'_, Candidate, S>,
    candidates: &[Candidate],
    names: &[u8],
    name: &[u8],
) -> Result<(), Exhausted> {
    let mut known = 0u8;
    for candidate in candidates {
        let (of, own_len) = split_name(names, candidate.tag);
        let exact = of.get(..own_len) == name.get(..own_len);
        let candidate = Candidate { exact, ..*candidate };
        let bit = 1 << (candidate.precedence as u8 * 2 + u8::from(exact));
        if own_len == of.len() && known & bit == 0 {
            known |= bit;
            group.push(Candidate { address: None, ..candidate })?;
        }
        group.push(candidate)?;
    }
    Ok(())
}

/// Whether the list contains a name of the snapshot: look-ups refuse some names.
fn is_listed<S: System>(kind: NameKind, name: &[u8], system: &S, standing: Standing) -> bool {
    // The daemon leaves the host's own name out of a snapshot that replaces the files.
    let may_be_own = kind == NameKind::HostName && !standing.leases;
    kind.wanted(name).is_some() && !(may_be_own && is_own_name(system, name))
}

/// A lease's host name and its network's domain, without a trailing dot.
fn names_of(lease: &Lease) -> (&[u8], &[u8]) {
    (lease.hostname.as_bytes(), without_trailing_dot(lease.domain.as_bytes()))
}
