//! The differences between two lists.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::state::MacAddress;
use crate::state::rows::{AddressState, Row};

/// Identifies a lease, or a NIC without one; for guests that only libvirt-nssd knows, by connection and domain too.
pub(crate) type RowId =
    (String, Option<MacAddress>, Option<IpAddr>, Option<(String, Option<String>)>);

pub(crate) fn id(row: &Row) -> RowId {
    let via = row.via.as_ref().map(|via| (via.connection.clone(), row.domain.clone()));
    (row.bridge.clone(), row.mac, row.address, via)
}

/// A difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) what: What,
    /// The row as it is now, or as it was before it was gone.
    pub(crate) row: Row,
}

/// What has happened to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// It was there at the start.
    Is,
    New,
    Gone,
    /// Its expiry time changed.
    Renewed,
    /// Its state changed.
    Turned,
    /// The name of the guest or of its network changed.
    Renamed,
}

impl What {
    /// One word for programs, which doesn't change; for a change of state, the new state.
    pub(crate) fn word(self, state: AddressState) -> &'static str {
        match self {
            Self::Is => "is",
            Self::New => "new",
            Self::Gone => "gone",
            Self::Renewed => "renewed",
            Self::Turned => state.word(),
            Self::Renamed => "renamed",
        }
    }
}

/// The changes from one list to another, in the order of the new one; what is gone comes last.
pub(crate) fn between(old: &[Row], new: &[Row]) -> Vec<Change> {
    let mut before: BTreeMap<RowId, &Row> = old.iter().map(|row| (id(row), row)).collect();
    let mut changes = Vec::new();
    for row in new {
        let what = match before.remove(&id(row)) {
            None => Some(What::New),
            Some(old) => difference(old, row),
        };
        changes.extend(what.map(|what| Change { what, row: row.clone() }));
    }
    let gone = old.iter().filter(|row| before.contains_key(&id(row)));
    changes.extend(gone.map(|row| Change { what: What::Gone, row: row.clone() }));
    changes
}

/// The most important difference of two versions of a row.
fn difference(old: &Row, new: &Row) -> Option<What> {
    let names = |row: &Row| {
        [&row.domain, &row.host_name, &row.network, &row.network_domain].map(Clone::clone)
    };
    if old.state != new.state {
        Some(What::Turned)
    } else if old.expiry != new.expiry {
        Some(What::Renewed)
    } else {
        let is_renamed = names(old) != names(new) || old.other_host_names != new.other_host_names;
        is_renamed.then_some(What::Renamed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(last: u8, expiry: i64, state: AddressState) -> Row {
        Row {
            domain: Some("web-vm".into()),
            host_name: Some("web".into()),
            other_host_names: Vec::new(),
            bridge: "virbr0".into(),
            network: None,
            network_domain: None,
            lease_domain: None,
            address: Some(IpAddr::from([10, 0, 0, last])),
            mac: None,
            client_id: None,
            expiry: Some(expiry),
            state,
            stands_for_nic: false,
            yields: [None; 2],
            via: None,
        }
    }

    fn words(old: &[Row], new: &[Row]) -> Vec<String> {
        let show = |change: &Change| {
            let address = change.row.address.unwrap();
            format!("{} {address}", change.what.word(change.row.state))
        };
        between(old, new).iter().map(show).collect()
    }

    #[test]
    fn each_kind() {
        let old = [1, 2, 3, 4, 5].map(|last| row(last, 100, AddressState::Attached));
        let mut renamed = old[3].clone();
        renamed.host_name = Some("www".into());
        let new = [
            row(9, 100, AddressState::Attached),
            row(1, 100, AddressState::Attached),
            row(2, 200, AddressState::Attached),
            row(3, 100, AddressState::LeftBehind),
            renamed,
        ];
        assert_eq!(
            words(&old, &new),
            [
                "new 10.0.0.9",
                "renewed 10.0.0.2",
                "left-behind 10.0.0.3",
                "renamed 10.0.0.4",
                "gone 10.0.0.5",
            ]
        );
        assert!(between(&new, &new).is_empty());
    }
}
