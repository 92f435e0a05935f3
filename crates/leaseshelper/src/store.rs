//! The files: where they are, and how a list is read and replaced so that after a kill or a power cut at any moment
//! there is either the old list or the new one.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufWriter, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::bridge::Bridge;
use crate::damage::DamageKind;
use crate::error::Error;
use crate::limits::LARGEST_LIST;
use crate::lock::Lock;

const DIRECTORY: &str = "/var/lib/libvirt/dnsmasq";
const LOCK: &str = "/run/leaseshelper.pid";

/// How long to wait for the lock.
///
/// Each dnsmasq runs one helper at a time and waits for it, so helpers compete only if there are many networks. A
/// helper holds the lock for some milliseconds, or a tenth of a second on a slow disk, so two hundred in a row take 20
/// s. One that holds it for longer is hanging, and the start of a network must not hang with it.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many bytes to pass to one write(2): enough that the number of calls doesn't matter, and little compared with a
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

/// A new list that is in place, but may not be on the disk yet.
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
pub struct DamagedCopy(PathBuf);

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

    /// Creates an empty list if there is none.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn create(&self, bridge: &Bridge) -> Result<(), Error> {
        let path = self.list(bridge);
        match new_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            created => created.map(drop).map_err(Error::file("create", &path)),
        }
    }

    /// Reads a list. A missing one is empty.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::NotAFile`], [`Error::TooLarge`].
    pub fn read(&self, bridge: &Bridge) -> Result<Vec<u8>, Error> {
        let path = self.list(bridge);
        // A FIFO at this path must not block dnsmasq.
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

    /// Copies a damaged list to a file whose name says when and why. The content is on the disk when this returns; the
    /// fsync of the directory for the new list covers the name.
    ///
    /// It is a copy, since AppArmor's profile for the helper lets it create files here, but not links.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn keep_copy(
        &self,
        bridge: &Bridge,
        bytes: &[u8],
        kind: DamageKind,
    ) -> Result<DamagedCopy, Error> {
        let doing = "copy the damaged list to";
        let name = format!(".broken-{}-{}", utc(SystemTime::now()), kind.slug());
        let mut copies = 1;
        let mut path = self.beside(bridge, &name);
        let file = loop {
            match new_file(&path) {
                // A list of this bridge was damaged within the same second.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    copies += 1;
                    path = self.beside(bridge, &format!("{name}.{copies}"));
                }
                created => break created.map_err(Error::file(doing, &path))?,
            }
        };
        let copy = DamagedCopy(path);
        if let Err(error) = fill(&file, std::iter::once(bytes)) {
            let error = Error::file(doing, copy.path())(error);
            copy.remove();
            return Err(error);
        }
        Ok(copy)
    }

    /// Replaces a list in one step. The new content is on the disk when this returns, but until
    /// [`Replaced::make_durable`] a power cut may restore the old list.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::TooLarge`]; the old list is then unchanged.
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
            // Left behind by a helper that was killed.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_file(&new).and_then(|()| new_file(&new))
            }
            created => created,
        }
        .map_err(Error::file("create", &new))?;
        let moved = fill(&file, pieces.map(str::as_bytes))
            .map_err(Error::file("write", &new))
            .and_then(|()| fs::rename(&new, &path).map_err(Error::file("replace", &path)));
        if let Err(error) = moved {
            // If it can't be removed now, the next event removes it.
            let _ = fs::remove_file(&new);
            return Err(error);
        }
        Ok(Replaced { directory: self.directory.clone(), path, file })
    }
}

impl Replaced {
    /// Returns when a power cut can no longer restore the old list.
    ///
    /// # Errors
    /// [`Error::NotDurable`].
    pub fn make_durable(self) -> Result<(), Error> {
        let synced = match File::open(&self.directory) {
            Ok(directory) => directory.sync_all(),
            // AppArmor's profile for the helper doesn't let it open the directory. On ext4, XFS and btrfs the fsync
            // of a file covers its last rename.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => self.file.sync_all(),
            Err(error) => Err(error),
        };
        synced.map_err(|source| Error::NotDurable { path: self.path, source })
    }
}

impl DamagedCopy {
    /// The copy's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Removes the copy, since the list was not replaced.
    pub fn remove(self) {
        // An extra copy does no harm.
        let _ = fs::remove_file(&self.0);
    }
}

/// Creates a file, which must not exist yet.
fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o644).open(path)
}

fn fill<'a>(file: &File, pieces: impl Iterator<Item = &'a [u8]>) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(WRITE_AT_ONCE, file);
    for piece in pieces {
        out.write_all(piece)?;
    }
    out.flush()?;
    // Regardless of dnsmasq's umask, as every user may resolve names.
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
    fn utc_matches_date() {
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
