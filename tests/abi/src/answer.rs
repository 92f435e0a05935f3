//! A module's answer, as plain owned values.

use std::fmt;
use std::net::IpAddr;

use crate::c;

/// `enum nss_status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Status {
    TryAgain,
    Unavail,
    NotFound,
    Success,
    Return,
}

impl Status {
    /// The status with this number; `None` for one that makes glibc end the process.
    #[must_use]
    pub fn from_raw(raw: i32) -> Option<Status> {
        Some(match raw {
            -2 => Status::TryAgain,
            -1 => Status::Unavail,
            0 => Status::NotFound,
            1 => Status::Success,
            2 => Status::Return,
            _ => return None,
        })
    }

    /// glibc's number for it.
    #[must_use]
    pub fn raw(self) -> i32 {
        match self {
            Status::TryAgain => -2,
            Status::Unavail => -1,
            Status::NotFound => 0,
            Status::Success => 1,
            Status::Return => 2,
        }
    }
}

/// One address of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// The address. Its family is that of the tuple or the hostent.
    pub ip: IpAddr,
    /// The index of its interface; 0 if there is none, or the entry point can't return one.
    pub scope: u32,
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Address {
        Address { ip, scope: 0 }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.ip)?;
        if self.scope != 0 {
            write!(f, "%{}", self.scope)?;
        }
        Ok(())
    }
}

/// What one call of an entry point returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The function's return value.
    pub status: Status,
    /// `*errnop` after the call.
    pub errno: i32,
    /// `*h_errnop` after the call.
    pub h_errno: i32,
    /// `*ttlp` after the call; `None` if the call had no such argument or passed NULL.
    pub ttl: Option<i32>,
    /// `*canonp` of `gethostbyname3_r`, or the first tuple's name of `gethostbyname4_r`.
    pub canonical: Option<Vec<u8>>,
    /// `h_name`, or the name of each tuple that has one. Empty unless the status is `Success`.
    pub names: Vec<Vec<u8>>,
    /// `h_aliases`.
    pub aliases: Vec<Vec<u8>>,
    /// `h_addrtype`; `None` for tuples, whose addresses each have their own.
    pub family: Option<i32>,
    /// The addresses in the order of the answer.
    pub addresses: Vec<Address>,
    /// How many bytes of the buffer the answer extends over, counted from the buffer's first byte.
    pub used: usize,
}

impl Answer {
    /// The three values that glibc decides by.
    #[must_use]
    pub fn triple(&self) -> (Status, i32, i32) {
        (self.status, self.errno, self.h_errno)
    }

    /// Whether glibc would try again with a larger buffer.
    #[must_use]
    pub fn wants_larger_buffer(&self) -> bool {
        self.triple() == (Status::TryAgain, libc::ERANGE, c::NETDB_INTERNAL)
    }

    /// The addresses as text, `ADDRESS` or `ADDRESS%SCOPE`, in the order of the answer.
    #[must_use]
    pub fn addresses_text(&self) -> Vec<String> {
        self.addresses.iter().map(ToString::to_string).collect()
    }
}

/// One line, for messages: the status and either the name and addresses or the two error numbers.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.status)?;
        if self.status != Status::Success {
            return write!(f, " {} {}", errno_name(self.errno), h_errno_name(self.h_errno));
        }
        if let Some(name) = self.names.first() {
            write!(f, " {}", name.escape_ascii())?;
        }
        for address in &self.addresses {
            write!(f, " {address}")?;
        }
        Ok(())
    }
}

/// The symbol of an errno that modules use, else its number.
#[must_use]
pub fn errno_name(errno: i32) -> String {
    let name = match errno {
        libc::ERANGE => "ERANGE",
        libc::ESRCH => "ESRCH",
        libc::ENXIO => "ENXIO",
        libc::EAGAIN => "EAGAIN",
        libc::EAFNOSUPPORT => "EAFNOSUPPORT",
        libc::ENOMEM => "ENOMEM",
        libc::ENOENT => "ENOENT",
        libc::EACCES => "EACCES",
        _ => return format!("errno {errno}"),
    };
    name.to_owned()
}

/// The symbol of an `h_errno`, else its number.
#[must_use]
pub fn h_errno_name(h_errno: i32) -> String {
    let name = match h_errno {
        c::NETDB_SUCCESS => "NETDB_SUCCESS",
        c::NETDB_INTERNAL => "NETDB_INTERNAL",
        c::HOST_NOT_FOUND => "HOST_NOT_FOUND",
        c::TRY_AGAIN => "TRY_AGAIN",
        c::NO_RECOVERY => "NO_RECOVERY",
        c::NO_DATA => "NO_DATA",
        _ => return format!("h_errno {h_errno}"),
    };
    name.to_owned()
}
