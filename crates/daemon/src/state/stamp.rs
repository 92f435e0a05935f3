//! The state directory's time stamp, and whether the next change will show in it.
//!
//! The kernel uses the time of its last tick (CLOCK_REALTIME_COARSE) for time stamps. Two changes within one tick leave the
//! same stamp, so a stamp from the current tick may not show the next change. Once the tick has passed, every later change
//! leaves a different stamp.

use std::time::Duration;

use guest_names::io::Stamp;
use rustix::time::{ClockId, Timespec, clock_getres, clock_gettime};

/// The granularity of file systems that store whole seconds, or even only even ones (FAT). They are recognized by zero
/// nanoseconds.
const WHOLE_SECONDS: Duration = Duration::from_secs(2);

/// Nanoseconds of a second.
const NANOSECONDS: i128 = 1_000_000_000;

/// The clock that the kernel uses for time stamps.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Nanoseconds since the epoch at the last tick.
    pub now: i128,
    /// The time from one tick to the next.
    pub granularity: Duration,
}

impl Clock {
    /// Reads the clock.
    #[must_use]
    pub fn read() -> Self {
        let nanoseconds =
            |time: Timespec| i128::from(time.tv_sec) * NANOSECONDS + i128::from(time.tv_nsec);
        let granularity = nanoseconds(clock_getres(ClockId::RealtimeCoarse));
        Self {
            now: nanoseconds(clock_gettime(ClockId::RealtimeCoarse)),
            granularity: Duration::from_nanos(u64::try_from(granularity).unwrap_or(0)),
        }
    }
}

/// How long a change of the directory can still leave the same `stamp`. `None` if it no longer can.
#[must_use]
pub fn settles_in(stamp: &Stamp, clock: Clock) -> Option<Duration> {
    let coarse = if stamp.nanoseconds == 0 { WHOLE_SECONDS } else { Duration::ZERO };
    let last = i128::from(stamp.seconds) * NANOSECONDS
        + i128::from(stamp.nanoseconds)
        + coarse.as_nanos() as i128;
    let left = u64::try_from(last - clock.now).ok()?;
    Some(Duration::from_nanos(left).saturating_add(clock.granularity))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(4);

    fn at(seconds: i64, nanoseconds: u32) -> Stamp {
        Stamp { seconds, nanoseconds, device: 1, inode: 2 }
    }

    fn clock(seconds: i64, nanoseconds: i128) -> Clock {
        Clock { now: i128::from(seconds) * NANOSECONDS + nanoseconds, granularity: TICK }
    }

    #[test]
    fn a_tick_must_have_passed() {
        let stamp = at(100, 8_000_000);
        assert_eq!(settles_in(&stamp, clock(100, 8_000_000)), Some(TICK));
        assert_eq!(settles_in(&stamp, clock(100, 8_000_001)), None);
        assert_eq!(settles_in(&stamp, clock(100, 12_000_000)), None);
        assert_eq!(settles_in(&stamp, clock(101, 0)), None);
    }

    #[test]
    fn whole_seconds_take_longer() {
        let stamp = at(100, 0);
        assert_eq!(settles_in(&stamp, clock(100, 1)), Some(Duration::new(1, 999_999_999) + TICK));
        assert_eq!(settles_in(&stamp, clock(102, 0)), Some(TICK));
        assert_eq!(settles_in(&stamp, clock(102, 1)), None);
    }

    #[test]
    fn a_clock_that_was_set_back() {
        let wait = settles_in(&at(5000, 1), clock(1400, 1));
        assert_eq!(wait, Some(Duration::from_secs(3600) + TICK));
        assert!(
            settles_in(&at(i64::MAX, 1), clock(i64::MIN, 0)).is_none_or(|wait| !wait.is_zero())
        );
    }

    /// Whatever the clock says, a stamp that has settled is older than the tick.
    #[test]
    fn a_settled_stamp_is_in_the_past() {
        let mut random = fastrand::Rng::with_seed(3);
        let mut settled = 0;
        for _ in 0..100_000 {
            let stamp =
                at(random.i64(-3..3), *random.choice(&[0, 1, 4_000_000, 999_999_999]).unwrap());
            let clock = clock(random.i64(-3..6), random.i128(0..NANOSECONDS));
            let time = i128::from(stamp.seconds) * NANOSECONDS + i128::from(stamp.nanoseconds);
            match settles_in(&stamp, clock) {
                None => {
                    settled += 1;
                    assert!(time < clock.now);
                    let whole = stamp.nanoseconds == 0;
                    assert!(!whole || clock.now - time > 2 * NANOSECONDS);
                }
                Some(wait) => {
                    let later = Clock { now: clock.now + wait.as_nanos() as i128, ..clock };
                    assert_eq!(settles_in(&stamp, later), None);
                }
            }
        }
        assert!(settled > 10_000);
    }

    #[test]
    fn the_systems_clock() {
        let clock = Clock::read();
        assert!(clock.now > 0 && !clock.granularity.is_zero());
    }
}
