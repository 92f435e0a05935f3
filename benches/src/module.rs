//! A loaded module, and the calls to measure.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::mem::{MaybeUninit, transmute};
use std::net::IpAddr;
use std::path::Path;
use std::ptr;

use crate::contender::Kind;
use crate::error::{Context, Error, Result};

/// The size of glibc's first buffer, in bytes.
const BUFFER: usize = 1024;

/// `NSS_STATUS_SUCCESS`.
const SUCCESS: c_int = 1;

/// `struct hostent`.
#[repr(C)]
struct HostEnt {
    name: *mut c_char,
    aliases: *mut *mut c_char,
    family: c_int,
    length: c_int,
    addresses: *mut *mut c_char,
}

/// `struct gaih_addrtuple`; only the number of tuples matters here.
#[repr(C)]
struct AddrTuple {
    next: *mut AddrTuple,
    name: *mut c_char,
    family: c_int,
    address: [u32; 4],
    scope: u32,
}

type ByName2 = unsafe extern "C" fn(
    *const c_char,
    c_int,
    *mut HostEnt,
    *mut c_char,
    usize,
    *mut c_int,
    *mut c_int,
) -> c_int;
type ByName4 = unsafe extern "C" fn(
    *const c_char,
    *mut *mut AddrTuple,
    *mut c_char,
    usize,
    *mut c_int,
    *mut c_int,
    *mut i32,
) -> c_int;
type ByAddress = unsafe extern "C" fn(
    *const c_void,
    libc::socklen_t,
    c_int,
    *mut HostEnt,
    *mut c_char,
    usize,
    *mut c_int,
    *mut c_int,
) -> c_int;

/// A look-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// `gethostbyname4_r`: both families, what getaddrinfo(3) calls first.
    Both(CString),
    /// `gethostbyname2_r` for IPv4.
    V4(CString),
    /// `gethostbyaddr_r`.
    Reverse(IpAddr),
}

impl Call {
    /// The name of the entry point, without `_nss_SERVICE_`.
    pub(crate) fn entry_point(&self) -> &'static str {
        match self {
            Self::Both(_) => "gethostbyname4_r",
            Self::V4(_) => "gethostbyname2_r",
            Self::Reverse(_) => "gethostbyaddr_r",
        }
    }

    /// Parses the call of an entry point for a name or an address; see [`Call::argument`].
    pub(crate) fn parse(entry_point: &str, argument: &str) -> Result<Self> {
        let name = || CString::new(argument).context(argument);
        Ok(match entry_point {
            "gethostbyname4_r" => Self::Both(name()?),
            "gethostbyname2_r" => Self::V4(name()?),
            "gethostbyaddr_r" => Self::Reverse(argument.parse().context(argument)?),
            _ => return Err(Error::new(format!("no entry point '{entry_point}'"))),
        })
    }

    /// The name or address.
    pub(crate) fn argument(&self) -> String {
        match self {
            Self::Both(name) | Self::V4(name) => name.to_string_lossy().into_owned(),
            Self::Reverse(address) => address.to_string(),
        }
    }
}

/// A loaded module. It is never unloaded.
pub(crate) struct Module {
    kind: Kind,
    handle: *mut c_void,
}

impl Module {
    pub(crate) fn load(path: &Path, kind: Kind) -> Result<Self> {
        let c_path = CString::new(path.as_os_str().as_encoded_bytes()).context(path.display())?;
        // SAFETY: a C string. What the object does when it is loaded is what is measured.
        let handle = unsafe { libc::dlopen(c_path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        if handle.is_null() {
            return Err(last_dl_error());
        }
        Ok(Self { kind, handle })
    }

    fn symbol(&self, entry_point: &str) -> Result<*mut c_void> {
        let name = format!("_nss_{}_{entry_point}", self.kind.service());
        let c_name = CString::new(name.as_str()).context(&name)?;
        // SAFETY: an open handle and a C string.
        let symbol = unsafe { libc::dlsym(self.handle, c_name.as_ptr()) };
        if symbol.is_null() { Err(last_dl_error()) } else { Ok(symbol) }
    }

    /// The call as a closure that can be called repeatedly. It returns the number of addresses, or 0 without an answer.
    pub(crate) fn prepare<'c>(&self, call: &'c Call) -> Result<Box<dyn FnMut() -> usize + 'c>> {
        let symbol = self.symbol(call.entry_point())?;
        Ok(match call {
            Call::Both(name) => {
                // SAFETY: glibc's declaration of the entry point with this name.
                let entry = unsafe { transmute::<*mut c_void, ByName4>(symbol) };
                Box::new(move || both(entry, name))
            }
            Call::V4(name) => {
                // SAFETY: the same.
                let entry = unsafe { transmute::<*mut c_void, ByName2>(symbol) };
                Box::new(move || one_family(entry, name))
            }
            Call::Reverse(address) => {
                // SAFETY: the same.
                let entry = unsafe { transmute::<*mut c_void, ByAddress>(symbol) };
                Box::new(move || by_address(entry, address))
            }
        })
    }
}

fn last_dl_error() -> Error {
    // SAFETY: takes nothing; the result stays valid until the next call.
    let text = unsafe { libc::dlerror() };
    if text.is_null() {
        return Error::new("an object can't be loaded");
    }
    // SAFETY: a C string.
    Error::new(unsafe { CStr::from_ptr(text) }.to_string_lossy())
}

fn both(entry: ByName4, name: &CStr) -> usize {
    let mut buffer = [0 as c_char; BUFFER];
    let (mut errno, mut h_errno, mut ttl) = (0, 0, 0);
    let mut tuple: *mut AddrTuple = ptr::null_mut();
    // SAFETY: called as glibc does.
    let status = unsafe {
        entry(
            name.as_ptr(),
            &raw mut tuple,
            buffer.as_mut_ptr(),
            BUFFER,
            &raw mut errno,
            &raw mut h_errno,
            &raw mut ttl,
        )
    };
    let mut count = 0;
    while status == SUCCESS && !tuple.is_null() {
        count += 1;
        // SAFETY: a tuple of the answer, in the buffer.
        tuple = unsafe { tuple.read() }.next;
    }
    count
}

fn one_family(entry: ByName2, name: &CStr) -> usize {
    let mut buffer = [0 as c_char; BUFFER];
    let (mut errno, mut h_errno) = (0, 0);
    let mut result = MaybeUninit::<HostEnt>::zeroed();
    // SAFETY: called as glibc does.
    let status = unsafe {
        entry(
            name.as_ptr(),
            libc::AF_INET,
            result.as_mut_ptr(),
            buffer.as_mut_ptr(),
            BUFFER,
            &raw mut errno,
            &raw mut h_errno,
        )
    };
    count(status, &result)
}

fn by_address(entry: ByAddress, address: &IpAddr) -> usize {
    let mut buffer = [0 as c_char; BUFFER];
    let (mut errno, mut h_errno) = (0, 0);
    let mut result = MaybeUninit::<HostEnt>::zeroed();
    let mut octets = [0; 16];
    let (family, len) = match address {
        IpAddr::V4(v4) => {
            octets[..4].copy_from_slice(&v4.octets());
            (libc::AF_INET, 4)
        }
        IpAddr::V6(v6) => {
            octets = v6.octets();
            (libc::AF_INET6, 16)
        }
    };
    // SAFETY: called as glibc does.
    let status = unsafe {
        entry(
            octets.as_ptr().cast(),
            len,
            family,
            result.as_mut_ptr(),
            buffer.as_mut_ptr(),
            BUFFER,
            &raw mut errno,
            &raw mut h_errno,
        )
    };
    count(status, &result)
}

/// The number of addresses in an answer.
fn count(status: c_int, result: &MaybeUninit<HostEnt>) -> usize {
    if status != SUCCESS {
        return 0;
    }
    // SAFETY: all zeros are a valid hostent, and the module has filled it.
    let addresses = unsafe { result.assume_init_ref() }.addresses;
    let mut count = 0;
    loop {
        // SAFETY: an entry of the answer's table, which ends in a NULL.
        let address = unsafe { addresses.wrapping_add(count).read() };
        if address.is_null() {
            return count;
        }
        count += 1;
    }
}
