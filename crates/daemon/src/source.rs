//! What tells of guests: libvirt, or in tests something else.

use std::time::Duration;

use crate::inbox::Outbox;
use crate::model::ConnectionConfig;

/// Starts connections, and tries them.
#[derive(Clone, Copy)]
pub struct Source {
    /// Starts to tell of the connections.
    pub start: fn(Vec<ConnectionConfig>, Outbox) -> Result<Stop, String>,
    /// Opens one, says what there is, and closes it again.
    pub check: fn(&ConnectionConfig, Duration) -> Result<String, String>,
}

/// Closes the connections; after that nothing is told any more.
pub type Stop = Box<dyn FnOnce()>;
