//! Writes a snapshot, record by record: a constant database (<https://cr.yp.to/cdb/cdb.txt>).
//!
//! Records go straight to the file; only 8 bytes for each are kept in memory.

use std::io::{self, BufWriter, Seek, SeekFrom, Write};

use guest_names::snapshot::format::{
    ENTRY_MAX, Entry, FIRST_RECORD, META_KEY, Meta, RECORD_HEAD, hash,
};

use super::{INFO_KEY, Info};

/// The number of hash tables. The low 8 bits of a hash select one.
const TABLES: usize = 256;

/// The size of a slot, and of a table's position in the header: two numbers.
const PAIR: u32 = 8;

/// A snapshot that is being written.
pub struct Writer<W: Write + Seek> {
    out: BufWriter<W>,
    /// The position of the next byte.
    at: u32,
    /// For each hash table, hash and position of its records, in ascending order of the positions.
    tables: Vec<Vec<(u32, u32)>>,
    counts: Counts,
    /// A buffer for a record's data.
    data: Vec<u8>,
}

/// How much a snapshot holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// The number of names and addresses.
    pub keys: u32,
    /// The number of entries of all of them.
    pub entries: u32,
}

impl<W: Write + Seek> Writer<W> {
    /// Starts a snapshot at the beginning of `out`.
    ///
    /// # Errors
    /// `out` can't be written.
    pub fn new(out: W) -> io::Result<Self> {
        let mut out = BufWriter::with_capacity(64 << 10, out);
        out.write_all(&[0; FIRST_RECORD as usize])?;
        let mut writer = Self {
            out,
            at: FIRST_RECORD,
            tables: vec![Vec::new(); TABLES],
            counts: Counts::default(),
            data: Vec::new(),
        };
        // Its data is only known at the end.
        writer.add(META_KEY, &[0; Meta::SIZE])?;
        Ok(writer)
    }

    /// Adds the entries of a name or an address. Each key may be added only once.
    ///
    /// # Errors
    /// `out` can't be written; the file would be larger than 4 GiB.
    pub fn add_entries<'e>(
        &mut self,
        key: &[u8],
        entries: impl IntoIterator<Item = Entry<'e>>,
    ) -> io::Result<()> {
        let mut data = std::mem::take(&mut self.data);
        data.clear();
        let mut room = [0; ENTRY_MAX];
        for entry in entries {
            let length = entry.write(&mut room);
            data.extend_from_slice(&room[..length]);
            self.counts.entries += 1;
        }
        self.counts.keys += 1;
        let added = self.add(key, &data);
        self.data = data;
        added
    }

    /// Adds the record with information for display.
    ///
    /// # Errors
    /// As [`Writer::add_entries`].
    pub fn add_info(&mut self, info: &Info) -> io::Result<()> {
        self.add(INFO_KEY, &info.to_json()?)
    }

    /// What has been added so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Adds a record with any data. Each key may be added only once.
    ///
    /// # Errors
    /// As [`Writer::add_entries`].
    pub fn add(&mut self, key: &[u8], data: &[u8]) -> io::Result<()> {
        let at = self.at;
        let head = [number(key.len())?, number(data.len())?];
        self.at = end_of(at, RECORD_HEAD + key.len() + data.len())?;
        self.out.write_all(&pair(head))?;
        self.out.write_all(key)?;
        self.out.write_all(data)?;
        let hash = hash(key);
        self.tables[hash as usize % TABLES].push((hash, at));
        Ok(())
    }

    /// Writes the hash tables, then `meta` with the file's length in [`Meta::length`], then the header.
    ///
    /// # Errors
    /// As [`Writer::add_entries`].
    pub fn finish(mut self, meta: Meta) -> io::Result<()> {
        let mut header = Vec::with_capacity(FIRST_RECORD as usize);
        let mut slots = Vec::new();
        for records in &self.tables {
            fill(&mut slots, records);
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

/// Fills a table with two slots for each record. Each record is in the first free slot from the one that its hash selects.
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
