//! The link through which look-ups find the snapshot's directory: see
//! [`guest_names::snapshot::format::PATH`].

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::{Path, PathBuf};

/// The link's name in the daemon's home directory.
const NAME: &str = "run";

/// The link. It is removed when this is dropped.
#[derive(Debug)]
pub struct Link(PathBuf);

impl Link {
    /// Creates a link to `target` in `home`, which is created if necessary. Replaces a link that a killed daemon left.
    ///
    /// # Errors
    /// `home` doesn't belong to this user, or can't be created; something other than a link is in the way.
    pub fn make(home: &Path, target: &Path) -> io::Result<Self> {
        // systemd creates it (StateDirectory=). Without systemd, root may start the daemon.
        match fs::DirBuilder::new().mode(0o755).create(home) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let path = home.join(NAME);
        match fs::read_link(&path) {
            Ok(old) if old == target => return Ok(Self(path)),
            Ok(_) => fs::remove_file(&path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        symlink(target, &path)?;
        Ok(Self(path))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // A link that stays behind does no harm: it dangles, and costs look-ups a little time.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::scratch::Scratch;

    #[test]
    fn the_link_exists_until_it_is_dropped() {
        let directory = Scratch::new();
        let (home, target) = (directory.path().join("home"), directory.path().join("target"));
        let link = Link::make(&home, &target).unwrap();
        assert_eq!(fs::read_link(home.join("run")).unwrap(), target);
        // As if the daemon was killed.
        std::mem::forget(link);
        let link = Link::make(&home, &target).unwrap();
        drop(link);
        assert!(fs::symlink_metadata(home.join("run")).is_err());
        // A link from another version.
        symlink("elsewhere", home.join("run")).unwrap();
        let link = Link::make(&home, &target).unwrap();
        assert_eq!(fs::read_link(home.join("run")).unwrap(), target);
        drop(link);
        fs::create_dir(home.join("run")).unwrap();
        assert!(Link::make(&home, &target).is_err());
        assert!(Link::make(&directory.path().join("x/home"), &target).is_err());
    }
}
