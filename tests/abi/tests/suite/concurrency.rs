//! Many threads and forked children make look-ups while the files change.
//!
//! Every address in a file encodes the file's version. Writers record which version they are about to write and which
//! they have written, so that every answer can be checked against the versions that existed between
//! its call and its return.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use abi::json::array;
use abi::process::fork;
use abi::{Lease, MacMap, Module, Query, StateDir, sandboxed};

use crate::support::*;

const MAC: &str = "52:54:00:00:00:01";
const READERS: usize = 64;

/// What the writers have done so far.
#[derive(Default)]
struct Versions {
    /// The newest version that may be seen.
    begun: AtomicU32,
    /// The oldest version that may be seen, unless there is no file.
    done: AtomicU32,
}

impl Versions {
    /// Runs `write` with the next version.
    fn next(&self, write: impl FnOnce(u32)) {
        let version = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        write(version);
        self.done.store(version, Ordering::SeqCst);
    }

    /// The result of `read`, with the versions that it may have seen.
    fn around<T>(&self, read: impl FnOnce() -> T) -> (T, std::ops::RangeInclusive<u32>) {
        let oldest = self.done.load(Ordering::SeqCst);
        let value = read();
        (value, oldest..=self.begun.load(Ordering::SeqCst))
    }
}

/// Address number `which` of a version, for versions below 65,536.
fn address(version: u32, which: u32) -> String {
    format!("10.{}.{}.{which}", version >> 8, version & 0xff)
}

/// The version that an address encodes.
fn version(address: &str) -> u32 {
    let octets: Vec<u32> = address.split('.').map(|octet| octet.parse().expect("IPv4")).collect();
    octets[1] << 8 | octets[2]
}

/// The file of a version: three addresses for `web`, some 25 KiB apart, so that reading the file takes several reads.
struct Contents {
    /// Records of other guests, the same in every version.
    between: String,
}

impl Contents {
    fn new() -> Contents {
        let other = |i| Lease::v4(&format!("10.255.0.{i}"), "52:54:00:00:00:99", "x", 0).json();
        Contents { between: (0..150).map(other).collect::<Vec<_>>().join(",\n") }
    }

    fn of(&self, version: u32) -> String {
        let [one, two, three] =
            [1, 2, 3].map(|which| Lease::v4(&address(version, which), MAC, "web", 0).json());
        let between = &self.between;
        array([&one, between, &two, between, &three].into_iter().cloned())
    }
}

fn ask_one(module: &Module, name: &str) -> Vec<String> {
    let answer = module.resolve(&Query::name4(name)).expect("exported");
    match answer.triple() {
        FOUND => answer.addresses_text(),
        UNKNOWN | NO_ADDRESS => Vec::new(),
        _ => panic!("{name}: {answer}"),
    }
}

/// Runs `read` in 64 threads until `write` has finished.
fn readers_and_writer(read: impl Fn() + Sync, write: impl FnOnce()) {
    // Built and loaded before 64 threads need it.
    let _ = (host(), guest());
    let done = AtomicBool::new(false);
    let rounds = AtomicU32::new(0);
    thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS)
            .map(|_| {
                scope.spawn(|| {
                    while !done.load(Ordering::Acquire) {
                        read();
                        rounds.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        write();
        done.store(true, Ordering::Release);
        for reader in readers {
            reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    });
    println!("{} look-ups", rounds.load(Ordering::Relaxed));
}

/// libvirt replaces its files by rename, so every answer is from one version, complete.
#[test]
fn replaced_files_are_never_mixed() {
    sandboxed(|state| {
        state.macs("virbr0", &[MacMap::new("web-vm", &[MAC])]);
        let versions = Versions::default();
        let contents = Contents::new();
        let write = |version| drop_ref(state.write("virbr0.status", contents.of(version)));
        versions.next(write);
        let read = || {
            for (module, name) in [(host(), "web"), (guest(), "web-vm")] {
                let (found, possible) = versions.around(|| ask_one(module, name));
                let which = found.first().map(|first| version(first));
                let which = which.unwrap_or_else(|| panic!("{name} existed all the time"));
                assert!(possible.contains(&which), "version {which}, not of {possible:?}");
                let whole: Vec<String> = (1..=3).map(|i| address(which, i)).collect();
                assert_eq!(found, whole, "{name}");
            }
        };
        readers_and_writer(read, || (0..2000).for_each(|_| versions.next(write)));
    });
}

/// Files that are deleted, created again, truncated or overwritten in place: an answer may lack what was missing for a
/// moment, but has nothing that never existed.
#[test]
fn files_that_come_and_go() {
    sandboxed(|state| {
        state.macs("virbr0", &[MacMap::new("web-vm", &[MAC])]);
        let versions = Versions::default();
        let read = || {
            for (module, name) in [(host(), "web"), (guest(), "web-vm")] {
                let (found, possible) = versions.around(|| ask_one(module, name));
                for found in &found {
                    let which = version(found);
                    assert!(possible.contains(&which), "version {which}, not of {possible:?}");
                    assert!((1..=3).any(|i| address(which, i) == *found), "{found} never existed");
                }
                let mut once = found.clone();
                once.sort();
                once.dedup();
                assert_eq!(once.len(), found.len(), "{found:?}");
            }
        };
        let contents = Contents::new();
        let write = |_| {
            versions.next(|version| {
                let text = contents.of(version);
                match version % 5 {
                    0 => drop_ref(state.remove("virbr0.status")),
                    1 | 2 => drop_ref(state.overwrite("virbr0.status", text)),
                    3 => drop_ref(state.overwrite("virbr0.status", "")),
                    _ => drop_ref(state.write("virbr0.status", text)),
                }
            });
        };
        readers_and_writer(read, || (0..3000).for_each(write));
    });
}

/// At every moment the MAC map says that exactly one of two guests runs.
#[test]
fn a_guest_is_replaced_by_another_of_its_name() {
    sandboxed(|state| {
        let other = "52:54:00:00:00:02";
        let both = [Lease::v4("10.0.0.1", MAC, "web", 0), Lease::v4("10.0.0.2", other, "web", 0)];
        state.leases("virbr0", &both);
        let run = |mac| drop_ref(state.macs("virbr0", &[MacMap::new("web-vm", &[mac])]));
        run(MAC);
        let read = || {
            for (module, name) in [(host(), "web"), (guest(), "web-vm")] {
                let found = ask_one(module, name);
                assert!(found == ["10.0.0.1"] || found == ["10.0.0.2"], "{name}: {found:?}");
            }
        };
        readers_and_writer(read, || {
            for _ in 0..1000 {
                run(other);
                run(MAC);
            }
        });
    });
}

/// A child forked from the midst of 64 threads that make look-ups gets the same answers.
#[test]
fn forked_children() {
    sandboxed(|state| {
        fill(state);
        let check = || {
            assert_eq!(ask_one(host(), "web"), ["fd00::1", "10.0.0.1"]);
            assert_eq!(ask_one(guest(), "web-vm"), ["fd00::1", "10.0.0.1"]);
        };
        readers_and_writer(check, || {
            for _ in 0..10 {
                let children: Vec<_> =
                    (0..8).map(|_| fork(|| (0..50).for_each(|_| check()))).collect();
                children.into_iter().for_each(abi::process::Child::join);
            }
        });
    });
}

fn fill(state: &StateDir) {
    state.leases(
        "virbr0",
        &[Lease::v4("10.0.0.1", MAC, "web", 0), Lease::v6("fd00::1", MAC, "web", later())],
    );
    state.macs("virbr0", &[MacMap::new("web-vm", &[MAC])]);
}

/// Drops the reference that the builder's methods return.
fn drop_ref(_: &StateDir) {}
