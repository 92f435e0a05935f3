//! The rules of names against a model of them that is too simple to be wrong, in random worlds.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use daemon::config::Connection;
use daemon::facts::Facts;
use daemon::model::{
    Agent, ConnectionConfig, ConnectionId, Guest, Network, NetworkLease, Nic, Source, Told, Update,
};
use daemon::names::{Input, compile};
use daemon::state::Files;
use daemon::state::files::{Domain, KNOWN_BEFORE, Lease};
use fastrand::Rng;
use guest_names::address::{Address, Mac};
use guest_names::name::is_host_name;
use guest_names::snapshot::Standing;
use guest_names::snapshot::format::{Entry, flags};
use guest_names::state::Bridge;

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
    let addresses = (0..random.usize(..4)).map(|_| Told {
        address: random_address(random),
        source: *random
            .choice(&[Source::Lease, Source::Agent, Source::Agent, Source::Arp])
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
                arp: true,
                leases: true,
                refresh: Duration::from_secs(1),
                agent_timeout: Duration::from_secs(1),
            },
            here: at == here,
            nat: random.u8(..3) == 0,
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
                            nic.addresses.retain(|told| told.source != Source::Agent);
                        }
                    }
                    let host_name = random.choice(&HOSTS).filter(|_| answered);
                    Guest {
                        uuid: [number; 16],
                        name: (*random.choice(&GUESTS).unwrap()).into(),
                        title: None,
                        host_name: host_name.map(|&name| name.into()),
                        agent: if answered { Agent::Answered } else { Agent::Silent },
                        nics,
                    }
                })
                .collect()
        })
        .collect();
    World { connections, networks, guests, files: random_files(random) }
}

fn random_files(random: &mut Rng) -> Files {
    let mut files = Files::default();
    for bridge in BRIDGES {
        let bridge = files.add_bridge(Bridge::new(bridge.as_bytes()).unwrap());
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
                client: 0,
                since: KNOWN_BEFORE,
            });
        }
        for _ in 0..random.usize(..3) {
            let name = files.add_text(random.choice(&GUESTS).unwrap().as_bytes());
            let from = files.macs.len() as u32;
            let count = random.u32(..3);
            files.macs.extend((0..count).map(|_| random_mac(random)));
            files.domains.push(Domain { bridge, name, macs: (from, from + count) });
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

    fn text(&self, text: daemon::state::files::Text) -> String {
        String::from_utf8(self.files.text(text).to_vec()).unwrap()
    }

    fn bridge(&self, lease: &Lease) -> String {
        String::from_utf8(self.files.bridge(lease.bridge).as_bytes().to_vec()).unwrap()
    }

    fn leases(&self) -> impl Iterator<Item = &Lease> {
        self.files.leases.iter().filter(|lease| lease.expiry >= NOW)
    }

    /// Names of the domains that have the lease's NIC.
    fn domains(&self, lease: &Lease) -> Vec<String> {
        let on = self.files.domains.iter().filter(|domain| domain.bridge == lease.bridge);
        on.filter(|domain| self.files.macs_of(domain).iter().any(|&mac| Some(mac) == lease.mac))
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

    fn is_taken(
        &self,
        connection: usize,
        guest: Option<&Guest>,
        mac: Mac,
        address: Address,
    ) -> bool {
        let here = self.connections[connection].here;
        self.leases().any(|lease| {
            let domains = self.domains(lease);
            let first_owner = self.guests_here().find(|guest| self.has_nic(guest, lease));
            let runs = !domains.is_empty() || first_owner.is_some();
            let own = here
                && guest.is_some_and(|guest| {
                    lease.mac == Some(mac)
                        || first_owner.is_some_and(|owner| owner.uuid == guest.uuid)
                        || domains.contains(&guest.name)
                });
            lease.address == address && runs && !own
        })
    }

    fn network(&self, connection: usize, name: &str) -> Option<&Network> {
        self.networks[connection].iter().find(|network| network.name == name)
    }

    fn is_reachable(&self, connection: usize, network: Option<&Network>) -> bool {
        let Connection { here, nat, .. } = self.connections[connection];
        here || nat || network.is_some_and(|network| network.routed)
    }

    /// What a guest is believed to have, and what leases call it.
    fn believed(&self, connection: usize, guest: &Guest) -> (BTreeSet<String>, BTreeSet<String>) {
        let here = self.connections[connection].here;
        let (mut addresses, mut names) = (BTreeSet::new(), BTreeSet::new());
        let answered = guest.agent == Agent::Answered;
        for nic in &guest.nics {
            let network = nic.network.as_ref().map(|name| self.network(connection, name));
            if network.is_some_and(|network| !self.is_reachable(connection, network)) {
                continue;
            }
            let mut told: Vec<(Address, Source, i64, Option<String>)> = nic
                .addresses
                .iter()
                .map(|told| (to_address(told.address), told.source, told.expiry, None))
                .collect();
            for network in &self.networks[connection] {
                if nic.network.as_ref().is_some_and(|name| *name != network.name) {
                    continue;
                }
                let its = network.leases.iter().filter(|lease| lease.mac == Some(nic.mac));
                told.extend(its.map(|lease| {
                    let address = to_address(lease.address);
                    (address, Source::Lease, lease.expiry, lease.host_name.clone())
                }));
            }
            for (address, source, expiry, name) in told {
                let lost = answered && source != Source::Agent && !agent_names(guest, address);
                if lost || (expiry != 0 && expiry < NOW) {
                    continue;
                }
                names.extend(name);
                let scoped = !address.is_link_local_v6() || (here && nic.bridge.is_some());
                let trusted = (here && source == Source::Lease)
                    || !self.is_taken(connection, Some(guest), nic.mac, address);
                if is_good(address) && scoped && trusted {
                    addresses.insert(text(address));
                }
            }
            for lease in self.leases().filter(|_| here) {
                let own =
                    Some(nic.mac) == lease.mac && nic.bridge.as_ref() == Some(&self.bridge(lease));
                if own && !self.denied(lease) {
                    addresses.insert(text(lease.address));
                    names.insert(self.text(lease.host_name));
                }
            }
        }
        names.extend(guest.host_name.clone());
        names.retain(|name| is_host_name(name.as_bytes()));
        (addresses, names.iter().map(|name| lower(name)).collect())
    }

    /// API leases of NICs that no guest has.
    fn of_nobody(&self, connection: usize) -> Vec<(String, String)> {
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
                    && (here || !address.is_link_local_v6())
                    && (here || !self.is_taken(connection, None, lease.mac.unwrap(), address))
                    && self.is_reachable(connection, Some(network));
                if good && !has_guest {
                    found.push((lower(&name), text(address)));
                }
            }
        }
        found
    }

    /// The addresses of each name by rank: 0 is the files without a connection to this host.
    fn by_rank(&self, kind: char) -> BTreeMap<String, BTreeMap<usize, Ranked>> {
        let mut all: BTreeMap<String, BTreeMap<usize, Ranked>> = BTreeMap::new();
        let mut add = |name: String, rank: usize, addresses: &BTreeSet<String>, runs: bool| {
            let ranked = all.entry(name).or_default().entry(rank).or_default();
            ranked.addresses.extend(addresses.iter().cloned());
            ranked.runs |= runs;
        };
        let home = self.here().map_or(0, |here| here + 1);
        if kind == 'g' {
            for domain in &self.files.domains {
                add(lower(&self.text(domain.name)), home, &BTreeSet::new(), true);
            }
        }
        for lease in self.leases().filter(|lease| !self.denied(lease)) {
            let address = BTreeSet::from([text(lease.address)]);
            let host = self.text(lease.host_name);
            let names = if kind == 'g' { self.domains(lease) } else { vec![host] };
            for name in names.iter().filter(|name| kind == 'g' || is_host_name(name.as_bytes())) {
                add(lower(name), home, &address, !self.domains(lease).is_empty());
            }
        }
        for connection in 0..self.connections.len() {
            for guest in &self.guests[connection] {
                let (addresses, names) = self.believed(connection, guest);
                if kind == 'g' {
                    add(lower(&guest.name), connection + 1, &addresses, true);
                } else if !addresses.is_empty() {
                    names.into_iter().for_each(|name| add(name, connection + 1, &addresses, true));
                }
            }
            if kind == 'h' {
                for (name, address) in self.of_nobody(connection) {
                    add(name, connection + 1, &BTreeSet::from([address]), false);
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

/// What one connection has under a name.
#[derive(Debug, Default)]
struct Ranked {
    addresses: BTreeSet<String>,
    /// A guest of it runs.
    runs: bool,
}

fn compiled(files: &Files, facts: &Facts) -> BTreeMap<Vec<u8>, Vec<Owned>> {
    let mut keys = BTreeMap::new();
    let mut names = compile(Input { now: NOW, files, facts });
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
        .any(|told| told.source == Source::Agent && to_address(told.address) == address)
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
                    first.or_else(|| ranks.iter().next()).map(|(_, one)| one.addresses.clone())
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
    for round in 0..3_000 {
        let world = random_world(&mut random);
        let compiled = world.compiled();
        for (connection, guests) in world.guests.iter().enumerate() {
            for guest in guests {
                let (addresses, _) = world.believed(connection, guest);
                let key = format!("g{}.c{connection}", lower(&guest.name)).into_bytes();
                let entries = counting(compiled.get(&key), ALIVE).unwrap_or_default();
                assert!(entries.is_superset(&addresses), "round {round}: {guest:#?} {entries:?}");
                found += addresses.len();
            }
        }
    }
    assert!(found > 2_000, "{found}");
}
