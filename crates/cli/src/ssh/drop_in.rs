//! The file in ssh's configuration that makes ssh run this command. It is a link to a file of the package, so that
//! removing the package leaves nothing that ssh would complain about.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use crate::error::{Error, reason};
use crate::paths::Paths;

/// The link, as a path below the root directory.
pub(crate) const LINK: &str = "/etc/ssh/ssh_config.d/20-libvirt-nss.conf";

/// The directory of the package's files, as a path below the root directory.
const PACKAGED: &str = "/usr/share/libvirt-nss/ssh";

/// The path of the command that the package's files name.
pub(crate) const COMMAND: &str = "/usr/bin/libvirt-nss";

/// The zone that the package's files name.
const ZONE: &str = "vm.internal";

/// Which parts are turned on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parts {
    /// ssh knows guests' host keys.
    HostKeys,
    /// ssh also reaches guests through their hosts, if only these can reach them.
    HostKeysAndProxy,
}

/// What is at [`LINK`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum DropIn {
    /// Nothing.
    Absent,
    /// A link to a file of the package that exists.
    Enabled(Parts),
    /// A link to a file of the package that doesn't exist: ssh ignores it.
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

    /// The package's file, as a path below the root directory.
    pub(crate) fn packaged(self) -> PathBuf {
        Path::new(PACKAGED).join(self.file_name())
    }

    /// The configuration as text for a user's own file, at any place in it, with another zone or
    /// another path of the command.
    pub(crate) fn text(self, zone: Option<&str>, command: &str) -> String {
        let lines = self.packaged_text().lines();
        let lines = lines.skip_while(|line| line.starts_with('#') || line.is_empty());
        let lines = lines.filter(|line| !line.starts_with('#'));
        let text: String = lines.map(|line| format!("{line}\n")).collect();
        // A line that follows a Host or Match line would apply to that block only.
        let text = text.replacen("KnownHostsCommand", "Match all\n    KnownHostsCommand", 1);
        text.replace(ZONE, zone.unwrap_or(ZONE)).replace(COMMAND, command)
    }
}

/// Reads what is at [`LINK`].
///
/// # Errors
/// The path can't be read.
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

/// Points the link to the package's file for `parts`.
///
/// # Errors
/// Something that the link needs is missing, or the path is taken by another file.
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
    // A new link is renamed over the old one, so that ssh always finds a complete configuration.
    let new = link.with_extension("conf.new");
    remove(&new)?;
    symlink(parts.packaged(), &new).map_err(Error::file("create", &new, root))?;
    fs::rename(&new, &link).map_err(Error::file("create", &link, root))
}

/// Removes the link, and returns whether there was one.
///
/// # Errors
/// The link isn't ours, or can't be removed.
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

/// ssh refuses to connect to any host if others can write to one of its configuration files.
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

/// Why ssh would reject the file, if it would: readconf.c checks the owner and the mode (ssh_config(5), "FILES").
pub(crate) fn trouble(file: &Path) -> Option<String> {
    let status = fs::metadata(file).ok()?;
    let own = rustix::process::geteuid().as_raw();
    if status.uid() != 0 && status.uid() != own {
        return Some(format!("it belongs to user {}, not to root", status.uid()));
    }
    let mode = status.mode() & 0o7777;
    (mode & 0o022 != 0)
        .then(|| format!("users other than its owner may write to it (mode {mode:04o})"))
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
