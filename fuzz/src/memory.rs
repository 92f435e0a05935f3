//! State files in memory.

use guest_names::snapshot::Opened;
use guest_names::snapshot::format::Stamp;
use guest_names::state::{Bridge, Kind, StateDir};
use guest_names::text::Text;
use guest_names::window::{Fault, SECTOR, StateFile};

/// How a directory gives out its files.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Most bytes of one read, which goes on to the next sector: a real one ends nowhere else
    /// ([`SECTOR`]).
    pub piece: usize,
    /// From the sector of this byte of any file on, reading fails.
    pub fault: Option<(u32, Fault)>,
    /// Every second time that a file is opened it has lost its second half, as where somebody
    /// rewrites it.
    pub changing: bool,
}

impl Manner {
    /// All at once, without a fault.
    pub const PLAIN: Self = Self { piece: usize::MAX, fault: None, changing: false };
}

/// A file's name and contents.
pub type NamedFile<'a> = (&'a [u8], &'a [u8]);

/// A directory that is listed in the order in which its files are given.
pub struct Directory<'a> {
    files: &'a [NamedFile<'a>],
    manner: Manner,
    listed: usize,
    opened: u64,
    snapshot: Option<Snapshot<'a>>,
}

/// A snapshot beside a directory.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot<'a> {
    /// The file.
    pub bytes: &'a [u8],
    /// When it was written, in seconds since the epoch.
    pub modified: i64,
    /// What the directory is like.
    pub state: Option<Stamp>,
}

impl<'a> Directory<'a> {
    /// A directory of these files.
    #[must_use]
    pub fn new(files: &'a [NamedFile<'a>], manner: Manner) -> Self {
        Self { files, manner, listed: 0, opened: 0, snapshot: None }
    }

    /// The same with a snapshot.
    #[must_use]
    pub fn with(self, snapshot: Snapshot<'a>) -> Self {
        Self { snapshot: Some(snapshot), ..self }
    }
}

impl<'a> StateDir for Directory<'a> {
    type File = File<'a>;

    fn rewind(&mut self) -> Result<(), Fault> {
        self.listed = 0;
        Ok(())
    }

    fn next_name(&mut self, name: &mut Text) -> Result<bool, Fault> {
        let Some((listed, _)) = self.files.get(self.listed) else { return Ok(false) };
        self.listed += 1;
        name.set(listed);
        Ok(true)
    }

    fn open(&mut self, bridge: &Bridge, kind: Kind) -> Result<File<'a>, Fault> {
        let wanted = [bridge.as_bytes(), kind.suffix()].concat();
        let Some(&(_, bytes)) = self.files.iter().find(|(name, _)| *name == wanted) else {
            return Err(Fault::Unreadable(libc::ENOENT));
        };
        self.opened += 1;
        let cut = self.manner.changing && self.opened % 2 == 0;
        let bytes = if cut { &bytes[..bytes.len() / 2] } else { bytes };
        Ok(File { bytes, manner: self.manner })
    }

    fn snapshot(&mut self) -> Option<Opened<File<'a>>> {
        let Snapshot { bytes, modified, state } = self.snapshot?;
        let length = u32::try_from(bytes.len()).ok()?;
        Some(Opened { file: File { bytes, manner: self.manner }, modified, length, state })
    }
}

/// One of its files.
pub struct File<'a> {
    bytes: &'a [u8],
    manner: Manner,
}

impl<'a> File<'a> {
    /// A file that is in no directory.
    #[must_use]
    pub fn new(bytes: &'a [u8], piece: usize) -> Self {
        Self { bytes, manner: Manner { piece, ..Manner::PLAIN } }
    }
}

impl StateFile for File<'_> {
    fn read_at(&mut self, offset: u32, room: &mut [u8]) -> Result<usize, Fault> {
        let offset = offset as usize;
        let mut rest = self.bytes.get(offset..).unwrap_or(&[]);
        if let Some((from, fault)) = self.manner.fault {
            let from = from as usize / SECTOR * SECTOR;
            if offset >= from {
                return Err(fault);
            }
            rest = &rest[..rest.len().min(from - offset)];
        }
        let piece = offset.saturating_add(self.manner.piece).checked_next_multiple_of(SECTOR);
        let piece = piece.map_or(usize::MAX, |end| end - offset);
        let len = rest.len().min(room.len()).min(piece);
        room[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn identity(&mut self) -> u64 {
        self.bytes.len() as u64 ^ self.bytes.as_ptr() as u64 | 1
    }
}
