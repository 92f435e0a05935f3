//! The snapshot's file: written beside its place, put there by a rename, and touched as a sign of life.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Seek, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use guest_names::snapshot::format::{ENTRY_MAX, Meta};

use crate::cdb::Writer;
use crate::names::{Names, Pulse};

/// The snapshot's name in its directory.
pub const NAME: &str = "names.cdb";

/// Its name while it is being written.
const NEW: &str = "names.cdb.new";

/// The key of what is said to people.
const INFO_KEY: &[u8] = b"info";

/// The place of the snapshot.
pub struct Publisher {
    path: PathBuf,
    new: PathBuf,
    /// The published file.
    published: Option<File>,
}

/// How much was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Keys.
    pub keys: u32,
    /// Entries of all keys.
    pub entries: u32,
}

impl Publisher {
    /// Nothing is written yet.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self { path: directory.join(NAME), new: directory.join(NEW), published: None }
    }

    /// Where the snapshot is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the names and what `info` makes of their number down, and puts that in the place of the
    /// snapshot. Its [`Meta::length`] is found here.
    ///
    /// # Errors
    /// The file can't be written or renamed. The snapshot is what it was before.
    pub fn publish(
        &mut self,
        names: &mut Names,
        meta: Meta,
        info: impl FnOnce(Written) -> Vec<u8>,
        pulse: &mut Pulse<'_>,
    ) -> io::Result<Written> {
        let written = self.write(names, meta, info, pulse);
        if written.is_err() {
            // There may be none: that is what failed.
            let _ = fs::remove_file(&self.new);
        }
        written
    }

    fn write(
        &mut self,
        names: &mut Names,
        meta: Meta,
        info: impl FnOnce(Written) -> Vec<u8>,
        pulse: &mut Pulse<'_>,
    ) -> io::Result<Written> {
        remove(&self.new)?;
        let file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&self.new)?;
        // Whatever the umask.
        file.set_permissions(Permissions::from_mode(0o644))?;
        let written = write(&file, names, meta, info, pulse)?;
        fs::rename(&self.new, &self.path)?;
        self.published = Some(file);
        Ok(written)
    }

    /// Gives a sign of life. Whether the snapshot is still the one that was published.
    ///
    /// # Errors
    /// The file can't be touched.
    pub fn touch(&self) -> io::Result<bool> {
        let Some(file) = &self.published else { return Ok(false) };
        let own = file.metadata()?;
        let there = fs::symlink_metadata(&self.path);
        if !there.is_ok_and(|there| (there.dev(), there.ino()) == (own.dev(), own.ino())) {
            return Ok(false);
        }
        file.set_modified(SystemTime::now())?;
        Ok(true)
    }

    /// Takes the snapshot away.
    ///
    /// # Errors
    /// It can't be removed.
    pub fn remove(&mut self) -> io::Result<()> {
        self.published = None;
        remove(&self.path)
    }
}

/// Writes a snapshot to the start of `out`. Its [`Meta::length`] is found here.
///
/// # Errors
/// As `out` has them; more than 4 GiB.
pub fn write(
    out: impl Write + Seek,
    names: &mut Names,
    meta: Meta,
    info: impl FnOnce(Written) -> Vec<u8>,
    pulse: &mut Pulse<'_>,
) -> io::Result<Written> {
    let mut writer = Writer::new(out)?;
    let mut written = Written::default();
    let (mut data, mut room) = (Vec::new(), [0; ENTRY_MAX]);
    names.each(&mut |key, entries| -> io::Result<()> {
        data.clear();
        pulse();
        for entry in entries {
            let length = entry.write(&mut room);
            data.extend_from_slice(&room[..length]);
            written.entries += 1;
        }
        written.keys += 1;
        writer.add(key, &data)
    })?;
    writer.add(INFO_KEY, &info(written))?;
    writer.finish(meta)?;
    Ok(written)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
