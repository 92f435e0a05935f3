//! Random state directories, and a model of look-ups in them that is too simple to be wrong.

use guest_names::address::{Address, Family, Mac};
use guest_names::forward::{Answer, Found, NoRoom, Query, Source};
use guest_names::name::is_host_name;
use guest_names::ranking::Candidate;
use guest_names::search::Search;

use super::{Directory, Random};

pub(crate) const NOW: i64 = 1_800_000_000;

/// A lease as the generator thought of it.
#[derive(Clone)]
pub(crate) struct Lease {
    pub(crate) bridge: usize,
    pub(crate) address: Address,
    pub(crate) mac: Option<Mac>,
    pub(crate) hostname: Option<String>,
    pub(crate) domain: Option<String>,
    pub(crate) expiry: Option<i64>,
}

/// A domain's NICs on a bridge.
pub(crate) struct Guest {
    pub(crate) bridge: usize,
    pub(crate) name: String,
    pub(crate) macs: Vec<Mac>,
}

pub(crate) struct State {
    pub(crate) leases: Vec<Lease>,
    pub(crate) guests: Vec<Guest>,
    pub(crate) bridges: usize,
}

pub(crate) const NAMES: [&str; 8] =
    ["web", "Web", "db", "a", "web-1", "node.lab", "localhost", "not a host"];
pub(crate) const DOMAINS: [&str; 3] = ["lab", "Lab.example", "example"];
pub(crate) const GUESTS: [&str; 7] =
    ["web", "WEB", "web-vm", "my vm", "v\u{e4}m", "db.lab", "node"];

pub(crate) fn state(random: &mut Random) -> State {
    let bridges = 1 + random.below(3);
    let mac = |random: &mut Random| Mac([0x52, 0x54, 0, 0, 0, random.below(6) as u8]);
    let leases = (0..random.below(12))
        .map(|_| Lease {
            bridge: random.below(bridges),
            address: if random.below(3) > 0 {
                Address::V4([192, 168, 122, random.below(8) as u8])
            } else {
                let last = random.below(4) as u8;
                Address::V6([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last])
            },
            mac: (random.below(8) > 0).then(|| mac(random)),
            hostname: (random.below(6) > 0).then(|| (*random.pick(&NAMES)).to_owned()),
            domain: (random.below(3) == 0).then(|| (*random.pick(&DOMAINS)).to_owned()),
            expiry: match random.below(8) {
                0 => None,
                1 => Some(0),
                2 => Some(NOW - 1),
                3 => Some(NOW),
                _ => Some(NOW - 20 + random.below(60) as i64),
            },
        })
        .collect();
    let guests = (0..random.below(6))
        .map(|_| Guest {
            bridge: random.below(bridges),
            name: (*random.pick(&GUESTS)).to_owned(),
            macs: (0..random.below(3)).map(|_| mac(random)).collect(),
        })
        .collect();
    State { leases, guests, bridges }
}

pub(crate) fn text_of(address: Address) -> String {
    match address {
        Address::V4(octets) => std::net::Ipv4Addr::from(octets).to_string(),
        Address::V6(octets) => std::net::Ipv6Addr::from(octets).to_string(),
    }
}

pub(crate) fn mac_text(mac: Mac) -> String {
    String::from_utf8(mac.to_text().to_vec()).unwrap()
}

pub(crate) fn holds(lease: &&Lease) -> bool {
    lease.expiry.is_none_or(|at| at == 0 || at >= NOW)
}

impl State {
    /// The files, in libvirt's layout or in another.
    pub(crate) fn directory(&self, random: &mut Random) -> Directory {
        let mut directory = Directory::default();
        for bridge in 0..self.bridges {
            let leases: Vec<_> =
                self.leases.iter().filter(|lease| lease.bridge == bridge).collect();
            let leases = leases.iter().map(|lease| {
                let mut record = serde_json::Map::new();
                let mut put =
                    |key: &str, value: serde_json::Value| record.insert(key.into(), value);
                put("ip-address", text_of(lease.address).into());
                lease.mac.map(|mac| put("mac-address", mac_text(mac).into()));
                lease.hostname.as_ref().map(|name| put("hostname", name.as_str().into()));
                lease.domain.as_ref().map(|name| put("domain", name.as_str().into()));
                lease.expiry.map(|expiry| put("expiry-time", expiry.into()));
                record.into()
            });
            directory.add(format!("virbr{bridge}.status"), &layout(leases.collect(), random));
            let guests = self.guests.iter().filter(|guest| guest.bridge == bridge).map(|guest| {
                let macs: Vec<_> = guest.macs.iter().map(|&mac| mac_text(mac)).collect();
                serde_json::json!({"domain": guest.name, "macs": macs})
            });
            directory.add(format!("virbr{bridge}.macs"), &layout(guests.collect(), random));
        }
        directory.add("default.conf".into(), "dhcp-range=192.168.122.2,192.168.122.254\n");
        directory
    }

    pub(crate) fn is_attached(&self, lease: &Lease) -> bool {
        let here = self.guests.iter().filter(|guest| guest.bridge == lease.bridge);
        here.flat_map(|guest| &guest.macs).any(|&mac| lease.mac == Some(mac))
    }

    /// Whether the lease answers to `wanted`, and whether in its case too.
    pub(crate) fn answers(&self, source: Source, lease: &Lease, wanted: &str) -> Option<bool> {
        let name_fits = |name: &str| {
            let whole = name.eq_ignore_ascii_case(wanted).then_some(name == wanted);
            let qualified = lease.domain.as_ref().and_then(|domain| {
                let full = format!("{name}.{domain}");
                full.eq_ignore_ascii_case(wanted).then_some(wanted.starts_with(name))
            });
            whole.or(qualified)
        };
        match source {
            Source::HostName => {
                let name = lease.hostname.as_deref()?;
                if is_host_name(name.as_bytes()) { name_fits(name) } else { None }
            }
            Source::Domain => {
                let here = self.guests.iter().filter(|guest| guest.bridge == lease.bridge);
                let its = here.filter(|guest| guest.macs.iter().any(|&mac| lease.mac == Some(mac)));
                its.filter_map(|guest| name_fits(&guest.name)).max()
            }
        }
    }

    pub(crate) fn addresses(
        &self,
        source: Source,
        wanted: &str,
        family: Option<Family>,
    ) -> (Found, Vec<Address>) {
        // By file, as the look-up meets them; the sort below keeps this order among equals.
        let mut in_order: Vec<&Lease> = self.leases.iter().collect();
        in_order.sort_by_key(|lease| lease.bridge);
        let mut all: Vec<(&Lease, bool)> = in_order
            .into_iter()
            .filter(holds)
            .filter_map(|lease| Some((lease, self.answers(source, lease, wanted)?)))
            .collect();
        let known = source == Source::Domain
            && self.guests.iter().any(|guest| guest.name.eq_ignore_ascii_case(wanted));
        if all.is_empty() {
            return (if known { Found::NoData } else { Found::Unknown }, Vec::new());
        }
        match source {
            Source::HostName => {
                if all.iter().any(|(lease, _)| self.is_attached(lease)) && all.len() > 1 {
                    all.retain(|(lease, _)| self.is_attached(lease));
                }
            }
            Source::Domain => {
                if self.guests.iter().any(|guest| guest.name == wanted) {
                    all.retain(|&(_, exact)| exact);
                }
            }
        }
        all.sort_by_key(|(lease, _)| match lease.expiry {
            None | Some(0) => i64::MIN,
            Some(at) => -at,
        });
        let mut addresses = Vec::new();
        for (lease, _) in all {
            let asked_for = family.is_none_or(|family| family == lease.address.family());
            if asked_for && !addresses.contains(&lease.address) {
                addresses.push(lease.address);
            }
        }
        (if addresses.is_empty() { Found::NoData } else { Found::Data }, addresses)
    }
}

/// As libvirt writes it, on one line, or with tabs.
pub(crate) fn layout(records: Vec<serde_json::Value>, random: &mut Random) -> String {
    let array = serde_json::Value::from(records);
    match random.below(4) {
        0 => array.to_string(),
        1 => serde_json::to_string_pretty(&array).unwrap().replace("  ", "\t"),
        _ => serde_json::to_string_pretty(&array).unwrap() + "\n",
    }
}

/// Takes `room` addresses.
pub(crate) struct Collected {
    pub(crate) addresses: Vec<Address>,
    pub(crate) room: usize,
}

impl Answer for Collected {
    fn clear(&mut self) {
        self.addresses.clear();
    }
    fn holds(&self, address: Address) -> bool {
        self.addresses.contains(&address)
    }
    fn add(&mut self, candidate: &Candidate) -> Result<(), NoRoom> {
        if self.addresses.len() == self.room {
            return Err(NoRoom);
        }
        self.addresses.push(candidate.address);
        Ok(())
    }
}

/// One look-up with scratch of some size.
pub(crate) fn look_up(
    directory: &mut Directory,
    window: usize,
    places: usize,
    source: Source,
    wanted: &str,
    family: Option<Family>,
) -> (Found, Vec<Address>) {
    let Some(wanted) = source.wanted(wanted.as_bytes()) else {
        return (Found::Unknown, Vec::new());
    };
    let mut window = vec![0; window];
    let mut search = Search::new(directory, &mut window, NOW, None);
    let mut answer = Collected { addresses: Vec::new(), room: usize::MAX };
    let query = Query { source, wanted, family };
    let mut places = vec![Candidate::EMPTY; places];
    let found = search.addresses(&query, &mut places, &mut answer).unwrap();
    (found, answer.addresses)
}

pub(crate) const WANTED: [&str; 16] = [
    "web",
    "WEB",
    "Web.lab",
    "web.Lab.example",
    "db",
    "db.lab",
    "a",
    "web-1",
    "node",
    "node.lab",
    "node.lab.example",
    "localhost",
    "not a host",
    "my vm",
    "v\u{e4}m",
    "web-vm.example",
];
