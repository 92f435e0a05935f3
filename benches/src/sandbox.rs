//! A mount namespace of the program's own, with a file system in memory at libvirt's state directory. The kernel
//! removes it with the last process in it, and nothing outside can see it.

use std::ffi::{CString, c_char, c_ulong};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::ptr;

use crate::error::{Context, Error, Result};

/// Where the modules look for state files.
pub(crate) const STATE_DIRECTORY: &str = "/var/lib/libvirt/dnsmasq";

/// Where the daemon puts its snapshot.
pub(crate) const RUNTIME_DIRECTORY: &str = "/run/libvirt-nss";

const NSSWITCH: &str = "/etc/nsswitch.conf";

/// The namespace that the process is in.
pub(crate) struct Sandbox {
    root: PathBuf,
}

impl Sandbox {
    /// Enters a new namespace. The process must have only one thread.
    pub(crate) fn enter() -> Result<Self> {
        separate()?;
        mount("none", Path::new("/"), None, libc::MS_REC | libc::MS_PRIVATE)?;
        let libvirt = Path::new("/var/lib/libvirt");
        // A directory that doesn't exist can't be mounted on, but its parent always exists.
        let root = if libvirt.is_dir() { libvirt } else { Path::new("/var/lib") };
        mount("tmpfs", root, Some("tmpfs"), 0)?;
        fs::create_dir_all(STATE_DIRECTORY).context(STATE_DIRECTORY)?;
        // Hides a daemon that runs on this machine: see `daemons_directories`.
        mount("tmpfs", Path::new("/run"), Some("tmpfs"), 0)?;
        Ok(Self { root: root.to_owned() })
    }

    /// A new directory in memory, beside the state directory.
    pub(crate) fn directory(&self, name: &str) -> Result<PathBuf> {
        let path = self.root.join("bench").join(name);
        fs::create_dir_all(&path).context(path.display())?;
        Ok(path)
    }

    /// Creates the daemon's directories, as its service does. Dropping the result removes them.
    pub(crate) fn daemons_directories(&self) -> Result<DaemonsDirectories> {
        // What already exists must also be visible in the new /var/lib, which has room for the daemon's home.
        let kept = Path::new("/run/kept");
        let state = Path::new("/var/lib/libvirt");
        fs::create_dir_all(kept).context(kept.display())?;
        mount(&state.to_string_lossy(), kept, None, libc::MS_BIND | libc::MS_REC)?;
        mount("tmpfs", Path::new("/var/lib"), Some("tmpfs"), 0)?;
        let directories = DaemonsDirectories(());
        fs::create_dir(state).context(state.display())?;
        mount(&kept.to_string_lossy(), state, None, libc::MS_BIND | libc::MS_REC)?;
        fs::create_dir(RUNTIME_DIRECTORY).context(RUNTIME_DIRECTORY)?;
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(RUNTIME_DIRECTORY, mode).context(RUNTIME_DIRECTORY)?;
        Ok(directories)
    }

    /// Writes this `hosts` line to nsswitch.conf.
    pub(crate) fn hosts_line(&self, services: &str) -> Result<()> {
        let file = self.directory("etc")?.join("nsswitch.conf");
        fs::write(&file, format!("hosts: {services}\n")).context(file.display())?;
        let source = file.to_string_lossy().into_owned();
        mount(&source, Path::new(NSSWITCH), None, libc::MS_BIND)
    }
}

/// See [`Sandbox::daemons_directories`].
pub(crate) struct DaemonsDirectories(());

impl Drop for DaemonsDirectories {
    fn drop(&mut self) {
        // Whatever can't be unmounted here is removed with the namespace.
        let _ = fs::remove_dir_all(RUNTIME_DIRECTORY);
        for place in [c"/var/lib", c"/run/kept"] {
            // SAFETY: a C string.
            unsafe { libc::umount2(place.as_ptr(), libc::MNT_DETACH) };
        }
    }
}

/// Creates a mount namespace and, if only root may do that, a user namespace with it.
fn separate() -> Result<()> {
    // SAFETY: they take nothing and return numbers.
    let user = unsafe { libc::getuid() };
    // SAFETY: the same.
    let group = unsafe { libc::getgid() };
    // SAFETY: takes a number.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } == 0 {
        return Ok(());
    }
    let refused = io::Error::last_os_error();
    // SAFETY: the same.
    if unsafe { libc::unshare(libc::CLONE_NEWNS | libc::CLONE_NEWUSER) } != 0 {
        return Err(Error::new(format!("a mount namespace: {refused}; run it as root")));
    }
    for (file, text) in [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/uid_map", format!("0 {user} 1")),
        ("/proc/self/gid_map", format!("0 {group} 1")),
    ] {
        fs::write(file, text).context(file)?;
    }
    Ok(())
}

fn mount(source: &str, target: &Path, kind: Option<&str>, flags: c_ulong) -> Result<()> {
    let text = |text: &str| CString::new(text).context(text);
    let (c_source, c_target) = (text(source)?, text(&target.to_string_lossy())?);
    let c_kind = kind.map(text).transpose()?;
    let kind: *const c_char = c_kind.as_ref().map_or(ptr::null(), |kind| kind.as_ptr());
    // SAFETY: C strings that outlive the call, or NULL where mount(2) allows it.
    let done =
        unsafe { libc::mount(c_source.as_ptr(), c_target.as_ptr(), kind, flags, ptr::null()) };
    if done == 0 {
        return Ok(());
    }
    Err(io::Error::last_os_error()).context(format!("mounting {source} on {}", target.display()))
}
