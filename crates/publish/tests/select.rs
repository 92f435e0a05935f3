//! Which names in a snapshot are published, and with which addresses.

use guest_names::address::{Address, Mac};
use guest_names::bridge::Bridge;
use guest_names::candidate::Evidence;
use guest_names::snapshot::format::{Entry, flags};
use guest_store::snapshot::info::{ConnectionInfo, NetworkInfo};
use publish::select::{Selected, select};
use publish::settings::{Settings, Signing};
use publish::zone::{Certainty, Held, HeldNames};

const NOW: i64 = 1000;

fn settings() -> Settings {
    Settings {
        server: "ns1".into(),
        port: 53,
        zone: "site.example".into(),
        reverse_zones: Vec::new(),
        signing: Signing::Credential,
        networks: None,
        connections: None,
        host_names: false,
        ttl: 60,
        host: None,
        retry: std::time::Duration::from_secs(60),
    }
}

fn connections() -> Vec<ConnectionInfo> {
    let network = |name: &str, bridge: &str, routed, subnet: &str| NetworkInfo {
        name: name.into(),
        bridge: Some(bridge.into()),
        routed,
        subnets: vec![subnet.into()],
    };
    let here = vec![
        network("default", "virbr0", false, "192.168.122.1/24"),
        network("routed", "virbr1", true, "10.0.0.1/24"),
    ];
    let there = vec![network("far", "virbr0", true, "10.1.0.1/24")];
    vec![
        ConnectionInfo {
            name: "host".into(),
            here: true,
            network_details: here,
            ..ConnectionInfo::default()
        },
        ConnectionInfo {
            name: "rack1".into(),
            network_details: there,
            ..ConnectionInfo::default()
        },
    ]
}

fn entry<'e>(name: &'e str, address: &str, bridge: &str) -> Entry<'e> {
    Entry {
        flags: flags::REPORTED | flags::ATTACHED,
        evidence: Evidence::Agent,
        connection: 0,
        address: Address::parse(address.as_bytes()),
        mac: Some(Mac([0x52, 0x54, 0, 0, 0, 1])),
        bridge: Bridge::new(bridge.as_bytes()).unwrap_or(Bridge::NONE),
        expiry: 0,
        order: 0,
        client: 0,
        name: name.as_bytes(),
    }
}

fn leased<'e>(name: &'e str, address: &str, bridge: &str, expiry: i64) -> Entry<'e> {
    let entry = entry(name, address, bridge);
    Entry { flags: flags::LEASE, evidence: Evidence::StateFile, expiry, ..entry }
}

fn selected(
    records: &[(&str, &[Entry<'_>])],
    settings: &Settings,
    held: Option<&HeldNames>,
) -> Selected {
    let records = records.iter().map(|(key, entries)| (key.as_bytes(), entries.to_vec()));
    select(records, &connections(), settings, held, NOW)
}

/// As lines `NAME RECORD...`.
fn names(selected: &Selected) -> Vec<String> {
    let line = |(name, records): (&String, &std::collections::BTreeSet<_>)| {
        let records: Vec<String> =
            records.iter().map(publish::record::DnsRecord::to_string).collect();
        format!("{name} {}", records.join(" "))
    };
    selected.wanted.iter().map(line).collect()
}

#[test]
fn domains_with_addresses_that_others_can_reach() {
    let web = [
        entry("Web", "10.0.0.7", "virbr1"),
        entry("Web", "fd00::7", "br0"),
        entry("Web", "fe80::7", "br0"),
        entry("Web", "169.254.0.7", "br0"),
        entry("Web", "127.0.0.1", "br0"),
    ];
    let nat = [entry("nat", "192.168.122.7", "virbr0"), entry("nat", "192.0.2.7", "br0")];
    // The address of a tunnel or a container, in the subnet of a network that others can't reach.
    let macvtap = [entry("macvtap", "192.168.122.8", "")];
    let records: [(&str, &[Entry<'_>]); 8] = [
        ("gweb", &web),
        ("gweb.vm.internal", &web),
        ("hweb", &web),
        ("hchosen-by-guest", &[entry("chosen-by-guest", "10.0.0.9", "virbr1")]),
        ("gnat", &nat),
        ("gmacvtap", &macvtap),
        ("gno address", &[entry("no address", "10.0.0.8", "virbr1")]),
        ("g_libvirt-nss.web", &[entry("_libvirt-nss.web", "10.0.0.8", "virbr1")]),
    ];
    let all = selected(&records, &settings(), None);
    assert_eq!(
        names(&all),
        ["nat.site.example A 192.0.2.7", "web.site.example A 10.0.0.7 AAAA fd00::7"]
    );
    let left_out: Vec<&str> = all.left_out.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(left_out, ["nat", "macvtap", "no address", "_libvirt-nss.web"]);
    assert_eq!(all.until, None);

    let with_hosts = Settings { host_names: true, ..settings() };
    let all = selected(&records, &with_hosts, None);
    assert!(names(&all).contains(&"chosen-by-guest.site.example A 10.0.0.9".to_owned()));
}

#[test]
fn networks_that_the_configuration_names() {
    let records: [(&str, &[Entry<'_>]); 3] = [
        ("gnat", &[entry("nat", "192.168.122.7", "virbr0")]),
        ("gbridged", &[entry("bridged", "192.0.2.7", "br0")]),
        ("grouted", &[entry("routed", "10.0.0.7", "virbr1")]),
    ];
    let chosen = |names: &[&str]| Settings {
        networks: Some(names.iter().map(|name| (*name).to_owned()).collect()),
        ..settings()
    };
    let all = selected(&records, &chosen(&["default"]), None);
    assert_eq!(names(&all), ["nat.site.example A 192.168.122.7"]);
    let all = selected(&records, &chosen(&["br0", "routed"]), None);
    assert_eq!(names(&all), ["bridged.site.example A 192.0.2.7", "routed.site.example A 10.0.0.7"]);
    assert!(selected(&records, &chosen(&[]), None).wanted.is_empty());
}

#[test]
fn guests_of_other_hosts() {
    let far = Entry {
        connection: 1,
        flags: flags::REPORTED | flags::ELSEWHERE,
        ..entry("far", "10.1.0.7", "")
    };
    let lost = Entry { connection: 9, ..entry("lost", "10.1.0.8", "") };
    let records: [(&str, &[Entry<'_>]); 2] = [("gfar", &[far]), ("glost", &[lost])];
    assert!(selected(&records, &settings(), None).wanted.is_empty());
    let rack1 = Settings { connections: Some(vec!["Rack1".into()]), ..settings() };
    assert_eq!(names(&selected(&records, &rack1, None)), ["far.site.example A 10.1.0.7"]);
}

#[test]
fn leases_end() {
    let leases = [
        leased("web", "10.0.0.7", "virbr1", NOW + 60),
        leased("web", "10.0.0.8", "virbr1", NOW + 30),
        leased("web", "10.0.0.9", "virbr1", NOW - 1),
    ];
    let denied = Entry { flags: flags::LEASE | flags::DENIED, ..leases[0] };
    let all = selected(&[("gweb", &leases), ("gdenied", &[denied])], &settings(), None);
    assert_eq!(names(&all), ["web.site.example A 10.0.0.7 A 10.0.0.8"]);
    assert_eq!(all.until, Some(NOW + 30));
}

/// libvirtd isn't running: nothing is known about its networks.
#[test]
fn networks_that_are_not_known() {
    let lease = [leased("web", "10.9.0.7", "virbr9", NOW + 60)];
    let records: [(&str, &[Entry<'_>]); 1] = [("gweb", &lease)];
    let all = selected(&records, &settings(), None);
    assert_eq!((all.wanted.len(), all.left_out.len()), (0, 1));
    let records_held = ["A 10.9.0.7".parse().unwrap()].into();
    let held = Held { records: records_held, certainty: Certainty::Sure };
    let held: HeldNames = [("web.site.example".to_owned(), held)].into();
    let all = selected(&records, &settings(), Some(&held));
    assert_eq!(names(&all), ["web.site.example A 10.9.0.7"]);
}

#[test]
fn domains_that_differ_in_case() {
    let both = [entry("WEB", "10.0.0.7", "virbr1"), entry("web", "10.0.0.8", "virbr1")];
    let all = selected(&[("gweb", &both)], &settings(), None);
    assert_eq!(names(&all), ["web.site.example A 10.0.0.8"]);
}
