//! What reports guests: libvirt, or a stand-in in tests.

use std::time::Duration;

use crate::inbox::Outbox;
use crate::model::ConnectionConfig;

/// How to start connections, and to try one.
#[derive(Clone, Copy)]
pub struct Backend {
    /// Starts the connections, whose updates go to the outbox. Where that fails, nothing is left running.
    pub start: fn(Vec<ConnectionConfig>, Outbox) -> Result<Started, String>,
    /// Opens one, reports what there is, and closes it again. The error is one line that says what doesn't work.
    pub check: fn(&ConnectionConfig, Duration) -> Result<String, String>,
}

/// What [`Backend::start`] gives.
pub type Started = Box<dyn Connections>;

/// Open connections.
pub trait Connections {
    /// Something has happened on this host: connections that were closed as no guest runs are opened.
    fn wake(&self);

    /// Closes the connections; there are no updates after that.
    fn stop(self: Box<Self>);
}

/// No connections.
impl Connections for () {
    fn wake(&self) {}

    fn stop(self: Box<Self>) {}
}
