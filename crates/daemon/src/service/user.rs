//! The user that the service runs as, and the current user.

use std::env;
use std::ffi::CString;
use std::fmt;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use nix::errno::Errno;
use nix::unistd::{Group, User, getegid, geteuid, getgroups, initgroups, setgid, setuid};

/// The service's user: `User=` in its unit, and sysusers.d.
pub const SERVICE_USER: &str = "libvirt-nssd";

/// Why the process can't become the service's user.
#[derive(Debug)]
pub enum Error {
    /// A system call failed.
    System(Errno),
    /// The program can't be executed again.
    Exec(io::Error),
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = match self {
            Self::System(errno) => guest_store::reason(&(*errno).into()),
            Self::Exec(error) => guest_store::reason(error),
        };
        write!(
            f,
            "cannot become the user {SERVICE_USER}: {reason}; without --check as root, try: runuser -u \
             {SERVICE_USER} -- libvirt-nssd --check"
        )
    }
}

impl From<Errno> for Error {
    fn from(errno: Errno) -> Self {
        Self::System(errno)
    }
}

/// If root runs this, and the service's user exists, executes the program again as that user, with its groups and home, as
/// systemd does. Otherwise returns without changing anything.
///
/// # Errors
/// [`Error`].
pub fn become_the_services() -> Result<(), Error> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let Some(user) = User::from_name(SERVICE_USER)? else { return Ok(()) };
    let name = CString::new(SERVICE_USER).map_err(|_| Errno::EINVAL)?;
    initgroups(&name, user.gid)?;
    setgid(user.gid)?;
    setuid(user.uid)?;
    let mut again = Command::new("/proc/self/exe");
    again.arg0("libvirt-nssd").args(env::args_os().skip(1));
    again.env("HOME", &user.dir).env("USER", SERVICE_USER).env("LOGNAME", SERVICE_USER);
    Err(Error::Exec(again.exec()))
}

/// Describes the user of this process.
#[must_use]
pub fn describe() -> String {
    let (uid, gid) = (geteuid(), getegid());
    let user = User::from_uid(uid).ok().flatten();
    let name = user.map_or_else(|| uid.to_string(), |user| user.name);
    let mut all = vec![gid];
    all.extend(getgroups().unwrap_or_default().into_iter().filter(|group| *group != gid));
    let group_name = |gid| {
        let group = Group::from_gid(gid).ok().flatten();
        group.map_or_else(|| gid.to_string(), |group| group.name)
    };
    let groups: Vec<String> = all.into_iter().map(group_name).collect();
    let note = if name == SERVICE_USER {
        ""
    } else if uid.is_root() {
        "; the service's user libvirt-nssd does not exist: run 'systemd-sysusers'"
    } else {
        "; the service runs as libvirt-nssd: as root, this checks what it may do"
    };
    format!("{name} (groups: {}){note}", groups.join(", "))
}
