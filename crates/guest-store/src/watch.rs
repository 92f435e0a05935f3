//! A watch (inotify(7)) on a directory that may be created, removed and created again.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;

/// What can make a directory come to exist, in one above it.
const ABOVE: WatchFlags = WatchFlags::CREATE.union(WatchFlags::MOVED_TO).union(WatchFlags::ATTRIB);

const ITSELF: WatchFlags =
    WatchFlags::DELETE_SELF.union(WatchFlags::MOVE_SELF).union(WatchFlags::ONLYDIR);

/// A watch on a directory; while it doesn't exist, on the nearest directory above it that does.
pub struct DirectoryWatch {
    directory: PathBuf,
    inside: WatchFlags,
    inotify: OwnedFd,
    /// The watch, and whether it is on the directory itself.
    armed: Option<(i32, bool)>,
}

impl DirectoryWatch {
    /// Nothing is watched yet. `inside` are the events to report in the directory, once it exists.
    ///
    /// # Errors
    /// There are too many watchers on the system.
    pub fn new(directory: &Path, inside: WatchFlags, flags: CreateFlags) -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | flags)?;
        Ok(Self { directory: std::path::absolute(directory)?, inside, inotify, armed: None })
    }

    /// The directory, from the root.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Watches the directory, or the nearest one above it that exists. Where it does that already, nothing
    /// changes.
    ///
    /// # Errors
    /// It can't be watched: there are too many watches on the system, or it may not be read.
    pub fn arm(&mut self) -> Result<(), Errno> {
        'again: loop {
            let mut below: Option<&Path> = None;
            for place in self.directory.ancestors() {
                let inside = if below.is_none() { self.inside } else { ABOVE };
                match inotify::add_watch(&self.inotify, place, ITSELF | inside) {
                    Ok(watch) => {
                        if let Some((old, _)) = self.armed.replace((watch, below.is_none())) {
                            if old != watch {
                                // It may be gone already, with what it watched.
                                let _ = inotify::remove_watch(&self.inotify, old);
                            }
                        }
                        // What happened between the two calls was not reported.
                        if below.is_some_and(Path::is_dir) {
                            continue 'again;
                        }
                        return Ok(());
                    }
                    Err(Errno::NOENT | Errno::NOTDIR) => below = Some(place),
                    Err(errno) => return Err(errno),
                }
            }
            return Err(Errno::NOENT);
        }
    }

    /// The watch is gone, with what it was on.
    pub fn disarm(&mut self) {
        self.armed = None;
    }

    /// Whether an event of this watch is one of those that count; of a watch that was taken back there may
    /// be events on the way.
    #[must_use]
    pub fn is_armed_by(&self, watch: i32) -> bool {
        self.armed.is_some_and(|(armed, _)| armed == watch)
    }

    /// Whether it is the directory itself that is watched.
    #[must_use]
    pub fn is_on_directory(&self) -> bool {
        self.armed.is_some_and(|(_, on_directory)| on_directory)
    }
}

impl AsFd for DirectoryWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}
