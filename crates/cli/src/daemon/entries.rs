//! The entries of the daemon's snapshot, by guest.

use std::net::IpAddr;

use guest_names::snapshot::format::{Entry, kind};

use super::Snapshot;
use crate::state::address;
use crate::state::{MacAddress, lossy};

/// An address of a NIC on a bridge of this host: entries with the same one are about the same thing.
pub(super) type Assignment = (IpAddr, Option<MacAddress>, String);

/// The assignment that an entry is about, if it has an address.
pub(super) fn assignment(entry: &Entry<'_>) -> Option<Assignment> {
    let mac = entry.mac.map(MacAddress::from);
    Some((address::to_std(entry.address?), mac, lossy(entry.bridge.as_bytes())))
}

/// The entries under the guest's own name, and whether that is a domain name.
pub(super) fn entries(snapshot: &Snapshot) -> impl Iterator<Item = (bool, Entry<'_>)> {
    snapshot.compiled.records().flat_map(|record| {
        let (first, key) = record.key.split_first().unwrap_or((&0, &[]));
        let named = matches!(*first, kind::HOST | kind::GUEST);
        let is_domain = *first == kind::GUEST;
        let own = move |entry: &Entry<'_>| {
            let name = entry.name.strip_suffix(b".").unwrap_or(entry.name);
            named && key.eq_ignore_ascii_case(name)
        };
        let entries = record.entries.into_iter().map(|(_, entry)| entry);
        entries.filter(own).map(move |entry| (is_domain, entry))
    })
}
