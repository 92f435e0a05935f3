//! Signals as a file descriptor for poll(2).

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// SIGHUP: reload the configuration.
    Reload,
    /// SIGTERM, SIGINT: end.
    End,
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

    /// What the signals received since the last call ask for; `End` comes last.
    #[must_use]
    pub fn take(&mut self) -> Vec<Wish> {
        let mut wishes: Vec<Wish> = self
            .0
            .pending()
            .map(|signal| if signal == SIGHUP { Wish::Reload } else { Wish::End })
            .collect();
        wishes.sort_by_key(|&wish| wish == Wish::End);
        wishes.dedup();
        wishes
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get_read().as_fd()
    }
}
