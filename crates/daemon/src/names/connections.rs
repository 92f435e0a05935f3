//! The connections in order of precedence, their guests, and this host's bridges.

use guest_names::bridge::Bridge;

use crate::facts::{Connection, Facts, KnownGuest};
use crate::model::{self, Network};

/// The rank of a connection's names; lower ranks win. Rank 0 is left for the state files if no connection is to this
/// host.
pub(super) fn rank_of(connection: &Connection) -> u32 {
    u32::from(connection.settings.config.id.0) + 1
}

pub(super) fn place(connection: &Connection) -> (u32, u16) {
    (rank_of(connection), connection.settings.config.id.0)
}

/// The connection that the leases in the state files are attributed to: the first one to this host.
pub(super) fn home(facts: &Facts) -> Option<&Connection> {
    facts.connections.iter().find(|connection| connection.settings.here)
}

/// All guests, each with its number in [`super::limits::Holder::Guest`].
pub(super) fn guests(facts: &Facts) -> impl Iterator<Item = (u32, &Connection, &KnownGuest)> {
    let guests = facts
        .connections
        .iter()
        .flat_map(|connection| connection.guests.values().map(move |known| (connection, known)));
    (0..).zip(guests).map(|(number, (connection, known))| (number, connection, known))
}

/// The guests of this host, numbered as in [`guests`].
pub(super) fn guests_here(facts: &Facts) -> impl Iterator<Item = (u32, &Connection, &KnownGuest)> {
    guests(facts).filter(|(_, connection, _)| connection.settings.here)
}

pub(super) fn bridge_of(nic: &model::Nic) -> Option<Bridge> {
    Bridge::new(nic.bridge.as_deref()?.as_bytes())
}

/// The network of this host that uses the bridge.
pub(super) fn network_on(facts: &Facts, bridge: Bridge) -> Option<&Network> {
    let here = facts.connections.iter().filter(|connection| connection.settings.here);
    here.flat_map(|connection| &connection.networks).find(|network| {
        network.bridge.as_deref().is_some_and(|name| name.as_bytes() == bridge.as_bytes())
    })
}
