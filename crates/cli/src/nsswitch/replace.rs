//! Replacing a file in one step, with everything that it has but its bytes.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, XattrFlags, fgetxattr, flock, fsetxattr, getxattr, listxattr};
use rustix::io::Errno;

use super::file::new_version;
use crate::error::Error;

/// The next step where something can't be written.
const AS_ROOT: &str = "run this as root (sudo), or with --dry-run to see the change; on a read-only \
                       system change its image";

/// The next step where a file system is mounted over the very file, as containers have it.
const MOUNTED: &str = "something is mounted over it; change the file that is mounted, outside of this \
                       container";

/// The file in which a new version grows, and with it the sole right to change the old one: nobody but
/// who may write there can hold it, and a run that was killed holds nothing.
pub(crate) struct Place {
    target: PathBuf,
    new: PathBuf,
    file: File,
    /// It has become the target, or is on the way there.
    used: bool,
}

impl Place {
    /// Waits until no other run has it.
    ///
    /// # Errors
    /// Nothing can be written there.
    pub(crate) fn reserve(target: &Path) -> Result<Self, Error> {
        let new = new_version(target);
        let failed = |error| Error::file("write", &new, AS_ROOT)(error);
        loop {
            let mut options = OpenOptions::new();
            let file = options.write(true).create(true).truncate(false).mode(0o600).open(&new);
            let file = file.map_err(failed)?;
            flock(&file, FlockOperation::LockExclusive).map_err(|errno| failed(errno.into()))?;
            // Whoever had it has moved it into place, or removed it.
            let number = file.metadata().map_err(failed)?.ino();
            match fs::symlink_metadata(&new) {
                Ok(status) if status.ino() == number => {
                    return Ok(Self { target: target.to_owned(), new, file, used: false });
                }
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed(error));
                }
                _ => {}
            }
        }
    }

    /// Gives the target new content. Owner, mode, ACLs and SELinux label are those of `like`, which
    /// is the target as a rule. `read` is what the content was made from: where that has become another,
    /// nothing is changed.
    ///
    /// # Errors
    /// Nothing was changed.
    pub(crate) fn put(mut self, like: &Path, read: &[u8], content: &[u8]) -> Result<(), Error> {
        fill(&self.file, &self.new, like, content, false)?;
        let now = fs::read(like).map_err(Error::file("read", like, AS_ROOT))?;
        if now != read {
            return Err(Error::ChangedMeanwhile(like.to_owned()));
        }
        move_to(&self.new, &self.target)?;
        self.used = true;
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.used {
            // What can't be removed now, the next run takes for its own.
            let _ = fs::remove_file(&self.new);
        }
    }
}

/// Makes `copy` the same as `original` in everything, its time among it.
///
/// # Errors
/// `copy` is as it was.
pub(crate) fn copy(original: &Path, copy: &Path) -> Result<(), Error> {
    let content = fs::read(original).map_err(Error::file("read", original, AS_ROOT))?;
    let mut place = Place::reserve(copy)?;
    fill(&place.file, &place.new, original, &content, true)?;
    move_to(&place.new, copy)?;
    place.used = true;
    Ok(())
}

/// Writes `content` and takes over what `like` has.
fn fill(
    mut file: &File,
    path: &Path,
    like: &Path,
    content: &[u8],
    with_time: bool,
) -> Result<(), Error> {
    let read = |error| Error::file("read", like, AS_ROOT)(error);
    let write = |error| Error::file("write", path, AS_ROOT)(error);
    let status = fs::metadata(like).map_err(read)?;
    // A run that was killed may have left something.
    file.set_len(0).map_err(write)?;
    file.write_all(content).map_err(write)?;
    keep_owner(file, &status)
        .and_then(|()| copy_attributes(like, file))
        .and_then(|()| file.set_permissions(fs::Permissions::from_mode(status.mode() & 0o7777)))
        .map_err(Error::file(
            "keep owner, mode and label of",
            like,
            "run this as root (sudo), and see that the file system can keep them",
        ))?;
    if with_time {
        file.set_modified(status.modified().map_err(read)?).map_err(write)?;
    }
    file.sync_all().map_err(write)
}

fn keep_owner(file: &File, like: &Metadata) -> io::Result<()> {
    let own = file.metadata()?;
    if (own.uid(), own.gid()) == (like.uid(), like.gid()) {
        return Ok(());
    }
    fchown(file, Some(like.uid()), Some(like.gid()))
}

/// Extended attributes: ACLs and the SELinux label are among them.
fn copy_attributes(from: &Path, to: &File) -> io::Result<()> {
    let mut names = vec![0; 64 << 10];
    let length = match listxattr(from, names.as_mut_slice()) {
        // A file system without them has nothing to keep.
        Err(Errno::NOTSUP) => return Ok(()),
        length => length?,
    };
    for name in names[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0; 64 << 10];
        let length = getxattr(from, name, value.as_mut_slice())?;
        let value = &value[..length];
        match fsetxattr(to, name, value, XattrFlags::empty()) {
            // The kernel gave the new file the same label by itself, and nobody may set one.
            Err(Errno::PERM | Errno::ACCESS | Errno::NOTSUP) if has(to, name, value) => {}
            set => set?,
        }
    }
    Ok(())
}

fn has(file: &File, name: &[u8], value: &[u8]) -> bool {
    let mut own = vec![0; 64 << 10];
    let length = fgetxattr(file, name, own.as_mut_slice());
    length.is_ok_and(|length| own[..length] == *value)
}

/// Puts one file in the place of another, with all that it has.
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
    synced.map_err(Error::file("bring to the disk", directory, "check the disk"))
}

/// Removes a file, if it is there.
///
/// # Errors
/// It is still there.
pub(crate) fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::file("remove", path, AS_ROOT)(error))
        }
        _ => Ok(()),
    }
}
