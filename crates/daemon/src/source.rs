//! What tells of guests: libvirt, or in tests something else.

use std::time::Duration;

use crate::inbox::Outbox;
use crate::model::ConnectionConfig;

/// Starts connections, and tries them.
#[derive(Clone, Copy)]
pub struct Source {
    /// Starts to tell of the connections. Where that fails, nothing is told and nothing is left running.
    pub start: fn(Vec<ConnectionConfig>, Outbox) -> Result<Started, String>,
    /// Opens one, says what there is, and closes it again. The error says what doesn't work, in one line.
    pub check: fn(&ConnectionConfig, Duration) -> Result<String, String>,
}

/// What [`Source::start`] gives.
pub type Started = Box<dyn Connections>;

/// Connections that are kept.
pub trait Connections {
    /// Something has happened on this host: connections that were closed as no guest runs are opened.
    fn wake(&self);

    /// Closes the connections; after that nothing is told any more.
    fn stop(self: Box<Self>);
}

/// No connections.
impl Connections for () {
    fn wake(&self) {}

    fn stop(self: Box<Self>) {}
}
