//! What a look-up costs the calling process: stack, heap, descriptors.

use std::cell::Cell;
use std::ffi::c_void;
use std::fs;
use std::hint::black_box;

use abi::module::{Moment, watch};
use abi::snapshot::{LEASED, REPORTED};
use abi::{How, Lease, MacMap, Query, Snapshot, StateDir, sandbox, sandboxed, seccomp};
use libc::size_t;

use crate::support::*;

/// The most stack that one call may take, in bytes.
const STACK: usize = 24 << 10;

/// How much of the stack is painted: ten times as much, so that a larger use is seen too.
const PAINTED: usize = 240 << 10;

const PAINT: u8 = 0xC3;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static IN_CALL: Cell<u64> = const { Cell::new(0) };
    static DEEPEST: Cell<usize> = const { Cell::new(0) };
}

unsafe extern "C" {
    fn __libc_malloc(size: size_t) -> *mut c_void;
    fn __libc_calloc(count: size_t, size: size_t) -> *mut c_void;
    fn __libc_realloc(old: *mut c_void, size: size_t) -> *mut c_void;
}

// This program's malloc replaces libc's for everything in it, including the modules.

#[unsafe(no_mangle)]
extern "C" fn malloc(size: size_t) -> *mut c_void {
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
    // SAFETY: the arguments are passed on unchanged.
    unsafe { __libc_malloc(size) }
}

#[unsafe(no_mangle)]
extern "C" fn calloc(count: size_t, size: size_t) -> *mut c_void {
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
    // SAFETY: the arguments are passed on unchanged.
    unsafe { __libc_calloc(count, size) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn realloc(old: *mut c_void, size: size_t) -> *mut c_void {
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
    // SAFETY: the arguments are passed on unchanged.
    unsafe { __libc_realloc(old, size) }
}

/// Counts the allocations between the two moments.
fn count(moment: Moment) {
    match moment {
        Moment::Before => IN_CALL.set(ALLOCATIONS.get()),
        Moment::After { .. } => {
            assert_eq!(ALLOCATIONS.get(), IN_CALL.get(), "a call used the heap")
        }
    }
}

/// Paints the stack below the caller's frame before the call, and finds how far down the
/// paint was overwritten after it.
#[inline(never)]
fn paint(moment: Moment) {
    let here = 0_u8;
    let top = (&raw const here) as usize;
    // Spares this function's own frame.
    let (low, high) = (top - PAINTED, top - 256);
    match moment {
        Moment::Before => {
            for address in low..high {
                // SAFETY: this thread's unused stack, far from its end (2 MiB).
                unsafe {
                    std::ptr::with_exposed_provenance_mut::<u8>(address).write_volatile(PAINT)
                };
            }
        }
        Moment::After { .. } => {
            let touched = (low..high).find(|&address| {
                // SAFETY: as above.
                let byte =
                    unsafe { std::ptr::with_exposed_provenance::<u8>(address).read_volatile() };
                byte != PAINT
            });
            DEEPEST.set(DEEPEST.get().max(touched.map_or(0, |address| top - address)));
        }
    }
    black_box(here);
}

/// Guests for every path through the look-up: many addresses, duplicates, leases left behind, damage.
fn busy(state: &StateDir) {
    let mac = |i: i64| format!("52:54:00:00:{:02x}:{:02x}", i / 256, i % 256);
    let mut leases = Vec::new();
    let mut macs = Vec::new();
    for i in 0..100 {
        let ip = format!("10.0.0.{i}");
        leases.push(Lease::v4(&ip, &mac(i), "web", later() + i % 7));
        leases.push(Lease::v6(&format!("fd00::{i:x}"), &mac(i), "web", later()));
        leases.push(Lease::v4(&ip, &mac(i), &format!("host{i}"), later()));
        if i % 3 > 0 {
            macs.push(mac(i));
        }
    }
    let macs: Vec<&str> = macs.iter().map(String::as_str).collect();
    state.leases("virbr0", &leases);
    state.macs("virbr0", &[MacMap::new("web-vm", &macs), MacMap::new("x", &[])]);
    state.leases("virbr1", &leases[..9]);
    state.macs("virbr1", &[MacMap::new("web-vm", &macs[..9])]);
    state.write("virbr2.status", "[{\"hostname\": \"web\", \"ip-address\":").fifo("virbr3.status");
    state.write("virbr2.macs", "{".repeat(30_000));
}

/// A daemon's snapshot: a name with more addresses than fit one read, and other guests.
fn snapshot(flags: u8) -> Snapshot {
    let many = |snapshot: Snapshot, i: u32| {
        let address = format!("10.2.0.{i}");
        let snapshot = snapshot.entry("hweb", flags, "web", &address, "virbr0");
        snapshot.entry("gweb-vm", flags, "web-vm", &address, "virbr0")
    };
    let snapshot = (0..250).fold(Snapshot::default(), many);
    snapshot.entry("hweb", flags, "web", "fe80::1", "lo").known("gmail", flags, "mail")
}

fn every_query() -> Vec<Query> {
    let mut queries = Vec::new();
    for name in ["web", "web-vm", "web.", "mail", "host7", "localhost", "no host name"] {
        queries.extend(Query::every_by_name(name));
    }
    for address in ["10.0.0.5", "10.2.0.5", "10.0.9.9", "fd00::5", "fd00::ffff:5"] {
        queries.extend([Query::addr(address), Query::addr2(address)]);
    }
    queries
}

/// Runs each query in both modules, with a large and a small buffer, under `watching`; then the enumeration.
fn watched(watching: fn(Moment)) {
    let _cursor = cursor();
    for module in [host(), guest()] {
        watch(Some(watching));
        for query in every_query() {
            for length in [1 << 20, 100] {
                let how = How { length, ..How::default() };
                let _ = module.ask(&query, &how).expect("exported");
            }
        }
        for query in [Query::Set, Query::Get, Query::Get, Query::Get, Query::End] {
            let _ = module.ask(&query, &How::default()).expect("exported");
        }
        watch(None);
    }
}

/// The counter works; otherwise the next test couldn't fail.
#[test]
fn the_heap_is_watched() {
    let before = ALLOCATIONS.get();
    drop(black_box(vec![1_u8; 100]));
    assert!(ALLOCATIONS.get() > before);
}

#[test]
fn no_heap_is_used() {
    sandboxed(|state| {
        busy(state);
        watched(count);
        snapshot(REPORTED).publish_beside();
        watched(count);
        state.clear();
        snapshot(LEASED).publish(state);
        watched(count);
    });
}

#[test]
fn stack_is_at_most_24_kib() {
    sandboxed(|state| {
        busy(state);
        watched(paint);
        snapshot(REPORTED).publish_beside();
        watched(paint);
        snapshot(LEASED).publish(state);
        watched(paint);
        println!("{} bytes of stack at most", DEEPEST.get());
        assert!(DEEPEST.get() > 256, "the paint wasn't touched: nothing was measured");
        assert!(DEEPEST.get() <= STACK, "{} bytes of stack", DEEPEST.get());
    });
}

/// The numbers of the open descriptors in this thread's own table.
fn descriptors() -> Vec<String> {
    let listing = fs::read_dir("/proc/thread-self/fd").expect("/proc is mounted");
    let mut open: Vec<String> = listing
        .map(|entry| entry.expect("a listing").file_name().to_string_lossy().into_owned())
        .collect();
    open.sort();
    open
}

#[test]
fn no_descriptor_stays_open() {
    sandboxed(|state| {
        busy(state);
        let before = descriptors();
        watched(|_| ());
        assert_eq!(descriptors(), before);
        snapshot(REPORTED).publish_beside();
        watched(|_| ());
        assert_eq!(descriptors(), before);
        sandbox::hide_state_directory().expect("a mount");
        watched(|_| ());
        assert_eq!(descriptors(), before);
    });
}

/// Another thread may call exec at any time, and opening a file must never block.
#[test]
fn files_are_opened_close_on_exec_and_without_waiting() {
    sandboxed(|state| {
        busy(state);
        snapshot(REPORTED).publish_beside();
        for (module, name) in [(host(), "web"), (guest(), "web-vm")] {
            let query = Query::name4(name);
            let usual = module.resolve(&query);
            let ask = || module.resolve(&query);
            let flags = libc::O_CLOEXEC | libc::O_NONBLOCK;
            assert_eq!(seccomp::with_open_flags(flags, ask), usual);
            // Without the right flags nothing could be opened.
            let nothing = seccomp::with_open_flags(flags | libc::O_TMPFILE, ask);
            assert_eq!(nothing.expect("exported").triple(), UNKNOWN);
        }
    });
}
