//! The source of reports about guests: libvirt, or a stand-in in tests.

use std::time::Duration;

use crate::inbox::Outbox;
use crate::model::ConnectionConfig;

/// Functions that start connections, and try one.
#[derive(Clone, Copy)]
pub struct Backend {
    /// Starts the connections, which send updates to the outbox. On failure, nothing is left running.
    pub start: fn(Vec<ConnectionConfig>, Outbox) -> Result<Started, String>,
    /// Opens a connection, describes what it provides, and closes it again. An error is one line that says what doesn't work.
    pub check: fn(&ConnectionConfig, Duration) -> Result<String, String>,
}

/// What [`Backend::start`] returns.
pub type Started = Box<dyn Connections>;

/// Open connections.
pub trait Connections {
    /// Reopens connections that were closed because no guest runs: a guest on this host may have started.
    fn wake(&self);

    /// Closes the connections. After that there are no updates.
    fn stop(self: Box<Self>);
}

/// No connections.
impl Connections for () {
    fn wake(&self) {}

    fn stop(self: Box<Self>) {}
}
