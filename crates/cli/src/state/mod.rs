//! libvirt's state directory, read as the modules read it.

pub(crate) mod address;
pub(crate) mod networks;
pub(crate) mod rows;

pub(crate) use address::MacAddress;

use crate::error::Error;
use crate::paths::Paths;

/// Names are bytes to libvirt, and mostly UTF-8.
pub(crate) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The state directory can't be listed, and what to do about it.
pub(crate) fn unreadable(paths: &Paths, error: std::io::Error) -> Error {
    let next = match error.kind() {
        std::io::ErrorKind::NotFound => {
            "libvirt makes it with its first network: start one with 'virsh net-start default', \
                 or say with --state-dir where it is"
        }
        std::io::ErrorKind::PermissionDenied => {
            "everyone may read it by default: see to its mode and to those above it, or run this \
                 as root"
        }
        _ => "say with --state-dir where libvirt's leases are",
    };
    Error::file("read", &paths.state_directory(), next)(error)
}
