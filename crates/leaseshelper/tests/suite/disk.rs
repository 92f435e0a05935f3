//! A disk that is full, read-only, failing or missing: the helper prints one line and exits with status 1, and the list
//! is unchanged.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Output};

use crate::world::{Call, OURS, STATE, World, address, have};

/// Fills the state directory's file system to the last byte.
fn fill(world: &World) {
    let mut file = fs::File::create(world.path("filler")).expect("a file");
    for size in [4096, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}

#[test]
fn full() {
    let Some(world) = World::new() else { return };
    world.small_disk(256 << 10);
    for i in 0..20 {
        Call::add("virbr0", i).done();
    }
    fs::write(world.path("damaged.status"), "[{\"ip-address\"").expect("a list");
    fill(&world);
    let before = (world.tree(), world.list("virbr0"));
    for call in [
        Call::add("virbr0", 20),
        Call::add("virbr0", 3),
        Call::add("damaged", 1),
        Call::add("missing", 1),
    ] {
        let message = call.refused();
        assert!(
            message.contains("No space left") && message.contains("free some space"),
            "{message}"
        );
        assert_eq!((world.tree(), world.list("virbr0")), before);
    }
    // Reading still works, and with free space writing does again.
    let init = Call::new(&["init"]).with("VIR_BRIDGE_NAME", "virbr0").run(OURS);
    assert_eq!(init.stdout.split(|byte| *byte == b'\n').count(), 21);
    fs::remove_file(world.path("filler")).expect("the filler");
    Call::add("virbr0", 20).done();
    assert_eq!(world.addresses("virbr0").len(), 21);
}

#[test]
fn space_for_the_copy_of_a_damaged_list_but_not_for_the_new_one() {
    let Some(world) = World::new() else { return };
    for i in 0..200 {
        Call::add("virbr0", i).done();
    }
    let mut damaged = world.list("virbr0").expect("a list");
    damaged.truncate(damaged.len() - 3);
    // The list and one copy take 14 pages.
    world.small_disk(76 << 10);
    world.write_list("virbr0", &damaged);
    let before = world.tree();
    let message = Call::add("virbr0", 200).refused();
    assert!(
        message.contains("virbr0.status.new") && message.contains("free some space"),
        "{message}"
    );
    assert_eq!(world.tree(), before);
    assert_eq!(world.list("virbr0"), Some(damaged));
}

#[test]
fn read_only() {
    let Some(world) = World::new() else { return };
    world.small_disk(1 << 20);
    Call::add("virbr0", 1).done();
    world.read_only();
    let before = (world.tree(), world.list("virbr0"));
    for bridge in ["virbr0", "virbr1"] {
        let message = Call::add(bridge, 2).refused();
        assert!(message.contains(bridge) && message.contains("remount"), "{message}");
    }
    assert_eq!((world.tree(), world.list("virbr0")), before);
    let init = Call::new(&["init"]).with("VIR_BRIDGE_NAME", "virbr0").run(OURS);
    assert!(init.status.success() && init.stdout.ends_with(b"guest1 *\n"), "{init:?}");
}

#[test]
fn no_state_directory() {
    let Some(_world) = World::new() else { return };
    fs::remove_dir_all("/var/lib/libvirt").expect("the directory");
    let message = Call::add("virbr0", 1).refused();
    assert!(message.contains(STATE) && message.contains("virsh net-start"), "{message}");
}

#[test]
fn no_run_directory() {
    let Some(world) = World::new() else { return };
    fs::remove_dir("/run").expect_err("a mount point");
    world.write_list("virbr0", "[]");
    let output = Command::new("mount").args(["-o", "remount,ro", "/run"]).status();
    assert!(output.expect("mount").success());
    let message = Call::add("virbr0", 1).refused();
    assert!(message.contains("/run/leaseshelper.pid") && message.contains("remount"), "{message}");
    assert_eq!(world.list("virbr0").as_deref(), Some(&b"[]"[..]));
}

#[test]
fn larger_than_any_reader_accepts() {
    let Some(world) = World::new() else { return };
    let file = fs::File::create(world.path("virbr0.status")).expect("a file");
    file.set_len((32 << 20) + 1).expect("room");
    assert!(Call::add("virbr0", 1).refused().contains("32 MiB"));
    // One that can be read, but without room for another lease.
    let padding = "x".repeat((32 << 20) - 100);
    let list = format!("[{{\"ip-address\":\"10.0.0.1\",\"expiry-time\":1,\"x\":\"{padding}\"}}]");
    world.write_list("virbr1", &list);
    assert!(Call::add("virbr1", 1).refused().contains("32 MiB"));
    assert!(world.list("virbr1") == Some(list.into_bytes()));
    assert_eq!(world.tree().len(), 2);
}

/// Runs our helper with one system call failing. Returns the helper's output and strace's.
fn with_fault(call: &Call, world: &World, faults: &[&str]) -> (Output, String) {
    let log = world.path("../strace.log");
    let mut command = Command::new("strace");
    command
        .args(["-qq", "-y", "-o"])
        .arg(&log)
        .args(["-e", "trace=openat,write,fsync,rename,unlink,fchmod"]);
    for fault in faults {
        command.arg("-e").arg(format!("inject={fault}"));
    }
    let ours = call.command(OURS);
    command.arg(ours.get_program()).args(ours.get_args()).env_clear();
    command.envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.output().expect("strace starts");
    let seen = fs::read_to_string(&log).expect("the log");
    // strace aligns the results.
    let seen = seen.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    fs::remove_file(log).expect("the log");
    (output, seen)
}

#[test]
fn failing_before_the_new_list_is_in_place() {
    let (Some(world), Some(())) = (World::new(), have("strace")) else { return };
    for i in 0..3 {
        Call::add("virbr0", i).done();
    }
    let before = (world.tree(), world.list("virbr0"));
    for fault in [
        "fsync:error=EIO:when=1",
        "rename:error=EIO",
        "fchmod:error=EIO",
        "fsync:error=EDQUOT:when=1",
    ] {
        let (output, seen) = with_fault(&Call::add("virbr0", 1), &world, &[fault]);
        assert!(seen.contains("(INJECTED)"), "{seen}");
        assert_eq!(output.status.code(), Some(1), "{fault}: {output:?}");
        assert!(crate::world::line(&output).contains("virbr0.status"), "{output:?}");
        assert_eq!((world.tree(), world.list("virbr0")), before, "{fault}");
    }
}

#[test]
fn failing_after_the_new_list_is_in_place() {
    let (Some(world), Some(())) = (World::new(), have("strace")) else { return };
    Call::add("virbr0", 1).done();
    let (output, seen) = with_fault(&Call::add("virbr0", 2), &world, &["fsync:error=EIO:when=2"]);
    assert!(seen.contains(&format!("<{STATE}>) = -1 EIO")), "{seen}");
    assert_eq!(output.status.code(), Some(1));
    assert!(crate::world::line(&output).contains("did not confirm"), "{output:?}");
    assert_eq!(world.addresses("virbr0"), [address(1), address(2)]);
}

#[test]
fn on_the_disk_before_it_counts() {
    let (Some(world), Some(())) = (World::new(), have("strace")) else { return };
    let (output, seen) = with_fault(&Call::add("virbr0", 1), &world, &[]);
    assert!(output.status.success(), "{output:?}");
    let order = [
        "O_CREAT|O_EXCL",
        "write(",
        "virbr0.status.new>) = 0",
        "rename(",
        "fsync(",
        &format!("<{STATE}>) = 0"),
    ];
    let mut rest = &seen[seen.find("virbr0.status.new").expect("the new file")..];
    for step in order {
        let at =
            rest.find(step).unwrap_or_else(|| panic!("{step} is missing or out of order: {seen}"));
        rest = &rest[at + 1..];
    }
}

#[test]
fn when_apparmor_denies_opening_the_directory() {
    let (Some(world), Some(())) = (World::new(), have("strace")) else { return };
    Call::add("virbr0", 1).done();
    // The directory is the last one that is opened.
    let (_, seen) = with_fault(&Call::add("virbr0", 1), &world, &[]);
    let opened = seen.lines().filter(|line| line.starts_with("openat(")).count();
    let fault = format!("openat:error=EACCES:when={opened}");
    let (output, seen) = with_fault(&Call::add("virbr0", 2), &world, &[&fault]);
    assert!(seen.contains(&format!("\"{STATE}\", O_RDONLY|O_CLOEXEC) = -1 EACCES")), "{seen}");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let after = &seen[seen.find("rename(").expect("a rename")..];
    assert!(after.contains("fsync(") && after.contains("virbr0.status>) = 0"), "{seen}");
}
