//! Errors when using libvirt. Each message is one line, with libvirt's own message and the next step.

use std::fmt;
use std::io;
use std::time::Duration;

use virt::enumutil::RawEnum;
use virt::error::ErrorNumber;

/// What went wrong when using libvirt.
#[derive(Debug)]
pub enum Error {
    /// libvirt's event loop could not be set up.
    EventLoop(virt::error::Error),
    /// A thread could not be started.
    Thread(io::Error),
    /// The URI contains a NUL byte; holds the connection's name.
    BadUri(String),
    /// The connection was refused or failed.
    Connect {
        /// The connection's URI.
        uri: String,
        /// What libvirt said.
        source: virt::error::Error,
    },
    /// Opening or trying the connection timed out.
    NoAnswer {
        /// The connection's URI.
        uri: String,
        /// The timeout.
        waited: Duration,
    },
    /// A call on an open connection failed.
    Call {
        /// What was tried, as in "cannot `doing`".
        doing: &'static str,
        /// The connection's URI.
        uri: String,
        /// What libvirt said.
        source: virt::error::Error,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EventLoop(source) => {
                write!(
                    f,
                    "cannot set up libvirt's event loop: {}; check memory and open files (ulimit -n)",
                    words(source)
                )
            }
            Self::Thread(source) => {
                write!(f, "cannot start a thread: {source}; raise TasksMax or the memory limit")
            }
            Self::BadUri(name) => {
                write!(
                    f,
                    "connection {}: its URI has a NUL byte; see libvirt.org/uri.html",
                    one_line(name)
                )
            }
            Self::Connect { uri, source } => write!(
                f,
                "cannot connect to {}: {}; {}",
                one_line(uri),
                words(source),
                next_step(source, uri)
            ),
            Self::NoAnswer { uri, waited } => write!(
                f,
                "cannot connect to {}: no answer within {} s; \
                 check that the host is up and its libvirt daemon is not stopped",
                one_line(uri),
                waited.as_secs()
            ),
            Self::Call { doing, uri, source } => {
                let step = if is_refusal(source) {
                    LET_IN
                } else {
                    "see the log of libvirt's daemon there"
                };
                write!(f, "cannot {doing} of {}: {}; {step}", one_line(uri), words(source))
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::EventLoop(source) | Self::Connect { source, .. } | Self::Call { source, .. } => {
                Some(source)
            }
            Self::Thread(source) => Some(source),
            Self::BadUri(_) | Self::NoAnswer { .. } => None,
        }
    }
}

/// libvirt's message, on one line and without its error codes.
pub(super) fn words(error: &virt::error::Error) -> String {
    one_line(error.message())
}

/// Untrusted text, on one line and without control characters.
pub(super) fn one_line(text: &str) -> String {
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Whether libvirt's error has this code.
pub(super) fn is(error: &virt::error::Error, code: ErrorNumber) -> bool {
    error.code().to_raw() == code.to_raw()
}

/// Whether the connection's driver doesn't support the call.
pub(super) fn is_unsupported(error: &virt::error::Error) -> bool {
    [ErrorNumber::NoSupport, ErrorNumber::ArgumentUnsupported, ErrorNumber::OperationUnsupported]
        .into_iter()
        .any(|code| is(error, code))
}

/// Whether the user was denied access.
pub(super) fn is_refusal(error: &virt::error::Error) -> bool {
    let refused = [
        ErrorNumber::AuthFailed,
        ErrorNumber::AuthUnavailable,
        ErrorNumber::AuthCancelled,
        ErrorNumber::AccessDenied,
        ErrorNumber::OperationDenied,
    ];
    // Only the message shows that a socket's permissions deny access.
    refused.into_iter().any(|code| is(error, code)) || error.message().contains("Permission denied")
}

const LET_IN: &str = "let the daemon's user in: 'gpasswd -a libvirt-nssd libvirt', as polkit looks in /etc/group, or \
                      a polkit rule for org.libvirt.unix.manage";

/// Whether libvirt needed polkit to authorize the user, and polkit isn't there.
fn lacks_polkit(message: &str) -> bool {
    let is_unknown = message.contains("org.freedesktop.PolicyKit1")
        && ["ServiceUnknown", "not provided"].iter().any(|why| message.contains(why));
    is_unknown || message.contains("Unable to get system bus connection")
}

const POLKIT: &str = "install polkitd, which decides who may write, or set auth_unix_rw = \"none\" in libvirtd.conf \
                      (virtqemud.conf), so that the socket's group does";

/// What the user can do about a connection that can't be opened.
fn next_step(error: &virt::error::Error, uri: &str) -> String {
    if lacks_polkit(error.message()) {
        return POLKIT.into();
    }
    if is_refusal(error) {
        return LET_IN.into();
    }
    let local = uri.split_once("://").is_some_and(|(_, rest)| rest.starts_with('/'));
    if local {
        return "check that libvirtd, or virtqemud and virtnetworkd, runs (systemctl status libvirtd)"
            .into();
    }
    format!("as the daemon's user, try: virsh -c '{}' list", one_line(uri))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Any error from libvirt.
    fn said() -> virt::error::Error {
        virt::connect::Connect::open(Some("nonsense:///")).unwrap_err()
    }

    #[test]
    fn every_message_is_one_line_with_a_next_step() {
        virt::error::clear_error_callback();
        let uri = || String::from("qemu+ssh://a\nb\x1b[31m/system");
        let errors = [
            Error::EventLoop(said()),
            Error::Thread(io::Error::from(io::ErrorKind::WouldBlock)),
            Error::BadUri("a\nb".into()),
            Error::Connect { uri: uri(), source: said() },
            Error::Connect { uri: "qemu:///system".into(), source: said() },
            Error::NoAnswer { uri: uri(), waited: Duration::from_secs(30) },
            Error::Call { doing: "list the networks", uri: uri(), source: said() },
        ];
        for error in errors {
            let text = error.to_string();
            assert!(!text.contains(char::is_control), "{text:?}");
            assert!(text.contains("; "), "no next step: {text}");
        }
    }

    /// Messages of libvirt 9.0: without D-Bus, without polkitd, and if polkitd refuses.
    #[test]
    fn a_missing_polkit_is_distinguished_from_a_refusal() {
        let bus = "internal error: Unable to get system bus connection: Could not connect: No such file or directory";
        let service = "error from service: GDBus.Error:org.freedesktop.DBus.Error.ServiceUnknown: The name \
                       org.freedesktop.PolicyKit1 was not provided by any .service files";
        let refused = "authentication unavailable: no polkit agent available to authenticate action \
                       'org.libvirt.unix.manage'";
        assert!(lacks_polkit(bus) && lacks_polkit(service) && !lacks_polkit(refused));
    }

    #[test]
    fn the_next_step_fits_the_uri() {
        virt::error::clear_error_callback();
        let text = |uri: &str| Error::Connect { uri: uri.into(), source: said() }.to_string();
        assert!(text("qemu:///system").contains("systemctl status libvirtd"));
        let remote = text("qemu+ssh://host/system");
        assert!(remote.contains("virsh -c 'qemu+ssh://host/system' list"), "{remote}");
    }
}
