//! When to query or retry.

use std::time::Duration;

/// A back-off: each wait is twice as long as the one before, up to a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    next: Duration,
    /// Whether the first wait is a random part of `next`.
    spread: bool,
}

impl Pace {
    /// A back-off whose first wait is `first`.
    pub(super) fn from(first: Duration) -> Self {
        Self { next: first, spread: false }
    }

    /// Always waits `longest`, except the first time, when it waits for a random part of it. So things that begin at the same
    /// time are spread out at once.
    pub(super) fn spread_over(longest: Duration) -> Self {
        Self { next: longest, spread: true }
    }

    /// How long to wait now: up to `longest`, less a random part of up to a tenth, so that things that began at the same time
    /// drift apart.
    pub(super) fn wait(&mut self, longest: Duration) -> Duration {
        let wait = self.next.min(longest);
        self.next = (self.next * 2).min(longest);
        let jitter = if std::mem::take(&mut self.spread) { 1.0 } else { 0.1 };
        wait.mul_f64(1.0 - jitter * fastrand::f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_longest() {
        let longest = Duration::from_secs(60);
        let mut pace = Pace::from(Duration::from_secs(1));
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            let wait = pace.wait(longest).as_secs_f64();
            let full = f64::from(seconds);
            assert!((full * 0.9..=full).contains(&wait), "{wait} for {seconds}");
        }
    }

    #[test]
    fn spreads_only_the_first_wait() {
        let longest = Duration::from_secs(60);
        let mut paces = [Pace::spread_over(longest); 100];
        let mut firsts = paces.each_mut().map(|pace| pace.wait(longest));
        firsts.sort_unstable();
        assert!(firsts[20] < longest / 2 && longest / 2 < firsts[80], "{firsts:?}");
        assert!(paces[0].wait(longest) >= longest.mul_f64(0.9));
    }

    #[test]
    fn a_limit_shorter_than_the_first_wait_holds() {
        let wait = Pace::from(Duration::from_secs(1)).wait(Duration::from_millis(20));
        assert!(wait <= Duration::from_millis(20));
    }
}
