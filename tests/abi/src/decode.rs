//! Converts what a module left in the caller's buffer to owned values, and checks every pointer.

use std::net::IpAddr;
use std::ops::Range;
use std::ptr;

use libc::{AF_INET, AF_INET6, c_char, c_int};

use crate::answer::Address;
use crate::buffer::GuardedBuffer;
use crate::c::{AddrTuple, Hostent};

/// The parts of the buffer that an answer uses.
pub(crate) struct Claims<'a> {
    /// The caller's buffer.
    bytes: &'a [u8],
    parts: Vec<(Range<usize>, &'static str)>,
}

impl<'a> Claims<'a> {
    pub(crate) fn new(buffer: &'a GuardedBuffer) -> Claims<'a> {
        Claims { bytes: buffer.bytes(), parts: Vec::new() }
    }

    /// Records that the answer has `length` bytes of `what` at `address`, and returns these bytes.
    ///
    /// # Panics
    ///
    /// If they are not all in the buffer, or not aligned to `align`.
    fn claim(
        &mut self,
        address: usize,
        length: usize,
        align: usize,
        what: &'static str,
    ) -> &'a [u8] {
        assert!(address % align == 0, "{what} at {address:#x} is not aligned to {align}");
        let bytes = self.from(address, what).get(..length).unwrap_or_else(|| {
            panic!("{what} at {address:#x}, {length} bytes, ends after the caller's buffer")
        });
        let start = address - self.bytes.as_ptr() as usize;
        let range = start..start + length;
        // One string may be both the name and the canonical name; nothing else is shared.
        let shared = align == 1 && self.parts.iter().any(|(other, _)| *other == range);
        if !shared {
            self.parts.push((range, what));
        }
        bytes
    }

    /// The part of the buffer that begins at an address.
    fn from(&self, address: usize, what: &'static str) -> &'a [u8] {
        let start = self.bytes.as_ptr() as usize;
        address.checked_sub(start).and_then(|offset| self.bytes.get(offset..)).unwrap_or_else(
            || {
                panic!(
                    "{what} at {address:#x} is not in the caller's buffer, {} bytes at {start:#x}",
                    self.bytes.len()
                )
            },
        )
    }

    /// How far the answer reaches into the buffer, in bytes from its start.
    ///
    /// # Panics
    ///
    /// If two parts of the answer overlap.
    pub(crate) fn used(mut self) -> usize {
        self.parts.sort_by_key(|(range, _)| range.start);
        for pair in self.parts.windows(2) {
            let [(first, one), (second, other)] = pair else { unreachable!("windows of two") };
            assert!(first.end <= second.start, "{one} and {other} overlap in the buffer");
        }
        self.parts.last().map_or(0, |(range, _)| range.end)
    }

    /// A NUL-terminated string in the buffer, without the NUL.
    pub(crate) fn string(&mut self, pointer: *const c_char, what: &'static str) -> Vec<u8> {
        let rest = self.from(pointer as usize, what);
        let length = rest
            .iter()
            .position(|&byte| byte == 0)
            .unwrap_or_else(|| panic!("{what} has no NUL in the caller's buffer"));
        self.claim(pointer as usize, length + 1, 1, what)[..length].to_vec()
    }

    /// A NULL-terminated array of pointers in the buffer.
    fn pointers(&mut self, array: *const *mut c_char, what: &'static str) -> Vec<usize> {
        const SIZE: usize = size_of::<*mut c_char>();
        let mut pointers = Vec::new();
        for bytes in self.from(array as usize, what).chunks_exact(SIZE) {
            let pointer = usize::from_ne_bytes(bytes.try_into().expect("SIZE bytes"));
            if pointer == 0 {
                self.claim(array as usize, (pointers.len() + 1) * SIZE, SIZE, what);
                return pointers;
            }
            pointers.push(pointer);
        }
        panic!("{what} has no NULL in the caller's buffer");
    }
}

/// The contents of a `hostent`.
pub(crate) struct Host {
    pub(crate) name: Vec<u8>,
    pub(crate) aliases: Vec<Vec<u8>>,
    pub(crate) family: c_int,
    pub(crate) addresses: Vec<Address>,
}

/// Reads a `hostent` that a module filled; everything that it refers to must be in the buffer.
pub(crate) fn hostent(host: &Hostent, claims: &mut Claims<'_>) -> Host {
    let name = claims.string(host.h_name, "h_name");
    let aliases = claims
        .pointers(host.h_aliases, "h_aliases")
        .into_iter()
        .map(|alias| claims.string(ptr::without_provenance(alias), "an alias"))
        .collect();
    let length = match host.h_addrtype {
        AF_INET => 4,
        AF_INET6 => 16,
        other => panic!("h_addrtype is {other}"),
    };
    assert_eq!(host.h_length, length, "h_length of family {}", host.h_addrtype);
    let length = usize::try_from(length).expect("4 or 16");
    let addresses = claims
        .pointers(host.h_addr_list, "h_addr_list")
        .into_iter()
        // Programs read it through struct in_addr or in6_addr, which are aligned to 4 bytes.
        .map(|address| Address::from(ip(claims.claim(address, length, 4, "an address"))))
        .collect();
    Host { name, aliases, family: host.h_addrtype, addresses }
}

/// The contents of a list of tuples.
pub(crate) struct Tuples {
    /// The name of each tuple that has one; the first has.
    pub(crate) names: Vec<Vec<u8>>,
    pub(crate) addresses: Vec<Address>,
}

/// Reads a list of tuples. All must be in the buffer, except that the first may be `own`, the caller's.
pub(crate) fn tuples(
    first: *const AddrTuple,
    own: *const AddrTuple,
    claims: &mut Claims<'_>,
) -> Tuples {
    let mut names = Vec::new();
    let mut addresses = Vec::new();
    let mut next = first;
    assert!(!first.is_null(), "SUCCESS without a tuple");
    while !next.is_null() {
        if next != own || !addresses.is_empty() {
            claims.claim(next as usize, size_of::<AddrTuple>(), align_of::<AddrTuple>(), "a tuple");
        }
        // SAFETY: it is the caller's own tuple or lies in the buffer, aligned, as just checked.
        let tuple = unsafe { &*next };
        assert!(
            !tuple.name.is_null() || !addresses.is_empty(),
            "the first tuple has no name: glibc takes the canonical name from it"
        );
        if !tuple.name.is_null() {
            names.push(claims.string(tuple.name, "a tuple's name"));
        }
        let length = match tuple.family {
            AF_INET => 4,
            AF_INET6 => 16,
            other => panic!("a tuple's family is {other}"),
        };
        let bytes: Vec<u8> = tuple.addr.iter().flat_map(|word| word.to_ne_bytes()).collect();
        addresses.push(Address { ip: ip(&bytes[..length]), scope: tuple.scopeid });
        next = tuple.next;
    }
    Tuples { names, addresses }
}

fn ip(bytes: &[u8]) -> IpAddr {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).map(IpAddr::from).expect("four bytes"),
        _ => <[u8; 16]>::try_from(bytes).map(IpAddr::from).expect("sixteen bytes"),
    }
}
