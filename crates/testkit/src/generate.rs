//! Random states of a host, and state files with the same content.

use guest_names::address::{Address, Mac};
use guest_names::bridge::Bridge;
use serde_json::{Map, Value};

use crate::look_up::ip;
use crate::memory::Directory;
use crate::random::Random;
use crate::reference::{Guest, HostState, Lease};

/// The time in the generated states, in seconds since the epoch.
pub const NOW: i64 = 1_800_000_000;

/// The host's node name in them.
pub const NODE: &str = "host.lab";

/// Host names that guests have.
const HOST_NAMES: [&str; 14] = [
    "web",
    "Web",
    "web",
    "db",
    "a",
    "web-1",
    "node.lab",
    "node",
    "localhost",
    "not a host",
    "wpad",
    "Host",
    "v1.2",
    "0x7f.1",
];

/// Domains of networks.
const DOMAINS: [&str; 4] = ["lab", "Lab.example", "example", "lab."];

/// Names of libvirt domains.
const GUESTS: [&str; 10] =
    ["web", "WEB", "web-vm", "my vm", "v\u{e4}m", "db.lab", "db", "node", "localhost", "wpad"];

/// DHCP client ids.
const CLIENTS: [&str; 3] = ["01:52:54:00:00:00:01", "ff:00:00:00:01", "00"];

/// Names to look up: those in the states, in various forms, and others.
pub const WANTED: [&str; 27] = [
    "web",
    "WEB",
    "Web.lab",
    "web.Lab.example",
    "web.",
    "db",
    "db.lab",
    "DB.lab",
    "a",
    "web-1",
    "node",
    "node.lab",
    "node.lab.example",
    "localhost",
    "localhost.lab",
    "not a host",
    "my vm",
    "v\u{e4}m",
    "web-vm.example",
    "wpad",
    "host",
    "host.lab",
    "host.example",
    "v1.2",
    "0x7f.1",
    "0x7f.1.lab",
    "nobody",
];

/// The bridge of this number.
///
/// # Panics
/// It has more than ten digits.
#[must_use]
pub fn bridge(number: usize) -> Bridge {
    Bridge::new(format!("virbr{number}").as_bytes()).expect("a name that is short enough")
}

/// A MAC that ends with this number, from the block that QEMU's NICs use.
#[must_use]
pub fn mac(last: u16) -> Mac {
    let [high, low] = last.to_be_bytes();
    Mac([0x52, 0x54, 0, 0, high, low])
}

/// An address, formatted as in libvirt's files.
#[must_use]
pub fn address_text(address: Address) -> String {
    ip(address).to_string()
}

/// A MAC, formatted as in libvirt's files.
#[must_use]
pub fn mac_text(mac: Mac) -> String {
    let [a, b, c, d, e, f] = mac.0;
    format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
}

/// How many different values there are to choose from.
struct Extent {
    leases: usize,
    guests: usize,
    macs: usize,
    macs_of_guest: usize,
    addresses: usize,
    names: usize,
}

impl Extent {
    /// A few of each, so that most records conflict with others.
    const SMALL: Self = Self {
        leases: 12,
        guests: 6,
        macs: 6,
        macs_of_guest: 3,
        addresses: 8,
        names: HOST_NAMES.len(),
    };
    /// Hundreds of leases of a few names, and guests with dozens of NICs.
    const LARGE: Self =
        Self { leases: 300, guests: 5, macs: 90, macs_of_guest: 70, addresses: 200, names: 4 };
}

/// A state: usually a small one, sometimes one with hundreds of leases.
#[must_use]
pub fn state(random: &mut Random) -> HostState {
    let extent = if random.one_in(60) { Extent::LARGE } else { Extent::SMALL };
    let bridges = 1 + random.below(3);
    let mac = |random: &mut Random| mac(random.below(extent.macs) as u16);
    let mut leases: Vec<(usize, Lease)> = (0..random.below(extent.leases))
        .map(|_| {
            let on = random.below(bridges);
            let lease = Lease {
                bridge: bridge(on),
                address: address(random, extent.addresses),
                mac: (!random.one_in(8)).then(|| mac(random)),
                hostname: maybe(random, &HOST_NAMES[..extent.names], 5),
                domain: maybe(random, &DOMAINS, 1),
                expiry: expiry(random),
                client: maybe(random, &CLIENTS, 2),
            };
            (on, lease)
        })
        .collect();
    let mut guests: Vec<(usize, Guest)> = (0..random.below(extent.guests))
        .map(|_| {
            let on = random.below(bridges);
            let macs = (0..random.below(extent.macs_of_guest)).map(|_| mac(random)).collect();
            (on, Guest { bridge: bridge(on), name: (*random.pick(&GUESTS)).to_owned(), macs })
        })
        .collect();
    leases.sort_by_key(|&(on, _)| on);
    guests.sort_by_key(|&(on, _)| on);
    HostState {
        leases: leases.into_iter().map(|(_, lease)| lease).collect(),
        guests: guests.into_iter().map(|(_, guest)| guest).collect(),
    }
}

/// One of the texts, or an empty one: a text is `often` times as likely.
fn maybe(random: &mut Random, among: &[&str], often: usize) -> String {
    if random.one_in(often + 1) { String::new() } else { (*random.pick(among)).to_owned() }
}

fn address(random: &mut Random, count: usize) -> Address {
    let [high, low] = (random.below(count) as u16).to_be_bytes();
    let v6 = |first: u8, second: u8| {
        Address::V6([first, second, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, high, low])
    };
    match random.below(6) {
        0 => v6(0xfd, 0),
        1 => v6(0xfe, 0x80),
        _ => Address::V4([192, 168, 122 + high, low]),
    }
}

fn expiry(random: &mut Random) -> i64 {
    match random.below(8) {
        0 | 1 => 0,
        2 => NOW - 1,
        3 => NOW,
        _ => NOW - 20 + random.below(60) as i64,
    }
}

impl HostState {
    /// The state's files, each in one of several layouts, among files that are ignored.
    #[must_use]
    pub fn directory(&self, random: &mut Random) -> Directory {
        let mut bridges: Vec<Bridge> = self.leases.iter().map(|lease| lease.bridge).collect();
        bridges.extend(self.guests.iter().map(|guest| guest.bridge));
        bridges.sort();
        bridges.dedup();
        let mut directory = Directory::default();
        directory.add("default.conf", "dhcp-range=192.168.122.2,192.168.122.254\n");
        for bridge in bridges {
            let name = String::from_utf8_lossy(bridge.as_bytes());
            let leases = self.leases.iter().filter(|lease| lease.bridge == bridge);
            let leases = leases.map(|lease| lease.record(random)).collect();
            let guests = self.guests.iter().filter(|guest| guest.bridge == bridge);
            let guests = guests.map(Guest::record).collect();
            let mut files = [("status", leases), ("macs", guests)];
            random.shuffle(&mut files);
            for (suffix, records) in files {
                directory.add(format!("{name}.{suffix}"), layout(records, random));
            }
            directory.add(format!("{name}.status.tmp"), "[{\"ip-address\": \"");
        }
        directory
    }
}

impl Lease {
    /// Its record, with the members that libvirt's helper writes.
    fn record(&self, random: &mut Random) -> Value {
        let mut record = Map::new();
        let mut put = |key: &str, value: Value| record.insert(key.to_owned(), value);
        put("ip-address", address_text(self.address).into());
        if let Some(mac) = self.mac {
            put("mac-address", mac_text(mac).into());
        }
        let texts =
            [("hostname", &self.hostname), ("domain", &self.domain), ("client-id", &self.client)];
        for (key, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
            put(key, text.as_str().into());
        }
        if self.expiry != 0 || random.one_in(2) {
            put("expiry-time", self.expiry.into());
        }
        record.into()
    }
}

impl Guest {
    fn record(&self) -> Value {
        let macs: Vec<String> = self.macs.iter().map(|&mac| mac_text(mac)).collect();
        serde_json::json!({"domain": self.name, "macs": macs})
    }
}

/// In libvirt's layout, on one line, or with tabs.
fn layout(records: Vec<Value>, random: &mut Random) -> String {
    let array = Value::from(records);
    let pretty = format!("{array:#}");
    match random.below(4) {
        0 => array.to_string(),
        1 => pretty.replace("  ", "\t"),
        _ => pretty + "\n",
    }
}
