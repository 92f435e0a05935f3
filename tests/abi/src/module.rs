//! Loading a module as glibc does and calling its entry points.

use std::cell::Cell;
use std::ffi::{CString, c_void};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

use libc::{c_char, c_int, socklen_t};

use crate::answer::{Answer, Status};
use crate::buffer::GuardedBuffer;
use crate::c;
use crate::decode::{self, Claims};
use crate::query::{ErrnoPlace, How, Query};

thread_local! {
    static WATCH: Cell<Option<fn(Moment)>> = const { Cell::new(None) };
}

/// When a watching function is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Right before a module's function is called, in the stack frame that calls it.
    Before,
    /// Right after the function has returned, in the same frame.
    After {
        /// The returned `enum nss_status`.
        status: i32,
    },
}

/// From now on, calls `watch` before and after every call that this thread makes to a module's function, with no code
/// of the harness in between; `None` stops that.
pub fn watch(watch: Option<fn(Moment)>) {
    WATCH.set(watch);
}

/// A loaded module. It may be called from many threads at once.
pub struct Module {
    service: String,
    handle: *mut c_void,
    name: Option<c::GetHostByName>,
    name2: Option<c::GetHostByName2>,
    name3: Option<c::GetHostByName3>,
    name4: Option<c::GetHostByName4>,
    addr: Option<c::GetHostByAddr>,
    addr2: Option<c::GetHostByAddr2>,
    set: Option<c::SetHostEnt>,
    get: Option<c::GetHostEnt>,
    end: Option<c::EndHostEnt>,
}

// SAFETY: a handle of dlopen and function pointers belong to the process; glibc itself calls a
// module from every thread.
unsafe impl Send for Module {}
// SAFETY: as above.
unsafe impl Sync for Module {}

/// The entry points of a `hosts` module, without `_nss_SERVICE_`.
pub const ENTRY_POINTS: [&str; 9] = [
    "gethostbyname_r",
    "gethostbyname2_r",
    "gethostbyname3_r",
    "gethostbyname4_r",
    "gethostbyaddr_r",
    "gethostbyaddr2_r",
    "sethostent",
    "gethostent_r",
    "endhostent",
];

impl Module {
    /// Loads the object at `path`, whose entry points are called `_nss_SERVICE_...`.
    ///
    /// # Errors
    ///
    /// The dynamic linker's message if it can't load the object, or that the object has no entry point of that service.
    pub fn load(path: &Path, service: &str) -> Result<Module, String> {
        let file = CString::new(path.as_os_str().as_bytes())
            .map_err(|_| format!("{}: a NUL byte in the path", path.display()))?;
        // SAFETY: `file` is a string; the objects tested have no constructors that need care.
        let handle = unsafe { libc::dlopen(file.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        if handle.is_null() {
            return Err(last_linker_error());
        }
        let entry = |what: &str| -> *mut c_void {
            let symbol = CString::new(format!("_nss_{service}_{what}")).expect("no NUL in a name");
            // SAFETY: `handle` is open and `symbol` a string.
            unsafe { libc::dlsym(handle, symbol.as_ptr()) }
        };
        if ENTRY_POINTS.iter().all(|what| entry(what).is_null()) {
            return Err(format!("{}: no entry point of a service {service}", path.display()));
        }
        Ok(Module {
            service: service.to_owned(),
            handle,
            // SAFETY: the symbol's name fixes its signature (nss.h), and a NULL pointer is the None
            // of an optional function pointer.
            name: unsafe { function(entry("gethostbyname_r")) },
            // SAFETY: see above.
            name2: unsafe { function(entry("gethostbyname2_r")) },
            // SAFETY: see above.
            name3: unsafe { function(entry("gethostbyname3_r")) },
            // SAFETY: see above.
            name4: unsafe { function(entry("gethostbyname4_r")) },
            // SAFETY: see above.
            addr: unsafe { function(entry("gethostbyaddr_r")) },
            // SAFETY: see above.
            addr2: unsafe { function(entry("gethostbyaddr2_r")) },
            // SAFETY: see above.
            set: unsafe { function(entry("sethostent")) },
            // SAFETY: see above.
            get: unsafe { function(entry("gethostent_r")) },
            // SAFETY: see above.
            end: unsafe { function(entry("endhostent")) },
        })
    }

    /// The name of the service, as used in nsswitch.conf.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Makes one call. `None` if the module lacks the entry point.
    ///
    /// # Panics
    ///
    /// If the module breaks the contract: it writes outside the buffer, answers with a pointer outside the buffer,
    /// returns a status that ends the process, or changes `*pat` although it fails.
    #[must_use]
    pub fn ask(&self, query: &Query, how: &How) -> Option<Answer> {
        match query {
            Query::Name(name) => self.gethostbyname_r(name, how),
            Query::Name2(name, family) => self.gethostbyname2_r(name, *family, how),
            Query::Name3(name, family) => self.gethostbyname3_r(name, *family, how),
            Query::Name4(name) => self.gethostbyname4_r(name, how),
            Query::Addr(address, family) => self.gethostbyaddr_r(address, *family, how),
            Query::Addr2(address, family) => self.gethostbyaddr2_r(address, *family, how),
            Query::Set => self.sethostent(how),
            Query::Get => self.gethostent_r(how),
            Query::End => self.endhostent(how),
        }
    }

    /// Makes one call as glibc does: with 1024 bytes, then with twice as many for as long as the module asks for more.
    /// `None` if the module lacks the entry point.
    ///
    /// # Panics
    ///
    /// As [`Module::ask`], and if 64 MiB aren't enough.
    #[must_use]
    pub fn resolve(&self, query: &Query) -> Option<Answer> {
        let mut how = How::default();
        loop {
            let answer = self.ask(query, &how)?;
            if !answer.wants_larger_buffer() {
                return Some(answer);
            }
            how.length *= 2;
            assert!(how.length <= 64 << 20, "{query} asks for more than 64 MiB");
        }
    }

    /// `gethostbyname_r`; see [`Module::ask`].
    #[must_use]
    pub fn gethostbyname_r(&self, name: &[u8], how: &How) -> Option<Answer> {
        let (call, name) = (self.name?, string(name));
        Some(host_call(how, false, |out| {
            // SAFETY: every pointer is valid for the call, as nss.h wants it.
            unsafe {
                call(name.as_ptr(), out.host, out.buffer, out.length, out.errnop, out.h_errnop)
            }
        }))
    }

    /// `gethostbyname2_r`; see [`Module::ask`].
    #[must_use]
    pub fn gethostbyname2_r(&self, name: &[u8], family: c_int, how: &How) -> Option<Answer> {
        let (call, name) = (self.name2?, string(name));
        Some(host_call(how, false, |out| {
            let Out { host, buffer, length, errnop, h_errnop, .. } = out;
            // SAFETY: every pointer is valid for the call, as nss.h wants it.
            unsafe { call(name.as_ptr(), family, host, buffer, length, errnop, h_errnop) }
        }))
    }

    /// `gethostbyname3_r`; see [`Module::ask`].
    #[must_use]
    pub fn gethostbyname3_r(&self, name: &[u8], family: c_int, how: &How) -> Option<Answer> {
        let (call, name) = (self.name3?, string(name));
        Some(host_call(how, true, |out| {
            let Out { host, buffer, length, errnop, h_errnop, ttlp, canonp } = out;
            // SAFETY: every pointer is valid for the call or NULL where nss.h allows it.
            unsafe {
                call(name.as_ptr(), family, host, buffer, length, errnop, h_errnop, ttlp, canonp)
            }
        }))
    }

    /// `gethostbyname4_r`; see [`Module::ask`].
    #[must_use]
    pub fn gethostbyname4_r(&self, name: &[u8], how: &How) -> Option<Answer> {
        let (call, name) = (self.name4?, string(name));
        let nonsense = ptr::without_provenance_mut(0xDEAD_BEE0);
        let mut own = c::AddrTuple {
            next: nonsense,
            name: nonsense.cast(),
            family: -1,
            addr: [0xA5A5_A5A5; 4],
            scopeid: 0xA5A5_A5A5,
        };
        let own: *mut c::AddrTuple = &raw mut own;
        let given = if how.tuple { own } else { ptr::null_mut() };
        let mut first = given;
        let mut frame = Frame::new(how);
        let status = frame.call(|out| {
            // SAFETY: every pointer is valid for the call or NULL where nss.h allows it.
            unsafe {
                call(
                    name.as_ptr(),
                    &raw mut first,
                    out.buffer,
                    out.length,
                    out.errnop,
                    out.h_errnop,
                    out.ttlp,
                )
            }
        });
        let mut answer = frame.answer(status, how.ttl.is_some());
        if status == Status::Success {
            assert!(!how.tuple || first == own, "the caller's *pat was replaced");
            let mut claims = Claims::new(&frame.buffer);
            let tuples = decode::tuples(first, own, &mut claims);
            answer.used = claims.used();
            answer.canonical = tuples.names.first().cloned();
            answer.names = tuples.names;
            answer.addresses = tuples.addresses;
        } else {
            assert!(first == given, "a call that failed changed *pat");
        }
        Some(answer)
    }

    /// `gethostbyaddr_r`; see [`Module::ask`]. The length passed is that of `address`.
    #[must_use]
    pub fn gethostbyaddr_r(&self, address: &[u8], family: c_int, how: &How) -> Option<Answer> {
        let (call, size) = (self.addr?, size(address));
        Some(host_call(how, false, |out| {
            let Out { host, buffer, length, errnop, h_errnop, .. } = out;
            let address = address.as_ptr().cast();
            // SAFETY: every pointer is valid for the call, as nss.h wants it.
            unsafe { call(address, size, family, host, buffer, length, errnop, h_errnop) }
        }))
    }

    /// `gethostbyaddr2_r`; see [`Module::ask`]. The length passed is that of `address`.
    #[must_use]
    pub fn gethostbyaddr2_r(&self, address: &[u8], family: c_int, how: &How) -> Option<Answer> {
        let (call, size) = (self.addr2?, size(address));
        let how = How { canonical: false, ..*how };
        Some(host_call(&how, true, |out| {
            let Out { host, buffer, length, errnop, h_errnop, ttlp, .. } = out;
            let address = address.as_ptr().cast();
            // SAFETY: every pointer is valid for the call or NULL where nss.h allows it.
            unsafe { call(address, size, family, host, buffer, length, errnop, h_errnop, ttlp) }
        }))
    }

    /// `sethostent(0)`; the answer has only a status.
    #[must_use]
    pub fn sethostent(&self, how: &How) -> Option<Answer> {
        let call = self.set?;
        let mut frame = Frame::new(&How { length: 0, ..*how });
        // SAFETY: it takes an int.
        let status = frame.call(|_| unsafe { call(0) });
        Some(frame.answer(status, false))
    }

    /// `gethostent_r`; see [`Module::ask`].
    #[must_use]
    pub fn gethostent_r(&self, how: &How) -> Option<Answer> {
        let call = self.get?;
        Some(host_call(how, false, |out| {
            // SAFETY: every pointer is valid for the call, as nss.h wants it.
            unsafe { call(out.host, out.buffer, out.length, out.errnop, out.h_errnop) }
        }))
    }

    /// `endhostent`; the answer has only a status.
    #[must_use]
    pub fn endhostent(&self, how: &How) -> Option<Answer> {
        let call = self.end?;
        let mut frame = Frame::new(&How { length: 0, ..*how });
        // SAFETY: it takes nothing.
        let status = frame.call(|_| unsafe { call() });
        Some(frame.answer(status, false))
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        // SAFETY: the handle is open, and the function pointers die with `self`.
        unsafe { libc::dlclose(self.handle) };
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Module({})", self.service)
    }
}

/// The variables that a call returns its results in.
struct Out {
    host: *mut c::Hostent,
    buffer: *mut c_char,
    length: usize,
    errnop: *mut c_int,
    h_errnop: *mut c_int,
    ttlp: *mut i32,
    canonp: *mut *mut c_char,
}

/// The caller's side of one call: everything the module may write to.
struct Frame {
    buffer: GuardedBuffer,
    host: c::Hostent,
    how: How,
    errno: c_int,
    h_errno: c_int,
    ttl: i32,
    canonical: *mut c_char,
}

impl Frame {
    fn new(how: &How) -> Frame {
        let nonsense: *mut c_char = ptr::without_provenance_mut(0xDEAD_BEE0);
        Frame {
            buffer: GuardedBuffer::new(how.length, how.offset),
            host: c::Hostent {
                h_name: nonsense,
                h_aliases: nonsense.cast(),
                h_addrtype: -1,
                h_length: -1,
                h_addr_list: nonsense.cast(),
            },
            how: *how,
            errno: how.errno,
            h_errno: how.h_errno,
            ttl: how.ttl.unwrap_or_default(),
            canonical: nonsense,
        }
    }

    fn call(&mut self, call: impl FnOnce(Out) -> c_int) -> Status {
        // SAFETY: the address of this thread's errno.
        let errno = unsafe { libc::__errno_location() };
        // SAFETY: the address of this thread's h_errno.
        let h_errno = unsafe { c::__h_errno_location() };
        let out = Out {
            host: &raw mut self.host,
            buffer: self.buffer.as_mut_ptr().cast(),
            length: self.how.length,
            errnop: if self.how.errnop == ErrnoPlace::Thread { errno } else { &raw mut self.errno },
            h_errnop: if self.how.h_errnop == ErrnoPlace::Thread {
                h_errno
            } else {
                &raw mut self.h_errno
            },
            ttlp: if self.how.ttl.is_some() { &raw mut self.ttl } else { ptr::null_mut() },
            canonp: if self.how.canonical { &raw mut self.canonical } else { ptr::null_mut() },
        };
        let watch = WATCH.get().unwrap_or(|_| ());
        watch(Moment::Before);
        // SAFETY: valid for as long as the thread lives.
        unsafe { *errno = self.how.errno };
        // SAFETY: as above.
        unsafe { *h_errno = self.how.h_errno };
        let raw = call(out);
        if self.how.errnop == ErrnoPlace::Thread {
            // SAFETY: as above.
            self.errno = unsafe { *errno };
        }
        if self.how.h_errnop == ErrnoPlace::Thread {
            // SAFETY: as above.
            self.h_errno = unsafe { *h_errno };
        }
        if let Some(at) = self.buffer.damage() {
            panic!("a write at offset {at} of a buffer of {} bytes", self.how.length);
        }
        watch(Moment::After { status: raw });
        Status::from_raw(raw)
            .unwrap_or_else(|| panic!("status {raw}, with which glibc ends the process"))
    }

    /// The answer, except for what is in the buffer.
    fn answer(&self, status: Status, ttl: bool) -> Answer {
        Answer {
            status,
            errno: self.errno,
            h_errno: self.h_errno,
            ttl: ttl.then_some(self.ttl),
            canonical: None,
            names: Vec::new(),
            aliases: Vec::new(),
            family: None,
            addresses: Vec::new(),
            used: 0,
        }
    }
}

/// Makes a call that fills a `hostent`; `more` if it also returns a TTL and may return a canonical name.
fn host_call(how: &How, more: bool, call: impl FnOnce(Out) -> c_int) -> Answer {
    let mut frame = Frame::new(how);
    let status = frame.call(call);
    let mut answer = frame.answer(status, more && how.ttl.is_some());
    if status == Status::Success {
        let mut claims = Claims::new(&frame.buffer);
        let host = decode::hostent(&frame.host, &mut claims);
        if more && how.canonical {
            answer.canonical = Some(claims.string(frame.canonical, "*canonp"));
        }
        answer.used = claims.used();
        answer.names = vec![host.name];
        answer.aliases = host.aliases;
        answer.family = Some(host.family);
        answer.addresses = host.addresses;
    }
    answer
}

fn string(name: &[u8]) -> CString {
    CString::new(name).expect("a name that C can pass has no NUL byte")
}

fn size(address: &[u8]) -> socklen_t {
    socklen_t::try_from(address.len()).expect("an address of a few bytes")
}

/// # Safety
///
/// `symbol` is NULL or the address of a function with the signature `F`, a function pointer.
unsafe fn function<F: Copy>(symbol: *mut c_void) -> Option<F> {
    const { assert!(size_of::<Option<F>>() == size_of::<*mut c_void>()) };
    // SAFETY: both have the same size, and the caller guarantees the type.
    unsafe { std::mem::transmute_copy(&symbol) }
}

fn last_linker_error() -> String {
    // SAFETY: dlerror takes nothing.
    let message = unsafe { libc::dlerror() };
    if message.is_null() {
        return "dlopen failed and doesn't say why".to_owned();
    }
    // SAFETY: the string stays valid until this thread's next call.
    unsafe { std::ffi::CStr::from_ptr(message) }.to_string_lossy().into_owned()
}
