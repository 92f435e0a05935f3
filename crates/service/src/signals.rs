//! Signals as a file descriptor for poll(2).

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServiceRequest {
    /// SIGHUP: reload the configuration.
    Reload,
    /// SIGTERM, SIGINT: stop.
    Stop,
}

/// The signals that a service handles.
pub struct Signals(SignalDelivery<UnixStream, SignalOnly>);

impl Signals {
    /// Starts handling the signals. From now on they no longer end the process.
    ///
    /// # Errors
    /// Out of file descriptors.
    pub fn new() -> io::Result<Self> {
        let (read, write) = UnixStream::pair()?;
        let signals = [SIGHUP, SIGINT, SIGTERM];
        Ok(Self(SignalDelivery::with_pipe(read, write, SignalOnly, signals)?))
    }

    /// What the signals received since the last call ask for, if there were any. `Stop` overrides `Reload`.
    #[must_use]
    pub fn take(&mut self) -> Option<ServiceRequest> {
        let request = |signal| match signal {
            SIGHUP => ServiceRequest::Reload,
            _ => ServiceRequest::Stop,
        };
        self.0.pending().map(request).max()
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get_read().as_fd()
    }
}
