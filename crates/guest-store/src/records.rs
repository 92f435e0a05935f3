//! Reads the records of one state file with the look-up's own readers.

use guest_names::io::{Fault, Kind};
use guest_names::json::Parsed;
use guest_names::records::lease::Lease as LeaseRecord;
use guest_names::records::mac_map::MacMap;
use guest_names::scan::{Accepted, Scan};
use guest_names::text::Text;
use guest_names::window::Window;

use crate::OpenFile;
use crate::contents::{BridgeIndex, Contents, Detail, Lease, TextSpan};
use crate::damage::Damage;

/// How many invalid parts of one file are recorded: it may be 32 MiB of `{}`.
const DAMAGE_MAX: usize = 1000;

/// Adds the valid records of a file to `contents`. Returns where and why reading ended before the end of the file, if it did,
/// and the invalid parts.
pub(crate) fn read(
    file: OpenFile,
    bridge: BridgeIndex,
    kind: Kind,
    detail: Detail,
    buffer: &mut [u8],
    contents: &mut Contents,
) -> (Option<(u32, Fault)>, Vec<Damage>) {
    let mut reading =
        Reading { window: Window::new(file, buffer), scan: Scan::new(&[]), damage: Vec::new() };
    match kind {
        Kind::Leases => read_leases(&mut reading, bridge, detail, contents),
        Kind::Macs => read_mac_maps(&mut reading, bridge, contents),
    }
    let Reading { window, damage, .. } = reading;
    (window.fault().map(|fault| (window.offset(), fault)), damage)
}

/// A file whose objects are being read.
struct Reading<'b> {
    window: Window<'b, OpenFile>,
    scan: Scan<'static>,
    damage: Vec<Damage>,
}

impl Reading<'_> {
    fn note(&mut self, damage: Damage) {
        if self.damage.len() < DAMAGE_MAX {
            self.damage.push(damage);
        }
    }

    /// Whether the object is a valid record.
    fn accept(&mut self, start: u32, parsed: Parsed) -> bool {
        let accepted = self.scan.accept(&mut self.window, parsed);
        if let Accepted::Malformed(end) = accepted {
            self.note(Damage::NotJson(start, end));
        }
        accepted == Accepted::Record
    }
}

fn read_leases(
    reading: &mut Reading<'_>,
    bridge: BridgeIndex,
    detail: Detail,
    contents: &mut Contents,
) {
    let (mut lease, mut client_id) = (LeaseRecord::new(), Text::new());
    while let Some(start) = reading.scan.next(&mut reading.window) {
        let parsed = match detail {
            Detail::Full => lease.read_with_client_id(&mut reading.window, &mut client_id),
            Detail::Compact => lease.read(&mut reading.window),
        };
        if !reading.accept(start, parsed) {
            continue;
        }
        match lease.checked() {
            Ok(address) => {
                let domain = contents.add_text(lease.domain.as_bytes());
                let host_name = contents.add_text(lease.hostname.as_bytes());
                let client_id = match detail {
                    Detail::Full => contents.add_text(client_id.as_bytes()),
                    Detail::Compact => TextSpan::default(),
                };
                contents.leases.push(Lease {
                    bridge,
                    start,
                    address,
                    mac: lease.mac,
                    host_name,
                    domain,
                    client_id,
                    client: lease.client,
                    expiry: lease.expiry,
                });
            }
            Err(bad) => reading.note(Damage::BadLease(start, bad)),
        }
    }
}

fn read_mac_maps(reading: &mut Reading<'_>, bridge: BridgeIndex, contents: &mut Contents) {
    let (mut domain, mut scratch) = (Text::new(), Text::new());
    let mut map = MacMap::new(&mut domain);
    while let Some(start) = reading.scan.next(&mut reading.window) {
        let parsed = map.read(&mut reading.window, &mut scratch);
        if !reading.accept(start, parsed) {
            continue;
        }
        if !map.is_good() {
            reading.note(Damage::BadMap(start));
            continue;
        }
        let mut macs = map.macs().to_vec();
        while map.read_rest(&mut reading.window, &mut scratch) {
            macs.extend(map.macs());
        }
        contents.add_domain(bridge, map.domain.as_bytes(), &macs);
    }
}
