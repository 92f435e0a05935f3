//! Leases, and what libvirt reports about their guests.

use daemon::model::{ReportedBy, Update};
use daemon::state::files::BEFORE_START;

use crate::world::*;

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
    compiled.is("a 10.0.0.1", &["10.0.0.1 LAd files Web VM. until 2000", first]);
    compiled.is("a 10.0.0.3", &["10.0.0.3 LAd files localhost until 2000"]);
    compiled.is("a 10.0.0.4", &[]);
    // Without a connection there are no aliases.
    assert_eq!(compiled.keys.len(), 8, "{:#?}", compiled.keys);
}

/// A look-up of `web.` finds the lease of exactly that name; one of `web` doesn't.
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
    assert_eq!(names, ["vm", "vm", "long", "short", "left"]);
}

#[test]
fn a_guest_of_this_host() {
    let mut world = World::default();
    let here = world.here();
    world.networks(here, vec![network("default", BR, Some("lab.example"), false)]);
    world.lease("virbr0", 1, "10.0.0.1", "web");
    world.runs("virbr0", "web-vm", 1);
    let reported = [
        (ReportedBy::Agent, "10.0.0.1"),
        (ReportedBy::Agent, "fd00::1"),
        (ReportedBy::Agent, "fe80::1"),
    ];
    let mut vm = guest(1, "web-vm", vec![nic(1, BR, DEFAULT, &reported)]);
    vm.host_name = Some("Inside".into());
    world.guest(here, vm);
    let compiled = world.compiled();
    // The lease and the agent's confirmation are one entry, which comes before addresses that only the agent reports.
    // The lease's host name differs from the agent's.
    let leased = |name: &str| {
        compiled.is(&format!("h {name}"), &["10.0.0.1 TA files web until 2000"]);
    };
    compiled.is("h web", &["10.0.0.1 LA files web until 2000"]);
    for suffix in ["vm.internal", "default.vm.internal", "host.vm.internal", "lab.example"] {
        leased(&format!("web.{suffix}"));
    }
    let inside = ["10.0.0.1 TAc files Inside until 2000", "fd00::1 TA agent Inside"];
    for suffix in ["", ".vm.internal", ".default.vm.internal", ".host.vm.internal", ".lab.example"]
    {
        compiled.is(&format!("h inside{suffix}"), &inside);
    }
    let vm = ["10.0.0.1 LTAc files web-vm until 2000", "fd00::1 TA agent web-vm"];
    compiled.is("g web-vm", &["- LA files web-vm", vm[0], vm[1]]);
    compiled.is("g web-vm.lab.example", &["10.0.0.1 TAc files web-vm until 2000", vm[1]]);
    compiled.is(
        "a 10.0.0.1",
        &[
            "10.0.0.1 LTAdc files web-vm until 2000",
            "10.0.0.1 LA files web until 2000",
            "10.0.0.1 TAc files Inside until 2000",
        ],
    );
    compiled.is("a fd00::1", &["fd00::1 TAd agent web-vm", "fd00::1 TA agent Inside"]);
    // Link-local addresses are dropped, since there are others.
    compiled.is("a fe80::1", &[]);
}

/// Each lease only has its own host name, even if several leases belong to one guest, as in the files.
#[test]
fn a_lease_has_only_its_own_host_name() {
    let mut world = World::default();
    let here = world.here();
    world.lease("virbr0", 1, "10.0.0.1", "web");
    world.lease("virbr1", 2, "10.0.1.1", "web-mgmt");
    world.lease("virbr1", 3, "10.0.1.2", "");
    for (bridge, last) in [("virbr0", 1), ("virbr1", 2), ("virbr1", 3)] {
        world.runs(bridge, "vm", last);
    }
    let agents = |address| [(ReportedBy::Agent, address)];
    let nics = vec![
        nic(1, BR, None, &[(ReportedBy::Agent, "10.0.0.1"), (ReportedBy::Agent, "10.0.0.77")]),
        nic(2, Some("virbr1"), None, &agents("10.0.1.1")),
        nic(3, Some("virbr1"), None, &agents("10.0.1.2")),
    ];
    let mut vm = guest(1, "vm", nics);
    vm.host_name = Some("web".into());
    world.guest(here, vm.clone());
    let compiled = world.compiled();
    // A leased address has its lease's name. The agent's host name also has the other addresses, after the leases.
    let web = ["10.0.0.1 LTAc files web until 2000", "10.0.0.77 TA agent web"];
    compiled.is("h web", &web);
    compiled.is("h web.vm.internal", &["10.0.0.1 TAc files web until 2000", web[1]]);
    compiled.is("h web-mgmt", &["10.0.1.1 LA files web-mgmt until 2000"]);
    // A name that no lease has gets all addresses.
    vm.host_name = Some("node".into());
    world.guest(here, vm);
    let compiled = world.compiled();
    compiled.is("h web", &["10.0.0.1 LA files web until 2000"]);
    compiled.is(
        "h node",
        &[
            "10.0.0.1 TAc files node until 2000",
            "10.0.1.1 TAc files node until 2000",
            "10.0.1.2 TAc files node until 2000",
            "10.0.0.77 TA agent node",
        ],
    );
}

/// When the lease with the agent's host name ends, other addresses may have that name.
#[test]
fn a_lease_keeps_its_name_until_it_ends() {
    let mut world = World::default();
    let here = world.here();
    world.lease("virbr0", 1, "10.0.0.1", "web").expiry = 1_200;
    world.lease("virbr0", 1, "10.0.0.2", "old");
    world.runs("virbr0", "vm", 1);
    let mut vm = guest(1, "vm", vec![nic(1, BR, None, &[(ReportedBy::Agent, "10.0.0.2")])]);
    vm.host_name = Some("web".into());
    world.updates.push((0, Update::Guest(here, vm)));
    let compiled = world.compiled();
    // Too new for the agent's answer to deny it.
    compiled
        .is("h web", &["10.0.0.1 LAx files web until 1200", "10.0.0.2 TAc files web until 2000"]);
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
fn leases_that_the_agent_does_not_report() {
    let mut world = World::default();
    let here = world.here();
    let mut default = network("default", BR, None, false);
    default.leases = vec![network_lease(1, "10.0.0.3", "api", 2_000)];
    world.networks(here, vec![default]);
    world.lease("virbr0", 1, "10.0.0.1", "old");
    // Too new: the answer came at 10 s, to a query that may have been sent at 5 s.
    world.lease("virbr0", 1, "10.0.0.2", "young");
    world.files.first_seen = vec![BEFORE_START, 6_000];
    world.runs("virbr0", "vm", 1);
    let reported = [
        (ReportedBy::Agent, "10.0.0.9"),
        (ReportedBy::Neighbour, "10.0.0.8"),
        (ReportedBy::Lease, "10.0.0.7"),
        (ReportedBy::Lease, "10.0.0.9"),
    ];
    world.guest(here, guest(1, "vm", vec![nic(1, BR, DEFAULT, &reported)]));
    let compiled = world.compiled();
    compiled.is("h old", &["10.0.0.1 LAx files old until 2000"]);
    compiled.is("h old.vm.internal", &[]);
    compiled.is("h young", &["10.0.0.2 LA files young until 2000"]);
    compiled.is("h api", &[]);
    // A lease that libvirt reports is still a lease when the agent reports it, too.
    let vm = ["10.0.0.2 TA files vm until 2000", "10.0.0.9 TAc lease vm until 1500"];
    compiled.is("g vm.vm.internal", &vm);
    for lost in ["a 10.0.0.3", "a 10.0.0.7", "a 10.0.0.8"] {
        compiled.is(lost, &[]);
    }
    assert!(compiled.undecided);
    world.files.first_seen[1] = 5_000;
    let compiled = world.compiled();
    compiled.is("h young", &["10.0.0.2 LAx files young until 2000"]);
    assert!(!compiled.undecided);
}

#[test]
fn a_silent_agent_denies_nothing() {
    let mut world = World::default();
    let here = world.here();
    world.networks(here, vec![network("default", BR, None, false)]);
    world.lease("virbr0", 1, "10.0.0.1", "web");
    world.runs("virbr0", "vm", 1);
    let reported = [
        (ReportedBy::Neighbour, "10.0.0.1"),
        (ReportedBy::Neighbour, "10.0.0.2"),
        (ReportedBy::Lease, "10.0.0.1"),
    ];
    world.guest(here, guest(1, "vm", vec![nic(1, BR, DEFAULT, &reported)]));
    let compiled = world.compiled();
    compiled.is("h web", &["10.0.0.1 LA files web until 2000"]);
    compiled.is(
        "g vm.host.vm.internal",
        &["10.0.0.1 TAc files vm until 2000", "10.0.0.2 TA neighbour vm"],
    );
}

#[test]
fn leases_that_libvirt_reports() {
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
    for key in [
        "h web",
        "h web.lan.example",
        "h web.vm.internal",
        "h web.lan.vm.internal",
        "h web.rack.vm.internal",
        "h web.rack",
    ] {
        compiled.is(key, &["10.1.0.1 TAe lease web until 1500"]);
    }
    compiled.is("g vm", &["10.1.0.1 TAe lease vm until 1500", "- TAe lease vm"]);
    compiled.is("g vm.rack", &["10.1.0.1 TAe lease vm until 1500"]);
    compiled.is("h web.lan", &[]);
    for key in [
        "h printer",
        "h printer.lan.example",
        "h printer.lan.vm.internal",
        "h printer.rack",
        "a 10.1.0.2",
    ] {
        compiled.is(key, &["10.1.0.2 Te lease printer"]);
    }
    compiled.is("h other", &["10.1.0.5 Te lease other"]);
    compiled.is("h late", &[]);
    compiled.is("a 10.1.0.4", &[]);
    // Bridges of another host are not used as scopes.
    assert!(world.files.contents.bridges().count() == 0);
}

/// A guest that libvirt reports before it is in the MAC map: it has its lease.
#[test]
fn a_nic_that_is_in_no_map() {
    let mut world = World::default();
    let here = world.here();
    world.lease("virbr0", 1, "10.0.0.1", "web");
    world.guest(here, guest(1, "vm", vec![nic(1, BR, None, &[])]));
    let compiled = world.compiled();
    compiled.is("g vm", &["10.0.0.1 TA files vm until 2000", "- TA lease vm"]);
    compiled.is("h web", &["10.0.0.1 L files web until 2000"]);
}
