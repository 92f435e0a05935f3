//! A state directory like libvirt's: a `.status` and a `.macs` file for each bridge. Each is rewritten by renaming a
//! new file over the old one.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::json::{Lease, MacMap, macs_file, status_file};

/// The directory that the modules read.
pub const STATE_DIRECTORY: &str = "/var/lib/libvirt/dnsmasq";

/// A directory of state files. Nothing is removed on drop.
#[derive(Clone, Debug)]
pub struct StateDir {
    path: PathBuf,
}

/// # Panics
///
/// Every method panics with the file's name if the file system refuses.
impl StateDir {
    /// The state directory at `path`, which must exist.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> StateDir {
        StateDir { path: path.into() }
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in it.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Replaces a bridge's `.status` file.
    pub fn leases(&self, bridge: &str, leases: &[Lease]) -> &StateDir {
        self.write(&format!("{bridge}.status"), status_file(leases))
    }

    /// Replaces a bridge's `.macs` file.
    pub fn macs(&self, bridge: &str, maps: &[MacMap]) -> &StateDir {
        self.write(&format!("{bridge}.macs"), macs_file(maps))
    }

    /// Replaces a file by rename, as libvirt does.
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> &StateDir {
        let (new, old) = (self.file(&format!("{name}.new")), self.file(name));
        done(fs::write(&new, contents), &new);
        done(fs::rename(&new, &old), &old);
        self
    }

    /// Overwrites a file in place, which libvirt never does: readers can see a part of it.
    pub fn overwrite(&self, name: &str, contents: impl AsRef<[u8]>) -> &StateDir {
        let path = self.file(name);
        done(fs::write(&path, contents), &path);
        self
    }

    /// Removes a file if it exists.
    pub fn remove(&self, name: &str) -> &StateDir {
        let path = self.file(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => done(result, &path),
        }
        self
    }

    /// Removes everything in the directory.
    pub fn clear(&self) -> &StateDir {
        for entry in done(fs::read_dir(&self.path), &self.path) {
            let path = done(entry, &self.path).path();
            if path.is_dir() && !path.is_symlink() {
                done(fs::remove_dir_all(&path), &path);
            } else {
                done(fs::remove_file(&path), &path);
            }
        }
        self
    }

    /// Creates a FIFO in place of a file.
    pub fn fifo(&self, name: &str) -> &StateDir {
        let path = self.file(name);
        let c_path = std::ffi::CString::new(path.as_os_str().as_encoded_bytes())
            .expect("our paths have no NUL");
        // SAFETY: `c_path` is a string.
        let made = unsafe { libc::mkfifo(c_path.as_ptr(), 0o644) };
        done(if made == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }, &path);
        self
    }

    /// Creates a directory in place of a file.
    pub fn directory(&self, name: &str) -> &StateDir {
        let path = self.file(name);
        done(fs::create_dir(&path), &path);
        self
    }

    /// Creates a symbolic link in place of a file.
    pub fn link(&self, name: &str, target: &str) -> &StateDir {
        let path = self.file(name);
        done(symlink(target, &path), &path);
        self
    }

    /// Sets a file's permission bits; an empty name stands for the directory itself.
    pub fn mode(&self, name: &str, mode: u32) -> &StateDir {
        let path = self.file(name);
        done(fs::set_permissions(&path, fs::Permissions::from_mode(mode)), &path);
        self
    }
}

fn done<T>(result: io::Result<T>, path: &Path) -> T {
    result.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
