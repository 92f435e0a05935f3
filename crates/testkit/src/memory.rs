//! A state directory in memory, and the system that a look-up runs on.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use bumpalo::Bump;
use guest_names::bridge::Bridge;
use guest_names::io::{Fault, Kind, SECTOR, Stamp, StateDir, StateFile, System};
use guest_names::snapshot::Opened;
use guest_names::text::Text;

/// The error number of a file that isn't there (Linux).
const ENOENT: i32 = 2;

/// How a directory's files are read.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// The most bytes of one read, rounded up to whole sectors: a real read ends nowhere else ([`SECTOR`]).
    pub piece: usize,
    /// The call with this number fails, counting listing, opening and reading from 0. Reads
    /// of the snapshot don't count.
    pub fault: Option<(usize, Fault)>,
    /// Every second time that a file is opened, its second half is missing, as if it were being rewritten in place.
    pub changing: bool,
}

impl Manner {
    /// Everything at once, without faults.
    pub const PLAIN: Self = Self { piece: usize::MAX, fault: None, changing: false };
}

/// How one file was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Use {
    /// How often it was opened.
    pub opened: usize,
    /// How many bytes of it were read in total.
    pub bytes: usize,
}

/// How a directory was used, including all its clones.
#[derive(Debug, Default)]
struct Log {
    calls: Cell<usize>,
    files: RefCell<BTreeMap<Vec<u8>, Use>>,
}

/// A directory that lists its files in the order in which they were added. Clones share the contents.
#[derive(Clone, Debug)]
pub struct Directory {
    files: Vec<(Vec<u8>, Rc<[u8]>)>,
    /// How its files are read.
    pub manner: Manner,
    listed: usize,
    opened: usize,
    log: Rc<Log>,
}

impl Default for Directory {
    fn default() -> Self {
        Self {
            files: Vec::new(),
            manner: Manner::PLAIN,
            listed: 0,
            opened: 0,
            log: Rc::new(Log::default()),
        }
    }
}

impl Directory {
    /// A directory with these files.
    #[must_use]
    pub fn new(files: &[(&str, &str)]) -> Self {
        let mut directory = Self::default();
        files.iter().for_each(|(name, contents)| directory.add(name, contents));
        directory
    }

    /// Adds a file. It replaces one of the same name, and comes last.
    pub fn add(&mut self, name: impl AsRef<[u8]>, contents: impl AsRef<[u8]>) {
        let name = name.as_ref();
        self.files.retain(|(other, _)| other != name);
        self.files.push((name.to_vec(), contents.as_ref().into()));
    }

    /// The same files, read in another manner. Its uses are counted separately.
    #[must_use]
    pub fn with(&self, manner: Manner) -> Self {
        Self { files: self.files.clone(), manner, ..Self::default() }
    }

    /// The names and contents of the files.
    pub fn files(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.files.iter().map(|(name, contents)| (&name[..], &contents[..]))
    }

    /// How many calls have been made: see [`Manner::fault`].
    #[must_use]
    pub fn calls(&self) -> usize {
        self.log.calls.get()
    }

    /// How a file was read.
    #[must_use]
    pub fn use_of(&self, name: &str) -> Use {
        self.log.files.borrow().get(name.as_bytes()).copied().unwrap_or_default()
    }

    fn check(&self) -> Result<(), Fault> {
        check(&self.log, self.manner)
    }
}

/// Counts a call, and fails if it is the one that should.
fn check(log: &Log, manner: Manner) -> Result<(), Fault> {
    let call = log.calls.replace(log.calls.get() + 1);
    match manner.fault {
        Some((failing, fault)) if failing == call => Err(fault),
        _ => Ok(()),
    }
}

/// Formats all files, to print when a test fails.
impl fmt::Display for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.files.iter().try_for_each(|(name, contents)| {
            let [name, contents] = [&name[..], contents].map(String::from_utf8_lossy);
            writeln!(f, "--- {name}\n{contents}")
        })
    }
}

impl StateDir for Directory {
    type File = File;

    fn rewind(&mut self) -> Result<(), Fault> {
        self.check()?;
        self.listed = 0;
        Ok(())
    }

    fn next_name(&mut self, name: &mut Text) -> Result<bool, Fault> {
        self.check()?;
        let Some((listed, _)) = self.files.get(self.listed) else { return Ok(false) };
        self.listed += 1;
        name.set(listed);
        Ok(true)
    }

    fn open(&mut self, bridge: &Bridge, kind: Kind) -> Result<File, Fault> {
        self.check()?;
        let wanted = [bridge.as_bytes(), kind.suffix()].concat();
        let Some((name, bytes)) = self.files.iter().find(|(name, _)| *name == wanted) else {
            return Err(Fault::Unreadable(ENOENT));
        };
        self.log.files.borrow_mut().entry(name.clone()).or_default().opened += 1;
        self.opened += 1;
        let is_cut = self.manner.changing && self.opened % 2 == 0;
        let len = if is_cut { bytes.len() / 2 } else { bytes.len() };
        let (bytes, log) = (bytes.clone(), self.log.clone());
        Ok(File { bytes, len, manner: self.manner, log: Some((name.clone(), log)) })
    }
}

/// An open file.
#[derive(Clone, Debug)]
pub struct File {
    bytes: Rc<[u8]>,
    len: usize,
    manner: Manner,
    /// Its name, and where its use is recorded; `None` if it is in no directory.
    log: Option<(Vec<u8>, Rc<Log>)>,
}

impl File {
    /// A file that is in no directory.
    #[must_use]
    pub fn new(bytes: &[u8], piece: usize) -> Self {
        let manner = Manner { piece, ..Manner::PLAIN };
        Self { bytes: bytes.into(), len: bytes.len(), manner, log: None }
    }
}

impl StateFile for File {
    fn read_at(&mut self, offset: u32, room: &mut [u8]) -> Result<usize, Fault> {
        if let Some((_, log)) = &self.log {
            check(log, self.manner)?;
        }
        let offset = offset as usize;
        let rest = self.bytes.get(offset..self.len).unwrap_or(&[]);
        let piece = offset.saturating_add(self.manner.piece).checked_next_multiple_of(SECTOR);
        let piece = piece.map_or(usize::MAX, |end| end - offset);
        let len = rest.len().min(room.len()).min(piece);
        room[..len].copy_from_slice(&rest[..len]);
        if let Some((name, log)) = &self.log {
            log.files.borrow_mut().entry(name.clone()).or_default().bytes += len;
        }
        Ok(len)
    }

    fn size(&mut self) -> u64 {
        self.len as u64
    }
}

/// A snapshot file.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The file.
    pub bytes: Rc<[u8]>,
    /// When it was last written to or touched, in seconds since the epoch.
    pub modified: i64,
    /// The current version of the state directory.
    pub state: Option<Stamp>,
}

impl Snapshot {
    /// Opens it. A read returns at most `piece` bytes, as in [`Manner::piece`].
    ///
    /// # Panics
    /// It is larger than 4 GiB.
    #[must_use]
    pub fn open(&self, piece: usize) -> Opened<File> {
        let (modified, state) = (self.modified, self.state);
        let length = u32::try_from(self.bytes.len()).expect("a snapshot of less than 4 GiB");
        Opened { file: File::new(&self.bytes, piece), modified, length, state }
    }
}

/// A host with this node name and a limited amount of memory.
#[derive(Debug)]
pub struct Host {
    memory: Bump,
    node: String,
    /// How many slices of memory are left.
    slices: Cell<usize>,
    asked: Cell<usize>,
}

impl Host {
    /// A host with memory for this many slices.
    #[must_use]
    pub fn new(node: &str, slices: usize) -> Self {
        let (memory, node) = (Bump::new(), node.to_owned());
        Self { memory, node, slices: Cell::new(slices), asked: Cell::new(0) }
    }

    /// How many slices have been requested.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.asked.get()
    }
}

impl System for Host {
    fn slice<T: Copy>(&self, len: usize, fill: T) -> Option<&mut [T]> {
        self.asked.set(self.asked.get() + 1);
        self.slices.set(self.slices.get().checked_sub(1)?);
        self.memory.try_alloc_slice_fill_copy(len, fill).ok()
    }

    fn node_name(&self, name: &mut Text) {
        name.set(self.node.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn virbr0() -> Bridge {
        Bridge::new(b"virbr0").unwrap()
    }

    #[test]
    fn files_are_read_in_pieces_that_end_at_sectors() {
        let text = "x".repeat(2000);
        let plain = Directory::new(&[("virbr0.status", &text)]);
        let mut directory = plain.with(Manner { piece: 600, ..Manner::PLAIN });
        let mut file = directory.open(&virbr0(), Kind::Leases).unwrap();
        assert_eq!(file.size(), 2000);
        let mut room = [0; 4096];
        assert_eq!(file.read_at(0, &mut room), Ok(1024));
        assert_eq!(file.read_at(1000, &mut room), Ok(1000));
        assert_eq!(file.read_at(2000, &mut room), Ok(0));
        assert_eq!(directory.use_of("virbr0.status"), Use { opened: 1, bytes: 2024 });
        assert_eq!(plain.use_of("virbr0.status"), Use::default());
    }

    #[test]
    fn the_chosen_call_fails() {
        let plain = Directory::new(&[("virbr0.macs", "[]")]);
        let calls = |mut directory: Directory| {
            let mut name = Text::new();
            let listed = directory.rewind().and_then(|()| directory.next_name(&mut name));
            let file = directory.open(&virbr0(), Kind::Macs);
            let read = file.and_then(|mut file| file.read_at(0, &mut [0; 9]));
            (listed, read)
        };
        assert_eq!(calls(plain.with(Manner::PLAIN)), (Ok(true), Ok(2)));
        let fault = Fault::Unreadable(5);
        let failing = |call| Manner { fault: Some((call, fault)), ..Manner::PLAIN };
        assert_eq!(calls(plain.with(failing(1))), (Err(fault), Ok(2)));
        assert_eq!(calls(plain.with(failing(2))), (Ok(true), Err(fault)));
        assert_eq!(calls(plain.with(failing(3))), (Ok(true), Err(fault)));
        assert_eq!(calls(plain.with(failing(4))), (Ok(true), Ok(2)));
    }

    #[test]
    fn memory_runs_out_after_the_given_slices() {
        let host = Host::new("node", 1);
        assert_eq!(host.slice(3, 7u32), Some(&mut [7; 3][..]));
        assert_eq!(host.slice(1, 7u32), None);
        assert_eq!(host.asked(), 2);
    }
}
