//! When to ask or try again.

use std::time::Duration;

/// A back-off: each wait is twice the one before, up to a longest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    next: Duration,
    /// The first wait is any part of it.
    spread: bool,
}

impl Pace {
    /// Begins with `first`.
    pub(super) fn from(first: Duration) -> Self {
        Self { next: first, spread: false }
    }

    /// Always the longest wait, but for the first time, which is anywhere between now and then: so what begins
    /// at the same time is spread out at once.
    pub(super) fn spread_over(longest: Duration) -> Self {
        Self { next: longest, spread: true }
    }

    /// How long to wait now, up to `longest`, with a tenth of jitter taken off so that what began at the same
    /// time doesn't stay together.
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
    fn spreads_the_first_wait_alone() {
        let longest = Duration::from_secs(60);
        let mut paces = [Pace::spread_over(longest); 100];
        let mut firsts = paces.each_mut().map(|pace| pace.wait(longest));
        firsts.sort_unstable();
        assert!(firsts[20] < longest / 2 && longest / 2 < firsts[80], "{firsts:?}");
        assert!(paces[0].wait(longest) >= longest.mul_f64(0.9));
    }

    #[test]
    fn a_longest_wait_below_the_first_one_is_kept() {
        let wait = Pace::from(Duration::from_secs(1)).wait(Duration::from_millis(20));
        assert!(wait <= Duration::from_millis(20));
    }
}
