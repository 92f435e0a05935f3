//! The snapshot's `info` record: JSON for people, which `libvirt-nss doctor` shows.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::facts::{Connection, Facts};
use crate::model::{ConnectionState, Source};
use crate::publish::Written;
use crate::state::Files;

/// All of it.
#[derive(Serialize)]
struct Info<'i> {
    /// The daemon's version.
    version: &'i str,
    /// When it was compiled, in seconds since the epoch.
    compiled: i64,
    keys: u32,
    entries: u32,
    /// What the state directory gave.
    files: FilesInfo<'i>,
    /// In the configuration's order.
    connections: Vec<ConnectionInfo<'i>>,
}

#[derive(Serialize)]
struct FilesInfo<'i> {
    directory: String,
    leases: usize,
    /// Domains with a NIC on a bridge of this host, by bridge.
    domains: usize,
    /// Whether leases count: not where the directory is too fresh, or something in it can't be read.
    current: bool,
    /// Files that could not be read, and why.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    unread: &'i [String],
}

#[derive(Serialize)]
struct ConnectionInfo<'i> {
    name: &'i str,
    /// Without parameters.
    uri: &'i str,
    /// It leads to this host.
    here: bool,
    /// `connecting`, `up`, `down` or `idle`.
    state: &'static str,
    /// Since when, in seconds since the epoch.
    since: i64,
    /// In libvirt's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'i str>,
    networks: usize,
    guests: usize,
    /// Guests whose agent answers.
    agents: usize,
    /// Why no agent can be asked, where that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    no_agents: Option<&'i str>,
    /// Addresses that were reported, by their sources, believed or not.
    addresses: BTreeMap<&'static str, usize>,
    /// Titles by domain name, of guests that have one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    titles: BTreeMap<&'i str, &'i str>,
}

/// The state directory, as of the compilation.
#[derive(Clone, Copy, Debug)]
pub struct State<'s> {
    /// Its path.
    pub directory: &'s std::path::Path,
    /// What was read.
    pub files: &'s Files,
    /// Leases count.
    pub current: bool,
    /// Files that could not be read, and why.
    pub unread: &'s [String],
}

/// The record's data.
#[must_use]
pub fn json(facts: &Facts, state: State<'_>, compiled: i64, written: Written) -> Vec<u8> {
    let info = Info {
        version: env!("CARGO_PKG_VERSION"),
        compiled,
        keys: written.keys,
        entries: written.entries,
        files: FilesInfo {
            directory: state.directory.to_string_lossy().into_owned(),
            leases: state.files.leases.len(),
            domains: state.files.domains.len(),
            current: state.current,
            unread: state.unread,
        },
        connections: facts.connections.iter().map(connection).collect(),
    };
    // Maps with text for keys and numbers always have a JSON form.
    serde_json::to_vec(&info).unwrap_or_default()
}

fn connection(connection: &Connection) -> ConnectionInfo<'_> {
    let config = &connection.settings.config;
    let (state, reason) = match &connection.state {
        ConnectionState::Connecting => ("connecting", None),
        ConnectionState::Up => ("up", None),
        ConnectionState::Down { reason, .. } => ("down", Some(reason.as_str())),
        ConnectionState::Idle => ("idle", None),
    };
    let guests = || connection.guests.values();
    let mut addresses = BTreeMap::new();
    for told in guests().flat_map(|known| &known.guest.nics).flat_map(|nic| &nic.addresses) {
        let source = match told.source {
            Source::Lease => "lease",
            Source::Agent => "agent",
            Source::Neighbour => "neighbour",
        };
        *addresses.entry(source).or_default() += 1;
    }
    let leases: usize = connection.networks.iter().map(|network| network.leases.len()).sum();
    if leases > 0 {
        *addresses.entry("lease").or_default() += leases;
    }
    let title = |known: &'_ crate::facts::Known| known.guest.title.is_some();
    ConnectionInfo {
        name: &config.name,
        uri: config.uri.split('?').next().unwrap_or(&config.uri),
        here: connection.settings.here,
        state,
        since: connection.since,
        reason,
        networks: connection.networks.len(),
        guests: connection.guests.len(),
        agents: guests().filter(|known| known.answered.is_some()).count(),
        no_agents: connection.no_agents.as_deref(),
        addresses,
        titles: guests()
            .filter(|known| title(known))
            .filter_map(|known| Some((known.guest.name.as_str(), known.guest.title.as_deref()?)))
            .collect(),
    }
}
