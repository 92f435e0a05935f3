//! The expected contents of state files, by the oracle.

use std::str;

use guest_names::bridge::Bridge;
use guest_names::io::Kind;
use testkit::reference::{Guest, HostState, Lease};

use crate::oracle::all_objects;
use crate::records::{LeaseRecord, MacRecord};
use crate::scenario::NamedFile;

/// The valid records of the files, which are listed in this order. `None` if a state file isn't valid JSON as a whole.
#[must_use]
pub fn read(files: &[NamedFile<'_>]) -> Option<HostState> {
    let mut state = HostState::default();
    for (name, bytes) in files {
        let bridge_of = |kind: Kind| name.strip_suffix(kind.suffix()).and_then(Bridge::new);
        let (leases, macs) = (bridge_of(Kind::Leases), bridge_of(Kind::Macs));
        let Some(bridge) = leases.or(macs) else { continue };
        let objects = all_objects(str::from_utf8(bytes).ok()?)?;
        if leases.is_some() {
            let records = objects.iter().map(LeaseRecord::of).filter(|record| !record.mistyped);
            state.leases.extend(records.filter_map(|record| lease(bridge, record)));
        } else {
            let records = objects.iter().map(MacRecord::of).filter(MacRecord::is_good);
            state.guests.extend(records.map(|record| guest(bridge, record)));
        }
    }
    Some(state)
}

/// `None` if it has no address.
fn lease(bridge: Bridge, record: LeaseRecord) -> Option<Lease> {
    let LeaseRecord { address, mac, expiry, .. } = record;
    let [hostname, domain, client] = [record.hostname, record.domain, record.client].map(text);
    Some(Lease { bridge, address: address?, mac, hostname, domain, expiry, client })
}

fn guest(bridge: Bridge, record: MacRecord) -> Guest {
    Guest { bridge, name: text(record.domain), macs: record.macs }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("a JSON string is UTF-8")
}
