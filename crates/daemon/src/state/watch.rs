//! Watches the state directory for changes, with inotify(7).

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use guest_names::io::Kind;
use guest_store::watch::DirectoryWatch;
use rustix::fs::inotify::{CreateFlags, Event, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

/// The events for changes of the directory's time stamp or of its files' contents.
const INSIDE: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::ATTRIB);

/// What has happened in the state directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DirectoryChange {
    /// A file is being written that isn't a state file yet: libvirt and the leases helper rename it when it is complete.
    Begun,
    /// Anything else.
    Made,
}

/// A watch on the state directory, which may be created and removed at any time.
pub struct Watch(DirectoryWatch);

impl Watch {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// There are too many inotify instances on the system.
    pub fn new(directory: &Path) -> io::Result<Self> {
        DirectoryWatch::new(directory, INSIDE, CreateFlags::NONBLOCK).map(Self)
    }

    /// Reads all events. Returns the most important change, if any.
    ///
    /// # Errors
    /// The events can't be read, which never happens on a working kernel.
    pub fn take(&mut self) -> io::Result<Option<DirectoryChange>> {
        let mut buffer = [const { MaybeUninit::uninit() }; 4096];
        let mut reader = Reader::new(&self.0, &mut buffer);
        let itself = ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::UNMOUNT;
        let gone = itself | ReadFlags::IGNORED;
        let (mut change, mut lost) = (None, false);
        loop {
            match reader.next() {
                Ok(event) => {
                    let armed = self.0.is_armed_by(event.wd());
                    lost |= armed && event.events().intersects(gone);
                    change = change.max(Some(if armed {
                        change_by(&event)
                    } else {
                        DirectoryChange::Made
                    }));
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        if lost {
            self.0.disarm();
        }
        Ok(change)
    }

    /// See [`DirectoryWatch::arm`].
    ///
    /// # Errors
    /// The same.
    pub fn arm(&mut self) -> io::Result<()> {
        Ok(self.0.arm()?)
    }

    /// See [`DirectoryWatch::is_on_directory`].
    #[must_use]
    pub fn is_on_directory(&self) -> bool {
        self.0.is_on_directory()
    }
}

fn change_by(event: &Event<'_>) -> DirectoryChange {
    let name = event.file_name().map_or(&b""[..], std::ffi::CStr::to_bytes);
    let is_state_file = [Kind::Leases, Kind::Macs].iter().any(|kind| name.ends_with(kind.suffix()));
    let written = ReadFlags::CREATE | ReadFlags::CLOSE_WRITE | ReadFlags::ATTRIB;
    match !name.is_empty() && !is_state_file && written.contains(event.events()) {
        true => DirectoryChange::Begun,
        false => DirectoryChange::Made,
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use std::fs;
    use testkit::scratch::Scratch;

    fn take_all(watch: &mut Watch) -> Option<DirectoryChange> {
        let mut change = None;
        loop {
            let mut fds = [PollFd::new(watch, PollFlags::IN)];
            // The events of this thread's system calls are there when the calls return.
            if poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 0 {
                return change;
            }
            change = change.max(watch.take().unwrap());
            watch.arm().unwrap();
        }
    }

    /// Every way in which the directory's stamp or its leases can change has an event.
    #[test]
    fn changes() {
        let place = Scratch::new();
        let path = place.path().join("a/state");
        let mut watch = Watch::new(&path).unwrap();
        watch.arm().unwrap();
        assert_eq!(take_all(&mut watch), None);
        fs::create_dir(place.path().join("a")).unwrap();
        assert!(take_all(&mut watch) == Some(DirectoryChange::Made) && !watch.is_on_directory());
        fs::create_dir(&path).unwrap();
        assert!(take_all(&mut watch) == Some(DirectoryChange::Made) && watch.is_on_directory());
        fs::write(path.join("virbr0.status.new"), "[]").unwrap();
        assert_eq!(take_all(&mut watch), Some(DirectoryChange::Begun));
        fs::rename(path.join("virbr0.status.new"), path.join("virbr0.status")).unwrap();
        assert_eq!(take_all(&mut watch), Some(DirectoryChange::Made));
        assert_eq!(take_all(&mut watch), None);
        fs::write(path.join("virbr0.status"), "[\n]").unwrap();
        assert_eq!(take_all(&mut watch), Some(DirectoryChange::Made));
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(path.join("virbr0.status"), mode).unwrap();
        assert_eq!(take_all(&mut watch), Some(DirectoryChange::Made));
        fs::remove_file(path.join("virbr0.status")).unwrap();
        assert_eq!(take_all(&mut watch), Some(DirectoryChange::Made));
        fs::read_dir(&path).unwrap().for_each(drop);
        assert_eq!(take_all(&mut watch), None);
        fs::rename(&path, place.path().join("away")).unwrap();
        assert!(take_all(&mut watch) == Some(DirectoryChange::Made) && !watch.is_on_directory());
        fs::create_dir(&path).unwrap();
        assert!(take_all(&mut watch) == Some(DirectoryChange::Made) && watch.is_on_directory());
        fs::remove_dir_all(place.path().join("a")).unwrap();
        assert!(take_all(&mut watch) == Some(DirectoryChange::Made) && !watch.is_on_directory());
        fs::create_dir_all(&path).unwrap();
        assert!(take_all(&mut watch) == Some(DirectoryChange::Made) && watch.is_on_directory());
        fs::write(path.join("virbr0.macs"), "[]").unwrap();
        assert_eq!(take_all(&mut watch), Some(DirectoryChange::Made));
    }
}
