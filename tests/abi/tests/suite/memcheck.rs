//! The modules under valgrind's memcheck: they read no byte that wasn't written, access no memory that isn't theirs or
//! the caller's, and leave no descriptor open and nothing on the heap.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use abi::snapshot::REPORTED;
use abi::{Kind, Lease, MacMap, Modules, Snapshot, sandbox, sandboxed};

use crate::support::later;

/// From version 3.24 on, valgrind counts a descriptor that its parent left open as an error.
fn inherit_no_descriptors(command: &mut Command) {
    let close_on_exec = || {
        // SAFETY: it changes a flag of descriptors, and nothing else.
        match unsafe { libc::close_range(3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC as i32) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    // SAFETY: close_range is a bare system call, as fork's child needs.
    unsafe { command.pre_exec(close_on_exec) };
}

#[test]
fn memcheck_finds_nothing() {
    if let Err(error) = Command::new("valgrind").arg("--version").output() {
        return sandbox::skip(&format!("valgrind can't be run (tests/setup test): {error}"));
    }
    sandboxed(|state| {
        let mac = |i: u8| format!("52:54:00:00:00:{i:02x}");
        let shared =
            |i: u8| Lease::v4(&format!("10.0.0.{i}"), &mac(i), "web", later() + i64::from(i % 3));
        let mut leases: Vec<Lease> = (0..40).map(shared).collect();
        leases.push(Lease::v6("fd00::1", &mac(1), "web", later()));
        leases.push(Lease::v6("fe80::1", &mac(1), "db", later()));
        leases.push(Lease::v4("10.0.1.1", &mac(2), "db", later()).text("domain", "lab"));
        state.leases("virbr0", &leases);
        let (one, two) = (mac(1), mac(2));
        state.macs("virbr0", &[MacMap::new("web-vm", &[&one]), MacMap::new("my vm", &[&two])]);
        state.write(
            "virbr1.status",
            "[{\"hostname\": \"w\\u0065b\", \"ip-address\": \"10.0.2.1\"}, {\"a\":",
        );
        state.write("virbr1.macs", "{\"domain\": \"web-vm\", \"macs\": [".repeat(300));
        let snapshot = Snapshot::default()
            .entry("hweb", REPORTED, "web", "10.3.0.1", "lo")
            .entry("hweb", REPORTED, "web", "fe80::7", "lo")
            .entry("gweb-vm", REPORTED, "web-vm", "10.3.0.1", "lo");
        for (kind, standing) in
            Kind::BOTH.into_iter().flat_map(|kind| [(kind, false), (kind, true)])
        {
            if standing {
                snapshot.publish(state)
            } else {
                snapshot.publish_beside()
            }
            let mut valgrind = Command::new("valgrind");
            inherit_no_descriptors(&mut valgrind);
            let output = valgrind
                .args(["--quiet", "--error-exitcode=99", "--track-fds=yes", "--leak-check=full"])
                .arg(env!("CARGO_BIN_EXE_abi-probe"))
                .arg("--all")
                .arg(Modules::ours().path(kind))
                .args([kind.service(), "web", "web.", "db.lab", "web-vm", "my vm", "nobody"])
                .output()
                .expect("valgrind runs");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{kind:?}: {}\n{said}", output.status);
            let count = |what: &str| said.matches(what).count();
            let left_open = count("Open file descriptor") - count("<inherited from parent>");
            assert_eq!(left_open, 0, "{kind:?}: {said}");
            let answers = String::from_utf8_lossy(&output.stdout);
            assert!(answers.contains("Success"), "{kind:?} found no guest:\n{answers}");
        }
    });
}
