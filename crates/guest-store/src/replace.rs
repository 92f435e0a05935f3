//! A file that is replaced by rename, so that nobody reads half of it.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A world-readable file that this process replaces again and again.
#[derive(Debug)]
pub struct ReplacedFile {
    path: PathBuf,
    /// The path with `.new` appended, used while the file is being written.
    new: PathBuf,
    /// The path with `.old` appended: see [`ReplacedFile::set_aside`].
    old: PathBuf,
    /// The file that this process last put there.
    current: Option<File>,
}

impl ReplacedFile {
    /// Writes nothing yet.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        let with = |suffix: &str| {
            let mut path = OsString::from(path);
            path.push(suffix);
            path.into()
        };
        Self { path: path.to_owned(), new: with(".new"), old: with(".old"), current: None }
    }

    /// The file's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces the file with a new one, whose contents `write` writes.
    ///
    /// # Errors
    /// `write` fails, or the new file can't be created or renamed. Then the old file stays.
    pub fn replace<T>(&mut self, write: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
        let written = self.try_replace(write);
        if written.is_err() {
            // It may not exist, if creating it failed.
            let _ = fs::remove_file(&self.new);
        }
        written
    }

    fn try_replace<T>(&mut self, write: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
        remove(&self.new)?;
        let file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&self.new)?;
        // Regardless of the umask.
        file.set_permissions(Permissions::from_mode(0o644))?;
        let written = write(&file)?;
        fs::rename(&self.new, &self.path)?;
        self.current = Some(file);
        Ok(written)
    }

    /// Sets the file's modification time to now. `false` if it is no longer the file that this process put there.
    ///
    /// # Errors
    /// The time can't be set.
    pub fn touch(&self) -> io::Result<bool> {
        let Some(current) = &self.current else { return Ok(false) };
        let own = current.metadata()?;
        let there = fs::symlink_metadata(&self.path);
        if !there.is_ok_and(|there| (there.dev(), there.ino()) == (own.dev(), own.ino())) {
            return Ok(false);
        }
        current.set_modified(SystemTime::now())?;
        Ok(true)
    }

    /// Renames the file to [`ReplacedFile::old_path`], where only the next process looks for it.
    ///
    /// # Errors
    /// It can't be renamed. Then it is removed, if possible.
    pub fn set_aside(&mut self) -> io::Result<()> {
        self.current = None;
        match fs::rename(&self.path, &self.old) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                remove(&self.path)?;
                Err(error)
            }
            _ => Ok(()),
        }
    }

    /// The file's path after [`ReplacedFile::set_aside`].
    #[must_use]
    pub fn old_path(&self) -> &Path {
        &self.old
    }

    /// Removes the file, if there is one.
    ///
    /// # Errors
    /// It can't be removed.
    pub fn remove(&mut self) -> io::Result<()> {
        self.current = None;
        remove(&self.path)
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use testkit::scratch::Scratch;

    fn write(text: &str) -> impl FnOnce(&File) -> io::Result<()> + '_ {
        |mut file| file.write_all(text.as_bytes())
    }

    #[test]
    fn a_file_is_replaced_completely_or_not_at_all() {
        let scratch = Scratch::new();
        let path = scratch.join("hosts");
        let names = || {
            let entries = fs::read_dir(scratch.path()).unwrap();
            entries.map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>()
        };
        let mut file = ReplacedFile::new(&path);
        assert!(!file.touch().unwrap());
        file.replace(write("one")).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o644);
        // Left by a process that was killed.
        fs::write(scratch.join("hosts.new"), "half").unwrap();
        file.replace(write("two")).unwrap();
        let failed = file.replace(|mut file| {
            file.write_all(b"thr")?;
            Err::<(), _>(io::ErrorKind::StorageFull.into())
        });
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(names(), ["hosts"]);
        let old = SystemTime::UNIX_EPOCH;
        File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
        assert!(file.touch().unwrap());
        assert!(fs::metadata(&path).unwrap().modified().unwrap() > old);
        file.set_aside().unwrap();
        file.set_aside().unwrap();
        assert_eq!(names(), ["hosts.old"]);
        assert_eq!(fs::read_to_string(file.old_path()).unwrap(), "two");
        file.replace(write("three")).unwrap();
        file.set_aside().unwrap();
        assert_eq!(fs::read_to_string(file.old_path()).unwrap(), "three");
        fs::remove_file(file.old_path()).unwrap();
        file.remove().unwrap();
        file.remove().unwrap();
        assert_eq!(names(), [""; 0]);
    }

    #[test]
    fn a_file_that_another_process_put_there_is_not_touched() {
        let scratch = Scratch::new();
        let path = scratch.join("hosts");
        let mut file = ReplacedFile::new(&path);
        file.replace(write("ours")).unwrap();
        fs::write(scratch.join("theirs"), "theirs").unwrap();
        fs::rename(scratch.join("theirs"), &path).unwrap();
        assert!(!file.touch().unwrap());
        fs::remove_file(&path).unwrap();
        assert!(!file.touch().unwrap());
    }
}
