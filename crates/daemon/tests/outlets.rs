//! The outlets contain what look-ups answer.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::IpAddr;

use daemon::config::{Config, Naming};
use daemon::facts::Facts;
use daemon::host::Host;
use daemon::model::{
    Agent, ConnectionId, Guest, Network, Nic, ReportedAddress, ReportedBy, Update,
};
use daemon::names::{Input, compile};
use daemon::outlets::answers::Answers;
use daemon::outlets::zones::Zones;
use daemon::outlets::{hosts, records};
use daemon::snapshot::write;
use daemon::state::Files;
use guest_names::address::Mac;
use guest_names::io::Stamp;
use guest_names::name::{NameKind, is_host_name, is_node_name};
use guest_names::snapshot::format::Meta;
use guest_store::snapshot::Info;
use testkit::generate::{NODE, NOW, state};
use testkit::look_up::{Means, by_address, by_name, ip};
use testkit::memory::{Directory, Snapshot};
use testkit::random::{Random, rounds};
use testkit::scratch::Scratch;

const STAMP: Stamp = Stamp { seconds: 1, nanoseconds: 2, device: 3, inode: 4 };

/// Names of domains that are more than DNS, or the files, can have.
const HOSTILE: [&str; 20] = [
    "localhost",
    "a.localhost",
    "vm.internal",
    "lab.example",
    "db.lab.example",
    "web.vm.internal",
    "1234",
    "10.0.0.1",
    "0x7f.1",
    "08",
    "b\u{fc}cher",
    "xn--bcher-kva",
    "-a",
    "a-",
    "a..b",
    "a.",
    "a\"b\\",
    "a\n10.0.0.1 b",
    "63-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "64-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
];

/// Checks that a name can do no harm: it consists of letters, digits, hyphens and underscores in labels of DNS, and is not
/// reserved for something else.
#[track_caller]
fn check_published(name: &str) {
    assert!(name.len() <= 253, "{name}");
    for label in name.split('.') {
        let is_plain =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
        assert!((1..=63).contains(&label.len()) && label.chars().all(is_plain), "{name}");
        assert!(!label.starts_with('-') && !label.ends_with('-'), "{name}");
    }
    let (first, last) = (name.split('.').next().unwrap(), name.rsplit('.').next().unwrap());
    assert!(!["wpad", "isatap"].contains(&first) && last != "localhost", "{name}");
    assert!(name != NODE && name != NODE.split('.').next().unwrap(), "{name}");
    assert!(name.parse::<IpAddr>().is_err(), "{name}");
}

/// Guests, some of which share names with those in the state files.
fn guests(random: &mut Random) -> Vec<Guest> {
    let names = ["web", "db", "my vm", "wpad", "other", "Node", "x.y", NODE];
    (0..random.below(5) as u8)
        .map(|number| {
            let addresses = (0..random.below(3))
                .map(|_| {
                    let v4 = IpAddr::from([10, 9, 0, random.below(4) as u8]);
                    let v6 = ["fd00::9", "fe80::9"][random.below(2)].parse().unwrap();
                    let address = if random.one_in(2) { v4 } else { v6 };
                    ReportedAddress { address, source: ReportedBy::Agent, expiry: 0 }
                })
                .collect();
            let mac = Mac([2, 0, 0, 9, 0, number]);
            let network = random.one_in(2).then(|| "lab".into());
            let bridge = Some("virbr0".into());
            Guest {
                uuid: [number; 16],
                name: match random.one_in(4) {
                    true => (*random.pick(&HOSTILE)).into(),
                    false => (*random.pick(&names)).into(),
                },
                title: None,
                host_name: random
                    .one_in(2)
                    .then(|| (*random.pick(&["web", "inside", "isatap"])).into()),
                agent: Agent::Answered,
                host_keys: None,
                nics: vec![Nic { mac, network, bridge, addresses }],
            }
        })
        .collect()
}

fn lab() -> Network {
    Network {
        name: "lab".into(),
        bridge: Some("virbr0".into()),
        domain: Some("Lab.example".into()),
        domain_is_local: true,
        routed: false,
        subnets: Vec::new(),
        leases: Vec::new(),
    }
}

/// Names and their addresses in a file of hosts(5), and the first name of each address.
fn parse_hosts(text: &[u8]) -> (BTreeMap<String, BTreeSet<IpAddr>>, BTreeMap<IpAddr, String>) {
    let (mut names, mut first) = (BTreeMap::<_, BTreeSet<_>>::new(), BTreeMap::new());
    for line in std::str::from_utf8(text).unwrap().lines() {
        let mut words = line.split(' ');
        let address: IpAddr = words.next().unwrap().parse().unwrap();
        for (at, name) in words.enumerate() {
            if at == 0 {
                assert!(first.insert(address, name.to_owned()).is_none(), "two lines: {address}");
            }
            assert!(names.entry(name.to_owned()).or_default().insert(address), "twice: {line}");
        }
    }
    (names, first)
}

/// The same for resource records.
fn parse_records(text: &[u8]) -> (BTreeMap<String, BTreeSet<IpAddr>>, BTreeMap<String, String>) {
    let (mut names, mut reverse) = (BTreeMap::<_, BTreeSet<_>>::new(), BTreeMap::new());
    let json: serde_json::Value = serde_json::from_slice(text).unwrap();
    for record in json.as_array().unwrap() {
        let key = record["key"]["name"].as_str().unwrap().to_owned();
        let octets = || -> Vec<u8> { serde_json::from_value(record["address"].clone()).unwrap() };
        let address = match record["key"]["type"].as_u64().unwrap() {
            1 => IpAddr::from(<[u8; 4]>::try_from(octets()).unwrap()),
            28 => IpAddr::from(<[u8; 16]>::try_from(octets()).unwrap()),
            12 => {
                let name = record["name"].as_str().unwrap().to_owned();
                assert!(reverse.insert(key, name).is_none());
                continue;
            }
            other => panic!("type {other}"),
        };
        assert!(names.entry(key).or_default().insert(address));
    }
    (names, reverse)
}

/// Random state files and guests, and every name in the snapshot.
#[test]
fn the_outlets_contain_what_look_ups_answer() {
    let mut random = Random::from_environment(61);
    let on_disk = Scratch::new();
    let rounds = rounds(300);
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    let mut count = |what, is_so| *counts.entry(what).or_default() += u32::from(is_so);
    for round in 0..rounds {
        for entry in fs::read_dir(on_disk.path()).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        let directory = state(&mut random).directory(&mut random);
        for (name, contents) in directory.files() {
            on_disk.write(std::str::from_utf8(name).unwrap(), contents);
        }
        let files = Files::read(on_disk.path()).unwrap();
        let mut facts = Facts::new(&Config::default().connections, Facts::default(), 0, 0);
        facts.apply(Update::Networks(ConnectionId(0), vec![lab()]), 1, 0);
        facts.apply(Update::Guests(ConnectionId(0), guests(&mut random)), 1_000_000, 0);
        let zone = *random.pick(&["vm.internal", "VMs", "lab.example"]);
        let naming = &Naming { zone: zone.into(), short_network_aliases: random.one_in(2) };
        let zone = zone.to_ascii_lowercase();
        let (node, host) = (NODE.as_bytes(), &Host::default());
        let zones = Zones::of(&naming.zone, &files.contents, &facts, host);
        let mut now = NOW;
        // Once more when the first entry has expired.
        for _ in 0..2 {
            let input = Input { now, node, files: &files, facts: &facts, host, naming };
            let mut names = compile(input, &mut || ());
            let mut keys = Vec::new();
            let all = names.each(&mut |key, _| -> Result<(), ()> {
                keys.push(key.to_vec());
                Ok(())
            });
            all.unwrap();
            let meta = Meta { state: Some(STAMP), hold: 90, length: 0, compiled: now };
            let mut bytes = io::Cursor::new(Vec::new());
            write(&mut bytes, &mut names, meta, |_| Info::default(), &mut || ()).unwrap();
            let snapshot =
                Snapshot { bytes: bytes.into_inner().into(), modified: now, state: Some(STAMP) };
            let answers = Answers::collect(&names, &zones, now, &mut || ()).unwrap();
            let (in_hosts, first) = parse_hosts(&hosts::texts(&answers, true).concat());
            let (in_records, pointers) = parse_records(&records::text(&answers));
            assert_eq!(in_hosts, in_records, "round {round}");
            in_hosts.keys().chain(pointers.values()).for_each(|name| check_published(name));
            let (without_bare, _) = parse_hosts(&hosts::texts(&answers, false).concat());
            assert!(without_bare.iter().eq(in_hosts.iter().filter(|(name, _)| name.contains('.'))));

            let context = || format!("round {round}, {now}\n{directory}\n{facts:#?}");
            let look_up = |name: &str, at: i64| {
                let mut none = Directory::default();
                let means = Means { now: at, ..Means::ample(at) };
                let mut found = |kind| {
                    let open = Some(snapshot.open(usize::MAX));
                    let answer =
                        by_name(&mut none, open, &means, kind, name.as_bytes(), None).unwrap();
                    let (link_local, others): (Vec<_>, Vec<_>) =
                        answer.addresses().into_iter().partition(|one| one.is_link_local_v6());
                    let others: BTreeSet<IpAddr> = others.into_iter().map(ip).collect();
                    (others, !link_local.is_empty())
                };
                // As on the hosts line: libvirt, then libvirt_guest.
                let host = found(NameKind::HostName);
                if host.0.is_empty() { found(NameKind::Domain) } else { host }
            };
            let mut expected = BTreeSet::new();
            for key in keys.iter().filter(|key| key[0] != b'a') {
                let Ok(name) = std::str::from_utf8(&key[1..]) else { continue };
                let is_bare = !name.contains('.');
                let is_own = is_node_name(name.as_bytes(), node);
                let is_usable =
                    is_host_name(name.as_bytes()) && !is_own && (is_bare || zones.have(name));
                count("the host's own", is_own && !is_bare && zones.have(name));
                let (addresses, has_link_local) = look_up(name, now);
                if !is_usable || addresses.is_empty() {
                    count("left out", !is_usable);
                    count("only link-local", is_usable && has_link_local);
                    assert!(!in_hosts.contains_key(name), "{name}\n{}", context());
                    continue;
                }
                assert_eq!(in_hosts.get(name), Some(&addresses), "{name}\n{}", context());
                expected.insert(name);
                let is_below = |suffix: &str| name.ends_with(&format!(".{suffix}"));
                count("bare", is_bare);
                count("in the zone", is_below(&zone));
                count("in a network's domain", is_below("lab.example") && zone != "lab.example");
                count("in a lease's domain", is_below("lab"));
                count("with the network's name", is_below(&format!("lab.{zone}")));
            }
            assert!(in_hosts.keys().all(|name| expected.contains(name.as_str())), "{}", context());

            // Each address has a name that resolves to it: the one that a look-up returns, if that is in the zone.
            let zoned: BTreeSet<IpAddr> = without_bare.values().flatten().copied().collect();
            let named = || answers.addresses.iter();
            let reverse = named().filter_map(|named| Some((&named.address, named.reverse?)));
            assert!(reverse.clone().map(|(address, _)| address).eq(&zoned));
            assert_eq!(pointers.len(), zoned.len());
            for (address, name) in reverse {
                assert!(in_hosts[name].contains(address) && first[address] == name);
                let mut none = Directory::default();
                let means = Means::ample(now);
                let octets = match address {
                    IpAddr::V4(v4) => guest_names::address::Address::V4(v4.octets()),
                    IpAddr::V6(v6) => guest_names::address::Address::V6(v6.octets()),
                };
                let open = Some(snapshot.open(usize::MAX));
                let called =
                    by_address(&mut none, open, &means, NameKind::HostName, octets).unwrap();
                if let Some(called) = called {
                    let called = String::from_utf8(called).unwrap().to_ascii_lowercase();
                    let zoned = format!("{called}.{zone}");
                    if in_hosts.get(&zoned).is_some_and(|all| all.contains(address)) {
                        assert_eq!(name, zoned, "{address}\n{}", context());
                        count("reverse", true);
                    }
                }
            }

            // Until then no answer changes.
            if let Some(until) = answers.until {
                assert!(until >= now);
                for name in in_hosts.keys() {
                    let (addresses, _) = look_up(name, until);
                    assert_eq!(addresses, in_hosts[name], "{name} at {until}\n{}", context());
                }
                count("ended", true);
                now = until + 1;
            }
        }
    }
    let rounds = u32::try_from(rounds).unwrap();
    let is_often = |&count: &u32| count > rounds / 10;
    assert!(counts.len() == 10 && counts.values().all(is_often), "{rounds} rounds: {counts:?}");
}
