//! Look-ups in memory.

use std::net::IpAddr;

use guest_names::address::{Address, Family};
use guest_names::bridge::Bridge;
use guest_names::candidate::Candidate;
use guest_names::io::{Exhausted, StateDir};
use guest_names::lookup::{Found, Lookup, Memory, Query};
use guest_names::name::NameKind;
use guest_names::observe::Observer;
use guest_names::snapshot::Opened;
use guest_names::text::Text;
use guest_names::window::LARGE_BUFFER;

use crate::generate::NODE;
use crate::memory::Host;

/// The resources of a look-up, besides the directory.
#[derive(Clone, Copy, Debug)]
pub struct Means<'m> {
    /// Size of the buffer for reading files, in bytes.
    pub buffer: usize,
    /// How many candidates there is room for.
    pub places: usize,
    /// How many slices of memory are available.
    pub slices: usize,
    /// Whether an observer watches, which makes it read every record.
    pub watched: bool,
    /// The host's node name.
    pub node: &'m str,
    /// Seconds since the epoch.
    pub now: i64,
}

impl Means<'_> {
    /// The resources of the modules on the main thread.
    #[must_use]
    pub const fn ample(now: i64) -> Self {
        let (buffer, places, slices) = (LARGE_BUFFER, 24, usize::MAX);
        Self { buffer, places, slices, watched: false, node: NODE, now }
    }
}

/// The outcome of a look-up by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// No guest has the name.
    Unknown,
    /// A guest has the name, but no address to return.
    NoData,
    /// Its addresses in order, each with its bridge.
    Addresses(Vec<(Address, Bridge)>),
}

impl Answer {
    /// The addresses.
    #[must_use]
    pub fn addresses(&self) -> Vec<Address> {
        match self {
            Self::Addresses(addresses) => addresses.iter().map(|&(address, _)| address).collect(),
            Self::Unknown | Self::NoData => Vec::new(),
        }
    }
}

/// A guest's name and an address.
pub type NameAndAddress = (Vec<u8>, IpAddr);

/// The address as a std type.
#[must_use]
pub fn ip(address: Address) -> IpAddr {
    match address {
        Address::V4(octets) => octets.into(),
        Address::V6(octets) => octets.into(),
    }
}

struct Watcher;

impl Observer for Watcher {}

/// Runs `task` with a look-up that has these resources. The memory for the list of all guests is in the [`Host`].
pub fn with<D: StateDir, T>(
    directory: &mut D,
    snapshot: Option<Opened<D::File>>,
    means: &Means<'_>,
    task: impl FnOnce(&mut Lookup<'_, D, Host>, &Host) -> T,
) -> T {
    let host = Host::new(means.node, means.slices);
    let mut buffer = vec![0; means.buffer];
    let mut candidates = vec![Candidate::EMPTY; means.places];
    let memory = Memory { buffer: &mut buffer, candidates: &mut candidates };
    let mut watcher = Watcher;
    let observer = if means.watched { Some(&mut watcher as &mut dyn Observer) } else { None };
    task(&mut Lookup::new(directory, snapshot, &host, memory, means.now, observer), &host)
}

/// Looks up a name. One that no guest can have is unknown.
///
/// # Errors
/// See [`Lookup::by_name`].
///
/// # Panics
/// The answer has a candidate without an address, or none at all.
pub fn by_name<D: StateDir>(
    directory: &mut D,
    snapshot: Option<Opened<D::File>>,
    means: &Means<'_>,
    kind: NameKind,
    name: &[u8],
    family: Option<Family>,
) -> Result<Answer, Exhausted> {
    let Some(wanted) = kind.wanted(name) else { return Ok(Answer::Unknown) };
    // Like the module's two entry points: the one for both families can return scopes.
    let query = Query { kind, wanted, family, scopes: family.is_none() };
    with(directory, snapshot, means, |lookup, _| match lookup.by_name(&query)? {
        Found::Unknown => Ok(Answer::Unknown),
        Found::NoData => Ok(Answer::NoData),
        Found::Addresses(candidates) => {
            assert!(!candidates.is_empty(), "an answer without an address");
            let pair = |candidate: &Candidate| {
                let address = candidate.address.expect("a candidate with an address");
                (address, candidate.bridge)
            };
            Ok(Answer::Addresses(candidates.iter().map(pair).collect()))
        }
    })
}

/// Looks up an address and returns its name.
///
/// # Errors
/// See [`Lookup::by_address`].
///
/// # Panics
/// The name is empty.
pub fn by_address<D: StateDir>(
    directory: &mut D,
    snapshot: Option<Opened<D::File>>,
    means: &Means<'_>,
    kind: NameKind,
    address: Address,
) -> Result<Option<Vec<u8>>, Exhausted> {
    with(directory, snapshot, means, |lookup, _| {
        let mut name = Text::new();
        let is_found = lookup.by_address(kind, address, &mut name)?;
        assert!(!is_found || !name.is_empty(), "a name that is empty");
        Ok(is_found.then(|| name.as_bytes().to_vec()))
    })
}

/// Lists all names and addresses, in the list's order.
///
/// # Errors
/// See [`Lookup::list`].
pub fn list<D: StateDir>(
    directory: &mut D,
    snapshot: Option<Opened<D::File>>,
    means: &Means<'_>,
    kind: NameKind,
) -> Result<Vec<NameAndAddress>, Exhausted> {
    with(directory, snapshot, means, |lookup, host| {
        let list = lookup.list(kind, host)?;
        Ok(list.pairs.iter().map(|pair| (list.name(pair).to_vec(), ip(pair.address))).collect())
    })
}
