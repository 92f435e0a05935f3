//! How much of the snapshot one guest can take up.

use std::collections::HashMap;

use guest_names::snapshot::format::{hash, kind};
use guest_store::contents::BridgeIndex;

use super::Input;
use super::connections::guests;
use super::table::Table;
use crate::facts::{Connection, KnownGuest};

/// So many addresses that no state file of this host has are taken from one guest.
pub(super) const ADDRESSES: usize = 64;

/// So many host names of one guest may share a hash of the snapshot: a look-up of any name with that hash
/// reads past all of them. Among a million names a hash has three by chance.
const SAME_HASH: u32 = 16;

/// Whose an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Holder {
    /// A guest that libvirt has, by its number over all connections.
    Guest(u32),
    /// A domain that only a MAC map has, by its record.
    Domain(u32),
    /// No running guest. All leases of a bridge count together, since a guest can take them with MACs of its
    /// choice.
    Bridge(BridgeIndex),
    /// No guest of this connection, whose networks have the lease.
    Connection(u16),
}

impl Holder {
    /// For the log.
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
                format!("what is on bridge {bridge} and belongs to no guest")
            }
            Self::Connection(connection) => {
                let connection = input.facts.connections.get(usize::from(connection));
                let name = connection.map_or("", |one| one.settings.config.name.as_str());
                format!("what is on networks of connection {name} and belongs to no guest")
            }
        }
    }
}

/// Guests of which [`ADDRESSES`] don't take all, for the log.
pub(super) fn addresses(input: Input<'_>, holders: &[Holder]) -> Vec<String> {
    let text = |holder: &Holder| {
        let whose = holder.text(input);
        format!("{whose} reports more than {ADDRESSES} addresses; the others are left out")
    };
    holders.iter().map(text).collect()
}

/// Drops host names that share a hash with [`SAME_HASH`] others of their holder. Whose they were, for the log.
pub(super) fn limit_same_hash(input: Input<'_>, table: &mut Table) -> Vec<String> {
    let mut hashes = Vec::new();
    let mut row = 0;
    for (key, rows) in table.groups() {
        if key.first() == Some(&kind::HOST) {
            hashes.push((hash(key), row, row + rows.len()));
        }
        row += rows.len();
    }
    hashes.sort_unstable();
    let (mut dropped, mut holders) = (Vec::new(), Vec::new());
    for keys in hashes.chunk_by(|a, b| a.0 == b.0).filter(|keys| keys.len() > SAME_HASH as usize) {
        // Of each holder: how many names, and the last of them.
        let mut names: HashMap<Holder, (u32, usize)> = HashMap::new();
        for &(_, from, to) in keys {
            for at in from..to {
                let holder = table.holder(at);
                let (count, last) = names.entry(holder).or_insert((0, usize::MAX));
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
            "{whose} has more than {SAME_HASH} host names with the same hash; the others are left out"
        )
    };
    holders.iter().map(text).collect()
}
