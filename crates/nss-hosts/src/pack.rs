//! Packing answers into the caller's buffer.
//!
//! The size of an answer is computed first and checked once: padding up to the first pointer, then tables and structs that
//! contain pointers, then the addresses, then the name. It is never more than the answer needs.

use core::ffi::{c_char, c_int};
use core::mem::{MaybeUninit, align_of, size_of};
use core::ptr;

use guest_names::address::{Address, Family};

use crate::abi::{AddrTuple, HostEnt};

const POINTER: usize = size_of::<*mut c_char>();

/// The answer is larger than the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

/// The caller's memory for an answer.
pub struct Buffer {
    /// Aligned for a pointer.
    start: *mut u8,
    len: usize,
}

impl Buffer {
    /// # Safety
    /// `start` can be written for `len` bytes, and nothing else uses these, as long as this value and the answers in it
    /// are used.
    pub unsafe fn new(start: *mut c_char, len: usize) -> Self {
        let padding = start.align_offset(align_of::<*mut c_char>());
        let start = start.cast::<u8>().wrapping_add(padding);
        Self { start, len: len.saturating_sub(padding) }
    }

    /// The address of the byte at `offset`.
    fn at(&self, offset: usize) -> *mut u8 {
        debug_assert!(offset <= self.len);
        self.start.wrapping_add(offset)
    }

    /// Copies `bytes` to `offset`.
    ///
    /// # Safety
    /// There is room for them.
    unsafe fn put(&self, offset: usize, bytes: &[u8]) -> *mut c_char {
        let place = self.at(offset);
        // SAFETY: the caller promises the room, and `new`'s caller that the bytes are elsewhere.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len()) };
        place.cast()
    }

    /// Copies `name` and a NUL to `offset`.
    ///
    /// # Safety
    /// As [`Buffer::put`].
    unsafe fn put_name(&self, offset: usize, name: &[u8]) -> *mut c_char {
        // SAFETY: the caller promises the room for the NUL.
        unsafe { self.put(offset + name.len(), &[0]) };
        // SAFETY: the same for the name.
        unsafe { self.put(offset, name) }
    }
}

/// The C number of a family.
pub fn af(family: Family) -> c_int {
    match family {
        Family::V4 => libc::AF_INET,
        Family::V6 => libc::AF_INET6,
    }
}

/// Packs a `struct hostent`: `name` with `count` addresses of one family, at least one. Returns the name in the buffer.
///
/// # Errors
/// [`NoRoom`]; nothing was written.
pub fn host_ent(
    buffer: &Buffer,
    name: &[u8],
    family: Family,
    addresses: &mut dyn Iterator<Item = Address>,
    count: usize,
    result: &mut MaybeUninit<HostEnt>,
) -> Result<*mut c_char, NoRoom> {
    let len = if family == Family::V4 { 4 } else { 16 };
    // The ends of both tables, a pointer and an address each, the name and its NUL.
    let need = (count + 2) * POINTER + count * len + name.len() + 1;
    if need > buffer.len {
        return Err(NoRoom);
    }
    let list_at = POINTER;
    let addresses_at = list_at + (count + 1) * POINTER;
    let list = buffer.at(list_at).cast::<*mut c_char>();
    for (at, address) in addresses.take(count).enumerate() {
        let octets = address.octets().get(..len).unwrap_or(&[]);
        // SAFETY: the need has room for so many.
        let place = unsafe { buffer.put(addresses_at + at * len, octets) };
        // SAFETY: the table is aligned, as the buffer starts so, and has room for so many and the end.
        unsafe { list.wrapping_add(at).write(place) };
    }
    let aliases = buffer.at(0).cast::<*mut c_char>();
    // SAFETY: the table's end, see above.
    unsafe { list.wrapping_add(count).write(ptr::null_mut()) };
    // SAFETY: the buffer starts aligned for a pointer, and there is room for this one.
    unsafe { aliases.write(ptr::null_mut()) };
    // SAFETY: the need has room for the name after the addresses.
    let h_name = unsafe { buffer.put_name(addresses_at + count * len, name) };
    result.write(HostEnt {
        h_name,
        h_aliases: aliases,
        h_addrtype: af(family),
        h_length: len as c_int,
        h_addr_list: list,
    });
    Ok(h_name)
}

/// An address and the scope id of a link-local one, 0 for others.
pub type Scoped = (Address, u32);

/// Packs a chain of `struct gaih_addrtuple`: `name` with `count` addresses of both families, at least one. The first tuple
/// is `own`, if the caller has one (glibc up to 2.35), and else in the buffer. Returns the first tuple.
///
/// # Errors
/// [`NoRoom`]; nothing was written.
pub fn tuples(
    buffer: &Buffer,
    name: &[u8],
    addresses: &mut dyn Iterator<Item = Scoped>,
    count: usize,
    own: Option<&mut MaybeUninit<AddrTuple>>,
) -> Result<*mut AddrTuple, NoRoom> {
    let in_buffer = count - usize::from(own.is_some() && count > 0);
    let name_at = in_buffer * size_of::<AddrTuple>();
    if name_at + name.len() + 1 > buffer.len {
        return Err(NoRoom);
    }
    // SAFETY: the need has room for the name after the tuples.
    let name = unsafe { buffer.put_name(name_at, name) };
    let mut rest = buffer.at(0).cast::<AddrTuple>();
    let first = match own {
        Some(own) => own.as_mut_ptr(),
        None => {
            let first = rest;
            rest = rest.wrapping_add(1);
            first
        }
    };
    let mut place = first;
    for (at, (address, scopeid)) in addresses.take(count).enumerate() {
        let next = if at + 1 < count { rest } else { ptr::null_mut() };
        let (family, addr) = (af(address.family()), address.padded());
        // SAFETY: the caller's own, or one of so many that the need has room for, aligned as the buffer starts so.
        unsafe { place.write(AddrTuple { next, name, family, addr, scopeid }) };
        place = rest;
        rest = rest.wrapping_add(1);
    }
    Ok(first)
}
