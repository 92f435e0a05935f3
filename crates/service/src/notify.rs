//! sd_notify(3): reports to the service manager.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use crate::log::Log;

/// The service manager, if there is one.
#[derive(Debug)]
pub struct Manager {
    /// How often to send a watchdog message, if it wants any.
    pub watchdog: Option<Duration>,
    log: Log,
}

impl Manager {
    /// The service manager that started this process, if any.
    #[must_use]
    pub fn new(log: Log) -> Self {
        // Half of the watchdog's timeout, as sd_watchdog_enabled(3) recommends.
        let watchdog = sd_notify::watchdog_enabled().map(|limit| limit / 2);
        Self { watchdog: watchdog.filter(|interval| !interval.is_zero()), log }
    }

    /// Reports that the service has started or reloaded.
    pub fn ready(&self, status: &str) {
        self.send(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// Sets the status line.
    pub fn status(&self, status: &str) {
        self.send(&[NotifyState::Status(status)]);
    }

    /// Reports that the configuration is being reloaded.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.send(&[NotifyState::Reloading, now]),
            Err(error) => self.log.warning(format!("no monotonic clock: {error}")),
        }
    }

    /// Reports that the service is stopping.
    pub fn stopping(&self) {
        self.send(&[NotifyState::Stopping]);
    }

    /// Sends a watchdog message, if they are wanted and `due` has come. Then sets `due` to the time of the next one.
    pub fn alive_if_due(&self, due: &mut Instant) {
        let Some(interval) = self.watchdog else { return };
        let now = Instant::now();
        if now >= *due {
            self.send(&[NotifyState::Watchdog]);
            *due = now + interval;
        }
    }

    fn send(&self, states: &[NotifyState<'_>]) {
        // Without a service manager this does nothing.
        if let Err(error) = sd_notify::notify(states) {
            self.log.warning(format!("cannot notify the service manager: {error}"));
        }
    }
}
