//! What guests may claim.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;

use daemon::host::Host;
use daemon::model::ReportedBy;
use guest_names::snapshot::format;

use crate::world::*;

#[test]
fn addresses_that_are_not_believed() {
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
    // 10.0.0.5 is leased to a running guest.
    world.lease("virbr0", 5, "10.0.0.5", "victim");
    world.runs("virbr0", "victim", 5);
    // 10.0.0.6 is leased to something that is not a guest of libvirt.
    world.lease("virbr0", 6, "10.0.0.6", "gone");
    let reported: Vec<_> = lies.iter().map(|&address| (ReportedBy::Agent, address)).collect();
    for (id, number) in [(here, 1), (there, 2)] {
        let mut liar =
            guest(number, &format!("liar{number}"), vec![nic(number, None, None, &reported)]);
        liar.host_name = Some("localhost".into());
        world.guest(id, liar);
    }
    world.guest(
        here,
        guest(3, "heir", vec![nic(3, None, None, &[(ReportedBy::Agent, "10.0.0.6")])]),
    );
    let arp = [(ReportedBy::Neighbour, "10.0.0.5"), (ReportedBy::Lease, "10.0.0.5")];
    world.guest(there, guest(4, "arp", vec![nic(4, None, None, &arp)]));
    let compiled = world.compiled();
    for liar in ["liar1", "liar2"] {
        let flags = if liar == "liar1" { "TA" } else { "TAe" };
        compiled.is(&format!("g {liar}"), &[&format!("- {flags} lease {liar}")]);
        compiled.is(&format!("g {liar}.vm.internal"), &[]);
    }
    compiled.is("g arp", &["- TAe lease arp"]);
    compiled.is("g heir", &["- TA lease heir"]);
    compiled.is("h localhost", &[]);
    // The leases end at 2000. Then others may have the addresses.
    assert_eq!(compiled.until, Some(2_000));
    compiled.is(
        "a 10.0.0.5",
        &["10.0.0.5 LAd files victim until 2000", "10.0.0.5 LA files victim until 2000"],
    );
}

/// The agent reports the address on another NIC of the same guest, and on the NIC that has the lease.
#[test]
fn a_guest_may_have_its_own_leases_address() {
    let mut world = World::default();
    let here = world.here();
    world.lease("virbr0", 1, "10.0.0.1", "web");
    world.runs("virbr0", "vm", 1);
    let nics = vec![nic(1, BR, None, &[]), nic(2, BR, None, &[(ReportedBy::Agent, "10.0.0.1")])];
    world.guest(here, guest(1, "vm", nics));
    let compiled = world.compiled();
    compiled.is("h web.vm.internal", &["10.0.0.1 TA files web until 2000"]);
    compiled.is("g vm", &["- LA files vm", "10.0.0.1 LTAc files vm until 2000"]);
    // When the lease ends, only the agent's report is left.
    assert_eq!(compiled.until, Some(2_000));
}

#[test]
fn link_local_addresses_need_a_bridge_of_this_host() {
    let mut world = World::default();
    let here = world.here();
    let there = world.there("rack");
    let reported = [(ReportedBy::Agent, "fe80::1")];
    world.guest(here, guest(1, "bridged", vec![nic(1, Some("br0"), None, &reported)]));
    world.guest(here, guest(2, "macvtap", vec![nic(2, None, None, &reported)]));
    world.guest(there, guest(3, "far", vec![nic(3, Some("br0"), None, &reported)]));
    let compiled = world.compiled();
    compiled.is("g bridged", &["fe80::1%br0 TA agent bridged"]);
    compiled.is("g macvtap", &["- TA lease macvtap"]);
    compiled.is("g far", &["- TAe lease far"]);
}

#[test]
fn networks_that_this_host_cannot_reach() {
    let mut world = World::default();
    let there = world.there("rack");
    let mut nat = network("default", Some("virbr0"), None, false);
    nat.leases = vec![
        network_lease(1, "192.168.122.5", "web", 0),
        network_lease(9, "192.168.122.9", "x", 0),
    ];
    world.networks(there, vec![nat, network("lan", None, None, true)]);
    let agent = |last| vec![(ReportedBy::Agent, format!("192.168.122.{last}"))];
    let on = |number: u8, network: Option<&str>| {
        let reported = agent(number);
        let reported: Vec<_> =
            reported.iter().map(|(source, address)| (*source, address.as_str())).collect();
        guest(number, &format!("vm{number}"), vec![nic(number, None, network, &reported)])
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

fn subnets(texts: &[&str]) -> Vec<ipnet::IpNet> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// A guest's addresses, in the order of the snapshot.
fn addresses(compiled: &Compiled, guest: &str) -> Vec<String> {
    let entries = compiled.keys.get(&format!("g {guest}")).into_iter().flatten();
    let addresses = entries.map(|entry| entry.split(' ').next().unwrap().to_owned());
    addresses.filter(|address| address != "-").collect()
}

/// On a libvirt network, addresses inside its subnets are believed, except the host's.
#[test]
fn a_networks_subnets() {
    let mut world = World::default();
    let (here, there) = (world.here(), world.there("rack"));
    let own = |subnet: &[&str]| {
        let mut default = network("default", BR, None, true);
        default.subnets = subnets(subnet);
        vec![default]
    };
    world.networks(here, own(&["192.168.122.1/24", "fd00:1::1/64"]));
    world.networks(there, own(&["10.1.0.1/16"]));
    let reported = [
        "8.8.8.8",
        "192.168.122.1",
        "192.168.122.7",
        "192.168.123.7",
        "10.0.100.5",
        "10.1.0.1",
        "10.1.2.3",
        "fd00:1::1",
        "fd00:1::7",
        "fd00:2::7",
        "fd69::2",
    ];
    let reported = reported.map(|address| (ReportedBy::Agent, address));
    world.guest(here, guest(1, "here", vec![nic(1, BR, DEFAULT, &reported)]));
    world.guest(there, guest(2, "there", vec![nic(2, BR, DEFAULT, &reported)]));
    let compiled = world.compiled();
    assert_eq!(addresses(&compiled, "here"), ["192.168.122.7", "fd00:1::7"]);
    assert_eq!(addresses(&compiled, "there"), ["10.1.2.3"]);
}

/// On a bridge, addresses inside the subnets that the host has there are believed, separately for each family.
#[test]
fn a_bridges_subnets() {
    let mut world = World::default();
    let (here, there) = (world.here(), world.there("rack"));
    world.host = Host {
        addresses: vec!["10.5.0.2".parse().unwrap(), "172.17.0.1".parse().unwrap()],
        gateways: vec!["10.5.0.1".parse().unwrap()],
        subnets: vec![
            ("br0".into(), "10.5.0.0/24".parse().unwrap()),
            ("br0".into(), "fe80::/64".parse().unwrap()),
            ("docker0".into(), "172.17.0.0/16".parse().unwrap()),
        ],
    };
    let reported = ["10.5.0.1", "10.5.0.2", "10.5.0.7", "172.17.0.1", "172.17.0.7", "2001:db8::7"];
    let own = |last: u8, bridge| {
        let reported = reported.map(|address| {
            // Each guest reports its own.
            (
                ReportedBy::Agent,
                address.replace(".7", &format!(".{last}")).replace("::7", &format!("::{last}")),
            )
        });
        let reported = reported.each_ref().map(|(source, address)| (*source, address.as_str()));
        guest(last, &format!("vm{last}"), vec![nic(last, bridge, None, &reported)])
    };
    world.guest(here, own(7, Some("br0")));
    world.guest(here, own(8, Some("br1")));
    world.guest(there, own(9, Some("br0")));
    let compiled = world.compiled();
    assert_eq!(addresses(&compiled, "vm7"), ["10.5.0.7", "2001:db8::7"]);
    // No subnet is known.
    let all = |last: u8| {
        [format!("10.5.0.{last}"), format!("172.17.0.{last}"), format!("2001:db8::{last}")]
    };
    assert_eq!(addresses(&compiled, "vm8"), all(8));
    assert_eq!(addresses(&compiled, "vm9"), all(9));
    // The configuration gives subnets.
    for connection in &mut world.connections {
        connection.subnets = subnets(&["10.5.0.0/16", "2001:db8::/32"]);
    }
    let compiled = world.compiled();
    assert_eq!(addresses(&compiled, "vm7"), ["10.5.0.7", "2001:db8::7"]);
    assert_eq!(addresses(&compiled, "vm8"), ["10.5.0.8", "2001:db8::8"]);
    assert_eq!(addresses(&compiled, "vm9"), ["10.5.0.9", "2001:db8::9"]);
}

/// A bridge without IPv6 has no link-local addresses. They are only used if there are no others.
#[test]
fn link_local_addresses() {
    let link = |own: &[&str], more: Option<&str>| {
        let mut world = World::default();
        let here = world.here();
        let own = own.iter().map(|subnet| ("br0".to_owned(), subnet.parse().unwrap()));
        world.host.subnets = own.collect();
        let reported = [Some("fe80::7"), more].into_iter().flatten();
        let reported: Vec<_> = reported.map(|address| (ReportedBy::Agent, address)).collect();
        world.guest(here, guest(1, "vm", vec![nic(1, Some("br0"), None, &reported)]));
        addresses(&world.compiled(), "vm")
    };
    assert_eq!(link(&["10.5.0.0/24", "fe80::/64"], None), ["fe80::7%br0"]);
    assert_eq!(link(&["10.5.0.0/24", "fe80::/64"], Some("10.5.0.7")), ["10.5.0.7"]);
    assert_eq!(link(&["10.5.0.0/24"], None), [""; 0]);
    assert_eq!(link(&[], None), ["fe80::7%br0"]);
    // libvirt disables IPv6 on the bridge of a network without IPv6.
    let mut world = World::default();
    let here = world.here();
    let mut default = network("default", BR, None, false);
    default.subnets = subnets(&["192.168.122.1/24"]);
    world.networks(here, vec![default]);
    world.guest(here, guest(1, "vm", vec![nic(1, BR, DEFAULT, &[(ReportedBy::Agent, "fe80::7")])]));
    assert_eq!(addresses(&world.compiled(), "vm"), [""; 0]);
}

/// An overlay's address may be the same on every guest, and a virtual IP on two: such an address belongs to none of them.
#[test]
fn an_address_that_several_guests_report() {
    let mut world = World::default();
    let (here, there) = (world.here(), world.there("rack"));
    let mut vm = |id, number: u8, uuid: u8, addresses: &[&str]| {
        let reported: Vec<_> =
            addresses.iter().map(|&address| (ReportedBy::Agent, address)).collect();
        let mut vm =
            guest(number, &format!("vm{number}"), vec![nic(number, None, None, &reported)]);
        vm.uuid = [uuid; 16];
        world.guest(id, vm);
    };
    vm(here, 1, 1, &["10.0.0.1", "fd69::2", "10.0.0.100"]);
    vm(here, 2, 2, &["10.0.0.2", "fd69::2"]);
    vm(there, 3, 3, &["10.0.0.3", "fd69::2", "10.0.0.100"]);
    // A guest that is being migrated.
    vm(there, 4, 1, &["10.0.0.1", "10.0.0.4"]);
    let compiled = world.compiled();
    assert_eq!(addresses(&compiled, "vm1"), ["10.0.0.1"]);
    assert_eq!(addresses(&compiled, "vm2"), ["10.0.0.2"]);
    assert_eq!(addresses(&compiled, "vm3"), ["10.0.0.3"]);
    assert_eq!(addresses(&compiled, "vm4"), ["10.0.0.1", "10.0.0.4"]);
    compiled.is("a fd69::2", &[]);
    compiled.is("a 10.0.0.100", &[]);
}

/// A claim that isn't believed takes nothing from others.
#[test]
fn a_false_claim_takes_no_address_from_its_owner() {
    let mut world = World::default();
    let here = world.here();
    let mut default = network("default", BR, None, false);
    default.subnets = subnets(&["192.168.122.1/24"]);
    world.networks(here, vec![default]);
    world.lease("virbr0", 1, "192.168.122.5", "web");
    world.runs("virbr0", "web-vm", 1);
    let agent = |address| (ReportedBy::Agent, address);
    world.guest(here, guest(1, "web-vm", vec![nic(1, BR, DEFAULT, &[agent("192.168.122.5")])]));
    world.guest(here, guest(2, "static", vec![nic(2, Some("br0"), None, &[agent("10.5.0.7")])]));
    let lies = [agent("192.168.122.5"), agent("10.5.0.7")];
    world.guest(here, guest(3, "liar", vec![nic(3, BR, DEFAULT, &lies)]));
    let compiled = world.compiled();
    assert_eq!(addresses(&compiled, "web-vm"), ["192.168.122.5"]);
    assert_eq!(addresses(&compiled, "static"), ["10.5.0.7"]);
    assert_eq!(addresses(&compiled, "liar"), [""; 0]);
}

/// Leases that libvirt reports for another guest, here or on another host.
#[test]
fn reported_leases_of_others() {
    let mut world = World::default();
    let rack = world.there("rack");
    let other = world.there("other");
    let mut lan = network("lan", None, None, true);
    lan.leases = vec![network_lease(1, "10.1.0.1", "web", 1_700)];
    world.networks(rack, vec![lan]);
    let claim = [(ReportedBy::Agent, "10.1.0.1")];
    world.guest(rack, guest(1, "web-vm", vec![nic(1, None, Some("lan"), &claim)]));
    world.guest(rack, guest(2, "liar", vec![nic(2, None, None, &claim)]));
    world.guest(other, guest(3, "other", vec![nic(1, None, None, &claim)]));
    let compiled = world.compiled();
    assert_eq!(addresses(&compiled, "web-vm"), ["10.1.0.1"]);
    assert_eq!(addresses(&compiled, "liar"), [""; 0]);
    assert_eq!(addresses(&compiled, "other"), [""; 0]);
}

/// They are treated as dnsmasq treats host names in DHCP requests.
#[test]
fn host_names_of_agents() {
    let named = |name: &str| {
        let mut world = World::default();
        let here = world.here();
        world.networks(here, vec![network("default", BR, Some("lab.example"), false)]);
        let mut vm = guest(1, "vm", vec![nic(1, BR, DEFAULT, &[(ReportedBy::Agent, "10.0.0.1")])]);
        vm.host_name = Some(name.into());
        world.guest(here, vm);
        let keys = world.compiled().keys;
        let mut names: Vec<_> = keys.into_keys().filter(|key| key.starts_with('h')).collect();
        names.retain(|name| !name.ends_with(".vm.internal"));
        names
    };
    let www = ["h www", "h www.lab.example"];
    assert_eq!(named("www"), www);
    assert_eq!(named("www.bank.example"), www);
    assert_eq!(named("www.lab.example"), www);
    for bad in ["", ".", "localhost", "localhost.localdomain", "10.0.0.1", "a b", "-a.example"] {
        assert_eq!(named(bad), [""; 0], "{bad}");
    }
}

/// The number of addresses of one guest is limited, except for leases in the files, and the log names the guest.
#[test]
fn a_guest_with_too_many_addresses() {
    let mut world = World::default();
    let here = world.here();
    for last in 0..100 {
        world.lease("virbr0", 1, &format!("10.0.0.{last}"), "web").expiry = 0;
    }
    world.runs("virbr0", "vm", 1);
    let all: Vec<String> =
        (0..100).flat_map(|n| [format!("10.0.0.{n}"), format!("10.0.1.{n}")]).collect();
    let reported: Vec<_> =
        all.iter().map(|address| (ReportedBy::Agent, address.as_str())).collect();
    world.guest(here, guest(1, "vm", vec![nic(1, BR, None, &reported)]));
    let others: Vec<String> = (0..64).map(|n| format!("10.0.2.{n}")).collect();
    let others: Vec<_> =
        others.iter().map(|address| (ReportedBy::Agent, address.as_str())).collect();
    world.guest(here, guest(2, "other", vec![nic(2, Some("br0"), None, &others)]));
    let compiled = world.compiled();
    assert_eq!(addresses(&compiled, "vm").len(), 100 + 64);
    assert_eq!(addresses(&compiled, "other").len(), 64);
    assert_eq!(
        compiled.limited,
        ["guest vm of connection host reports more than 64 addresses; the others are left out"]
    );
}

/// The limit is the same for addresses that the kernel's neighbour table has.
#[test]
fn a_guest_with_too_many_neighbour_entries() {
    let mut world = World::default();
    let here = world.here();
    world.connections[0].neighbours = true;
    for last in 0..100 {
        world.neighbour("br0", 1, &format!("10.0.0.{last}"));
    }
    world.guest(here, guest(1, "vm", vec![nic(1, Some("br0"), None, &[])]));
    let compiled = world.compiled();
    assert_eq!(addresses(&compiled, "vm").len(), 64);
    assert_eq!(
        compiled.limited,
        ["guest vm of connection host reports more than 64 addresses; the others are left out"]
    );
}

/// Names with the same hash in the snapshot: each position can be filled with either of two pieces of text.
fn names_of_one_hash(count: usize) -> Vec<String> {
    let step = |hash: u32, text: &str| {
        text.bytes().fold(hash, |hash, byte| hash.wrapping_mul(33) ^ u32::from(byte))
    };
    let (mut names, mut hash) = (vec![String::new()], step(5381, "h"));
    while names.len() < count {
        let letters = || ('a'..='z').chain('0'..='9');
        let pieces = letters().flat_map(|a| letters().map(move |b| format!("{a}{b}x")));
        let mut by_hash = BTreeMap::new();
        let (one, other) = pieces
            .filter_map(|piece| {
                let before = by_hash.insert(step(hash, &piece), piece.clone());
                before.map(|before| (before, piece))
            })
            .next()
            .unwrap();
        hash = step(hash, &one);
        let longer = |name: &String| [format!("{name}{one}"), format!("{name}{other}")];
        names = names.iter().flat_map(longer).collect();
    }
    names
}

#[test]
fn names_with_one_hash() {
    let names = names_of_one_hash(100);
    let hashes = names.iter().map(|name| format::hash(format!("h{name}").as_bytes()));
    assert_eq!(hashes.collect::<BTreeSet<_>>().len(), 1);
    let mut world = World::default();
    world.here();
    let (first, rest) = names.split_at(40);
    for (at, name) in (0..).zip(first) {
        world.lease("virbr0", 1, &format!("10.0.0.{at}"), name);
    }
    // With MAC addresses that a guest made up.
    for (at, name) in (0..).zip(&rest[..40]) {
        world.lease("virbr1", 100 + at, &format!("10.0.1.{at}"), name);
    }
    world.lease("virbr0", 2, "10.0.2.1", &rest[50]);
    world.runs("virbr0", "vm", 1);
    world.runs("virbr0", "other", 2);
    let compiled = world.compiled();
    let count = |names: &[String], suffix: &str| {
        names.iter().filter(|name| compiled.keys.contains_key(&format!("h {name}{suffix}"))).count()
    };
    assert_eq!((count(first, ""), count(rest, "")), (16, 17));
    assert_eq!((count(first, ".vm.internal"), count(rest, ".vm.internal")), (16, 17));
    compiled
        .is(&format!("h {}", rest[50]), &[&format!("10.0.2.1 LA files {} until 2000", rest[50])]);
    assert_eq!(
        compiled.limited,
        [
            "guest vm has more than 16 host names and addresses with the same hash; the others are left out",
            "bridge virbr1 (no known guest) has more than 16 host names and addresses with the same hash; the \
             others are left out",
        ]
    );
}

/// A guest can ask a DHCP server for addresses that it chooses.
#[test]
fn addresses_with_one_hash() {
    let address = |end: u32| Ipv6Addr::from(0xfd00 << 112 | u128::from(end));
    let hash = |end: u32| format::hash(&[b"a", &address(end).octets()[..]].concat());
    let mut by_hash: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for end in 0..1 << 20 {
        by_hash.entry(hash(end)).or_default().push(end);
    }
    let ends = by_hash.into_values().find(|ends| ends.len() > 20).unwrap();
    let mut world = World::default();
    world.here();
    for (at, &end) in (0..).zip(&ends) {
        world.lease("virbr0", 1, &address(end).to_string(), &format!("n{at}"));
    }
    world.runs("virbr0", "vm", 1);
    let compiled = world.compiled();
    let is_there = |&&end: &&u32| compiled.keys.contains_key(&format!("a {}", address(end)));
    assert_eq!(ends.iter().filter(is_there).count(), 16);
    assert_eq!(
        compiled.limited,
        [
            "guest vm has more than 16 host names and addresses with the same hash; the others are left out"
        ]
    );
}

/// libvirt doesn't report how old an entry of another host's neighbour table is.
#[test]
fn another_hosts_neighbours_beside_leases() {
    let mut world = World::default();
    let there = world.there("rack1");
    let mut lan = network("lan", Some("virbr0"), None, true);
    lan.leases = vec![network_lease(1, "10.0.0.1", "web", 2_000)];
    world.networks(there, vec![lan]);
    let neighbours = [(ReportedBy::Neighbour, "10.0.0.9"), (ReportedBy::Neighbour, "fd00::9")];
    world.guest(there, guest(1, "vm", vec![nic(1, None, Some("lan"), &neighbours)]));
    world.guest(there, guest(2, "static", vec![nic(2, None, Some("lan"), &neighbours[..1])]));
    let compiled = world.compiled();
    compiled.is("g vm", &["10.0.0.1 TAe lease vm until 2000", "fd00::9 TAe neighbour vm"]);
    compiled.is("g static", &["10.0.0.9 TAe neighbour static"]);
}
