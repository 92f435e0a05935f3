//! The records of one state file, with the look-up's own readers.

use guest_names::io::{Fault, Kind};
use guest_names::json::Parsed;
use guest_names::records::lease::Lease as Record;
use guest_names::records::mac_map::MacMap;
use guest_names::scan::{Accepted, Scan};
use guest_names::text::Text;
use guest_names::window::Window;

use crate::OpenFile;
use crate::contents::{BridgeIndex, Contents, Lease};
use crate::damage::Damage;

/// Adds the valid records of a file to `contents`. Gives what ended the reading before the file's end, and
/// what in it is of no use.
pub(crate) fn read(
    file: OpenFile,
    bridge: BridgeIndex,
    kind: Kind,
    buffer: &mut [u8],
    contents: &mut Contents,
) -> (Option<(u32, Fault)>, Vec<Damage>) {
    let mut reading =
        Reading { window: Window::new(file, buffer), scan: Scan::new(&[]), damage: Vec::new() };
    match kind {
        Kind::Leases => read_leases(&mut reading, bridge, contents),
        Kind::Macs => read_mac_maps(&mut reading, bridge, contents),
    }
    let Reading { window, damage, .. } = reading;
    (window.fault().map(|fault| (window.offset(), fault)), damage)
}

/// A file on its way through its objects.
struct Reading<'b> {
    window: Window<'b, OpenFile>,
    scan: Scan<'static>,
    damage: Vec<Damage>,
}

impl Reading<'_> {
    /// Whether the object that was read is a record.
    fn accept(&mut self, start: u32, parsed: Parsed) -> bool {
        let accepted = self.scan.accept(&mut self.window, parsed);
        if let Accepted::Malformed(end) = accepted {
            self.damage.push(Damage::NotJson(start, end));
        }
        accepted == Accepted::Record
    }
}

fn read_leases(reading: &mut Reading<'_>, bridge: BridgeIndex, contents: &mut Contents) {
    let (mut lease, mut client_id) = (Record::new(), Text::new());
    while let Some(start) = reading.scan.next(&mut reading.window) {
        let parsed = lease.read_with_client_id(&mut reading.window, &mut client_id);
        if !reading.accept(start, parsed) {
            continue;
        }
        match lease.checked() {
            Ok(address) => {
                let domain = contents.add_text(lease.domain.as_bytes());
                let host_name = contents.add_text(lease.hostname.as_bytes());
                let client_id = contents.add_text(client_id.as_bytes());
                contents.leases.push(Lease {
                    bridge,
                    start,
                    address,
                    mac: lease.mac,
                    host_name,
                    domain,
                    client_id,
                    expiry: lease.expiry,
                });
            }
            Err(bad) => reading.damage.push(Damage::BadLease(start, bad)),
        }
    }
}

fn read_mac_maps(reading: &mut Reading<'_>, bridge: BridgeIndex, contents: &mut Contents) {
    let mut domain = Text::new();
    let mut map = MacMap::new(&mut domain);
    while let Some(start) = reading.scan.next(&mut reading.window) {
        let parsed = map.read(&mut reading.window);
        if !reading.accept(start, parsed) {
            continue;
        }
        if !map.is_good() {
            reading.damage.push(Damage::BadMap(start));
            continue;
        }
        let mut macs = map.macs().to_vec();
        while map.read_rest(&mut reading.window) {
            macs.extend(map.macs());
        }
        contents.add_domain(bridge, map.domain.as_bytes(), &macs);
    }
}
