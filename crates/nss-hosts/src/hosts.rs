//! The entry points' work, for whichever source of names.
//!
//! Never inlined into them: they are compiled for speed, and this is to be small.

use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr;

use guest_names::address::{Address, Family};
use guest_names::enumerate::Cursor;
use guest_names::forward::{Answer, Failure, Found, Query, Source};
use guest_names::observe::Observer;
use guest_names::ranking::Candidate;
use guest_names::search::Search;
use guest_names::text::Text;
use guest_names::window::BUFFER;

use crate::abi::{AddrTuple, HostEnt, Status};
use crate::debug::Messages;
use crate::pack::{Buffer, HostEntAnswer, TupleAnswer};
use crate::reply::Reply;
use crate::system::{self, Directory, STATE_DIRECTORY};

pub use libc::AF_INET;

/// Places for candidates. A name with more costs several passes over the files, and as many of the
/// caller's buffer as the answer leaves.
const PLACES: usize = 24;

/// Where an answer goes and who is told how it went.
pub struct Caller {
    /// See [`Buffer`].
    pub(crate) buffer: *mut c_char,
    pub(crate) buflen: usize,
    pub(crate) errnop: *mut c_int,
    pub(crate) h_errnop: *mut c_int,
}

impl Caller {
    /// The last four arguments that every entry point has.
    pub fn new(
        buffer: *mut c_char,
        buflen: usize,
        errnop: *mut c_int,
        h_errnop: *mut c_int,
    ) -> Self {
        Self { buffer, buflen, errnop, h_errnop }
    }

    /// # Safety
    /// As for the entry points: the buffer can be written for its length.
    unsafe fn memory(&self) -> Buffer {
        // SAFETY: as the caller promises.
        unsafe { Buffer::new(self.buffer, self.buflen) }
    }

    /// # Safety
    /// As for the entry points: both pointers can be written.
    unsafe fn reply(&self, reply: Reply) -> Status {
        // SAFETY: as the caller promises.
        unsafe { reply.tell(self.errnop, self.h_errnop) }
    }
}

/// By name, into a `struct hostent`.
///
/// # Safety
/// `name` is a C string, `result` can be written, `ttlp` and `canonp` too or are NULL, and `caller`
/// holds what glibc passed.
#[inline(never)]
pub unsafe fn by_name(
    source: Source,
    name: *const c_char,
    af: c_int,
    result: *mut HostEnt,
    caller: &Caller,
    ttlp: *mut i32,
    canonp: *mut *mut c_char,
) -> Status {
    // SAFETY: as the caller promises.
    let name = unsafe { CStr::from_ptr(name) };
    // SAFETY: as the caller promises.
    let buffer = unsafe { caller.memory() };
    let families: &[Family] = match af {
        libc::AF_INET => &[Family::V4],
        libc::AF_INET6 => &[Family::V6],
        // One hostent holds one family: IPv4 where there is any.
        libc::AF_UNSPEC => &[Family::V4, Family::V6],
        // SAFETY: as the caller promises.
        _ => return unsafe { caller.reply(Reply::BadFamily) },
    };
    let mut reply = Reply::Unknown;
    if let Some(wanted) = source.wanted(name.to_bytes()) {
        for &family in families {
            let mut answer = HostEntAnswer::new(buffer, wanted.canonical(), family);
            let query = Query { source, wanted, family: Some(family) };
            reply = look_up(Task::Addresses(&query, &mut answer));
            if reply == Reply::Success {
                // SAFETY: as the caller promises; success means at least one address.
                let h_name = unsafe { answer.finish(result) };
                // SAFETY: as the caller promises.
                unsafe { set(ttlp, 0) };
                // SAFETY: as the caller promises.
                unsafe { set(canonp, h_name) };
            }
            if reply != Reply::NoData {
                break;
            }
        }
    }
    // SAFETY: as the caller promises.
    unsafe { caller.reply(reply) }
}

/// By name, into a chain of `struct gaih_addrtuple`, both families.
///
/// # Safety
/// `name` is a C string, `pat` can be written and what it points to is NULL or a tuple that can be
/// written, `ttlp` can be written or is NULL, and `caller` holds what glibc passed.
#[inline(never)]
pub unsafe fn tuples_by_name(
    source: Source,
    name: *const c_char,
    pat: *mut *mut AddrTuple,
    caller: &Caller,
    ttlp: *mut i32,
) -> Status {
    // SAFETY: as the caller promises.
    let name = unsafe { CStr::from_ptr(name) };
    // SAFETY: as the caller promises.
    let buffer = unsafe { caller.memory() };
    // SAFETY: as the caller promises.
    let first = unsafe { *pat };
    let mut reply = Reply::Unknown;
    if let Some(wanted) = source.wanted(name.to_bytes()) {
        let mut answer = TupleAnswer::new(buffer, wanted.canonical(), first);
        let query = Query { source, wanted, family: None };
        reply = look_up(Task::Addresses(&query, &mut answer));
        if reply == Reply::Success {
            // SAFETY: as the caller promises; success means at least one address.
            unsafe { answer.finish(pat) };
            // SAFETY: as the caller promises.
            unsafe { set(ttlp, 0) };
        }
    }
    // SAFETY: as the caller promises.
    unsafe { caller.reply(reply) }
}

/// By address.
///
/// # Safety
/// `address` can be read for `len` bytes, `result` can be written, `ttlp` too or is NULL, and `caller`
/// holds what glibc passed.
#[inline(never)]
pub unsafe fn by_address(
    source: Source,
    address: *const c_void,
    len: libc::socklen_t,
    af: c_int,
    result: *mut HostEnt,
    caller: &Caller,
    ttlp: *mut i32,
) -> Status {
    let address = match (af, len) {
        // SAFETY: as the caller promises.
        (libc::AF_INET, 4) => Address::V4(unsafe { address.cast::<[u8; 4]>().read() }),
        // SAFETY: as the caller promises.
        (libc::AF_INET6, 16) => Address::V6(unsafe { address.cast::<[u8; 16]>().read() }),
        // SAFETY: as the caller promises.
        _ => return unsafe { caller.reply(Reply::BadFamily) },
    };
    let mut name = Text::new();
    let mut reply = look_up(Task::Name(source, address, &mut name));
    if reply == Reply::Success {
        // SAFETY: as the caller promises.
        reply = unsafe { one_address(name.as_bytes(), &Candidate::of(address), result, caller) };
        if reply == Reply::Success {
            // SAFETY: as the caller promises.
            unsafe { set(ttlp, 0) };
        }
    }
    // SAFETY: as the caller promises.
    unsafe { caller.reply(reply) }
}

/// How far the process's enumeration has come.
struct Progress(UnsafeCell<Cursor>);

// SAFETY: glibc calls sethostent, gethostent_r and endhostent under a lock of its own.
unsafe impl Sync for Progress {}

static PROGRESS: Progress = Progress(UnsafeCell::new(Cursor::new()));

/// Begins an enumeration anew, or ends one.
///
/// # Safety
/// As glibc has it: no other thread enumerates at the same time.
#[inline(never)]
pub unsafe fn rewind() -> Status {
    // SAFETY: as the caller promises.
    unsafe { PROGRESS.0.get().write(Cursor::new()) };
    Status::Success
}

/// The next pair of a name and an address. Where it doesn't fit the same one comes again.
///
/// # Safety
/// `result` can be written, `caller` holds what glibc passed, and no other thread enumerates at the
/// same time.
#[inline(never)]
pub unsafe fn next(source: Source, result: *mut HostEnt, caller: &Caller) -> Status {
    // SAFETY: as the caller promises.
    let progress = unsafe { &mut *PROGRESS.0.get() };
    let mut cursor = *progress;
    let mut name = Text::new();
    let mut candidate = Candidate::EMPTY;
    let mut reply = look_up(Task::Next(source, &mut cursor, &mut name, &mut candidate));
    if reply == Reply::Success {
        // SAFETY: as the caller promises.
        reply = unsafe { one_address(name.as_bytes(), &candidate, result, caller) };
    }
    if !matches!(reply, Reply::BufferTooSmall | Reply::Exhausted) {
        *progress = cursor;
    }
    // SAFETY: as the caller promises.
    unsafe { caller.reply(reply) }
}

/// # Safety
/// `result` can be written and `caller` holds what glibc passed.
#[inline(never)]
unsafe fn one_address(
    name: &[u8],
    candidate: &Candidate,
    result: *mut HostEnt,
    caller: &Caller,
) -> Reply {
    // SAFETY: as the caller promises.
    let buffer = unsafe { caller.memory() };
    let mut answer = HostEntAnswer::new(buffer, name, candidate.address.family());
    if answer.add(candidate).is_err() {
        return Reply::BufferTooSmall;
    }
    // SAFETY: as the caller promises; one address has been added.
    unsafe { answer.finish(result) };
    Reply::Success
}

/// # Safety
/// `place` can be written or is NULL.
unsafe fn set<T>(place: *mut T, value: T) {
    if !place.is_null() {
        // SAFETY: as the caller promises.
        unsafe { ptr::write(place, value) };
    }
}

/// What the state files are read through. The kernel copies into it faster where it is aligned so.
#[repr(align(64))]
struct Room([u8; BUFFER]);

/// What is looked up, and where what is found goes.
enum Task<'t> {
    Addresses(&'t Query<'t>, &'t mut dyn Answer),
    Name(Source, Address, &'t mut Text),
    Next(Source, &'t mut Cursor, &'t mut Text, &'t mut Candidate),
}

/// Does the task with all that it needs on the stack. Never inlined, so that it is there once.
///
/// The calls below are cancellation points (pthreads(7)): a thread that is cancelled in one would leave
/// descriptors open behind it.
#[inline(never)]
fn look_up(task: Task<'_>) -> Reply {
    let _uncancelled = system::Uncancelled::new();
    let mut dir = Directory::new(STATE_DIRECTORY);
    let mut window = Room([0; BUFFER]);
    let mut places = [Candidate::EMPTY; PLACES];
    let mut messages = Messages::new();
    let observer =
        if system::debug_wanted() { Some(&mut messages as &mut dyn Observer) } else { None };
    let now = system::now();
    let mut search = Search::new(&mut dir, &mut window.0, now, observer);
    let found = match task {
        Task::Addresses(query, answer) => search.addresses(query, &mut places, answer),
        Task::Name(source, address, name) => {
            let found = search.name_of(source, address, &mut places, name);
            found.map(Found::data_if).map_err(Failure::from)
        }
        Task::Next(source, cursor, name, candidate) => {
            let found = search.next(source, cursor, &mut places, name, candidate);
            found.map(Found::data_if).map_err(Failure::from)
        }
    };
    match found {
        Ok(Found::Data) => Reply::Success,
        Ok(Found::NoData) => Reply::NoData,
        Ok(Found::Unknown) => Reply::Unknown,
        Err(Failure::Exhausted) => Reply::Exhausted,
        Err(Failure::NoRoom) => Reply::BufferTooSmall,
    }
}
