//! Writes the names to a snapshot, with information about their sources for display.

use std::collections::BTreeMap;
use std::io::{self, Seek, Write};

use guest_names::snapshot::format::Meta;
use guest_store::snapshot::info::{self, ConnectionInfo, FilesInfo, Info, NetworkInfo};
use guest_store::snapshot::write::{Counts, Writer};

use crate::facts::{Connection, Facts};
use crate::model::{ConnectionState, Network, ReportedBy};
use crate::names::{CompiledNames, Pulse};
use crate::outlets::zones::Zones;
use crate::state::Files;

/// Writes a snapshot to the start of `out`. `info` returns the record for display, given the number of names. Updates
/// [`CompiledNames::until`].
///
/// # Errors
/// `out` can't be written; the snapshot would be larger than 4 GiB.
pub fn write(
    out: impl Write + Seek,
    names: &mut CompiledNames,
    meta: Meta,
    info: impl FnOnce(Counts) -> Info,
    pulse: &mut Pulse<'_>,
) -> io::Result<Counts> {
    let mut writer = Writer::new(out)?;
    names.until = names.each(&mut |key, entries| -> io::Result<()> {
        pulse();
        writer.add_entries(key, entries)
    })?;
    let counts = writer.counts();
    names.ssh.each(|key, data| {
        pulse();
        writer.add(key, data)
    })?;
    writer.add_info(&info(counts))?;
    writer.finish(meta)?;
    Ok(counts)
}

/// The state directory and the zone at the time of the compilation.
#[derive(Clone, Copy, Debug)]
pub struct CompiledFiles<'s> {
    /// The files as they were read.
    pub files: &'s Files,
    /// The directory's path.
    pub directory: &'s std::path::Path,
    /// Whether look-ups may take leases from the snapshot.
    pub current: bool,
    /// Files that could not be read, and why.
    pub unread: &'s [String],
    /// The zone in which every guest has a name.
    pub zone: &'s str,
}

/// The information about the snapshot's sources, for display.
#[must_use]
pub fn info(
    facts: &Facts,
    state: CompiledFiles<'_>,
    zones: &Zones,
    compiled: i64,
    counts: Counts,
) -> Info {
    let contents = &state.files.contents;
    Info {
        version: Some(env!("CARGO_PKG_VERSION").into()),
        compiled: Some(compiled),
        keys: Some(counts.keys),
        entries: Some(counts.entries),
        zone: Some(state.zone.into()),
        files: FilesInfo {
            directory: Some(state.directory.to_string_lossy().into_owned()),
            leases: Some(contents.leases.len()),
            domains: Some(contents.domains.len()),
            current: Some(state.current),
            unread: state.unread.to_vec(),
        },
        connections: facts.connections.iter().map(connection).collect(),
        zones: zones.own().map(str::to_owned).collect(),
    }
}

fn connection(connection: &Connection) -> ConnectionInfo {
    let config = &connection.settings.config;
    let (state, reason) = match &connection.state {
        ConnectionState::Connecting => (info::ConnectionState::Connecting, None),
        ConnectionState::Up => (info::ConnectionState::Up, None),
        ConnectionState::Down { reason, .. } => (info::ConnectionState::Down, Some(reason.clone())),
        ConnectionState::Idle => (info::ConnectionState::Idle, None),
    };
    let guests = || connection.guests.values();
    let mut addresses: BTreeMap<String, usize> = BTreeMap::new();
    for reported in guests().flat_map(|known| &known.guest.nics).flat_map(|nic| &nic.addresses) {
        let source = match reported.source {
            ReportedBy::Lease => "lease",
            ReportedBy::Agent => "agent",
            ReportedBy::Neighbour => "neighbour",
        };
        match addresses.get_mut(source) {
            Some(count) => *count += 1,
            None => drop(addresses.insert(source.into(), 1)),
        }
    }
    let leases: usize = connection.networks.iter().map(|network| network.leases.len()).sum();
    if leases > 0 {
        *addresses.entry("lease".into()).or_default() += leases;
    }
    let titles = guests().filter_map(|known| {
        let title = known.guest.title.clone()?;
        Some((known.guest.name.clone(), title))
    });
    ConnectionInfo {
        name: config.name.clone(),
        uri: Some(config.uri_without_parameters().into()),
        here: connection.settings.here,
        state,
        since: Some(connection.since),
        reason,
        networks: Some(connection.networks.len()),
        network_details: connection.networks.iter().map(network).collect(),
        guests: Some(connection.guests.len()),
        agents: Some(guests().filter(|known| known.answered.is_some()).count()),
        no_agents: connection.no_agents.clone(),
        addresses,
        titles: titles.collect(),
    }
}

fn network(network: &Network) -> NetworkInfo {
    NetworkInfo {
        name: network.name.clone(),
        bridge: network.bridge.clone(),
        routed: network.routed,
        subnets: network.subnets.iter().map(ToString::to_string).collect(),
    }
}
