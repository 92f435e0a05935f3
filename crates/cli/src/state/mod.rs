//! libvirt's state directory, read as the modules read it.

pub(crate) mod address;
pub(crate) mod networks;
mod record;
pub(crate) mod rows;
pub(crate) mod snapshot;

pub(crate) use guest_store as directory;
pub(crate) use snapshot::Snapshot;

use crate::error::Error;
use crate::paths::Paths;

/// Reads the state directory.
///
/// # Errors
/// It can't be listed.
pub(crate) fn read(paths: &Paths) -> Result<Snapshot, Error> {
    Snapshot::read(&paths.state_directory()).map_err(|error| unreadable(paths, error))
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
