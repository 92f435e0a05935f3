//! Rows for programs: the fields of `--plain`, and JSON.

use serde::Serialize;

use crate::output::escape::field;
use crate::state;
use crate::state::rows::Row;

/// The fields of `--plain`.
pub(crate) fn plain(row: &Row) -> String {
    let address = row.address.map(|address| address.to_string());
    let mac = row.mac.map(|mac| mac.to_string());
    let expiry = row.expiry.map(|expiry| expiry.to_string());
    // The snapshot has only valid host names of agents, so there is no comma in them.
    let others = Some(row.other_host_names.join(",")).filter(|names| !names.is_empty());
    [
        row.domain.as_deref(),
        row.host_name.as_deref(),
        row.bridge(),
        row.network.as_deref(),
        address.as_deref(),
        mac.as_deref(),
        expiry.as_deref(),
        Some(row.state.word()),
        row.network_domain.as_deref(),
        row.client_id.as_deref(),
        Some(row.source()),
        row.via.as_ref().map(|via| via.connection.as_str()),
        Some(row.resolves().word()),
        others.as_deref(),
    ]
    .map(field)
    .join("\t")
}

/// A row for programs.
#[derive(Serialize)]
pub(crate) struct JsonRow<'r> {
    domain: Option<&'r str>,
    host_name: Option<&'r str>,
    /// Further ones, which the guest's agent reports.
    other_host_names: &'r [String],
    bridge: Option<&'r str>,
    network: Option<&'r str>,
    network_domain: Option<&'r str>,
    address: Option<String>,
    family: Option<&'static str>,
    mac: Option<String>,
    client_id: Option<&'r str>,
    expiry: Option<i64>,
    state: &'static str,
    /// Where it is known from: `file`, or from libvirt's API `lease`, `agent`, `arp` or, without an address, `libvirt`.
    source: &'static str,
    /// The daemon's connection to the guest's libvirt, for what only the daemon knows.
    connection: Option<&'r str>,
    /// Which names find the address: `both`, `host`, `domain` or `no`.
    resolves: &'static str,
}

impl<'r> JsonRow<'r> {
    pub(crate) fn new(row: &'r Row) -> Self {
        Self {
            domain: row.domain.as_deref(),
            host_name: row.host_name.as_deref(),
            other_host_names: &row.other_host_names,
            bridge: row.bridge(),
            network: row.network.as_deref(),
            network_domain: row.network_domain.as_deref(),
            address: row.address.map(|address| address.to_string()),
            family: row.address.map(state::address::family),
            mac: row.mac.map(|mac| mac.to_string()),
            client_id: row.client_id.as_deref(),
            expiry: row.expiry,
            state: row.state.word(),
            source: row.source(),
            connection: row.via.as_ref().map(|via| via.connection.as_str()),
            resolves: row.resolves().word(),
        }
    }
}
