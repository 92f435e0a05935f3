//! Whether the modules use a snapshot, by their own rules, and if not, why.

use std::fmt;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use guest_names::io::Stamp;
use guest_names::snapshot::Opened;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::{OpenFile, reason};

/// Why the modules ignore a snapshot.
#[derive(Debug)]
pub enum Refused {
    /// It doesn't exist.
    Absent,
    /// It can't be opened.
    Unreadable(io::Error),
    /// It is a symbolic link, which is never followed.
    Link,
    /// It is not a regular file.
    NotRegular,
    /// Users other than its owner may write to the file, or to its directory.
    Writable {
        /// The file or the directory.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Its owner is neither root nor the owner of its directory.
    Foreign {
        /// The file's owner.
        owner: u32,
        /// The directory's.
        directory: u32,
    },
    /// It has 4 GiB or more.
    TooLong(u64),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("it doesn't exist"),
            Self::Unreadable(error) => write!(f, "it can't be opened: {}", reason(error)),
            Self::Link => f.write_str("it is a symbolic link"),
            Self::NotRegular => f.write_str("it is not a regular file"),
            Self::Writable { path, mode } => {
                let path = path.display();
                write!(f, "{path} is writable by users other than its owner (mode {mode:04o})")
            }
            Self::Foreign { owner, directory } => write!(
                f,
                "its owner is user {owner}, but must be root or the owner of its directory (user {directory})"
            ),
            Self::TooLong(length) => write!(f, "it is too large: {length} bytes"),
        }
    }
}

/// Opens the snapshot at `path`, compiled from the state directory `state`.
///
/// # Errors
/// See [`Refused`].
pub fn open(path: &Path, state: &Path) -> Result<Opened<OpenFile>, Refused> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let home = fs::metadata(directory).map_err(unopened)?;
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(unopened)?;
    let status = file.metadata().map_err(Refused::Unreadable)?;
    check((path, &status), (directory, &home))?;
    // After opening: if the directory still has the snapshot's time stamp now, it had it then, too.
    let state = fs::metadata(state).ok().as_ref().map(stamp_of);
    opened(file, &status, state)
}

fn unopened(error: io::Error) -> Refused {
    match Errno::from_io_error(&error) {
        Some(Errno::NOENT | Errno::NOTDIR) => Refused::Absent,
        Some(Errno::LOOP) => Refused::Link,
        // A socket. Opening a FIFO succeeds, even without a writer.
        Some(Errno::NXIO) => Refused::NotRegular,
        _ => Refused::Unreadable(error),
    }
}

fn check(
    (path, status): (&Path, &Metadata),
    (directory, home): (&Path, &Metadata),
) -> Result<(), Refused> {
    if !status.is_file() {
        return Err(Refused::NotRegular);
    }
    for (path, status) in [(path, status), (directory, home)] {
        let mode = status.mode() & 0o7777;
        if mode & (Mode::WGRP | Mode::WOTH).bits() != 0 {
            return Err(Refused::Writable { path: path.to_owned(), mode });
        }
    }
    let (owner, directory) = (status.uid(), home.uid());
    // Anyone who can write there can answer for any name.
    if owner != 0 && owner != directory {
        return Err(Refused::Foreign { owner, directory });
    }
    Ok(())
}

fn opened(
    file: File,
    status: &Metadata,
    state: Option<Stamp>,
) -> Result<Opened<OpenFile>, Refused> {
    let length = u32::try_from(status.len()).map_err(|_| Refused::TooLong(status.len()))?;
    Ok(Opened { file: OpenFile(file), modified: status.mtime(), length, state })
}

/// What distinguishes two states of a directory.
#[must_use]
pub fn stamp_of(status: &Metadata) -> Stamp {
    Stamp {
        seconds: status.mtime(),
        nanoseconds: status.mtime_nsec() as u32,
        device: status.dev(),
        inode: status.ino(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
    use testkit::scratch::Scratch;

    fn refused(scratch: &Scratch) -> Option<String> {
        open(&scratch.join("run/names.cdb"), &scratch.join("state")).err().map(|refused| {
            let text = refused.to_string();
            text.replace(&scratch.join("").display().to_string(), "")
        })
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn which_snapshots_are_trusted() {
        let scratch = Scratch::new();
        let (file, home) = (scratch.join("run/names.cdb"), scratch.join("run"));
        assert_eq!(refused(&scratch).unwrap(), "it doesn't exist");
        fs::create_dir(&home).unwrap();
        set_mode(&home, 0o755);
        assert_eq!(refused(&scratch).unwrap(), "it doesn't exist");
        fs::write(&file, "x").unwrap();
        set_mode(&file, 0o644);
        assert_eq!(refused(&scratch), None);
        let may_write = |path, mode| {
            Some(format!("{path} is writable by users other than its owner (mode {mode})"))
        };
        set_mode(&file, 0o664);
        assert_eq!(refused(&scratch), may_write("run/names.cdb", "0664"));
        set_mode(&file, 0o600);
        assert_eq!(refused(&scratch), None);
        set_mode(&home, 0o1757);
        assert_eq!(refused(&scratch), may_write("run", "1757"));
        set_mode(&home, 0o700);
        assert_eq!(refused(&scratch), None);
        fs::rename(&file, scratch.join("run/other")).unwrap();
        symlink("other", &file).unwrap();
        assert_eq!(refused(&scratch).unwrap(), "it is a symbolic link");
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert_eq!(refused(&scratch).unwrap(), "it is not a regular file");
        fs::remove_dir(&file).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &file,
            rustix::fs::FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        assert_eq!(refused(&scratch).unwrap(), "it is not a regular file");
    }

    #[test]
    fn the_owner_must_be_root_or_the_directorys() {
        let scratch = Scratch::new();
        let (file, home) = (scratch.join("run/names.cdb"), scratch.join("run"));
        fs::create_dir(&home).unwrap();
        set_mode(&home, 0o755);
        fs::write(&file, "x").unwrap();
        set_mode(&file, 0o644);
        // Only root can give files away.
        if chown(&file, Some(4321), None).is_err() {
            eprintln!("skipped: other owners: needs root");
            assert!(std::env::var("CI").as_deref() != Ok("true"), "skipped");
            return;
        }
        let foreign =
            "its owner is user 4321, but must be root or the owner of its directory (user 0)";
        assert_eq!(refused(&scratch).unwrap(), foreign);
        chown(&home, Some(4321), None).unwrap();
        assert_eq!(refused(&scratch), None);
        chown(&file, Some(0), None).unwrap();
        assert_eq!(refused(&scratch), None);
        chown(&file, Some(4322), None).unwrap();
        assert!(refused(&scratch).unwrap().contains("user 4322"));
    }

    #[test]
    fn an_opened_snapshot_has_length_and_time_stamps() {
        let scratch = Scratch::new();
        fs::create_dir(scratch.join("run")).unwrap();
        set_mode(&scratch.join("run"), 0o755);
        let file = scratch.join("run/names.cdb");
        fs::write(&file, "four").unwrap();
        set_mode(&file, 0o644);
        let without = open(&file, &scratch.join("state")).unwrap();
        assert_eq!((without.length, without.state), (4, None));
        fs::create_dir(scratch.join("state")).unwrap();
        let with = open(&file, &scratch.join("state")).unwrap();
        let status = fs::metadata(scratch.join("state")).unwrap();
        assert_eq!(with.state, Some(stamp_of(&status)));
        assert_eq!(with.modified, fs::metadata(&file).unwrap().mtime());
    }
}
