//! Random worlds: connections, their networks and guests, and the state files.

use std::net::IpAddr;
use std::time::Duration;

use daemon::config::Connection;
use daemon::model::{
    Agent, ConnectionConfig, ConnectionId, Guest, Network, NetworkLease, Nic, ReportedAddress,
    ReportedBy,
};
use daemon::state::Files;
use fastrand::Rng;
use guest_names::address::{Address, Mac};
use guest_names::bridge::Bridge;
use guest_store::contents::{Contents, Lease, TextSpan};
use ipnet::IpNet;

pub(crate) const NOW: i64 = 1_000;
pub(crate) const BRIDGES: [&str; 2] = ["virbr0", "virbr1"];
pub(crate) const HOSTS: [&str; 6] = ["web", "Web", "db", "inside", "localhost", "no host"];
pub(crate) const GUESTS: [&str; 4] = ["vm", "VM", "web", "my vm"];
pub(crate) const ADDRESSES: [&str; 10] = [
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

/// Everything that the rules are applied to.
pub(crate) struct World {
    pub(crate) connections: Vec<Connection>,
    pub(crate) networks: Vec<Vec<Network>>,
    pub(crate) guests: Vec<Vec<Guest>>,
    pub(crate) files: Files,
}

pub(crate) fn random_address(random: &mut Rng) -> IpAddr {
    // Mostly valid ones.
    let most = if random.u8(..4) == 0 { ADDRESSES.len() } else { 6 };
    ADDRESSES[random.usize(..most)].parse().unwrap()
}

pub(crate) fn random_mac(random: &mut Rng) -> Mac {
    Mac([2, 0, 0, 0, 0, random.u8(..6)])
}

pub(crate) fn maybe<T>(random: &mut Rng, value: T) -> Option<T> {
    random.bool().then_some(value)
}

pub(crate) fn random_expiry(random: &mut Rng) -> i64 {
    *random.choice(&[NOW - 1, NOW, NOW + 50, NOW + 100, NOW + 100]).unwrap()
}

/// One with the gateway 10.0.0.4, one with two addresses, and an IPv6 one.
pub(crate) fn random_subnets(random: &mut Rng) -> Vec<IpNet> {
    let subnets = ["10.0.0.4/29", "10.0.0.2/31", "fd00::9/64"];
    let count = *random.choice(&[0, 0, 1, 2]).unwrap();
    let chosen = (0..count).map(|_| random.choice(&subnets).unwrap().parse().unwrap());
    chosen.collect()
}

pub(crate) fn random_nic(random: &mut Rng, networks: &[Network]) -> Nic {
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

pub(crate) fn random_world(random: &mut Rng) -> World {
    let count = random.usize(..4);
    // At most one is to this host.
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
                            nic.addresses.retain(|reported| reported.source != ReportedBy::Agent);
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

pub(crate) fn random_files(random: &mut Rng) -> Contents {
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
