//! The outlets' files, in the snapshot's directory.

use std::fmt;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::answers::Answers;
use super::zones::Zones;
use super::{hosts, records};
use crate::config::Outlets as Settings;
use crate::names::{CompiledNames, Pulse};

/// The directory that dnsmasq watches (`hostsdir`). It reads every file there, so only hosts(5) files are in it.
pub const HOSTS_DIRECTORY: &str = "dns";

/// The first hosts(5) file, in [`HOSTS_DIRECTORY`]. It always exists.
pub const HOSTS: &str = "dns/hosts";

/// The hosts(5) file with this number, below [`hosts::COUNT`]. A file that never had a name doesn't exist.
#[must_use]
pub fn hosts_file(number: usize) -> String {
    if number == 0 { HOSTS.into() } else { format!("{HOSTS}.{number}") }
}

/// The zones, as dnsmasq's `servers-file`.
pub const ZONES: &str = "dns-zones";

/// The records for systemd-resolved.
pub const RECORDS: &str = "names.rr";

/// The name of a file while it is being written; never in [`HOSTS_DIRECTORY`].
const NEW: &str = "outlet.new";

/// The files in a directory.
pub struct Files {
    directory: PathBuf,
    /// Whether any of them may exist.
    any: bool,
}

/// A file that can't be written or removed.
#[derive(Debug)]
pub struct Error {
    /// The file.
    pub path: PathBuf,
    /// The system's error.
    pub source: io::Error,
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot replace {}: {}", self.path.display(), guest_store::reason(&self.source))
    }
}

impl Files {
    /// Writes nothing yet. The first [`update`](Self::update) replaces or removes files that an earlier daemon left.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), any: true }
    }

    /// Writes the configured files if they have changed, and removes the others. Returns when the first answer in them expires,
    /// in seconds since the epoch.
    ///
    /// # Errors
    /// A file can't be written or removed. Others may have been updated already.
    pub fn update(
        &mut self,
        settings: Settings,
        names: &CompiledNames,
        zones: &Zones,
        now: i64,
        pulse: &mut Pulse<'_>,
    ) -> Result<Option<i64>, Error> {
        if !settings.any() {
            self.remove()?;
            return Ok(None);
        }
        self.any = true;
        let answers = Answers::collect(names, zones, now, pulse)
            .map_err(|_| self.failed(RECORDS)(io::ErrorKind::OutOfMemory.into()))?;
        pulse();
        if settings.hosts {
            // The zones come first, so that no name in a new zone is served before dnsmasq knows the zone.
            self.replace(ZONES, &zones.servers())?;
            let directory = self.directory.join(HOSTS_DIRECTORY);
            let made = match fs::create_dir(&directory) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                _ => fs::set_permissions(&directory, Permissions::from_mode(0o755)),
            };
            made.map_err(self.failed(HOSTS_DIRECTORY))?;
            self.replace_hosts(&hosts::texts(&answers, settings.bare_names))?;
        } else {
            self.remove_hosts()?;
            self.remove_one(ZONES)?;
        }
        pulse();
        if settings.records {
            self.replace(RECORDS, &records::text(&answers))?;
        } else {
            self.remove_one(RECORDS)?;
        }
        Ok(answers.until)
    }

    fn remove(&mut self) -> Result<(), Error> {
        if self.any {
            self.remove_hosts()?;
            for name in [ZONES, RECORDS, NEW] {
                self.remove_one(name)?;
            }
            self.any = false;
        }
        Ok(())
    }

    fn remove_one(&self, name: &str) -> Result<(), Error> {
        remove(&self.directory.join(name)).map_err(self.failed(name))
    }

    fn remove_hosts(&self) -> Result<(), Error> {
        (0..hosts::COUNT).try_for_each(|number| self.remove_one(&hosts_file(number)))
    }

    /// Replaces those files that don't contain their text yet.
    fn replace_hosts(&self, texts: &[Vec<u8>]) -> Result<(), Error> {
        let names: Vec<String> = (0..texts.len()).map(hosts_file).collect();
        let old = names.iter().map(|name| fs::read(self.directory.join(name)).ok());
        let mut old: Vec<Option<Vec<u8>>> = old.collect();
        // All but the first needn't exist while they are empty.
        for old in old.iter_mut().skip(1) {
            old.get_or_insert_default();
        }
        let changes = hosts::changes(&old, texts);
        changes.iter().try_for_each(|(number, text)| self.write(&names[*number], text))
    }

    /// Replaces a file, unless it already contains `text`: the program that serves it would read it again.
    fn replace(&self, name: &str, text: &[u8]) -> Result<(), Error> {
        if fs::read(self.directory.join(name)).is_ok_and(|old| old == text) {
            return Ok(());
        }
        self.write(name, text)
    }

    /// Replaces a file by rename.
    fn write(&self, name: &str, text: &[u8]) -> Result<(), Error> {
        let path = self.directory.join(name);
        let new = self.directory.join(NEW);
        let write = || {
            remove(&new)?;
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(0o644).open(&new)?;
            // Regardless of the umask.
            file.set_permissions(Permissions::from_mode(0o644))?;
            file.write_all(text)?;
            fs::rename(&new, &path)
        };
        write().map_err(self.failed(name))
    }

    fn failed(&self, name: &str) -> impl FnOnce(io::Error) -> Error + use<> {
        let path = self.directory.join(name);
        move |source| Error { path, source }
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error)
            if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Err(error)
        }
        _ => Ok(()),
    }
}
