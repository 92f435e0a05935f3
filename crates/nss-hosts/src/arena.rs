//! Memory for the few look-ups that need more than the stack has: mappings, as a thread that no longer exists after a fork
//! may hold the lock of the heap.

use core::cell::Cell;
use core::mem::size_of;
use core::ptr;

use guest_names::io::System;
use guest_names::text::Text;

use crate::system;

/// Mappings that are removed on drop.
pub(crate) struct Arena {
    /// The newest one.
    last: Cell<*mut Head>,
}

/// The start of a mapping, followed by the memory that is handed out.
#[repr(align(64))]
struct Head {
    /// The mapping that was made before this one.
    before: *mut Head,
    /// The length of this one in bytes.
    len: usize,
}

impl Arena {
    /// Without any mappings.
    pub(crate) const fn new() -> Self {
        Self { last: Cell::new(ptr::null_mut()) }
    }

    /// Maps `bytes` bytes, aligned as [`Head`] is.
    fn map(&self, bytes: usize) -> Option<*mut u8> {
        let len = bytes.checked_add(size_of::<Head>())?;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a mapping where the kernel chooses doesn't affect others.
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
            // SAFETY: `map` has written it, and the mapping still exists.
            let Head { before, len } = unsafe { head.read() };
            // SAFETY: the mapping belongs to this arena, whose memory isn't borrowed any more.
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
        // SAFETY: all have been written, nothing else refers to them, and they last as long as the arena.
        Some(unsafe { core::slice::from_raw_parts_mut(start, len) })
    }

    fn node_name(&self, name: &mut Text) {
        system::node_name(name);
    }
}
