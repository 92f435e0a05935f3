//! Limits on how much of the snapshot one guest can take up.

use std::collections::HashMap;

use guest_names::snapshot::format::{hash, kind};
use guest_store::contents::BridgeIndex;

use super::Input;
use super::connections::guests;
use super::table::Table;
use crate::facts::{Connection, KnownGuest};
use crate::model::GUEST_ADDRESSES;

/// How many host names and addresses of one guest may have the same hash in the snapshot: a look-up of anything with that hash
/// has to read past all of them. By chance, no more than three of a million names share a hash.
const SAME_HASH: u32 = 16;

/// Whose an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Holder {
    /// A guest that libvirt reports, by its number across all connections.
    Guest(u32),
    /// A domain that is only in a MAC map, by its index in [`guest_store::contents::Contents::domains`].
    Domain(u32),
    /// No running guest. All such leases on a bridge count as one holder's, since a guest can get leases for any MAC
    /// addresses it makes up.
    Bridge(BridgeIndex),
    /// None of this connection's guests, but the lease is on one of its networks.
    Connection(u16),
}

impl Holder {
    /// The holder in words, for the log.
    fn text(self, input: Input<'_>) -> String {
        let files = &input.files.contents;
        let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match self {
            Self::Guest(number) => {
                let guest = guests(input.facts).find(|&(other, ..)| other == number);
                let name = |(_, connection, known): (u32, &Connection, &KnownGuest)| {
                    let on = &connection.settings.config.name;
                    format!("guest {} of connection {on}", known.guest.name)
                };
                guest.map_or_else(String::new, name)
            }
            Self::Domain(record) => {
                let domain = files.domains.get(record as usize);
                let name = domain.map(|domain| lossy(files.text(domain.name)));
                format!("guest {}", name.unwrap_or_default())
            }
            Self::Bridge(bridge) => {
                let bridge = lossy(files.bridge(bridge).as_bytes());
                format!("bridge {bridge} (no known guest)")
            }
            Self::Connection(connection) => {
                let connection = input.facts.connections.get(usize::from(connection));
                let name = connection.map_or("", |one| one.settings.config.name.as_str());
                format!("connection {name} (no known guest)")
            }
        }
    }
}

/// Log messages for guests with more than [`GUEST_ADDRESSES`] addresses.
pub(super) fn addresses(input: Input<'_>, holders: &[Holder]) -> Vec<String> {
    let text = |holder: &Holder| {
        let whose = holder.text(input);
        format!("{whose} reports more than {GUEST_ADDRESSES} addresses; the others are left out")
    };
    holders.iter().map(text).collect()
}

/// Drops a holder's host names and addresses beyond [`SAME_HASH`] with the same hash. Returns log messages.
pub(super) fn limit_same_hash(input: Input<'_>, table: &mut Table) -> Vec<String> {
    // Only the administrator chooses domains' names.
    let hash = |key: &[u8]| (key.first() != Some(&kind::GUEST)).then(|| hash(key));
    // How many hashes leave the same remainder. Without intent, no more than a few do.
    let mut counts = vec![0u8; table.len().next_power_of_two()];
    let remainder = |hash: u32| hash as usize % table.len().next_power_of_two();
    for hash in table.groups().filter_map(|(key, _)| hash(key)) {
        let count = &mut counts[remainder(hash)];
        *count = count.saturating_add(1);
    }
    if counts.iter().all(|&count| u32::from(count) <= SAME_HASH) {
        return Vec::new();
    }
    let mut hashes = Vec::new();
    let mut row = 0;
    for (key, rows) in table.groups() {
        let hash = hash(key).filter(|&hash| u32::from(counts[remainder(hash)]) > SAME_HASH);
        hashes.extend(hash.map(|hash| (hash, row, row + rows.len())));
        row += rows.len();
    }
    hashes.sort_unstable();
    let (mut dropped, mut holders) = (Vec::new(), Vec::new());
    for keys in hashes.chunk_by(|a, b| a.0 == b.0).filter(|keys| keys.len() > SAME_HASH as usize) {
        // For each holder: how many keys, and where the last one starts.
        let mut counts: HashMap<Holder, (u32, usize)> = HashMap::new();
        for &(_, from, to) in keys {
            for at in from..to {
                let holder = table.holder(at);
                let (count, last) = counts.entry(holder).or_insert((0, usize::MAX));
                if *last != from {
                    (*count, *last) = (*count + 1, from);
                }
                if *count > SAME_HASH {
                    dropped.push(at);
                    holders.push(holder);
                }
            }
        }
    }
    if !dropped.is_empty() {
        dropped.sort_unstable();
        table.retain(|at| dropped.binary_search(&at).is_err());
    }
    holders.sort_unstable();
    holders.dedup();
    let text = |holder: &Holder| {
        let whose = holder.text(input);
        format!(
            "{whose} has more than {SAME_HASH} host names and addresses with the same hash; the others are left out"
        )
    };
    holders.iter().map(text).collect()
}
