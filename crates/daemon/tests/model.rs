//! The rules of names against a model of them that is too simple to be wrong, in random worlds.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use daemon::config::{Connection, Naming};
use daemon::facts::Facts;
use daemon::host::Host;
use daemon::model::{
    Agent, ConnectionConfig, ConnectionId, Guest, Network, NetworkLease, Nic, ReportedAddress,
    ReportedBy, Update,
};
use daemon::names::{Input, compile};
use daemon::state::Files;
use fastrand::Rng;
use guest_names::address::{Address, Mac};
use guest_names::bridge::Bridge;
use guest_names::name::is_host_name;
use guest_names::snapshot::Standing;
use guest_names::snapshot::format::{Entry, flags};
use guest_store::contents::{Contents, Lease, TextSpan};
use ipnet::IpNet;

const NOW: i64 = 1_000;
const BRIDGES: [&str; 2] = ["virbr0", "virbr1"];
const HOSTS: [&str; 6] = ["web", "Web", "db", "inside", "localhost", "no host"];
const GUESTS: [&str; 4] = ["vm", "VM", "web", "my vm"];
const ADDRESSES: [&str; 10] = [
    "10.0.0.1",
    "10.0.0.2",
    "10.0.0.3",
    "10.0.0.4",
    "fd00::1",
    "fe80::1",
    "127.0.0.1",
    "169.254.0.1",
    "::ffff:10.0.0.1",
    "ff02::1",
];

/// All that the rules are applied to.
struct World {
    connections: Vec<Connection>,
    networks: Vec<Vec<Network>>,
    guests: Vec<Vec<Guest>>,
    files: Files,
}

fn random_address(random: &mut Rng) -> IpAddr {
    // Mostly good ones.
    let most = if random.u8(..4) == 0 { ADDRESSES.len() } else { 6 };
    ADDRESSES[random.usize(..most)].parse().unwrap()
}

fn random_mac(random: &mut Rng) -> Mac {
    Mac([2, 0, 0, 0, 0, random.u8(..6)])
}

fn maybe<T>(random: &mut Rng, value: T) -> Option<T> {
    random.bool().then_some(value)
}

fn random_expiry(random: &mut Rng) -> i64 {
    *random.choice(&[NOW - 1, NOW, NOW + 50, NOW + 100, NOW + 100]).unwrap()
}

/// One that has the gateway 10.0.0.4, one of two addresses, one of IPv6.
fn random_subnets(random: &mut Rng) -> Vec<IpNet> {
    let subnets = ["10.0.0.4/29", "10.0.0.2/31", "fd00::9/64"];
    let count = *random.choice(&[0, 0, 1, 2]).unwrap();
    let chosen = (0..count).map(|_| random.choice(&subnets).unwrap().parse().unwrap());
    chosen.collect()
}

fn random_nic(random: &mut Rng, networks: &[Network]) -> Nic {
    let network = random.choice(networks).filter(|_| networks.len() > 1);
    let network = network.map(|network| (network.name.clone(), network.bridge.clone()));
    let (network, bridge) = match network {
        Some((name, bridge)) => (Some(name), bridge),
        None => {
            let bridge = random.choice(&BRIDGES).unwrap().to_string();
            (maybe(random, "unknown".into()), maybe(random, bridge))
        }
    };
    let addresses = (0..random.usize(..4)).map(|_| ReportedAddress {
        address: random_address(random),
        source: *random
            .choice(&[
                ReportedBy::Lease,
                ReportedBy::Agent,
                ReportedBy::Agent,
                ReportedBy::Neighbour,
            ])
            .unwrap(),
        expiry: if random.bool() { 0 } else { random_expiry(random) },
    });
    let addresses = addresses.collect();
    Nic { mac: random_mac(random), network, bridge, addresses }
}

fn random_world(random: &mut Rng) -> World {
    let count = random.usize(..4);
    // One at most leads to this host.
    let here = random.usize(..count + 2);
    let connections: Vec<Connection> = (0..count)
        .map(|at| Connection {
            config: ConnectionConfig {
                id: ConnectionId(at as u16),
                name: format!("c{at}"),
                uri: "x:///".into(),
                agent: true,
                host_keys: true,
                arp: true,
                leases: true,
                refresh: Duration::from_secs(1),
                agent_timeout: Duration::from_secs(1),
                keep_alive: true,
            },
            here: at == here,
            is_named: true,
            nat: random.u8(..3) == 0,
            subnets: Vec::new(),
            neighbours: false,
        })
        .collect();
    let networks: Vec<Vec<Network>> = (0..count)
        .map(|_| {
            (0..random.usize(..3))
                .map(|at| Network {
                    name: format!("n{at}"),
                    bridge: Some(BRIDGES[at].into()),
                    domain: maybe(random, format!("d{at}.example")),
                    routed: random.bool(),
                    domain_is_local: false,
                    subnets: random_subnets(random),
                    leases: (0..random.usize(..3))
                        .map(|_| NetworkLease {
                            mac: Some(random_mac(random)),
                            address: random_address(random),
                            host_name: Some((*random.choice(&HOSTS).unwrap()).into()),
                            expiry: random_expiry(random),
                        })
                        .collect(),
                })
                .collect()
        })
        .collect();
    let guests = networks
        .iter()
        .map(|networks| {
            (0..random.u8(..4))
                .map(|number| {
                    let answered = random.bool();
                    let mut nics: Vec<Nic> =
                        (0..random.usize(..3)).map(|_| random_nic(random, networks)).collect();
                    if !answered {
                        for nic in &mut nics {
                            nic.addresses.retain(|told| told.source != ReportedBy::Agent);
                        }
                    }
                    let host_name = random.choice(&HOSTS).filter(|_| answered);
                    Guest {
                        uuid: [number; 16],
                        name: (*random.choice(&GUESTS).unwrap()).into(),
                        title: None,
                        host_name: host_name.map(|&name| name.into()),
                        agent: if answered { Agent::Answered } else { Agent::Silent },
                        host_keys: None,
                        nics,
                    }
                })
                .collect()
        })
        .collect();
    World {
        connections,
        networks,
        guests,
        files: Files { contents: random_files(random), first_seen: Vec::new() },
    }
}

fn random_files(random: &mut Rng) -> Contents {
    let mut files = Contents::default();
    for bridge in BRIDGES {
        let bridge = files.add_bridge(Bridge::new(bridge.as_bytes()).unwrap()).unwrap();
        for _ in 0..random.usize(..5) {
            let domain = files.add_text(b"");
            let host_name = files.add_text(random.choice(&HOSTS).unwrap().as_bytes());
            files.leases.push(Lease {
                bridge,
                address: Address::parse(ADDRESSES[random.usize(..5)].as_bytes()).unwrap(),
                mac: Some(random_mac(random)),
                expiry: random_expiry(random),
                host_name,
                domain,
                start: 0,
                client_id: TextSpan::default(),
                client: 0,
            });
        }
        for _ in 0..random.usize(..3) {
            let name = *random.choice(&GUESTS).unwrap();
            let macs: Vec<Mac> = (0..random.u32(..3)).map(|_| random_mac(random)).collect();
            files.add_domain(bridge, name.as_bytes(), &macs);
        }
    }
    files
}

fn lower(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// The model. Everything is looked for from one end to the other.
impl World {
    fn here(&self) -> Option<usize> {
        self.connections.iter().position(|connection| connection.here)
    }

    fn text(&self, text: TextSpan) -> String {
        String::from_utf8(self.files.contents.text(text).to_vec()).unwrap()
    }

    fn bridge(&self, lease: &Lease) -> String {
        String::from_utf8(self.files.contents.bridge(lease.bridge).as_bytes().to_vec()).unwrap()
    }

    fn leases(&self) -> impl Iterator<Item = &Lease> {
        self.files.contents.leases.iter().filter(|lease| lease.expiry >= NOW)
    }

    /// Names of the domains that have the lease's NIC.
    fn domains(&self, lease: &Lease) -> Vec<String> {
        let on = self.files.contents.domains.iter().filter(|domain| domain.bridge == lease.bridge);
        on.filter(|domain| {
            self.files.contents.macs_of(domain).iter().any(|&mac| Some(mac) == lease.mac)
        })
        .map(|domain| self.text(domain.name))
        .collect()
    }

    fn has_nic(&self, guest: &Guest, lease: &Lease) -> bool {
        let bridge = self.bridge(lease);
        guest
            .nics
            .iter()
            .any(|nic| Some(nic.mac) == lease.mac && nic.bridge.as_ref() == Some(&bridge))
    }

    fn guests_here(&self) -> impl Iterator<Item = &Guest> {
        self.here().into_iter().flat_map(|here| &self.guests[here])
    }

    fn denied(&self, lease: &Lease) -> bool {
        let mut owners = self.guests_here().filter(|guest| self.has_nic(guest, lease));
        owners.any(|guest| guest.agent == Agent::Answered && !agent_names(guest, lease.address))
    }

    /// Whether the lease's NIC is the guest's.
    fn has_lease(&self, connection: usize, guest: &Guest, lease: &Lease) -> bool {
        let on = |nic: &Nic| nic.bridge.is_none() || nic.bridge == Some(self.bridge(lease));
        let nics = guest.nics.iter().any(|nic| Some(nic.mac) == lease.mac && on(nic));
        self.connections[connection].here && (nics || self.domains(lease).contains(&guest.name))
    }

    fn is_leased_to_others(&self, connection: usize, guest: &Guest, address: Address) -> bool {
        let in_files = self
            .leases()
            .any(|lease| lease.address == address && !self.has_lease(connection, guest, lease));
        let reported = (0..self.connections.len()).any(|other| {
            let networks = self.networks[other].iter();
            let networks = networks.filter(|network| self.is_reachable(other, Some(network)));
            let mut leases = networks.flat_map(|network| &network.leases);
            leases.any(|lease| {
                let own = guest.nics.iter().any(|nic| Some(nic.mac) == lease.mac);
                let own = own && other == connection;
                lease.expiry >= NOW && to_address(lease.address) == address && !own
            })
        });
        in_files || reported
    }

    fn network(&self, connection: usize, nic: &Nic) -> Option<&Network> {
        let networks = &self.networks[connection];
        match &nic.network {
            Some(name) => networks.iter().find(|network| network.name == *name),
            None if self.connections[connection].here && nic.bridge.is_some() => {
                networks.iter().find(|network| network.bridge == nic.bridge)
            }
            None => None,
        }
    }

    fn is_reachable(&self, connection: usize, network: Option<&Network>) -> bool {
        let Connection { here, nat, .. } = self.connections[connection];
        here || nat || network.is_some_and(|network| network.routed)
    }

    /// The NICs whose addresses mean something here.
    fn nics<'w>(&'w self, connection: usize, guest: &'w Guest) -> impl Iterator<Item = &'w Nic> {
        guest.nics.iter().filter(move |nic| {
            let network = self.network(connection, nic);
            nic.network.is_none() || self.is_reachable(connection, network)
        })
    }

    fn can_have(&self, connection: usize, nic: &Nic, address: IpAddr) -> bool {
        let gateways = self.networks[connection].iter().flat_map(|network| &network.subnets);
        let subnets = self.network(connection, nic).map_or(&[][..], |network| &network.subnets);
        let inside = if to_address(address).is_link_local_v6() {
            let here = self.connections[connection].here && nic.bridge.is_some();
            here && (subnets.is_empty() || subnets.iter().any(|subnet| subnet.addr().is_ipv6()))
        } else {
            subnets.is_empty() || subnets.iter().any(|subnet| subnet.contains(&address))
        };
        let mut gateways = gateways.map(IpNet::addr);
        is_good(to_address(address)) && inside && !gateways.any(|gateway| gateway == address)
    }

    /// Whether the agent of another guest reports the address.
    fn is_reported_by_others(&self, guest: &Guest, nic: &Nic, address: IpAddr) -> bool {
        (0..self.connections.len()).any(|connection| {
            let others = self.guests[connection].iter().filter(|other| other.uuid != guest.uuid);
            let mut nics = others.flat_map(|other| self.nics(connection, other));
            nics.any(|other| {
                let link_local = to_address(address).is_link_local_v6();
                let agents = |told: &ReportedAddress| {
                    told.source == ReportedBy::Agent && told.address == address
                };
                other.addresses.iter().any(agents)
                    && self.can_have(connection, other, address)
                    && (!link_local || other.bridge == nic.bridge)
            })
        })
    }

    /// What a guest is believed to have.
    fn believed(&self, connection: usize, guest: &Guest) -> Vec<Believed> {
        let here = self.connections[connection].here;
        let mut believed: Vec<Believed> = Vec::new();
        let lost =
            |address: Address| guest.agent == Agent::Answered && !agent_names(guest, address);
        for nic in self.nics(connection, guest) {
            for lease in self.leases().filter(|_| here) {
                let own =
                    Some(nic.mac) == lease.mac && nic.bridge.as_ref() == Some(&self.bridge(lease));
                if own && !self.denied(lease) {
                    let name = Some(lower(&self.text(lease.host_name)));
                    believed.push(Believed::leased(lease.address, nic.mac, name, true));
                }
            }
            let mut reported: Vec<(Address, i64, Option<String>)> = Vec::new();
            for network in &self.networks[connection] {
                if nic.network.as_ref().is_some_and(|name| *name != network.name) {
                    continue;
                }
                let its = network.leases.iter().filter(|lease| lease.mac == Some(nic.mac));
                reported.extend(its.map(|lease| {
                    let name = lease.host_name.as_deref().map(lower);
                    (to_address(lease.address), lease.expiry, name)
                }));
            }
            let told = nic.addresses.iter().filter(|told| told.source == ReportedBy::Lease);
            reported.extend(told.map(|told| (to_address(told.address), told.expiry, None)));
            for (address, expiry, name) in reported {
                // The files' come first.
                let known = |one: &Believed| one.address == address && one.mac == Some(nic.mac);
                if believed.iter().any(known) {
                    continue;
                }
                let current = expiry == 0 || expiry >= NOW;
                let in_files = self.leases().any(|lease| lease.address == address);
                let good = is_good(address) && !address.is_link_local_v6() && current;
                if good && !lost(address) && (here || !in_files) {
                    believed.push(Believed::leased(address, nic.mac, name, false));
                }
            }
        }
        let leased = believed.clone();
        for nic in self.nics(connection, guest) {
            for told in nic.addresses.iter().filter(|told| told.source != ReportedBy::Lease) {
                let address = to_address(told.address);
                if told.source == ReportedBy::Neighbour && lost(address) {
                    continue;
                }
                let same = |one: &&mut Believed| one.address == address && one.leased;
                believed.iter_mut().filter(same).for_each(|one| one.confirmed = true);
                let length = |address: Address| address.octets().len();
                let same_kind = |one: &Believed| {
                    one.mac == Some(nic.mac) && length(one.address) == length(address)
                };
                let is_neighbour = told.source == ReportedBy::Neighbour;
                if is_neighbour && !here && leased.iter().any(same_kind) {
                    continue;
                }
                if !leased.iter().any(|one| one.address == address)
                    && self.can_have(connection, nic, told.address)
                    && !self.is_reported_by_others(guest, nic, told.address)
                    && !self.is_leased_to_others(connection, guest, address)
                {
                    believed.push(Believed::claimed(address));
                }
            }
        }
        if believed.iter().any(|one| !one.address.is_link_local_v6()) {
            believed.retain(|one| !one.address.is_link_local_v6());
        }
        believed
    }

    /// API leases of NICs that no guest has.
    fn of_nobody(&self, connection: usize) -> Vec<(String, Address)> {
        let mut found = Vec::new();
        for network in &self.networks[connection] {
            for lease in network.leases.iter().filter(|lease| lease.expiry >= NOW) {
                let mut nics = self.guests[connection].iter().flat_map(|guest| &guest.nics);
                let has_guest = nics.any(|nic| {
                    Some(nic.mac) == lease.mac
                        && nic.network.as_ref().is_none_or(|name| *name == network.name)
                });
                let name = lease.host_name.clone().unwrap();
                let address = to_address(lease.address);
                let here = self.connections[connection].here;
                let good = is_host_name(name.as_bytes())
                    && is_good(address)
                    && !address.is_link_local_v6()
                    && (here || !self.leases().any(|lease| lease.address == address))
                    && self.is_reachable(connection, Some(network));
                if good && !has_guest {
                    found.push((lower(&name), address));
                }
            }
        }
        found
    }

    /// The addresses of each name by rank: 0 is the files without a connection to this host.
    fn by_rank(&self, kind: char) -> BTreeMap<String, BTreeMap<usize, Ranked>> {
        let mut all: BTreeMap<String, BTreeMap<usize, Ranked>> = BTreeMap::new();
        let mut ranked = |name: String, rank: usize, runs: bool, add: &dyn Fn(&mut Ranked)| {
            let ranked = all.entry(name).or_default().entry(rank).or_default();
            ranked.runs |= runs;
            add(ranked);
        };
        let home = self.here().map_or(0, |here| here + 1);
        if kind == 'g' {
            for domain in &self.files.contents.domains {
                ranked(lower(&self.text(domain.name)), home, true, &|_| ());
            }
        }
        for lease in self.leases().filter(|lease| !self.denied(lease)) {
            let host = self.text(lease.host_name);
            let names = if kind == 'g' { self.domains(lease) } else { vec![host] };
            for name in names.iter().filter(|name| kind == 'g' || is_host_name(name.as_bytes())) {
                let runs = !self.domains(lease).is_empty();
                ranked(lower(name), home, runs, &|ranked| ranked.lease(lease.address, runs));
            }
        }
        for connection in 0..self.connections.len() {
            let rank = connection + 1;
            for guest in &self.guests[connection] {
                let believed = self.believed(connection, guest);
                if kind == 'g' {
                    ranked(lower(&guest.name), rank, true, &|ranked| {
                        believed.iter().for_each(|one| ranked.add(one.address));
                    });
                    continue;
                }
                let own = guest.host_name.as_deref().map(lower);
                let own = own.filter(|name| is_host_name(name.as_bytes()));
                for one in &believed {
                    let name = one.name.clone().filter(|name| is_host_name(name.as_bytes()));
                    if let Some(name) = name.filter(|_| !one.of_files) {
                        ranked(name, rank, true, &|ranked| ranked.lease(one.address, true));
                    }
                    let Some(own) = &own else { continue };
                    let same = one.name.as_ref() == Some(own);
                    if !one.leased {
                        ranked(own.clone(), rank, true, &|ranked| ranked.add(one.address));
                    } else if !same {
                        ranked(own.clone(), rank, true, &|ranked| ranked.borrow(one.address));
                    } else if one.confirmed {
                        ranked(own.clone(), rank, true, &|ranked| ranked.lease(one.address, true));
                    }
                }
            }
            if kind == 'h' {
                for (name, address) in self.of_nobody(connection) {
                    ranked(name, rank, false, &|ranked| ranked.lease(address, false));
                }
            }
        }
        all
    }

    fn compiled(&self) -> BTreeMap<Vec<u8>, Vec<Owned>> {
        let mut facts = Facts::new(&self.connections, Facts::default(), 0, 0);
        for (at, (networks, guests)) in self.networks.iter().zip(&self.guests).enumerate() {
            let id = ConnectionId(at as u16);
            facts.apply(Update::Networks(id, networks.clone()), 5_000, 0);
            facts.apply(Update::Guests(id, guests.clone()), 5_000, 0);
        }
        compiled(&self.files, &facts)
    }
}

/// An address that a guest is believed to have.
#[derive(Clone, Debug)]
struct Believed {
    address: Address,
    /// The NIC of a lease.
    mac: Option<Mac>,
    leased: bool,
    /// In a state file.
    of_files: bool,
    /// The lease's host name, in lower case.
    name: Option<String>,
    /// The agent or the ARP table has the leased address too.
    confirmed: bool,
}

impl Believed {
    fn leased(address: Address, mac: Mac, name: Option<String>, of_files: bool) -> Self {
        Self { address, mac: Some(mac), leased: true, of_files, name, confirmed: false }
    }

    fn claimed(address: Address) -> Self {
        Self { address, mac: None, leased: false, of_files: false, name: None, confirmed: false }
    }
}

/// What one connection has under a name.
#[derive(Debug, Default)]
struct Ranked {
    addresses: BTreeSet<String>,
    /// Leased ones that have another name.
    borrowed: BTreeSet<String>,
    /// A lease of a running guest has the name.
    leased: bool,
    /// A guest of it runs.
    runs: bool,
}

impl Ranked {
    fn add(&mut self, address: Address) {
        self.addresses.insert(text(address));
    }

    fn lease(&mut self, address: Address, runs: bool) {
        self.add(address);
        self.leased |= runs;
    }

    fn borrow(&mut self, address: Address) {
        self.borrowed.insert(text(address));
    }

    fn all(&self) -> BTreeSet<String> {
        let borrowed = self.borrowed.iter().filter(|_| !self.leased);
        self.addresses.iter().chain(borrowed).cloned().collect()
    }
}

fn compiled(files: &Files, facts: &Facts) -> BTreeMap<Vec<u8>, Vec<Owned>> {
    let mut keys = BTreeMap::new();
    let (host, naming) = (&Host::default(), &Naming::default());
    let mut names = compile(Input { now: NOW, node: b"", files, facts, host, naming }, &mut || ());
    names
        .each(&mut |key, entries| -> Result<(), ()> {
            let entries = entries.map(|entry| Owned {
                name: entry.name.to_vec(),
                entry: Entry { name: b"", ..entry },
            });
            assert!(keys.insert(key.to_vec(), entries.collect()).is_none());
            Ok(())
        })
        .unwrap();
    keys
}

/// An entry that keeps its name.
#[derive(Debug, PartialEq)]
struct Owned {
    entry: Entry<'static>,
    name: Vec<u8>,
}

fn agent_names(guest: &Guest, address: Address) -> bool {
    guest
        .nics
        .iter()
        .flat_map(|nic| &nic.addresses)
        .any(|told| told.source == ReportedBy::Agent && to_address(told.address) == address)
}

fn to_address(address: IpAddr) -> Address {
    match address {
        IpAddr::V4(v4) => Address::V4(v4.octets()),
        IpAddr::V6(v6) => Address::V6(v6.octets()),
    }
}

fn is_good(address: Address) -> bool {
    let text = text(address);
    !["127.0.0.1", "169.254.0.1", "::ffff:10.0.0.1", "ff02::1"].contains(&text.as_str())
}

fn text(address: Address) -> String {
    match address {
        Address::V4(octets) => std::net::Ipv4Addr::from(octets).to_string(),
        Address::V6(octets) => std::net::Ipv6Addr::from(octets).to_string(),
    }
}

const ALIVE: Standing = Standing { leases: true, told: true };
const DEAD: Standing = Standing { leases: true, told: false };

/// The addresses under a key that count; `None`: nothing does.
fn counting(entries: Option<&Vec<Owned>>, standing: Standing) -> Option<BTreeSet<String>> {
    let entries = entries?.iter().filter(|owned| owned.entry.counts(standing, NOW));
    let entries: Vec<_> = entries.collect();
    let addresses = entries.iter().filter_map(|owned| owned.entry.address).map(text).collect();
    (!entries.is_empty()).then_some(addresses)
}

#[test]
fn names_as_the_model_has_them() {
    let mut random = Rng::with_seed(77);
    let (mut known, mut addressed, mut lost) = (0, 0, 0);
    for round in 0..6_000 {
        let world = random_world(&mut random);
        let compiled = world.compiled();
        for (kind, names) in [('h', &HOSTS[..]), ('g', &GUESTS[..])] {
            let model = world.by_rank(kind);
            let mut names: Vec<String> = names.iter().map(|name| lower(name)).collect();
            names.dedup();
            for name in names {
                let ranks = model.get(&name);
                // A name is that of the first connection on which a guest of it runs.
                let running = |ranks: &'_ BTreeMap<usize, Ranked>| {
                    let first = ranks.iter().find(|(_, ranked)| ranked.runs);
                    first.or_else(|| ranks.iter().next()).map(|(_, one)| one.all())
                };
                let expected = ranks.and_then(running);
                let expected = expected.as_ref();
                let key = format!("{kind}{name}").into_bytes();
                let found = counting(compiled.get(&key), ALIVE);
                let context = || {
                    format!(
                        "round {round}, {kind} {name}\nfound: {:#?}\n{:#?}\n{:#?}\nnetworks {:#?}",
                        compiled.get(&key),
                        world.connections,
                        world.guests,
                        world.networks
                    )
                };
                assert_eq!(found.as_ref(), expected, "{}", context());
                known += u32::from(expected.is_some());
                addressed += u32::from(expected.is_some_and(|addresses| !addresses.is_empty()));
                lost += u32::from(ranks.is_some_and(|ranks| ranks.len() > 1));
            }
        }
    }
    assert!(known > 5_000 && addressed > 5_000 && lost > 500, "{known} {addressed} {lost}");
}

/// Whatever libvirt told: without the daemon there is what the files say, no more and no less.
#[test]
fn without_the_daemon_the_leases_are_all_there() {
    let mut random = Rng::with_seed(78);
    let mut leases = 0;
    for round in 0..6_000 {
        let world = random_world(&mut random);
        let (with, alone) = (world.compiled(), compiled(&world.files, &Facts::default()));
        let keys: BTreeSet<_> = with.keys().chain(alone.keys()).collect();
        for key in keys {
            let left = |keys: &BTreeMap<Vec<u8>, Vec<Owned>>| {
                let entries = keys.get(key).into_iter().flatten();
                let left: BTreeSet<String> = entries
                    .filter(|owned| owned.entry.counts(DEAD, NOW))
                    .map(|Owned { entry, name }| {
                        let Entry { address, mac, bridge, expiry, .. } = entry;
                        let domain = entry.is(flags::DOMAIN);
                        format!("{address:?} {mac:?} {bridge:?} {expiry} {domain} {name:?}")
                    })
                    .collect();
                left
            };
            assert_eq!(
                left(&with),
                left(&alone),
                "round {round}, {:?}",
                String::from_utf8_lossy(key)
            );
            leases += left(&alone).len();
        }
    }
    assert!(leases > 10_000, "{leases}");
}

/// Each guest has its name with its connection's behind it, whoever has the name alone.
#[test]
fn by_connection_each_guest_has_its_name() {
    let mut random = Rng::with_seed(79);
    let mut found = 0;
    for round in 0..6_000 {
        let world = random_world(&mut random);
        let compiled = world.compiled();
        for (connection, guests) in world.guests.iter().enumerate() {
            for guest in guests {
                let believed = world.believed(connection, guest);
                let addresses: BTreeSet<_> = believed.iter().map(|one| text(one.address)).collect();
                for suffix in ["", ".vm.internal"] {
                    let key = format!("g{}.c{connection}{suffix}", lower(&guest.name)).into_bytes();
                    let entries = counting(compiled.get(&key), ALIVE).unwrap_or_default();
                    let all = entries.is_superset(&addresses);
                    assert!(all, "round {round}: {guest:#?} {entries:?} {addresses:?}");
                }
                found += addresses.len();
            }
        }
    }
    assert!(found > 2_000, "{found}");
}
