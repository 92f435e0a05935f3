//! Reading a file of any length through one small piece of memory.

/// Why a state file, or the state directory, gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process is out of file descriptors or of memory: no look-up can be answered now.
    Exhausted,
    /// Missing, not readable, no regular file, an error of the disk: it costs this file alone. The
    /// value is the system's error number, 0 where there is none.
    Unreadable(i32),
}

/// An open state file.
pub trait StateFile {
    /// Reads from `offset` (bytes) into `room`, as far as there is something; 0 at the end.
    ///
    /// # Errors
    /// [`Fault`], as it is found.
    fn read_at(&mut self, offset: u32, room: &mut [u8]) -> Result<usize, Fault>;

    /// A number that is another one when the file has been replaced or rewritten.
    fn identity(&mut self) -> u64;
}

/// Readers stop here, as libvirt's own do (`VIR_NETWORK_DHCP_LEASE_FILE_SIZE_MAX`, 32 MiB).
pub const READ_LIMIT: u32 = 32 << 20;

/// A state file, seen through `buffer`.
///
/// A fault ends the file where it struck and is kept for [`Window::fault`].
pub struct Window<'b, F> {
    file: F,
    buffer: &'b mut [u8],
    /// Offset in the file of the buffer's first byte.
    start: u32,
    /// Bytes of the buffer that hold something.
    len: usize,
    /// The next byte, as an index into the buffer.
    at: usize,
    /// The file has nothing behind the buffer.
    at_end: bool,
    fault: Option<Fault>,
}

impl<'b, F: StateFile> Window<'b, F> {
    /// A window on the start of `file`. `buffer` is scratch of at least one byte.
    pub fn new(file: F, buffer: &'b mut [u8]) -> Self {
        Self { file, buffer, start: 0, len: 0, at: 0, at_end: false, fault: None }
    }

    /// What ended the file before its end, if anything did.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// See [`StateFile::identity`].
    pub fn identity(&mut self) -> u64 {
        self.file.identity()
    }

    /// The offset in the file of the next byte.
    #[inline]
    #[must_use]
    pub fn offset(&self) -> u32 {
        self.start.saturating_add(self.at as u32)
    }

    /// The bytes that are at hand from the next one on.
    #[inline]
    #[must_use]
    pub fn ahead(&self) -> &[u8] {
        self.buffer.get(self.at..self.len).unwrap_or(&[])
    }

    /// The bytes that are at hand before the next one.
    #[inline]
    #[must_use]
    pub fn behind(&self) -> &[u8] {
        self.buffer.get(..self.at.min(self.len)).unwrap_or(&[])
    }

    /// The next byte, or `None` at the end.
    #[inline(never)]
    pub fn peek(&mut self) -> Option<u8> {
        match self.ahead().first() {
            Some(&byte) => Some(byte),
            None => self.refill(),
        }
    }

    /// Passes over `count` bytes of [`Window::ahead`].
    #[inline]
    pub fn advance(&mut self, count: usize) {
        self.at = (self.at + count).min(self.len);
    }

    /// Makes the byte at `offset` the next one.
    pub fn seek(&mut self, offset: u32) {
        match offset.checked_sub(self.start) {
            Some(at) if at as usize <= self.len => self.at = at as usize,
            _ => self.load(offset),
        }
    }

    /// Sees to it that the next `count` bytes come out of one read, where the file has them and the
    /// buffer can hold them.
    pub fn gather(&mut self, count: usize) {
        let filled = self.len == self.buffer.len();
        if filled && self.at > 0 && self.ahead().len() < count {
            self.load(self.offset());
        }
    }

    /// Reads on behind the buffer, keeping its last `keep` bytes. `false` at the end, where the buffer
    /// stays as it is.
    pub fn slide(&mut self, keep: usize) -> bool {
        let end = self.start.saturating_add(self.len as u32);
        let short = self.len > 0 && self.len < self.buffer.len();
        if self.at_end || (short && self.is_end(end)) {
            return false;
        }
        let kept = keep.min(self.len);
        self.load(end.saturating_sub(kept as u32));
        self.len > kept
    }

    /// Whether there is nothing at `offset`, without a loss where that is so.
    fn is_end(&mut self, offset: u32) -> bool {
        self.at_end = offset >= READ_LIMIT || self.read(offset) == 0;
        self.at_end
    }

    /// Moves the buffer so that `offset`, which is made the next byte, has half a buffer behind it.
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
        self.start = offset;
        self.at = 0;
        self.len = if offset < READ_LIMIT { self.read(offset) } else { 0 };
        self.at_end = self.len == 0;
    }

    /// How much was read; nothing behind a fault.
    fn read(&mut self, offset: u32) -> usize {
        if self.fault.is_some() {
            return 0;
        }
        match self.file.read_at(offset, self.buffer) {
            Ok(len) => len.min(self.buffer.len()),
            Err(fault) => {
                self.fault = Some(fault);
                0
            }
        }
    }
}

/// Test double: a file in memory, given out in pieces of at most `piece` bytes.
#[cfg(test)]
pub(crate) struct InMemory<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) piece: usize,
}

#[cfg(test)]
impl StateFile for InMemory<'_> {
    fn read_at(&mut self, offset: u32, room: &mut [u8]) -> Result<usize, Fault> {
        let rest = self.bytes.get(offset as usize..).unwrap_or(&[]);
        let len = rest.len().min(room.len()).min(self.piece);
        room[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn identity(&mut self) -> u64 {
        self.bytes.as_ptr() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window<'a>(bytes: &'a [u8], buffer: &'a mut [u8]) -> Window<'a, InMemory<'a>> {
        Window::new(InMemory { bytes, piece: usize::MAX }, buffer)
    }

    #[test]
    fn every_byte_comes_once_whatever_the_buffer() {
        let bytes: Vec<u8> = (0..=255).collect();
        for size in 1..20 {
            let mut buffer = vec![0; size];
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
        let mut buffer = [0; 10];
        let mut window = window(&bytes, &mut buffer);
        window.seek(95);
        assert_eq!(window.peek(), Some(95));
        window.seek(3);
        window.gather(10);
        assert_eq!(window.ahead(), &bytes[3..13]);
        window.advance(8);
        window.gather(5);
        assert_eq!(window.ahead(), &bytes[11..21]);
        assert!(window.slide(4));
        assert_eq!(window.ahead(), &bytes[17..27]);
        window.seek(200);
        assert_eq!(window.peek(), None);
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

            fn identity(&mut self) -> u64 {
                0
            }
        }
        let mut buffer = [0; 4];
        let mut window = Window::new(Failing, &mut buffer);
        window.peek();
        window.advance(4);
        assert_eq!(window.peek(), None);
        assert_eq!(window.fault(), Some(Fault::Unreadable(5)));
    }
}
