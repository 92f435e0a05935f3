//! Which names and addresses identify which guest's host keys, and which guests only their host can reach.

use std::collections::BTreeMap;

use daemon::model::{Guest, ReportedBy};
use guest_store::snapshot::ssh::{GuestId, SshGuest};

use crate::world::*;

/// Gives the guest a host key of its own.
fn with_key(guest: Guest) -> Guest {
    let key = format!("ssh-ed25519 KEY{}", guest.uuid[0]);
    Guest { host_keys: Some([key].into()), ..guest }
}

/// The records: for each name or address, the guest's key and route.
struct Ssh {
    names: BTreeMap<String, String>,
    guests: BTreeMap<GuestId, SshGuest>,
}

impl Ssh {
    fn of(world: &World) -> Self {
        let (mut by_key, mut guests) = (BTreeMap::new(), BTreeMap::new());
        let mut take = |key: &[u8], data: &[u8]| {
            match key {
                [b's', 0, octets @ ..] => {
                    let octets: Vec<String> = octets.iter().map(u8::to_string).collect();
                    by_key.insert(octets.join("."), GuestId::from_bytes(data).unwrap());
                }
                [b's', name @ ..] => {
                    let name = String::from_utf8(name.to_vec()).unwrap();
                    by_key.insert(name, GuestId::from_bytes(data).unwrap());
                }
                [b'u', id @ ..] => {
                    let guest = SshGuest::from_json(data).unwrap();
                    guests.insert(GuestId::from_bytes(id).unwrap(), guest);
                }
                _ => panic!("{key:?}"),
            }
            Ok(())
        };
        world.names().ssh.each(&mut take).unwrap();
        let shown = |id: &GuestId| {
            let guest = &guests[id];
            let route = guest.route.as_ref().map(|route| {
                let addresses: Vec<_> = route.addresses.iter().map(ToString::to_string).collect();
                format!(" via {} to {}", route.host.host, addresses.join(","))
            });
            format!("{}{}", guest.keys.join(" "), route.unwrap_or_default()).trim().to_owned()
        };
        let names = by_key.iter().map(|(name, id)| (name.clone(), shown(id))).collect();
        Self { names, guests }
    }

    #[track_caller]
    fn is(&self, name: &str, expected: &str) {
        let found = self.names.get(name).map_or("", String::as_str);
        assert_eq!(found, expected, "under {name}; all: {:#?}", self.names);
    }
}

/// A guest on virbr0 with the leased address 10.0.0.NUMBER.
fn leased(world: &mut World, number: u8, name: &str, host_name: &str) -> Guest {
    world.lease("virbr0", number, &format!("10.0.0.{number}"), host_name);
    world.runs("virbr0", name, number);
    guest(number, name, vec![nic(number, BR, DEFAULT, &[])])
}

#[test]
fn names_that_the_administrator_gave() {
    let mut world = World::default();
    let here = world.here();
    world.networks(here, vec![network("default", BR, Some("lab.example"), false)]);
    let mut web = with_key(leased(&mut world, 1, "Web", "chosen"));
    web.host_name = Some("reported".into());
    world.guest(here, web);
    let ssh = Ssh::of(&world);
    let names = [
        "web",
        "web.vm.internal",
        "web.default.vm.internal",
        "web.host.vm.internal",
        "web.lab.example",
    ];
    for name in names.into_iter().chain(["10.0.0.1"]) {
        ssh.is(name, "ssh-ed25519 KEY1");
    }
    assert_eq!(ssh.names.len(), names.len() + 1, "{:?}", ssh.names);
    let web = &ssh.guests[&GuestId { connection: 0, uuid: [1; 16] }];
    assert_eq!((&*web.name, &*web.connection), ("Web", "host"));
}

/// A guest with the host name of another guest, or of a host on the Internet, neither gets that name nor takes it away.
#[test]
fn names_that_guests_choose() {
    let mut world = World::default();
    let here = world.here();
    let web = with_key(leased(&mut world, 1, "web", "web"));
    world.guest(here, web);
    for (number, chosen) in [(2, "web"), (3, "github.com"), (4, "10.0.0.1")] {
        let mut evil = with_key(leased(&mut world, number, &format!("evil-{number}"), chosen));
        evil.host_name = Some(chosen.into());
        world.guest(here, evil);
    }
    let ssh = Ssh::of(&world);
    ssh.is("web", "ssh-ed25519 KEY1");
    ssh.is("web.vm.internal", "ssh-ed25519 KEY1");
    ssh.is("github.com", "");
    ssh.is("github", "");
    ssh.is("10.0.0.1", "ssh-ed25519 KEY1");
}

#[test]
fn names_that_two_guests_share() {
    let mut world = World::default();
    let first = world.there("first");
    let second = world.there("second");
    let on = |address| vec![nic(1, None, None, &[(ReportedBy::Agent, address)])];
    world.guest(first, with_key(guest(1, "vm", on("10.1.0.1"))));
    // It has no key, and its name differs in case.
    world.guest(second, guest(2, "VM", on("10.2.0.1")));
    world.guest(first, with_key(guest(3, "db", on("10.1.0.3"))));
    // Its own name is another guest's name qualified by connection.
    world.guest(second, guest(4, "db.first", on("10.2.0.4")));
    let ssh = Ssh::of(&world);
    for name in ["vm", "vm.vm.internal", "vm.second"] {
        ssh.is(name, "");
    }
    for name in ["vm.first", "vm.first.vm.internal"] {
        ssh.is(name, "ssh-ed25519 KEY1");
    }
    ssh.is("db", "ssh-ed25519 KEY3");
    ssh.is("db.vm.internal", "ssh-ed25519 KEY3");
    for name in ["db.first", "db.first.vm.internal"] {
        ssh.is(name, "");
    }
}

/// A domain of another libvirt driver, which no connection lists.
#[test]
fn names_shared_with_a_domain_in_the_files() {
    let mut world = World::default();
    let there = world.there("there");
    world.guest(
        there,
        with_key(guest(1, "vm", vec![nic(1, None, None, &[(ReportedBy::Agent, "10.1.0.1")])])),
    );
    Ssh::of(&world).is("vm", "ssh-ed25519 KEY1");
    world.runs("virbr0", "vm", 5);
    Ssh::of(&world).is("vm", "");
    Ssh::of(&world).is("vm.there", "ssh-ed25519 KEY1");
}

/// One guest, reported by two connections. The host keys of the second connection don't count.
#[test]
fn a_guest_during_migration() {
    let mut world = World::default();
    let here = world.here();
    let there = world.there("there");
    let on = |address| vec![nic(1, None, None, &[(ReportedBy::Agent, address)])];
    world.guest(here, with_key(guest(1, "vm", on("10.1.0.1"))));
    let mut copy = guest(1, "vm", on("10.1.0.1"));
    copy.host_keys = Some(["ssh-ed25519 OTHER".into()].into());
    world.guest(there, copy.clone());
    Ssh::of(&world).is("vm", "ssh-ed25519 KEY1");
    let mut world = World::default();
    let here = world.here();
    let there = world.there("there");
    world.guest(here, guest(1, "vm", on("10.1.0.1")));
    world.guest(there, copy);
    Ssh::of(&world).is("vm", "");
}

#[test]
fn addresses_that_are_leased_to_one_guest() {
    let mut world = World::default();
    let here = world.here();
    // Leased to one guest, and reported by the agents of others, which doesn't count.
    let mut web = with_key(leased(&mut world, 1, "web", "web"));
    web.nics[0].addresses = nic(1, None, None, &[(ReportedBy::Agent, "10.0.0.1")]).addresses;
    world.guest(here, web);
    let reported = [
        (ReportedBy::Agent, "10.0.0.1"),
        (ReportedBy::Agent, "10.0.0.77"),
        (ReportedBy::Neighbour, "10.0.0.78"),
    ];
    world.guest(here, with_key(guest(2, "evil", vec![nic(2, BR, DEFAULT, &reported)])));
    // Leased to two guests, on two bridges.
    let db = with_key(leased(&mut world, 3, "db", "db"));
    world.guest(here, db);
    world.lease("virbr1", 9, "10.0.0.3", "other");
    let ssh = Ssh::of(&world);
    ssh.is("10.0.0.1", "ssh-ed25519 KEY1");
    for address in ["10.0.0.77", "10.0.0.78", "10.0.0.3"] {
        ssh.is(address, "");
    }
    ssh.is("db", "ssh-ed25519 KEY3");
}

/// A guest on a NAT network of another host.
fn behind(world: &mut World, uri: &str) -> daemon::model::ConnectionId {
    let there = world.connection("there", uri);
    let mut nat = network("default", BR, None, false);
    nat.subnets = vec!["192.168.122.1/24".parse().unwrap()];
    nat.leases = vec![network_lease(1, "192.168.122.5", "far", 2_000)];
    world.networks(there, vec![nat, network("routed", Some("virbr1"), None, true)]);
    let reported = [
        (ReportedBy::Agent, "192.168.122.6"),
        // The host's address, one in another subnet, and one that no guest can have.
        (ReportedBy::Agent, "192.168.122.1"),
        (ReportedBy::Agent, "10.9.9.9"),
        (ReportedBy::Agent, "127.0.0.1"),
        (ReportedBy::Agent, "fe80::1"),
    ];
    world.guest(there, with_key(guest(1, "far", vec![nic(1, BR, DEFAULT, &reported)])));
    there
}

#[test]
fn guests_that_only_their_host_can_reach() {
    let mut world = World::default();
    let there = behind(&mut world, "qemu+ssh://root@rack1:2222/system?keyfile=/k");
    let ssh = Ssh::of(&world);
    let expected = "ssh-ed25519 KEY1 via rack1 to 192.168.122.5,192.168.122.6";
    for name in
        ["far", "far.there", "far.vm.internal", "far.default.vm.internal", "far.there.vm.internal"]
    {
        ssh.is(name, expected);
    }
    // Here, another machine may have the address.
    for address in ["192.168.122.5", "192.168.122.6"] {
        ssh.is(address, "");
    }
    let host = &ssh.guests.values().next().unwrap().route.as_ref().unwrap().host;
    assert_eq!((host.user.as_deref(), host.port), (Some("root"), Some(2222)));
    assert_eq!(host.key_file.as_deref(), Some("/k"));
    // A second NIC that this host can reach.
    let nics = vec![
        nic(1, BR, DEFAULT, &[]),
        nic(2, None, Some("routed"), &[(ReportedBy::Agent, "10.5.0.1")]),
    ];
    world.guest(there, with_key(guest(1, "far", nics)));
    Ssh::of(&world).is("far", "ssh-ed25519 KEY1");
}

#[test]
fn guests_without_a_route_through_their_host() {
    for uri in ["qemu+tcp://rack1/system", "qemu+tls://rack1/system", "qemu+ssh:///system"] {
        let mut world = World::default();
        behind(&mut world, uri);
        Ssh::of(&world).is("far", "ssh-ed25519 KEY1");
    }
    // The configuration says that its addresses can be reached.
    let mut world = World::default();
    behind(&mut world, "qemu+ssh://rack1/system");
    world.connections[0].nat = true;
    Ssh::of(&world).is("far", "ssh-ed25519 KEY1");
    // No address is known.
    let mut world = World::default();
    let there = world.there("there");
    world.networks(there, vec![network("default", BR, None, false)]);
    world.guest(there, guest(1, "far", vec![nic(1, BR, DEFAULT, &[])]));
    assert!(Ssh::of(&world).names.is_empty());
}

#[test]
fn no_records_if_no_guest_has_keys() {
    let mut world = World::default();
    let here = world.here();
    let web = leased(&mut world, 1, "web", "web");
    world.guest(here, Guest { host_keys: Some([].into()), ..web });
    let ssh = Ssh::of(&world);
    assert!(ssh.names.is_empty() && ssh.guests.is_empty());
}
