//! sd_notify(3): reports to the service manager.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use crate::log::Log;

/// The service manager, if there is one.
#[derive(Debug)]
pub struct Manager {
    /// How often it wants a sign of life.
    pub watchdog: Option<Duration>,
    log: Log,
}

impl Manager {
    /// Who started this process.
    #[must_use]
    pub fn new(log: Log) -> Self {
        // Half of the time after which it takes us for dead (sd_watchdog_enabled(3)).
        let watchdog = sd_notify::watchdog_enabled().map(|limit| limit / 2);
        Self { watchdog: watchdog.filter(|interval| !interval.is_zero()), log }
    }

    /// The first snapshot is there, or the one after a reload.
    pub fn ready(&self, status: &str) {
        self.send(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// The status line, for people.
    pub fn status(&self, status: &str) {
        self.send(&[NotifyState::Status(status)]);
    }

    /// The configuration is read again.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.send(&[NotifyState::Reloading, now]),
            Err(error) => self.log.warning(format!("no monotonic clock: {error}")),
        }
    }

    /// The end is near.
    pub fn stopping(&self) {
        self.send(&[NotifyState::Stopping]);
    }

    /// A sign of life, if one is wanted and it is time for it. `due` is when the next one is.
    pub fn alive_if_due(&self, due: &mut Instant) {
        let Some(interval) = self.watchdog else { return };
        let now = Instant::now();
        if now >= *due {
            self.send(&[NotifyState::Watchdog]);
            *due = now + interval;
        }
    }

    fn send(&self, states: &[NotifyState<'_>]) {
        // Without a manager this does nothing.
        if let Err(error) = sd_notify::notify(states) {
            self.log.warning(format!("cannot tell the service manager: {error}"));
        }
    }
}
