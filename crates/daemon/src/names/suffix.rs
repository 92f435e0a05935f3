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

use guest_names::name::{HOST_NAME_MAX, Wanted, is_host_name};
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

/// The key of a name followed by a suffix; `None` if that is not valid in a look-up.
pub(super) fn key(table: &mut Table, kind: u8, name: &[u8], suffix: &[u8]) -> Option<Span> {
    join(table, kind, name, suffix, false)
}

/// `are_valid`: the name and the suffix are valid host names.
fn join(table: &mut Table, kind: u8, name: &[u8], suffix: &[u8], are_valid: bool) -> Option<Span> {
    let suffix = suffix.strip_suffix(b".").unwrap_or(suffix);
    if name.is_empty() || suffix.is_empty() {
        return None;
    }
    // Both checks ignore case, so it doesn't matter that the key is in lower case.
    table.key(kind, &[name, suffix], |whole| match kind {
        // Checking all of it again would take longer than anything else that is done for a name.
        kind::HOST if are_valid && whole.len() <= HOST_NAME_MAX => {
            debug_assert!(is_host_name(whole));
            true
        }
        kind::HOST => is_host_name(whole),
        _ => Wanted::domain(whole).is_some(),
    })
}

/// The keys of a name's aliases, each with its class.
pub(super) type Aliases = [Option<(Span, Class)>; 6];

/// The suffixes that only the daemon knows.
pub(super) struct Suffixes<'i> {
    naming: &'i Naming,
    /// Those that names have had so far.
    known: Vec<(Place<'i>, Vec<Suffix>)>,
}

struct Suffix {
    text: String,
    class: Class,
    is_host_name: bool,
}

/// Where a guest is: its connection, and its network if that is known.
type Place<'i> = (&'i Connection, Option<&'i Network>);

impl<'i> Suffixes<'i> {
    pub(super) fn new(naming: &'i Naming) -> Self {
        Self { naming, known: Vec::new() }
    }

    /// The keys of a name of a guest there with each suffix. A host name must be valid.
    pub(super) fn aliases(
        &mut self,
        table: &mut Table,
        kind: u8,
        name: &[u8],
        place: Place<'i>,
    ) -> Aliases {
        let is_same = |(other, _): &(Place<'i>, _)| {
            let network = |place: Place<'i>| place.1.map(std::ptr::from_ref);
            std::ptr::eq(other.0, place.0) && network(*other) == network(place)
        };
        let known = self.known.iter().position(is_same).unwrap_or_else(|| {
            self.known.push((place, suffixes(self.naming, place)));
            self.known.len() - 1
        });
        let mut aliases = [None; 6];
        for (alias, suffix) in aliases.iter_mut().zip(&self.known[known].1) {
            let key = join(table, kind, name, suffix.text.as_bytes(), suffix.is_host_name);
            *alias = key.map(|key| (key, suffix.class));
        }
        aliases
    }
}

/// The suffixes of guests in a place.
fn suffixes(naming: &Naming, (connection, network): Place<'_>) -> Vec<Suffix> {
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
    let mut distinct: Vec<Suffix> = Vec::new();
    for (parts, class) in suffixes.into_iter().flatten() {
        let parts = parts.map(|part| part.strip_suffix('.').unwrap_or(part));
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let text = parts.join(".");
        // The same suffix may come up twice; use it once.
        if !distinct.iter().any(|other| labels(&other.text) == labels(&text)) {
            let is_host_name = is_host_name(text.as_bytes());
            distinct.push(Suffix { text, class, is_host_name });
        }
    }
    distinct
}

/// The labels of a suffix, in lower case.
fn labels(suffix: &str) -> Vec<String> {
    let labels = suffix.split('.').filter(|label| !label.is_empty());
    labels.map(str::to_ascii_lowercase).collect()
}
