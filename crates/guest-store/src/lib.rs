//! Access to libvirt's state directory and the daemon's snapshot with std, for the command, the daemon and tests. State files
//! are read with the look-up's own readers, so that everyone sees what the modules see.

pub mod config_file;
pub mod contents;
pub mod damage;
pub mod lookup;
pub mod paths;
pub mod publish_status;
mod records;
pub mod replace;
pub mod reverse;
pub mod snapshot;
pub mod states;
pub mod watch;

use std::fs::{self, File, Metadata, OpenOptions, ReadDir};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use guest_names::bridge::Bridge;
use guest_names::io::{Fault, StateFile};
use guest_names::io::{Kind, StateDir};
use guest_names::text::Text;
use rustix::fs::OFlags;
use rustix::io::Errno;

/// The state directory.
pub struct Directory {
    path: PathBuf,
    listing: Option<ReadDir>,
}

impl Directory {
    /// Opens nothing yet.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), listing: None }
    }
}

impl StateDir for Directory {
    type File = OpenFile;

    fn rewind(&mut self) -> Result<(), Fault> {
        self.listing = Some(fs::read_dir(&self.path).map_err(|error| fault(&error))?);
        Ok(())
    }

    fn next_name(&mut self, name: &mut Text) -> Result<bool, Fault> {
        match self.listing.as_mut().and_then(Iterator::next) {
            Some(Ok(entry)) => {
                name.set(entry.file_name().as_bytes());
                Ok(true)
            }
            Some(Err(error)) => Err(fault(&error)),
            None => Ok(false),
        }
    }

    fn open(&mut self, bridge: &Bridge, kind: Kind) -> Result<OpenFile, Fault> {
        let path = self.path.join(file_name(bridge.as_bytes(), kind));
        OpenFile::open(&path).map_err(|error| fault(&error))
    }
}

/// The name of a bridge's file.
#[must_use]
pub fn file_name(bridge: &[u8], kind: Kind) -> std::ffi::OsString {
    std::ffi::OsString::from_vec([bridge, kind.suffix()].concat())
}

/// An open state file.
#[derive(Debug)]
pub struct OpenFile(File);

impl OpenFile {
    /// Opens a regular file. Never waits for the other end of a FIFO.
    ///
    /// # Errors
    /// The system's error; ESPIPE if it isn't a regular file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::from(Errno::SPIPE));
        }
        Ok(Self(file))
    }

    /// Its current size in bytes.
    ///
    /// # Errors
    /// The system's error.
    pub fn size(&self) -> io::Result<u64> {
        Ok(self.status()?.len())
    }

    /// Its current status.
    ///
    /// # Errors
    /// The system's error.
    pub fn status(&self) -> io::Result<Metadata> {
        self.0.metadata()
    }
}

impl StateFile for OpenFile {
    fn read_at(&mut self, offset: u32, room: &mut [u8]) -> Result<usize, Fault> {
        loop {
            match self.0.read_at(room, u64::from(offset)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read.map_err(|error| fault(&error)),
            }
        }
    }

    fn size(&mut self) -> u64 {
        Self::size(self).unwrap_or(0)
    }
}

/// The fault that the modules would see: one that ends a look-up, or one that affects only this file.
#[must_use]
pub fn fault(error: &io::Error) -> Fault {
    match Errno::from_io_error(error) {
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM) => Fault::Exhausted,
        Some(errno) => Fault::Unreadable(errno.raw_os_error()),
        None => Fault::Unreadable(0),
    }
}

/// The system's message for a fault.
#[must_use]
pub fn fault_text(fault: Fault) -> String {
    match fault {
        Fault::Exhausted => "out of file descriptors or memory".into(),
        Fault::Unreadable(errno) if errno == Errno::SPIPE.raw_os_error() => {
            "not a regular file".into()
        }
        Fault::Unreadable(errno) => reason(&io::Error::from_raw_os_error(errno)),
    }
}

/// The system's message, without the error number.
#[must_use]
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((text, _)) => text.to_owned(),
        None => text,
    }
}
