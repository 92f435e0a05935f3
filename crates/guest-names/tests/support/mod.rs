//! A state directory in memory, and numbers that look random.

#![allow(dead_code, reason = "each test uses a part of it")]

use guest_names::snapshot::Opened;
use guest_names::snapshot::format::Stamp;
use guest_names::state::{Bridge, Kind, StateDir};
use guest_names::text::Text;
use guest_names::window::{Fault, StateFile};

pub(crate) mod cdb;
pub(crate) mod model;
#[path = "../../src/testing.rs"]
mod testing;

pub(crate) use testing::Random;

/// Files by name, in the order of a listing.
#[derive(Default)]
pub(crate) struct Directory {
    files: Vec<(String, Vec<u8>)>,
    next: usize,
    listings: usize,
    change: Option<(usize, String, Vec<u8>)>,
    snapshot: Option<Snapshot>,
}

/// A snapshot, as the system gives it.
#[derive(Clone)]
pub(crate) struct Snapshot {
    pub(crate) bytes: Vec<u8>,
    pub(crate) modified: i64,
    pub(crate) state: Option<Stamp>,
}

impl Directory {
    /// Adds a file, or replaces one.
    pub(crate) fn add(&mut self, name: String, content: &str) {
        self.files.retain(|(other, _)| *other != name);
        self.files.push((name, content.as_bytes().to_vec()));
    }

    /// Puts a snapshot beside it.
    pub(crate) fn set_snapshot(&mut self, snapshot: Option<Snapshot>) {
        self.snapshot = snapshot;
    }

    /// Replaces a file when the directory has been listed so many times.
    pub(crate) fn replace_after_listings(&mut self, listings: usize, name: &str, content: &str) {
        self.change = Some((listings, name.to_owned(), content.as_bytes().to_vec()));
    }
}

impl std::fmt::Display for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.files.iter().try_for_each(|(name, content)| {
            writeln!(f, "--- {name}\n{}", String::from_utf8_lossy(content))
        })
    }
}

pub(crate) struct File(Vec<u8>);

impl StateFile for File {
    fn read_at(&mut self, offset: u32, room: &mut [u8]) -> Result<usize, Fault> {
        let rest = self.0.get(offset as usize..).unwrap_or(&[]);
        let len = rest.len().min(room.len());
        room[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn identity(&mut self) -> u64 {
        self.0.len() as u64 + 1
    }
}

impl StateDir for Directory {
    type File = File;

    fn rewind(&mut self) -> Result<(), Fault> {
        if let Some((after, name, content)) = self.change.take() {
            if self.listings == after {
                self.add(name, std::str::from_utf8(&content).unwrap());
            } else {
                self.change = Some((after, name, content));
            }
        }
        self.listings += 1;
        self.next = 0;
        Ok(())
    }

    fn next_name(&mut self, name: &mut Text) -> Result<bool, Fault> {
        let Some((next, _)) = self.files.get(self.next) else { return Ok(false) };
        name.set(next.as_bytes());
        self.next += 1;
        Ok(true)
    }

    fn open(&mut self, bridge: &Bridge, kind: Kind) -> Result<File, Fault> {
        let name = [bridge.as_bytes(), kind.suffix()].concat();
        let file = self.files.iter().find(|(other, _)| other.as_bytes() == name);
        file.map(|(_, content)| File(content.clone())).ok_or(Fault::Unreadable(2))
    }

    fn snapshot(&mut self) -> Option<Opened<File>> {
        let Snapshot { bytes, modified, state } = self.snapshot.clone()?;
        let length = u32::try_from(bytes.len()).unwrap();
        Some(Opened { file: File(bytes), modified, length, state })
    }
}
