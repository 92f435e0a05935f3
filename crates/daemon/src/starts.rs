//! Notices guests that start on this host, by the files in which libvirt's drivers keep running guests. This is for
//! connections that are closed while no guest runs.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::PathBuf;

use guest_store::watch::DirectoryWatch;
use rustix::fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

/// libvirt writes `GUEST.xml.new`, and renames it to `GUEST.xml`.
const RENAMED: WatchFlags = WatchFlags::MOVED_TO;

/// The suffix of these files. libvirt's daemons keep other files beside them, which come and go with the daemons.
const STATUS: &[u8] = b".xml";

/// Watches on libvirt's directories of running guests.
pub struct Starts(Vec<DirectoryWatch>);

impl Starts {
    /// Watches `directories`, which need not exist yet.
    ///
    /// # Errors
    /// There are too many watches on the system.
    pub fn new(directories: &[PathBuf]) -> io::Result<Self> {
        let watch = |directory: &PathBuf| {
            let mut place = DirectoryWatch::new(directory, RENAMED, CreateFlags::NONBLOCK)?;
            place.arm()?;
            Ok(place)
        };
        directories.iter().map(watch).collect::<io::Result<_>>().map(Self)
    }

    /// Whether a guest may have started since this was last called.
    ///
    /// # Errors
    /// The events can't be read, which never happens on a working kernel.
    pub fn take(&mut self) -> io::Result<bool> {
        let mut any = false;
        for place in &mut self.0 {
            any |= take(place)?;
        }
        Ok(any)
    }

    /// Readable when there are events for [`Starts::take`].
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.0.iter().map(|place| place.as_fd())
    }
}

fn take(place: &mut DirectoryWatch) -> io::Result<bool> {
    let mut buffer = [const { MaybeUninit::uninit() }; 4096];
    let mut reader = Reader::new(&*place, &mut buffer);
    let itself = ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::UNMOUNT;
    let gone = itself | ReadFlags::IGNORED;
    let (mut starts, mut any, mut lost) = (false, false, false);
    loop {
        match reader.next() {
            Ok(event) => {
                any = true;
                lost |= place.is_armed_by(event.wd()) && event.events().intersects(gone);
                let name = event.file_name().map(std::ffi::CStr::to_bytes);
                starts |= event.events().contains(ReadFlags::QUEUE_OVERFLOW)
                    || name.is_some_and(|name| name.ends_with(STATUS));
            }
            Err(Errno::AGAIN) => break,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    let was_there = place.is_on_directory();
    if lost {
        place.disarm();
    }
    if any {
        place.arm()?;
    }
    // It may already contain files.
    Ok(starts || (!was_there && place.is_on_directory()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use testkit::scratch::Scratch;

    #[test]
    fn a_guest_starts_with_its_file() {
        let scratch = Scratch::new();
        let directory = scratch.path().join("libvirt/qemu");
        let mut starts = Starts::new(std::slice::from_ref(&directory)).unwrap();
        assert!(!starts.take().unwrap());
        // libvirt's daemon starts, and its directory, with the guests' files, may be back.
        fs::create_dir_all(&directory).unwrap();
        assert!(starts.take().unwrap());
        fs::write(directory.join("driver.pid"), "1").unwrap();
        fs::remove_file(directory.join("driver.pid")).unwrap();
        assert!(!starts.take().unwrap());
        fs::write(directory.join("web.xml.new"), "<domstatus/>").unwrap();
        assert!(!starts.take().unwrap());
        fs::rename(directory.join("web.xml.new"), directory.join("web.xml")).unwrap();
        assert!(starts.take().unwrap());
        assert!(!starts.take().unwrap());
        fs::remove_dir_all(scratch.path().join("libvirt")).unwrap();
        starts.take().unwrap();
        fs::create_dir_all(&directory).unwrap();
        assert!(starts.take().unwrap());
    }
}
