//! The differences that docs/leaseshelper-differences.md lists, shown on both helpers, so that the list stays
//! true.

use std::fs;
use std::path::Path;
use std::process::Output;

use crate::world::{Call, OURS, World, address, line, stock};

/// A world, and both helpers: libvirt's first.
fn both() -> Option<(World, [(std::path::PathBuf, &'static str); 2])> {
    let stock = stock()?;
    Some((World::new()?, [(stock, "stock0"), (OURS.into(), "ours0")]))
}

/// Puts the list there for each helper and makes the call; gives what they did.
fn from(
    world: &World,
    helpers: &[(std::path::PathBuf, &'static str); 2],
    list: &[u8],
    call: &Call,
) -> [Output; 2] {
    helpers.each_ref().map(|(program, bridge)| {
        world.write_list(bridge, list);
        call.clone().with("DNSMASQ_INTERFACE", bridge).run(program)
    })
}

fn statuses(outputs: &[Output; 2]) -> [Option<i32>; 2] {
    outputs.each_ref().map(|output| output.status.code())
}

#[test]
fn names_that_are_not_utf_8() {
    let Some((world, helpers)) = both() else { return };
    let mut call = Call::add("", 1);
    call.arguments[3] = b"caf\xe9".to_vec();
    let outputs = from(&world, &helpers, b"[\n\n]\n", &call);
    assert_eq!(statuses(&outputs), [Some(1), Some(0)]);
    assert_eq!(world.addresses("stock0"), [""; 0]);
    assert_eq!(world.addresses("ours0"), [address(1)]);
    let list = String::from_utf8(world.list("ours0").expect("a list")).expect("UTF-8");
    assert!(list.contains("caf\u{fffd}"), "{list}");
}

#[test]
fn ipv6_where_no_duid_is_known() {
    let Some((world, helpers)) = both() else { return };
    let ipv6 = Call::new(&["add", "00:01", "fd00::5"])
        .with("DNSMASQ_IAID", "7")
        .with("DNSMASQ_MAC", "52:54:00:00:00:01");
    let outputs = from(&world, &helpers, b"", &ipv6);
    assert_eq!(statuses(&outputs), [Some(0), Some(0)]);
    for (program, bridge) in &helpers {
        assert!(Call::add(bridge, 1).run(program).status.success());
    }
    let second = helpers.each_ref().map(|(program, bridge)| Call::add(bridge, 2).run(program));
    assert_eq!(statuses(&second), [Some(1), Some(0)]);
    assert!(world.list("stock0").expect("a list").ends_with(b"}\n]\n"));
    assert_eq!(world.addresses("stock0").len(), 2);
    assert_eq!(world.addresses("ours0").len(), 3);
}

#[test]
fn lists_that_are_damaged_or_odd() {
    let Some((world, helpers)) = both() else { return };
    let lease = r#"{"ip-address":"10.0.0.1","expiry-time":1}"#;
    let cases = [
        // The list, libvirt's status, the leases that libvirt's helper knows after it, and those that ours
        // knows.
        (format!("[{lease},"), 0, vec!["new"], vec!["10.0.0.1", "new"]),
        (format!("[{lease}]\0"), 0, vec!["10.0.0.1", "new"], vec!["10.0.0.1", "new"]),
        (format!("{{\"a\":{lease}}}"), 1, vec![], vec!["10.0.0.1", "new"]),
        (format!("[{lease},7]"), 1, vec![], vec!["10.0.0.1", "new"]),
        ("[{\"ip-address\":\"10.0.0.1\"}]".into(), 1, vec![], vec!["10.0.0.1", "new"]),
        (
            "[{\"ip-address\":\"1\",\"expiry-time\":1,\"ip-address\":\"10.0.0.1\"}]".into(),
            0,
            vec!["new"],
            vec!["10.0.0.1", "new"],
        ),
    ];
    for (list, status, theirs, ours) in cases {
        let call = Call::new(&["add", "52:54", "new"]);
        let outputs = from(&world, &helpers, list.as_bytes(), &call);
        assert_eq!(statuses(&outputs), [Some(status), Some(0)], "{list}");
        if status == 0 {
            assert_eq!(world.addresses("stock0"), theirs, "{list}");
        } else {
            assert_eq!(world.list("stock0"), Some(list.clone().into_bytes()));
        }
        assert_eq!(world.addresses("ours0"), ours, "{list}");
    }
}

#[test]
fn bridges_that_are_none() {
    let Some((_world, helpers)) = both() else { return };
    for (name, file) in
        [("", "/var/lib/libvirt/dnsmasq/.status"), ("../out", "/var/lib/libvirt/out.status")]
    {
        let call = Call::add(name, 1);
        call.refused();
        assert!(!Path::new(file).exists());
        assert!(call.run(&helpers[0].0).status.success());
        fs::remove_file(file).expect("libvirt's helper wrote it");
    }
}

#[test]
fn what_init_prints_of_hostile_and_incomplete_leases() {
    let Some((world, helpers)) = both() else { return };
    let list = br#"[{"ip-address":"10.0.0.1","mac-address":"52:54","hostname":"x *\n0 52:66 10.0.0.2 victim","expiry-time":1},
        {"ip-address":"10.0.0.3","expiry-time":1},
        {"ip-address":"10.0.0.4","mac-address":"52:54","hostname":"","expiry-time":1}]"#;
    let [theirs, ours] = from(&world, &helpers, list, &Call::new(&["init"]));
    assert_eq!(
        String::from_utf8_lossy(&theirs.stdout),
        "1 52:54 10.0.0.1 x *\n0 52:66 10.0.0.2 victim *\n1 (null) 10.0.0.3 * *\n1 52:54 10.0.0.4  *\n"
    );
    assert_eq!(
        String::from_utf8_lossy(&ours.stdout),
        "1 52:54 10.0.0.1 * *\n1 52:54 10.0.0.4 * *\n"
    );
    assert!(line(&ours).contains("10.0.0.3"), "{ours:?}");
    assert_eq!(world.list("ours0").as_deref(), Some(&list[..]));
}

#[test]
fn the_domain_and_going_back() {
    let Some((world, helpers)) = both() else { return };
    let call = Call::add("", 1).with("DNSMASQ_DOMAIN", "lab");
    from(&world, &helpers, b"", &call);
    let [theirs, ours] = ["stock0", "ours0"]
        .map(|bridge| String::from_utf8(world.list(bridge).expect("a list")).expect("UTF-8"));
    let with_domain = theirs.replace(
        "\"hostname\": \"guest1\",\n",
        "\"hostname\": \"guest1\",\n    \"domain\": \"lab\",\n",
    );
    assert_eq!(ours, with_domain);
    // libvirt's helper takes over the list with the key in it.
    assert!(Call::add("ours0", 2).run(&helpers[0].0).status.success());
    let taken_over = String::from_utf8(world.list("ours0").expect("a list")).expect("UTF-8");
    assert!(taken_over.starts_with(ours.strip_suffix("\n]\n").expect("a list")), "{taken_over}");
    assert_eq!(world.addresses("ours0").len(), 2);
}

#[test]
fn versions_tell_the_two_apart() {
    let Some((_world, helpers)) = both() else { return };
    let [theirs, ours] =
        helpers.each_ref().map(|(program, _)| Call::new(&["--version"]).run(program));
    assert!(String::from_utf8_lossy(&theirs.stdout).contains(" (libvirt) "));
    let expected = format!("{OURS} (libvirt-nss) {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8_lossy(&ours.stdout), expected);
    for (program, _) in &helpers {
        let help = Call::new(&["--help", "a", "b", "c", "d", "e"]).run(program);
        assert!(help.status.success());
        let usage =
            format!("Usage: {} add|old|del|init mac|clientid ip [hostname]\n", program.display());
        assert!(String::from_utf8_lossy(&help.stdout).starts_with(&usage), "{help:?}");
    }
}
