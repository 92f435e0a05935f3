//! The caller's buffer, and answers packed into it.
//!
//! What an answer needs is known before each address is added; it is never more than the answer is long:
//! padding up to the first pointer, then what has pointers in it, then the addresses, then the name.
//!
//! A long buffer's end is lent to the look-up meanwhile, as places for candidates.

use core::cell::Cell;
use core::ffi::{c_char, c_int};
use core::mem::{align_of, size_of};
use core::ptr;

use guest_names::address::{Address, Family};
use guest_names::forward::{Answer, NoRoom};
use guest_names::ranking::Candidate;

use crate::abi::{AddrTuple, HostEnt};
use crate::system;

const POINTER: usize = size_of::<*mut c_char>();

/// The memory that the caller gives for an answer.
#[derive(Clone, Copy)]
pub(crate) struct Buffer {
    /// Aligned for a pointer.
    start: *mut u8,
    len: usize,
    /// How many candidates there are places for at the end, which the answer must keep clear of.
    lent: usize,
}

impl Buffer {
    /// # Safety
    /// `start` can be written for `len` bytes, as long as this value and what is made of it is used.
    pub(crate) unsafe fn new(start: *mut c_char, len: usize) -> Self {
        let padding = start.align_offset(align_of::<*mut c_char>());
        let start = start.cast::<u8>().wrapping_add(padding);
        Self { start, len: len.saturating_sub(padding), lent: 0 }
    }

    /// How many bytes the answer may have.
    fn room(&self) -> usize {
        match self.lent {
            0 => self.len,
            // `lend` has taken no more than there is.
            lent => self.len.saturating_sub(Self::lent_len(lent)),
        }
    }

    /// Bytes of places for so many candidates, with what it takes to align them.
    fn lent_len(count: usize) -> usize {
        count * size_of::<Candidate>() + align_of::<Candidate>() - 1
    }

    fn first_lent(&self) -> *mut Candidate {
        let start = self.at(self.room());
        start.wrapping_add(start.align_offset(align_of::<Candidate>())).cast()
    }

    /// Lends places for more than `least` candidates, or none, so that behind an answer of `used` bytes
    /// as many more addresses of `each` bytes fit.
    #[inline(never)]
    fn lend(&mut self, least: usize, used: usize, each: usize) {
        let free = self.len.saturating_sub(used + Self::lent_len(0));
        let count = free.checked_div(each + size_of::<Candidate>()).unwrap_or(0);
        self.lent = if count > least { count } else { 0 };
        let first = self.first_lent();
        for at in 0..self.lent {
            // SAFETY: `lent_len` has room for so many, aligned.
            unsafe { first.wrapping_add(at).write(Candidate::EMPTY) };
        }
    }

    fn lent(&mut self) -> &mut [Candidate] {
        if self.lent == 0 {
            return &mut [];
        }
        // SAFETY: `lend` has written so many there, and an answer stays below them, see `room`.
        unsafe { core::slice::from_raw_parts_mut(self.first_lent(), self.lent) }
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
    #[inline(never)]
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
        self.buffer.lent = 0;
    }

    fn lend(&mut self, least: usize) {
        let (used, more) = (self.need(self.count), self.need(self.count + 1));
        self.buffer.lend(least, used, more - used);
    }

    fn lent(&mut self) -> &mut [Candidate] {
        self.buffer.lent()
    }

    fn holds(&self, address: Address) -> bool {
        self.gathered().chunks_exact(self.address_len()).any(|held| held == address.octets())
    }

    fn add(&mut self, candidate: &Candidate) -> Result<(), NoRoom> {
        let octets = candidate.address.octets();
        if self.need(self.count + 1) > self.buffer.room() || octets.len() != self.address_len() {
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
    first_tuple: Cell<AddrTuple>,
    count: usize,
}

impl<'n> TupleAnswer<'n> {
    /// `first` is the caller's own first tuple, or NULL.
    pub(crate) fn new(buffer: Buffer, name: &'n [u8], first: *mut AddrTuple) -> Self {
        let (next, no_name) = (ptr::null_mut(), ptr::null_mut());
        let tuple = AddrTuple { next, name: no_name, family: 0, addr: [0; 16], scopeid: 0 };
        let first_tuple = Cell::new(tuple);
        Self { buffer, name, first, first_tuple, count: 0 }
    }

    /// Bytes of the answer with `count` addresses: a tuple each, but for the caller's own, the name and
    /// its NUL.
    fn need(&self, count: usize) -> usize {
        let own = usize::from(!self.first.is_null());
        count.saturating_sub(own) * size_of::<AddrTuple>() + self.name.len() + 1
    }

    /// Where a tuple is until the answer is complete.
    fn tuple(&self, at: usize) -> *mut AddrTuple {
        let in_buffer = self.buffer.at(0).cast::<AddrTuple>();
        match (self.first.is_null(), at) {
            (true, _) => in_buffer.wrapping_add(at),
            (false, 0) => self.first_tuple.as_ptr(),
            (false, _) => in_buffer.wrapping_add(at - 1),
        }
    }

    /// Chains the tuples and gives them to the caller.
    ///
    /// # Safety
    /// `pat` can be written, and what it points to, too, or is NULL. At least one address has been added,
    /// so that there is room for all.
    pub(crate) unsafe fn finish(self, pat: *mut *mut AddrTuple) {
        let name_at = self.need(self.count) - self.name.len() - 1;
        // SAFETY: the need has room for the name behind the tuples.
        let name = unsafe { self.buffer.put_name(name_at, self.name) };
        let mut next = ptr::null_mut();
        for at in (0..self.count).rev() {
            let place = self.tuple(at);
            // SAFETY: `add` has written so many tuples.
            let tuple = unsafe { &mut *place };
            tuple.name = name;
            tuple.next = next;
            next = place;
        }
        if self.first.is_null() {
            // SAFETY: as the caller promises.
            unsafe { pat.write(next) };
        } else {
            // SAFETY: as the caller promises.
            unsafe { self.first.write(self.first_tuple.get()) };
        }
    }
}

impl Answer for TupleAnswer<'_> {
    fn clear(&mut self) {
        self.count = 0;
        self.buffer.lent = 0;
    }

    fn lend(&mut self, least: usize) {
        self.buffer.lend(least, self.need(self.count), size_of::<AddrTuple>());
    }

    fn lent(&mut self) -> &mut [Candidate] {
        self.buffer.lent()
    }

    fn holds(&self, address: Address) -> bool {
        (0..self.count).any(|at| {
            // SAFETY: `add` has written so many tuples.
            let tuple = unsafe { &*self.tuple(at) };
            tuple.family == af(address.family()) && tuple.addr == address.padded()
        })
    }

    fn add(&mut self, candidate: &Candidate) -> Result<(), NoRoom> {
        if self.need(self.count + 1) > self.buffer.room() {
            return Err(NoRoom);
        }
        let address = candidate.address;
        let tuple = AddrTuple {
            next: ptr::null_mut(),
            name: ptr::null_mut(),
            family: af(address.family()),
            addr: address.padded(),
            scopeid: if address.is_link_local_v6() {
                system::interface_index(&candidate.bridge)
            } else {
                0
            },
        };
        let place = self.tuple(self.count);
        // SAFETY: the place is in the buffer, by the need, and aligned, as the buffer starts so; or it is
        // the first tuple.
        unsafe { place.write(tuple) };
        self.count += 1;
        Ok(())
    }
}
