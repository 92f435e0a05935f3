//! A lock, so that only one daemon writes to a snapshot's directory.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// The lock's name in the snapshot's directory.
const NAME: &str = "libvirt-nssd.lock";

/// The lock, held until this is dropped. When a process ends, the kernel releases its locks.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Why the lock can't be taken.
#[derive(Debug)]
pub enum Error {
    /// Another daemon has it.
    Taken(PathBuf),
    /// The file can't be created.
    File(PathBuf, io::Error),
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken(path) => write!(
                f,
                "another libvirt-nssd writes to {}: stop that one, or give this one a directory of its \
                 own with --snapshot",
                path.parent().unwrap_or(path).display()
            ),
            Self::File(path, error) => write!(
                f,
                "cannot lock {}: {}; the directory must be there and this user's own",
                path.display(),
                guest_store::reason(error)
            ),
        }
    }
}

impl Lock {
    /// Takes the lock, without waiting for it.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn take(directory: &Path) -> Result<Self, Error> {
        let path = directory.join(NAME);
        let opened =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = opened.map_err(|error| Error::File(path.clone(), error))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _file: file }),
            Err(Errno::AGAIN) => Err(Error::Taken(path)),
            Err(errno) => Err(Error::File(path, errno.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::scratch::Scratch;

    #[test]
    fn one_at_a_time() {
        let directory = Scratch::new();
        let lock = Lock::take(directory.path()).unwrap();
        assert!(matches!(Lock::take(directory.path()), Err(Error::Taken(_))));
        drop(lock);
        assert!(Lock::take(directory.path()).is_ok());
        let nowhere = Lock::take(&directory.path().join("x")).unwrap_err().to_string();
        assert!(nowhere.contains("No such file or directory; the directory must"), "{nowhere}");
    }
}
