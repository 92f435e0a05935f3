//! Waiting for a change in the state directory: inotify(7), so that nothing is ever asked twice for
//! nothing.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::thread;

use guest_names::state::Kind;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

use crate::error::Error;

/// Watches the state directory; as long as that doesn't exist, the place where it would come to exist.
pub(crate) struct Watcher {
    directory: PathBuf,
    inotify: OwnedFd,
    /// The watch, and whether it is on the directory itself.
    armed: Option<(i32, bool)>,
}

impl Watcher {
    /// From here on no change is missed.
    ///
    /// # Errors
    /// The directory can't be watched.
    pub(crate) fn new(directory: &Path) -> Result<Self, Error> {
        let failed = |error: io::Error| Self::failed(directory)(error);
        let inotify = inotify::init(CreateFlags::CLOEXEC).map_err(|errno| failed(errno.into()))?;
        let absolute = std::path::absolute(directory).map_err(failed)?;
        let mut watcher = Self { directory: absolute, inotify, armed: None };
        watcher.arm().map_err(|errno| failed(errno.into()))?;
        Ok(watcher)
    }

    /// Returns once a state file has changed, come or gone, or the directory itself.
    ///
    /// # Errors
    /// The directory can no longer be watched.
    pub(crate) fn wait(&mut self) -> Result<(), Error> {
        loop {
            match self.step() {
                Ok(true) => return Ok(()),
                Ok(false) | Err(Errno::INTR) => {}
                Err(errno) => return Err(Self::failed(&self.directory)(errno.into())),
            }
        }
    }

    fn failed(directory: &Path) -> impl FnOnce(io::Error) -> Error {
        Error::file(
            "watch",
            directory,
            "see to its mode and, where there are too many watches, raise \
             fs.inotify.max_user_instances and fs.inotify.max_user_watches with sysctl",
        )
    }

    /// Takes one batch of events. Whether there was something that matters.
    fn step(&mut self) -> Result<bool, Errno> {
        let mut buffer = [const { MaybeUninit::uninit() }; 4096];
        let mut reader = Reader::new(&self.inotify, &mut buffer);
        let own = ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::UNMOUNT;
        let gone = own | ReadFlags::IGNORED;
        let (mut matters, mut lost) = (false, false);
        loop {
            let event = reader.next()?;
            let state_file = event.file_name().is_some_and(|name| is_state_file(name.to_bytes()));
            matters |= state_file || event.events().contains(ReadFlags::QUEUE_OVERFLOW);
            lost |= event.events().intersects(gone);
            if reader.is_buffer_empty() {
                break;
            }
        }
        let was_there = self.armed.is_some_and(|(_, on_directory)| on_directory);
        if lost || !was_there {
            self.arm()?;
            let is_there = self.armed.is_some_and(|(_, on_directory)| on_directory);
            matters |= was_there || is_there;
        }
        Ok(matters)
    }

    /// Watches the directory, or the nearest one above it that exists.
    fn arm(&mut self) -> Result<(), Errno> {
        let directory = self.directory.clone();
        'again: loop {
            let mut below: Option<&Path> = None;
            for place in directory.ancestors() {
                let own = WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF | WatchFlags::ONLYDIR;
                let inside = match below {
                    None => {
                        WatchFlags::CLOSE_WRITE
                            | WatchFlags::MOVED_TO
                            | WatchFlags::MOVED_FROM
                            | WatchFlags::DELETE
                    }
                    Some(_) => WatchFlags::CREATE | WatchFlags::MOVED_TO,
                };
                match inotify::add_watch(&self.inotify, place, own | inside) {
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
                    Err(errno) => return Err(errno),
                }
            }
            return Err(Errno::NOENT);
        }
    }
}

fn is_state_file(name: &[u8]) -> bool {
    [Kind::Leases, Kind::Macs].iter().any(|kind| name.ends_with(kind.suffix()))
}

/// Sends `event(Ok(()))` for each change from here on; `event(Err(..))` is the last.
///
/// # Errors
/// As [`Watcher::new`].
pub(crate) fn spawn<E: Send + 'static>(
    directory: &Path,
    sender: Sender<E>,
    event: impl Fn(Result<(), Error>) -> E + Send + 'static,
) -> Result<(), Error> {
    let mut watcher = Watcher::new(directory)?;
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
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::StateDirectory;
    use std::fs;
    use std::sync::mpsc::{RecvTimeoutError, channel};
    use std::time::Duration;

    /// Every way in which a file of leases can change is told, and nothing else is.
    #[test]
    fn changes_and_no_others() {
        let directory = StateDirectory::new();
        let path = directory.path().join("a/state");
        let (sender, receiver) = channel();
        spawn(&path, sender, |change| change.map_err(|error| error.to_string())).unwrap();
        let told = |what: &str| {
            let told = receiver.recv_timeout(Duration::from_secs(20));
            assert_eq!(told, Ok(Ok(())), "{what}");
            // One change may come as two.
            while receiver.recv_timeout(Duration::from_millis(50)).is_ok() {}
        };
        fs::create_dir(directory.path().join("a")).unwrap();
        fs::create_dir(directory.path().join("a/b")).unwrap();
        fs::create_dir(&path).unwrap();
        told("the directory came");
        fs::write(path.join("virbr0.status.new"), "[]").unwrap();
        fs::write(path.join("default.conf"), "").unwrap();
        let nothing = receiver.recv_timeout(Duration::from_millis(50));
        assert_eq!(nothing, Err(RecvTimeoutError::Timeout));
        fs::rename(path.join("virbr0.status.new"), path.join("virbr0.status")).unwrap();
        told("renamed");
        fs::write(path.join("virbr0.macs"), "[]").unwrap();
        told("written");
        fs::remove_file(path.join("virbr0.macs")).unwrap();
        told("removed");
        fs::rename(&path, directory.path().join("away")).unwrap();
        told("the directory went");
        fs::create_dir(&path).unwrap();
        told("the directory came again");
        fs::write(path.join("virbr0.status"), "[]").unwrap();
        told("written there");
        fs::remove_dir_all(directory.path().join("a")).unwrap();
        told("all went");
        fs::create_dir_all(&path).unwrap();
        told("all came again");
    }
}
