//! SIGKILL at any moment: the list is the complete old one or the complete new one, and the next event works.

use std::fs;
use std::hint::spin_loop;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use leaseshelper::event;
use leaseshelper::leases::Leases;

use crate::generate::{Random, rounds, seed};
use crate::world::{Call, OURS, World, have, os};

/// The list after a call, according to the functions that [`crate::oracle`] compares with libvirt's helper.
fn after(list: &[u8], call: &Call) -> Vec<u8> {
    let mut arguments = vec![os(b"helper")];
    arguments.extend(call.arguments.iter().map(|bytes| os(bytes)));
    let variable = |name: &str| {
        call.variables.iter().find(|(known, _)| *known == name).map(|(_, value)| os(value))
    };
    let Ok(event::Event::Change(change)) = event::Event::read(&arguments, variable, 0) else {
        panic!("no change: {call}")
    };
    let mut leases = Leases::read(list);
    leases.apply(&change);
    leases.text().collect::<String>().into_bytes()
}

/// Checks that the list is the old one or the new one, and returns whether it is the new one.
fn check(world: &World, before: &[u8], call: &Call) -> bool {
    let found = world.list("virbr0").expect("a list");
    let new = found == after(before, call);
    assert!(new || found == before, "neither old nor new: {}", found.escape_ascii());
    new
}

#[test]
fn at_random_points() {
    let Some(world) = World::new() else { return };
    // Large enough that reading, comparing and writing take a while.
    let mut list = Vec::new();
    for i in 0..500 {
        list = after(&list, &Call::add("virbr0", i));
    }
    world.write_list("virbr0", &list);
    let mut random = Random::new(seed());
    let rounds = rounds(200);
    // The latest time of the kill. Adapts to the machine, so that half of the helpers end before it.
    let mut span = Duration::from_millis(2);
    let (mut killed, mut new_lists) = (0, 0);
    for i in 0..rounds {
        let call = Call::add("virbr0", random.below(600))
            .with("DNSMASQ_LEASE_EXPIRES", (1_900_000_000 + i).to_string());
        let deadline = span.mul_f64(random.below(1000) as f64 / 1000.0);
        let mut child = call.command(OURS).spawn().expect("the helper starts");
        let start = Instant::now();
        while start.elapsed() < deadline {
            spin_loop();
        }
        child.kill().expect("its process exists until it is waited for");
        let status = child.wait().expect("a status");
        let was_killed = status.signal() == Some(libc::SIGKILL);
        assert!(was_killed || status.success(), "{status}");
        let new = check(&world, &list, &call);
        assert!(new || was_killed, "it ended without a change");
        if new {
            list = world.list("virbr0").expect("a list");
        }
        killed += usize::from(was_killed);
        new_lists += usize::from(new);
        span = if was_killed { span.mul_f64(1.03) } else { span.div_f64(1.05) };
    }
    eprintln!("{killed} of {rounds} were killed, {new_lists} changed the list");
    assert!(
        killed > rounds / 5 && new_lists > rounds / 10,
        "{killed} killed, {new_lists} new lists"
    );
    // The next event removes what they left behind.
    Call::add("virbr0", 1).done();
    assert_eq!(world.tree().len(), 1, "{:?}", world.tree());
}

#[test]
fn before_every_system_call() {
    let (Some(world), Some(())) = (World::new(), have("strace")) else { return };
    let traced = |call: &Call, options: &[&str]| {
        let ours = call.command(OURS);
        let mut command = Command::new("strace");
        command.args(["-qq", "-o", "/run/strace.log"]).args(options);
        command.arg(ours.get_program()).args(ours.get_args()).env_clear();
        command.envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.status().expect("strace starts")
    };
    Call::add("virbr0", 1).done();
    assert!(traced(&Call::add("virbr0", 2), &[]).success());
    let log = fs::read_to_string("/run/strace.log").expect("strace's log");
    let calls: Vec<&str> = log.lines().filter_map(|line| Some(line.split_once('(')?.0)).collect();
    let (mut old_lists, mut new_lists) = (0, 0);
    for (i, name) in calls.iter().enumerate() {
        let nth = calls[..=i].iter().filter(|other| *other == name).count();
        if ["execve", "exit_group"].contains(name) {
            continue;
        }
        let before = world.list("virbr0").expect("a list");
        let call =
            Call::add("virbr0", 2).with("DNSMASQ_LEASE_EXPIRES", (1_900_000_000 + i).to_string());
        let status = traced(&call, &["-e", &format!("inject={name}:signal=SIGKILL:when={nth}")]);
        assert!(!status.success(), "{name} number {nth} was not reached");
        if check(&world, &before, &call) {
            new_lists += 1;
        } else {
            old_lists += 1;
        }
        Call::add("virbr0", 3).done();
        fs::remove_file("/run/strace.log").expect("strace's log");
        assert_eq!(world.tree().len(), 1, "{:?}", world.tree());
    }
    assert!(old_lists > 20 && new_lists > 3, "{old_lists} old lists, {new_lists} new ones");
}
