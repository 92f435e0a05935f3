//! Generates state directories and calls from a seed.

use abi::{Kind, Query};
use fastrand::Rng;
use libc::{AF_INET, AF_INET6, AF_UNSPEC};

use crate::peer::Ask;
use crate::world::{Bridge, Damage, Expiry, Extra, File, Lease, MacMap, Style, World};

/// The last is too long for the name of a bridge.
const BRIDGES: [&str; 6] =
    ["virbr0", "virbr1", "fifteen-bytes15", "br-lab", "lab.net", "sixteen-bytes-16"];
const HOST_NAMES: [&str; 14] = [
    "web",
    "Web",
    "db",
    "mail-1",
    "web.lab",
    "a",
    "node_7",
    "localhost",
    "two words",
    "ubuntu20.04",
    "10.7",
    "WPAD",
    "_gateway",
    "vmhost",
];
const DOMAIN_NAMES: [&str; 8] =
    ["web", "WEB", "web vm", "db", "größe", "win11", "vm.1", "localhost"];
const NETWORK_DOMAINS: [&str; 3] = ["lab", "lab.example", "LAB."];

/// A state directory and the calls that both modules get.
#[derive(Clone, Debug)]
pub struct Generated {
    /// The directory.
    pub world: World,
    /// The calls.
    pub asks: Vec<(Kind, Ask)>,
}

impl Generated {
    /// The calls of one module.
    pub fn asks_of(&self, kind: Kind) -> impl Iterator<Item = &Ask> {
        self.asks.iter().filter(move |(of, _)| *of == kind).map(|(_, ask)| ask)
    }
}

/// A guest: its names and NICs.
struct Guest {
    domain: &'static str,
    hostname: Option<&'static str>,
    nics: Vec<Nic>,
}

struct Nic {
    bridge: usize,
    mac: String,
    attached: bool,
}

/// Generates the directory of a seed. No lease ends within ten seconds of `now`, so that the time that the calls take
/// doesn't matter.
#[must_use]
pub fn generate(seed: u64, now: i64) -> Generated {
    let rng = &mut Rng::with_seed(seed);
    // Only one directory in four has something wrong in it, as that could hide other differences.
    let faulty = one_in(rng, 4);
    let guests: Vec<Guest> = (0..rng.usize(0..8)).map(|i| guest(rng, i)).collect();
    let mut world = World::default();
    let count = rng.usize(1..=BRIDGES.len());
    for (i, name) in BRIDGES.into_iter().enumerate().take(count) {
        world.bridges.push(Bridge {
            name: name.to_owned(),
            leases: (!one_in(rng, 12)).then(|| leases(rng, i, &guests, now, faulty)),
            macs: (!one_in(rng, 8)).then(|| macs(rng, i, &guests, faulty)),
        });
    }
    let mut asks = Vec::new();
    for kind in Kind::BOTH {
        for _ in 0..10 {
            asks.push((kind, ask(rng, kind, &guests)));
        }
    }
    Generated { world, asks }
}

fn guest(rng: &mut Rng, number: usize) -> Guest {
    let nics = (0..rng.usize(1..4)).map(|nic| Nic {
        // The first bridges exist most often.
        bridge: rng.usize(0..BRIDGES.len()).min(rng.usize(0..BRIDGES.len())),
        mac: format!("52:54:00:aB:{number:02x}:{nic:02x}"),
        attached: !one_in(rng, 3),
    });
    let nics: Vec<Nic> = nics.collect();
    let nics = nics.into_iter().map(|nic| Nic { mac: spelled(rng, &nic.mac), ..nic }).collect();
    Guest {
        domain: choose(rng, &DOMAIN_NAMES),
        hostname: (!one_in(rng, 8)).then(|| choose(rng, &HOST_NAMES)),
        nics,
    }
}

/// Most MAC addresses are spelled in lower case.
fn spelled(rng: &mut Rng, mac: &str) -> String {
    if one_in(rng, 10) { mac.to_ascii_uppercase() } else { mac.to_ascii_lowercase() }
}

fn leases(rng: &mut Rng, bridge: usize, guests: &[Guest], now: i64, faulty: bool) -> File<Lease> {
    let mut records = Vec::new();
    let nics = guests.iter().flat_map(|guest| guest.nics.iter().map(move |nic| (guest, nic)));
    for (i, (guest, nic)) in nics.enumerate() {
        // Some NICs have moved from another bridge and left a lease there.
        if nic.bridge != bridge && !one_in(rng, 6) {
            continue;
        }
        for _ in 0..rng.usize(0..4) {
            records.push(lease(rng, bridge, i, guest, nic, now, faulty));
        }
    }
    rng.shuffle(&mut records);
    File { records, damage: damage(rng, faulty) }
}

fn lease(
    rng: &mut Rng,
    bridge: usize,
    number: usize,
    guest: &Guest,
    nic: &Nic,
    now: i64,
    faulty: bool,
) -> Lease {
    let host = number * 3 + rng.usize(1..4);
    // Few addresses for many leases, so that some leases share an address.
    let ip = match rng.u8(0..10) {
        0..=5 => format!("192.168.{bridge}.{host}"),
        6 | 7 => format!("fd00:{bridge}::{host:x}"),
        8 if one_in(rng, 2) => format!("fe80::{host:x}"),
        8 => format!("fd00:{bridge}::{host:x}"),
        _ if faulty => choose(rng, &["10.7", "192.168.3", "nonsense", "", "10.0.0.256"]).to_owned(),
        _ => "10.0.0.1".to_owned(),
    };
    let seconds = rng.i64(10..100);
    let expiry = match rng.u8(0..12) {
        0 => Expiry::At(0),
        1 => Expiry::Absent,
        2 | 3 => Expiry::At(now - seconds),
        4 => Expiry::At(now - 100_000_000 + seconds),
        5..=7 => Expiry::At(now + 3600),
        // libvirt's module compares expiry times in 32 bits, including 0 and negative ones.
        8 => Expiry::At(i64::from(i32::MAX) - 100 - seconds),
        9 if faulty => choose(rng, &[Expiry::Text(now + 3600), Expiry::Null, Expiry::At(-5)]),
        _ => Expiry::At(now + seconds),
    };
    // Most NICs have one client; some had a boot loader before.
    let client = match rng.u8(0..12) {
        0 => None,
        1 | 2 => Some("01:52:54:00:00:00:01".to_owned()),
        _ => Some("ff:56:50:4d:98:00:02".to_owned()),
    };
    let mac = match rng.u8(0..20) {
        0 if faulty => None,
        1 => Some(format!("06-{}", nic.mac)),
        _ => Some(spelled(rng, &nic.mac)),
    };
    let harmless = [Extra::Text, Extra::Fraction, Extra::Null];
    let harmful = [Extra::Integer, Extra::Array, Extra::Object];
    let extra = match rng.u8(0..16) {
        0 => Some(choose(rng, &harmless)),
        1 if faulty => Some(choose(rng, &harmful)),
        _ => None,
    };
    Lease {
        ip,
        mac,
        hostname: guest.hostname.map(str::to_owned),
        domain: one_in(rng, 4).then(|| choose(rng, &NETWORK_DOMAINS).to_owned()),
        client,
        expiry,
        extra,
        style: style(rng),
    }
}

fn macs(rng: &mut Rng, bridge: usize, guests: &[Guest], faulty: bool) -> File<MacMap> {
    let mut records = Vec::new();
    for guest in guests {
        let macs: Vec<String> = guest
            .nics
            .iter()
            .filter(|nic| nic.bridge == bridge && nic.attached)
            .map(|nic| spelled(rng, &nic.mac))
            .collect();
        if !macs.is_empty() {
            records.push(MacMap { domain: guest.domain.to_owned(), macs, style: style(rng) });
        }
    }
    rng.shuffle(&mut records);
    File { records, damage: damage(rng, faulty) }
}

fn damage(rng: &mut Rng, faulty: bool) -> Damage {
    if !faulty || !one_in(rng, 6) {
        return Damage::None;
    }
    choose(rng, &[Damage::Empty, Damage::CutShort, Damage::Trailing, Damage::Directory])
}

fn style(rng: &mut Rng) -> Style {
    Style {
        first_key: if one_in(rng, 4) { rng.usize(0..8) } else { 0 },
        escaped: one_in(rng, 6),
        compact: one_in(rng, 6),
    }
}

fn ask(rng: &mut Rng, kind: Kind, guests: &[Guest]) -> Ask {
    // Mostly names that exist.
    let guest = rng.choice(guests).filter(|_| !one_in(rng, 4));
    let name = match (kind, guest) {
        (Kind::Host, guest) => {
            guest.and_then(|guest| guest.hostname).unwrap_or_else(|| choose(rng, &HOST_NAMES))
        }
        (Kind::Guest, Some(guest)) => guest.domain,
        (Kind::Guest, None) => choose(rng, &DOMAIN_NAMES),
    };
    let mut name = name.to_owned();
    match rng.u8(0..20) {
        0 => name.push('.'),
        1 => name = name.to_uppercase(),
        2 => name = "no-such-name".to_owned(),
        3 | 4 => name = format!("{name}.{}", choose(rng, &["lab", "lab.example", "Lab", "x"])),
        5 => name.push('x'),
        6 => name = format!("{name}.localhost"),
        _ => {}
    }
    let families = [AF_INET, AF_INET, AF_INET, AF_INET6, AF_INET6, AF_UNSPEC, AF_UNSPEC, 1];
    let query = match rng.u8(0..8) {
        0 => Query::name(&name),
        1 | 2 => Query::name2(&name, choose(rng, &families)),
        3 | 4 => Query::name3(&name, choose(rng, &families)),
        _ => Query::name4(&name),
    };
    let mut ask = Ask::new(query);
    if one_in(rng, 5) {
        ask.length = rng.usize(0..160);
    }
    ask
}

fn one_in(rng: &mut Rng, times: u32) -> bool {
    rng.u32(0..times) == 0
}

fn choose<T: Copy>(rng: &mut Rng, from: &[T]) -> T {
    from[rng.usize(0..from.len())]
}
