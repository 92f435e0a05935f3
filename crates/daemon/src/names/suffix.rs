//! The suffixes of guests' names, and whether a name with a suffix is valid.
//!
//! | alias | where |
//! |---|---|
//! | `NAME.DOMAIN` | the guest's network has that domain |
//! | `NAME.ZONE` | always |
//! | `NAME.NETWORK.ZONE`, `NAME.CONNECTION.ZONE` | always |
//! | `NAME.CONNECTION` | the configuration names the connection |
//! | `NAME.NETWORK` | the configuration wants it |
//!
//! Suffixes that nobody configured end in the zone, since any short suffix may be a top-level domain.

use guest_names::name::{Wanted, is_host_name};
use guest_names::snapshot::format::kind;

use super::table::{Class, Span, Table};
use crate::config::Naming;
use crate::facts::Connection;
use crate::model::Network;

/// The key of a name by itself; `None` if it is not valid in a look-up.
pub(super) fn own_key(table: &mut Table, kind: u8, name: &[u8]) -> Option<Span> {
    let wanted = match kind {
        kind::HOST => Wanted::host(name)?,
        _ => Wanted::domain(name)?,
    };
    table.key(kind, &[wanted.canonical()], |_| true)
}

/// The key of a name followed by the parts of a suffix; `None` if that is not valid in a look-up.
pub(super) fn key(table: &mut Table, kind: u8, name: &[u8], suffix: [&[u8]; 2]) -> Option<Span> {
    let [first, last] = suffix.map(|part| part.strip_suffix(b".").unwrap_or(part));
    if name.is_empty() || (first.is_empty() && last.is_empty()) {
        return None;
    }
    // Both checks ignore case, so it doesn't matter that the key is in lower case.
    table.key(kind, &[name, first, last], |whole| match kind {
        kind::HOST => is_host_name(whole),
        _ => Wanted::domain(whole).is_some(),
    })
}

/// The keys of a name's aliases, each with its class.
pub(super) type Aliases = [Option<(Span, Class)>; 6];

/// The keys of a name with each suffix that only the daemon knows.
pub(super) fn aliases(
    table: &mut Table,
    naming: &Naming,
    kind: u8,
    name: &[u8],
    network: Option<&Network>,
    connection: &Connection,
) -> Aliases {
    let zone = naming.zone.as_str();
    let domain = network.and_then(|network| network.domain.as_deref());
    let network = network.map(|network| network.name.as_str());
    let settings = &connection.settings;
    let connection = settings.config.name.as_str();
    let suffixes = [
        domain.map(|domain| (["", domain], Class::Domain)),
        Some((["", zone], Class::Zone)),
        network.map(|network| ([network, zone], Class::Qualified)),
        Some(([connection, zone], Class::Qualified)),
        settings.is_named.then_some((["", connection], Class::Qualified)),
        network
            .filter(|_| naming.short_network_aliases)
            .map(|network| (["", network], Class::Qualified)),
    ];
    let mut aliases = [None; 6];
    for (at, suffix) in suffixes.iter().enumerate() {
        let Some((parts, class)) = suffix else { continue };
        // The same suffix may come up twice; add its key once.
        let earlier = suffixes[..at].iter().flatten();
        if earlier.into_iter().any(|(other, _)| same(*parts, *other)) {
            continue;
        }
        let key = key(table, kind, name, parts.map(str::as_bytes));
        aliases[at] = key.map(|key| (key, *class));
    }
    aliases
}

fn same(a: [&str; 2], b: [&str; 2]) -> bool {
    labels(&a).eq(labels(&b))
}

fn labels<'s>(parts: &'s [&str; 2]) -> impl Iterator<Item = impl PartialEq + use<'s>> + use<'s> {
    let labels = parts.iter().flat_map(|part| part.split('.')).filter(|label| !label.is_empty());
    labels.map(|label| Label(label.as_bytes()))
}

/// A label, compared without regard to case.
struct Label<'l>(&'l [u8]);

impl PartialEq for Label<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(other.0)
    }
}
