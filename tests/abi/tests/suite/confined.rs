//! Look-ups under a filter that allows the system calls that `docs/sandboxing.md` lists, and ends
//! the process at any other.

use std::cell::Cell;
use std::fs;
use std::hint;
use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use abi::module::{Moment, watch};
use abi::process::{Child, fork};
use abi::snapshot::{LEASED, REPORTED};
use abi::{How, Lease, MacMap, Module, Query, Snapshot, StateDir, Status, sandboxed, seccomp};
use libc::c_long;

use crate::support::*;

type Call = (&'static str, c_long);

/// Every look-up makes these.
const LOOK_UP: [Call; 5] = [
    ("newfstatat", libc::SYS_newfstatat),
    ("openat", libc::SYS_openat),
    ("getdents64", libc::SYS_getdents64),
    ("pread64", libc::SYS_pread64),
    ("close", libc::SYS_close),
];
/// If there is a snapshot.
const SNAPSHOT: [Call; 1] = [("fstat", libc::SYS_fstat)];
/// To compare a host name with the host's own, which no guest may have.
const NODE_NAME: [Call; 1] = [("uname", libc::SYS_uname)];
/// If the stack is too small: for many leases, and for the list of all guests.
const MEMORY: [Call; 2] = [("mmap", libc::SYS_mmap), ("munmap", libc::SYS_munmap)];
/// In a thread other than the main one: to get the size of a file.
const SIZE: [Call; 1] = [("fstat", libc::SYS_fstat)];
/// On the main thread: to get the limit of its stack.
const STACK: [Call; 1] = [("prlimit64", libc::SYS_prlimit64)];
const SCOPE: [Call; 2] = [("socket", libc::SYS_socket), ("ioctl", libc::SYS_ioctl)];
const MESSAGES: [Call; 1] = [("write", libc::SYS_write)];
/// If there is no vDSO.
const TIME: Call = ("clock_gettime", libc::SYS_clock_gettime);

const MAC: &str = "52:54:00:00:00:01";

thread_local! {
    static ALLOWED: Cell<&'static [c_long]> = const { Cell::new(&[]) };
}

/// The status that the confined call returned; out of range before that.
static RETURNED: AtomicI32 = AtomicI32::new(i32::MAX);

/// Confines the thread before the call. After the call the thread makes no more system calls: it stores the result and
/// loops until its process ends.
fn confine(moment: Moment) {
    match moment {
        Moment::Before => seccomp::allow_only(ALLOWED.get()),
        Moment::After { status } => {
            RETURNED.store(status, Ordering::SeqCst);
            loop {
                hint::spin_loop();
            }
        }
    }
}

/// Makes a call in a child that is allowed only these system calls.
fn confined(module: &'static Module, query: &Query, allowed: &[&[Call]], wanted: Status) -> Child {
    let numbers: Vec<c_long> = allowed.concat().iter().map(|(_, number)| *number).collect();
    let numbers: &'static [c_long] = numbers.leak();
    let query = query.clone();
    fork(move || {
        thread::spawn(move || {
            ALLOWED.set(numbers);
            watch(Some(confine));
            let _ = module.ask(&query, &How { length: 1 << 16, ..How::default() });
        });
        let start = Instant::now();
        while RETURNED.load(Ordering::SeqCst) == i32::MAX {
            assert!(start.elapsed() < Duration::from_secs(60), "no answer");
            thread::yield_now();
        }
        assert_eq!(RETURNED.load(Ordering::SeqCst), wanted.raw());
    })
}

fn guests(state: &StateDir) {
    state.leases("virbr0", &[Lease::v4("10.0.0.1", MAC, "web", later())]);
    state.leases("virbr1", &[Lease::v4("10.0.1.1", "52:54:00:00:00:02", "web", later())]);
    state.macs("virbr0", &[MacMap::new("web-vm", &[MAC])]).fifo("virbr2.status");
}

#[test]
fn look_ups_make_only_the_listed_calls() {
    sandboxed(|state| {
        guests(state);
        for (module, name) in [(host(), "web"), (guest(), "web-vm")] {
            for (query, wanted) in [
                (Query::name4(name), Status::Success),
                (Query::name(name), Status::Success),
                (Query::name3(name, libc::AF_INET6), Status::Unavail),
                (Query::addr("10.0.0.1"), Status::Success),
                (Query::addr2("10.0.0.9"), Status::NotFound),
                (Query::name4("mail"), Status::NotFound),
            ] {
                confined(module, &query, &[&LOOK_UP, &SIZE, &NODE_NAME, &[TIME]], wanted).join();
            }
        }
    });
}

#[test]
fn many_leases_of_one_name() {
    sandboxed(|state| {
        let leases: Vec<Lease> =
            (0..200).map(|i| Lease::v4(&format!("10.0.0.{i}"), MAC, "web", later())).collect();
        state.leases("virbr0", &leases).macs("virbr0", &[MacMap::new("web-vm", &[MAC])]);
        for (module, name) in [(host(), "web"), (guest(), "web-vm")] {
            let allowed: [&[Call]; 5] = [&LOOK_UP, &SIZE, &NODE_NAME, &MEMORY, &[TIME]];
            confined(module, &Query::name4(name), &allowed, Status::Success).join();
        }
    });
}

#[test]
fn a_snapshot() {
    sandboxed(|state| {
        guests(state);
        let entry =
            |key, flags, name| Snapshot::default().entry(key, flags, name, "10.0.0.7", "virbr0");
        // A current snapshot replaces the files.
        let alone: Vec<Call> =
            LOOK_UP.into_iter().filter(|(name, _)| *name != "getdents64").collect();
        entry("hweb", LEASED, "web").publish(state);
        for (query, wanted) in [
            (Query::name4("web"), Status::Success),
            (Query::addr("10.0.0.7"), Status::Success),
            (Query::name4("nobody"), Status::NotFound),
        ] {
            confined(host(), &query, &[&alone, &SNAPSHOT, &[TIME]], wanted).join();
        }
        entry("greported", REPORTED, "reported").publish_beside();
        for name in ["reported", "web-vm"] {
            let allowed: [&[Call]; 3] = [&LOOK_UP, &SNAPSHOT, &[TIME]];
            confined(guest(), &Query::name4(name), &allowed, Status::Success).join();
        }
    });
}

#[test]
fn enumeration() {
    sandboxed(|state| {
        let _cursor = cursor();
        guests(state);
        for module in [host(), guest()] {
            let _ = module.resolve(&Query::Set);
            let allowed: [&[Call]; 5] = [&LOOK_UP, &SIZE, &NODE_NAME, &MEMORY, &[TIME]];
            confined(module, &Query::Get, &allowed, Status::Success).join();
        }
    });
}

#[test]
fn scopes_of_link_local_addresses() {
    sandboxed(|state| {
        state.leases("lo", &[Lease::v6("fe80::1", MAC, "web", later())]);
        state.macs("lo", &[MacMap::new("web-vm", &[MAC])]);
        for (module, name) in [(host(), "web"), (guest(), "web-vm")] {
            let allowed: [&[Call]; 5] = [&LOOK_UP, &SIZE, &NODE_NAME, &SCOPE, &[TIME]];
            confined(module, &Query::name4(name), &allowed, Status::Success).join();
        }
    });
}

#[test]
fn messages() {
    sandboxed(|state| {
        guests(state);
        let child = fork(|| {
            // SAFETY: the child has one thread.
            unsafe { libc::setenv(c"LIBVIRT_NSS_DEBUG".as_ptr(), c"1".as_ptr(), 1) };
            let nowhere = fs::File::options().write(true).open("/dev/null").expect("/dev/null");
            // SAFETY: the child's stderr is its own.
            unsafe { libc::dup2(std::os::fd::AsRawFd::as_raw_fd(&nowhere), 2) };
            let allowed: [&[Call]; 5] = [&LOOK_UP, &SIZE, &NODE_NAME, &MESSAGES, &[TIME]];
            confined(host(), &Query::name4("web"), &allowed, Status::Success).join();
        });
        child.join();
    });
}

/// The filter works: without one of the calls, the process ends with SIGSYS.
#[test]
fn another_call_ends_the_process() {
    sandboxed(|state| {
        guests(state);
        let query = Query::name4("web");
        for missing in 0..LOOK_UP.len() {
            let mut allowed = LOOK_UP.to_vec();
            let (name, _) = allowed.remove(missing);
            let others: [&[Call]; 4] = [&allowed, &SIZE, &NODE_NAME, &[TIME]];
            let end = confined(host(), &query, &others, Status::Success).wait();
            let signal = format!("got signal {}: ", libc::SIGSYS);
            assert_eq!(end, Err(signal), "without {name}");
        }
    });
}

#[test]
fn the_document_lists_the_calls() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/sandboxing.md");
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let all: [&[Call]; 9] =
        [&LOOK_UP, &SNAPSHOT, &SIZE, &NODE_NAME, &MEMORY, &STACK, &SCOPE, &MESSAGES, &[TIME]];
    for (name, _) in all.concat() {
        assert!(text.contains(&format!("`{name}`")), "docs/sandboxing.md doesn't list {name}");
    }
}
