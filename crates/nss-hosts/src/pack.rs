//! The caller's buffer, and answers packed into it.
//!
//! What an answer needs is known before each address is added; it is never more than the answer is long:
//! padding up to the first pointer, then what has pointers in it, then the addresses, then the name.

use core::ffi::{c_char, c_int};
use core::mem::{align_of, size_of};
use core::ptr;

use guest_names::address::{Address, Family};
use guest_names::forward::{Answer, NoRoom};
use guest_names::ranking::Candidate;

use crate::abi::{AddrTuple, HostEnt};
use crate::system;

const POINTER: usize = size_of::<*mut c_char>();

/// The memory that the caller lends for an answer.
#[derive(Clone, Copy)]
pub(crate) struct Buffer {
    /// Aligned for a pointer.
    start: *mut u8,
    len: usize,
}

impl Buffer {
    /// # Safety
    /// `start` can be written for `len` bytes, as long as this value and what is made of it is used.
    pub(crate) unsafe fn new(start: *mut c_char, len: usize) -> Self {
        let padding = start.align_offset(align_of::<*mut c_char>());
        let start = start.cast::<u8>().wrapping_add(padding);
        Self { start, len: len.saturating_sub(padding) }
    }

    /// The place `offset` bytes in.
    fn at(&self, offset: usize) -> *mut u8 {
        debug_assert!(offset <= self.len);
        self.start.wrapping_add(offset)
    }

    /// Writes `name` and a NUL.
    ///
    /// # Safety
    /// There is room for both at `offset`.
    unsafe fn put_name(&self, offset: usize, name: &[u8]) -> *mut c_char {
        let place = self.at(offset);
        // SAFETY: the caller promises the room; `name` is not in the caller's buffer.
        unsafe { ptr::copy_nonoverlapping(name.as_ptr(), place, name.len()) };
        // SAFETY: the same.
        unsafe { place.wrapping_add(name.len()).write(0) };
        place.cast()
    }
}

/// The C number of a family.
pub(crate) fn af(family: Family) -> c_int {
    match family {
        Family::V4 => libc::AF_INET,
        Family::V6 => libc::AF_INET6,
    }
}

/// A `struct hostent` in the making: addresses of one family under one name.
///
/// The addresses are gathered where the table of pointers to them will be, and move behind it when
/// their number is known.
pub(crate) struct HostEntAnswer<'n> {
    buffer: Buffer,
    name: &'n [u8],
    family: Family,
    count: usize,
}

impl<'n> HostEntAnswer<'n> {
    pub(crate) fn new(buffer: Buffer, name: &'n [u8], family: Family) -> Self {
        Self { buffer, name, family, count: 0 }
    }

    fn address_len(&self) -> usize {
        match self.family {
            Family::V4 => 4,
            Family::V6 => 16,
        }
    }

    /// Bytes of the answer with `count` addresses: the ends of both tables, a pointer and an address each,
    /// the name and its NUL.
    fn need(&self, count: usize) -> usize {
        (count + 2) * POINTER + count * self.address_len() + self.name.len() + 1
    }

    fn gathered(&self) -> &[u8] {
        if self.count == 0 {
            return &[];
        }
        // SAFETY: `add` has written so many bytes there.
        unsafe {
            core::slice::from_raw_parts(self.buffer.at(POINTER), self.count * self.address_len())
        }
    }

    /// Fills `result` and gives the canonical name.
    ///
    /// # Safety
    /// `result` can be written. At least one address has been added, so that there is room for all.
    pub(crate) unsafe fn finish(self, result: *mut HostEnt) -> *mut c_char {
        let (len, count) = (self.address_len(), self.count);
        let table = POINTER;
        let addresses = table + (count + 1) * POINTER;
        let (from, to) = (self.buffer.at(table), self.buffer.at(addresses));
        // SAFETY: both are in the buffer, whose length `add` has checked against the need.
        unsafe { ptr::copy(from, to, count * len) };
        let (aliases, list) = (self.buffer.at(0), self.buffer.at(table));
        let (aliases, list) = (aliases.cast::<*mut c_char>(), list.cast::<*mut c_char>());
        // SAFETY: the buffer starts aligned for a pointer, and there is room for this one.
        unsafe { aliases.write(ptr::null_mut()) };
        for at in 0..count {
            let address = self.buffer.at(addresses + at * len).cast();
            // SAFETY: the table has room for `count` pointers and the end.
            unsafe { list.wrapping_add(at).write(address) };
        }
        // SAFETY: the same.
        unsafe { list.wrapping_add(count).write(ptr::null_mut()) };
        // SAFETY: the need has room for the name behind the addresses.
        let h_name = unsafe { self.buffer.put_name(addresses + count * len, self.name) };
        let answer = HostEnt {
            h_name,
            h_aliases: aliases,
            h_addrtype: af(self.family),
            h_length: len as c_int,
            h_addr_list: list,
        };
        // SAFETY: as the caller promises.
        unsafe { result.write(answer) };
        h_name
    }
}

impl Answer for HostEntAnswer<'_> {
    fn clear(&mut self) {
        self.count = 0;
    }

    fn holds(&self, address: Address) -> bool {
        self.gathered().chunks_exact(self.address_len()).any(|held| held == address.octets())
    }

    fn add(&mut self, candidate: &Candidate) -> Result<(), NoRoom> {
        let octets = candidate.address.octets();
        if self.need(self.count + 1) > self.buffer.len || octets.len() != self.address_len() {
            return Err(NoRoom);
        }
        let place = self.buffer.at(POINTER + self.count * octets.len());
        // SAFETY: the place is in the buffer, by the need.
        unsafe { ptr::copy_nonoverlapping(octets.as_ptr(), place, octets.len()) };
        self.count += 1;
        Ok(())
    }
}

/// A chain of `struct gaih_addrtuple` in the making: addresses of both families, with their scopes.
pub(crate) struct TupleAnswer<'n> {
    buffer: Buffer,
    name: &'n [u8],
    /// Until glibc 2.35 the first tuple is the caller's; it is written when the answer is complete.
    first: *mut AddrTuple,
    first_tuple: AddrTuple,
    count: usize,
}

impl<'n> TupleAnswer<'n> {
    /// `first` is the caller's own first tuple, or NULL.
    pub(crate) fn new(buffer: Buffer, name: &'n [u8], first: *mut AddrTuple) -> Self {
        let (next, no_name) = (ptr::null_mut(), ptr::null_mut());
        let first_tuple = AddrTuple { next, name: no_name, family: 0, addr: [0; 16], scopeid: 0 };
        Self { buffer, name, first, first_tuple, count: 0 }
    }

    /// How many of `count` tuples are in the buffer.
    fn in_buffer(&self, count: usize) -> usize {
        if self.first.is_null() { count } else { count.saturating_sub(1) }
    }

    fn need(&self, count: usize) -> usize {
        self.in_buffer(count) * size_of::<AddrTuple>() + self.name.len() + 1
    }

    fn packed(&self) -> &[AddrTuple] {
        if self.in_buffer(self.count) == 0 {
            return &[];
        }
        // SAFETY: `add` has written so many tuples there, and the buffer starts aligned for them.
        unsafe { core::slice::from_raw_parts(self.buffer.at(0).cast(), self.in_buffer(self.count)) }
    }

    /// Chains the tuples and points `pat` to the first.
    ///
    /// # Safety
    /// `pat` can be written, and so can the caller's own first tuple, if there is one. At least one
    /// address has been added, so that there is room for all.
    pub(crate) unsafe fn finish(mut self, pat: *mut *mut AddrTuple) {
        let in_buffer = self.in_buffer(self.count);
        // SAFETY: the need has room for the name behind the tuples.
        let name = unsafe { self.buffer.put_name(in_buffer * size_of::<AddrTuple>(), self.name) };
        let tuples = self.buffer.at(0).cast::<AddrTuple>();
        let mut next = ptr::null_mut();
        for at in (0..in_buffer).rev() {
            let place = tuples.wrapping_add(at);
            // SAFETY: `add` has written a tuple there.
            let tuple = unsafe { &mut *place };
            tuple.name = name;
            tuple.next = next;
            next = place;
        }
        if self.first.is_null() {
            // SAFETY: as the caller promises.
            unsafe { pat.write(next) };
        } else {
            self.first_tuple.name = name;
            self.first_tuple.next = next;
            // SAFETY: as the caller promises.
            unsafe { self.first.write(self.first_tuple) };
        }
    }
}

fn is_of(tuple: &AddrTuple, address: Address) -> bool {
    let octets = address.octets();
    tuple.family == af(address.family()) && tuple.addr.get(..octets.len()) == Some(octets)
}

impl Answer for TupleAnswer<'_> {
    fn clear(&mut self) {
        self.count = 0;
    }

    fn holds(&self, address: Address) -> bool {
        let first = !self.first.is_null() && self.count > 0;
        (first && is_of(&self.first_tuple, address))
            || self.packed().iter().any(|tuple| is_of(tuple, address))
    }

    fn add(&mut self, candidate: &Candidate) -> Result<(), NoRoom> {
        if self.need(self.count + 1) > self.buffer.len {
            return Err(NoRoom);
        }
        let address = candidate.address;
        let mut addr = [0; 16];
        for (place, &octet) in addr.iter_mut().zip(address.octets()) {
            *place = octet;
        }
        let scopeid = match candidate.bridge {
            Some(bridge) if address.is_link_local_v6() => system::interface_index(&bridge),
            _ => 0,
        };
        let family = af(address.family());
        let tuple =
            AddrTuple { next: ptr::null_mut(), name: ptr::null_mut(), family, addr, scopeid };
        if !self.first.is_null() && self.count == 0 {
            self.first_tuple = tuple;
        } else {
            let place = self.buffer.at(0).cast::<AddrTuple>();
            // SAFETY: the place is in the buffer, by the need, and aligned, as the buffer starts so.
            unsafe { place.wrapping_add(self.in_buffer(self.count)).write(tuple) };
        }
        self.count += 1;
        Ok(())
    }
}
