//! When to retry: after longer and longer pauses, and never all hosts at once.

use std::time::{Duration, Instant};

/// The first pause.
const FIRST: Duration = Duration::from_secs(1);

/// How many times longer a pause is if only a person can fix the problem.
const PATIENCE: u32 = 5;

/// The pauses after failures.
#[derive(Clone, Debug)]
pub struct Backoff {
    longest: Duration,
    next: Duration,
    due: Option<Instant>,
}

impl Backoff {
    /// Starts without a failure. Pauses are at most `longest`, plus jitter.
    #[must_use]
    pub fn new(longest: Duration) -> Self {
        Self { longest, next: FIRST.min(longest), due: None }
    }

    /// Whether it is time to try (again).
    #[must_use]
    pub fn is_due(&self, now: Instant) -> bool {
        self.due.is_none_or(|due| due <= now)
    }

    /// When to retry; `None` if nothing has failed.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Call this after a failure that may pass by itself. Returns the pause.
    pub fn pause(&mut self, now: Instant) -> Duration {
        let pause = with_jitter(self.next);
        self.next = (self.next * 2).min(self.longest);
        self.due = Some(now + pause);
        pause
    }

    /// Call this after a failure that a person has to fix. Returns the pause.
    pub fn pause_long(&mut self, now: Instant) -> Duration {
        let pause = with_jitter(self.longest * PATIENCE);
        self.due = Some(now + pause);
        pause
    }

    /// Call this after a success.
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
