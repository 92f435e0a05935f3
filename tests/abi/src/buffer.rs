//! A caller's buffer with guards around it, so that writes outside of it are found.

use std::ptr;

/// The value of the bytes around the buffer, and in it, before a call.
const CANARY: u8 = 0xA5;

/// How many bytes before the buffer are watched.
const WATCHED: usize = 256;

/// A buffer of an exact length at an exact alignment. The page after it is inaccessible, so a write of a whole page
/// past the end crashes the process. The bytes between the buffer's end and that page (at most 15, due to the
/// alignment) and those before the buffer are canaries.
pub struct GuardedBuffer {
    mapping: *mut u8,
    mapped: usize,
    start: usize,
    length: usize,
    page: usize,
}

impl GuardedBuffer {
    /// A buffer of `length` bytes whose address is `offset` (0 to 15) past a multiple of 16.
    ///
    /// # Panics
    ///
    /// When `offset` is above 15 or the system has no memory left.
    #[must_use]
    pub fn new(length: usize, offset: usize) -> GuardedBuffer {
        assert!(offset < 16, "an offset past 16-byte alignment, not {offset}");
        // SAFETY: sysconf reads a constant.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) })
            .expect("the page size is positive");
        let inner = (WATCHED + length + 16).next_multiple_of(page);
        let mapped = inner + page;
        // SAFETY: a new anonymous mapping touches nothing that exists.
        let mapping = unsafe {
            libc::mmap(
                ptr::null_mut(),
                mapped,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        assert!(mapping != libc::MAP_FAILED, "mmap: {}", std::io::Error::last_os_error());
        let mapping = mapping.cast::<u8>();
        // SAFETY: the last page of the mapping made above.
        let guard = unsafe { mapping.add(inner) };
        // SAFETY: as above; nothing lives in that page.
        let protected = unsafe { libc::mprotect(guard.cast(), page, libc::PROT_NONE) };
        assert!(protected == 0, "mprotect: {}", std::io::Error::last_os_error());

        // The highest start at which the buffer fits before the guard page at this alignment.
        let highest = inner - length;
        let start = highest - (highest + 16 - offset) % 16;
        let buffer = GuardedBuffer { mapping, mapped, start, length, page };
        let watched = buffer.start - WATCHED..inner;
        // SAFETY: `watched` lies in the accessible part of the mapping.
        let first = unsafe { mapping.add(watched.start) };
        // SAFETY: as above.
        unsafe { ptr::write_bytes(first, CANARY, watched.len()) };
        buffer
    }

    /// The first byte of the buffer.
    #[must_use]
    pub fn as_mut_ptr(&mut self) -> *mut u8 {
        // SAFETY: `start` lies in the mapping.
        unsafe { self.mapping.add(self.start) }
    }

    /// What is in the buffer now.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.accessible()[self.start..self.start + self.length]
    }

    /// The position of the first canary that has changed, in bytes relative to the buffer's start.
    #[must_use]
    pub fn damage(&self) -> Option<isize> {
        let bytes = self.accessible();
        let before = self.start - WATCHED..self.start;
        let behind = self.start + self.length..bytes.len();
        before.chain(behind).find(|&i| bytes[i] != CANARY).map(|i| i as isize - self.start as isize)
    }

    fn accessible(&self) -> &[u8] {
        // SAFETY: all but the last page of the mapping is readable and initialised (zero or
        // written), and no module holds the buffer while we look at it.
        unsafe { std::slice::from_raw_parts(self.mapping, self.mapped - self.page) }
    }
}

impl Drop for GuardedBuffer {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and nothing refers to it any more.
        unsafe { libc::munmap(self.mapping.cast(), self.mapped) };
    }
}

#[cfg(test)]
mod tests {
    use super::GuardedBuffer;

    #[test]
    fn every_length_and_offset_is_exact() {
        for offset in 0..16 {
            for length in [0, 1, 7, 8, 4095, 4096, 4097] {
                let mut buffer = GuardedBuffer::new(length, offset);
                assert_eq!(buffer.as_mut_ptr() as usize % 16, offset);
                assert_eq!(buffer.bytes().len(), length);
                assert_eq!(buffer.damage(), None);
            }
        }
    }

    #[test]
    fn a_write_past_either_end_is_found() {
        let mut buffer = GuardedBuffer::new(5, 3);
        let start = buffer.as_mut_ptr();
        // SAFETY: five bytes belong to the buffer.
        unsafe { start.write_bytes(1, 5) };
        assert_eq!(buffer.damage(), None);
        // SAFETY: a canary after the buffer, in the same mapping.
        unsafe { start.wrapping_add(5).write(1) };
        assert_eq!(buffer.damage(), Some(5));
        // SAFETY: a canary before the buffer, in the same mapping.
        unsafe { start.wrapping_sub(1).write(1) };
        assert_eq!(buffer.damage(), Some(-1));
    }
}
