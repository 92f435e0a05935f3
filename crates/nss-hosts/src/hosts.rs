//! The entry points' work, for either kind of name.
//!
//! Each function takes what glibc passed to an entry point, and is unsafe because of that. Its one `unsafe` block makes
//! values and references of it; the rest is safe.

#![allow(
    clippy::multiple_unsafe_ops_per_block,
    reason = "one argument covers all that glibc passed"
)]

use core::cell::UnsafeCell;
use core::ffi::{c_char, c_int, c_void};
use core::mem::MaybeUninit;
use core::slice;

use guest_names::address::{Address, Family};
use guest_names::candidate::Candidate;
use guest_names::lookup::{Found, Lookup, Memory, Pairs, Query};
use guest_names::name::NameKind;
use guest_names::observe::Observer;
use guest_names::snapshot::Opened;
use guest_names::text::{TEXT_MAX, Text};
use guest_names::window::{LARGE_BUFFER, SMALL_BUFFER};

use crate::abi::{AddrTuple, HostEnt, Status};
use crate::debug::Messages;
use crate::pack::{self, Buffer, Scoped};
use crate::reply::Reply;
use crate::system::{self, Arena, Directory, File, STATE_DIRECTORY};

pub use libc::AF_INET;

/// The last four arguments of every entry point: the buffer for the answer, and the places for errno and h_errno.
pub struct Caller {
    buffer: Buffer,
    errnop: *mut c_int,
    h_errnop: *mut c_int,
}

impl Caller {
    /// # Safety
    /// The buffer can be written for its length and nothing else uses it, and both pointers can be written or are NULL,
    /// as long as this value and the answer in the buffer are used.
    pub unsafe fn new(
        buffer: *mut c_char,
        buflen: usize,
        errnop: *mut c_int,
        h_errnop: *mut c_int,
    ) -> Self {
        // SAFETY: the caller promises what `Buffer::new` asks for.
        let buffer = unsafe { Buffer::new(buffer, buflen) };
        Self { buffer, errnop, h_errnop }
    }

    fn reply(&self, reply: Reply) -> Status {
        // SAFETY: `new`'s caller promises that both can be written or are NULL.
        unsafe { reply.set(self.errnop, self.h_errnop) }
    }
}

/// Copies the name to look up, since it may be in the buffer for the answer (`gethostbyname(h->h_name)`). A name that is
/// too long becomes empty.
///
/// # Safety
/// `name` is a C string.
unsafe fn copy_of(name: *const c_char) -> Text {
    // SAFETY: strnlen doesn't read past the end of the string, and its result isn't past it either.
    let bytes =
        unsafe { slice::from_raw_parts(name.cast::<u8>(), libc::strnlen(name, TEXT_MAX + 2)) };
    Text::from(bytes)
}

/// By name, into a `struct hostent`.
///
/// # Safety
/// `name` is a C string, `result` can be written, and `ttlp` and `canonp` can be or are NULL.
#[inline(never)] // in all, 15 KiB less stack in small threads
pub unsafe fn by_name(
    kind: NameKind,
    name: *const c_char,
    af: c_int,
    result: *mut HostEnt,
    caller: &Caller,
    ttlp: *mut i32,
    canonp: *mut *mut c_char,
) -> Status {
    // SAFETY: the caller promises a string and pointers that can be written or are NULL, and glibc passes the addresses
    // of different variables, so no two references are to the same memory.
    let (name, result, ttl, canonical) =
        unsafe { (copy_of(name), place_at(result), ttlp.as_mut(), canonp.as_mut()) };
    let families: &[Family] = match af {
        libc::AF_INET => &[Family::V4],
        libc::AF_INET6 => &[Family::V6],
        // One hostent holds one family: IPv4 where there is any.
        libc::AF_UNSPEC => &[Family::V4, Family::V6],
        _ => return caller.reply(Reply::BadFamily),
    };
    let mut reply = Reply::Unknown;
    let mut h_name = None;
    for &family in families {
        let Some(wanted) = kind.wanted(name.as_bytes()) else { break };
        let query = Query { kind, wanted, family: Some(family), scopes: false };
        reply = look_up(&mut |lookup| match lookup.by_name(&query) {
            Ok(Found::Addresses(candidates)) => {
                let mut addresses = candidates.iter().filter_map(|candidate| candidate.address);
                let (name, count) = (wanted.canonical(), candidates.len());
                let packed =
                    pack::host_ent(&caller.buffer, name, family, &mut addresses, count, result);
                h_name = packed.ok();
                Reply::packed(packed)
            }
            other => Reply::without_answer(&other),
        });
        if reply != Reply::NoData {
            break;
        }
    }
    if let Some(h_name) = h_name {
        set(ttl, 0);
        set(canonical, h_name);
    }
    caller.reply(reply)
}

/// By name, into a chain of `struct gaih_addrtuple`, both families.
///
/// # Safety
/// `name` is a C string, `pat` can be written and what it points to is NULL or a tuple that can be
/// written, `ttlp` can be written or is NULL.
#[inline(never)] // in all, 15 KiB less stack in small threads
pub unsafe fn tuples_by_name(
    kind: NameKind,
    name: *const c_char,
    pat: *mut *mut AddrTuple,
    caller: &Caller,
    ttlp: *mut i32,
) -> Status {
    // SAFETY: the caller promises a string, a pointer to NULL or to a tuple that can be written, and a pointer that can be
    // written or is NULL; they are different variables of glibc's.
    let (name, pat, mut own, ttl) = unsafe {
        let own = pat.read().cast::<MaybeUninit<AddrTuple>>();
        (copy_of(name), &mut *pat, own.as_mut(), ttlp.as_mut())
    };
    let Some(wanted) = kind.wanted(name.as_bytes()) else { return caller.reply(Reply::Unknown) };
    let query = Query { kind, wanted, family: None, scopes: true };
    let reply = look_up(&mut |lookup| match lookup.by_name(&query) {
        Ok(Found::Addresses(candidates)) => {
            let count = candidates.iter().filter_map(scoped).count();
            if count == 0 {
                return Reply::NoData;
            }
            let (name, mut addresses) = (wanted.canonical(), candidates.iter().filter_map(scoped));
            let packed = pack::tuples(&caller.buffer, name, &mut addresses, count, own.take());
            if let Ok(first) = packed {
                *pat = first;
            }
            Reply::packed(packed)
        }
        other => Reply::without_answer(&other),
    });
    if reply == Reply::Success {
        set(ttl, 0);
    }
    caller.reply(reply)
}

/// The address with its scope. `None` for a link-local one whose interface isn't there: nothing can be done with it.
fn scoped(candidate: &Candidate) -> Option<Scoped> {
    let address = candidate.address?;
    if !address.is_link_local_v6() {
        return Some((address, 0));
    }
    let scope = system::interface_index(&candidate.bridge);
    (scope != 0).then_some((address, scope))
}

/// By address.
///
/// # Safety
/// `address` can be read for `len` bytes, `result` can be written, `ttlp` too or is NULL.
#[inline(never)] // in all, 15 KiB less stack in small threads
pub unsafe fn by_address(
    kind: NameKind,
    address: *const c_void,
    len: libc::socklen_t,
    af: c_int,
    result: *mut HostEnt,
    caller: &Caller,
    ttlp: *mut i32,
) -> Status {
    // SAFETY: the caller promises that the address has `len` bytes, and that the other two can be written or, the TTL, are
    // NULL; they are different variables of glibc's.
    let (address, result, ttl) = unsafe {
        let address = match (af, len) {
            (libc::AF_INET, 4) => Some(Address::V4(address.cast::<[u8; 4]>().read())),
            (libc::AF_INET6, 16) => Some(Address::V6(address.cast::<[u8; 16]>().read())),
            _ => None,
        };
        (address, place_at(result), ttlp.as_mut())
    };
    let Some(address) = address else { return caller.reply(Reply::BadFamily) };
    let mut name = Text::new();
    let mut reply = look_up(&mut |lookup| match lookup.by_address(kind, address, &mut name) {
        Ok(true) => Reply::Success,
        Ok(false) => Reply::Unknown,
        Err(_) => Reply::Exhausted,
    });
    if reply == Reply::Success {
        reply = one_address(name.as_bytes(), address, result, caller);
    }
    if reply == Reply::Success {
        set(ttl, 0);
    }
    caller.reply(reply)
}

/// The enumeration of the process, which `gethostent_r` continues.
struct Enumeration {
    /// The memory of the list.
    arena: Arena,
    /// The list, once it has been made. It lasts as long as the memory.
    pairs: Option<Pairs<'static>>,
    /// How many of its pairs have been returned.
    given: usize,
}

impl Enumeration {
    /// Before the first pair.
    const fn new() -> Self {
        Self { arena: Arena::new(), pairs: None, given: 0 }
    }

    /// Makes the list.
    fn begin(&mut self, kind: NameKind) -> Reply {
        // SAFETY: the list refers to the arena's mappings, and never outlives them: the two fields are only replaced
        // together.
        let memory: &'static Arena = unsafe { &*core::ptr::from_ref(&self.arena) };
        let pairs = &mut self.pairs;
        look_up(&mut |lookup| match lookup.list(kind, memory) {
            Ok(list) => {
                *pairs = Some(list);
                Reply::Success
            }
            Err(_) => Reply::Exhausted,
        })
    }
}

struct Guarded(UnsafeCell<Enumeration>);

// SAFETY: glibc calls sethostent, gethostent_r and endhostent while it holds a lock.
unsafe impl Sync for Guarded {}

static ENUMERATION: Guarded = Guarded(UnsafeCell::new(Enumeration::new()));

/// Restarts an enumeration, or ends one.
///
/// # Safety
/// No other thread enumerates at the same time; glibc holds a lock.
#[inline(never)] // in all, 15 KiB less stack in small threads
pub unsafe fn rewind() -> Status {
    // SAFETY: no other thread has a reference, as the caller promises.
    let enumeration = unsafe { &mut *ENUMERATION.0.get() };
    *enumeration = Enumeration::new();
    Status::Success
}

/// The next pair of a name and an address, from a list that the first call makes. If it doesn't fit, the next call returns
/// the same one.
///
/// # Safety
/// `result` can be written, and no other thread enumerates at the same time.
#[inline(never)] // in all, 15 KiB less stack in small threads
pub unsafe fn next(kind: NameKind, result: *mut HostEnt, caller: &Caller) -> Status {
    // SAFETY: the caller promises that no other thread has a reference, and that `result` can be written.
    let (enumeration, result) = unsafe { (&mut *ENUMERATION.0.get(), place_at(result)) };
    if enumeration.pairs.is_none() {
        let reply = enumeration.begin(kind);
        if reply != Reply::Success {
            *enumeration = Enumeration::new();
            return caller.reply(reply);
        }
    }
    let Enumeration { pairs, given, .. } = enumeration;
    let next = pairs.and_then(|list| Some((list, *list.pairs.get(*given)?)));
    let Some((list, pair)) = next else { return caller.reply(Reply::Unknown) };
    let reply = one_address(list.name(&pair), pair.address, result, caller);
    if reply == Reply::Success {
        *given += 1;
    }
    caller.reply(reply)
}

/// Packs an answer of one name and one address.
#[inline(never)] // in all, 15 KiB less stack in small threads
fn one_address(
    name: &[u8],
    address: Address,
    result: &mut MaybeUninit<HostEnt>,
    caller: &Caller,
) -> Reply {
    let (family, mut addresses) = (address.family(), [address].into_iter());
    Reply::packed(pack::host_ent(&caller.buffer, name, family, &mut addresses, 1, result))
}

/// # Safety
/// `result` can be written, and nothing else uses it meanwhile.
unsafe fn place_at<'r>(result: *mut HostEnt) -> &'r mut MaybeUninit<HostEnt> {
    // SAFETY: the caller promises it, and a MaybeUninit may hold anything.
    unsafe { &mut *result.cast() }
}

/// Writes `value` if the caller wants it.
fn set<T>(place: Option<&mut T>, value: T) {
    if let Some(place) = place {
        *place = value;
    }
}

/// The buffer that files are read into. The kernel copies faster to an aligned one.
#[repr(align(64))]
struct Room<const N: usize>([u8; N]);

/// A look-up, and how its result becomes a reply.
type Task<'t> = &'t mut dyn FnMut(&mut Lookup<'_, Directory<'_>, Arena>) -> Reply;

/// Runs the task. Cancellation is off meanwhile: system calls are cancellation points (pthreads(7)), and a thread that is
/// cancelled in one would leave descriptors open.
#[inline(never)] // in all, 15 KiB less stack in small threads
fn look_up(task: Task<'_>) -> Reply {
    let _uncancelled = system::Uncancelled::new();
    let snapshot = system::open_snapshot();
    // The snapshot is read in small pieces.
    if snapshot.is_none() && system::is_stack_ample() {
        with_ample_stack(task)
    } else {
        with_little_stack(snapshot, task)
    }
}

/// Four pages at a time are read fastest: an 80 KB file takes 0.8 of the time.
#[inline(never)] // in all, 15 KiB less stack in small threads
fn with_ample_stack(task: Task<'_>) -> Reply {
    let (mut room, mut listing) = (Room([0; LARGE_BUFFER]), [0; 1536]);
    let mut candidates = [Candidate::EMPTY; 24];
    let memory = Memory { buffer: &mut room.0, candidates: &mut candidates };
    run(None, task, memory, &mut listing)
}

/// A whole getaddrinfo has to fit into 16 KiB of stack (PTHREAD_STACK_MIN).
#[inline(never)] // in all, 15 KiB less stack in small threads
fn with_little_stack(snapshot: Option<Opened<File>>, task: Task<'_>) -> Reply {
    let (mut room, mut listing) = (Room([0; SMALL_BUFFER]), [0; 320]);
    let mut candidates = [Candidate::EMPTY; 3];
    let memory = Memory { buffer: &mut room.0, candidates: &mut candidates };
    run(snapshot, task, memory, &mut listing)
}

#[inline(never)] // in all, 15 KiB less stack in small threads
fn run(
    snapshot: Option<Opened<File>>,
    task: Task<'_>,
    memory: Memory<'_>,
    listing: &mut [u8],
) -> Reply {
    let arena = Arena::new();
    let mut dir = Directory::new(STATE_DIRECTORY, listing);
    let mut messages = Messages::new();
    let observer =
        if system::debug_wanted() { Some(&mut messages as &mut dyn Observer) } else { None };
    let mut lookup = Lookup::new(&mut dir, snapshot, &arena, memory, system::now(), observer);
    task(&mut lookup)
}
