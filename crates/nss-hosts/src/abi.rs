//! The C side: glibc's structs and numbers for `hosts` modules (`nss/nss.h`, `resolv/netdb.h`).

use core::ffi::{c_char, c_int};
use core::mem::{align_of, offset_of, size_of};

/// `enum nss_status`. Any other value makes glibc end the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Status {
    /// Try again, perhaps with a larger buffer; see errno and h_errno.
    TryAgain = -2,
    /// No answer from this module: here, a guest without an address of the family.
    Unavail = -1,
    /// There is no such host.
    NotFound = 0,
    /// There is an answer.
    Success = 1,
}

/// `h_errno`: success.
pub(crate) const NETDB_SUCCESS: c_int = 0;
/// `h_errno`: see errno.
pub(crate) const NETDB_INTERNAL: c_int = -1;
/// `h_errno`: no such host.
pub(crate) const HOST_NOT_FOUND: c_int = 1;
/// `h_errno`: a temporary failure.
pub(crate) const TRY_AGAIN: c_int = 2;
/// `h_errno`: the host has no address of this family.
pub(crate) const NO_DATA: c_int = 4;

/// `struct hostent`.
#[derive(Debug)]
#[repr(C)]
pub struct HostEnt {
    /// The name.
    pub h_name: *mut c_char,
    /// Other names: none.
    pub h_aliases: *mut *mut c_char,
    /// The family.
    pub h_addrtype: c_int,
    /// Bytes of an address.
    pub h_length: c_int,
    /// The addresses, up to a NULL.
    pub h_addr_list: *mut *mut c_char,
}

/// `struct gaih_addrtuple`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct AddrTuple {
    /// The next one, or NULL.
    pub next: *mut AddrTuple,
    /// The name.
    pub name: *mut c_char,
    /// The family.
    pub family: c_int,
    /// In network byte order; IPv4 has the first four bytes.
    pub addr: [u8; 16],
    /// The scope id of a link-local address, else 0.
    pub scopeid: u32,
}

const _: () = {
    const POINTER: usize = size_of::<*mut c_char>();
    assert!(size_of::<HostEnt>() == 3 * POINTER + 8);
    assert!(offset_of!(HostEnt, h_addr_list) == 2 * POINTER + 8);
    assert!(offset_of!(AddrTuple, family) == 2 * POINTER);
    assert!(offset_of!(AddrTuple, addr) == 2 * POINTER + 4);
    assert!(offset_of!(AddrTuple, scopeid) == 2 * POINTER + 20);
    assert!(size_of::<AddrTuple>() == 2 * POINTER + 24);
    assert!(align_of::<AddrTuple>() == align_of::<*mut c_char>());
};
