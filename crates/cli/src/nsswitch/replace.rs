//! Replacing a file in one step; its owner, mode, ACL and SELinux label stay.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags, XattrFlags, fgetxattr, flock, fsetxattr};
use rustix::io::Errno;

use super::file::new_version;
use crate::error::Error;

/// The next step if something can't be written.
const AS_ROOT: &str = "run this as root (sudo), or use --dry-run to see the change; on a read-only \
                       system, change its image";

/// The next step if the file itself is a mount point, as in containers.
const MOUNTED: &str = "it is a mount point; change the mounted file, outside of this container";

/// The next step if something else is where a file should be.
const NOT_A_FILE: &str = "find out what put it there ('ls -l'), remove it, and run this again";

/// How often another program may replace the new version before that is an error.
const TRIES: usize = 16;

/// How long another program may hold the lock before that is an error. Another run needs far less; below `--root`, somebody
/// else may hold it for ever.
const PATIENCE: Duration = Duration::from_secs(10);

/// An open regular file, and its status.
pub(crate) struct Original {
    path: PathBuf,
    file: File,
    status: Metadata,
}

impl Original {
    /// Opens a file without waiting for anyone: a FIFO, a device or a directory is an error.
    ///
    /// # Errors
    /// It can't be opened, or isn't a regular file.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32;
        let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
        let file = opened.map_err(Error::file("read", path, AS_ROOT))?;
        let status = file.metadata().map_err(Error::file("read", path, AS_ROOT))?;
        if !status.is_file() {
            return Err(not_a_file("read", path));
        }
        Ok(Self { path: path.to_owned(), file, status })
    }

    /// All of its bytes.
    ///
    /// # Errors
    /// It can't be read.
    pub(crate) fn read(&self) -> Result<Vec<u8>, Error> {
        let mut content = Vec::new();
        let read = (&self.file).read_to_end(&mut content);
        read.map_err(Error::file("read", &self.path, AS_ROOT))?;
        Ok(content)
    }
}

/// Reads a regular file; see [`Original::open`].
///
/// # Errors
/// It can't be opened or read, or isn't a regular file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    Original::open(path)?.read()
}

fn not_a_file(doing: &'static str, path: &Path) -> Error {
    Error::file(doing, path, NOT_A_FILE)(io::Error::other("not a regular file with a single name"))
}

/// The file that a new version is written to. It is locked, so only one run at a time changes the target; only those
/// who may write in that directory can hold the lock, and a killed run doesn't.
pub(crate) struct NewVersion {
    target: PathBuf,
    path: PathBuf,
    file: File,
    /// It has become the target.
    used: bool,
}

impl NewVersion {
    /// Waits until no other run holds it.
    ///
    /// # Errors
    /// It can't be written, or isn't a regular file: a link could lead out of the system below `--root`. Or it is still
    /// locked after [`PATIENCE`].
    pub(crate) fn reserve(target: &Path) -> Result<Self, Error> {
        let path = new_version(target);
        let failed = |error: io::Error| Error::file("write", &path, AS_ROOT)(error);
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32;
        for _ in 0..TRIES {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(false).mode(0o600).custom_flags(flags);
            let file = options.open(&path).map_err(|error| match Errno::from_io_error(&error) {
                // A symbolic link, a socket or a FIFO without a reader, a directory.
                Some(Errno::LOOP | Errno::NXIO | Errno::ISDIR) => not_a_file("write", &path),
                _ => failed(error),
            })?;
            lock(&path, &file)?;
            let own = file.metadata().map_err(failed)?;
            // A second name would be another file that is overwritten. None: its holder has moved it.
            if !own.is_file() || own.nlink() > 1 {
                return Err(not_a_file("write", &path));
            }
            // Whoever had it has moved it into place, or removed it.
            match fs::symlink_metadata(&path) {
                Ok(now) if (now.dev(), now.ino()) == (own.dev(), own.ino()) => {
                    return Ok(Self { target: target.to_owned(), path, file, used: false });
                }
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed(error));
                }
                _ => {}
            }
        }
        let next = "another program keeps replacing it: find out which, and run this again";
        Err(Error::file("write", &path, next)(Errno::BUSY.into()))
    }

    /// Gives the target new content. Owner, mode, ACL and SELinux label are those of `like`, usually the target itself.
    /// `read` is the content that the new one was made from: if the file has changed since, it stays as it is.
    ///
    /// # Errors
    /// Nothing was changed.
    pub(crate) fn put(mut self, like: &Path, read: &[u8], content: &[u8]) -> Result<(), Error> {
        self.fill(&Original::open(like)?, content, false)?;
        if Original::open(like)?.read()? != read {
            return Err(Error::ChangedMeanwhile(like.to_owned()));
        }
        move_to(&self.path, &self.target)?;
        self.used = true;
        Ok(())
    }

    /// Writes `content` and takes over what `like` has.
    fn fill(&self, like: &Original, content: &[u8], with_time: bool) -> Result<(), Error> {
        let mut file = &self.file;
        let write = |error| Error::file("write", &self.path, AS_ROOT)(error);
        // A run that was killed may have left something.
        file.set_len(0).map_err(write)?;
        file.write_all(content).map_err(write)?;
        keep_owner(file, &like.status)
            .and_then(|()| copy_attributes(&like.file, file))
            .and_then(|()| {
                file.set_permissions(fs::Permissions::from_mode(like.status.mode() & 0o7777))
            })
            .map_err(Error::file(
                "keep the owner, mode and label of",
                &like.path,
                "run this as root (sudo), on a file system that supports them",
            ))?;
        if with_time {
            let time = like.status.modified();
            let time = time.map_err(Error::file("read", &like.path, AS_ROOT))?;
            file.set_modified(time).map_err(write)?;
        }
        file.sync_all().map_err(write)
    }
}

impl Drop for NewVersion {
    fn drop(&mut self) {
        if !self.used {
            // If it can't be removed, the next run uses it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Waits for the lock on a file.
fn lock(path: &Path, file: &File) -> Result<(), Error> {
    let failed = |error: io::Error| Error::file("lock", path, AS_ROOT)(error);
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => {}
        done => return done.map_err(|errno| failed(errno.into())),
    }
    let (sender, receiver) = mpsc::channel();
    let waiting = file.try_clone().map_err(failed)?;
    // After an error it goes on waiting, until this process ends.
    thread::spawn(move || sender.send(flock(&waiting, FlockOperation::LockExclusive)));
    match receiver.recv_timeout(PATIENCE) {
        Ok(done) => done.map_err(|errno| failed(errno.into())),
        Err(_) => {
            let why = format!("another program has held its lock for {} s", PATIENCE.as_secs());
            let next = "find out which ('lslocks'), end it, and run this again";
            Err(Error::file("lock", path, next)(io::Error::other(why)))
        }
    }
}

/// Makes a new file, which everyone may read.
///
/// # Errors
/// It isn't there.
pub(crate) fn create(path: &Path, content: &[u8]) -> Result<(), Error> {
    let mut new = NewVersion::reserve(path)?;
    let mut file = &new.file;
    let written = file
        .set_len(0)
        .and_then(|()| file.write_all(content))
        .and_then(|()| file.set_permissions(fs::Permissions::from_mode(0o644)))
        .and_then(|()| file.sync_all());
    written.map_err(Error::file("write", &new.path, AS_ROOT))?;
    move_to(&new.path, path)?;
    new.used = true;
    Ok(())
}

/// Makes `copy` the same as `original`: content, owner, mode, ACL, SELinux label and time.
///
/// # Errors
/// `copy` is as it was.
pub(crate) fn copy(original: &Path, copy: &Path) -> Result<(), Error> {
    let original = Original::open(original)?;
    let content = original.read()?;
    let mut new = NewVersion::reserve(copy)?;
    new.fill(&original, &content, true)?;
    move_to(&new.path, copy)?;
    new.used = true;
    Ok(())
}

fn keep_owner(file: &File, like: &Metadata) -> io::Result<()> {
    let own = file.metadata()?;
    if (own.uid(), own.gid()) == (like.uid(), like.gid()) {
        return Ok(());
    }
    fchown(file, Some(like.uid()), Some(like.gid()))
}

/// The extended attributes that say who may use a file: its SELinux label and its ACL (selinux(8), acl(5)).
/// Others depend on the content or the file: IMA's and EVM's signatures would be wrong for new content, and
/// capabilities are for programs.
const ATTRIBUTES: [&str; 2] = ["security.selinux", "system.posix_acl_access"];

fn copy_attributes(from: &File, to: &File) -> io::Result<()> {
    for name in ATTRIBUTES {
        let Some(value) = attribute(from, name)? else { continue };
        match fsetxattr(to, name, &value, XattrFlags::empty()) {
            // The kernel has given the new file the same label, and won't let us set one.
            Err(Errno::PERM | Errno::ACCESS | Errno::NOTSUP)
                if attribute(to, name).is_ok_and(|own| own.as_ref() == Some(&value)) => {}
            set => set?,
        }
    }
    Ok(())
}

/// `None` if the file has none of that name, or the file system doesn't support them.
fn attribute(file: &File, name: &str) -> io::Result<Option<Vec<u8>>> {
    // The kernel's limit (xattr(7)).
    let mut value = vec![0; 64 << 10];
    match fgetxattr(file, name, value.as_mut_slice()) {
        Ok(length) => {
            value.truncate(length);
            Ok(Some(value))
        }
        Err(Errno::NODATA | Errno::NOTSUP) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// Renames a file over another one, and flushes that to the disk.
///
/// # Errors
/// Nothing was changed, or the disk didn't confirm it.
pub(crate) fn move_to(new: &Path, path: &Path) -> Result<(), Error> {
    fs::rename(new, path).map_err(|error| {
        let next = match error.kind() {
            io::ErrorKind::ResourceBusy => MOUNTED,
            _ => AS_ROOT,
        };
        Error::file("replace", path, next)(error)
    })?;
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(Error::file("flush", directory, "check the disk"))
}

/// Removes a file, if it is there.
///
/// # Errors
/// It couldn't be removed.
pub(crate) fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::file("remove", path, AS_ROOT)(error))
        }
        _ => Ok(()),
    }
}
