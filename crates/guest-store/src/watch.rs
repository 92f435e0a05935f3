//! Watches (inotify(7)) a directory that may be created, removed and created again.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;

/// Events in a parent directory that can mean that the directory now exists.
const ABOVE: WatchFlags = WatchFlags::CREATE.union(WatchFlags::MOVED_TO).union(WatchFlags::ATTRIB);

const ITSELF: WatchFlags =
    WatchFlags::DELETE_SELF.union(WatchFlags::MOVE_SELF).union(WatchFlags::ONLYDIR);

/// A watch on a directory or, while it doesn't exist, on the nearest parent that does.
pub struct DirectoryWatch {
    directory: PathBuf,
    inside: WatchFlags,
    inotify: OwnedFd,
    /// The watch, and whether it is on the directory itself.
    armed: Option<(i32, bool)>,
}

impl DirectoryWatch {
    /// Watches nothing yet. `inside` are the events to report in the directory, once it exists.
    ///
    /// # Errors
    /// There are too many inotify instances on the system.
    pub fn new(directory: &Path, inside: WatchFlags, flags: CreateFlags) -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | flags)?;
        Ok(Self { directory: std::path::absolute(directory)?, inside, inotify, armed: None })
    }

    /// The directory's absolute path.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Watches the directory, or the nearest parent that exists. Does nothing if that is watched already.
    ///
    /// # Errors
    /// It can't be watched: there are too many watches on the system, or it isn't readable.
    pub fn arm(&mut self) -> Result<(), Errno> {
        'again: loop {
            let mut below: Option<&Path> = None;
            for place in self.directory.ancestors() {
                let inside = if below.is_none() { self.inside } else { ABOVE };
                match inotify::add_watch(&self.inotify, place, ITSELF | inside) {
                    Ok(watch) => {
                        if let Some((old, _)) = self.armed.replace((watch, below.is_none())) {
                            if old != watch {
                                // The watch may already be gone, along with the directory that it watched.
                                let _ = inotify::remove_watch(&self.inotify, old);
                            }
                        }
                        // Changes between the two calls were not reported.
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

    /// Call this when the watch is gone, along with the directory that it was on.
    pub fn disarm(&mut self) {
        self.armed = None;
    }

    /// Whether the current watch caused an event. Events of an earlier watch may still arrive.
    #[must_use]
    pub fn is_armed_by(&self, watch: i32) -> bool {
        self.armed.is_some_and(|(armed, _)| armed == watch)
    }

    /// Whether the directory itself is watched.
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
