//! Answers packed into a buffer of arbitrary length and alignment. What is written must be the answer, must be in the
//! buffer, and packing must succeed exactly if the buffer is large enough.

use std::ffi::{CStr, c_char};
use std::mem::{align_of, size_of};
use std::ptr;

use guest_names::address::{Address, Family};
use nss_hosts::abi::{AddrTuple, HostEnt};
use nss_hosts::pack::{self, Buffer, Scoped, af};

/// The initial value of the memory, and later that of the bytes around the buffer.
const CANARY: u8 = 0xa5;
/// Watched bytes before and after the buffer.
const MARGIN: usize = 64;
const POINTER: usize = size_of::<*mut c_char>();

/// Memory with a buffer in it.
struct Memory {
    /// Aligned at least for a pointer.
    words: Vec<u128>,
    /// The offset of the buffer, in bytes.
    start: usize,
    len: usize,
}

impl Memory {
    fn new(misaligned: usize, len: usize) -> Self {
        let start = MARGIN + misaligned;
        let words = (start + len + MARGIN).div_ceil(size_of::<u128>());
        Self { words: vec![u128::from_ne_bytes([CANARY; 16]); words], start, len }
    }

    fn base(&mut self) -> *mut u8 {
        self.words.as_mut_ptr().cast()
    }

    fn buffer(&mut self) -> Buffer {
        let start = self.base().wrapping_add(self.start);
        // SAFETY: `len` bytes from there on are in the memory, which outlives every use.
        unsafe { Buffer::new(start.cast(), self.len) }
    }

    /// # Panics
    /// If something outside the buffer has changed.
    fn check(&self) {
        let bytes: Vec<u8> = self.words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let (before, behind) = (&bytes[..self.start], &bytes[self.start + self.len..]);
        assert!(before.iter().chain(behind).all(|&byte| byte == CANARY), "written outside");
    }

    /// The bytes of the buffer from the first one that is aligned for a pointer.
    fn aligned_len(&self) -> usize {
        self.len.saturating_sub(self.start.next_multiple_of(POINTER) - self.start)
    }

    /// # Panics
    /// If `len` bytes from `place` on are not all in the buffer.
    fn is_inside<T>(&mut self, place: *const T, len: usize) {
        let start = self.base() as usize + self.start;
        let inside = start..=start + self.len;
        let place = place as usize;
        assert!(inside.contains(&place) && inside.contains(&(place + len)), "points outside");
        assert_eq!(place % align_of::<T>(), 0, "not aligned");
    }
}

/// The answer to pack.
struct Parts<'d> {
    misaligned: usize,
    /// By how many bytes the buffer is larger or smaller than the answer.
    slack: i32,
    /// Whether the caller provides the first tuple, as glibc up to 2.35 does.
    own_first: bool,
    family: Family,
    name: &'d [u8],
    /// The addresses with their scope ids.
    addresses: Vec<Scoped>,
}

impl<'d> Parts<'d> {
    fn read(data: &'d [u8]) -> Option<Self> {
        let &[misaligned, slack, flags, name_len, ref rest @ ..] = data else { return None };
        let (name, rest) = rest.split_at(usize::from(name_len).min(rest.len()));
        // A C string from the caller has no NUL in it, and is not empty.
        let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
        let name = if end == 0 { b"a" } else { &name[..end] };
        let addresses = rest.chunks(17).filter_map(|chunk| {
            let (&kind, octets) = chunk.split_first()?;
            let address = match kind % 2 {
                0 => Address::V4(*octets.first_chunk()?),
                _ => Address::V6(*octets.first_chunk()?),
            };
            Some((address, u32::from(kind / 2)))
        });
        Some(Self {
            misaligned: usize::from(misaligned % 16),
            slack: i32::from(slack as i8),
            own_first: flags & 1 != 0,
            family: if flags & 4 != 0 { Family::V6 } else { Family::V4 },
            name,
            addresses: addresses.collect(),
        })
    }

    /// A buffer that differs by the requested slack from `need` bytes, counted from its first aligned byte.
    fn memory(&self, need: usize) -> Memory {
        let padding = self.misaligned.next_multiple_of(POINTER) - self.misaligned;
        let len = (need + padding) as i64 + i64::from(self.slack);
        Memory::new(self.misaligned, usize::try_from(len).unwrap_or(0))
    }
}

/// Runs the target.
///
/// # Panics
/// If something is wrong.
pub fn run(data: &[u8]) {
    if let Some(parts) = Parts::read(data) {
        host_ent(&parts);
        tuples(&parts);
    }
}

fn host_ent(parts: &Parts<'_>) {
    let of_family = |&&(address, _): &&Scoped| address.family() == parts.family;
    let addresses: Vec<Address> =
        parts.addresses.iter().filter(of_family).map(|&(address, _)| address).collect();
    let (count, octets) = (addresses.len(), if parts.family == Family::V4 { 4 } else { 16 });
    if count == 0 {
        return;
    }
    let need = (count + 2) * POINTER + count * octets + parts.name.len() + 1;
    let mut memory = parts.memory(need);
    let fits = need <= memory.aligned_len();
    let buffer = memory.buffer();
    let mut result = std::mem::MaybeUninit::<HostEnt>::uninit();
    let mut all = addresses.iter().copied();
    let packed = pack::host_ent(&buffer, parts.name, parts.family, &mut all, count, &mut result);
    memory.check();
    assert_eq!(packed.is_ok(), fits);
    let Ok(canonical) = packed else { return };
    // SAFETY: it was just packed.
    let result = unsafe { result.assume_init() };

    assert_eq!(canonical, result.h_name);
    assert_eq!((result.h_addrtype, result.h_length), (af(parts.family), octets as i32));
    memory.is_inside(result.h_name, parts.name.len() + 1);
    // SAFETY: so many bytes are in the buffer, and the last of them is a NUL if it is one.
    assert_eq!(unsafe { CStr::from_ptr(result.h_name) }.to_bytes(), parts.name);
    memory.is_inside(result.h_aliases, POINTER);
    // SAFETY: a pointer's room in the buffer.
    assert!(unsafe { result.h_aliases.read() }.is_null());
    memory.is_inside(result.h_addr_list, (count + 1) * POINTER);
    for (at, address) in addresses.iter().enumerate() {
        // SAFETY: one of the table, which is in the buffer.
        let place = unsafe { result.h_addr_list.wrapping_add(at).read() };
        memory.is_inside(place, octets);
        // SAFETY: so many bytes in the buffer.
        let held = unsafe { std::slice::from_raw_parts(place.cast::<u8>(), octets) };
        assert_eq!(held, address.octets());
    }
    // SAFETY: the end of the table.
    assert!(unsafe { result.h_addr_list.wrapping_add(count).read() }.is_null());
}

fn tuples(parts: &Parts<'_>) {
    let count = parts.addresses.len();
    if count == 0 {
        return;
    }
    let in_buffer = count - usize::from(parts.own_first);
    let need = in_buffer * size_of::<AddrTuple>() + parts.name.len() + 1;
    let mut memory = parts.memory(need);
    let fits = need <= memory.aligned_len();
    let mut own = std::mem::MaybeUninit::<AddrTuple>::zeroed();
    let first = own.as_mut_ptr().cast_const();
    let (buffer, mut all) = (memory.buffer(), parts.addresses.iter().copied());
    let own = parts.own_first.then_some(&mut own);
    let packed = pack::tuples(&buffer, parts.name, &mut all, count, own);
    memory.check();
    assert_eq!(packed.is_ok(), fits);
    let Ok(pat) = packed else { return };

    let mut next = pat.cast_const();
    for (at, (address, scope)) in parts.addresses.iter().enumerate() {
        if at == 0 && parts.own_first {
            assert!(ptr::eq(next, first));
        } else {
            memory.is_inside(next, size_of::<AddrTuple>());
        }
        // SAFETY: the caller's own, or a tuple in the buffer.
        let tuple = unsafe { next.read() };
        assert_eq!(tuple.family, af(address.family()));
        assert!(tuple.addr.starts_with(address.octets()));
        assert!(tuple.addr[address.octets().len()..].iter().all(|&octet| octet == 0));
        assert_eq!(tuple.scopeid, *scope);
        memory.is_inside(tuple.name, parts.name.len() + 1);
        // SAFETY: so many bytes are in the buffer, and the last of them is a NUL if it is one.
        assert_eq!(unsafe { CStr::from_ptr(tuple.name) }.to_bytes(), parts.name);
        next = tuple.next;
    }
    assert!(next.is_null());
}
