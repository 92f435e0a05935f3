//! Suffixes of names.

use daemon::model::ReportedBy;

use crate::world::*;

#[test]
fn an_own_name_wins_over_an_alias() {
    let mut world = World::default();
    let here = world.here();
    world.naming.short_network_aliases = true;
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
    // Leases without a guest have aliases, too.
    for key in ["h left.vm.internal", "h left.default.vm.internal", "h left.lab"] {
        compiled.is(key, &["10.0.0.4 T files left until 2000"]);
    }
    compiled.is("h web.vm.internal", &["10.0.0.1 TA files web until 2000"]);
    compiled.is("g web.vm.internal", &["10.0.0.1 TA files web until 2000"]);
}

/// The domains of the record and the network are the same: the name also has the address that only the agent knows.
#[test]
fn a_derived_name_and_an_alias_are_merged() {
    let mut world = World::default();
    let here = world.here();
    world.networks(here, vec![network("default", BR, Some("lab"), false)]);
    world.lease_in("virbr0", 1, "10.0.0.1", "web", "lab");
    world.runs("virbr0", "vm", 1);
    let reported = [(ReportedBy::Agent, "10.0.0.1"), (ReportedBy::Agent, "fd00::1")];
    let mut vm = guest(1, "vm", vec![nic(1, BR, DEFAULT, &reported)]);
    vm.host_name = Some("web".into());
    world.guest(here, vm);
    let compiled = world.compiled();
    compiled.is("h web.lab", &["10.0.0.1 LTAc files web until 2000", "fd00::1 TA agent web"]);
    compiled.is("g vm.lab", &["10.0.0.1 LTAc files vm until 2000", "fd00::1 TA agent vm"]);
}

#[test]
fn invalid_suffixes_make_no_alias() {
    let mut world = World::default();
    let here = world.here();
    world.networks(here, vec![network("my net", BR, Some("-1"), false)]);
    world.lease("virbr0", 1, "10.0.0.1", "web");
    world.runs("virbr0", "my vm", 1);
    let compiled = world.compiled();
    compiled.is("h web.my net", &[]);
    compiled.is("h web.-1", &[]);
    compiled.is("h web.vm.internal", &["10.0.0.1 TA files web until 2000"]);
    compiled.is("g my vm.my net.vm.internal", &["10.0.0.1 TA files my vm until 2000"]);
}

/// Suffixes that nobody configured end in the zone, since any short suffix may be a top-level domain.
#[test]
fn aliases_stay_in_the_zone() {
    let names = |world: &World| -> Vec<String> {
        let keys = world.compiled().keys.into_keys();
        keys.filter_map(|key| key.strip_prefix("h ").map(str::to_owned)).collect()
    };
    let mut world = World::default();
    let here = world.here();
    world.networks(here, vec![network("dev", BR, None, false)]);
    world.lease("virbr0", 1, "10.0.0.1", "example");
    let unnamed =
        ["example", "example.dev.vm.internal", "example.host.vm.internal", "example.vm.internal"];
    assert_eq!(names(&world), unnamed);
    world.naming.zone = "lab.example".into();
    world.naming.short_network_aliases = true;
    world.connections[0].is_named = true;
    let named = [
        "example",
        "example.dev",
        "example.dev.lab.example",
        "example.host",
        "example.host.lab.example",
        "example.lab.example",
    ];
    assert_eq!(names(&world), named);
    // A network whose domain is the zone, and whose name is the connection's.
    world.updates.clear();
    world.networks(here, vec![network("host", BR, Some("Lab.Example."), false)]);
    assert_eq!(
        names(&world),
        ["example", "example.host", "example.host.lab.example", "example.lab.example"]
    );
}

/// A guest called `web.rack` is not the guest `web` of the connection `rack`.
#[test]
fn a_name_in_the_zone_comes_before_qualified_ones() {
    let mut world = World::default();
    let rack = world.there("rack");
    for (number, name) in [(1, "web"), (2, "web.rack")] {
        let reported = format!("10.0.0.{number}");
        let nics = vec![nic(number, None, None, &[(ReportedBy::Agent, reported.as_str())])];
        world.guest(rack, guest(number, name, nics));
    }
    let compiled = world.compiled();
    compiled.is("g web.rack.vm.internal", &["10.0.0.2 TAe agent web.rack"]);
    compiled.is("g web.rack", &["10.0.0.2 TAe agent web.rack"]);
    compiled.is("g web.vm.internal", &["10.0.0.1 TAe agent web"]);
}
