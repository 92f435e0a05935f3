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

/// The error for a state directory that can't be listed.
pub(crate) fn unreadable(paths: &Paths, error: std::io::Error) -> Error {
    let next = match error.kind() {
        std::io::ErrorKind::NotFound => {
            "libvirt creates it when it starts its first network ('virsh net-start default'); if it is \
                 elsewhere, use --state-dir"
        }
        std::io::ErrorKind::PermissionDenied => {
            "everyone may read it by default: check its mode and those of the directories above it, or run \
                 this as root"
        }
        _ => "use --state-dir if libvirt's leases are elsewhere",
    };
    Error::file("read", &paths.state_directory(), next)(error)
}
