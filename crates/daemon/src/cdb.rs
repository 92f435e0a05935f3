//! Writing a constant database (<https://cr.yp.to/cdb/cdb.txt>), record by record.
//!
//! The records go straight to the file. What stays in memory is 8 bytes for each of them.

use std::io::{self, BufWriter, Seek, SeekFrom, Write};

use guest_names::snapshot::format::{FIRST_RECORD, META_KEY, Meta, RECORD_HEAD, hash};

/// Tables, by the low 8 bits of a hash.
const TABLES: usize = 256;

/// Bytes of a slot, and of a table's place in the header: two numbers.
const PAIR: u32 = 8;

/// A snapshot that is being written.
pub struct Writer<W: Write + Seek> {
    out: BufWriter<W>,
    /// Where the next byte goes.
    at: u32,
    /// Hash and position of each record.
    index: Vec<(u32, u32)>,
}

impl<W: Write + Seek> Writer<W> {
    /// Begins at the start of `out`, and leaves room for what is known only at the end.
    ///
    /// # Errors
    /// As `out` has them.
    pub fn new(out: W) -> io::Result<Self> {
        let mut out = BufWriter::with_capacity(64 << 10, out);
        out.write_all(&[0; FIRST_RECORD as usize])?;
        let mut writer = Self { out, at: FIRST_RECORD, index: Vec::new() };
        writer.add(META_KEY, &[0; Meta::SIZE])?;
        Ok(writer)
    }

    /// Adds a record. A key is only added once.
    ///
    /// # Errors
    /// As `out` has them; the file would be larger than 4 GiB.
    pub fn add(&mut self, key: &[u8], data: &[u8]) -> io::Result<()> {
        let at = self.at;
        let head = [number(key.len())?, number(data.len())?];
        self.at = end_of(at, RECORD_HEAD + key.len() + data.len())?;
        self.out.write_all(&pair(head))?;
        self.out.write_all(key)?;
        self.out.write_all(data)?;
        self.index.push((hash(key), at));
        Ok(())
    }

    /// Writes the tables, then `meta` with its [`Meta::length`], then the header.
    ///
    /// # Errors
    /// As [`Writer::add`].
    pub fn finish(mut self, meta: Meta) -> io::Result<()> {
        self.index.sort_unstable_by_key(|&(hash, position)| (table_of(hash), position));
        let mut header = Vec::with_capacity(FIRST_RECORD as usize);
        let mut slots = Vec::new();
        let mut rest = self.index.as_slice();
        for table in 0..TABLES {
            let (own, others) =
                rest.split_at(rest.partition_point(|&(hash, _)| table_of(hash) == table));
            rest = others;
            fill(&mut slots, own);
            header.extend(pair([self.at, number(slots.len())?]));
            for &(hash, position) in &slots {
                self.out.write_all(&pair([hash, position]))?;
            }
            self.at = end_of(self.at, slots.len() * PAIR as usize)?;
        }
        let meta = Meta { length: self.at, ..meta };
        self.out.seek(SeekFrom::Start(Meta::START as u64))?;
        self.out.write_all(&meta.to_bytes())?;
        self.out.seek(SeekFrom::Start(0))?;
        self.out.write_all(&header)?;
        self.out.flush()
    }
}

fn table_of(hash: u32) -> usize {
    hash as usize % TABLES
}

/// A table with two slots for each record: each is in the first free one from where its hash points.
fn fill(slots: &mut Vec<(u32, u32)>, records: &[(u32, u32)]) {
    slots.clear();
    slots.resize(2 * records.len(), (0, 0));
    for &(hash, position) in records {
        let mut slot = (hash >> 8) as usize % slots.len();
        // No record is at position 0.
        while slots[slot].1 != 0 {
            slot = (slot + 1) % slots.len();
        }
        slots[slot] = (hash, position);
    }
}

fn pair([first, second]: [u32; 2]) -> [u8; PAIR as usize] {
    (u64::from(second) << 32 | u64::from(first)).to_le_bytes()
}

fn number(length: usize) -> io::Result<u32> {
    u32::try_from(length).map_err(|_| io::ErrorKind::FileTooLarge.into())
}

fn end_of(at: u32, length: usize) -> io::Result<u32> {
    at.checked_add(number(length)?).ok_or_else(|| io::ErrorKind::FileTooLarge.into())
}
