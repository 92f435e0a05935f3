//! Hearing of changes in the state directory: inotify(7).

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

/// A watch on the state directory; as long as that doesn't exist, on the place where it would come to
/// exist.
pub struct Watch {
    directory: PathBuf,
    inotify: OwnedFd,
    /// The watch, and whether it is on the directory itself.
    armed: Option<(i32, bool)>,
}

/// What changes the directory's time stamp or what its files say.
const INSIDE: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::ATTRIB);

/// In a directory above it, what can make it come to exist.
const ABOVE: WatchFlags = WatchFlags::CREATE.union(WatchFlags::MOVED_TO).union(WatchFlags::ATTRIB);

const ITSELF: WatchFlags =
    WatchFlags::DELETE_SELF.union(WatchFlags::MOVE_SELF).union(WatchFlags::ONLYDIR);

impl Watch {
    /// Nothing is watched yet.
    ///
    /// # Errors
    /// There are too many watchers on the system.
    pub fn new(directory: &Path) -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        Ok(Self { directory: std::path::absolute(directory)?, inotify, armed: None })
    }

    /// Takes what has happened. Whether any of it matters.
    ///
    /// # Errors
    /// The events can't be read, which has no cause but a broken kernel.
    pub fn take(&mut self) -> io::Result<bool> {
        let mut buffer = [const { MaybeUninit::uninit() }; 4096];
        let mut reader = Reader::new(&self.inotify, &mut buffer);
        let itself = ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::UNMOUNT;
        let gone = itself | ReadFlags::IGNORED;
        let (mut any, mut lost) = (false, false);
        loop {
            match reader.next() {
                Ok(event) => {
                    any = true;
                    // Of a watch that was taken back, there may be events on the way.
                    let own = self.armed.is_some_and(|(watch, _)| watch == event.wd());
                    lost |= own && event.events().intersects(gone);
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        if lost {
            self.armed = None;
        }
        Ok(any)
    }

    /// Watches the directory, or the nearest one above it that exists. Where it does that already, nothing
    /// changes.
    ///
    /// # Errors
    /// It can't be watched: there are too many watches on the system, or it may not be read.
    pub fn arm(&mut self) -> io::Result<()> {
        'again: loop {
            let mut below: Option<&Path> = None;
            for place in self.directory.ancestors() {
                let inside = if below.is_none() { INSIDE } else { ABOVE };
                match inotify::add_watch(&self.inotify, place, ITSELF | inside) {
                    Ok(watch) => {
                        if let Some((old, _)) = self.armed.replace((watch, below.is_none())) {
                            if old != watch {
                                // It may be gone already, with what it watched.
                                let _ = inotify::remove_watch(&self.inotify, old);
                            }
                        }
                        // Whatever came between the two calls was told to nobody.
                        if below.is_some_and(Path::is_dir) {
                            continue 'again;
                        }
                        return Ok(());
                    }
                    Err(Errno::NOENT | Errno::NOTDIR) => below = Some(place),
                    Err(errno) => return Err(errno.into()),
                }
            }
            return Err(Errno::NOENT.into());
        }
    }

    /// Whether it is the directory itself that is watched.
    #[must_use]
    pub fn is_on_directory(&self) -> bool {
        self.armed.is_some_and(|(_, on_directory)| on_directory)
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Directory;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use std::fs;

    fn told(watch: &mut Watch) -> bool {
        let mut any = false;
        loop {
            let mut fds = [PollFd::new(watch, PollFlags::IN)];
            // All that a system call of this thread causes is there when it returns.
            if poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 0 {
                return any;
            }
            any |= watch.take().unwrap();
            watch.arm().unwrap();
        }
    }

    /// Every way in which the directory's stamp or its leases can change is told.
    #[test]
    fn changes() {
        let place = Directory::new();
        let path = place.path().join("a/state");
        let mut watch = Watch::new(&path).unwrap();
        watch.arm().unwrap();
        assert!(!told(&mut watch));
        fs::create_dir(place.path().join("a")).unwrap();
        assert!(told(&mut watch) && !watch.is_on_directory());
        fs::create_dir(&path).unwrap();
        assert!(told(&mut watch) && watch.is_on_directory());
        fs::write(path.join("virbr0.status.new"), "[]").unwrap();
        assert!(told(&mut watch));
        fs::rename(path.join("virbr0.status.new"), path.join("virbr0.status")).unwrap();
        assert!(told(&mut watch));
        assert!(!told(&mut watch));
        fs::write(path.join("virbr0.status"), "[\n]").unwrap();
        assert!(told(&mut watch));
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(path.join("virbr0.status"), mode).unwrap();
        assert!(told(&mut watch));
        fs::remove_file(path.join("virbr0.status")).unwrap();
        assert!(told(&mut watch));
        fs::read_dir(&path).unwrap().for_each(drop);
        assert!(!told(&mut watch));
        fs::rename(&path, place.path().join("away")).unwrap();
        assert!(told(&mut watch) && !watch.is_on_directory());
        fs::create_dir(&path).unwrap();
        assert!(told(&mut watch) && watch.is_on_directory());
        fs::remove_dir_all(place.path().join("a")).unwrap();
        assert!(told(&mut watch) && !watch.is_on_directory());
        fs::create_dir_all(&path).unwrap();
        assert!(told(&mut watch) && watch.is_on_directory());
        fs::write(path.join("virbr0.macs"), "[]").unwrap();
        assert!(told(&mut watch));
    }
}
