//! Finding nsswitch.conf: past links, below another root, where distributions keep it.

use std::io;
use std::path::{Path, PathBuf};

use super::replace;
use crate::error::Error;
use crate::paths::Paths;

/// Who manages the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The administrator.
    Administrator,
    /// authselect(8), which generates it from a profile.
    Authselect,
    /// The distribution: the file below /usr/etc is used, as /etc has none.
    Vendor,
    /// The system's configuration, from which it is generated; it is read-only (NixOS, Guix).
    Store,
}

/// The file, as it was read.
#[derive(Debug)]
pub(crate) struct Conf {
    /// As people name it.
    pub(crate) path: PathBuf,
    /// The real file, with all links resolved; for a vendor's file, where a copy goes.
    pub(crate) target: PathBuf,
    pub(crate) owner: Owner,
    pub(crate) text: Vec<u8>,
}

/// Reads the file.
///
/// # Errors
/// It is missing, leads nowhere, or can't be read.
pub(crate) fn read(paths: &Paths) -> Result<Conf, Error> {
    let path = paths.nsswitch();
    let vendor = paths.vendor_nsswitch();
    let missing = !path.is_symlink() && !path.exists();
    if missing && vendor.is_file() {
        let text = replace::read(&vendor)?;
        let target = place_of_missing(paths)?;
        return Ok(Conf { path, target, owner: Owner::Vendor, text });
    }
    let real = paths.real(Paths::NSSWITCH).map_err(failed(&path))?;
    let target = paths.below(&real);
    if !target.is_file() {
        return Err(failed(&target)(io::Error::from(rustix::io::Errno::INVAL)));
    }
    let text = replace::read(&target)?;
    let owner = if real.starts_with("/nix/store") || real.starts_with("/gnu/store") {
        Owner::Store
    } else if real.parent() == Some(Path::new(Paths::AUTHSELECT)) {
        Owner::Authselect
    } else {
        Owner::Administrator
    };
    Ok(Conf { path, target, owner, text })
}

/// Whether there is none at all, not even the distribution's.
pub(crate) fn is_gone(paths: &Paths) -> bool {
    let path = paths.nsswitch();
    !path.is_symlink() && !path.exists() && !paths.vendor_nsswitch().is_file()
}

/// Where the missing file would be, with the links of its directory resolved.
///
/// # Errors
/// Its directory doesn't exist.
pub(crate) fn place_of_missing(paths: &Paths) -> Result<PathBuf, Error> {
    let path = paths.nsswitch();
    let name = path.file_name().unwrap_or_default().to_owned();
    let directory = Path::new(Paths::NSSWITCH).parent().unwrap_or(Path::new("/"));
    let directory = paths.real(directory).map_err(failed(&path))?;
    Ok(paths.below(directory).join(name))
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> Error {
    Error::file("read", path, "see nsswitch.conf(5), or use --root for another system")
}

/// The backup: the file as it was before the command changed it.
pub(crate) fn backup(target: &Path) -> PathBuf {
    with_name(target, "", ".libvirt-nss-backup")
}

/// Where a new version of a file is written, in the same directory.
pub(crate) fn new_version(target: &Path) -> PathBuf {
    with_name(target, ".", ".libvirt-nss-new")
}

fn with_name(path: &Path, prefix: &str, suffix: &str) -> PathBuf {
    let mut name = std::ffi::OsString::from(prefix);
    name.push(path.file_name().unwrap_or_default());
    name.push(suffix);
    path.with_file_name(name)
}
