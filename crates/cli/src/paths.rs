//! The paths of everything that the command reads.

use std::ffi::{CStr, OsStr};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use guest_names::snapshot::format;
use guest_store::paths::{LEASES_HELPERS, SNAPSHOT, STATE_DIRECTORY};
use guest_store::states::Interfaces;

/// By way of the link: see [`format::PATH`].
const SNAPSHOT_BY_LINK: &CStr = format::PATH;

/// The places of this system, or of one that lies below another root.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    root: PathBuf,
    state_directory: Option<PathBuf>,
}

impl Paths {
    pub(crate) fn new(root: Option<&Path>, state_directory: Option<&Path>) -> Self {
        Self {
            root: root.unwrap_or(Path::new("/")).to_owned(),
            state_directory: state_directory.map(Path::to_owned),
        }
    }

    /// An absolute path, below the root in use.
    pub(crate) fn below(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The switch's file, from the root.
    pub(crate) const NSSWITCH: &str = "/etc/nsswitch.conf";

    /// Where authselect keeps what it made, from the root.
    pub(crate) const AUTHSELECT: &str = "/etc/authselect";

    /// The administrator's own lines of what older authselects make, from the root.
    pub(crate) const AUTHSELECT_USER: &str = "/etc/authselect/user-nsswitch.conf";

    /// Whether a path belongs to the system in use, and isn't above its root.
    pub(crate) fn has(&self, path: &Path) -> bool {
        self.is_this_system() || path.starts_with(&self.root)
    }

    /// Whether it is this system, and not one below another root.
    pub(crate) fn is_this_system(&self) -> bool {
        self.root == Path::new("/")
    }

    /// A command line of ours that looks at the same system.
    pub(crate) fn command(&self, words: &str) -> String {
        let directory = self.state_directory.as_ref();
        let directory = directory.map(|directory| format!(" --state-dir {}", directory.display()));
        format!("libvirt-nss {words}{}{}", self.root_option(), directory.unwrap_or_default())
    }

    /// A command line of ours that changes the same system.
    pub(crate) fn sudo_command(&self, words: &str) -> String {
        format!("sudo libvirt-nss {words}{}", self.root_option())
    }

    fn root_option(&self) -> String {
        match self.is_this_system() {
            true => String::new(),
            false => format!(" --root {}", self.root.display()),
        }
    }

    /// What glibc reads first.
    pub(crate) fn nsswitch(&self) -> PathBuf {
        self.below(Self::NSSWITCH)
    }

    /// What glibc falls back to where distributions keep theirs below /usr/etc (openSUSE).
    pub(crate) fn vendor_nsswitch(&self) -> PathBuf {
        self.below("/usr/etc/nsswitch.conf")
    }

    /// Whether these are the paths that programs on this machine use.
    pub(crate) fn are_the_systems(&self) -> bool {
        self.is_this_system() && self.state_directory.is_none()
    }

    /// Whether the state directory is the one that the modules of that system read.
    pub(crate) fn is_without_own_directory(&self) -> bool {
        self.state_directory.is_none()
    }

    /// hosts(5), the names that the service `files` knows.
    pub(crate) fn hosts_file(&self) -> PathBuf {
        self.below("/etc/hosts")
    }

    /// Where systemd-resolved is asked, while it runs.
    pub(crate) fn resolved_socket(&self) -> PathBuf {
        self.below("/run/systemd/resolve/io.systemd.Resolve")
    }

    /// Where nscd is asked, while it or nsncd runs (glibc, nscd/nscd-client.h).
    pub(crate) fn nscd_socket(&self) -> PathBuf {
        self.below("/var/run/nscd/socket")
    }

    /// nscd.conf(5).
    pub(crate) fn nscd_conf(&self) -> PathBuf {
        self.below("/etc/nscd.conf")
    }

    /// Where distributions have libvirt's leases helper.
    pub(crate) fn leases_helpers(&self) -> Vec<PathBuf> {
        LEASES_HELPERS.iter().map(|helper| self.below(helper)).collect()
    }

    /// The network interfaces that exist, among which a bridge must be; an image that isn't running has none
    /// that could be asked, and a state directory of another system has others.
    pub(crate) fn interfaces(&self) -> Interfaces {
        match self.state_directory {
            Some(_) => Interfaces::Unknown,
            None => Interfaces::read(&self.below("/sys/class/net")),
        }
    }

    /// This host's own name.
    pub(crate) fn host_name(&self) -> String {
        if self.is_this_system() {
            return rustix::system::uname().nodename().to_string_lossy().into_owned();
        }
        fs::read_to_string(self.below("/etc/hostname")).unwrap_or_default().trim().to_owned()
    }

    /// An absolute path with all links resolved within the root in use.
    ///
    /// # Errors
    /// A part of it is missing, or there are too many links.
    pub(crate) fn real(&self, path: impl AsRef<Path>) -> io::Result<PathBuf> {
        let mut rest: Vec<PathBuf> = parts(path.as_ref());
        let mut real = PathBuf::from("/");
        let mut links = 0;
        while let Some(part) = rest.pop() {
            if part == Path::new("..") {
                real.pop();
                continue;
            }
            let next = real.join(&part);
            let below = self.below(&next);
            if !fs::symlink_metadata(&below)?.is_symlink() {
                real = next;
                continue;
            }
            links += 1;
            if links > 40 {
                return Err(rustix::io::Errno::LOOP.into());
            }
            let link = fs::read_link(&below)?;
            if link.is_absolute() {
                real = PathBuf::from("/");
            }
            rest.extend(parts(&link));
        }
        Ok(real)
    }

    /// Where a file is or would be, with the links of its directory resolved within the root in use.
    ///
    /// # Errors
    /// A part of the directory can't be read, is a link that leads nowhere, or there are too many links.
    pub(crate) fn place(&self, path: impl AsRef<Path>) -> io::Result<PathBuf> {
        let path = path.as_ref();
        for directory in path.ancestors().skip(1) {
            match self.real(directory) {
                Ok(real) => {
                    let missing = path.strip_prefix(directory).map_err(io::Error::other)?;
                    let (real, mut parts) = (self.below(real), missing.components());
                    let first = parts.next().map(|first| real.join(first));
                    // Outside of the root, a link of a missing directory may lead somewhere.
                    if parts.next().is_some() && first.is_some_and(|first| first.is_symlink()) {
                        return Err(io::ErrorKind::NotFound.into());
                    }
                    return Ok(real.join(missing));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.below(path))
    }

    /// Leases and MAC maps. Links to it stay below the root.
    pub(crate) fn state_directory(&self) -> PathBuf {
        match &self.state_directory {
            Some(directory) => directory.clone(),
            None if self.is_this_system() => PathBuf::from(STATE_DIRECTORY),
            None => {
                let real = self.real(STATE_DIRECTORY);
                self.below(real.unwrap_or_else(|_| STATE_DIRECTORY.into()))
            }
        }
    }

    /// The daemon's snapshot, which belongs to the system's own state directory, where the modules find it;
    /// `None` where another is read.
    pub(crate) fn snapshot(&self) -> Option<PathBuf> {
        let place = if self.is_this_system() {
            PathBuf::from(OsStr::from_bytes(SNAPSHOT_BY_LINK.to_bytes()))
        } else {
            self.below(SNAPSHOT)
        };
        self.state_directory.is_none().then_some(place)
    }

    /// Where the daemon itself puts it.
    pub(crate) fn snapshot_itself(&self) -> PathBuf {
        self.below(SNAPSHOT)
    }
}

/// The names of a path, the last one first.
fn parts(path: &Path) -> Vec<PathBuf> {
    let named = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(PathBuf::from(name)),
        Component::ParentDir => Some(PathBuf::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    let mut names: Vec<PathBuf> = named.collect();
    names.reverse();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use testkit::scratch::Scratch;

    #[test]
    fn the_snapshot_is_the_modules_own() {
        let place = |root: &str, state: Option<&str>| {
            Paths::new(Some(Path::new(root)), state.map(Path::new)).snapshot()
        };
        let path = format::PATH.to_str().unwrap();
        assert_eq!(place("/", None), Some(PathBuf::from(path)));
        let image = "/image/run/libvirt-nss/names.cdb";
        assert_eq!(place("/image", None), Some(PathBuf::from(image)));
        assert_eq!(place("/", Some("/elsewhere")), None);
    }

    #[test]
    fn links_stay_below_the_root() {
        let directory = Scratch::new();
        let root = directory.path();
        let paths = Paths::new(Some(root), None);
        fs::create_dir_all(root.join("etc/authselect")).unwrap();
        directory.write("etc/authselect/nsswitch.conf", "");
        symlink("/etc/authselect/nsswitch.conf", root.join("etc/nsswitch.conf")).unwrap();
        symlink("../../../etc", root.join("etc/up")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let real = |path: &str| paths.real(path).map(|path| path.display().to_string());
        assert_eq!(real("/etc/nsswitch.conf").unwrap(), "/etc/authselect/nsswitch.conf");
        assert_eq!(real("/etc/up/up/nsswitch.conf").unwrap(), "/etc/authselect/nsswitch.conf");
        assert_eq!(real("/../etc/./authselect").unwrap(), "/etc/authselect");
        assert!(real("/loop").is_err());
        assert!(real("/nowhere").is_err());
        let place = |path: &str| paths.place(path).unwrap().strip_prefix(root).unwrap().to_owned();
        assert_eq!(place("/etc/up/new/file"), Path::new("etc/new/file"));
        assert_eq!(place("/etc/nsswitch.conf"), Path::new("etc/nsswitch.conf"));
        symlink(root, root.join("etc/out")).unwrap();
        for bad in ["/loop/file", "/etc/out/file", "/etc/out/etc/file"] {
            assert!(paths.place(bad).is_err(), "{bad}");
        }
    }
}
