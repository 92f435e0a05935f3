//! The lock, which one helper at a time holds: a POSIX record lock on the first byte of `leaseshelper.pid`. libvirt's
//! helper takes the same lock, so both can run side by side. All `unsafe` code of the helper is here.
//!
//! The holder writes its process id into the file, and removes the file before it releases the lock. So a file may be
//! gone by the time it is locked: a lock counts only if the path still leads to the locked file.
//!
//! Any process that can open the file for reading can block the helpers with a read lock. So only root may open it.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::error::Error;

/// The lock, until it is dropped.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    // Closing it releases the lock.
    _file: File,
}

impl Lock {
    /// Takes the lock, waiting for it up to `patience`.
    ///
    /// # Errors
    /// [`Error::Locked`] if `patience` has passed, [`Error::NotAFile`] if the path is not a regular file,
    /// [`Error::HasOtherNames`] if it is a hard link, [`Error::File`] if the file can't be created or locked.
    pub fn take(path: &Path, patience: Duration) -> Result<Self, Error> {
        let mut file = match attempt(path, libc::F_SETLK)? {
            Some(file) => file,
            None => wait(path, patience)?,
        };
        // The process id is only informative: if there is no space for it, the lock works all the same.
        let _ = file
            .set_len(0)
            .and_then(|()| file.write_all(std::process::id().to_string().as_bytes()));
        Ok(Self { path: path.to_owned(), _file: file })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // If it can't be removed, the next helper locks the file that is there.
        let _ = fs::remove_file(&self.path);
    }
}

/// Waits in a thread, since `F_SETLKW` has no time limit. The lock belongs to the process, so it outlives the thread;
/// if time runs out, the thread ends with the process.
///
/// Polling would need no thread. But three hundred polling helpers would take the processors from the one that holds
/// the lock, and only the kernel's queue gives the lock to the one that has waited longest.
fn wait(path: &Path, patience: Duration) -> Result<File, Error> {
    let (sender, receiver) = mpsc::channel();
    let waited_for = path.to_owned();
    thread::Builder::new()
        .spawn(move || {
            let locked = loop {
                match attempt(&waited_for, libc::F_SETLKW) {
                    Ok(None) => {}
                    Ok(Some(file)) => break Ok(file),
                    Err(error) => break Err(error),
                }
            };
            // The receiver is gone if time has just run out.
            let _ = sender.send(locked);
        })
        .map_err(Error::file("wait for", path))?;
    receiver.recv_timeout(patience).unwrap_or_else(|_| {
        Err(Error::Locked { path: path.to_owned(), holder: holder(path), patience })
    })
}

/// Opens the file and locks it, by `F_SETLK` or `F_SETLKW`. None if another process holds the lock or has just removed
/// the file.
fn attempt(path: &Path, command: libc::c_int) -> Result<Option<File>, Error> {
    let file = open(path)?;
    let mut lock = first_byte();
    match fcntl(&file, command, &mut lock) {
        Err(error)
            if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES | libc::EINTR)) =>
        {
            return Ok(None);
        }
        done => done.map_err(Error::file("lock", path))?,
    }
    let locked = file.metadata().map_err(Error::file("lock", path))?;
    match fs::symlink_metadata(path) {
        Ok(found) if (found.dev(), found.ino()) == (locked.dev(), locked.ino()) => Ok(Some(file)),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::file("lock", path)(error)),
    }
}

/// The process that holds the lock, if there is one and it is in this process's PID namespace.
fn holder(path: &Path) -> Option<i32> {
    let mut lock = first_byte();
    fcntl(&open(path).ok()?, libc::F_GETLK, &mut lock).ok()?;
    (i32::from(lock.l_type) != libc::F_UNLCK && lock.l_pid > 0).then_some(lock.l_pid)
}

/// Opens the file and restricts it to root, as libvirt's helper creates it with mode 0644. Doesn't follow a link, or
/// wait for the other end of a FIFO.
fn open(path: &Path) -> Result<File, Error> {
    let opened = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path);
    let is_a_file = |metadata: &fs::Metadata| metadata.file_type().is_file();
    let file = match opened {
        Err(_) if fs::symlink_metadata(path).is_ok_and(|found| !is_a_file(&found)) => {
            return Err(Error::NotAFile(path.to_owned()));
        }
        opened => opened.map_err(Error::file("lock", path))?,
    };
    let metadata = file.metadata().map_err(Error::file("lock", path))?;
    if !is_a_file(&metadata) {
        return Err(Error::NotAFile(path.to_owned()));
    }
    if metadata.nlink() > 1 {
        return Err(Error::HasOtherNames(path.to_owned()));
    }
    if metadata.mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600)).map_err(Error::file("lock", path))?;
    }
    Ok(file)
}

fn first_byte() -> libc::flock {
    // SAFETY: flock is a C struct of integers, for which all zeros are valid.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as _;
    lock.l_whence = libc::SEEK_SET as _;
    lock.l_len = 1;
    lock
}

fn fcntl(file: &File, command: libc::c_int, lock: &mut libc::flock) -> io::Result<()> {
    // SAFETY: the descriptor is open for the call, and the lock commands read and write one flock there.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), command, std::ptr::from_mut(lock)) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
