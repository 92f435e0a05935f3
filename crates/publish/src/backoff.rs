//! When to try again: later and later, and never all hosts at once.

use std::time::{Duration, Instant};

/// The first pause.
const FIRST: Duration = Duration::from_secs(1);

/// How much longer a pause is where only a person can help.
const PATIENCE: u32 = 5;

/// The pauses after one failure or several.
#[derive(Clone, Debug)]
pub struct Backoff {
    longest: Duration,
    next: Duration,
    due: Option<Instant>,
}

impl Backoff {
    /// Nothing has failed; pauses are no longer than `longest`.
    #[must_use]
    pub fn new(longest: Duration) -> Self {
        Self { longest, next: FIRST.min(longest), due: None }
    }

    /// Whether it is time to try.
    #[must_use]
    pub fn is_due(&self, now: Instant) -> bool {
        self.due.is_none_or(|due| due <= now)
    }

    /// When it is; `None`: nothing has failed.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// It failed, and may work the next time. The pause.
    pub fn pause(&mut self, now: Instant) -> Duration {
        let pause = with_jitter(self.next);
        self.next = (self.next * 2).min(self.longest);
        self.due = Some(now + pause);
        pause
    }

    /// It failed in a way that doesn't pass by itself. The pause.
    pub fn pause_long(&mut self, now: Instant) -> Duration {
        let pause = with_jitter(self.longest * PATIENCE);
        self.due = Some(now + pause);
        pause
    }

    /// It worked.
    pub fn reset(&mut self) {
        *self = Self::new(self.longest);
    }
}

/// Up to a quarter more.
fn with_jitter(pause: Duration) -> Duration {
    pause.mul_f64(1.0 + fastrand::f64() / 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow() {
        let seconds = |number| Duration::from_secs(number);
        let now = Instant::now();
        let mut backoff = Backoff::new(seconds(10));
        assert!(backoff.is_due(now));
        for expected in [1, 2, 4, 8, 10, 10] {
            let pause = backoff.pause(now);
            let least = seconds(expected);
            assert!(pause >= least && pause <= least.mul_f64(1.25), "{pause:?}");
            assert!(!backoff.is_due(now) && backoff.is_due(now + pause));
        }
        assert!(backoff.pause_long(now) >= seconds(50));
        backoff.reset();
        assert!(backoff.is_due(now) && backoff.due().is_none());
        assert!(backoff.pause(now) < seconds(2));
    }
}
