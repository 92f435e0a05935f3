//! Notices jumps of the clock with which look-ups measure the snapshot's age.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::{Errno, read};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

/// Reports when the system time jumps: the system was suspended, or someone set the clock. All other timers use a clock that
/// stands still in the meantime, so after a jump the snapshot would be touched too late.
pub struct ClockJumps(OwnedFd);

impl ClockJumps {
    /// From now on, jumps are reported.
    ///
    /// # Errors
    /// Out of descriptors.
    pub fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = timerfd_create(TimerfdClockId::Realtime, flags)?;
        let jumps = Self(timer);
        jumps.arm()?;
        Ok(jumps)
    }

    /// A timer that never expires, but is cancelled by a jump (timerfd_create(2), TFD_TIMER_CANCEL_ON_SET).
    fn arm(&self) -> io::Result<()> {
        let never = Timespec { tv_sec: i64::MAX >> 32, tv_nsec: 0 };
        let once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
        timerfd_settime(&self.0, flags, &Itimerspec { it_interval: once, it_value: never })?;
        Ok(())
    }

    /// Whether the clock has jumped since this was last called.
    ///
    /// # Errors
    /// The kernel's error, which never happens with a valid timer.
    pub fn take(&self) -> io::Result<bool> {
        match read(&self.0, &mut [0; 8]) {
            Err(Errno::CANCELED) => self.arm().map(|()| true),
            Err(Errno::AGAIN | Errno::INTR) => Ok(false),
            Err(errno) => Err(errno.into()),
            // The timer never expires.
            Ok(_) => Ok(false),
        }
    }
}

impl AsFd for ClockJumps {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lab shows that a jump is reported, since setting the clock needs root.
    #[test]
    fn without_a_jump_nothing_is_reported() {
        let jumps = ClockJumps::new().unwrap();
        assert!(!jumps.take().unwrap());
    }
}
