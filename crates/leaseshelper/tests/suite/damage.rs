//! Lists that libvirt's helper would forget, or refuse forever: ours copies them, and keeps every
//! lease that can be read.

use std::fs;

use crate::world::{Call, OURS, World, address, line};

/// A list of leases 0 to `count`.
fn sound(world: &World, bridge: &str, count: usize) -> Vec<u8> {
    for i in 0..count {
        Call::add(bridge, i).done();
    }
    world.list(bridge).expect("a list")
}

/// The copies of damaged lists: their names and contents.
fn copies(world: &World) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<_> = fs::read_dir(crate::world::STATE)
        .expect("the state directory")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .filter(|name| name.contains(".broken-"))
        .map(|name| (name.clone(), fs::read(world.path(&name)).expect("the file")))
        .collect();
    found.sort();
    found
}

/// Runs an event on a damaged list and returns the addresses in the repaired one. `why` is the end of the copy's name.
fn repair(bytes: &[u8], why: &str) -> Vec<String> {
    let world = World::new().expect("root, as for the caller");
    world.write_list("virbr0", bytes);
    let output = Call::add("virbr0", 200).run(OURS);
    assert!(output.status.success(), "{output:?}");
    let message = line(&output);
    let [(name, kept)] = &copies(&world)[..] else { panic!("{:?}", copies(&world)) };
    assert!(kept == bytes, "the copy differs from the damaged list");
    assert!(message.contains("virbr0.status") && message.contains(name), "{message}");
    // virbr0.status.broken-20251123T170405Z-not-json
    let stamp = name.strip_prefix("virbr0.status.broken-").expect("a prefix");
    let (stamp, reason) = stamp.split_once('-').expect("a reason");
    let shape: String = stamp.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!((&*shape, reason), ("00000000T000000Z", why));

    let addresses = world.addresses("virbr0");
    assert!(message.contains(&format!("{} leases", addresses.len() - 1)), "{message}");
    // The repaired list is not copied again.
    Call::add("virbr0", 201).done();
    assert_eq!(copies(&world).len(), 1);
    let (last, rest) = addresses.split_last().expect("the new lease");
    assert_eq!(*last, address(200));
    rest.to_vec()
}

#[test]
fn cut_torn_and_overwritten_lists() {
    let Some(world) = World::new() else { return };
    let list = sound(&world, "virbr0", 6);
    let all: Vec<String> = (0..6).map(address).collect();
    let ends: Vec<usize> = list
        .windows(4)
        .enumerate()
        .filter(|(_, bytes)| bytes == b"\n  }")
        .map(|(i, _)| i + 4)
        .collect();
    for cut in [1, 2, 40, list.len() / 3, list.len() / 2, list.len() - 3] {
        let whole = ends.iter().filter(|end| **end <= cut).count();
        assert_eq!(repair(&list[..cut], "not-json"), all[..whole], "cut at {cut}");
    }
    let mut zeroes = list.clone();
    zeroes[ends[1] + 30..ends[3] - 30].fill(0);
    assert_eq!(repair(&zeroes, "not-json"), [&all[..2], &all[4..]].concat());
    assert_eq!(repair(&vec![0; 4096], "not-json"), [""; 0]);
    assert_eq!(repair(&[&list[..], b"\0\0\0"].concat(), "not-json"), all);
    assert_eq!(repair(&[&list[..], &list[..]].concat(), "not-json"), all);
    assert_eq!(repair(b"garbage", "not-json"), [""; 0]);
}

#[test]
fn a_name_in_latin_1_as_newer_libvirt_writes_it() {
    let Some(world) = World::new() else { return };
    let list = sound(&world, "virbr0", 3);
    let at = list.windows(6).position(|bytes| bytes == b"guest1").expect("the name");
    let mut latin1 = list;
    latin1[at] = 0xe9;
    assert_eq!(repair(&latin1, "not-json"), [address(0), address(1), address(2)]);
}

#[test]
fn json_that_is_not_a_list_of_leases() {
    if World::new().is_none() {
        return;
    }
    let lease = r#"{"ip-address":"10.0.0.1","expiry-time":1}"#;
    assert_eq!(repair(b"{}", "not-a-list"), [""; 0]);
    assert_eq!(repair(format!("{{\"leases\":[{lease}]}}").as_bytes(), "not-a-list"), ["10.0.0.1"]);
    let mixed =
        format!("[7, {lease}, {{\"ip-address\":\"10.0.0.2\",\"expiry-time\":\"soon\"}}, null]");
    assert_eq!(repair(mixed.as_bytes(), "not-leases"), ["10.0.0.1"]);
}

#[test]
fn what_old_helpers_left_out_is_not_damage() {
    let Some(world) = World::new() else { return };
    world.write_list(
        "virbr0",
        r#"[{"ip-address":"fd00::1","server-duid":null},{"ip-address":"10.0.0.1"}]"#,
    );
    Call::add("virbr0", 1).with("DNSMASQ_SERVER_DUID", "00:02").done();
    assert_eq!(copies(&world), []);
    let list = String::from_utf8(world.list("virbr0").expect("a list")).expect("UTF-8");
    let expected = r#"[
  {
    "ip-address": "fd00::1",
    "expiry-time": 0,
    "server-duid": "00:02"
  },
  {
    "ip-address": "10.0.0.1",
    "expiry-time": 0
  },
"#;
    assert!(list.starts_with(expected), "{list}");
}

#[test]
fn init_reports_what_can_be_read_and_changes_nothing() {
    let Some(world) = World::new() else { return };
    let list = sound(&world, "virbr0", 4);
    let cut = &list[..list.len() - 20];
    world.write_list("virbr0", cut);
    let before = world.tree();
    let output = Call::new(&["init"]).with("VIR_BRIDGE_NAME", "virbr0").run(OURS);
    assert!(output.status.success());
    assert!(line(&output).contains("virbr0.status: not valid JSON"), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 3);
    assert_eq!(world.tree(), before);
    assert_eq!(world.list("virbr0").as_deref(), Some(cut));
}

#[test]
fn two_damaged_lists_within_a_second() {
    let Some(world) = World::new() else { return };
    for i in 0..3 {
        world.write_list("virbr0", format!("garbage {i}"));
        let output = Call::add("virbr0", i).run(OURS);
        assert!(output.status.success(), "{output:?}");
    }
    let mut kept: Vec<_> = copies(&world).into_iter().map(|(_, bytes)| bytes).collect();
    kept.sort();
    assert_eq!(kept, [b"garbage 0", b"garbage 1", b"garbage 2"]);
}
