//! What a guest, a caller or a prepared directory could attempt: nothing is written outside the state directory, the
//! list stays valid JSON, and no lease is lost.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use crate::generate::{Random, rounds, seed};
use crate::world::{Call, LOCK, OURS, STATE, World, address, line};

#[test]
fn bridge_names_that_are_paths() {
    let Some(world) = World::new() else { return };
    let before = world.tree();
    let sixteen = "x".repeat(16);
    let long = "x".repeat(5000);
    let names = [
        ".",
        "..",
        "/",
        "../outside",
        "a/b",
        "/etc/outside",
        "virbr0/../../outside",
        "a b",
        "a:b",
        "a\n",
        "\t",
        &sixteen,
        &long,
    ];
    for name in names {
        for arguments in [&["init"][..], &["add", "a", "b"], &["old", "a", "b", "c"], &["del"]] {
            let message = Call::new(arguments).with("DNSMASQ_INTERFACE", name).refused();
            assert!(message.contains("interface name"), "{message}");
            Call::new(arguments).with("VIR_BRIDGE_NAME", name).refused();
        }
    }
    let message = Call::new(&["del"]).with("DNSMASQ_INTERFACE", "").refused();
    assert!(message.contains("VIR_BRIDGE_NAME"), "{message}");
    assert_eq!(world.tree(), before);
}

#[test]
fn odd_bridge_names_that_are_valid() {
    let Some(world) = World::new() else { return };
    for name in
        [&b"..."[..], b"-rf", b"*", b"$(reboot)", b"fifteen_bytes__", b"\x01\xff\"\\", b".status"]
    {
        let call = Call::add("", 1).with("DNSMASQ_INTERFACE", name);
        call.done();
        let mut file = name.to_vec();
        file.extend(b".status");
        assert!(world.path(crate::world::os(&file)).is_file(), "{}", name.escape_ascii());
    }
    assert!(world.tree().iter().all(|path| path.starts_with(STATE)), "{:?}", world.tree());
}

/// What DHCP option 12 can carry: 255 bytes of anything but NUL.
fn hostile_names() -> Vec<Vec<u8>> {
    let mut names: Vec<Vec<u8>> = (1..=255).map(|byte| vec![byte]).collect();
    for unit in [
        &b"\""[..],
        b"\\",
        b"\n",
        b"\x1f",
        b"\x7f",
        b"\xff",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xe2\x82",
        b"%s",
    ] {
        names.push(unit.iter().copied().cycle().take(255).collect());
    }
    names.extend(
        [
            &b"../../../etc/passwd"[..],
            b"/",
            b"x\", \"ip-address\": \"192.168.122.66",
            b"{\"ip-address\":\"192.168.122.66\",\"expiry-time\":0}",
            b"x\n0 52:54:00:66:66:66 192.168.122.66 victim *",
            b"caf\xe9",
            b"",
        ]
        .map(<[u8]>::to_vec),
    );
    names
}

#[test]
fn host_names_from_guests() {
    let Some(world) = World::new() else { return };
    let names = hostile_names();
    for (i, name) in names.iter().enumerate() {
        // Half of them in an argument, half as the name that the client supplied.
        let mut call = Call::add("virbr0", i);
        if i % 2 == 0 {
            call.arguments[3] = name.clone();
        } else {
            call.arguments.truncate(3);
            call = call.with("DNSMASQ_SUPPLIED_HOSTNAME", name);
        }
        call.with("DNSMASQ_CLIENT_ID", name).done();
    }
    let list = world.list("virbr0").expect("a list");
    let leases: Vec<serde_json::Value> = serde_json::from_slice(&list).expect("JSON");
    assert_eq!(leases.len(), names.len());
    for (i, (lease, name)) in leases.iter().zip(&names).enumerate() {
        assert_eq!(lease["ip-address"], address(i));
        assert_eq!(lease["hostname"], *String::from_utf8_lossy(name));
        assert_eq!(lease["client-id"], *String::from_utf8_lossy(name));
    }

    let init = Call::new(&["init"]).with("VIR_BRIDGE_NAME", "virbr0").run(OURS);
    assert!(init.status.success() && init.stderr.is_empty(), "{init:?}");
    let text = String::from_utf8(init.stdout).expect("UTF-8");
    let words: Vec<Vec<&str>> =
        text.lines().map(|line| line.split_ascii_whitespace().collect()).collect();
    assert_eq!(words.len(), names.len(), "one line per lease");
    for (i, words) in words.iter().enumerate() {
        assert_eq!((words.len(), words[2]), (5, &*address(i)), "{words:?}");
    }
    assert_eq!(world.tree(), [format!("{STATE}/virbr0.status 100644")]);
}

#[test]
fn any_bytes_at_all() {
    let Some(world) = World::new() else { return };
    let mut random = Random::new(seed());
    let bytes = |random: &mut Random| -> Vec<u8> {
        let length = random.pick(&[0, 1, 3, 17, 300]);
        (0..length).map(|_| 1 + random.below(255) as u8).collect()
    };
    let variables = [
        "DNSMASQ_IAID",
        "DNSMASQ_MAC",
        "DNSMASQ_CLIENT_ID",
        "DNSMASQ_SERVER_DUID",
        "DNSMASQ_SUPPLIED_HOSTNAME",
        "DNSMASQ_OLD_HOSTNAME",
        "DNSMASQ_DOMAIN",
        "DNSMASQ_LEASE_EXPIRES",
        "VIR_BRIDGE_NAME",
    ];
    let mut written = 0;
    let rounds = rounds(200);
    for _ in 0..rounds {
        let mut call = Call::new(&[random.pick(&["add", "old", "del", "init"])]);
        for _ in 0..random.pick(&[0, 1, 2, 2, 2, 3, 3, 4]) {
            call.arguments.push(bytes(&mut random));
        }
        for variable in variables {
            if random.one_in(3) {
                call = call.with(variable, bytes(&mut random));
            }
        }
        if !random.one_in(8) {
            call = call.with("DNSMASQ_INTERFACE", "virbr0");
        }
        let output = call.run(OURS);
        match output.status.code() {
            Some(0) => {
                written += 1;
                // `init` reports the leases that dnsmasq can't read.
                if call.arguments[0] != b"init" {
                    assert!(output.stderr.is_empty(), "{call}: {output:?}");
                }
            }
            Some(1) => drop(line(&output)),
            _ => panic!("{call}: {output:?}"),
        }
        if world.list("virbr0").is_some_and(|list| !list.is_empty()) {
            world.addresses("virbr0");
        }
        for path in world.tree() {
            assert!(path.starts_with(&format!("{STATE}/")) && path.contains(".status "), "{path}");
        }
    }
    assert!(written > rounds / 4, "only {written} calls were accepted");
}

#[test]
fn links_pipes_and_directories_in_the_way() {
    let Some(world) = World::new() else { return };
    let outside = Path::new("/var/lib/outside");
    fs::create_dir(outside).expect("a directory");
    let target = outside.join("file");

    // Links that lead out are replaced, not followed.
    symlink(&target, world.path("link.status")).expect("a link");
    symlink(&target, world.path("new.status.new")).expect("a link");
    for bridge in ["link", "new"] {
        Call::add(bridge, 1).done();
        let path = world.path(format!("{bridge}.status"));
        assert!(path.symlink_metadata().expect("metadata").is_file());
        assert_eq!(world.addresses(bridge), [address(1)]);
    }
    assert!(!target.exists());
    fs::write(&target, "[]").expect("a file");
    symlink(&target, world.path("full.status")).expect("a link");
    Call::add("full", 1).done();
    assert_eq!(fs::read(&target).expect("the file"), b"[]");

    // The helper doesn't wait for the other end of a pipe.
    let made = Command::new("mkfifo").arg(world.path("pipe.status")).status().expect("mkfifo");
    assert!(made.success());
    assert!(Call::add("pipe", 1).refused().contains("not a regular file"));
    fs::create_dir(world.path("directory.status")).expect("a directory");
    assert!(Call::add("directory", 1).refused().contains("not a regular file"));
    fs::create_dir(world.path("held.status.new")).expect("a directory");
    assert!(Call::add("held", 1).refused().contains("held.status.new"));
    let at_the_lock = |what: &str| {
        let message = Call::add("virbr0", 1).refused();
        assert!(
            message.contains(LOCK) && message.contains("not a regular file"),
            "{what}: {message}"
        );
        assert_eq!(world.list("virbr0"), None);
    };
    fs::create_dir(LOCK).expect("a directory");
    at_the_lock("directory");
    fs::remove_dir(LOCK).expect("the directory");
    for target in [target.as_path(), Path::new("/var/lib/missing")] {
        symlink(target, LOCK).expect("a link");
        at_the_lock("link");
        fs::remove_file(LOCK).expect("the link");
    }
    assert_eq!(fs::read(&target).expect("the file"), b"[]");
    assert!(!Path::new("/var/lib/missing").exists());
    let other_name = Path::new(LOCK).with_extension("other");
    fs::write(&other_name, "[]").expect("a file");
    fs::hard_link(&other_name, LOCK).expect("a link");
    assert!(Call::add("virbr0", 1).refused().contains("has another name"));
    assert_eq!(fs::read(&other_name).expect("the file"), b"[]");
    fs::remove_file(LOCK).expect("the link");
    assert!(Command::new("mkfifo").arg(LOCK).status().expect("mkfifo").success());
    at_the_lock("pipe");
    let _reader = fs::OpenOptions::new().read(true).write(true).open(LOCK).expect("the pipe");
    at_the_lock("pipe with a reader");
}

#[test]
fn everyone_may_read_the_list_whatever_the_umask() {
    let Some(world) = World::new() else { return };
    let mut command = Call::add("virbr0", 1).command(OURS);
    let strict = || {
        // SAFETY: umask takes any number and can't fail.
        unsafe { libc::umask(0o077) };
        Ok(())
    };
    // SAFETY: umask is async-signal-safe.
    unsafe { command.pre_exec(strict) };
    assert!(command.status().expect("the helper starts").success());
    assert_eq!(world.tree(), [format!("{STATE}/virbr0.status 100644")]);
}
