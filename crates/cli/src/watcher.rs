//! Waiting for changes of the state files and of the daemon's snapshot with inotify(7), without polling.

use std::io;
use std::mem::MaybeUninit;
use std::path::Path;
use std::sync::mpsc::Sender;
use std::thread;

use guest_names::io::Kind;
use guest_names::snapshot::format;
use guest_store::watch::DirectoryWatch;
use rustix::fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

use crate::error::Error;
use crate::paths::Paths;

/// What is watched in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    /// libvirt's state directory.
    StateFiles,
    /// The directory of the daemon's snapshot, which also counts as changed when it is touched.
    Snapshot,
}

impl Subject {
    fn is_file(self, name: &[u8]) -> bool {
        match self {
            Self::StateFiles => is_state_file(name),
            Self::Snapshot => {
                format::PATH.to_bytes().rsplit(|&byte| byte == b'/').next() == Some(name)
            }
        }
    }

    fn flags(self) -> WatchFlags {
        let replaced = WatchFlags::CLOSE_WRITE
            | WatchFlags::MOVED_TO
            | WatchFlags::MOVED_FROM
            | WatchFlags::DELETE;
        match self {
            Self::StateFiles => replaced,
            // Both times set are a change of attributes, the time of modification alone one of content.
            Self::Snapshot => replaced | WatchFlags::ATTRIB | WatchFlags::MODIFY,
        }
    }
}

/// Watches a directory, or, while that doesn't exist, the nearest one above it that does.
pub(crate) struct Watcher {
    subject: Subject,
    place: DirectoryWatch,
}

impl Watcher {
    /// From now on, no change is missed.
    ///
    /// # Errors
    /// The directory can't be watched.
    fn new(directory: &Path, subject: Subject) -> Result<Self, Error> {
        let failed = |error: io::Error| Self::failed(directory)(error);
        let place = DirectoryWatch::new(directory, subject.flags(), CreateFlags::empty());
        let mut place = place.map_err(failed)?;
        place.arm().map_err(|errno| failed(errno.into()))?;
        Ok(Self { subject, place })
    }

    /// Returns once a file that matters has changed, come or gone, or the directory itself.
    ///
    /// # Errors
    /// The directory can no longer be watched.
    pub(crate) fn wait(&mut self) -> Result<(), Error> {
        loop {
            match self.step() {
                Ok(true) => return Ok(()),
                Ok(false) | Err(Errno::INTR) => {}
                Err(errno) => return Err(Self::failed(self.place.directory())(errno.into())),
            }
        }
    }

    fn failed(directory: &Path) -> impl FnOnce(io::Error) -> Error {
        Error::file(
            "watch",
            directory,
            "check its mode; if there are too many watches, raise fs.inotify.max_user_instances and \
             fs.inotify.max_user_watches with sysctl",
        )
    }

    /// Reads one batch of events, and returns whether any of them matters.
    fn step(&mut self) -> Result<bool, Errno> {
        let mut buffer = [const { MaybeUninit::uninit() }; 4096];
        let mut reader = Reader::new(&self.place, &mut buffer);
        let own = ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::UNMOUNT;
        let gone = own | ReadFlags::IGNORED;
        let (mut matters, mut lost) = (false, false);
        loop {
            let event = reader.next()?;
            let is_file = |name: &std::ffi::CStr| self.subject.is_file(name.to_bytes());
            let ours = event.file_name().is_some_and(is_file);
            matters |= ours || event.events().contains(ReadFlags::QUEUE_OVERFLOW);
            lost |= event.events().intersects(gone);
            if reader.is_buffer_empty() {
                break;
            }
        }
        let was_there = self.place.is_on_directory();
        if lost || !was_there {
            self.place.arm()?;
            matters |= was_there || self.place.is_on_directory();
        }
        Ok(matters)
    }
}

fn is_state_file(name: &[u8]) -> bool {
    [Kind::Leases, Kind::Macs].iter().any(|kind| name.ends_with(kind.suffix()))
}

/// Sends `event(Ok(()))` for each change from here on, of the state files and of the snapshot that belongs
/// to them; an `event(Err(..))` is the last of one of the two.
///
/// # Errors
/// One of the directories can't be watched.
pub(crate) fn spawn<E: Send + 'static>(
    paths: &Paths,
    sender: &Sender<E>,
    event: fn(Result<(), Error>) -> E,
) -> Result<(), Error> {
    let mut watchers = vec![Watcher::new(&paths.state_directory(), Subject::StateFiles)?];
    if let Some(home) = paths.snapshot().as_deref().and_then(Path::parent) {
        watchers.push(Watcher::new(home, Subject::Snapshot)?);
    }
    for mut watcher in watchers {
        let sender = sender.clone();
        thread::spawn(move || {
            loop {
                let waited = watcher.wait();
                let failed = waited.is_err();
                // Without a receiver the command has ended.
                if sender.send(event(waited)).is_err() || failed {
                    return;
                }
            }
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::sync::mpsc::{RecvTimeoutError, channel};
    use std::time::Duration;
    use testkit::scratch::Scratch;

    /// Every kind of change of a state file is reported, and nothing else.
    #[test]
    fn changes_and_no_others() {
        let directory = Scratch::new();
        let path = directory.path().join("a/state");
        let (sender, receiver) = channel();
        let paths = Paths::new(None, Some(&path));
        spawn(&paths, &sender, |change| change.map_err(|error| error.to_string())).unwrap();
        let changed = |what: &str| {
            let changed = receiver.recv_timeout(Duration::from_secs(20));
            assert_eq!(changed, Ok(Ok(())), "{what}");
            // One change may come as two.
            while receiver.recv_timeout(Duration::from_millis(50)).is_ok() {}
        };
        fs::create_dir(directory.path().join("a")).unwrap();
        fs::create_dir(directory.path().join("a/b")).unwrap();
        fs::create_dir(&path).unwrap();
        changed("the directory came");
        fs::write(path.join("virbr0.status.new"), "[]").unwrap();
        fs::write(path.join("default.conf"), "").unwrap();
        let nothing = receiver.recv_timeout(Duration::from_millis(50));
        assert_eq!(nothing, Err(RecvTimeoutError::Timeout));
        fs::rename(path.join("virbr0.status.new"), path.join("virbr0.status")).unwrap();
        changed("renamed");
        fs::write(path.join("virbr0.macs"), "[]").unwrap();
        changed("written");
        fs::remove_file(path.join("virbr0.macs")).unwrap();
        changed("removed");
        fs::rename(&path, directory.path().join("away")).unwrap();
        changed("the directory went");
        fs::create_dir(&path).unwrap();
        changed("the directory came again");
        fs::write(path.join("virbr0.status"), "[]").unwrap();
        changed("written there");
        fs::remove_dir_all(directory.path().join("a")).unwrap();
        changed("all went");
        fs::create_dir_all(&path).unwrap();
        changed("all came again");
    }
    /// The snapshot may appear late; its time stamp counts as a change, and other files don't.
    #[test]
    fn changes_of_the_snapshot() {
        let directory = Scratch::new();
        let (sender, receiver) = channel();
        let paths = Paths::new(Some(directory.path()), None);
        spawn(&paths, &sender, |change| change.map_err(|error| error.to_string())).unwrap();
        let changed = |what: &str| {
            let changed = receiver.recv_timeout(Duration::from_secs(20));
            assert_eq!(changed, Ok(Ok(())), "{what}");
            while receiver.recv_timeout(Duration::from_millis(50)).is_ok() {}
        };
        let path = paths.snapshot().unwrap();
        let home = path.parent().unwrap();
        fs::create_dir_all(home).unwrap();
        changed("the directory came");
        let new = home.join("names.cdb.new");
        fs::write(&new, "").unwrap();
        let nothing = receiver.recv_timeout(Duration::from_millis(50));
        assert_eq!(nothing, Err(RecvTimeoutError::Timeout));
        fs::rename(&new, &path).unwrap();
        changed("renamed");
        let file = fs::File::open(&path).unwrap();
        let epoch = std::time::SystemTime::UNIX_EPOCH;
        file.set_modified(epoch).unwrap();
        changed("touched");
        file.set_times(fs::FileTimes::new().set_accessed(epoch).set_modified(epoch)).unwrap();
        changed("touched wholly");
        // An open file keeps its directory's watch alive.
        drop(file);
        fs::remove_dir_all(home).unwrap();
        changed("gone");
        fs::create_dir(home).unwrap();
        changed("the directory came again");
    }
}
