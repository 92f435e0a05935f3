//! System calls that fail during a look-up, and the result.

use std::sync::atomic::{AtomicU64, Ordering};

use abi::c::TRY_AGAIN;
use abi::process::fork;
use abi::{Answer, Lease, MacMap, Module, Query, StateDir, Status, sandboxed, seccomp};
use libc::{
    EACCES, EAGAIN, EIO, ELOOP, EMFILE, ENFILE, ENOENT, ENOMEM, EPERM, ESTALE, SIGUSR2, SYS_fstat,
    SYS_getdents64, SYS_newfstatat, SYS_openat, SYS_pread64, SYS_read, SYS_statx, c_long,
};

use crate::support::*;

const EXHAUSTED: (Status, i32, i32) = (Status::TryAgain, EAGAIN, TRY_AGAIN);
const MAC: &str = "52:54:00:00:00:01";

fn guests(state: &StateDir) {
    state.leases("virbr0", &[Lease::v4("10.0.0.1", MAC, "web", later())]);
    state.macs("virbr0", &[MacMap::new("web-vm", &[MAC])]);
}

/// A look-up of each kind in both modules, including the enumeration's first entry.
fn look_ups() -> Vec<(&'static Module, Query)> {
    let mut all = Vec::new();
    for (module, name) in [(host(), "web"), (guest(), "web-vm")] {
        all.extend(Query::every_by_name(name).into_iter().map(|query| (module, query)));
        all.extend([(module, Query::addr("10.0.0.1")), (module, Query::addr2("10.0.0.1"))]);
        all.push((module, Query::Get));
    }
    all
}

fn resolve(module: &Module, query: &Query) -> Answer {
    if *query == Query::Get {
        let _ = module.resolve(&Query::Set).expect("exported");
    }
    let answer = module.resolve(query).expect("exported");
    if *query == Query::Get {
        let _ = module.resolve(&Query::End).expect("exported");
    }
    answer
}

/// Makes every look-up with these system calls failing.
#[track_caller]
fn assert_triple(failing: &[(c_long, i32)], wanted: (Status, i32, i32)) {
    for (module, query) in look_ups() {
        let answer = seccomp::with_failing(failing, || resolve(module, &query));
        assert_eq!(answer.triple(), wanted, "{module:?} {query} with {failing:?}: {answer}");
    }
}

/// Libc and the module decide which system call reads a file, so all of them fail.
fn reads(errno: i32) -> [(c_long, i32); 2] {
    [(SYS_read, errno), (SYS_pread64, errno)]
}

/// Without a fault everything is found, which shows that the filter itself changes nothing.
#[test]
fn without_a_fault_everything_is_found() {
    sandboxed(|state| {
        let _cursor = cursor();
        guests(state);
        for (module, query) in look_ups() {
            let answer = seccomp::with_failing(&[], || resolve(module, &query));
            let v6_alone =
                matches!(query, Query::Name2(_, libc::AF_INET6) | Query::Name3(_, libc::AF_INET6));
            let wanted = if v6_alone { NO_ADDRESS } else { FOUND };
            assert_eq!(answer.triple(), wanted, "{module:?} {query}");
        }
    });
}

#[test]
fn out_of_descriptors_or_memory_is_try_again() {
    sandboxed(|state| {
        let _cursor = cursor();
        guests(state);
        for errno in [EMFILE, ENFILE, ENOMEM] {
            assert_triple(&[(SYS_openat, errno)], EXHAUSTED);
        }
        assert_triple(&reads(ENOMEM), EXHAUSTED);
        assert_triple(&[(SYS_getdents64, ENOMEM)], EXHAUSTED);
    });
}

#[test]
fn what_cannot_be_opened_is_not_there() {
    sandboxed(|state| {
        let _cursor = cursor();
        guests(state);
        for errno in [EACCES, EPERM, ENOENT, ELOOP, EIO, ESTALE] {
            assert_triple(&[(SYS_openat, errno)], UNKNOWN);
        }
    });
}

#[test]
fn a_disk_that_cannot_be_read() {
    sandboxed(|state| {
        let _cursor = cursor();
        guests(state);
        assert_triple(&reads(EIO), UNKNOWN);
        assert_triple(&[(SYS_getdents64, EIO)], UNKNOWN);
    });
}

/// If the type of a file can't be determined, a look-up never succeeds without an address, and never crashes.
#[test]
fn a_file_of_unknown_type() {
    sandboxed(|state| {
        let _cursor = cursor();
        guests(state);
        for errno in [EIO, EACCES] {
            let failing = [(SYS_fstat, errno), (SYS_newfstatat, errno), (SYS_statx, errno)];
            for (module, query) in look_ups() {
                let answer = seccomp::with_failing(&failing, || resolve(module, &query));
                assert!(
                    answer.triple() == UNKNOWN
                        || answer.triple() == FOUND
                        || answer.triple() == NO_ADDRESS,
                    "{query}: {answer}"
                );
            }
        }
    });
}

/// In a process with no free descriptor, or only one, the answer is "try again" and never a wrong "no such host". With
/// enough for one file at a time, everything is found.
/// a time, everything is found.
#[test]
fn few_descriptors_left() {
    sandboxed(|state| {
        guests(state);
        for (module, name) in [(host(), "web"), (guest(), "web-vm")] {
            for (left, wanted) in [(0, EXHAUSTED), (1, EXHAUSTED), (2, FOUND)] {
                let child = fork(|| {
                    leave_descriptors(left);
                    let answer = module.resolve(&Query::name4(name)).expect("exported");
                    assert_eq!(answer.triple(), wanted, "{left} descriptors left: {answer}");
                });
                child.join();
            }
        }
    });
}

/// Sets the process's limit so that it can open `left` more files: just above that many free descriptors.
fn leave_descriptors(left: u32) {
    let mut free = 0;
    // SAFETY: asking about a descriptor changes nothing.
    let is_open = |descriptor| unsafe { libc::fcntl(descriptor, libc::F_GETFD) } >= 0;
    let mut limit = 0;
    while free < left || is_open(limit) {
        free += u32::from(!is_open(limit));
        limit += 1;
    }
    let limit = libc::rlim_t::try_from(limit).expect("a number of descriptors");
    let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit };
    // SAFETY: the limit is a C struct.
    let set = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    assert_eq!(set, 0, "setrlimit");
}

static SIGNALS: AtomicU64 = AtomicU64::new(0);

extern "C" fn count_signal(_: i32) {
    SIGNALS.fetch_add(1, Ordering::Relaxed);
}

/// A timer that sends the calling thread a signal every 20 microseconds.
struct Storm(libc::timer_t);

impl Storm {
    fn begin() -> Storm {
        // SAFETY: all zeros is a sigaction without flags, so without SA_RESTART.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = count_signal as extern "C" fn(i32) as usize;
        // SAFETY: the handler adds to an atomic number alone.
        let set = unsafe { libc::sigaction(SIGUSR2, &raw const action, std::ptr::null_mut()) };
        assert_eq!(set, 0, "sigaction");
        // SAFETY: all zeros is a sigevent.
        let mut event: libc::sigevent = unsafe { std::mem::zeroed() };
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = SIGUSR2;
        // SAFETY: returns a number.
        event.sigev_notify_thread_id = unsafe { libc::gettid() };
        let mut timer = std::ptr::null_mut();
        // SAFETY: both structs live through the call.
        let made =
            unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer) };
        assert_eq!(made, 0, "timer_create");
        let every = libc::timespec { tv_sec: 0, tv_nsec: 20_000 };
        let every = libc::itimerspec { it_interval: every, it_value: every };
        // SAFETY: the timer was made above.
        let set = unsafe { libc::timer_settime(timer, 0, &raw const every, std::ptr::null_mut()) };
        assert_eq!(set, 0, "timer_settime");
        Storm(timer)
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        // SAFETY: the timer is ours.
        unsafe { libc::timer_delete(self.0) };
    }
}

/// Signals that interrupt everything that can be interrupted.
#[test]
fn a_storm_of_signals() {
    sandboxed(|state| {
        guests(state);
        let storm = Storm::begin();
        while SIGNALS.load(Ordering::Relaxed) < 2000 {
            for (module, name) in [(host(), "web"), (guest(), "web-vm")] {
                let answer = module.resolve(&Query::name4(name)).expect("exported");
                assert_eq!(answer.triple(), FOUND, "{answer}");
            }
        }
        drop(storm);
    });
}

/// Cancelling a thread takes effect where the thread allows it, and not during a look-up, with files open.
#[test]
fn a_look_up_is_not_a_cancellation_point() {
    sandboxed(|state| {
        guests(state);
        for (module, query) in look_ups() {
            let child = fork(|| {
                let cancelled = std::thread::spawn(move || {
                    // SAFETY: the thread's own handle.
                    let this = unsafe { libc::pthread_self() };
                    // SAFETY: this thread runs.
                    assert_eq!(unsafe { pthread_cancel(this) }, 0);
                    let answer = module.resolve(&query).expect("exported");
                    // SAFETY: ends the child before it reaches another cancellation point.
                    unsafe { libc::_exit(i32::from(answer.status == Status::TryAgain)) }
                });
                assert!(cancelled.join().is_ok(), "the thread was cancelled during the look-up");
            });
            child.join();
        }
    });
}

unsafe extern "C" {
    fn pthread_cancel(thread: libc::pthread_t) -> i32;
}
