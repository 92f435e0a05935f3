//! Selects the names in the snapshot that are published, and their addresses.
//!
//! Domain names are published, since the host's administrator chose them; host names, which guests choose, only if the
//! configuration says so. Aliases (`web.vm.internal`) are not, since the site's zone replaces ours. Addresses are published
//! if they belong to this host's guests and other machines can reach them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use guest_names::address::Address;
use guest_names::bridge::Bridge;
use guest_names::name::is_host_name;
use guest_names::snapshot::Standing;
use guest_names::snapshot::format::{Entry, flags, kind};
use guest_store::publish_status::LeftOut;
use guest_store::snapshot::info::{ConnectionInfo, NetworkInfo};

use ipnet::IpNet;

use crate::record::{DnsRecord, can_be_owned};
use crate::settings::Settings;
use crate::zone::{HeldNames, Wanted};

/// What is to be published.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selected {
    /// The records of each name.
    pub wanted: Wanted,
    /// The names of each address, the best one first.
    pub names: BTreeMap<IpAddr, Vec<String>>,
    /// What isn't published, and why.
    pub left_out: Vec<LeftOut>,
    /// When the next lease ends, in seconds since the epoch.
    pub until: Option<i64>,
}

/// Selects from the records of a snapshot: keys with their entries.
#[must_use]
pub fn select<'r>(
    records: impl Iterator<Item = (&'r [u8], Vec<Entry<'r>>)>,
    connections: &[ConnectionInfo],
    settings: &Settings,
    held: Option<&HeldNames>,
    now: i64,
) -> Selected {
    let mut selecting =
        Selecting { connections, settings, held, now, selected: Selected::default() };
    let mut host_names = Vec::new();
    for (key, entries) in records {
        match key.split_first() {
            Some((&kind::GUEST, name)) => selecting.domain(name, &entries),
            Some((&kind::HOST, name)) if settings.host_names => host_names.push((name, entries)),
            _ => {}
        }
    }
    // Domain names come before host names.
    for (name, entries) in host_names {
        selecting.name(name, entries.iter().filter(|entry| is_own(name, entry)));
    }
    selecting.selected
}

/// Whether the key is the entry's own name, and not an alias.
fn is_own(key: &[u8], entry: &Entry<'_>) -> bool {
    entry.name.strip_suffix(b".").unwrap_or(entry.name).eq_ignore_ascii_case(key)
}

struct Selecting<'s> {
    connections: &'s [ConnectionInfo],
    settings: &'s Settings,
    held: Option<&'s HeldNames>,
    now: i64,
    selected: Selected,
}

impl Selecting<'_> {
    /// The names of two domains may differ only in case, which DNS ignores. The one in lower case gets the name.
    fn domain(&mut self, key: &[u8], entries: &[Entry<'_>]) {
        let own = || entries.iter().filter(|entry| is_own(key, entry));
        let Some(name) = own().map(|entry| entry.name).max() else { return };
        self.name(key, own().filter(|entry| entry.name == name));
    }

    fn name<'e>(&mut self, key: &[u8], entries: impl Iterator<Item = &'e Entry<'e>>) {
        let entries: Vec<&Entry<'_>> = entries.filter(|entry| self.is_chosen(entry)).collect();
        if entries.is_empty() {
            return;
        }
        let text = String::from_utf8_lossy(key).into_owned();
        let name = format!("{text}.{}", self.settings.zone);
        // Labels with an underscore are for records such as ownership records.
        let good = is_host_name(key) && !text.split('.').any(|label| label.starts_with('_'));
        if !good || !can_be_owned(&name) || text.split('.').any(|label| label == "localhost") {
            self.leave_out(text, None, "its name is not a valid host name in DNS");
            return;
        }
        if self.selected.wanted.contains_key(&name) {
            return;
        }
        let mut records: BTreeSet<DnsRecord> = BTreeSet::new();
        for entry in entries {
            let Some(address) = entry.address.map(ip) else { continue };
            let record = DnsRecord::from(address);
            let published = match self.reach(entry, address) {
                Reach::Everybody => true,
                // It stays published until more is known.
                Reach::Unknown if self.is_held(&name, &record) => true,
                reach => {
                    if let Some(why) = reach.why() {
                        self.leave_out(text.clone(), Some(address), why);
                    }
                    false
                }
            };
            if !published {
                continue;
            }
            if entry.expiry != 0 && !entry.is(flags::CONFIRMED) {
                let until = self.selected.until.get_or_insert(entry.expiry);
                *until = entry.expiry.min(*until);
            }
            if records.insert(record) {
                self.selected.names.entry(address).or_default().push(name.clone());
            }
        }
        if !records.is_empty() {
            self.selected.wanted.insert(name, records);
        }
    }

    /// Whether the entry counts, and belongs to a connection whose guests are published.
    fn is_chosen(&self, entry: &Entry<'_>) -> bool {
        // When the state directory changes, the daemon writes a new snapshot. Until then, this one still counts.
        let standing = Standing { leases: true, reports: true };
        let connection = self.connections.get(usize::from(entry.connection));
        let is_chosen = connection.is_some_and(|connection| match &self.settings.connections {
            Some(names) => names.iter().any(|name| name.eq_ignore_ascii_case(&connection.name)),
            None => connection.here,
        });
        is_chosen && entry.counts(standing, self.now)
    }

    fn is_held(&self, name: &str, record: &DnsRecord) -> bool {
        self.held.and_then(|held| held.get(name)).is_some_and(|held| held.records.contains(record))
    }

    fn leave_out(&mut self, name: String, address: Option<IpAddr>, why: &str) {
        let left_out = LeftOut { name, address, why: why.into() };
        if self.selected.left_out.last() != Some(&left_out) {
            self.selected.left_out.push(left_out);
        }
    }

    /// Who can reach an address.
    fn reach(&self, entry: &Entry<'_>, address: IpAddr) -> Reach {
        if is_local(address) {
            return Reach::Neighbours;
        }
        let networks = self.connections.get(usize::from(entry.connection));
        let networks = networks.map_or(&[][..], |connection| &connection.network_details);
        let network = network_of(networks, entry.bridge, address);
        let bridge = String::from_utf8_lossy(entry.bridge.as_bytes());
        if let Some(chosen) = &self.settings.networks {
            let mut names =
                network.map(|network| network.name.as_str()).into_iter().chain([&*bridge]);
            let is_chosen =
                names.any(|name| !name.is_empty() && chosen.iter().any(|one| one == name));
            return if is_chosen { Reach::Everybody } else { Reach::NotChosen };
        }
        match network {
            Some(network) if network.routed => Reach::Everybody,
            Some(_) => Reach::Host,
            // libvirt only leases addresses in its own networks.
            None if entry.evidence.is_lease() => Reach::Unknown,
            None => Reach::Everybody,
        }
    }
}

/// Who can reach an address.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    Everybody,
    /// The guest itself, or machines on its link.
    Neighbours,
    /// Only the host: the network is isolated or behind NAT.
    Host,
    /// Nothing is known about its network.
    Unknown,
    /// The configuration excludes it.
    NotChosen,
}

impl Reach {
    fn why(self) -> Option<&'static str> {
        match self {
            Self::Host => Some(
                "only this host can reach its network (NAT or isolated); to publish it anyway, add the network to \
                 'networks'",
            ),
            Self::Unknown => Some("libvirt-nssd knows nothing about its network yet"),
            // Nobody expects these to be published.
            Self::Everybody | Self::Neighbours | Self::NotChosen => None,
        }
    }
}

/// The network with the bridge or, if there is none, with the address.
fn network_of(networks: &[NetworkInfo], bridge: Bridge, address: IpAddr) -> Option<&NetworkInfo> {
    let name = bridge.as_bytes();
    let on_bridge = networks.iter().find(|network| {
        !name.is_empty() && network.bridge.as_deref().is_some_and(|other| other.as_bytes() == name)
    });
    on_bridge.or_else(|| {
        networks.iter().find(|network| network.subnets.iter().any(|subnet| has(subnet, address)))
    })
}

fn has(subnet: &str, address: IpAddr) -> bool {
    subnet.parse::<IpNet>().is_ok_and(|subnet| subnet.contains(&address))
}

fn ip(address: Address) -> IpAddr {
    match address {
        Address::V4(octets) => octets.into(),
        Address::V6(octets) => octets.into(),
    }
}

/// Whether an address can only be used on its own link or host.
fn is_local(address: IpAddr) -> bool {
    let is_link_local = match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    is_link_local || address.is_loopback() || address.is_unspecified() || address.is_multicast()
}
