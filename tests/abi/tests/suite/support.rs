//! What the topics share: the loaded modules, and checks of an answer through every entry point,
//! family and way of calling.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use abi::c::{HOST_NOT_FOUND, NETDB_INTERNAL, NETDB_SUCCESS, NO_DATA};
use abi::{Answer, ErrnoPlace, How, Kind, Module, Modules, Query, Status};
use libc::{AF_INET, AF_INET6, AF_UNSPEC, ENXIO, ERANGE, ESRCH};

pub(crate) const UNKNOWN: (Status, i32, i32) = (Status::NotFound, ESRCH, HOST_NOT_FOUND);
pub(crate) const NO_ADDRESS: (Status, i32, i32) = (Status::Unavail, ENXIO, NO_DATA);
pub(crate) const TOO_SMALL: (Status, i32, i32) = (Status::TryAgain, ERANGE, NETDB_INTERNAL);
pub(crate) const FOUND: (Status, i32, i32) = (Status::Success, 0, NETDB_SUCCESS);

/// The module `libvirt` under test.
pub(crate) fn host() -> &'static Module {
    static MODULE: OnceLock<Module> = OnceLock::new();
    MODULE.get_or_init(|| Modules::ours().load(Kind::Host))
}

/// The module `libvirt_guest` under test.
pub(crate) fn guest() -> &'static Module {
    static MODULE: OnceLock<Module> = OnceLock::new();
    MODULE.get_or_init(|| Modules::ours().load(Kind::Guest))
}

/// The enumeration's cursor belongs to the process, and glibc holds a lock around it; so must the tests.
pub(crate) fn cursor() -> MutexGuard<'static, ()> {
    static CURSOR: Mutex<()> = Mutex::new(());
    CURSOR.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    i64::try_from(elapsed.as_secs()).expect("the time fits")
}

/// An expiry time that lies beyond every test.
pub(crate) fn later() -> i64 {
    now() + 3600
}

/// The ways in which versions of glibc and their callers make a call.
pub(crate) fn every_way() -> Vec<How> {
    let usual = How { length: 1 << 16, ..How::default() };
    vec![
        usual,
        How { errnop: ErrnoPlace::Variable, h_errnop: ErrnoPlace::Thread, ..usual },
        How { ttl: None, canonical: false, ..usual },
        How { tuple: true, errno: 0, h_errno: 0, ..usual },
        How { tuple: true, errno: ERANGE, h_errno: NETDB_INTERNAL, offset: 13, ..usual },
    ]
}

/// Makes a call in every way and checks that the answer doesn't depend on it.
#[track_caller]
pub(crate) fn ask(module: &Module, query: &Query) -> Answer {
    let mut answers = every_way().into_iter().map(|how| {
        let answer = module.ask(query, &how);
        let answer = answer.unwrap_or_else(|| panic!("{module:?} has no {query}"));
        if answer.status == Status::Success {
            let has_ttl = matches!(query, Query::Name3(..) | Query::Name4(_) | Query::Addr2(..));
            assert_eq!(answer.ttl, how.ttl.filter(|_| has_ttl).map(|_| 0), "{query}: the TTL");
        }
        (how, answer)
    });
    let (_, first) = answers.next().expect("there is a usual way");
    for (how, answer) in answers {
        let same = first.triple() == answer.triple()
            && first.names.first() == answer.names.first()
            && first.addresses == answer.addresses
            && first.family == answer.family
            && first.aliases == answer.aliases;
        assert!(same, "{query}: {first}, but {answer} with {how:?}");
    }
    first
}

/// Checks that a name has these addresses, in this order, through every entry point and family. The canonical name is
/// the requested name without a trailing dot.
#[track_caller]
pub(crate) fn assert_addresses(module: &Module, name: &str, addresses: &[&str]) {
    let all: Vec<IpAddr> =
        addresses.iter().map(|text| text.parse().expect("an address in a test")).collect();
    let canonical = name.strip_suffix('.').unwrap_or(name).as_bytes();
    for query in Query::every_by_name(name) {
        let wanted: Vec<IpAddr> = match family_of(&query) {
            None => all.clone(),
            Some(AF_INET) => all.iter().copied().filter(IpAddr::is_ipv4).collect(),
            Some(AF_INET6) => all.iter().copied().filter(IpAddr::is_ipv6).collect(),
            Some(AF_UNSPEC) => {
                let v4 = all.iter().any(IpAddr::is_ipv4);
                all.iter().copied().filter(|ip| ip.is_ipv4() == v4).collect()
            }
            Some(other) => panic!("no expectation for family {other}"),
        };
        let answer = ask(module, &query);
        if wanted.is_empty() {
            assert_eq!(answer.triple(), NO_ADDRESS, "{query}");
            continue;
        }
        assert_eq!(answer.triple(), FOUND, "{query}: {answer}");
        let got: Vec<IpAddr> = answer.addresses.iter().map(|address| address.ip).collect();
        assert_eq!(got, wanted, "{query}");
        assert_eq!(answer.names[0], canonical, "{query}: the name");
        assert_eq!(answer.aliases, [] as [&[u8]; 0], "{query}: no aliases");
        if matches!(query, Query::Name3(..) | Query::Name4(_)) {
            assert_eq!(answer.canonical.as_deref(), Some(canonical), "{query}: canonical name");
        }
        let family = if wanted[0].is_ipv4() { AF_INET } else { AF_INET6 };
        if !matches!(query, Query::Name4(_)) {
            assert_eq!(answer.family, Some(family), "{query}: h_addrtype");
        }
    }
}

/// Checks that a name is unknown to every entry point and family.
#[track_caller]
pub(crate) fn assert_unknown(module: &Module, name: impl AsRef<[u8]>) {
    for query in Query::every_by_name(name) {
        let answer = ask(module, &query);
        assert_eq!(answer.triple(), UNKNOWN, "{query}: {answer}");
    }
}

/// Checks that a name is known to every entry point and family but has no address at all.
#[track_caller]
pub(crate) fn assert_no_address(module: &Module, name: impl AsRef<[u8]>) {
    for query in Query::every_by_name(name) {
        let answer = ask(module, &query);
        assert_eq!(answer.triple(), NO_ADDRESS, "{query}: {answer}");
    }
}

/// The family that a query by name asks for; `None` for both at once.
fn family_of(query: &Query) -> Option<i32> {
    match query {
        Query::Name(_) => Some(AF_INET),
        Query::Name2(_, family) | Query::Name3(_, family) => Some(*family),
        Query::Name4(_) => None,
        _ => panic!("{query} is not by name"),
    }
}
