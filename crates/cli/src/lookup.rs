//! Look-ups, as the modules do them.

use std::net::{IpAddr, Ipv4Addr};

use guest_names::address::Family;
use guest_names::candidate::Candidate;
use guest_names::io::Exhausted;
use guest_names::lookup::Query;
use guest_names::name::NameKind;
use guest_names::observe::Observer;
use guest_names::text::Text;

use crate::args::{Families, NameKinds};
use crate::error::Error;
use crate::paths::Paths;
use crate::state::address;
use crate::state::lossy;
use guest_store::lookup::{self, Found};

/// What a look-up by name came to.
pub(crate) struct Answered {
    pub(crate) found: Found,
    pub(crate) candidates: Vec<Candidate>,
}

impl NameKinds {
    /// In which order the names are looked up.
    pub(crate) fn kinds(self) -> &'static [NameKind] {
        match self {
            Self { guest: true, .. } => &[NameKind::Domain],
            Self { host: true, .. } => &[NameKind::HostName],
            _ => &[NameKind::HostName, NameKind::Domain],
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
pub(crate) fn service(kind: NameKind) -> &'static str {
    match kind {
        NameKind::HostName => "libvirt",
        NameKind::Domain => "libvirt_guest",
    }
}

/// The kind of name, for people.
pub(crate) fn kind_of_name(kind: NameKind) -> &'static str {
    match kind {
        NameKind::HostName => "host name",
        NameKind::Domain => "domain name",
    }
}

/// Looks up a name.
///
/// # Errors
/// [`Error::Exhausted`].
pub(crate) fn by_name(
    paths: &Paths,
    kind: NameKind,
    name: &[u8],
    family: Option<Family>,
    now: i64,
    observer: Option<&mut dyn Observer>,
) -> Result<Answered, Error> {
    let Some(wanted) = kind.wanted(name) else {
        return Ok(Answered { found: Found::Unknown, candidates: Vec::new() });
    };
    let query = Query { kind, wanted, family, scopes: true };
    let (state, snapshot) = (paths.state_directory(), paths.snapshot());
    let found = lookup::by_name(&state, snapshot.as_deref(), now, observer, &query);
    let (found, candidates) = found.map_err(|Exhausted| Error::Exhausted)?;
    Ok(Answered { found, candidates })
}

/// The name of the guest that has an address.
///
/// # Errors
/// [`Error::Exhausted`].
pub(crate) fn by_address(
    paths: &Paths,
    kind: NameKind,
    address: IpAddr,
    now: i64,
    observer: Option<&mut dyn Observer>,
) -> Result<Option<String>, Error> {
    let (state, snapshot) = (paths.state_directory(), paths.snapshot());
    let mut name = Text::new();
    let found = lookup::look_up(&state, snapshot.as_deref(), now, observer, |lookup| {
        lookup.by_address(kind, address::from_std(address), &mut name)
    });
    match found {
        Ok(found) => Ok(found.then(|| lossy(name.as_bytes()))),
        Err(Exhausted) => Err(Error::Exhausted),
    }
}

/// The candidate's bridge.
pub(crate) fn bridge(candidate: &Candidate) -> Option<String> {
    let bridge = candidate.bridge.as_bytes();
    (!bridge.is_empty()).then(|| lossy(bridge))
}

/// The address of a candidate that is in an answer.
pub(crate) fn address_of(candidate: &Candidate) -> IpAddr {
    candidate.address.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address::to_std)
}

/// The address as programs take it: with its scope where it needs one.
pub(crate) fn address_text(candidate: &Candidate) -> String {
    let address = address_of(candidate);
    match bridge(candidate) {
        Some(bridge) if address::needs_scope(address) => format!("{address}%{bridge}"),
        _ => address.to_string(),
    }
}
