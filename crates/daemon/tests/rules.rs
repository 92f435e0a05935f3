//! Which names answer with which addresses, case by case.

use std::collections::BTreeMap;
use std::time::Duration;

use daemon::config::{Connection, is_here};
use daemon::facts::Facts;
use daemon::model::{
    Agent, ConnectionConfig, ConnectionId, ConnectionState, Guest, Network, NetworkLease, Nic,
    Source, Told, Update,
};
use daemon::names::{Input, Names, compile};
use daemon::state::Files;
use daemon::state::files::{Domain, KNOWN_BEFORE, Lease};
use guest_names::address::{Address, Mac};
use guest_names::snapshot::format::{self, Entry, flags};
use guest_names::state::Bridge;

const NOW: i64 = 1_000;

/// A world to be compiled, built up piece by piece.
#[derive(Default)]
struct World {
    files: Files,
    connections: Vec<Connection>,
    updates: Vec<(i64, Update)>,
}

fn mac(last: u8) -> Mac {
    Mac([0x52, 0x54, 0, 0, 0, last])
}

impl World {
    fn connection(&mut self, name: &str, uri: &str) -> ConnectionId {
        let id = ConnectionId(self.connections.len() as u16);
        let here = is_here(uri);
        let config = ConnectionConfig {
            id,
            name: name.into(),
            uri: uri.into(),
            agent: true,
            arp: true,
            leases: !here,
            refresh: Duration::from_secs(30),
            agent_timeout: Duration::from_secs(5),
        };
        self.connections.push(Connection { config, here, nat: false });
        self.updates.push((0, Update::State(id, ConnectionState::Up)));
        id
    }

    fn here(&mut self) -> ConnectionId {
        self.connection("host", "qemu:///system")
    }

    fn there(&mut self, name: &str) -> ConnectionId {
        self.connection(name, "qemu+ssh://host/system")
    }

    fn lease(&mut self, bridge: &str, last: u8, address: &str, host_name: &str) -> &mut Lease {
        self.lease_in(bridge, last, address, host_name, "")
    }

    fn lease_in(
        &mut self,
        bridge: &str,
        last: u8,
        address: &str,
        host_name: &str,
        domain: &str,
    ) -> &mut Lease {
        let files = &mut self.files;
        let bridge = files.add_bridge(Bridge::new(bridge.as_bytes()).unwrap());
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
            client: 0,
            since: KNOWN_BEFORE,
        });
        files.leases.last_mut().unwrap()
    }

    fn runs(&mut self, bridge: &str, name: &str, last: u8) {
        let files = &mut self.files;
        let bridge = files.add_bridge(Bridge::new(bridge.as_bytes()).unwrap());
        let name = files.add_text(name.as_bytes());
        let from = files.macs.len() as u32;
        files.macs.push(mac(last));
        files.domains.push(Domain { bridge, name, macs: (from, from + 1) });
    }

    fn guest(&mut self, id: ConnectionId, guest: Guest) {
        self.updates.push((10_000, Update::Guest(id, guest)));
    }

    fn networks(&mut self, id: ConnectionId, networks: Vec<Network>) {
        self.updates.push((0, Update::Networks(id, networks)));
    }

    fn names(&self) -> Names {
        let mut facts = Facts::new(&self.connections, Facts::default(), 0, 0);
        for (at, update) in &self.updates {
            facts.apply(update.clone(), *at, 0);
        }
        compile(Input { now: NOW, files: &self.files, facts: &facts })
    }

    fn compiled(&self) -> Compiled {
        let mut names = self.names();
        let mut keys = BTreeMap::new();
        names
            .each(&mut |key, entries| -> Result<(), ()> {
                keys.insert(key_text(key), entries.map(|entry| text(&entry)).collect());
                Ok(())
            })
            .unwrap();
        Compiled { keys, until: names.until, undecided: names.undecided }
    }
}

struct Compiled {
    keys: BTreeMap<String, Vec<String>>,
    until: Option<i64>,
    undecided: bool,
}

impl Compiled {
    /// The entries under a key: `-` where it isn't there.
    #[track_caller]
    fn is(&self, key: &str, expected: &[&str]) {
        let found = self.keys.get(key).map_or(&[][..], Vec::as_slice);
        assert_eq!(found, expected, "under {key}; all keys: {:#?}", self.keys);
    }
}

fn key_text(key: &[u8]) -> String {
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

/// `ADDRESS%BRIDGE FLAGS SOURCE NAME`, flags by their first letters.
fn text(entry: &Entry<'_>) -> String {
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
        (flags::TOLD, 'T'),
        (flags::ATTACHED, 'A'),
        (flags::DENIED, 'x'),
        (flags::DOMAIN, 'd'),
        (flags::ELSEWHERE, 'e'),
        (flags::BEFORE, 'b'),
    ];
    let flags: String =
        letters.iter().filter(|(flag, _)| entry.is(*flag)).map(|&(_, letter)| letter).collect();
    let source = match entry.source {
        format::Source::Files => "files",
        format::Source::Lease => "lease",
        format::Source::Agent => "agent",
        format::Source::Arp => "arp",
    };
    let end = if entry.expiry == 0 { String::new() } else { format!(" until {}", entry.expiry) };
    let name = String::from_utf8_lossy(entry.name);
    format!("{address}{scope} {flags} {source} {name}{end}")
}

fn nic(last: u8, bridge: Option<&str>, network: Option<&str>, told: &[(Source, &str)]) -> Nic {
    Nic {
        mac: mac(last),
        network: network.map(str::to_owned),
        bridge: bridge.map(str::to_owned),
        addresses: told
            .iter()
            .map(|&(source, address)| Told {
                address: address.parse().unwrap(),
                source,
                expiry: if source == Source::Lease { 1_500 } else { 0 },
            })
            .collect(),
    }
}

fn guest(number: u8, name: &str, nics: Vec<Nic>) -> Guest {
    let agents = |nic: &Nic| nic.addresses.iter().any(|told| told.source == Source::Agent);
    let agent = if nics.iter().any(agents) { Agent::Answered } else { Agent::Silent };
    Guest { uuid: [number; 16], name: name.into(), title: None, host_name: None, agent, nics }
}

fn network(name: &str, bridge: Option<&str>, domain: Option<&str>, routed: bool) -> Network {
    Network {
        name: name.into(),
        bridge: bridge.map(str::to_owned),
        domain: domain.map(str::to_owned),
        routed,
        leases: Vec::new(),
    }
}

fn network_lease(last: u8, address: &str, host_name: &str, expiry: i64) -> NetworkLease {
    NetworkLease {
        mac: Some(mac(last)),
        address: address.parse().unwrap(),
        host_name: Some(host_name.into()).filter(|name: &String| !name.is_empty()),
        expiry,
    }
}

const BR: Option<&str> = Some("virbr0");
const DEFAULT: Option<&str> = Some("default");

#[test]
fn files_alone() {
    let mut world = World::default();
    world.lease_in("virbr0", 1, "10.0.0.1", "Web", "Lab.example.");
    world.lease("virbr0", 2, "10.0.0.2", "web").expiry = 0;
    world.lease("virbr0", 3, "10.0.0.3", "not a host");
    world.lease("virbr0", 4, "10.0.0.4", "late").expiry = NOW - 1;
    world.runs("virbr0", "Web VM.", 1);
    world.runs("virbr0", "idle", 9);
    world.runs("virbr0", "localhost", 3);
    let compiled = world.compiled();
    let first = "10.0.0.1 LA files Web until 2000";
    compiled.is("h web", &[first, "10.0.0.2 L files web"]);
    compiled.is("h web.lab.example", &[first]);
    compiled.is("h late", &[]);
    compiled.is("h not a host", &[]);
    compiled.is("g web vm", &["- LA files Web VM.", "10.0.0.1 LA files Web VM. until 2000"]);
    compiled.is("g web vm..lab.example", &["10.0.0.1 LA files Web VM. until 2000"]);
    compiled.is("g idle", &["- LA files idle"]);
    compiled.is("g localhost", &[]);
    compiled.is("a 10.0.0.1", &[first, "10.0.0.1 LAd files Web VM. until 2000"]);
    compiled.is("a 10.0.0.3", &["10.0.0.3 LAd files localhost until 2000"]);
    compiled.is("a 10.0.0.4", &[]);
    // No connection gives names to what is of no connection.
    assert_eq!(compiled.keys.len(), 8, "{:#?}", compiled.keys);
}

/// A look-up of `web.` finds the lease of that very name, and one of `web` doesn't.
#[test]
fn a_host_name_that_ends_in_a_dot() {
    let mut world = World::default();
    world.lease("virbr0", 1, "10.0.0.1", "web.");
    let compiled = world.compiled();
    compiled.is("h web", &["10.0.0.1 L files web. until 2000"]);
    compiled.is("h web.", &[]);
}

#[test]
fn the_best_name_of_an_address_is_first() {
    let mut world = World::default();
    world.lease("virbr0", 1, "10.0.0.1", "left").expiry = 0;
    world.lease("virbr0", 2, "10.0.0.1", "short").expiry = 1_100;
    world.lease("virbr0", 2, "10.0.0.1", "long").expiry = 1_200;
    world.runs("virbr0", "vm", 2);
    let compiled = world.compiled();
    let names: Vec<_> =
        compiled.keys["a 10.0.0.1"].iter().map(|e| e.split(' ').nth(3).unwrap()).collect();
    assert_eq!(names, ["long", "vm", "short", "vm", "left"]);
}

#[test]
fn a_guest_of_this_host() {
    let mut world = World::default();
    let here = world.here();
    world.networks(here, vec![network("default", BR, Some("lab.example"), false)]);
    world.lease("virbr0", 1, "10.0.0.1", "web");
    world.runs("virbr0", "web-vm", 1);
    let told =
        [(Source::Agent, "10.0.0.1"), (Source::Agent, "fd00::1"), (Source::Agent, "fe80::1")];
    let mut vm = guest(1, "web-vm", vec![nic(1, BR, DEFAULT, &told)]);
    vm.host_name = Some("Inside".into());
    world.guest(here, vm);
    let compiled = world.compiled();
    // The lease that the agent confirms is one entry.
    let lease = "10.0.0.1 LTA agent web until 2000";
    compiled.is("h web", &[lease, "fd00::1 TA agent web", "fe80::1%virbr0 TA agent web"]);
    let all = |name: &str, suffix: &str| {
        let own: Vec<String> = ["10.0.0.1", "fd00::1", "fe80::1%virbr0"]
            .iter()
            .map(|address| format!("{address} TA agent {name}"))
            .collect();
        let own: Vec<&str> = own.iter().map(String::as_str).collect();
        compiled.is(suffix, &own);
    };
    all("Inside", "h inside");
    for suffix in ["lab.example", "default", "host"] {
        all("web", &format!("h web.{suffix}"));
        all("Inside", &format!("h inside.{suffix}"));
        all("web-vm", &format!("g web-vm.{suffix}"));
    }
    compiled.is(
        "g web-vm",
        &[
            "- LA files web-vm",
            "10.0.0.1 LTA agent web-vm until 2000",
            "fd00::1 TA agent web-vm",
            "fe80::1%virbr0 TA agent web-vm",
        ],
    );
    compiled.is(
        "a 10.0.0.1",
        &[lease, "10.0.0.1 LTAd agent web-vm until 2000", "10.0.0.1 TA agent Inside"],
    );
    compiled.is(
        "a fd00::1",
        &["fd00::1 TA agent Inside", "fd00::1 TA agent web", "fd00::1 TAd agent web-vm"],
    );
}

#[test]
fn a_guest_without_an_address() {
    let mut world = World::default();
    let here = world.here();
    let mut vm = guest(1, "vm", vec![nic(1, BR, None, &[])]);
    vm.host_name = Some("inside".into());
    world.guest(here, vm);
    let compiled = world.compiled();
    compiled.is("g vm", &["- TA lease vm"]);
    assert_eq!(compiled.keys.len(), 1);
}

#[test]
fn what_the_agent_leaves_out() {
    let mut world = World::default();
    let here = world.here();
    let mut default = network("default", BR, None, false);
    default.leases = vec![network_lease(1, "10.0.0.3", "api", 2_000)];
    world.networks(here, vec![default]);
    world.lease("virbr0", 1, "10.0.0.1", "old");
    // Too young for the answer, which came at 10 s and may have been asked for at 5 s.
    world.lease("virbr0", 1, "10.0.0.2", "young").since = 6_000;
    world.runs("virbr0", "vm", 1);
    let told = [
        (Source::Agent, "10.0.0.9"),
        (Source::Arp, "10.0.0.8"),
        (Source::Lease, "10.0.0.7"),
        (Source::Lease, "10.0.0.9"),
    ];
    world.guest(here, guest(1, "vm", vec![nic(1, BR, DEFAULT, &told)]));
    let compiled = world.compiled();
    compiled.is("h old", &["10.0.0.1 LAx files old until 2000"]);
    compiled.is("h old.default", &[]);
    compiled.is("h young", &["10.0.0.2 LA files young until 2000", "10.0.0.9 TA agent young"]);
    compiled.is("h api", &[]);
    compiled.is("g vm.default", &["10.0.0.9 TA agent vm", "10.0.0.2 TA files vm until 2000"]);
    for lost in ["a 10.0.0.3", "a 10.0.0.7", "a 10.0.0.8"] {
        compiled.is(lost, &[]);
    }
    assert!(compiled.undecided);
    world.files.leases[1].since = 5_000;
    let compiled = world.compiled();
    compiled.is("h young", &["10.0.0.2 LAx files young until 2000"]);
    assert!(!compiled.undecided);
}

#[test]
fn an_agent_that_is_silent_denies_nothing() {
    let mut world = World::default();
    let here = world.here();
    world.networks(here, vec![network("default", BR, None, false)]);
    world.lease("virbr0", 1, "10.0.0.1", "web");
    world.runs("virbr0", "vm", 1);
    let told = [(Source::Arp, "10.0.0.1"), (Source::Arp, "10.0.0.2"), (Source::Lease, "10.0.0.1")];
    world.guest(here, guest(1, "vm", vec![nic(1, BR, DEFAULT, &told)]));
    let compiled = world.compiled();
    compiled.is("h web", &["10.0.0.1 LTA arp web until 2000", "10.0.0.2 TA arp web"]);
    compiled.is("g vm.host", &["10.0.0.1 TA arp vm", "10.0.0.2 TA arp vm"]);
}

#[test]
fn what_is_not_believed() {
    let mut world = World::default();
    let here = world.here();
    let there = world.there("rack");
    let lies = [
        "0.0.0.0",
        "127.0.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "169.254.1.1",
        "::",
        "::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "10.0.0.5",
        "fe80::5",
    ];
    // 10.0.0.5 is leased to a guest that runs.
    world.lease("virbr0", 5, "10.0.0.5", "victim");
    world.runs("virbr0", "victim", 5);
    // 10.0.0.6 is leased to what is no guest any more.
    world.lease("virbr0", 6, "10.0.0.6", "gone");
    let told: Vec<_> = lies.iter().map(|&address| (Source::Agent, address)).collect();
    for (id, number) in [(here, 1), (there, 2)] {
        let mut liar =
            guest(number, &format!("liar{number}"), vec![nic(number, None, None, &told)]);
        liar.host_name = Some("localhost".into());
        world.guest(id, liar);
    }
    world.guest(here, guest(3, "heir", vec![nic(3, None, None, &[(Source::Agent, "10.0.0.6")])]));
    let arp = [(Source::Arp, "10.0.0.5"), (Source::Lease, "10.0.0.5")];
    world.guest(there, guest(4, "arp", vec![nic(4, None, None, &arp)]));
    let compiled = world.compiled();
    for liar in ["liar1", "liar2"] {
        let flags = if liar == "liar1" { "TA" } else { "TAe" };
        compiled.is(&format!("g {liar}"), &[&format!("- {flags} lease {liar}")]);
        compiled.is(&format!("g {liar}.host"), &[]);
    }
    compiled.is("g arp", &["- TAe lease arp"]);
    compiled.is("g heir", &["10.0.0.6 TA agent heir"]);
    compiled.is("h localhost", &[]);
    // Its lease ends at 2000: then others may have it.
    assert_eq!(compiled.until, Some(2_000));
    compiled.is(
        "a 10.0.0.5",
        &["10.0.0.5 LA files victim until 2000", "10.0.0.5 LAd files victim until 2000"],
    );
}

/// The same address on another NIC of the guest itself, and on its own NIC.
#[test]
fn a_guest_may_have_its_own_leases_address() {
    let mut world = World::default();
    let here = world.here();
    world.lease("virbr0", 1, "10.0.0.1", "web");
    world.runs("virbr0", "vm", 1);
    let nics = vec![nic(1, BR, None, &[]), nic(2, BR, None, &[(Source::Agent, "10.0.0.1")])];
    world.guest(here, guest(1, "vm", nics));
    let compiled = world.compiled();
    compiled.is("h web.host", &["10.0.0.1 TA files web until 2000", "10.0.0.1 TA agent web"]);
    assert_eq!(compiled.until, None);
}

#[test]
fn link_local_addresses_need_a_bridge_of_this_host() {
    let mut world = World::default();
    let here = world.here();
    let there = world.there("rack");
    let told = [(Source::Agent, "fe80::1")];
    world.guest(here, guest(1, "bridged", vec![nic(1, Some("br0"), None, &told)]));
    world.guest(here, guest(2, "macvtap", vec![nic(2, None, None, &told)]));
    world.guest(there, guest(3, "far", vec![nic(3, Some("br0"), None, &told)]));
    let compiled = world.compiled();
    compiled.is("g bridged", &["fe80::1%br0 TA agent bridged"]);
    compiled.is("g macvtap", &["- TA lease macvtap"]);
    compiled.is("g far", &["- TAe lease far"]);
}

#[test]
fn leases_that_the_api_tells() {
    let mut world = World::default();
    let there = world.there("rack");
    let mut lan = network("lan", Some("virbr0"), Some("lan.example"), true);
    lan.leases = vec![
        network_lease(1, "10.1.0.1", "web", 1_500),
        network_lease(2, "10.1.0.2", "printer", 0),
        network_lease(3, "10.1.0.3", "late", NOW - 1),
        network_lease(4, "10.1.0.4", "no host name", 0),
        network_lease(5, "10.1.0.5", "other", 0),
    ];
    world.networks(there, vec![lan]);
    world.guest(there, guest(1, "vm", vec![nic(1, Some("virbr0"), Some("lan"), &[])]));
    // The same MAC on another network is another NIC.
    world.guest(there, guest(2, "vm2", vec![nic(5, None, Some("nowhere"), &[])]));
    let compiled = world.compiled();
    for key in ["h web", "h web.lan", "h web.lan.example", "h web.rack"] {
        compiled.is(key, &["10.1.0.1 TAe lease web until 1500"]);
    }
    compiled.is("g vm", &["10.1.0.1 TAe lease vm until 1500", "- TAe lease vm"]);
    compiled.is("g vm.rack", &["10.1.0.1 TAe lease vm until 1500"]);
    for key in
        ["h printer", "h printer.lan", "h printer.lan.example", "h printer.rack", "a 10.1.0.2"]
    {
        compiled.is(key, &["10.1.0.2 Te lease printer"]);
    }
    compiled.is("h other", &["10.1.0.5 Te lease other"]);
    compiled.is("h late", &[]);
    compiled.is("a 10.1.0.4", &[]);
    // The scope of a bridge of another host means nothing.
    assert!(world.files.bridges.is_empty());
}

#[test]
fn networks_that_mean_nothing_here() {
    let mut world = World::default();
    let there = world.there("rack");
    let mut nat = network("default", Some("virbr0"), None, false);
    nat.leases = vec![
        network_lease(1, "192.168.122.5", "web", 0),
        network_lease(9, "192.168.122.9", "x", 0),
    ];
    world.networks(there, vec![nat, network("lan", None, None, true)]);
    let agent = |last| vec![(Source::Agent, format!("192.168.122.{last}"))];
    let on = |number: u8, network: Option<&str>| {
        let told = agent(number);
        let told: Vec<_> =
            told.iter().map(|(source, address)| (*source, address.as_str())).collect();
        guest(number, &format!("vm{number}"), vec![nic(number, None, network, &told)])
    };
    world.guest(there, on(1, DEFAULT));
    world.guest(there, on(2, Some("lan")));
    world.guest(there, on(3, None));
    world.guest(there, on(4, Some("unknown")));
    let compiled = world.compiled();
    compiled.is("g vm1", &["- TAe lease vm1"]);
    compiled.is("g vm2", &["192.168.122.2 TAe agent vm2"]);
    compiled.is("g vm3", &["192.168.122.3 TAe agent vm3"]);
    compiled.is("g vm4", &["- TAe lease vm4"]);
    compiled.is("h web", &[]);
    compiled.is("h x", &[]);
    world.connections[0].nat = true;
    let compiled = world.compiled();
    compiled.is("g vm1", &["192.168.122.1 TAe agent vm1"]);
    compiled.is("h x", &["192.168.122.9 Te lease x"]);
}

#[test]
fn two_connections_with_one_name() {
    let mut world = World::default();
    let first = world.there("first");
    let second = world.there("second");
    world.guest(first, guest(1, "vm", vec![nic(1, None, None, &[(Source::Agent, "10.1.0.1")])]));
    world.guest(second, guest(2, "VM", vec![nic(2, None, None, &[(Source::Agent, "10.2.0.1")])]));
    world.guest(second, guest(3, "twin", vec![nic(3, None, None, &[(Source::Agent, "10.1.0.1")])]));
    let compiled = world.compiled();
    compiled.is("g vm", &["10.1.0.1 TAe agent vm"]);
    compiled.is("g vm.first", &["10.1.0.1 TAe agent vm"]);
    compiled.is("g vm.second", &["10.2.0.1 TAe agent VM"]);
    compiled.is("a 10.1.0.1", &["10.1.0.1 TAde agent vm"]);
    compiled.is("a 10.2.0.1", &["10.2.0.1 TAde agent VM"]);
}

#[test]
fn this_host_between_others() {
    let mut world = World::default();
    let before = world.there("before");
    let here = world.here();
    let behind = world.there("behind");
    for (id, number) in [(before, 1), (behind, 2)] {
        let told = format!("10.{number}.0.1");
        let mut vm = guest(number, "vm", vec![nic(number, None, None, &[(Source::Agent, &told)])]);
        vm.host_name = Some(if id == before { "one" } else { "two" }.into());
        world.guest(id, vm);
    }
    world.lease("virbr0", 5, "10.0.0.5", "one");
    world.lease("virbr0", 6, "10.0.0.6", "two");
    world.runs("virbr0", "vm", 5);
    world.runs("virbr0", "vm2", 6);
    let compiled = world.compiled();
    // What look-ups fall back to without the daemon stays, and doesn't count with it.
    compiled.is("h one", &["10.1.0.1 TAeb agent one", "10.0.0.5 LAx files one until 2000"]);
    compiled.is("h two", &["10.0.0.6 LA files two until 2000"]);
    compiled.is(
        "g vm",
        &["10.1.0.1 TAeb agent vm", "- LAx files vm", "10.0.0.5 LAx files vm until 2000"],
    );
    compiled.is("g vm.behind", &["10.2.0.1 TAe agent vm"]);
    compiled.is("h one.host", &["10.0.0.5 TA files one until 2000"]);
    // When that lease ends the name is another's.
    assert_eq!(compiled.until, Some(2_000));
    let _ = here;
}

/// Without a connection to this host the files come first.
#[test]
fn files_before_all_others() {
    let mut world = World::default();
    let there = world.there("rack");
    let mut vm = guest(1, "vm", vec![nic(1, None, None, &[(Source::Agent, "10.1.0.1")])]);
    vm.host_name = Some("web".into());
    world.guest(there, vm);
    world.lease("virbr0", 5, "10.0.0.5", "web");
    world.runs("virbr0", "here", 5);
    let compiled = world.compiled();
    compiled.is("h web", &["10.0.0.5 LA files web until 2000"]);
    compiled.is("h web.rack", &["10.1.0.1 TAe agent web"]);
    assert_eq!(compiled.until, Some(2_000));
}

/// What a destroyed guest left behind here hides no guest that runs elsewhere, as after a migration.
#[test]
fn a_running_guest_before_what_was_left_behind() {
    let mut world = World::default();
    world.here();
    let there = world.there("rack");
    let mut vm = guest(1, "vm", vec![nic(1, None, None, &[(Source::Agent, "10.1.0.1")])]);
    vm.host_name = Some("web".into());
    world.guest(there, vm);
    world.lease("virbr0", 5, "10.0.0.5", "web");
    let compiled = world.compiled();
    let told = "10.1.0.1 TAeb agent web";
    compiled.is("h web", &["10.0.0.5 Lx files web until 2000", told]);
    compiled.is("h web.host", &["10.0.0.5 T files web until 2000"]);
    compiled.is("h web.rack", &["10.1.0.1 TAe agent web"]);
}

/// Of two connections to this host each guest has its own leases.
#[test]
fn two_connections_to_this_host() {
    let mut world = World::default();
    let qemu = world.here();
    let lxc = world.connection("lxc", "lxc:///");
    world.lease("virbr0", 1, "10.0.0.1", "web");
    world.lease("virbr0", 2, "10.0.0.2", "box");
    world.runs("virbr0", "vm", 1);
    world.runs("virbr0", "box", 2);
    world.guest(qemu, guest(1, "vm", vec![nic(1, BR, None, &[])]));
    let told = [(Source::Arp, "10.0.0.2"), (Source::Arp, "10.0.0.3")];
    world.guest(lxc, guest(2, "box", vec![nic(2, BR, None, &told)]));
    let compiled = world.compiled();
    compiled
        .is("g box", &["- LA files box", "10.0.0.2 LTA arp box until 2000", "10.0.0.3 TA arp box"]);
    compiled.is("h box.lxc", &["10.0.0.2 TA arp box", "10.0.0.3 TA arp box"]);
    compiled.is("h box.host", &[]);
    compiled.is("h web.host", &["10.0.0.1 TA files web until 2000"]);
}

#[test]
fn an_alias_stands_back() {
    let mut world = World::default();
    let here = world.here();
    world.networks(here, vec![network("default", BR, Some("lab"), false)]);
    world.lease_in("virbr0", 1, "10.0.0.1", "web", "lab");
    world.lease("virbr0", 2, "10.0.0.2", "web.default");
    world.lease("virbr0", 3, "10.0.0.3", "web.lab");
    world.lease("virbr0", 4, "10.0.0.4", "left");
    world.runs("virbr0", "web", 1);
    world.runs("virbr0", "web.default", 2);
    let compiled = world.compiled();
    compiled.is("h web.default", &["10.0.0.2 LA files web.default until 2000"]);
    compiled.is(
        "g web.default",
        &["- LA files web.default", "10.0.0.2 LA files web.default until 2000"],
    );
    // A look-up in the files finds both.
    compiled.is(
        "h web.lab",
        &["10.0.0.1 LA files web until 2000", "10.0.0.3 L files web.lab until 2000"],
    );
    // Leases without a guest have aliases too.
    for key in ["h left.default", "h left.lab", "h left.host"] {
        compiled.is(key, &["10.0.0.4 T files left until 2000"]);
    }
    compiled.is("h web.host", &["10.0.0.1 TA files web until 2000"]);
    compiled.is("g web.host", &["10.0.0.1 TA files web until 2000"]);
}

/// The record's domain and the network's are one: the address that only the agent knows is there too.
#[test]
fn a_derived_name_and_an_alias_are_one() {
    let mut world = World::default();
    let here = world.here();
    world.networks(here, vec![network("default", BR, Some("lab"), false)]);
    world.lease_in("virbr0", 1, "10.0.0.1", "web", "lab");
    world.runs("virbr0", "vm", 1);
    let told = [(Source::Agent, "10.0.0.1"), (Source::Agent, "fd00::1")];
    world.guest(here, guest(1, "vm", vec![nic(1, BR, DEFAULT, &told)]));
    let compiled = world.compiled();
    compiled.is("h web.lab", &["10.0.0.1 LTA agent web until 2000", "fd00::1 TA agent web"]);
    compiled.is("g vm.lab", &["10.0.0.1 LTA agent vm until 2000", "fd00::1 TA agent vm"]);
}

#[test]
fn suffixes_that_are_none() {
    let mut world = World::default();
    let here = world.here();
    world.networks(here, vec![network("my net", BR, Some("1"), false)]);
    world.lease("virbr0", 1, "10.0.0.1", "web");
    world.runs("virbr0", "my vm", 1);
    let compiled = world.compiled();
    compiled.is("h web.my net", &[]);
    compiled.is("h web.1", &[]);
    compiled.is("h web.host", &["10.0.0.1 TA files web until 2000"]);
    compiled.is("g my vm.my net", &["10.0.0.1 TA files my vm until 2000"]);
}

/// A guest that libvirt has and the MAC map not yet: its lease is told.
#[test]
fn a_nic_that_no_map_has() {
    let mut world = World::default();
    let here = world.here();
    world.lease("virbr0", 1, "10.0.0.1", "web");
    world.guest(here, guest(1, "vm", vec![nic(1, BR, None, &[])]));
    let compiled = world.compiled();
    compiled.is("g vm", &["10.0.0.1 TA files vm until 2000", "- TA lease vm"]);
    compiled.is("h web", &["10.0.0.1 L files web until 2000"]);
}
