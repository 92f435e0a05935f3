//! Look-ups in threads with the smallest stack.

use std::process::Command;

use abi::snapshot::{LEASED, REPORTED};
use abi::{Lease, MacMap, Snapshot, StateDir, sandbox};

use crate::glibc::{guests, resolve_program, run_with_messages, with_hosts_line};
use crate::support::later;

/// PTHREAD_STACK_MIN. Real programs with small threads: microsocks (32 KiB), cntlm (64 KiB).
const SMALLEST_STACK: &str = "16384";

/// A look-up in a thread with the smallest stack has the same result as on the main thread: by name, by address, all
/// guests, through either module, in small and in large files, with the snapshot and without,
/// with messages and after faults.
#[test]
fn the_smallest_stack_is_enough() {
    for line in ["libvirt", "libvirt_guest", "libvirt libvirt_guest"] {
        with_hosts_line(line, |state| {
            guests(state);
            for many in [false, true] {
                if many {
                    crowd(state);
                }
                for snapshot in [None, Some(REPORTED), Some(LEASED)] {
                    match snapshot {
                        Some(LEASED) => daemons(LEASED).publish(state),
                        Some(flags) => daemons(flags).publish_beside(),
                        None => Snapshot::withdraw(),
                    }
                    // A message for each of thousands of records takes seconds, so once is enough.
                    on_the_smallest_stack(&[], !many || snapshot.is_none());
                }
            }
            Snapshot::withdraw();
            // With fewer than three free descriptors, a look-up fails with EMFILE at one of the places that open one.
            for left in ["0", "1", "2", "3"] {
                on_the_smallest_stack(&["-d", left], left == "1");
            }
            unreadable_files(state);
            on_the_smallest_stack(&[], true);
            sandbox::hide_state_directory().expect("a mount");
            on_the_smallest_stack(&[], true);
        });
    }
}

/// Large files, names with many addresses, damaged files, and long names.
fn crowd(state: &StateDir) {
    let mac = |i: u32| format!("52:54:00:01:{:02x}:{:02x}", i / 256, i % 256);
    let leases: Vec<_> = (0..2000)
        .map(|i| {
            let name = if i < 120 { "many".to_owned() } else { format!("{}-{i}", "x".repeat(50)) };
            Lease::v4(&format!("10.1.{}.{}", i / 250, i % 250), &mac(i), &name, later())
        })
        .collect();
    let macs: Vec<String> = (0..120).map(mac).collect();
    let macs: Vec<&str> = macs.iter().map(String::as_str).collect();
    state.leases("virbr7", &leases);
    state.macs("virbr7", &[MacMap::new("many-vm", &macs)]);
    state.write("virbr8.status", "[{\"hostname\": \"web\", \"ip-address\":").fifo("virbr9.status");
    state.write("virbr8.macs", "{\"a\":".repeat(30_000));
}

/// Files that can't be opened (ELOOP) or read (EISDIR), beside good ones and in place of them.
fn unreadable_files(state: &StateDir) {
    state.link("virbr5.status", "virbr5.status").link("virbr5.macs", "virbr5.macs");
    state.directory("virbr6.status").directory("virbr6.macs");
    state.remove("virbr0.macs").directory("virbr0.macs");
    state.remove("virbr7.status").link("virbr7.status", "virbr7.status");
}

/// The same guests, and one that only the daemon knows.
fn daemons(flags: u8) -> Snapshot {
    let add = |snapshot: Snapshot, kind: &str, suffix: &str| {
        (1..200).fold(snapshot, |snapshot, i| {
            let name = if i < 100 { "web" } else { "reported" };
            let (key, own) = (format!("{kind}{name}{suffix}"), format!("{name}{suffix}"));
            snapshot.entry(&key, flags, &own, &format!("10.3.0.{i}"), "virbr0")
        })
    };
    add(add(Snapshot::default(), "h", ""), "g", "-vm")
}

/// Makes look-ups of all kinds in small threads, silently and, if wanted, with messages.
/// `options` are passed to `resolve.c`.
#[track_caller]
fn on_the_smallest_stack(options: &[&str], with_messages: bool) {
    let long = ["y".repeat(60), "y".repeat(60), "y".repeat(60), "y".repeat(60)].join(".");
    let names =
        ["web", "web-vm", "db", "many", "many-vm", "reported", "nobody", "localhost", &long];
    let addresses = ["192.168.122.10", "fd00::10", "10.1.0.5", "10.3.0.5", "10.9.9.9"];
    let mut look_ups = vec![vec!["-l"], [&["-n"][..], &addresses].concat()];
    for how in [&[][..], &["-c"], &["-4"], &["-6"], &["-m", "-6"], &["-g"]] {
        look_ups.push([how, &names].concat());
    }
    for look_up in look_ups {
        let resolve = |stack: &[&str], debug: bool| {
            let mut command = Command::new(resolve_program());
            command.args(options).args(stack).args(&look_up);
            if debug {
                command.env("LIBVIRT_NSS_DEBUG", "1");
            } else {
                command.env_remove("LIBVIRT_NSS_DEBUG");
            }
            let output = run_with_messages(&mut command);
            let status = output.status;
            assert!(status.success(), "{options:?} {stack:?} {look_up:?} debug {debug}: {status}");
            (String::from_utf8_lossy(&output.stdout).into_owned(), output.stderr)
        };
        let small = ["-s", SMALLEST_STACK];
        let (expected, stderr) = resolve(&[], false);
        assert!(stderr.is_empty(), "{options:?} {look_up:?}: messages");
        assert_eq!(resolve(&small, false).0, expected, "{options:?} {look_up:?}");
        if !with_messages {
            continue;
        }
        let (answer, messages) = resolve(&small, true);
        assert_eq!(answer, expected, "{options:?} {look_up:?} with messages");
        assert!(!messages.is_empty(), "{options:?} {look_up:?}: no messages");
    }
}
