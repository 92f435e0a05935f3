//! Waiting for guests: what `libvirt-nss wait` does between two events.

pub(crate) mod attempt;
pub(crate) mod port;
pub(crate) mod progress;
pub(crate) mod target;

use crate::error::Error;
use attempt::Outcome;

/// What wakes the command.
pub(crate) enum Event {
    /// Leases or NICs may have changed.
    Changed(Result<(), Error>),
    /// An attempt to connect has ended.
    Tried(Outcome),
    /// A signal that ends the command.
    Signal(i32),
}
