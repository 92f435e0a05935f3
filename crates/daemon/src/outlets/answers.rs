//! The answers that look-ups would give to each name, computed from the snapshot's entries with the look-up's own rules.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use guest_names::address::Address;
use guest_names::candidate::Candidate;
use guest_names::io::Exhausted;
use guest_names::lookup::{Found, Query};
use guest_names::name::{NameKind, is_host_name, is_node_name};
use guest_names::snapshot::Standing;
use guest_names::snapshot::format::{Entry, flags, kind};
use guest_store::lookup::look_up;

use super::zones::Zones;
use crate::names::{CompiledNames, Pulse};

/// All names that outlets may publish, and all addresses with such a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// Names in lower case, without a trailing dot: single labels, and names in a zone or a network's domain. Each has at least
    /// one address; addresses are in ascending order, and never link-local.
    pub names: BTreeMap<String, Vec<IpAddr>>,
    /// The name of each address: one of its names with more than one label.
    pub reverse: BTreeMap<IpAddr, String>,
    /// When the first of them expires, in seconds since the epoch.
    pub until: Option<i64>,
}

/// The names of an address: the first host name, and the first domain name.
#[derive(Default)]
struct Called {
    host: Option<String>,
    domain: Option<String>,
}

impl Answers {
    /// Collects what `names` answers at `now` (seconds since the epoch).
    ///
    /// If a host name with an address and a domain name are the same, the domain is left out, since `libvirt` comes before
    /// `libvirt_guest` on the hosts line. Names that no guest may choose, such as `wpad` and the host's own, are left out for
    /// domains, too, since the clients of a DNS server can't tell who chose a name.
    ///
    /// # Errors
    /// Out of memory.
    pub fn collect(
        names: &mut CompiledNames,
        zones: &Zones,
        now: i64,
        pulse: &mut Pulse<'_>,
    ) -> Result<Self, Exhausted> {
        let mut answers = Self::default();
        let mut called = BTreeMap::new();
        let node = names.node().to_vec();
        // No file is read: the entries tell whether each lease is attached.
        look_up(Path::new("/nonexistent"), None, now, None, |lookup| {
            names.each(&mut |key, entries| {
                pulse();
                let Some((&of, name)) = key.split_first() else { return Ok(()) };
                let kind = match of {
                    kind::HOST => NameKind::HostName,
                    kind::GUEST => NameKind::Domain,
                    kind::ADDRESS => {
                        answers.call(&mut called, name, entries, now);
                        return Ok(());
                    }
                    _ => return Ok(()),
                };
                let (Some(wanted), Some(text)) = (kind.wanted(name), usable(name, &node, zones))
                else {
                    return Ok(());
                };
                let query = Query { kind, wanted, family: None, scopes: false };
                let mut until = answers.until;
                let mut entries = entries.inspect(|entry| earlier(&mut until, entry, now));
                let found = lookup.by_entries(&query, &mut entries)?;
                answers.until = until;
                if let Found::Addresses(candidates) = found {
                    let mut addresses: Vec<IpAddr> =
                        candidates.iter().filter_map(published).collect();
                    addresses.sort_unstable();
                    if !addresses.is_empty() {
                        answers.names.insert(text.to_owned(), addresses);
                    }
                }
                Ok(())
            })
        })?;
        answers.reverse(called, &zones.zone);
        Ok(answers)
    }

    /// Collects the names of an address.
    fn call(
        &mut self,
        called: &mut BTreeMap<IpAddr, Called>,
        octets: &[u8],
        entries: &mut dyn Iterator<Item = Entry<'_>>,
        now: i64,
    ) {
        let Some(address) = address_of(octets) else { return };
        let called = called.entry(address).or_default();
        for entry in entries {
            earlier(&mut self.until, &entry, now);
            if !entry.counts(Standing::WHOLE, now) {
                continue;
            }
            let name = match entry.is(flags::DOMAIN) {
                true => &mut called.domain,
                false => &mut called.host,
            };
            if name.is_none() {
                let text = String::from_utf8_lossy(entry.name).to_ascii_lowercase();
                *name = Some(text.trim_end_matches('.').to_owned());
            }
        }
    }

    /// Chooses the name of each address: its host name or else its domain name, both in the zone, or else any other name that
    /// resolves to it.
    fn reverse(&mut self, called: BTreeMap<IpAddr, Called>, zone: &str) {
        for (name, addresses) in &self.names {
            if !name.contains('.') {
                continue;
            }
            for &address in addresses {
                let best = self.reverse.entry(address).or_insert_with(|| name.clone());
                let rank = |name: &str| (!in_domain(name, zone), name.len());
                if rank(name) < rank(best) {
                    best.clone_from(name);
                }
            }
        }
        for (address, Called { host, domain }) in called {
            let in_zone = [host, domain]
                .into_iter()
                .flatten()
                .map(|name| if in_domain(&name, zone) { name } else { format!("{name}.{zone}") });
            let leads_back = |name: &String| {
                self.names.get(name).is_some_and(|addresses| addresses.contains(&address))
            };
            if let Some(name) = { in_zone }.find(leads_back) {
                self.reverse.insert(address, name);
            }
        }
    }
}

/// The name, if outlets may publish it.
fn usable<'n>(name: &'n [u8], node: &[u8], zones: &Zones) -> Option<&'n str> {
    let text = std::str::from_utf8(name).ok().filter(|_| is_host_name(name))?;
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
