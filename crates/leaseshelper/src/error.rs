//! Every way in which the helper fails. Each is one line that names the file and the next step: dnsmasq puts it
//! in its log. Whatever the failure, the exit status is 1, as libvirt's own helper has it.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::store::LARGEST_LIST;

/// Why an event could not be written down. But for [`Error::NotDurable`], the list is what it was before.
#[derive(Debug)]
pub enum Error {
    /// Another number of arguments than the helper takes; holds the program's name.
    Usage(OsString),
    /// Neither `DNSMASQ_INTERFACE` nor `VIR_BRIDGE_NAME` is in the environment.
    NoBridge,
    /// The bridge's name is none that the kernel would give an interface.
    BadBridge(OsString),
    /// An action that says nothing of leases, such as dnsmasq's `tftp`.
    UnknownAction(OsString),
    /// A lease without an IP address.
    NoAddress,
    /// `DNSMASQ_LEASE_EXPIRES` is no number of seconds.
    BadExpiry(OsString),
    /// Somebody has held the lock for longer than `patience`.
    Locked {
        /// The lock file.
        path: PathBuf,
        /// The process that has it, where the kernel knows.
        holder: Option<i32>,
        /// How long was waited.
        patience: Duration,
    },
    /// A system call on a file failed.
    File {
        /// What was tried, as in "cannot `doing` FILE".
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The list's place is taken by something that is no file.
    NotAFile(PathBuf),
    /// The list is larger, or would become larger, than what any of its readers takes.
    TooLarge(PathBuf),
    /// The new list is in place, but the disk did not confirm it.
    NotDurable {
        /// The list.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What was asked for could not be printed.
    Output(io::Error),
}

impl Error {
    /// Makes the adapter for `map_err` that says what was tried with which file.
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
                "no bridge is named: dnsmasq sets DNSMASQ_INTERFACE and libvirt VIR_BRIDGE_NAME; set one of them",
            ),
            Self::BadBridge(name) => write!(
                f,
                "{} is no interface name, so it has no list of leases; \
                 check DNSMASQ_INTERFACE and VIR_BRIDGE_NAME",
                one_line(name)
            ),
            Self::UnknownAction(action) => write!(
                f,
                "nothing to do for the action {}: the list changes with add, old and del, and init prints it",
                one_line(action)
            ),
            Self::NoAddress => {
                f.write_str("the lease has no IP address; give MAC or client id, then the address")
            }
            Self::BadExpiry(text) => write!(
                f,
                "DNSMASQ_LEASE_EXPIRES is {}, no number of seconds since 1970; \
                 the list is unchanged; check what sets it",
                one_line(text)
            ),
            Self::Locked { path, holder, patience } => {
                write!(f, "{} has been locked for {} s", path.display(), patience.as_secs())?;
                if let Some(pid) = holder {
                    write!(f, " by process {pid}")?;
                }
                f.write_str("; the list is unchanged; see what that process waits for, and end it")
            }
            Self::File { doing, path, source } => {
                write!(f, "cannot {doing} {}: {source}; the list is unchanged; ", path.display())?;
                f.write_str(next_step(source))
            }
            Self::NotAFile(path) => write!(
                f,
                "{} is no regular file; the list is unchanged; move it away",
                path.display()
            ),
            Self::TooLarge(path) => write!(
                f,
                "{} is larger than the {} MiB that its readers take; the list is unchanged; \
                 move the file away to begin a new one",
                path.display(),
                LARGEST_LIST >> 20
            ),
            Self::NotDurable { path, source } => write!(
                f,
                "{} is written, but the disk did not confirm it: {source}; \
                 a power cut may bring the old list back; check the disk",
                path.display()
            ),
            Self::Output(source) => {
                write!(f, "cannot print to stdout: {source}; check what reads it")
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

/// What a person can do about a failed system call.
fn next_step(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "make room on that file system"
        }
        io::ErrorKind::ReadOnlyFilesystem => "remount that file system for writing",
        io::ErrorKind::PermissionDenied => "run it as root, and check AppArmor or SELinux",
        io::ErrorKind::NotFound => "start a network (virsh net-start), which makes the directory",
        _ => "check that file and its disk",
    }
}

/// A name that came from outside, in quotes and on one line.
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
            Error::BadExpiry(hostile()),
            Error::Locked { path: file(), holder: Some(7), patience: Duration::from_secs(30) },
            Error::file("write", &file())(failed()),
            Error::NotAFile(file()),
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
