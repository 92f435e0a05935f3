//! Finding a record in a constant database, and reading it, from a file that may hold anything.

use super::format::{Entry, FIRST_RECORD, Meta, RECORD_HEAD, array, hash};
use super::key::{Key, kind_of};
use super::standing::{Opened, Standing};
use crate::io::StateFile;
use crate::name::NameKind;
use crate::text::copy;

/// Bytes of a record that are read first: most are shorter.
const GLIMPSE: usize = 1024;

/// Slots of a hash table that are read at once. The tables are half empty, but names that count up (`vm-1`, `vm-2`) form
/// long chains.
const SLOTS_AT_ONCE: u32 = 64;

/// The file doesn't have the right format, or can't be read. Entries that were read before don't count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged;

/// The file, read into the buffer.
struct Reader<'r, F> {
    opened: &'r mut Opened<F>,
    buffer: &'r mut [u8],
    /// What the buffer contains: where it begins in the file, and how many bytes.
    offset: u32,
    filled: usize,
    /// How many bytes to read at least, if the file has as many.
    ahead: usize,
}

/// The position of a record's data in the file.
#[derive(Clone, Copy)]
struct Data {
    start: u32,
    end: u32,
}

/// The entries of one record, one after the other.
pub struct Entries<'r, F> {
    reader: Reader<'r, F>,
    /// How much of the snapshot counts.
    pub standing: Standing,
    /// The remaining ones.
    data: Data,
}

/// The names of one kind, one after the other.
pub struct NameCursor<'r, F> {
    entries: Entries<'r, F>,
    kind: u8,
    /// The position of the next record, and the end of all records.
    next: u32,
    end: u32,
}

impl<F: StateFile> Opened<F> {
    /// The entries under `key`, in the order of the file. `buffer` is memory to read into: 3 KiB are enough.
    ///
    /// # Errors
    /// The snapshot is damaged.
    pub fn find<'o>(
        &'o mut self,
        key: &Key,
        now: i64,
        buffer: &'o mut [u8],
    ) -> Result<Entries<'o, F>, Damaged> {
        find(self, buffer, key.as_bytes(), now)
    }

    /// All names of a kind, with their entries.
    ///
    /// # Errors
    /// The snapshot is damaged.
    pub fn names<'o>(
        &'o mut self,
        kind: NameKind,
        now: i64,
        buffer: &'o mut [u8],
    ) -> Result<NameCursor<'o, F>, Damaged> {
        names(self, buffer, kind_of(kind), now)
    }

    /// The data of a record that isn't a name's or an address's; the inner `None`: there is no such record. `buffer`
    /// must have room for all of it.
    ///
    /// # Errors
    /// The snapshot is damaged, or the record is larger than `buffer`.
    pub fn data<'o>(
        &mut self,
        key: &[u8],
        now: i64,
        buffer: &'o mut [u8],
    ) -> Result<(Standing, Option<&'o [u8]>), Damaged> {
        let mut reader =
            Reader { opened: self, buffer: &mut *buffer, offset: 0, filled: 0, ahead: 0 };
        let standing = reader.standing(now)?;
        let Some(Data { start, end }) = reader.search(key).ok_or(Damaged)? else {
            return Ok((standing, None));
        };
        let length = end.saturating_sub(start) as usize;
        reader.ahead = 0;
        reader.fill(start, length);
        let is_whole = reader.filled == length;
        let data = buffer.get(..length).filter(|_| is_whole).ok_or(Damaged)?;
        Ok((standing, Some(data)))
    }
}

/// Finds the entries under a key.
fn find<'r, F: StateFile>(
    opened: &'r mut Opened<F>,
    buffer: &'r mut [u8],
    key: &[u8],
    now: i64,
) -> Result<Entries<'r, F>, Damaged> {
    let mut reader = Reader { opened, buffer, offset: 0, filled: 0, ahead: 0 };
    let standing = reader.standing(now)?;
    let data = reader.search(key).ok_or(Damaged)?;
    reader.ahead = reader.buffer.len();
    Ok(Entries { reader, standing, data: data.unwrap_or(Data { start: 0, end: 0 }) })
}

/// Goes through all names.
fn names<'r, F: StateFile>(
    opened: &'r mut Opened<F>,
    buffer: &'r mut [u8],
    kind: u8,
    now: i64,
) -> Result<NameCursor<'r, F>, Damaged> {
    let ahead = buffer.len();
    let mut reader = Reader { opened, buffer, offset: 0, filled: 0, ahead };
    let standing = reader.standing(now)?;
    // The first table comes after the last record.
    let (end, _) = reader.pair(0).ok_or(Damaged)?;
    let entries = Entries { reader, standing, data: Data { start: 0, end: 0 } };
    Ok(NameCursor { entries, kind, next: FIRST_RECORD, end })
}

impl<F: StateFile> Reader<'_, F> {
    /// Reads the header and the first record. Returns how much of the snapshot counts.
    fn standing(&mut self, now: i64) -> Result<Standing, Damaged> {
        let start = self.bytes(0, Meta::END).and_then(|bytes| bytes.get(Meta::START..));
        let meta = start.and_then(Meta::parse).ok_or(Damaged)?;
        // A file that has been cut short doesn't count.
        let is_whole = meta.length == self.opened.length;
        if is_whole { Ok(Standing::of(&meta, self.opened, now)) } else { Err(Damaged) }
    }

    /// The data under `key`. The inner `None`: there is none; the outer: the snapshot is damaged.
    ///
    /// A chain of slots is followed to its end, however many keys with the same hash are in it. Guests can choose such names,
    /// and must not hide each other that way.
    fn search(&mut self, key: &[u8]) -> Option<Option<Data>> {
        let hash = hash(key);
        let (table, slots) = self.pair((hash & 0xff) * 8)?;
        self.ahead = GLIMPSE;
        let mut slot = (hash >> 8).checked_rem(slots).unwrap_or(0);
        let mut passed = 0;
        while passed < slots {
            let count = SLOTS_AT_ONCE.min(slots - slot).min(slots - passed);
            let at = table.checked_add(slot.checked_mul(8)?)?;
            // A copy, as records are read into the buffer.
            let mut pairs = [0; SLOTS_AT_ONCE as usize * 8];
            copy(&mut pairs, self.bytes(at, count as usize * 8)?);
            for pair in pairs.chunks_exact(8).take(count as usize) {
                let (slot_hash, record) = two_numbers(pair)?;
                if record == 0 {
                    return Some(None);
                }
                if slot_hash == hash {
                    let (found, data) = self.record(record)?;
                    if found == Some(key) {
                        return Some(Some(data));
                    }
                }
            }
            passed += count;
            slot = if slot + count == slots { 0 } else { slot + count };
        }
        Some(None)
    }

    /// The key and the data of the record at `offset`. No key: it is longer than any key that is looked up.
    fn record(&mut self, offset: u32) -> Option<(Option<&[u8]>, Data)> {
        let (key, data) = self.pair(offset)?;
        let key_at = offset.checked_add(RECORD_HEAD as u32)?;
        let start = key_at.checked_add(key)?;
        let end = start.checked_add(data)?;
        if end > self.opened.length {
            return None;
        }
        let is_long = key as usize > GLIMPSE / 2;
        let key = if is_long { None } else { Some(self.bytes(key_at, key as usize)?) };
        Some((key, Data { start, end }))
    }

    /// Two 32-bit numbers, the unit that cdb consists of.
    fn pair(&mut self, offset: u32) -> Option<(u32, u32)> {
        two_numbers(self.bytes(offset, 8)?)
    }

    /// `count` bytes from `offset` on; `None` if there are fewer, or if the buffer can't hold as many.
    fn bytes(&mut self, offset: u32, count: usize) -> Option<&[u8]> {
        let is_at_hand = |from: usize, filled: usize| from <= filled && count <= filled - from;
        let mut from = offset.wrapping_sub(self.offset) as usize;
        if offset < self.offset || !is_at_hand(from, self.filled) {
            self.fill(offset, count);
            from = 0;
        }
        self.buffer.get(..self.filled)?.get(from..)?.get(..count)
    }

    /// Reads `count` bytes, or more if `ahead` says so, to the start of the buffer, as far as the file has them.
    fn fill(&mut self, offset: u32, count: usize) {
        let rest = self.opened.length.saturating_sub(offset) as usize;
        let wanted = count.max(self.ahead).min(rest).min(self.buffer.len());
        self.offset = offset;
        self.filled = 0;
        while self.filled < wanted {
            let Some(room) = self.buffer.get_mut(self.filled..wanted) else { return };
            let at = offset.saturating_add(self.filled as u32);
            match self.opened.file.read_at(at, room) {
                Ok(len) if len > 0 => self.filled += len,
                _ => return,
            }
        }
    }
}

impl<F: StateFile> Entries<'_, F> {
    /// The next entry, and where it starts in the file. `None` at the end of the record.
    ///
    /// # Errors
    /// The snapshot is damaged.
    pub fn next_entry(&mut self) -> Result<Option<(u32, Entry<'_>)>, Damaged> {
        let Data { start, end } = self.data;
        if start >= end {
            return Ok(None);
        }
        let head = self.reader.bytes(start, 2).and_then(|bytes| array(bytes, 0)).ok_or(Damaged)?;
        let length = u16::from_le_bytes(head);
        self.data.start = start.saturating_add(length.into());
        if self.data.start > end {
            return Err(Damaged);
        }
        let bytes = self.reader.bytes(start, length.into()).ok_or(Damaged)?;
        let (entry, _) = Entry::parse(bytes).ok_or(Damaged)?;
        Ok(Some((start, entry)))
    }
}

impl<'r, F: StateFile> NameCursor<'r, F> {
    /// How much of the snapshot counts.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.entries.standing
    }

    /// The entries of the next name; its key goes to `key`. `None` at the end.
    ///
    /// # Errors
    /// The snapshot is damaged.
    pub fn next_name(&mut self, key: &mut Key) -> Result<Option<&mut Entries<'r, F>>, Damaged> {
        while self.next < self.end {
            let (found, data) = self.entries.reader.record(self.next).ok_or(Damaged)?;
            *key = Key::NONE;
            key.extend(found.unwrap_or(&[]));
            self.next = data.end;
            if key.as_bytes().first() == Some(&self.kind) {
                self.entries.data = data;
                return Ok(Some(&mut self.entries));
            }
        }
        Ok(None)
    }
}

fn two_numbers(bytes: &[u8]) -> Option<(u32, u32)> {
    let both = u64::from_le_bytes(array(bytes, 0)?);
    Some((both as u32, (both >> 32) as u32))
}
