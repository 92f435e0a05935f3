//! The file of ssh's configuration that turns all this on: a link to a file of the package, so that nothing is left that
//! ssh complains of when the package is removed.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use crate::error::{Error, reason};
use crate::paths::Paths;

/// Where ssh looks, from the root.
pub(crate) const LINK: &str = "/etc/ssh/ssh_config.d/20-libvirt-nss.conf";

/// The directory of the package's files, from the root.
const PACKAGED: &str = "/usr/share/libvirt-nss/ssh";

/// The command's path in the package's files.
pub(crate) const COMMAND: &str = "/usr/bin/libvirt-nss";

/// The zone in the package's files.
const ZONE: &str = "vm.internal";

/// What is turned on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parts {
    /// ssh knows guests' host keys.
    HostKeys,
    /// It also goes through the hosts of guests that only these reach.
    HostKeysAndProxy,
}

/// What there is at [`LINK`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum DropIn {
    /// Nothing.
    Absent,
    /// A link to a file of the package that is there.
    Enabled(Parts),
    /// A link to a file of the package that isn't there: ssh ignores it.
    Dangling,
    /// Something else.
    Foreign,
}

impl Parts {
    const ALL: [Self; 2] = [Self::HostKeys, Self::HostKeysAndProxy];

    fn file_name(self) -> &'static str {
        match self {
            Self::HostKeys => "host-keys.conf",
            Self::HostKeysAndProxy => "host-keys-and-proxy.conf",
        }
    }

    fn packaged_text(self) -> &'static str {
        match self {
            Self::HostKeys => include_str!("../../../../packaging/ssh/host-keys.conf"),
            Self::HostKeysAndProxy => {
                include_str!("../../../../packaging/ssh/host-keys-and-proxy.conf")
            }
        }
    }

    /// The package's file, from the root.
    pub(crate) fn packaged(self) -> PathBuf {
        Path::new(PACKAGED).join(self.file_name())
    }

    /// The configuration for any place in a file of one's own, with another zone and the command elsewhere.
    pub(crate) fn text(self, zone: Option<&str>, command: &str) -> String {
        let lines = self.packaged_text().lines();
        let lines = lines.skip_while(|line| line.starts_with('#') || line.is_empty());
        let lines = lines.filter(|line| !line.starts_with('#'));
        let text: String = lines.map(|line| format!("{line}\n")).collect();
        // What stands after a Host or a Match would count for that alone.
        let text = text.replacen("KnownHostsCommand", "Match all\n    KnownHostsCommand", 1);
        text.replace(ZONE, zone.unwrap_or(ZONE)).replace(COMMAND, command)
    }
}

/// Looks at what there is.
///
/// # Errors
/// It can't be looked at.
pub(crate) fn read(paths: &Paths) -> Result<DropIn, Error> {
    let link = paths.below(LINK);
    let target = match fs::read_link(&link) {
        Ok(target) => target,
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Ok(DropIn::Foreign),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(DropIn::Absent),
        Err(error) => return Err(Error::file("read", &link, "run this as root")(error)),
    };
    Ok(match Parts::ALL.into_iter().find(|parts| parts.packaged() == target) {
        Some(parts) if paths.below(&target).exists() => DropIn::Enabled(parts),
        Some(_) => DropIn::Dangling,
        None if target.starts_with(PACKAGED) => DropIn::Dangling,
        None => DropIn::Foreign,
    })
}

/// Makes the link lead to the file for `parts`.
///
/// # Errors
/// Something is missing or in the way.
pub(crate) fn enable(parts: Parts, paths: &Paths) -> Result<(), Error> {
    let link = paths.below(LINK);
    check_packaged(parts, paths)?;
    if read(paths)? == DropIn::Foreign {
        return Err(foreign(&link));
    }
    let directory = link.parent().unwrap_or(Path::new("/"));
    if !directory.is_dir() {
        return Err(Error::Refused(format!(
            "{} doesn't exist: ssh here reads no files from it; put what 'libvirt-nss ssh enable --print' prints at the end \
             of /etc/ssh/ssh_config or ~/.ssh/config",
            directory.display()
        )));
    }
    let root = "run this as root; for yourself alone put what 'libvirt-nss ssh enable --print' prints into ~/.ssh/config";
    // Not replaced in place: at no moment is there a file that ssh can't read.
    let new = link.with_extension("conf.new");
    remove(&new)?;
    symlink(parts.packaged(), &new).map_err(Error::file("create", &new, root))?;
    fs::rename(&new, &link).map_err(Error::file("create", &link, root))
}

/// Removes the link. Whether there was one.
///
/// # Errors
/// It isn't ours, or can't be removed.
pub(crate) fn disable(paths: &Paths) -> Result<bool, Error> {
    let link = paths.below(LINK);
    match read(paths)? {
        DropIn::Absent => Ok(false),
        DropIn::Foreign => Err(foreign(&link)),
        DropIn::Enabled(_) | DropIn::Dangling => remove(&link).map(|()| true),
    }
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::file("remove", path, "run this as root")(error))
        }
        _ => Ok(()),
    }
}

fn foreign(link: &Path) -> Error {
    Error::Refused(format!(
        "{} is not a link to a file of libvirt-nss, and stays as it is; move it away and run this again",
        link.display()
    ))
}

/// With a file that somebody else may write to, ssh ends before it connects to any host.
fn check_packaged(parts: Parts, paths: &Paths) -> Result<(), Error> {
    let file = paths.below(parts.packaged());
    let missing = |path: &Path, why: &str| {
        Error::Refused(format!(
            "{}: {why}; install the package libvirt-nss, or put what 'libvirt-nss ssh enable --print' prints into \
             ~/.ssh/config",
            path.display()
        ))
    };
    let command = paths.below(COMMAND);
    for path in [&command, &file] {
        fs::metadata(path).map_err(|error| missing(path, &reason(&error).to_lowercase()))?;
    }
    match trouble(&file) {
        Some(why) => Err(missing(&file, &why)),
        None => Ok(()),
    }
}

/// Why ssh would refuse the file (ssh_config(5), "FILES": readconf.c checks the owner and the mode), if it would.
pub(crate) fn trouble(file: &Path) -> Option<String> {
    let status = fs::metadata(file).ok()?;
    let own = rustix::process::geteuid().as_raw();
    if status.uid() != 0 && status.uid() != own {
        return Some(format!("it belongs to user {}, and not to root", status.uid()));
    }
    let mode = status.mode() & 0o7777;
    (mode & 0o022 != 0).then(|| format!("others than its owner may write to it (mode {mode:04o})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;
    use testkit::scratch::Scratch;

    /// A system with the package and OpenSSH.
    fn system() -> (Scratch, Paths) {
        let scratch = Scratch::new();
        for directory in ["etc/ssh/ssh_config.d", "usr/share/libvirt-nss/ssh", "usr/bin"] {
            fs::create_dir_all(scratch.join(directory)).unwrap();
        }
        scratch.write("usr/bin/libvirt-nss", "");
        for parts in Parts::ALL {
            let name = format!("usr/share/libvirt-nss/ssh/{}", parts.file_name());
            scratch.write(&name, parts.packaged_text());
            fs::set_permissions(scratch.join(&name), fs::Permissions::from_mode(0o644)).unwrap();
        }
        let paths = Paths::new(Some(scratch.path()), None);
        (scratch, paths)
    }

    #[test]
    fn on_and_off() {
        let (scratch, paths) = system();
        let link = scratch.join("etc/ssh/ssh_config.d/20-libvirt-nss.conf");
        assert_eq!(read(&paths).unwrap(), DropIn::Absent);
        assert!(!disable(&paths).unwrap());
        for parts in [Parts::HostKeys, Parts::HostKeysAndProxy, Parts::HostKeys, Parts::HostKeys] {
            enable(parts, &paths).unwrap();
            assert_eq!(read(&paths).unwrap(), DropIn::Enabled(parts));
            assert_eq!(fs::read_link(&link).unwrap(), parts.packaged());
        }
        assert_eq!(fs::read_dir(link.parent().unwrap()).unwrap().count(), 1);
        // The package is removed.
        fs::remove_dir_all(scratch.join("usr/share/libvirt-nss")).unwrap();
        assert_eq!(read(&paths).unwrap(), DropIn::Dangling);
        assert!(disable(&paths).unwrap());
        assert!(fs::symlink_metadata(&link).is_err());
    }

    #[test]
    fn what_is_in_the_way() {
        let refused = |paths: &Paths| enable(Parts::HostKeys, paths).unwrap_err().to_string();
        let (scratch, paths) = system();
        scratch.write("etc/ssh/ssh_config.d/20-libvirt-nss.conf", "Host *\n");
        assert_eq!(read(&paths).unwrap(), DropIn::Foreign);
        assert!(refused(&paths).contains("is not a link to a file of libvirt-nss"));
        assert!(disable(&paths).unwrap_err().to_string().contains("stays as it is"));

        let (scratch, paths) = system();
        symlink("/etc/passwd", scratch.join("etc/ssh/ssh_config.d/20-libvirt-nss.conf")).unwrap();
        assert_eq!(read(&paths).unwrap(), DropIn::Foreign);
        fs::remove_dir_all(scratch.join("etc/ssh/ssh_config.d")).unwrap();
        assert!(refused(&paths).contains("ssh here reads no files from it"));

        let (scratch, paths) = system();
        let file = scratch.join("usr/share/libvirt-nss/ssh/host-keys.conf");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o664)).unwrap();
        assert!(refused(&paths).contains("(mode 0664)"));
        fs::remove_file(&file).unwrap();
        assert!(refused(&paths).contains("no such file or directory; install the package"));
        fs::remove_file(scratch.join("usr/bin/libvirt-nss")).unwrap();
        assert!(refused(&paths).contains("usr/bin/libvirt-nss: no such file"));
    }

    #[test]
    fn for_a_file_of_ones_own() {
        let keys =
            "Match all\n    KnownHostsCommand /opt/libvirt-nss ssh-known-hosts %I %H %t %K\n";
        assert_eq!(Parts::HostKeys.text(None, "/opt/libvirt-nss"), keys);
        let both = Parts::HostKeysAndProxy.text(Some("vms.example"), COMMAND);
        assert!(both.starts_with("Match all\n"), "{both}");
        assert!(both.contains("\nMatch host *.vms.example,*.vms.example. exec "), "{both}");
        assert!(both.contains("\nMatch host *,!*.*,!*:* exec ") && !both.contains('#'), "{both}");
    }
}
