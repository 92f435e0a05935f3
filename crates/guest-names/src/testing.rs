//! Helpers of several unit tests.

use crate::io::{Fault, SECTOR, StateFile, System};
use crate::text::Text;

/// Pseudorandom numbers, the same in each run (xorshift).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    pub(crate) fn pick<'a, T>(&mut self, among: &'a [T]) -> &'a T {
        &among[self.below(among.len())]
    }
}

/// A system that leaks memory.
pub(crate) struct Leaking;

impl System for Leaking {
    fn slice<T: Copy>(&self, len: usize, fill: T) -> Option<&mut [T]> {
        Some(vec![fill; len].leak())
    }

    fn node_name(&self, name: &mut Text) {
        name.set(b"node");
    }
}

/// A file in memory, read in pieces of `piece` bytes, each extended to the next [`SECTOR`].
pub(crate) struct InMemory<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) piece: usize,
}

impl StateFile for InMemory<'_> {
    fn read_at(&mut self, offset: u32, room: &mut [u8]) -> Result<usize, Fault> {
        let offset = offset as usize;
        let rest = self.bytes.get(offset..).unwrap_or(&[]);
        let piece = offset.saturating_add(self.piece).checked_next_multiple_of(SECTOR);
        let piece = piece.map_or(usize::MAX, |end| end - offset);
        let len = rest.len().min(room.len()).min(piece);
        room[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn size(&mut self) -> u64 {
        self.bytes.len() as u64
    }
}
