//! Whose a name is: the connections in their order, their guests, and this host's bridges.

use guest_names::bridge::Bridge;

use crate::facts::{Connection, Facts, KnownGuest};
use crate::model::{self, Network};

/// The rank of a connection's names. Those of the files come first where no connection leads to this host.
pub(super) fn rank_of(connection: &Connection) -> u32 {
    u32::from(connection.settings.config.id.0) + 1
}

/// Rank and number of a connection.
pub(super) fn place(connection: &Connection) -> (u32, u16) {
    (rank_of(connection), connection.settings.config.id.0)
}

/// The connection that the files' leases belong to.
pub(super) fn home(facts: &Facts) -> Option<&Connection> {
    facts.connections.iter().find(|connection| connection.settings.here)
}

/// All guests, with the numbers that they have in [`super::limits::Holder`].
pub(super) fn guests(facts: &Facts) -> impl Iterator<Item = (u32, &Connection, &KnownGuest)> {
    let guests = facts
        .connections
        .iter()
        .flat_map(|connection| connection.guests.values().map(move |known| (connection, known)));
    (0..).zip(guests).map(|(number, (connection, known))| (number, connection, known))
}

/// Those of this host.
pub(super) fn guests_here(facts: &Facts) -> impl Iterator<Item = (u32, &Connection, &KnownGuest)> {
    guests(facts).filter(|(_, connection, _)| connection.settings.here)
}

/// The bridge of a guest's NIC.
pub(super) fn bridge_of(nic: &model::Nic) -> Option<Bridge> {
    Bridge::new(nic.bridge.as_deref()?.as_bytes())
}

/// The network of this host that has the bridge.
pub(super) fn network_on(facts: &Facts, bridge: Bridge) -> Option<&Network> {
    let here = facts.connections.iter().filter(|connection| connection.settings.here);
    here.flat_map(|connection| &connection.networks).find(|network| {
        network.bridge.as_deref().is_some_and(|name| name.as_bytes() == bridge.as_bytes())
    })
}
