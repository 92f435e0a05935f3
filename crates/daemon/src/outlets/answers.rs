//! The answers that look-ups would give to each name, computed from the snapshot's entries with the look-up's own rules.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;

use guest_names::address::Address;
use guest_names::candidate::Candidate;
use guest_names::io::Exhausted;
use guest_names::lookup::{Found, Query};
use guest_names::name::{NameKind, Wanted, is_host_name, is_node_name};
use guest_names::snapshot::Standing;
use guest_names::snapshot::format::{Entry, flags, kind};
use guest_store::lookup::look_up;

use super::zones::Zones;
use crate::names::{CompiledNames, Pulse};

/// All names that outlets may publish, and all addresses with such a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers<'n> {
    /// Each name with each of its addresses, in ascending order. Names are in lower case, without a trailing dot: single labels,
    /// and names in a zone or a network's domain. Addresses are never link-local.
    pub names: Vec<(&'n str, IpAddr)>,
    /// The same by address, in ascending order.
    pub addresses: Vec<NamesOf<'n>>,
    /// When the first of them expires, in seconds since the epoch.
    pub until: Option<i64>,
}

/// The names of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamesOf<'n> {
    /// The address.
    pub address: IpAddr,
    /// All of them, in ascending order.
    pub names: Vec<&'n str>,
    /// The one for reverse look-ups, which has more than one label; `None` if all are single labels.
    pub reverse: Option<&'n str>,
}

/// What the guests with an address are called: the first host name, and the first domain name.
#[derive(Default)]
struct Called<'n> {
    host: Option<&'n [u8]>,
    domain: Option<&'n [u8]>,
}

impl<'n> Answers<'n> {
    /// Collects what `names` answers at `now` (seconds since the epoch).
    ///
    /// If a host name with an address and a domain name are the same, the domain is left out, since `libvirt` comes before
    /// `libvirt_guest` on the hosts line. Names that no guest may choose, such as `wpad` and the host's own, are left out for
    /// domains, too, since the clients of a DNS server can't tell who chose a name.
    ///
    /// # Errors
    /// Out of memory.
    pub fn collect(
        names: &'n CompiledNames,
        zones: &Zones,
        now: i64,
        pulse: &mut Pulse<'_>,
    ) -> Result<Self, Exhausted> {
        let mut answers = Self::default();
        let (mut hosts, mut called) = (Vec::new(), HashMap::new());
        // No file is read: the entries tell whether each lease is attached.
        look_up(Path::new("/nonexistent"), None, now, None, |lookup| {
            names.each(&mut |key, entries| {
                pulse();
                let Some((&of, name)) = key.split_first() else { return Ok(()) };
                let (kind, pairs) = match of {
                    kind::HOST => (NameKind::HostName, &mut hosts),
                    kind::GUEST => (NameKind::Domain, &mut answers.names),
                    kind::ADDRESS => {
                        let names = called_by(entries, now, &mut answers.until);
                        called.extend(address_of(name).map(|address| (address, names)));
                        return Ok(());
                    }
                    _ => return Ok(()),
                };
                let (Some(wanted), Some(text)) =
                    (Wanted::domain(name), usable(kind, name, names.node(), zones))
                else {
                    return Ok(());
                };
                let query = Query { kind, wanted, family: None, scopes: false };
                let mut entries = entries.inspect(|entry| earlier(&mut answers.until, entry, now));
                if let Found::Addresses(candidates) = lookup.by_entries(&query, &mut entries)? {
                    let from = pairs.len();
                    pairs.extend(candidates.iter().filter_map(published).map(|one| (text, one)));
                    pairs[from..].sort_unstable();
                }
                Ok(())
            })
        })?;
        let mut rest = hosts.iter().peekable();
        answers.names.retain(|&(name, _)| {
            while rest.next_if(|&&(host, _)| host < name).is_some() {}
            rest.peek().is_none_or(|&&(host, _)| host != name)
        });
        answers.names.append(&mut hosts);
        // Stable, as that is fast for two sorted parts.
        answers.names.sort();
        let mut addresses: HashMap<IpAddr, Vec<&str>> = HashMap::new();
        for &(name, address) in &answers.names {
            addresses.entry(address).or_default().push(name);
        }
        let named = addresses.into_iter().map(|(address, names)| {
            let reverse = reverse(&names, called.get(&address), &zones.zone);
            NamesOf { address, names, reverse }
        });
        answers.addresses = named.collect();
        answers.addresses.sort_unstable_by_key(|named| named.address);
        Ok(answers)
    }
}

/// Chooses the name of an address: its host name or else its domain name, both in the zone, or else any other name that
/// resolves to it.
fn reverse<'n>(names: &[&'n str], called: Option<&Called<'_>>, zone: &str) -> Option<&'n str> {
    let called = called.map(|called| [called.host, called.domain]);
    let mut zoned = called.into_iter().flatten().flatten().map(|name| in_zone(name, zone));
    let any = names.iter().filter(|name| name.contains('.'));
    let name = zoned
        .find_map(|zoned| names.iter().find(|&&name| name == zoned))
        .or_else(|| any.min_by_key(|name| (!in_domain(name, zone), name.len())));
    name.copied()
}

/// What the guests are called that an address has these entries for.
fn called_by<'n>(
    entries: &mut dyn Iterator<Item = Entry<'n>>,
    now: i64,
    until: &mut Option<i64>,
) -> Called<'n> {
    let mut called = Called::default();
    for entry in entries {
        earlier(until, &entry, now);
        if entry.counts(Standing::WHOLE, now) {
            let name = match entry.is(flags::DOMAIN) {
                true => &mut called.domain,
                false => &mut called.host,
            };
            name.get_or_insert(entry.name);
        }
    }
    called
}

/// A guest's name in lower case, in the zone.
fn in_zone(name: &[u8], zone: &str) -> String {
    let mut text = String::from_utf8_lossy(name).to_ascii_lowercase();
    text.truncate(text.trim_end_matches('.').len());
    if !in_domain(&text, zone) {
        text.push('.');
        text.push_str(zone);
    }
    text
}

/// The name, if outlets may publish it.
fn usable<'n>(kind: NameKind, name: &'n [u8], node: &[u8], zones: &Zones) -> Option<&'n str> {
    // The host names among the keys are valid.
    let is_valid = kind == NameKind::HostName || is_host_name(name);
    let text = std::str::from_utf8(name).ok().filter(|_| is_valid)?;
    let is_usable = !is_node_name(name, node) && (!text.contains('.') || zones.have(text));
    is_usable.then_some(text)
}

fn published(candidate: &Candidate) -> Option<IpAddr> {
    let address = candidate.address.filter(|address| !address.is_link_local_v6())?;
    Some(match address {
        Address::V4(octets) => octets.into(),
        Address::V6(octets) => octets.into(),
    })
}

fn address_of(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).ok().map(IpAddr::from);
    v4.or_else(|| <[u8; 16]>::try_from(octets).ok().map(IpAddr::from))
}

/// Whether a name is `domain`, or below it. Both must be in lower case.
pub(super) fn in_domain(name: &str, domain: &str) -> bool {
    let head = name.strip_suffix(domain);
    !domain.is_empty() && head.is_some_and(|head| head.is_empty() || head.ends_with('.'))
}

/// Lowers `until` to the end of the entry's lease, if it is a lease that ends and hasn't ended yet.
fn earlier(until: &mut Option<i64>, entry: &Entry<'_>, now: i64) {
    let is_lease = entry.evidence.is_lease();
    if is_lease && entry.expiry != 0 && entry.expiry >= now {
        *until = Some(until.map_or(entry.expiry, |until| until.min(entry.expiry)));
    }
}
