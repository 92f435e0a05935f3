//! The C structs and signatures of a `hosts` module (glibc's `nss.h`, `netdb.h`), declared separately here so that a
//! mistake in the modules' declarations can't be hidden by the same mistake in the tests.

use libc::{c_char, c_int, c_void, size_t, socklen_t};
use std::mem::{align_of, offset_of, size_of};

/// `struct hostent`.
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs)]
pub struct Hostent {
    pub h_name: *mut c_char,
    pub h_aliases: *mut *mut c_char,
    pub h_addrtype: c_int,
    pub h_length: c_int,
    pub h_addr_list: *mut *mut c_char,
}

/// `struct gaih_addrtuple`.
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs)]
pub struct AddrTuple {
    pub next: *mut AddrTuple,
    pub name: *mut c_char,
    pub family: c_int,
    pub addr: [u32; 4],
    pub scopeid: u32,
}

// Pointer-sized members first, then ints without holes, then padding to pointer alignment.
const _: () = {
    // In here, because Rust 1.85 would take it for dead code outside.
    const POINTER: usize = size_of::<*mut c_void>();
    assert!(offset_of!(Hostent, h_aliases) == POINTER);
    assert!(offset_of!(Hostent, h_addrtype) == 2 * POINTER);
    assert!(offset_of!(Hostent, h_length) == 2 * POINTER + 4);
    assert!(offset_of!(Hostent, h_addr_list) == 2 * POINTER + 8);
    assert!(size_of::<Hostent>() == 3 * POINTER + 8);
    assert!(offset_of!(AddrTuple, name) == POINTER);
    assert!(offset_of!(AddrTuple, family) == 2 * POINTER);
    assert!(offset_of!(AddrTuple, addr) == 2 * POINTER + 4);
    assert!(offset_of!(AddrTuple, scopeid) == 2 * POINTER + 20);
    assert!(size_of::<AddrTuple>() == (2 * POINTER + 24).next_multiple_of(POINTER));
    assert!(align_of::<AddrTuple>() == POINTER);
};

/// `h_errno`: the answer is complete.
pub const NETDB_SUCCESS: c_int = 0;
/// `h_errno`: look at errno.
pub const NETDB_INTERNAL: c_int = -1;
/// `h_errno`: no such host.
pub const HOST_NOT_FOUND: c_int = 1;
/// `h_errno`: ask again later.
pub const TRY_AGAIN: c_int = 2;
/// `h_errno`: a permanent failure.
pub const NO_RECOVERY: c_int = 3;
/// `h_errno`: the name is valid but has no address of this family.
pub const NO_DATA: c_int = 4;

/// `_nss_SERVICE_gethostbyname_r`.
pub type GetHostByName = unsafe extern "C" fn(
    *const c_char,
    *mut Hostent,
    *mut c_char,
    size_t,
    *mut c_int,
    *mut c_int,
) -> c_int;

/// `_nss_SERVICE_gethostbyname2_r`.
pub type GetHostByName2 = unsafe extern "C" fn(
    *const c_char,
    c_int,
    *mut Hostent,
    *mut c_char,
    size_t,
    *mut c_int,
    *mut c_int,
) -> c_int;

/// `_nss_SERVICE_gethostbyname3_r`: with the TTL and the canonical name.
pub type GetHostByName3 = unsafe extern "C" fn(
    *const c_char,
    c_int,
    *mut Hostent,
    *mut c_char,
    size_t,
    *mut c_int,
    *mut c_int,
    *mut i32,
    *mut *mut c_char,
) -> c_int;

/// `_nss_SERVICE_gethostbyname4_r`: both families as a list of tuples.
pub type GetHostByName4 = unsafe extern "C" fn(
    *const c_char,
    *mut *mut AddrTuple,
    *mut c_char,
    size_t,
    *mut c_int,
    *mut c_int,
    *mut i32,
) -> c_int;

/// `_nss_SERVICE_gethostbyaddr_r`.
pub type GetHostByAddr = unsafe extern "C" fn(
    *const c_void,
    socklen_t,
    c_int,
    *mut Hostent,
    *mut c_char,
    size_t,
    *mut c_int,
    *mut c_int,
) -> c_int;

/// `_nss_SERVICE_gethostbyaddr2_r`: with the TTL.
pub type GetHostByAddr2 = unsafe extern "C" fn(
    *const c_void,
    socklen_t,
    c_int,
    *mut Hostent,
    *mut c_char,
    size_t,
    *mut c_int,
    *mut c_int,
    *mut i32,
) -> c_int;

/// `_nss_SERVICE_sethostent`.
pub type SetHostEnt = unsafe extern "C" fn(c_int) -> c_int;

/// `_nss_SERVICE_gethostent_r`.
pub type GetHostEnt =
    unsafe extern "C" fn(*mut Hostent, *mut c_char, size_t, *mut c_int, *mut c_int) -> c_int;

/// `_nss_SERVICE_endhostent`.
pub type EndHostEnt = unsafe extern "C" fn() -> c_int;

unsafe extern "C" {
    /// The address of this thread's `h_errno` (`netdb.h`).
    pub fn __h_errno_location() -> *mut c_int;
}
