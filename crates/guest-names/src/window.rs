//! Reading a file of any length through one small piece of memory.

use crate::io::{Fault, READ_LIMIT, SECTOR, StateFile};
use crate::text::copy;

/// Bytes of a buffer before what is read: room for the end of the previous read, longer than a needle.
pub const FRONT: usize = 64;

/// The length of a large buffer: each read is four pages. It is best aligned to [`FRONT`].
pub const LARGE_BUFFER: usize = FRONT + (16 << 10);

/// The length of a buffer for small stacks: each read is one page. A look-up in an 80 KB file takes 1.3 times as long as
/// with a large buffer.
pub const SMALL_BUFFER: usize = FRONT + (4 << 10);

/// A state file, seen through `buffer`.
///
/// After a fault the file counts as ended there; see [`Window::fault`].
pub struct Window<'b, F> {
    file: F,
    buffer: &'b mut [u8],
    /// Offset in the file of the buffer's first place, modulo 2³²: there may be none for it.
    origin: u32,
    /// Index of the first valid byte: at the end of the front or in it.
    from: usize,
    /// Index after the last one.
    to: usize,
    /// Index of the next byte.
    at: usize,
    /// The file has nothing after the buffer.
    at_end: bool,
    fault: Option<Fault>,
}

impl<'b, F: StateFile> Window<'b, F> {
    /// A window on the start of `file`. `buffer` is memory of more than [`FRONT`] bytes, and more than twice as many for
    /// [`Window::slide`].
    pub fn new(file: F, buffer: &'b mut [u8]) -> Self {
        let (origin, from, to, at) = (0u32.wrapping_sub(FRONT as u32), FRONT, FRONT, FRONT);
        Self { file, buffer, origin, from, to, at, at_end: false, fault: None }
    }

    /// What ended the file before its end, if anything did.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// The buffer, which the next file can be read through.
    #[must_use]
    pub fn into_buffer(self) -> &'b mut [u8] {
        self.buffer
    }

    /// The offset in the file of the next byte.
    #[inline]
    #[must_use]
    pub fn offset(&self) -> u32 {
        self.origin.wrapping_add(self.at as u32)
    }

    /// The bytes in the buffer from the next one on.
    #[inline]
    #[must_use]
    pub fn ahead(&self) -> &[u8] {
        self.buffer.get(self.at..self.to).unwrap_or(&[])
    }

    /// The bytes in the buffer before the next one.
    #[inline]
    #[must_use]
    pub fn behind(&self) -> &[u8] {
        self.buffer.get(self.from..self.at).unwrap_or(&[])
    }

    /// The next byte, or `None` at the end.
    pub fn peek(&mut self) -> Option<u8> {
        match self.ahead().first() {
            Some(&byte) => Some(byte),
            None => self.refill(),
        }
    }

    /// Passes over `count` bytes of [`Window::ahead`].
    #[inline]
    pub fn advance(&mut self, count: usize) {
        self.at = (self.at + count).min(self.to);
    }

    /// Makes the byte at `offset` the next one.
    pub fn seek(&mut self, offset: u32) {
        let at = offset.wrapping_sub(self.origin) as usize;
        if self.from <= at && at <= self.to {
            self.at = at;
        } else {
            self.load(offset);
        }
    }

    /// Makes the next `count` bytes come from one read, as far as the file has them and the buffer can hold them.
    pub fn gather(&mut self, count: usize) {
        let cut = self.ahead().len() < count && !self.at_end;
        if self.at < FRONT || self.at > FRONT && cut {
            self.load(self.offset());
        }
    }

    /// Reads the bytes after the buffer. Keeps its last `keep` bytes, the first of which becomes the next byte. `false` at the
    /// end; the buffer then stays as it is.
    pub fn slide(&mut self, keep: usize) -> bool {
        if self.at_end {
            return false;
        }
        // All but the last read give more than a needle.
        let kept = keep.min(self.to.saturating_sub(FRONT));
        if let Some((front, read)) = self.buffer.split_at_mut_checked(FRONT) {
            let tail = self.to.saturating_sub(FRONT + kept);
            let tail = read.get(tail..tail + kept);
            if let (Some(room), Some(tail)) = (front.get_mut(FRONT - kept..), tail) {
                copy(room, tail);
            }
        }
        self.from = FRONT;
        self.at = self.at.max(FRONT);
        let end = self.origin.wrapping_add(self.to as u32);
        let len = self.read(end);
        if len > 0 {
            self.set_read(end, len);
            self.from = FRONT - kept;
            self.at = self.from;
        }
        len > 0
    }

    /// Makes `offset` the next byte, with half a buffer before it.
    pub fn look_back(&mut self, offset: u32) {
        self.load(offset.saturating_sub((self.buffer.len() / 2) as u32));
        self.seek(offset);
    }

    #[cold]
    fn refill(&mut self) -> Option<u8> {
        if self.at_end {
            return None;
        }
        self.load(self.offset());
        self.ahead().first().copied()
    }

    fn load(&mut self, offset: u32) {
        let len = self.read(offset);
        self.set_read(offset, len);
    }

    /// Notes that `len` bytes from `offset` on come after the front.
    fn set_read(&mut self, offset: u32, len: usize) {
        self.origin = offset.wrapping_sub(FRONT as u32);
        self.from = FRONT;
        self.at = FRONT;
        self.to = FRONT + len;
    }

    /// Reads into the buffer after its front. Returns how much was read: nothing after a fault.
    fn read(&mut self, offset: u32) -> usize {
        self.at_end = true;
        if self.fault.is_some() || offset >= READ_LIMIT {
            return 0;
        }
        let room = self.buffer.get_mut(FRONT..).unwrap_or(&mut []);
        match self.file.read_at(offset, room) {
            Ok(len) => {
                let len = len.min(room.len());
                let at_sector = (offset as usize + len) % SECTOR == 0;
                self.at_end = len == 0 || len < room.len() && !at_sector;
                len
            }
            Err(fault) => {
                self.fault = Some(fault);
                0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{InMemory, Random};

    fn window<'a>(bytes: &'a [u8], buffer: &'a mut [u8]) -> Window<'a, InMemory<'a>> {
        Window::new(InMemory { bytes, piece: usize::MAX }, buffer)
    }

    #[test]
    fn every_byte_comes_once_whatever_the_buffer() {
        let bytes: Vec<u8> = (0..=255).collect();
        for size in 1..20 {
            let mut buffer = vec![0; FRONT + size];
            let mut window = window(&bytes, &mut buffer);
            let mut seen = Vec::new();
            while let Some(byte) = window.peek() {
                assert_eq!(window.offset() as usize, seen.len());
                seen.push(byte);
                window.advance(1);
            }
            assert_eq!(seen, bytes);
            assert_eq!(window.peek(), None);
        }
    }

    #[test]
    fn seeking_and_gathering() {
        let bytes: Vec<u8> = (0..100).collect();
        let mut buffer = [0; FRONT + 10];
        let mut window = window(&bytes, &mut buffer);
        window.seek(95);
        assert_eq!(window.peek(), Some(95));
        window.seek(3);
        window.gather(10);
        assert_eq!(window.ahead(), &bytes[3..13]);
        window.advance(8);
        window.gather(5);
        assert_eq!(window.ahead(), &bytes[11..21]);
        assert!(window.slide(3));
        assert_eq!(window.ahead(), &bytes[18..31]);
        window.seek(200);
        assert_eq!(window.peek(), None);
    }

    #[test]
    fn slides_keep_the_last_bytes() {
        let bytes: Vec<u8> = (0..3000u32).map(|at| (at % 251) as u8).collect();
        let mut random = Random::new(11);
        for _ in 0..2000 {
            let bytes = &bytes[random.below(bytes.len())..];
            let mut buffer = vec![0; 2 * FRONT + random.below(2000)];
            let keep = random.below(39);
            let file = InMemory { bytes, piece: 39 + random.below(1000) };
            let mut window = Window::new(file, &mut buffer);
            let mut seen = Vec::new();
            while window.slide(keep) {
                let start = window.offset() as usize;
                assert_eq!(start, seen.len() - keep.min(seen.len()), "{keep} bytes are kept");
                seen.truncate(start);
                seen.extend_from_slice(window.ahead());
                window.advance(random.below(3000));
            }
            assert!(seen == bytes, "{} bytes of {}", seen.len(), bytes.len());
        }
    }

    #[test]
    fn a_record_in_what_was_kept_comes_out_of_one_read() {
        let bytes = [b' '; 3000];
        let mut buffer = [0; FRONT + 1000];
        let mut window = window(&bytes, &mut buffer);
        assert!(window.slide(20) && window.slide(20));
        window.advance(5);
        assert_eq!((window.offset(), window.ahead().len()), (985, 1015));
        window.gather(100);
        assert_eq!((window.offset(), window.ahead().len()), (985, 1000));
    }

    /// Offset and length of each read until `slide` gives no more, and what came.
    fn reads(len: usize, piece: usize) -> Vec<(u32, usize, usize)> {
        struct Watched<'a>(InMemory<'a>, &'a mut Vec<(u32, usize, usize)>);
        impl StateFile for Watched<'_> {
            fn read_at(&mut self, offset: u32, room: &mut [u8]) -> Result<usize, Fault> {
                let len = self.0.read_at(offset, room)?;
                self.1.push((offset, room.len(), len));
                Ok(len)
            }

            fn size(&mut self) -> u64 {
                0
            }
        }
        let (bytes, mut buffer, mut reads) = (vec![b' '; len], [0; LARGE_BUFFER], Vec::new());
        let file = Watched(InMemory { bytes: &bytes, piece }, &mut reads);
        let mut window = Window::new(file, &mut buffer);
        while window.slide(10) {}
        reads
    }

    #[test]
    fn the_end_is_read_once() {
        let all = usize::MAX;
        assert_eq!(reads(100, all), [(0, 16384, 100)]);
        assert_eq!(reads(0, all), [(0, 16384, 0)]);
        assert_eq!(reads(20_000, all), [(0, 16384, 16384), (16384, 16384, 3616)]);
        // After a read that ends at a multiple of a sector, there may be more.
        assert_eq!(reads(1024, all), [(0, 16384, 1024), (1024, 16384, 0)]);
        assert_eq!(reads(1100, 600), [(0, 16384, 1024), (1024, 16384, 76)]);
        assert_eq!(reads(16384, all), [(0, 16384, 16384), (16384, 16384, 0)]);
    }

    #[test]
    fn looking_back() {
        let bytes: Vec<u8> = (0..1000).map(|at| (at % 251) as u8).collect();
        let mut buffer = [0; FRONT + 200];
        let mut window = window(&bytes, &mut buffer);
        window.look_back(50);
        assert_eq!((window.offset(), window.behind().len()), (50, 50));
        window.look_back(500);
        assert_eq!(window.behind(), &bytes[368..500]);
        assert_eq!(window.ahead(), &bytes[500..568]);
    }

    #[test]
    fn a_fault_ends_the_file_and_is_kept() {
        struct Failing;
        impl StateFile for Failing {
            fn read_at(&mut self, offset: u32, room: &mut [u8]) -> Result<usize, Fault> {
                if offset > 0 {
                    return Err(Fault::Unreadable(5));
                }
                room.fill(b' ');
                Ok(room.len())
            }

            fn size(&mut self) -> u64 {
                0
            }
        }
        let mut buffer = [0; FRONT + 4];
        let mut window = Window::new(Failing, &mut buffer);
        window.peek();
        window.advance(4);
        assert_eq!(window.peek(), None);
        assert_eq!(window.fault(), Some(Fault::Unreadable(5)));
    }
}
