//! A second implementation of a look-up's rules, over plain values in memory, one rule after the other. Every test of
//! look-ups compares with it.
//!
//! It doesn't repeat which names and addresses are valid: [`NameKind::wanted`] and
//! [`is_host_name`] are the look-up's own.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use guest_names::address::{Address, Family, Mac};
use guest_names::bridge::Bridge;
use guest_names::name::{NameKind, is_host_name};

use crate::look_up::{Answer, NameAndAddress, ip};

/// A valid record of a `.status` file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The bridge whose file contains it.
    pub bridge: Bridge,
    /// `ip-address`.
    pub address: Address,
    /// `mac-address`.
    pub mac: Option<Mac>,
    /// `hostname`; empty if there is none.
    pub hostname: String,
    /// `domain`; empty if there is none.
    pub domain: String,
    /// `expiry-time`, in seconds since the epoch; 0 means that it never ends.
    pub expiry: i64,
    /// `client-id`; empty if there is none.
    pub client: String,
}

/// A valid record of a `.macs` file: a domain's NICs on a bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    /// The bridge whose file contains it.
    pub bridge: Bridge,
    /// `domain`.
    pub name: String,
    /// `macs`.
    pub macs: Vec<Mac>,
}

/// The contents of the state files. Files come in the order in which the directory lists them, and records in the order
/// of each file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostState {
    /// Of all `.status` files.
    pub leases: Vec<Lease>,
    /// Of all `.macs` files.
    pub guests: Vec<Guest>,
}

/// A look-up in a state.
#[derive(Clone, Copy, Debug)]
pub struct Reference<'s> {
    /// The contents of the files.
    pub state: &'s HostState,
    /// The host's node name.
    pub node: &'s str,
    /// Seconds since the epoch.
    pub now: i64,
}

/// A lease that matches a name.
#[derive(Clone, Copy)]
struct Match<'s> {
    lease: &'s Lease,
    /// Whether its name matches in case too.
    exact: bool,
    /// Its position among those that end at the same time.
    place: (usize, usize),
}

fn same(a: &[u8], b: &[u8]) -> bool {
    a.eq_ignore_ascii_case(b)
}

fn without_dot(name: &[u8]) -> &[u8] {
    name.strip_suffix(b".").unwrap_or(name)
}

/// How a guest's name, in a network with this domain, matches the requested one.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Fit {
    exact: bool,
    /// The network's domain doesn't matter.
    whole: bool,
}

fn fit(wanted: &[u8], name: &str, domain: &str) -> Option<Fit> {
    let (name, plain) = (name.as_bytes(), without_dot(wanted));
    if name.is_empty() {
        return None;
    }
    if name == wanted || same(name, plain) {
        return Some(Fit { exact: name == wanted || name == plain, whole: true });
    }
    let rest = plain.get(name.len()..)?.strip_prefix(b".")?;
    let fits = same(&plain[..name.len()], name)
        && !rest.is_empty()
        && same(rest, without_dot(domain.as_bytes()));
    fits.then_some(Fit { exact: plain.starts_with(name), whole: false })
}

impl Lease {
    fn is_link_local(&self) -> bool {
        matches!(self.address, Address::V6([0xfe, 0x80..=0xbf, ..]))
    }
}

impl Guest {
    fn has(&self, lease: &Lease) -> bool {
        self.bridge == lease.bridge && lease.mac.is_some_and(|mac| self.macs.contains(&mac))
    }
}

impl HostState {
    /// Whether a running guest has the lease's NIC.
    #[must_use]
    pub fn is_attached(&self, lease: &Lease) -> bool {
        self.guests.iter().any(|guest| guest.has(lease))
    }

    /// The domains that have the lease's NIC.
    pub fn owners<'s>(&'s self, lease: &'s Lease) -> impl Iterator<Item = &'s Guest> {
        self.guests.iter().filter(|guest| guest.has(lease))
    }
}

impl<'s> Reference<'s> {
    /// The leases that haven't expired.
    pub fn live(&self) -> impl Iterator<Item = &'s Lease> + use<'s> {
        let now = self.now;
        self.state.leases.iter().filter(move |lease| lease.expiry == 0 || lease.expiry >= now)
    }

    /// Whether a name is the host's own node name.
    #[must_use]
    pub fn is_own(&self, name: &[u8]) -> bool {
        let (name, label) = (without_dot(name), self.node.split('.').next());
        same(name, self.node.as_bytes()) || label.is_some_and(|label| same(name, label.as_bytes()))
    }

    /// The result of looking up a name. `scopes`: whether link-local addresses can be returned.
    #[must_use]
    pub fn by_name(
        &self,
        kind: NameKind,
        wanted: &[u8],
        family: Option<Family>,
        scopes: bool,
    ) -> Answer {
        if self.refuses(kind, wanted) {
            return Answer::Unknown;
        }
        match self.answer(kind, wanted, family, scopes) {
            None => Answer::Unknown,
            Some(leases) if leases.is_empty() => Answer::NoData,
            Some(leases) => {
                let pairs = leases.into_iter().map(|lease| (lease.address, lease.bridge));
                Answer::Addresses(pairs.collect())
            }
        }
    }

    /// Whether no guest can have the name: it is invalid, reserved or the host's own.
    #[must_use]
    pub fn refuses(&self, kind: NameKind, wanted: &[u8]) -> bool {
        kind.wanted(wanted).is_none() || kind == NameKind::HostName && self.is_own(wanted)
    }

    /// The leases of a name that isn't [refused](Self::refuses), in both families and in the order of the files. `None`: no
    /// guest has the name.
    #[must_use]
    pub fn leases_of(&self, kind: NameKind, wanted: &[u8]) -> Option<Vec<&'s Lease>> {
        let matches = self.matches(kind, wanted)?;
        Some(matches.into_iter().map(|one| one.lease).collect())
    }

    fn matches(&self, kind: NameKind, wanted: &[u8]) -> Option<Vec<Match<'s>>> {
        let (is_known, matches) = match kind {
            NameKind::HostName => self.leases_of_host(wanted),
            NameKind::Domain => self.leases_of_domain(wanted),
        };
        (is_known || !matches.is_empty()).then_some(matches)
    }

    /// Those of the [leases of a name](Self::leases_of) that a look-up returns, in order and one for each address.
    #[must_use]
    pub fn answer(
        &self,
        kind: NameKind,
        wanted: &[u8],
        family: Option<Family>,
        scopes: bool,
    ) -> Option<Vec<&'s Lease>> {
        let mut matches = self.matches(kind, wanted)?;
        let has_other = matches.iter().any(|one| !one.lease.is_link_local());
        matches.retain(|one| family.is_none_or(|family| family == one.lease.address.family()));
        matches.retain(|one| !one.lease.is_link_local() || scopes && !has_other);
        matches.sort_by_key(|one| rank(one.lease, one.place));
        let mut leases: Vec<&Lease> = Vec::new();
        for Match { lease, .. } in matches {
            if leases.iter().all(|other| other.address != lease.address) {
                leases.push(lease);
            }
        }
        Some(leases)
    }

    /// Whether a guest has the name, and the leases that match.
    fn leases_of_host(&self, wanted: &[u8]) -> (bool, Vec<Match<'s>>) {
        let live = self.live().enumerate().filter_map(|(at, lease)| {
            let Fit { exact, .. } = fit(wanted, &lease.hostname, &lease.domain)?;
            Some(Match { lease, exact, place: (0, at) })
        });
        let mut matches: Vec<Match<'_>> = live.collect();
        let is_known = !matches.is_empty();
        if matches.iter().any(|one| self.state.is_attached(one.lease)) {
            matches.retain(|one| self.state.is_attached(one.lease));
        }
        (is_known, of_freshest_clients(&matches))
    }

    fn leases_of_domain(&self, wanted: &[u8]) -> (bool, Vec<Match<'s>>) {
        let guests = &self.state.guests;
        let fits =
            guests.iter().filter_map(|guest| fit(wanted, &guest.name, "")).collect::<Vec<_>>();
        let is_known = fits.iter().any(|fit| fit.whole);
        let only_exact = fits.iter().any(|fit| fit.whole && fit.exact);
        let live = self.live().enumerate().filter_map(|(at, lease)| {
            let owners = self.state.owners(lease);
            let fits = owners.filter_map(|guest| fit(wanted, &guest.name, &lease.domain));
            let exact = fits.map(|fit| fit.exact).max()?;
            // Files are read in the order in which the directory lists the MAC maps.
            let file = guests.iter().position(|guest| guest.bridge == lease.bridge)?;
            Some(Match { lease, exact, place: (file, at) })
        });
        let matches = live.filter(|one| one.exact || !only_exact).collect::<Vec<_>>();
        (is_known, of_freshest_clients(&matches))
    }

    /// The name of the guest that has `address`.
    #[must_use]
    pub fn by_address(&self, kind: NameKind, address: Address) -> Option<Vec<u8>> {
        let its = self.live().enumerate().filter(|(_, lease)| lease.address == address);
        let mut its: Vec<(usize, &Lease)> = its.collect();
        its.sort_by_key(|&(at, lease)| rank(lease, (0, at)));
        let mut its = its.into_iter().map(|(_, lease)| lease);
        match kind {
            NameKind::HostName => {
                let named: Vec<&Lease> = its.filter(|lease| self.is_given(lease)).collect();
                let attached = named.iter().find(|lease| self.state.is_attached(lease));
                Some(attached.or(named.first())?.hostname.as_bytes().to_vec())
            }
            NameKind::Domain => {
                let guest = its.find_map(|lease| self.state.owners(lease).next())?;
                // Some names are refused in look-ups by name.
                kind.wanted(guest.name.as_bytes()).map(|_| guest.name.as_bytes().to_vec())
            }
        }
    }

    fn is_given(&self, lease: &Lease) -> bool {
        let name = lease.hostname.as_bytes();
        is_host_name(name) && !self.is_own(name)
    }

    /// All pairs of a guest's own name and an address that a look-up of the name returns. Host names are in lower case,
    /// as either of two names that differ only in case is right.
    #[must_use]
    pub fn list(&self, kind: NameKind) -> BTreeSet<NameAndAddress> {
        let mut pairs = BTreeSet::new();
        for lease in self.live() {
            let mut names: Vec<&[u8]> = Vec::new();
            match kind {
                NameKind::HostName if self.is_given(lease) => names.push(lease.hostname.as_bytes()),
                NameKind::HostName => {}
                NameKind::Domain => {
                    names.extend(self.state.owners(lease).map(|guest| guest.name.as_bytes()));
                }
            }
            for name in names {
                let answer = self.by_name(kind, name, None, false);
                if answer.addresses().contains(&lease.address) {
                    pairs.insert((listed_name(kind, name), ip(lease.address)));
                }
            }
        }
        pairs
    }
}

/// A name in the form that [`Reference::list`] uses.
#[must_use]
pub fn listed_name(kind: NameKind, name: &[u8]) -> Vec<u8> {
    match kind {
        NameKind::HostName => name.to_ascii_lowercase(),
        NameKind::Domain => name.to_vec(),
    }
}

/// The order of answers: latest expiry time first, leases that never end last.
fn rank(lease: &Lease, place: (usize, usize)) -> impl Ord + use<> {
    (lease.expiry == 0, Reverse(lease.expiry), place)
}

/// Removes leases with another client id than the last record of the same NIC and family that has one.
fn of_freshest_clients<'s>(matches: &[Match<'s>]) -> Vec<Match<'s>> {
    let is_of_freshest = |one: &&Match<'_>| {
        let nic = |of: &Lease| (of.bridge, of.mac, of.address.family());
        let its = matches.iter().filter(|other| nic(other.lease) == nic(one.lease));
        let client = its.map(|one| &one.lease.client).rfind(|client| !client.is_empty());
        let is_unknown = one.lease.mac.is_none() || one.lease.client.is_empty();
        is_unknown || client == Some(&one.lease.client)
    };
    matches.iter().filter(is_of_freshest).copied().collect()
}
