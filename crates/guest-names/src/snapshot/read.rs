//! Finding a record in a constant database, and reading it, through a file that may hold anything.

use super::format::{Entry, Meta, RECORD_HEAD, array, hash};
use super::{Opened, Standing, Take};
use crate::text::copy;
use crate::window::StateFile;

/// Bytes of a record that are read at first: most are shorter.
const GLIMPSE: usize = 1024;

/// Slots of a hash table that are read at once. The tables are half empty, but names that count up (`vm-1`,
/// `vm-2`) stand in long rows there.
const SLOTS_AT_ONCE: u32 = 64;

/// How many records are looked into for one key. Others have the same hash by chance, or because somebody
/// chose their names so; then the state files are quicker.
const PROBES: u32 = 64;

/// Reads one snapshot, for one look-up.
pub(super) struct Reader<'r, F> {
    pub(super) opened: &'r mut Opened<F>,
    pub(super) scratch: &'r mut [u8],
    /// Seconds since the epoch.
    pub(super) now: i64,
}

/// A piece of the file that has been read to the start of the scratch.
#[derive(Clone, Copy)]
pub(super) struct Piece {
    /// Where it stands in the file.
    pub(super) offset: u32,
    /// Bytes.
    pub(super) len: usize,
}

/// A record's place.
#[derive(Clone, Copy)]
pub(super) struct Record {
    /// Of its first entry.
    pub(super) start: u32,
    /// Behind its last.
    pub(super) end: u32,
}

impl<F: StateFile> Reader<'_, F> {
    /// Hands out the entries under `key`.
    #[inline(never)]
    pub(super) fn find(mut self, key: &[u8], take: &mut dyn Take) -> Option<Standing> {
        let standing = self.open()?;
        let hash = hash(key);
        // The header is at hand.
        let place = (hash & 0xff) as usize * 8;
        let (table, slots) = pair(self.scratch, place)?;
        let mut slot = (hash >> 8).checked_rem(slots).unwrap_or(0);
        let (mut passed, mut probes) = (0, 0);
        while passed < slots {
            let count = SLOTS_AT_ONCE.min(slots - slot).min(slots - passed);
            let at = table.checked_add(slot.checked_mul(8)?)?;
            // Kept apart, as the records are read over the scratch.
            let mut pairs = [0; SLOTS_AT_ONCE as usize * 8];
            copy(&mut pairs, self.read(at, count as usize * 8)?);
            for index in 0..count as usize {
                let (slot_hash, record) = pair(&pairs, index * 8)?;
                if record == 0 {
                    return Some(standing);
                }
                if slot_hash == hash {
                    probes += 1;
                    let piece = self.glimpse(record)?;
                    let (found, same) = self.record(piece, |found| found == key)?;
                    if same {
                        self.entries(found, piece, standing, take)?;
                        return Some(standing);
                    }
                }
            }
            if probes > PROBES {
                return None;
            }
            passed += count;
            slot = if slot + count == slots { 0 } else { slot + count };
        }
        Some(standing)
    }

    /// Reads the header and the first record, and says what of the snapshot counts.
    #[inline(never)]
    pub(super) fn open(&mut self) -> Option<Standing> {
        let meta = Meta::parse(self.read(0, Meta::END)?.get(Meta::START..)?)?;
        // Of a file that has been cut short nothing counts.
        let whole = meta.length == self.opened.length;
        whole.then(|| Standing::of(&meta, self.opened, self.now))
    }

    /// The start of the record at `offset`.
    pub(super) fn glimpse(&mut self, offset: u32) -> Option<Piece> {
        let rest = self.opened.length.checked_sub(offset)?;
        let len = self.read(offset, GLIMPSE.min(rest as usize))?.len();
        Some(Piece { offset, len })
    }

    /// The record that a piece begins with, and whether its key `is` the right one.
    pub(super) fn record(
        &self,
        piece: Piece,
        is: impl FnOnce(&[u8]) -> bool,
    ) -> Option<(Record, bool)> {
        let bytes = self.scratch.get(..piece.len)?;
        let (key, data) = pair(bytes, 0)?;
        let start = piece.offset.checked_add(RECORD_HEAD as u32)?.checked_add(key)?;
        let end = start.checked_add(data)?;
        if end > self.opened.length {
            return None;
        }
        // A key that is longer than the piece is none that anyone looks for.
        let key = bytes.get(RECORD_HEAD..).and_then(|bytes| bytes.get(..key as usize));
        Some((Record { start, end }, key.is_some_and(is)))
    }

    /// Hands out a record's entries, of which the first are in `piece`.
    #[inline(never)]
    pub(super) fn entries(
        &mut self,
        record: Record,
        piece: Piece,
        standing: Standing,
        take: &mut dyn Take,
    ) -> Option<()> {
        let Record { start: mut at, end } = record;
        let Piece { offset, mut len } = piece;
        let mut from = (at - offset) as usize;
        while at < end {
            let left = (end - at) as usize;
            let bytes = self.scratch.get(from..len).unwrap_or(&[]);
            if let Some((entry, size)) = Entry::parse(bytes.get(..left).unwrap_or(bytes)) {
                take.take(at, &entry, standing);
                at = at.checked_add(size as u32)?;
                from += size;
            } else if from > 0 {
                len = self.read(at, left.min(self.scratch.len()))?.len();
                from = 0;
            } else {
                return None;
            }
        }
        Some(())
    }

    /// Reads `count` bytes from `offset` on to the start of the scratch; `None` where there are not as
    /// many.
    #[inline(never)]
    fn read(&mut self, offset: u32, count: usize) -> Option<&[u8]> {
        let mut filled = 0;
        while filled < count {
            let room = self.scratch.get_mut(filled..count)?;
            let at = offset.checked_add(filled as u32)?;
            match self.opened.file.read_at(at, room) {
                Ok(len) if len > 0 => filled += len,
                _ => return None,
            }
        }
        self.scratch.get(..count)
    }
}

/// Two numbers of 32 bits, as cdb has them everywhere.
pub(super) fn pair(bytes: &[u8], at: usize) -> Option<(u32, u32)> {
    let both = u64::from_le_bytes(array(bytes, at)?);
    Some((both as u32, (both >> 32) as u32))
}
