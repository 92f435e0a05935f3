//! The input of a compilation, and its result as text.

use std::collections::BTreeMap;
use std::time::Duration;

use daemon::config::{Connection, Naming, is_here};
use daemon::facts::Facts;
use daemon::host::Host;
use daemon::model::{
    Agent, ConnectionConfig, ConnectionId, ConnectionState, Guest, Network, NetworkLease, Nic,
    ReportedAddress, ReportedBy, Update,
};
use daemon::names::{CompiledNames, Input, compile};
use daemon::neighbours::table::{Entry as NeighbourEntry, Event, Interface};
use daemon::state::Files;
use guest_names::address::{Address, Mac};
use guest_names::bridge::Bridge;
use guest_names::candidate::Evidence;
use guest_names::snapshot::format::{Entry, flags};
use guest_store::contents::{Lease, TextSpan};

pub(crate) const NOW: i64 = 1_000;

/// The input of a compilation, built up piece by piece.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) files: Files,
    pub(crate) connections: Vec<Connection>,
    pub(crate) updates: Vec<(i64, Update)>,
    pub(crate) neighbours: Vec<Event>,
    pub(crate) host: Host,
    pub(crate) naming: Naming,
}

pub(crate) fn mac(last: u8) -> Mac {
    Mac([0x52, 0x54, 0, 0, 0, last])
}

impl World {
    pub(crate) fn connection(&mut self, name: &str, uri: &str) -> ConnectionId {
        let id = ConnectionId(self.connections.len() as u16);
        let here = is_here(uri);
        let config = ConnectionConfig {
            id,
            name: name.into(),
            uri: uri.into(),
            agent: true,
            host_keys: true,
            arp: true,
            leases: !here,
            refresh: Duration::from_secs(30),
            agent_timeout: Duration::from_secs(5),
            keep_alive: true,
        };
        let is_named = name != "host";
        let subnets = Vec::new();
        self.connections.push(Connection {
            config,
            here,
            is_named,
            nat: false,
            subnets,
            neighbours: false,
        });
        self.updates.push((0, Update::State(id, ConnectionState::Up)));
        id
    }

    pub(crate) fn here(&mut self) -> ConnectionId {
        self.connection("host", "qemu:///system")
    }

    pub(crate) fn there(&mut self, name: &str) -> ConnectionId {
        self.connection(name, "qemu+ssh://host/system")
    }

    pub(crate) fn lease(
        &mut self,
        bridge: &str,
        last: u8,
        address: &str,
        host_name: &str,
    ) -> &mut Lease {
        self.lease_in(bridge, last, address, host_name, "")
    }

    pub(crate) fn lease_in(
        &mut self,
        bridge: &str,
        last: u8,
        address: &str,
        host_name: &str,
        domain: &str,
    ) -> &mut Lease {
        let files = &mut self.files.contents;
        let bridge = files.add_bridge(Bridge::new(bridge.as_bytes()).unwrap()).unwrap();
        let address = Address::parse(address.as_bytes()).unwrap();
        let (domain, host_name) =
            (files.add_text(domain.as_bytes()), files.add_text(host_name.as_bytes()));
        files.leases.push(Lease {
            bridge,
            address,
            mac: Some(mac(last)),
            expiry: 2_000,
            host_name,
            domain,
            start: 0,
            client_id: TextSpan::default(),
            client: 0,
        });
        files.leases.last_mut().unwrap()
    }

    pub(crate) fn runs(&mut self, bridge: &str, name: &str, last: u8) {
        let files = &mut self.files.contents;
        let bridge = files.add_bridge(Bridge::new(bridge.as_bytes()).unwrap()).unwrap();
        files.add_domain(bridge, name.as_bytes(), &[mac(last)]);
    }

    pub(crate) fn guest(&mut self, id: ConnectionId, guest: Guest) {
        self.updates.push((10_000, Update::Guest(id, guest)));
    }

    /// The kernel has confirmed that the NIC with this MAC address has the address.
    pub(crate) fn neighbour(&mut self, bridge: &str, last: u8, address: &str) {
        let entry = NeighbourEntry::Resolved {
            mac: mac(last),
            interface: Interface { name: bridge.into(), is_bridge: true },
            is_confirmed: true,
        };
        self.neighbours.push(Event { key: (1, address.parse().unwrap()), entry });
    }

    pub(crate) fn networks(&mut self, id: ConnectionId, networks: Vec<Network>) {
        self.updates.push((0, Update::Networks(id, networks)));
    }

    pub(crate) fn names(&self) -> CompiledNames {
        let mut facts = Facts::new(&self.connections, Facts::default(), 0, 0);
        for (at, update) in &self.updates {
            facts.apply(update.clone(), *at, 0);
        }
        for event in &self.neighbours {
            facts.apply_neighbour(event.clone(), 10_000, 90_000);
        }
        let (files, host, naming) = (&self.files, &self.host, &self.naming);
        compile(Input { now: NOW, node: b"", files, facts: &facts, host, naming }, &mut || ())
    }

    pub(crate) fn compiled(&self) -> Compiled {
        let names = self.names();
        let mut keys = BTreeMap::new();
        let until = names
            .each(&mut |key, entries| -> Result<(), ()> {
                keys.insert(key_text(key), entries.map(|entry| text(&entry)).collect());
                Ok(())
            })
            .unwrap();
        let CompiledNames { undecided, ref limited, .. } = names;
        Compiled { keys, until, undecided, limited: limited.clone() }
    }
}

pub(crate) struct Compiled {
    pub(crate) keys: BTreeMap<String, Vec<String>>,
    pub(crate) until: Option<i64>,
    pub(crate) undecided: bool,
    pub(crate) limited: Vec<String>,
}

impl Compiled {
    /// Asserts which entries a key has.
    #[track_caller]
    pub(crate) fn is(&self, key: &str, expected: &[&str]) {
        let found = self.keys.get(key).map_or(&[][..], Vec::as_slice);
        assert_eq!(found, expected, "under {key}; all keys: {:#?}", self.keys);
    }
}

pub(crate) fn key_text(key: &[u8]) -> String {
    match key {
        [b'a', octets @ ..] if octets.len() == 4 => {
            let octets: [u8; 4] = octets.try_into().unwrap();
            format!("a {}", std::net::Ipv4Addr::from(octets))
        }
        [b'a', octets @ ..] => {
            let octets: [u8; 16] = octets.try_into().unwrap();
            format!("a {}", std::net::Ipv6Addr::from(octets))
        }
        [kind, name @ ..] => format!("{} {}", *kind as char, String::from_utf8_lossy(name)),
        [] => panic!("an empty key"),
    }
}

/// `ADDRESS%BRIDGE FLAGS EVIDENCE NAME`, with the flags' first letters; `-` without an address.
pub(crate) fn text(entry: &Entry<'_>) -> String {
    let address = match entry.address {
        None => "-".into(),
        Some(Address::V4(octets)) => std::net::Ipv4Addr::from(octets).to_string(),
        Some(Address::V6(octets)) => std::net::Ipv6Addr::from(octets).to_string(),
    };
    let scope = if entry.address.is_some_and(|address| address.is_link_local_v6()) {
        format!("%{:?}", entry.bridge)
    } else {
        String::new()
    };
    let letters = [
        (flags::LEASE, 'L'),
        (flags::REPORTED, 'T'),
        (flags::ATTACHED, 'A'),
        (flags::DENIED, 'x'),
        (flags::DOMAIN, 'd'),
        (flags::ELSEWHERE, 'e'),
        (flags::BEFORE, 'b'),
        (flags::CONFIRMED, 'c'),
    ];
    let flags: String =
        letters.iter().filter(|(flag, _)| entry.is(*flag)).map(|&(_, letter)| letter).collect();
    let evidence = match entry.evidence {
        Evidence::StateFile => "files",
        Evidence::Lease => "lease",
        Evidence::Agent => "agent",
        Evidence::Neighbour => "neighbour",
    };
    let end = if entry.expiry == 0 { String::new() } else { format!(" until {}", entry.expiry) };
    let name = String::from_utf8_lossy(entry.name);
    format!("{address}{scope} {flags} {evidence} {name}{end}")
}

pub(crate) fn nic(
    last: u8,
    bridge: Option<&str>,
    network: Option<&str>,
    reported: &[(ReportedBy, &str)],
) -> Nic {
    Nic {
        mac: mac(last),
        network: network.map(str::to_owned),
        bridge: bridge.map(str::to_owned),
        addresses: reported
            .iter()
            .map(|&(source, address)| ReportedAddress {
                address: address.parse().unwrap(),
                source,
                expiry: if source == ReportedBy::Lease { 1_500 } else { 0 },
            })
            .collect(),
    }
}

pub(crate) fn guest(number: u8, name: &str, nics: Vec<Nic>) -> Guest {
    let agents =
        |nic: &Nic| nic.addresses.iter().any(|reported| reported.source == ReportedBy::Agent);
    let agent = if nics.iter().any(agents) { Agent::Answered } else { Agent::Silent };
    Guest {
        uuid: [number; 16],
        name: name.into(),
        title: None,
        host_name: None,
        agent,
        host_keys: None,
        nics,
    }
}

pub(crate) fn network(
    name: &str,
    bridge: Option<&str>,
    domain: Option<&str>,
    routed: bool,
) -> Network {
    Network {
        name: name.into(),
        bridge: bridge.map(str::to_owned),
        domain: domain.map(str::to_owned),
        routed,
        domain_is_local: false,
        subnets: Vec::new(),
        leases: Vec::new(),
    }
}

pub(crate) fn network_lease(last: u8, address: &str, host_name: &str, expiry: i64) -> NetworkLease {
    NetworkLease {
        mac: Some(mac(last)),
        address: address.parse().unwrap(),
        host_name: Some(host_name.into()).filter(|name: &String| !name.is_empty()),
        expiry,
    }
}

pub(crate) const BR: Option<&str> = Some("virbr0");
pub(crate) const DEFAULT: Option<&str> = Some("default");
