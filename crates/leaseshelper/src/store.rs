//! The files: where they are, and how a list is read and replaced so that a kill or a power cut at any moment
//! leaves the old list or the new one.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufWriter, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::error::Error;
use crate::event::Bridge;
use crate::leases::Why;
use crate::lock::Lock;

/// The largest list, in bytes, that libvirt's readers and the NSS modules take.
pub const LARGEST_LIST: u64 = 32 << 20;

const DIRECTORY: &str = "/var/lib/libvirt/dnsmasq";
const LOCK: &str = "/run/leaseshelper.pid";

/// How long to wait for the lock.
///
/// dnsmasq runs one helper at a time and waits for it; helpers meet where networks are many. A helper holds the
/// lock for some milliseconds, on a slow disk for a tenth of a second, so that two hundred in a row take 20 s.
/// Whoever has it for longer hangs, and a start of dnsmasq, and with it of the network, would hang along with
/// it.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many bytes are handed to the kernel at once: large enough that the calls don't count, and small beside a
/// list of a thousand leases.
const WRITE_AT_ONCE: usize = 64 << 10;

/// Where the lists and their lock are.
#[derive(Debug, Clone)]
pub struct Store {
    /// The directory of the lists.
    pub directory: PathBuf,
    /// The lock file.
    pub lock: PathBuf,
    /// How long to wait for the lock.
    pub patience: Duration,
}

/// A new list that is in place and may not be on the disk yet.
#[derive(Debug)]
#[must_use]
pub struct Replaced {
    directory: PathBuf,
    path: PathBuf,
    file: File,
}

/// The copy of a damaged list.
#[derive(Debug)]
#[must_use]
pub struct Aside(PathBuf);

impl Store {
    /// The store that libvirt and dnsmasq use.
    #[must_use]
    pub fn of_the_system() -> Self {
        Self { directory: DIRECTORY.into(), lock: LOCK.into(), patience: PATIENCE }
    }

    /// Takes the lock.
    ///
    /// # Errors
    /// See [`Lock::take`].
    pub fn lock(&self) -> Result<Lock, Error> {
        Lock::take(&self.lock, self.patience)
    }

    /// The list's path.
    #[must_use]
    pub fn list(&self, bridge: &Bridge) -> PathBuf {
        self.beside(bridge, "")
    }

    fn beside(&self, bridge: &Bridge, suffix: &str) -> PathBuf {
        let mut name = OsString::from(bridge.name());
        name.push(".status");
        name.push(suffix);
        self.directory.join(name)
    }

    /// Makes an empty list where there is none.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn make(&self, bridge: &Bridge) -> Result<(), Error> {
        let path = self.list(bridge);
        match new_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made.map(drop).map_err(Error::file("create", &path)),
        }
    }

    /// Reads a list. One that is not there is empty.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::NotAFile`], [`Error::TooLarge`].
    pub fn read(&self, bridge: &Bridge) -> Result<Vec<u8>, Error> {
        let path = self.list(bridge);
        // A FIFO in its place must not stop dnsmasq.
        let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&path);
        let mut file = match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            opened => opened.map_err(Error::file("open", &path))?,
        };
        let metadata = file.metadata().map_err(Error::file("read", &path))?;
        if !metadata.is_file() {
            return Err(Error::NotAFile(path));
        }
        if metadata.len() > LARGEST_LIST {
            return Err(Error::TooLarge(path));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(Error::file("read", &path))?;
        Ok(bytes)
    }

    /// Keeps a copy of a damaged list under a name that tells when and why. It is on the disk when this
    /// returns, but for its name, which the directory's fsync for the new list takes along.
    ///
    /// It is a copy and no link: AppArmor's profile for the helper lets it make files here and no links.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn put_aside(&self, bridge: &Bridge, bytes: &[u8], why: Why) -> Result<Aside, Error> {
        let doing = "put the damaged list aside as";
        let name = format!(".broken-{}-{}", utc(SystemTime::now()), why.slug());
        let mut copies = 1;
        let mut path = self.beside(bridge, &name);
        let file = loop {
            match new_file(&path) {
                // Another list was damaged within the same second.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    copies += 1;
                    path = self.beside(bridge, &format!("{name}.{copies}"));
                }
                made => break made.map_err(Error::file(doing, &path))?,
            }
        };
        let aside = Aside(path);
        if let Err(error) = fill(&file, std::iter::once(bytes)) {
            let error = Error::file(doing, aside.path())(error);
            aside.take_back();
            return Err(error);
        }
        Ok(aside)
    }

    /// Puts a new list in the place of the old one, in one step. Until [`Replaced::make_durable`] a power cut
    /// may bring the old one back; the new one's content is on the disk.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::TooLarge`]; the old list is then untouched.
    pub fn replace<'a>(
        &self,
        bridge: &Bridge,
        pieces: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<Replaced, Error> {
        let path = self.list(bridge);
        if pieces.clone().map(str::len).sum::<usize>() as u64 > LARGEST_LIST {
            return Err(Error::TooLarge(path));
        }
        let new = self.beside(bridge, ".new");
        let file = match new_file(&new) {
            // A helper that was killed left it.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_file(&new).and_then(|()| new_file(&new))
            }
            made => made,
        }
        .map_err(Error::file("create", &new))?;
        let moved = fill(&file, pieces.map(str::as_bytes))
            .map_err(Error::file("write", &new))
            .and_then(|()| fs::rename(&new, &path).map_err(Error::file("replace", &path)));
        if let Err(error) = moved {
            // What can't be removed now, the next event removes.
            let _ = fs::remove_file(&new);
            return Err(error);
        }
        Ok(Replaced { directory: self.directory.clone(), path, file })
    }
}

impl Replaced {
    /// Returns when a power cut can no longer bring the old list back.
    ///
    /// # Errors
    /// [`Error::NotDurable`].
    pub fn make_durable(self) -> Result<(), Error> {
        let synced = match File::open(&self.directory) {
            Ok(directory) => directory.sync_all(),
            // AppArmor's profile for the helper does not let it open the directory. A file's fsync takes its
            // last rename along on ext4, XFS and btrfs.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => self.file.sync_all(),
            Err(error) => Err(error),
        };
        synced.map_err(|source| Error::NotDurable { path: self.path, source })
    }
}

impl Aside {
    /// The copy's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Removes the copy, where the list stays as it is after all.
    pub fn take_back(self) {
        // One copy too many does no harm.
        let _ = fs::remove_file(&self.0);
    }
}

/// Makes a file that is not there yet.
fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o644).open(path)
}

fn fill<'a>(file: &File, pieces: impl Iterator<Item = &'a [u8]>) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(WRITE_AT_ONCE, file);
    for piece in pieces {
        out.write_all(piece)?;
    }
    out.flush()?;
    // Whatever dnsmasq's umask: everybody may resolve names.
    file.set_permissions(Permissions::from_mode(0o644))?;
    file.sync_all()
}

/// The time as `20060102T150405Z`.
fn utc(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, second) = (seconds / 86400, seconds % 86400);
    let (mut year, mut day) = (1970, days);
    let leap = |year: u64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    while day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{:02}T{hour:02}{minute:02}{second:02}Z", day + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utc_as_date_has_it() {
        // From `date -u -d @SECONDS +%Y%m%dT%H%M%SZ`.
        for (seconds, expected) in [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"),
            (951_868_800, "20000301T000000Z"),
            (1_709_164_800, "20240229T000000Z"),
            (1_735_689_599, "20241231T235959Z"),
            (1_735_689_600, "20250101T000000Z"),
            (1_763_917_445, "20251123T170405Z"),
            (4_107_542_400, "21000301T000000Z"),
        ] {
            assert_eq!(utc(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn files_of_a_bridge_stay_in_the_directory() {
        let store = Store::of_the_system();
        let bridge = Bridge::new("br-1.status".into()).expect("a name");
        assert_eq!(store.list(&bridge), Path::new("/var/lib/libvirt/dnsmasq/br-1.status.status"));
        // AppArmor's profile for the helper lets it write *.status* and nothing else.
        assert!(store.beside(&bridge, ".new").starts_with("/var/lib/libvirt/dnsmasq"));
    }
}
