//! The lock that one helper at a time holds: a POSIX record lock on the first byte of `leaseshelper.pid`, the
//! same that libvirt's helper takes, so the two may run side by side. All `unsafe` of the helper is here.
//!
//! Whoever has the lock writes its process id into the file, and removes the file before it lets go. So the
//! file that was locked may be gone by then: the lock counts only while the path still leads to it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::error::Error;

/// The lock, until it is dropped.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    // Held for its descriptor: closing it lets go.
    _file: File,
}

impl Lock {
    /// Takes the lock, waiting for it up to `patience`.
    ///
    /// # Errors
    /// [`Error::Locked`] when that time has passed, [`Error::File`] where the file can't be made or locked at
    /// all.
    pub fn take(path: &Path, patience: Duration) -> Result<Self, Error> {
        let failed = || Error::file("lock", path);
        let file = match attempt(path, Wait::No).map_err(failed())? {
            Some(file) => file,
            None => wait(path, patience)?.map_err(failed())?,
        };
        let lock = Self { path: path.to_owned(), _file: file };
        // The number is for people. Without room for it the lock is just as good.
        let _ = lock
            ._file
            .set_len(0)
            .and_then(|()| (&lock._file).write_all(std::process::id().to_string().as_bytes()));
        Ok(lock)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Where it can't be removed, the next helper locks the file that is there.
        let _ = fs::remove_file(&self.path);
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Wait {
    Yes,
    No,
}

/// Waits in a thread, as `F_SETLKW` knows no time limit. The lock is the process's, so it outlives the thread;
/// and where time runs out, the thread ends with the process.
fn wait(path: &Path, patience: Duration) -> Result<io::Result<File>, Error> {
    let (sender, receiver) = mpsc::channel();
    let waited_for = path.to_owned();
    thread::Builder::new()
        .spawn(move || {
            let locked = loop {
                match attempt(&waited_for, Wait::Yes) {
                    Ok(Some(file)) => break Ok(file),
                    Ok(None) => {}
                    Err(error) => break Err(error),
                }
            };
            // The receiver is gone when time ran out just now.
            let _ = sender.send(locked);
        })
        .map_err(Error::file("wait for", path))?;
    receiver.recv_timeout(patience).map_err(|_| Error::Locked {
        path: path.to_owned(),
        holder: holder(path),
        patience,
    })
}

/// Opens the file and locks it. None where another process has it or has just removed it.
fn attempt(path: &Path, wait: Wait) -> io::Result<Option<File>> {
    let file = open(path)?;
    let command = if wait == Wait::Yes { libc::F_SETLKW } else { libc::F_SETLK };
    let mut lock = first_byte();
    match fcntl(&file, command, &mut lock) {
        Err(error)
            if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES | libc::EINTR)) =>
        {
            return Ok(None);
        }
        done => done?,
    }
    let locked = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) if (there.dev(), there.ino()) == (locked.dev(), locked.ino()) => Ok(Some(file)),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The process that has the lock, where there is one and it is in this process's PID namespace.
fn holder(path: &Path) -> Option<i32> {
    let mut lock = first_byte();
    fcntl(&open(path).ok()?, libc::F_GETLK, &mut lock).ok()?;
    (i32::from(lock.l_type) != libc::F_UNLCK && lock.l_pid > 0).then_some(lock.l_pid)
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o644).open(path)
}

fn first_byte() -> libc::flock {
    // SAFETY: flock is a C struct of integers, for which all zeroes are a value.
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
