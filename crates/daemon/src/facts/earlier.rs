//! What guest agents reported to the previous daemon, read from its snapshot. It fills the time after a restart until the
//! agents are queried again.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use guest_names::address::{Address, Mac};
use guest_names::candidate::Evidence;
use guest_names::snapshot::format::{Entry, flags, kind};
use guest_store::snapshot::Snapshot;

use super::Millis;
use super::guest::KnownGuest;
use crate::config::Connection;
use crate::model::{Agent, Guest, ReportedAddress, ReportedBy};

/// Reports of agents, by connection and domain.
#[derive(Debug, Default)]
pub struct EarlierReports {
    /// Each connection's name, and its URI without parameters.
    connections: Vec<(String, Option<String>)>,
    /// By index into the connections, and domain name.
    reports: HashMap<(u16, Vec<u8>), Report>,
    /// When the previous daemon last touched its snapshot.
    since: Millis,
}

#[derive(Debug, Default)]
struct Report {
    host_name: Option<String>,
    addresses: Vec<(Mac, IpAddr)>,
    /// With the domain's UUID, since another domain of the same name has other keys.
    host_keys: Option<([u8; 16], Arc<[String]>)>,
}

impl EarlierReports {
    /// Reads the snapshot at `path`, compiled from the state directory `state`. `(now, epoch)` is the current time, by this
    /// daemon's clock and in seconds since the epoch; `hold` is in seconds. Empty if the snapshot is missing, unusable or
    /// older than `hold`.
    #[must_use]
    pub fn read(path: &Path, state: &Path, (now, epoch): (Millis, i64), hold: i64) -> Self {
        let Ok(Some(snapshot)) = Snapshot::read(path, state) else { return Self::default() };
        let age = epoch.saturating_sub(snapshot.modified);
        if (0..hold).contains(&age) {
            Self::of(&snapshot, now - age * 1000)
        } else {
            Self::default()
        }
    }

    fn of(snapshot: &Snapshot, since: Millis) -> Self {
        let connections = snapshot.info.connections.iter();
        let mut earlier = Self {
            connections: connections.map(|one| (one.name.clone(), one.uri.clone())).collect(),
            reports: HashMap::new(),
            since,
        };
        let mut owners: HashMap<(u16, [u8; 6]), Vec<u8>> = HashMap::new();
        own_entries(snapshot, kind::GUEST, |entry, mac| {
            owners.insert((entry.connection, mac.0), entry.name.to_vec());
            // The neighbour table, too, may have confirmed a lease; that is good enough here.
            let is_reported = entry.evidence == Evidence::Agent || entry.is(flags::CONFIRMED);
            if let (true, Some(address)) = (is_reported, entry.address) {
                let report = earlier.reports.entry((entry.connection, entry.name.to_vec()));
                report.or_default().addresses.push((mac, to_std(address)));
            }
        });
        own_entries(snapshot, kind::HOST, |entry, mac| {
            // A lease that libvirt reports has its own host name. All other reported host names are from agents.
            let Some(domain) = owners.get(&(entry.connection, mac.0)) else { return };
            if entry.evidence != Evidence::Lease {
                let report = earlier.reports.entry((entry.connection, domain.clone())).or_default();
                report.host_name.get_or_insert_with(|| String::from_utf8_lossy(entry.name).into());
            }
        });
        for (id, guest) in snapshot.ssh_guests.iter().filter(|(_, guest)| !guest.keys.is_empty()) {
            let domain = (id.connection, guest.name.as_bytes().to_vec());
            let report = earlier.reports.entry(domain).or_default();
            report.host_keys = Some((id.uuid, guest.keys.as_slice().into()));
        }
        earlier
    }

    /// Removes and returns the report about a guest that this connection now lists.
    pub(super) fn take(&mut self, settings: &Connection, guest: &Guest) -> Option<KnownGuest> {
        if self.reports.is_empty() || !settings.config.agent {
            return None;
        }
        let connection = self.connection(settings)?;
        let report = self.reports.remove(&(connection, guest.name.as_bytes().to_vec()))?;
        let mut nics = guest.nics.clone();
        for nic in &mut nics {
            let own = report.addresses.iter().filter(|(mac, _)| *mac == nic.mac);
            nic.addresses = own
                .map(|&(_, address)| ReportedAddress {
                    address,
                    source: ReportedBy::Agent,
                    expiry: 0,
                })
                .collect();
        }
        let host_name = report.host_name;
        let host_keys = report.host_keys.filter(|_| settings.config.host_keys);
        let host_keys = host_keys.filter(|(uuid, _)| *uuid == guest.uuid).map(|(_, keys)| keys);
        let guest = Guest { host_name, agent: Agent::Silent, host_keys, nics, ..guest.clone() };
        Some(KnownGuest::silent_since(guest, self.since))
    }

    /// Call this once the connection has listed all its guests: the remaining reports are about guests that have stopped.
    pub(super) fn forget_stopped(&mut self, settings: &Connection) {
        if let Some(connection) = self.connection(settings) {
            self.reports.retain(|(other, _), _| *other != connection);
        }
    }

    /// The index of the connection with the same name and URI.
    fn connection(&self, settings: &Connection) -> Option<u16> {
        let uri = settings.config.uri_without_parameters();
        let is_same = |(name, old): &(String, Option<String>)| {
            *name == settings.config.name && old.as_deref() == Some(uri)
        };
        self.connections.iter().position(is_same)?.try_into().ok()
    }

    /// Drops all reports once they are `hold` old.
    pub(super) fn expire(&mut self, now: Millis, hold: Millis) {
        if self.since + hold <= now && !self.reports.is_empty() {
            *self = Self::default();
        }
    }
}

/// Calls `take` with the entries of kind `of` that libvirt reported and their NIC, but not with those of aliases.
fn own_entries(snapshot: &Snapshot, of: u8, mut take: impl FnMut(&Entry<'_>, Mac)) {
    for record in snapshot.records() {
        let Some(key) = record.key.strip_prefix(&[of]) else { continue };
        for (_, entry) in &record.entries {
            let name = entry.name.strip_suffix(b".").unwrap_or(entry.name);
            if let (true, true, Some(mac)) =
                (entry.is(flags::REPORTED), name.eq_ignore_ascii_case(key), entry.mac)
            {
                take(entry, mac);
            }
        }
    }
}

fn to_std(address: Address) -> IpAddr {
    match address {
        Address::V4(octets) => octets.into(),
        Address::V6(octets) => octets.into(),
    }
}
