//! nsswitch.conf(5): what its `hosts` line says, where our services belong on it, and changing it
//! without touching anything else.

pub(crate) mod authselect;
pub(crate) mod diff;
pub(crate) mod edit;
pub(crate) mod file;
pub(crate) mod line;
pub(crate) mod order;
pub(crate) mod replace;

/// Our services, in the order in which they are put on the line.
pub(crate) const OURS: [&str; 2] = ["libvirt", "libvirt_guest"];

pub(crate) fn is_ours(service: &str) -> bool {
    OURS.contains(&service)
}
