//! Look-ups over random state directories, against a model that is too simple to be wrong.

mod support;

use std::collections::BTreeSet;

use guest_names::address::{Address, Family, Mac};
use guest_names::enumerate::Cursor;
use guest_names::forward::{Answer, Found, NoRoom, Query, Source};
use guest_names::name::is_host_name;
use guest_names::ranking::Candidate;
use guest_names::search::Search;
use guest_names::text::Text;
use support::{Directory, Random};

const NOW: i64 = 1_800_000_000;

/// A lease as the generator thought of it.
#[derive(Clone)]
struct Lease {
    bridge: usize,
    address: Address,
    mac: Option<Mac>,
    hostname: Option<String>,
    domain: Option<String>,
    expiry: Option<i64>,
}

/// A domain's NICs on a bridge.
struct Guest {
    bridge: usize,
    name: String,
    macs: Vec<Mac>,
}

struct State {
    leases: Vec<Lease>,
    guests: Vec<Guest>,
    bridges: usize,
}

const NAMES: [&str; 8] = ["web", "Web", "db", "a", "web-1", "node.lab", "localhost", "not a host"];
const DOMAINS: [&str; 3] = ["lab", "Lab.example", "example"];
const GUESTS: [&str; 7] = ["web", "WEB", "web-vm", "my vm", "v\u{e4}m", "db.lab", "node"];

fn state(random: &mut Random) -> State {
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

fn text_of(address: Address) -> String {
    match address {
        Address::V4(octets) => std::net::Ipv4Addr::from(octets).to_string(),
        Address::V6(octets) => std::net::Ipv6Addr::from(octets).to_string(),
    }
}

fn mac_text(mac: Mac) -> String {
    String::from_utf8(mac.to_text().to_vec()).unwrap()
}

fn holds(lease: &&Lease) -> bool {
    lease.expiry.is_none_or(|at| at == 0 || at >= NOW)
}

impl State {
    /// The files, in libvirt's layout or in another.
    fn directory(&self, random: &mut Random) -> Directory {
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

    fn is_attached(&self, lease: &Lease) -> bool {
        let here = self.guests.iter().filter(|guest| guest.bridge == lease.bridge);
        here.flat_map(|guest| &guest.macs).any(|&mac| lease.mac == Some(mac))
    }

    /// Whether the lease answers to `wanted`, and whether in its case too.
    fn answers(&self, source: Source, lease: &Lease, wanted: &str) -> Option<bool> {
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

    fn addresses(
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
fn layout(records: Vec<serde_json::Value>, random: &mut Random) -> String {
    let array = serde_json::Value::from(records);
    match random.below(4) {
        0 => array.to_string(),
        1 => serde_json::to_string_pretty(&array).unwrap().replace("  ", "\t"),
        _ => serde_json::to_string_pretty(&array).unwrap() + "\n",
    }
}

/// Takes `room` addresses.
struct Collected {
    addresses: Vec<Address>,
    room: usize,
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
fn look_up(
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
    let mut search = Search { dir: directory, window: &mut window, now: NOW, observer: None };
    let mut answer = Collected { addresses: Vec::new(), room: usize::MAX };
    let query = Query { source, wanted, family };
    let mut places = vec![Candidate::EMPTY; places];
    let found = search.addresses(&query, &mut places, &mut answer).unwrap();
    (found, answer.addresses)
}

const WANTED: [&str; 16] = [
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

#[test]
fn names_give_the_models_addresses() {
    let mut random = Random::new(11);
    let (mut data, mut stale) = (0, 0);
    for _ in 0..4_000 {
        let state = state(&mut random);
        let mut directory = state.directory(&mut random);
        let wanted = *random.pick(&WANTED);
        for source in [Source::HostName, Source::Domain] {
            for family in [None, Some(Family::V4), Some(Family::V6)] {
                let mut expected = state.addresses(source, wanted, family);
                if source.wanted(wanted.as_bytes()).is_none() {
                    expected = (Found::Unknown, Vec::new());
                }
                let (window, places) = (128 + random.below(600), 1 + random.below(6));
                let found = look_up(&mut directory, window, places, source, wanted, family);
                assert_eq!(found, expected, "{source:?} {wanted:?} {family:?}\n{directory}");
                data += u32::from(found.0 == Found::Data);
            }
        }
        let all = state.leases.iter().filter(|lease| lease.hostname.as_deref() == Some("web"));
        stale += u32::from(all.count() > state.addresses(Source::HostName, "web", None).1.len());
    }
    assert!(data > 1_000 && stale > 300, "the model hardly ever has an answer: {data}, {stale}");
}

/// Enumeration gives what look-ups give, and each address has a name. (No two domains have one MAC here:
/// then the first alone names the lease.)
#[test]
fn enumeration_and_reverse_agree_with_look_ups() {
    let mut random = Random::new(12);
    let mut pairs = 0;
    for _ in 0..1_500 {
        let mut state = state(&mut random);
        let mut owned = Vec::new();
        for guest in &mut state.guests {
            guest.macs.retain(|&mac| !owned.contains(&(guest.bridge, mac)));
            owned.extend(guest.macs.iter().map(|&mac| (guest.bridge, mac)));
        }
        let mut directory = state.directory(&mut random);
        for source in [Source::HostName, Source::Domain] {
            let mut listed = BTreeSet::new();
            let mut cursor = Cursor::new();
            let mut places = [Candidate::EMPTY; 3];
            let mut window = vec![0; 300];
            let mut name = Text::new();
            loop {
                let mut search =
                    Search { dir: &mut directory, window: &mut window, now: NOW, observer: None };
                let mut candidate = Candidate::EMPTY;
                let next = search.next(source, &mut cursor, &mut places, &mut name, &mut candidate);
                if !next.unwrap() {
                    break;
                }
                let name = String::from_utf8(name.as_bytes().to_vec()).unwrap();
                let pair = (name, text_of(candidate.address));
                assert!(listed.insert(pair.clone()), "{pair:?} came twice\n{directory}");
            }
            let mut expected = BTreeSet::new();
            for lease in state.leases.iter().filter(holds) {
                let names: Vec<&String> = match source {
                    Source::HostName => lease.hostname.iter().collect(),
                    Source::Domain => {
                        let here = state.guests.iter().filter(|guest| guest.bridge == lease.bridge);
                        let owns =
                            |guest: &&Guest| guest.macs.iter().any(|&mac| lease.mac == Some(mac));
                        here.filter(owns).take(1).map(|guest| &guest.name).collect()
                    }
                };
                for name in names {
                    let found = look_up(&mut directory, 300, 3, source, name, None).1;
                    if found.contains(&lease.address) {
                        expected.insert((name.clone(), text_of(lease.address)));
                    }
                }
            }
            let listed_names: BTreeSet<_> =
                listed.iter().map(|(name, address)| (name.to_lowercase(), address)).collect();
            let expected_names: BTreeSet<_> =
                expected.iter().map(|(name, address)| (name.to_lowercase(), address)).collect();
            assert_eq!(listed_names, expected_names, "{source:?}\n{directory}");
            pairs += listed.len();

            for (_, address) in &listed {
                let address = Address::parse(address.as_bytes()).unwrap();
                let mut search =
                    Search { dir: &mut directory, window: &mut window, now: NOW, observer: None };
                assert!(search.name_of(source, address, &mut places, &mut name).unwrap());
            }
        }
    }
    assert!(pairs > 2_000, "hardly a pair: {pairs}");
}

/// An attached lease's name is given before that of one left behind, the longest-lasting first.
#[test]
fn reverse_prefers_what_is_attached() {
    let mut directory = Directory::default();
    let lease = |mac: u8, name: &str, expiry: i64| {
        format!(
            r#"{{"ip-address": "10.0.0.1", "mac-address": "52:54:00:00:00:0{mac}", "hostname": "{name}", "expiry-time": {expiry}}}"#
        )
    };
    directory.add("a.status".into(), &format!("[{}]", lease(1, "gone", NOW + 90)));
    directory.add(
        "b.status".into(),
        &format!("[{}, {}]", lease(2, "here", NOW + 10), lease(3, "not a host", NOW + 99)),
    );
    let reverse = |directory: &mut Directory, places: usize| {
        let mut places = vec![Candidate::EMPTY; places];
        let mut window = [0; 256];
        let mut name = Text::new();
        let mut search = Search { dir: directory, window: &mut window, now: NOW, observer: None };
        let address = Address::V4([10, 0, 0, 1]);
        let found = search.name_of(Source::HostName, address, &mut places, &mut name).unwrap();
        (found, String::from_utf8(name.as_bytes().to_vec()).unwrap())
    };
    for places in 1..4 {
        assert_eq!(reverse(&mut directory, places), (true, "gone".into()));
    }
    directory.add("b.macs".into(), r#"[{"domain": "x", "macs": ["52:54:00:00:00:02"]}]"#);
    for places in 1..4 {
        assert_eq!(reverse(&mut directory, places), (true, "here".into()));
    }
}

/// What a pass sees changes between two of them: the answer is of one state or of none.
#[test]
fn a_change_between_passes_is_noticed() {
    let lease = |octet: usize, expiry: usize| {
        format!(r#"{{"ip-address": "10.0.0.{octet}", "hostname": "web", "expiry-time": {expiry}}}"#)
    };
    let file = |first: usize| {
        let leases: Vec<_> =
            (first..first + 9).map(|octet| lease(octet, NOW as usize + octet)).collect();
        format!("[{}]", leases.join(","))
    };
    let mut directory = Directory::default();
    directory.add("a.status".into(), &file(1));
    // The second pass and all later ones find other leases.
    directory.replace_after_listings(1, "a.status", &file(101));
    let (found, addresses) = look_up(&mut directory, 200, 4, Source::HostName, "web", None);
    assert_eq!(found, Found::Data);
    let expected: Vec<_> = (101..110).rev().map(|octet| Address::V4([10, 0, 0, octet])).collect();
    assert_eq!(addresses, expected);
}

#[test]
fn an_answer_without_room_is_no_answer() {
    let mut directory = Directory::default();
    directory.add("a.status".into(), r#"[{"ip-address": "10.0.0.1", "hostname": "web"}]"#);
    let mut window = [0; 128];
    let mut search = Search { dir: &mut directory, window: &mut window, now: NOW, observer: None };
    let query = Query {
        source: Source::HostName,
        wanted: Source::HostName.wanted(b"web").unwrap(),
        family: None,
    };
    let mut answer = Collected { addresses: Vec::new(), room: 0 };
    assert!(search.addresses(&query, &mut [Candidate::EMPTY], &mut answer).is_err());
}
