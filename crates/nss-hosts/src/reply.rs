//! What an entry point returns in each case: status, errno and h_errno.

use core::ffi::c_int;

use guest_names::io::Exhausted;
use guest_names::lookup::Found;

use crate::abi::{HOST_NOT_FOUND, NETDB_INTERNAL, NETDB_SUCCESS, NO_DATA, Status, TRY_AGAIN};
use crate::pack::NoRoom;

/// The cases. There are no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// The answer is in the caller's buffer.
    Success,
    /// The answer doesn't fit: glibc tries again with a larger buffer.
    BufferTooSmall,
    /// No guest has the name or the address.
    Unknown,
    /// A guest has the name, but no address of the family.
    NoData,
    /// Out of file descriptors or of memory.
    Exhausted,
    /// A family that isn't IPv4 or IPv6.
    BadFamily,
}

impl Reply {
    fn triple(self) -> (Status, c_int, c_int) {
        match self {
            Self::Success => (Status::Success, 0, NETDB_SUCCESS),
            Self::BufferTooSmall => (Status::TryAgain, libc::ERANGE, NETDB_INTERNAL),
            Self::Unknown => (Status::NotFound, libc::ESRCH, HOST_NOT_FOUND),
            Self::NoData => (Status::Unavail, libc::ENXIO, NO_DATA),
            Self::Exhausted => (Status::TryAgain, libc::EAGAIN, TRY_AGAIN),
            Self::BadFamily => (Status::Unavail, libc::EAFNOSUPPORT, NO_DATA),
        }
    }

    /// After packing an answer.
    pub(crate) fn packed<T>(packed: Result<T, NoRoom>) -> Self {
        if packed.is_ok() { Self::Success } else { Self::BufferTooSmall }
    }

    /// After a look-up by name that found no address.
    pub(crate) fn without_answer(found: &Result<Found<'_>, Exhausted>) -> Self {
        match found {
            Ok(Found::Unknown) => Self::Unknown,
            Ok(Found::NoData | Found::Addresses(_)) => Self::NoData,
            Err(Exhausted) => Self::Exhausted,
        }
    }

    /// Sets errno and h_errno. `errnop` may be the address of errno itself, so this comes last: a later system call could
    /// overwrite it.
    ///
    /// # Safety
    /// Both pointers can be written, or are NULL.
    pub(crate) unsafe fn set(self, errnop: *mut c_int, h_errnop: *mut c_int) -> Status {
        let (status, errno, h_errno) = self.triple();
        // SAFETY: the caller promises that it can be written or is NULL.
        if let Some(place) = unsafe { h_errnop.as_mut() } {
            *place = h_errno;
        }
        // SAFETY: the caller promises that it can be written or is NULL.
        if let Some(place) = unsafe { errnop.as_mut() } {
            *place = errno;
        }
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errno_is_the_last_word() {
        let mut both = 77;
        let place = &raw mut both;
        // SAFETY: `place` can be written.
        let status = unsafe { Reply::BufferTooSmall.set(place, place) };
        assert_eq!((status, both), (Status::TryAgain, libc::ERANGE));
    }
}
