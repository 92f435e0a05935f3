//! Look-ups, as the modules do them.

use std::net::IpAddr;

use guest_names::address::{Address, Family};
use guest_names::forward::{Answer, Failure, Found, NoRoom, Query, Source};
use guest_names::observe::Observer;
use guest_names::ranking::Candidate;
use guest_names::search::{Exhausted, Search};
use guest_names::text::Text;

use crate::args::{Families, Names};
use crate::error::Error;
use crate::paths::Paths;
use crate::state::address;
use crate::state::lossy;
use guest_store::Directory;

/// Bytes of the window on the state files: the modules' own.
const WINDOW: usize = 16 << 10;

/// Places for candidates: more than any name has, so that nothing is told twice.
const PLACES: usize = 4096;

/// What a look-up by name came to.
pub(crate) struct Answered {
    pub(crate) found: Found,
    pub(crate) candidates: Vec<Candidate>,
}

impl Names {
    /// In which order the names are looked up.
    pub(crate) fn sources(self) -> &'static [Source] {
        match self {
            Self { guest: true, .. } => &[Source::Domain],
            Self { host: true, .. } => &[Source::HostName],
            _ => &[Source::HostName, Source::Domain],
        }
    }
}

impl Families {
    pub(crate) fn family(self) -> Option<Family> {
        match self {
            Self { ipv4: true, .. } => Some(Family::V4),
            Self { ipv6: true, .. } => Some(Family::V6),
            _ => None,
        }
    }
}

/// For people.
pub(crate) fn family_text(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}

/// The service's name in nsswitch.conf.
pub(crate) fn service(source: Source) -> &'static str {
    match source {
        Source::HostName => "libvirt",
        Source::Domain => "libvirt_guest",
    }
}

/// What kind of name a source goes by, for people.
pub(crate) fn kind_of_name(source: Source) -> &'static str {
    match source {
        Source::HostName => "host name",
        Source::Domain => "domain name",
    }
}

/// What the modules look up in.
fn directory(paths: &Paths) -> Directory {
    Directory::new(&paths.state_directory(), paths.snapshot().as_deref())
}

/// Looks up a name.
///
/// # Errors
/// [`Error::Exhausted`].
pub(crate) fn by_name(
    paths: &Paths,
    source: Source,
    name: &[u8],
    family: Option<Family>,
    now: i64,
    mut observer: Option<&mut dyn Observer>,
) -> Result<Answered, Error> {
    let mut answer = Collected(Vec::new());
    let Some(wanted) = source.wanted(name) else {
        return Ok(Answered { found: Found::Unknown, candidates: answer.0 });
    };
    let query = Query { source, wanted, family };
    let mut window = vec![0; WINDOW];
    let mut places = vec![Candidate::EMPTY; PLACES];
    let mut dir = directory(paths);
    let mut search = Search::new(&mut dir, &mut window, now, observing(&mut observer));
    match search.addresses(&query, &mut places, &mut answer) {
        Ok(found) => Ok(Answered { found, candidates: answer.0 }),
        Err(Failure::Exhausted | Failure::NoRoom) => Err(Error::Exhausted),
    }
}

/// The name of the guest that has an address.
///
/// # Errors
/// [`Error::Exhausted`].
pub(crate) fn by_address(
    paths: &Paths,
    source: Source,
    address: IpAddr,
    now: i64,
    mut observer: Option<&mut dyn Observer>,
) -> Result<Option<String>, Error> {
    let mut window = vec![0; WINDOW];
    let mut places = vec![Candidate::EMPTY; PLACES];
    let mut dir = directory(paths);
    let mut search = Search::new(&mut dir, &mut window, now, observing(&mut observer));
    let mut name = Text::new();
    match search.name_of(source, address::from_std(address), &mut places, &mut name) {
        Ok(found) => Ok(found.then(|| lossy(name.as_bytes()))),
        Err(Exhausted) => Err(Error::Exhausted),
    }
}

/// The same observer, for a shorter time.
fn observing<'o>(observer: &'o mut Option<&mut dyn Observer>) -> Option<&'o mut dyn Observer> {
    match observer {
        Some(observer) => Some(&mut **observer),
        None => None,
    }
}

/// An answer of any length.
struct Collected(Vec<Candidate>);

impl Answer for Collected {
    fn clear(&mut self) {
        self.0.clear();
    }

    fn holds(&self, address: Address) -> bool {
        self.0.iter().any(|candidate| candidate.address == address)
    }

    fn add(&mut self, candidate: &Candidate) -> Result<(), NoRoom> {
        self.0.push(*candidate);
        Ok(())
    }
}

/// The candidate's bridge.
pub(crate) fn bridge(candidate: &Candidate) -> Option<String> {
    let bridge = candidate.bridge.as_bytes();
    (!bridge.is_empty()).then(|| lossy(bridge))
}

/// The address as programs take it: with its scope where it needs one.
pub(crate) fn address_text(candidate: &Candidate) -> String {
    let address = address::to_std(candidate.address);
    match bridge(candidate) {
        Some(bridge) if address::needs_scope(address) => format!("{address}%{bridge}"),
        _ => address.to_string(),
    }
}
