//! Calls of a module's entry points.

use std::fmt;
use std::net::IpAddr;

use libc::{AF_INET, AF_INET6, AF_UNSPEC};

/// A call of one entry point, without the buffer and the error variables ([`How`]).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Query {
    /// `gethostbyname_r`.
    Name(Vec<u8>),
    /// `gethostbyname2_r` with a family.
    Name2(Vec<u8>, i32),
    /// `gethostbyname3_r` with a family.
    Name3(Vec<u8>, i32),
    /// `gethostbyname4_r`.
    Name4(Vec<u8>),
    /// `gethostbyaddr_r` with the address's bytes and a family.
    Addr(Vec<u8>, i32),
    /// `gethostbyaddr2_r` with the address's bytes and a family.
    Addr2(Vec<u8>, i32),
    /// `sethostent`.
    Set,
    /// `gethostent_r`.
    Get,
    /// `endhostent`.
    End,
}

impl Query {
    /// `gethostbyname_r`.
    pub fn name(name: impl AsRef<[u8]>) -> Query {
        Query::Name(name.as_ref().to_vec())
    }

    /// `gethostbyname2_r`.
    pub fn name2(name: impl AsRef<[u8]>, family: i32) -> Query {
        Query::Name2(name.as_ref().to_vec(), family)
    }

    /// `gethostbyname3_r`.
    pub fn name3(name: impl AsRef<[u8]>, family: i32) -> Query {
        Query::Name3(name.as_ref().to_vec(), family)
    }

    /// `gethostbyname4_r`.
    pub fn name4(name: impl AsRef<[u8]>) -> Query {
        Query::Name4(name.as_ref().to_vec())
    }

    /// `gethostbyaddr_r` with an address's own bytes and family.
    ///
    /// # Panics
    ///
    /// If the text isn't an IP address.
    #[must_use]
    pub fn addr(address: &str) -> Query {
        let (bytes, family) = octets(address);
        Query::Addr(bytes, family)
    }

    /// `gethostbyaddr2_r` with an address's own bytes and family.
    ///
    /// # Panics
    ///
    /// If the text isn't an IP address.
    #[must_use]
    pub fn addr2(address: &str) -> Query {
        let (bytes, family) = octets(address);
        Query::Addr2(bytes, family)
    }

    /// Every call that looks the name up, in every entry point and family.
    pub fn every_by_name(name: impl AsRef<[u8]>) -> Vec<Query> {
        let name = name.as_ref();
        let mut queries = vec![Query::name(name), Query::name4(name)];
        for family in [AF_INET, AF_INET6, AF_UNSPEC] {
            queries.push(Query::name2(name, family));
            queries.push(Query::name3(name, family));
        }
        queries
    }
}

/// `gethostbyname2_r(web, INET)`.
impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Query::Name(name) => write!(f, "gethostbyname_r({})", name.escape_ascii()),
            Query::Name2(name, family) => {
                write!(f, "gethostbyname2_r({}, {})", name.escape_ascii(), family_name(*family))
            }
            Query::Name3(name, family) => {
                write!(f, "gethostbyname3_r({}, {})", name.escape_ascii(), family_name(*family))
            }
            Query::Name4(name) => write!(f, "gethostbyname4_r({})", name.escape_ascii()),
            Query::Addr(bytes, family) => {
                write!(f, "gethostbyaddr_r({}, {})", address_text(bytes), family_name(*family))
            }
            Query::Addr2(bytes, family) => {
                write!(f, "gethostbyaddr2_r({}, {})", address_text(bytes), family_name(*family))
            }
            Query::Set => write!(f, "sethostent()"),
            Query::Get => write!(f, "gethostent_r()"),
            Query::End => write!(f, "endhostent()"),
        }
    }
}

/// Where the module writes an error number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrnoPlace {
    /// To the thread's own `errno` or `h_errno`, as with glibc.
    Thread,
    /// To a variable of the caller.
    Variable,
}

/// How a call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct How {
    /// Length of the buffer in bytes.
    pub length: usize,
    /// How many bytes the buffer starts past a multiple of 16.
    pub offset: usize,
    /// Where `errnop` points.
    pub errnop: ErrnoPlace,
    /// Where `h_errnop` points.
    pub h_errnop: ErrnoPlace,
    /// What `*errnop` and `errno` hold before the call.
    pub errno: i32,
    /// What `*h_errnop` and `h_errno` hold before the call.
    pub h_errno: i32,
    /// What `*ttlp` holds before the call; `None` passes NULL.
    pub ttl: Option<i32>,
    /// Whether `*pat` is a tuple of the caller's (as in glibc up to 2.35) rather than NULL.
    pub tuple: bool,
    /// Whether `canonp` is passed rather than NULL.
    pub canonical: bool,
}

/// glibc's first buffer and its own `errno`; nonsense in everything that the module has to set.
impl Default for How {
    fn default() -> How {
        How {
            length: 1024,
            offset: 0,
            errnop: ErrnoPlace::Thread,
            h_errnop: ErrnoPlace::Variable,
            errno: 12_345,
            h_errno: 23_456,
            ttl: Some(34_567),
            tuple: false,
            canonical: true,
        }
    }
}

fn octets(address: &str) -> (Vec<u8>, i32) {
    match address.parse() {
        Ok(IpAddr::V4(v4)) => (v4.octets().to_vec(), AF_INET),
        Ok(IpAddr::V6(v6)) => (v6.octets().to_vec(), AF_INET6),
        Err(error) => panic!("{address}: {error}"),
    }
}

fn address_text(bytes: &[u8]) -> String {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        IpAddr::from(v4).to_string()
    } else if let Ok(v6) = <[u8; 16]>::try_from(bytes) {
        IpAddr::from(v6).to_string()
    } else {
        format!("{bytes:02x?}")
    }
}

fn family_name(family: i32) -> String {
    match family {
        AF_INET => "INET".to_owned(),
        AF_INET6 => "INET6".to_owned(),
        AF_UNSPEC => "UNSPEC".to_owned(),
        other => format!("family {other}"),
    }
}
