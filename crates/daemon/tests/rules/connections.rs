//! Guests of several hosts.

use daemon::model::ReportedBy;

use crate::world::*;

#[test]
fn two_connections_with_one_name() {
    let mut world = World::default();
    let first = world.there("first");
    let second = world.there("second");
    world
        .guest(first, guest(1, "vm", vec![nic(1, None, None, &[(ReportedBy::Agent, "10.1.0.1")])]));
    world.guest(
        second,
        guest(2, "VM", vec![nic(2, None, None, &[(ReportedBy::Agent, "10.2.0.1")])]),
    );
    let compiled = world.compiled();
    compiled.is("g vm", &["10.1.0.1 TAe agent vm"]);
    compiled.is("g vm.first", &["10.1.0.1 TAe agent vm"]);
    compiled.is("g vm.second", &["10.2.0.1 TAe agent VM"]);
    compiled.is("g vm.second.vm.internal", &["10.2.0.1 TAe agent VM"]);
    compiled.is("g vm.vm.internal", &["10.1.0.1 TAe agent vm"]);
    compiled.is("a 10.1.0.1", &["10.1.0.1 TAde agent vm"]);
    compiled.is("a 10.2.0.1", &["10.2.0.1 TAde agent VM"]);
}

#[test]
fn this_host_ranks_between_others() {
    let mut world = World::default();
    let before = world.there("before");
    let here = world.here();
    let behind = world.there("behind");
    for (id, number) in [(before, 1), (behind, 2)] {
        let reported = format!("10.{number}.0.1");
        let mut vm =
            guest(number, "vm", vec![nic(number, None, None, &[(ReportedBy::Agent, &reported)])]);
        vm.host_name = Some(if id == before { "one" } else { "two" }.into());
        world.guest(id, vm);
    }
    world.lease("virbr0", 5, "10.0.0.5", "one");
    world.lease("virbr0", 6, "10.0.0.6", "two");
    world.runs("virbr0", "vm", 5);
    world.runs("virbr0", "vm2", 6);
    let compiled = world.compiled();
    // Entries that look-ups fall back to without the daemon stay, but don't count with it.
    compiled.is("h one", &["10.1.0.1 TAeb agent one", "10.0.0.5 LAx files one until 2000"]);
    compiled.is("h two", &["10.0.0.6 LA files two until 2000"]);
    compiled.is(
        "g vm",
        &["10.1.0.1 TAeb agent vm", "- LAx files vm", "10.0.0.5 LAx files vm until 2000"],
    );
    compiled.is("g vm.behind", &["10.2.0.1 TAe agent vm"]);
    compiled.is("h one.host.vm.internal", &["10.0.0.5 TA files one until 2000"]);
    // When that lease ends, the name belongs to another guest.
    assert_eq!(compiled.until, Some(2_000));
    let _ = here;
}

/// Without a connection to this host, the files come first.
#[test]
fn files_come_before_all_connections() {
    let mut world = World::default();
    let there = world.there("rack");
    let mut vm = guest(1, "vm", vec![nic(1, None, None, &[(ReportedBy::Agent, "10.1.0.1")])]);
    vm.host_name = Some("web".into());
    world.guest(there, vm);
    world.lease("virbr0", 5, "10.0.0.5", "web");
    world.runs("virbr0", "here", 5);
    let compiled = world.compiled();
    compiled.is("h web", &["10.0.0.5 LA files web until 2000"]);
    compiled.is("h web.rack", &["10.1.0.1 TAe agent web"]);
    assert_eq!(compiled.until, Some(2_000));
}

/// A lease that a destroyed guest left behind here doesn't hide a guest that runs elsewhere, as after a migration.
#[test]
fn a_running_guest_wins_over_a_lease_left_behind() {
    let mut world = World::default();
    world.here();
    let there = world.there("rack");
    let mut vm = guest(1, "vm", vec![nic(1, None, None, &[(ReportedBy::Agent, "10.1.0.1")])]);
    vm.host_name = Some("web".into());
    world.guest(there, vm);
    world.lease("virbr0", 5, "10.0.0.5", "web");
    let compiled = world.compiled();
    let reported = "10.1.0.1 TAeb agent web";
    compiled.is("h web", &["10.0.0.5 Lx files web until 2000", reported]);
    compiled.is("h web.host.vm.internal", &["10.0.0.5 T files web until 2000"]);
    compiled.is("h web.rack", &["10.1.0.1 TAe agent web"]);
}

/// With two connections to this host, each guest has its own leases.
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
    let reported = [(ReportedBy::Neighbour, "10.0.0.2"), (ReportedBy::Neighbour, "10.0.0.3")];
    world.guest(lxc, guest(2, "box", vec![nic(2, BR, None, &reported)]));
    let compiled = world.compiled();
    compiled.is(
        "g box",
        &["- LA files box", "10.0.0.2 LTAc files box until 2000", "10.0.0.3 TA neighbour box"],
    );
    compiled.is("h box.lxc", &["10.0.0.2 TA files box until 2000"]);
    compiled.is("g box.lxc", &["10.0.0.2 TAc files box until 2000", "10.0.0.3 TA neighbour box"]);
    compiled.is("h box.host.vm.internal", &[]);
    compiled.is("h web.host.vm.internal", &["10.0.0.1 TA files web until 2000"]);
}
