//! The records of one state file, with the look-up's own readers.

use guest_names::address::Mac;
use guest_names::json::{self, Members, Parsed, Value};
use guest_names::lease;
use guest_names::macmap::MacMap;
use guest_names::observe::Observer;
use guest_names::scan::{self, Records};
use guest_names::state::Kind;
use guest_names::text::Text;
use guest_names::window::{Fault, StateFile, Window};

use crate::contents::{BridgeIndex, Contents, Lease};
use crate::damage::Damage;
use crate::{Macs, OpenFile};

/// Adds the good records of a file to `contents`. Gives what ended the reading before the file's end, and
/// what in it is of no use.
pub(crate) fn read(
    file: OpenFile,
    bridge: BridgeIndex,
    kind: Kind,
    buffer: &mut [u8],
    contents: &mut Contents,
) -> (Option<(u32, Fault)>, Vec<Damage>) {
    let damage = Damages::default();
    match kind {
        Kind::Leases => {
            let record = LeaseRecord::default();
            let mut records = LeaseRecords { record, bridge, contents, damage };
            (go_through(file, buffer, &mut records), records.damage.0)
        }
        Kind::Macs => {
            let (map, macs) = (MacMap::new(), Macs::default());
            let mut records = MapRecords { map, macs, bridge, contents, damage };
            (go_through(file, buffer, &mut records), records.damage.0)
        }
    }
}

fn go_through<F: StateFile>(
    file: F,
    buffer: &mut [u8],
    records: &mut dyn Records<F>,
) -> Option<(u32, Fault)> {
    let mut window = Window::new(file, buffer);
    while scan::next(&mut window, records) {}
    window.fault().map(|fault| (window.offset(), fault))
}

/// Is given the malformed objects.
#[derive(Default)]
struct Damages(Vec<Damage>);

impl Observer for Damages {
    fn malformed(&mut self, start: u32, end: u32) {
        self.0.push(Damage::NotJson(start, end));
    }
}

/// A record of `BRIDGE.status`: what the look-up reads of it, and the client id beside.
#[derive(Default)]
struct LeaseRecord {
    lease: lease::Lease,
    client_id: Text,
}

impl Members for LeaseRecord {
    fn member(&mut self, key: &[u8], value: Value<'_>) {
        if let (b"client-id", Value::String(text)) = (key, value) {
            self.client_id.set(text);
        }
        self.lease.member(key, value);
    }
}

struct LeaseRecords<'r> {
    record: LeaseRecord,
    bridge: BridgeIndex,
    contents: &'r mut Contents,
    damage: Damages,
}

impl<F: StateFile> Records<F> for LeaseRecords<'_> {
    fn read(&mut self, window: &mut Window<'_, F>) -> Parsed {
        self.record = LeaseRecord::default();
        json::object(window, &mut self.record)
    }

    fn take(&mut self, start: u32) {
        let Self { record: LeaseRecord { lease, client_id }, contents, bridge, .. } = self;
        let (mac, expiry): (Option<Mac>, i64) = (lease.mac, lease.expiry);
        match lease.checked() {
            Ok(address) => {
                let domain = contents.add_text(lease.domain.as_bytes());
                let host_name = contents.add_text(lease.hostname.as_bytes());
                let client_id = contents.add_text(client_id.as_bytes());
                contents.leases.push(Lease {
                    bridge: *bridge,
                    start,
                    address,
                    mac,
                    host_name,
                    domain,
                    client_id,
                    expiry,
                });
            }
            Err(bad) => self.damage.0.push(Damage::BadLease(start, bad)),
        }
    }

    fn observer(&mut self) -> Option<&mut dyn Observer> {
        Some(&mut self.damage)
    }
}

struct MapRecords<'r> {
    map: MacMap,
    macs: Macs,
    bridge: BridgeIndex,
    contents: &'r mut Contents,
    damage: Damages,
}

impl<F: StateFile> Records<F> for MapRecords<'_> {
    fn read(&mut self, window: &mut Window<'_, F>) -> Parsed {
        self.map.read(window, &mut self.macs)
    }

    fn take(&mut self, start: u32) {
        if self.map.is_good() {
            self.contents.add_domain(self.bridge, self.map.domain.as_bytes(), &self.macs.0);
        } else {
            self.damage.0.push(Damage::BadMap(start));
        }
    }

    fn observer(&mut self) -> Option<&mut dyn Observer> {
        Some(&mut self.damage)
    }
}
