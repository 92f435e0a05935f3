//! Memory of a look-up's own, for the few that need more than the stack has: mappings, as the process's heap may be
//! locked by a thread that a fork has left behind.

use core::cell::Cell;
use core::mem::size_of;
use core::ptr;

use guest_names::io::System;
use guest_names::text::Text;

use crate::system;

/// Mappings that are given back when this goes.
pub(crate) struct Arena {
    /// The one that was made last.
    last: Cell<*mut Head>,
}

/// The start of a mapping. What is given out comes after it.
#[repr(align(64))]
struct Head {
    /// The mapping before.
    before: *mut Head,
    /// Bytes of this one.
    len: usize,
}

impl Arena {
    /// Nothing is mapped yet.
    pub(crate) const fn new() -> Self {
        Self { last: Cell::new(ptr::null_mut()) }
    }

    /// The place of so many bytes, aligned as [`Head`] is.
    #[inline(never)]
    fn map(&self, bytes: usize) -> Option<*mut u8> {
        let len = bytes.checked_add(size_of::<Head>())?;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a mapping at a place of the kernel's choice touches nothing that is there.
        let start = unsafe { libc::mmap(ptr::null_mut(), len, protection, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return None;
        }
        let head = start.cast::<Head>();
        // SAFETY: the mapping starts at a page and has room for it.
        unsafe { head.write(Head { before: self.last.get(), len }) };
        self.last.set(head);
        Some(start.cast::<u8>().wrapping_add(size_of::<Head>()))
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        let mut head = self.last.get();
        while !head.is_null() {
            // SAFETY: `map` has written it, and the mapping is still there.
            let Head { before, len } = unsafe { head.read() };
            // SAFETY: the mapping is this arena's, whose memory nobody borrows any more.
            unsafe { libc::munmap(head.cast(), len) };
            head = before;
        }
    }
}

impl System for Arena {
    fn slice<T: Copy>(&self, len: usize, fill: T) -> Option<&mut [T]> {
        const { assert!(align_of::<T>() <= align_of::<Head>()) };
        let start = self.map(len.checked_mul(size_of::<T>())?)?.cast::<T>();
        for at in 0..len {
            // SAFETY: the mapping is aligned for it and has room for so many.
            unsafe { start.wrapping_add(at).write(fill) };
        }
        // SAFETY: they have been written, nobody else has them, and they last as long as the arena.
        Some(unsafe { core::slice::from_raw_parts_mut(start, len) })
    }

    fn node_name(&self, name: &mut Text) {
        system::node_name(name);
    }
}
