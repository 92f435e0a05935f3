//! Every way in which the helper fails. Each message is one line that names the file and the next step, since dnsmasq
//! logs it. The exit status is always 1, as with libvirt's helper.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::limits::LARGEST_LIST;

/// Why an event could not be recorded. Except for [`Error::NotDurable`], the list is unchanged.
#[derive(Debug)]
pub enum Error {
    /// The helper takes another number of arguments; holds the program's name.
    Usage(OsString),
    /// Neither `DNSMASQ_INTERFACE` nor `VIR_BRIDGE_NAME` is in the environment.
    NoBridge,
    /// The bridge's name is not one that the kernel accepts for an interface.
    BadBridge(OsString),
    /// dnsmasq has no such action.
    UnknownAction(OsString),
    /// A lease without an IP address.
    NoAddress,
    /// The time or length of the lease is not a number of seconds.
    BadSeconds {
        /// The environment variable.
        variable: &'static str,
        /// Its value.
        value: OsString,
    },
    /// Another process has held the lock for longer than `patience`.
    Locked {
        /// The lock file.
        path: PathBuf,
        /// The process that holds it, if the kernel reports it.
        holder: Option<i32>,
        /// How long the helper waited.
        patience: Duration,
    },
    /// A system call on a file failed.
    File {
        /// What was tried, as in "cannot `doing` FILE".
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The path of a list, or of the lock, is not a regular file.
    NotAFile(PathBuf),
    /// The lock's file has another name, so it is another program's file.
    HasOtherNames(PathBuf),
    /// The list is, or would become, larger than its readers accept.
    TooLarge(PathBuf),
    /// The new list is in place, but the disk did not confirm the write.
    NotDurable {
        /// The list.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The output could not be printed.
    Output(io::Error),
}

impl Error {
    /// For `map_err`: makes an error from a failed system call on a file.
    pub(crate) fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { doing, path, source }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(program) => {
                write!(f, "wrong number of arguments; `{} --help` lists them", one_line(program))
            }
            Self::NoBridge => f.write_str(
                "no bridge is given; set DNSMASQ_INTERFACE (as dnsmasq does) or VIR_BRIDGE_NAME (as libvirt does)",
            ),
            Self::BadBridge(name) => write!(
                f,
                "{} is not a valid interface name; check DNSMASQ_INTERFACE and VIR_BRIDGE_NAME",
                one_line(name)
            ),
            Self::UnknownAction(action) => write!(
                f,
                "unknown action {}; use add, old or del to change the list, init to print it",
                one_line(action)
            ),
            Self::NoAddress => {
                f.write_str("the lease has no IP address; pass the MAC or client id, then the address")
            }
            Self::BadSeconds { variable, value } => write!(
                f,
                "{variable} is {}, not a number of seconds; the list is unchanged; check what sets it",
                one_line(value)
            ),
            Self::Locked { path, holder, patience } => {
                write!(f, "{} has been locked for {} s", path.display(), patience.as_secs())?;
                if let Some(pid) = holder {
                    write!(f, " by process {pid}")?;
                }
                f.write_str("; the list is unchanged; find out what that process is waiting for, or end it")
            }
            Self::File { doing, path, source } => {
                write!(f, "cannot {doing} {}: {source}; the list is unchanged; ", path.display())?;
                f.write_str(next_step(source))
            }
            Self::NotAFile(path) => write!(
                f,
                "{} is not a regular file; the list is unchanged; move it away",
                path.display()
            ),
            Self::HasOtherNames(path) => write!(
                f,
                "{} has another name (a hard link); the list is unchanged; move it away",
                path.display()
            ),
            Self::TooLarge(path) => write!(
                f,
                "{} is larger than the {} MiB that its readers accept; the list is unchanged; \
                 move the file away to start a new one",
                path.display(),
                LARGEST_LIST >> 20
            ),
            Self::NotDurable { path, source } => write!(
                f,
                "{} is written, but the disk did not confirm it: {source}; \
                 a power cut may restore the old list; check the disk",
                path.display()
            ),
            Self::Output(source) => {
                write!(f, "cannot write to stdout: {source}; check what reads it")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File { source, .. } | Self::NotDurable { source, .. } | Self::Output(source) => {
                Some(source)
            }
            _ => None,
        }
    }
}

/// What the administrator can do about a failed system call.
fn next_step(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some space on that file system"
        }
        io::ErrorKind::ReadOnlyFilesystem => "remount that file system read-write",
        io::ErrorKind::PermissionDenied => "run it as root, and check AppArmor or SELinux",
        io::ErrorKind::NotFound => "start a network (virsh net-start), which creates the directory",
        _ => "check that file and its disk",
    }
}

/// Text from outside, in quotes and on one line.
fn one_line(name: &OsString) -> String {
    format!("\"{}\"", name.as_encoded_bytes().escape_ascii())
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn every_message_is_one_line() {
        let hostile = || OsString::from_vec(b"a\nb\x1b[31m\xff\"".to_vec());
        let file = || PathBuf::from("/var/lib/libvirt/dnsmasq/virbr0.status");
        let failed = || io::Error::from_raw_os_error(libc::ENOSPC);
        let errors = [
            Error::Usage(hostile()),
            Error::NoBridge,
            Error::BadBridge(hostile()),
            Error::UnknownAction(hostile()),
            Error::NoAddress,
            Error::BadSeconds { variable: "DNSMASQ_LEASE_EXPIRES", value: hostile() },
            Error::Locked { path: file(), holder: Some(7), patience: Duration::from_secs(30) },
            Error::file("write", &file())(failed()),
            Error::NotAFile(file()),
            Error::HasOtherNames(file()),
            Error::TooLarge(file()),
            Error::NotDurable { path: file(), source: failed() },
            Error::Output(failed()),
        ];
        for error in errors {
            let text = error.to_string();
            assert!(text.bytes().all(|b| (b' '..=b'~').contains(&b)), "{text:?}");
            assert!(text.contains(';') || text.contains(':'), "no next step: {text}");
        }
    }
}
