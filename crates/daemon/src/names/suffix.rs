//! What may stand behind a guest's name, and whether the whole is a name that can be asked for.

use guest_names::name::{Wanted, is_host_name};
use guest_names::snapshot::format::kind;

use super::table::{Span, Table};
use crate::facts::Connection;
use crate::model::Network;

/// The key of a name by itself; `None` where it can't be asked for.
pub(super) fn own_key(table: &mut Table, kind: u8, name: &[u8]) -> Option<Span> {
    let wanted = match kind {
        kind::HOST => Wanted::host(name)?,
        _ => Wanted::domain(name)?,
    };
    table.key(kind, wanted.canonical(), None, |_| true)
}

/// The key of a name with `suffix` behind it; `None` where it can't be asked for.
pub(super) fn key(table: &mut Table, kind: u8, name: &[u8], suffix: &[u8]) -> Option<Span> {
    let suffix = suffix.strip_suffix(b".").unwrap_or(suffix);
    if name.is_empty() || suffix.is_empty() {
        return None;
    }
    // Neither depends on case.
    table.key(kind, name, Some(suffix), |whole| match kind {
        kind::HOST => is_host_name(whole),
        _ => Wanted::domain(whole).is_some(),
    })
}

/// The keys of a name with what only the daemon knows to stand behind it: the domain and the name of the
/// network, the name of the connection.
pub(super) fn aliases(
    table: &mut Table,
    kind: u8,
    name: &[u8],
    network: Option<&Network>,
    connection: &Connection,
) -> [Option<Span>; 3] {
    let domain = network.and_then(|network| network.domain.as_deref());
    let network = network.map(|network| network.name.as_str());
    let connection = Some(connection.settings.config.name.as_str());
    // One and the same is one key.
    let network = network.filter(|&network| !domain.is_some_and(|other| same(other, network)));
    let connection = connection.filter(|connection| {
        ![domain, network].into_iter().flatten().any(|other| same(other, connection))
    });
    [domain, network, connection].map(|suffix| key(table, kind, name, suffix?.as_bytes()))
}

fn same(a: &str, b: &str) -> bool {
    a.strip_suffix('.').unwrap_or(a).eq_ignore_ascii_case(b.strip_suffix('.').unwrap_or(b))
}
