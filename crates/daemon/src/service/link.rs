//! The link through which look-ups find the snapshot's directory: see
//! [`guest_names::snapshot::format::PATH`].

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::{Path, PathBuf};

/// Its name in the daemon's home.
const NAME: &str = "run";

/// The link, which is removed when this is dropped.
#[derive(Debug)]
pub struct Link(PathBuf);

impl Link {
    /// Lets `home` have a link to `target`, in the place of one that a killed daemon left. Where there is no
    /// home yet, it is made.
    ///
    /// # Errors
    /// The home isn't this user's own, or can't be made; something else than a link is in the way.
    pub fn make(home: &Path, target: &Path) -> io::Result<Self> {
        // systemd makes it (StateDirectory=); without systemd, root may start the daemon.
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
        // A link that stays leads nowhere, and costs look-ups a little time.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::scratch::Scratch;

    #[test]
    fn it_leads_there_as_long_as_it_lives() {
        let directory = Scratch::new();
        let (home, target) = (directory.path().join("home"), directory.path().join("target"));
        let link = Link::make(&home, &target).unwrap();
        assert_eq!(fs::read_link(home.join("run")).unwrap(), target);
        // A daemon that was killed.
        std::mem::forget(link);
        let link = Link::make(&home, &target).unwrap();
        drop(link);
        assert!(fs::symlink_metadata(home.join("run")).is_err());
        // One of another version.
        symlink("elsewhere", home.join("run")).unwrap();
        let link = Link::make(&home, &target).unwrap();
        assert_eq!(fs::read_link(home.join("run")).unwrap(), target);
        drop(link);
        fs::create_dir(home.join("run")).unwrap();
        assert!(Link::make(&home, &target).is_err());
        assert!(Link::make(&directory.path().join("x/home"), &target).is_err());
    }
}
