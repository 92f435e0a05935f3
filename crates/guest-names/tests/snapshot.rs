//! Look-ups with a snapshot: the answers are those of the files, even if it is damaged.

use std::collections::{BTreeMap, BTreeSet};

use guest_names::address::{Address, Family};
use guest_names::bridge::Bridge;
use guest_names::io::Stamp;
use guest_names::name::{NameKind, is_host_name};
use guest_names::records::lease::client_of;
use guest_names::snapshot::format::{Entry, Meta, flags, hash};
use guest_names::window::{LARGE_BUFFER, SMALL_BUFFER};
use testkit::cdb::{Records, add, entry, write};
use testkit::generate::{NODE, NOW, WANTED, address_text, mac, state};
use testkit::look_up::{self, Answer, Means, NameAndAddress, ip};
use testkit::memory::{Directory, Manner, Snapshot};
use testkit::random::{Random, rounds};
use testkit::reference::{HostState, Lease, Reference, listed_name};

const KINDS: [NameKind; 2] = [NameKind::HostName, NameKind::Domain];
const FAMILIES: [Option<Family>; 3] = [None, Some(Family::V4), Some(Family::V6)];

/// The version of the state directory that the snapshots are compiled from.
const STAMP: Stamp = Stamp { seconds: 17, nanoseconds: 18, device: 19, inode: 20 };

const META: Meta = Meta { state: Some(STAMP), hold: 90, length: 0, compiled: NOW };

/// A host: its state directory and, if it has one, the snapshot.
#[derive(Clone)]
struct World {
    directory: Directory,
    snapshot: Option<Snapshot>,
    means: Means<'static>,
}

impl World {
    /// Without a snapshot.
    fn new(directory: Directory) -> Self {
        Self { directory, snapshot: None, means: Means::ample(NOW) }
    }

    fn with(self, snapshot: Snapshot) -> Self {
        Self { snapshot: Some(snapshot), ..self }
    }

    /// Less memory.
    fn scarce(self, random: &mut Random) -> Self {
        let buffer = *random.pick(&[SMALL_BUFFER, 4096, LARGE_BUFFER]);
        let means =
            Means { buffer, places: random.below(7), watched: random.one_in(4), ..self.means };
        Self { means, ..self }
    }

    fn by_name(&mut self, kind: NameKind, name: &str, family: Option<Family>) -> Answer {
        let snapshot = self.snapshot.as_ref().map(|snapshot| snapshot.open(usize::MAX));
        let (directory, name) = (&mut self.directory, name.as_bytes());
        look_up::by_name(directory, snapshot, &self.means, kind, name, family).unwrap()
    }

    /// The addresses of a name, in no order.
    fn addresses(&mut self, kind: NameKind, name: &str) -> Option<BTreeSet<String>> {
        let answer = self.by_name(kind, name, None);
        let texts = answer.addresses().into_iter().map(address_text).collect();
        (answer != Answer::Unknown).then_some(texts)
    }

    fn by_address(&mut self, kind: NameKind, address: Address) -> Option<String> {
        let snapshot = self.snapshot.as_ref().map(|snapshot| snapshot.open(usize::MAX));
        let directory = &mut self.directory;
        let name = look_up::by_address(directory, snapshot, &self.means, kind, address).unwrap();
        name.map(|name| String::from_utf8(name).unwrap())
    }

    /// All pairs, each once.
    fn list(&mut self, kind: NameKind) -> BTreeSet<NameAndAddress> {
        let snapshot = self.snapshot.as_ref().map(|snapshot| snapshot.open(usize::MAX));
        let directory = &mut self.directory;
        let pairs = look_up::list(directory, snapshot, &self.means, kind).unwrap();
        let pair = |(name, address): &NameAndAddress| (listed_name(kind, name), *address);
        let set: BTreeSet<_> = pairs.iter().map(pair).collect();
        assert_eq!(set.len(), pairs.len(), "{pairs:?}");
        set
    }
}

/// A snapshot that was written a moment ago.
fn fresh(records: &Records, state: Option<Stamp>) -> Snapshot {
    Snapshot { bytes: write(records, META).into(), modified: NOW - 5, state }
}

/// What the daemon makes of the state files alone.
fn compile(state: &HostState) -> Records {
    let mut records = Records::new();
    let lower = |kind: &str, name: &str| format!("{kind}{}", name.to_ascii_lowercase());
    for guest in &state.guests {
        let flags = flags::LEASE | flags::ATTACHED;
        let entry = Entry { flags, ..entry(&guest.name, None) };
        add(&mut records, lower("g", &guest.name).as_bytes(), &entry);
    }
    let reference = Reference { state, node: NODE, now: NOW };
    let mut leases: Vec<(u32, &Lease)> = (1..).zip(reference.live()).collect();
    for &(order, lease) in &leases {
        let attached = if state.is_attached(lease) { flags::ATTACHED } else { 0 };
        let entry = |name| Entry {
            flags: flags::LEASE | attached,
            mac: lease.mac,
            bridge: lease.bridge,
            expiry: lease.expiry,
            order,
            client: client_of(lease.client.as_bytes()),
            ..entry(name, Some(lease.address))
        };
        // Each name by itself: `0x7f.1` is an address, and `0x7f.1.lab` a host name.
        let can_have = |kind: &str, name: &str| {
            let name = name.as_bytes();
            kind == "g" || is_host_name(name) && !reference.is_own(name)
        };
        let mut under = |kind: &str, name: &str, entry: &Entry<'_>| {
            let domain = lease.domain.trim_end_matches('.');
            let long = format!("{name}.{domain}");
            let long = (!domain.is_empty()).then_some(long.as_str());
            for name in [name].into_iter().chain(long) {
                if can_have(kind, name) {
                    add(&mut records, lower(kind, name).as_bytes(), entry);
                }
            }
        };
        if !lease.hostname.is_empty() {
            under("h", &lease.hostname, &entry(&lease.hostname));
        }
        for guest in state.owners(lease) {
            under("g", &guest.name, &entry(&guest.name));
        }
    }
    // The best name first.
    leases.sort_by_key(|(_, lease)| (!state.is_attached(lease), lease.expiry == 0, -lease.expiry));
    for (_, lease) in leases {
        let key = [b"a", lease.address.octets()].concat();
        let attached = if state.is_attached(lease) { flags::ATTACHED } else { 0 };
        let (flags, expiry) = (flags::LEASE | attached, lease.expiry);
        let entry = |name| Entry { flags, expiry, ..entry(name, Some(lease.address)) };
        let name = lease.hostname.as_bytes();
        if is_host_name(name) && !reference.is_own(name) {
            add(&mut records, &key, &entry(&lease.hostname));
        }
        if let Some(guest) = state.owners(lease).next() {
            add(&mut records, &key, &Entry { flags: flags | flags::DOMAIN, ..entry(&guest.name) });
        }
    }
    records
}

fn v4(last: u8) -> Address {
    Address::V4([10, 0, 0, last])
}

/// Names and addresses come out of the snapshot as they come out of the files, which aren't there.
#[test]
fn a_snapshot_stands_for_the_files() {
    let mut random = Random::from_environment(31);
    let (mut data, mut names) = (0, 0);
    let rounds = rounds(1_500);
    for _ in 0..rounds {
        let state = state(&mut random);
        let mut files = World::new(state.directory(&mut random));
        let snapshot = fresh(&compile(&state), Some(STAMP));
        let mut alone = World::new(Directory::default()).with(snapshot).scarce(&mut random);
        for wanted in [*random.pick(&WANTED), *random.pick(&WANTED)] {
            for kind in KINDS {
                for family in FAMILIES {
                    let expected = files.by_name(kind, wanted, family);
                    let found = alone.by_name(kind, wanted, family);
                    assert_eq!(
                        found, expected,
                        "{kind:?} {wanted:?} {family:?} {:?}\n{}",
                        alone.means, files.directory
                    );
                    data += u64::from(matches!(found, Answer::Addresses(_)));
                }
            }
        }
        for lease in state.leases.iter().take(12) {
            for kind in KINDS {
                let expected = files.by_address(kind, lease.address);
                let found = alone.by_address(kind, lease.address);
                let text = address_text(lease.address);
                assert_eq!(found, expected, "{kind:?} {text}\n{}", files.directory);
                names += u64::from(found.is_some());
            }
        }
    }
    assert!(data > rounds / 2 && names > 3 * rounds, "too few answers: {data}, {names}");
}

/// All guests are those of the files, whether the files answer for them or the snapshot.
#[test]
fn a_snapshot_lists_what_the_files_list() {
    let mut random = Random::from_environment(34);
    let mut listed = 0;
    let rounds = rounds(1_000);
    for _ in 0..rounds {
        let state = state(&mut random);
        let mut files = World::new(state.directory(&mut random));
        let snapshot = fresh(&compile(&state), Some(STAMP));
        let mut both = files.clone().with(snapshot).scarce(&mut random);
        for kind in KINDS {
            let (found, expected) = (both.list(kind), files.list(kind));
            assert_eq!(found, expected, "{kind:?} {:?}\n{}", both.means, files.directory);
            listed += found.len() as u64;
        }
    }
    assert!(listed > 2 * rounds, "too few pairs: {listed}");
}

/// After a change of the directory the files are read, and what was compiled of them doesn't count.
#[test]
fn an_older_snapshot_goes_with_the_files() {
    let mut random = Random::from_environment(32);
    for _ in 0..rounds(300) {
        let [old, new] = [state(&mut random), state(&mut random)];
        let mut files = World::new(new.directory(&mut random));
        let other = Stamp { nanoseconds: 0, ..STAMP };
        let mut both = files.clone().with(fresh(&compile(&old), Some(other)));
        for kind in KINDS {
            for wanted in WANTED {
                let expected = files.by_name(kind, wanted, None);
                let found = both.by_name(kind, wanted, None);
                assert_eq!(found, expected, "{kind:?} {wanted:?}\n{}", files.directory);
            }
            assert_eq!(both.list(kind), files.list(kind), "{kind:?}\n{}", files.directory);
        }
    }
}

const WEB: &str =
    r#"[{"ip-address": "10.0.0.1", "mac-address": "52:54:00:00:00:01", "hostname": "web"}]"#;
const WEB_MACS: &str = r#"[{"domain": "web", "macs": ["52:54:00:00:00:01"]}]"#;

fn virbr0() -> Bridge {
    Bridge::new(b"virbr0").unwrap()
}

/// What libvirt's API reported, beside files that have some of it.
#[test]
fn what_the_api_reported() {
    let mut records = Records::new();
    let (mac, bridge) = (Some(mac(1)), virbr0());
    for kind in ["h", "g"] {
        let key = |name: &str| format!("{kind}{name}").into_bytes();
        // The same NIC, another address of it, and the lease's once more.
        for last in [1, 2] {
            let entry = Entry { mac, bridge, ..entry("web", Some(v4(last))) };
            add(&mut records, &key("web"), &entry);
            add(&mut records, &key("web.default"), &entry);
        }
        add(&mut records, &key("bridged"), &entry("Bridged", Some(v4(3))));
        let elsewhere = flags::REPORTED | flags::ATTACHED | flags::ELSEWHERE;
        let remote = Entry { flags: elsewhere, ..entry("far", Some(v4(4))) };
        add(&mut records, &key("far"), &remote);
        let too = Entry { name: b"here-too", ..remote };
        add(&mut records, &key("here-too"), &too);
        let first = Entry { flags: elsewhere | flags::BEFORE, ..entry("wins", Some(v4(5))) };
        add(&mut records, &key("wins"), &first);
        add(&mut records, &key("new"), &entry("new", None));
    }
    for (last, name) in [(1, "agent-says"), (3, "Bridged")] {
        add(&mut records, &[b"a\x0a\0\0", &[last][..]].concat(), &entry(name, Some(v4(last))));
    }
    let both = |name: &str, last: u8| {
        format!(
            r#"{{"ip-address": "10.0.0.{last}", "mac-address": "52:54:00:00:00:1{last}", "hostname": "{name}"}}"#
        )
    };
    let others = format!("[{}, {}]", both("here-too", 6), both("wins", 7));
    let directory = Directory::new(&[
        ("virbr0.status", WEB),
        ("virbr0.macs", WEB_MACS),
        ("virbr1.status", &others),
        (
            "virbr1.macs",
            r#"[{"domain": "here-too", "macs": ["52:54:00:00:00:16"]}, {"domain": "wins", "macs": ["52:54:00:00:00:17"]}]"#,
        ),
    ]);
    let snapshot = fresh(&records, None);
    let mut world = World::new(directory).with(snapshot.clone());
    let some = |last: &[u8]| Some(last.iter().map(|&last| address_text(v4(last))).collect());
    for kind in KINDS {
        assert_eq!(world.addresses(kind, "WEB"), some(&[1, 2]));
        assert_eq!(world.addresses(kind, "web.default"), some(&[1, 2]));
        assert_eq!(world.addresses(kind, "bridged"), some(&[3]));
        assert_eq!(world.addresses(kind, "far"), some(&[4]));
        assert_eq!(world.addresses(kind, "here-too"), some(&[6]));
        assert_eq!(world.addresses(kind, "wins"), some(&[5]));
        assert_eq!(world.addresses(kind, "new"), some(&[]));
        assert_eq!(world.addresses(kind, "nobody"), None);
    }
    // A lease comes before what an agent reported.
    let web = world.by_name(NameKind::HostName, "web", None);
    assert_eq!(web.addresses(), [v4(1), v4(2)]);
    // The files' name comes before an agent's.
    assert_eq!(world.by_address(NameKind::HostName, v4(1)).as_deref(), Some("web"));
    assert_eq!(world.by_address(NameKind::HostName, v4(3)).as_deref(), Some("Bridged"));
    assert_eq!(world.by_address(NameKind::Domain, v4(3)), None);
    let pair = |name: &str, last: u8| (name.as_bytes().to_vec(), ip(v4(last)));
    let expected = [
        pair("bridged", 3),
        pair("far", 4),
        pair("here-too", 6),
        pair("web", 1),
        pair("web", 2),
        pair("wins", 5),
    ];
    assert_eq!(world.list(NameKind::HostName), expected.into());

    // The daemon has been dead for longer than its reports hold.
    world.snapshot = Some(Snapshot { modified: NOW - 91, ..snapshot });
    let mut look = |name| world.addresses(NameKind::HostName, name);
    assert_eq!(look("web"), some(&[1]));
    assert_eq!(look("wins"), some(&[7]));
    for name in ["web.default", "bridged", "far", "new"] {
        assert_eq!(look(name), None, "{name}");
    }
}

/// A lease that the guest's agent doesn't confirm doesn't count as long as the daemon lives.
#[test]
fn what_is_denied() {
    let mut records = Records::new();
    let flags = flags::LEASE | flags::ATTACHED | flags::DENIED;
    let denied = Entry { flags, mac: Some(mac(1)), bridge: virbr0(), ..entry("web", Some(v4(1))) };
    add(&mut records, b"hweb", &denied);
    add(&mut records, b"hweb", &entry("web", Some(v4(2))));
    let at = |modified| {
        let snapshot = Snapshot { modified, ..fresh(&records, Some(STAMP)) };
        // It is in the file too.
        World::new(Directory::new(&[("virbr0.status", WEB)])).with(snapshot)
    };
    for (modified, last) in [(NOW, 2), (NOW - 91, 1)] {
        let mut world = at(modified);
        let answer = world.by_name(NameKind::HostName, "web", None);
        assert_eq!(answer.addresses(), [v4(last)]);
        let expected = [(b"web".to_vec(), ip(v4(last)))];
        assert_eq!(world.list(NameKind::HostName), expected.into());
    }
}

/// The host's own names and link-local addresses follow the same rules, wherever they are from.
#[test]
fn what_no_guest_is_called_in_the_snapshot_either() {
    let mut records = Records::new();
    for (last, name) in (1..).zip(["host", "host.lab", "wpad", "localhost", "good"]) {
        let entry = entry(name, Some(v4(last)));
        add(&mut records, format!("h{name}").as_bytes(), &entry);
        add(&mut records, &[b"a\x0a\0\0", &[last][..]].concat(), &entry);
    }
    let link_local = Address::parse(b"fe80::1");
    let scoped = Entry { bridge: virbr0(), ..entry("scoped", link_local) };
    add(&mut records, b"hscoped", &scoped);
    add(&mut records, b"hunscoped", &entry("unscoped", link_local));
    // Where the snapshot stands for the files, its writer leaves the host's own name out.
    let snapshot = fresh(&records, None);
    let mut world = World::new(Directory::default()).with(snapshot);
    for (last, name) in (1..).zip(["host", "host.lab", "wpad", "localhost"]) {
        assert_eq!(world.addresses(NameKind::HostName, name), None, "{name}");
        assert_eq!(world.by_address(NameKind::HostName, v4(last)), None, "{name}");
    }
    assert_eq!(world.by_address(NameKind::HostName, v4(5)).as_deref(), Some("good"));
    let good = [(b"good".to_vec(), ip(v4(5)))];
    assert_eq!(world.list(NameKind::HostName), good.into());
    let scoped = world.by_name(NameKind::HostName, "scoped", None);
    assert_eq!(scoped, Answer::Addresses(vec![(link_local.unwrap(), virbr0())]));
    let without_scope = world.by_name(NameKind::HostName, "scoped", Some(Family::V6));
    assert_eq!(without_scope, Answer::NoData);
    assert_eq!(world.by_name(NameKind::HostName, "unscoped", None), Answer::NoData);
}

/// More addresses than fit the buffer and the places.
#[test]
fn a_long_record() {
    let mut records = Records::new();
    for number in 0..2_000u16 {
        let [high, low] = number.to_be_bytes();
        let address = Some(Address::V4([10, 1, high, low]));
        add(&mut records, b"hmany", &entry("many", address));
    }
    for places in [0, 1, 24] {
        let mut world = World::new(Directory::default()).with(fresh(&records, Some(STAMP)));
        world.means = Means { buffer: 4096, places, ..world.means };
        let answer = world.by_name(NameKind::HostName, "many", None);
        assert_eq!(answer.addresses().len(), 2_000);
    }
}

/// Pairs of texts that lead to the same hash, one after the other, make any number of names with one hash.
fn twins(count: usize) -> Vec<[String; 2]> {
    let letters = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut prefix = b"h".to_vec();
    let mut pairs = Vec::new();
    while pairs.len() < count {
        let mut by_hash: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
        let texts = letters.iter().flat_map(|&a| letters.iter().map(move |&b| [a, b]));
        let twin = texts.into_iter().find_map(|text| {
            let longer = [&prefix[..], &text].concat();
            Some([by_hash.insert(hash(&longer), text.to_vec())?, text.to_vec()])
        });
        let twin = twin.expect("two texts of two letters with one hash");
        prefix.extend(&twin[0]);
        pairs.push(twin.map(|text| String::from_utf8(text).unwrap()));
    }
    pairs
}

/// A guest can choose names with one hash, and hides no other guest's name by that.
#[test]
fn names_with_one_hash() {
    let twins = twins(10);
    for count in [2, 63, 64, 127, 1_000] {
        let name = |number: usize| -> String {
            twins.iter().enumerate().map(|(bit, twin)| &twin[number >> bit & 1][..]).collect()
        };
        let names: Vec<String> = (0..count).map(name).collect();
        let hashes: BTreeSet<u32> =
            names.iter().map(|name| hash(format!("h{name}").as_bytes())).collect();
        assert_eq!(hashes.len(), 1);
        let mut records = Records::new();
        for name in &names[1..] {
            add(&mut records, format!("h{name}").as_bytes(), &entry(name, Some(v4(9))));
        }
        let mut world = World::new(Directory::default()).with(fresh(&records, Some(STAMP)));
        for name in &names[1..] {
            let answer = world.by_name(NameKind::HostName, name, None);
            assert_eq!(answer.addresses(), [v4(9)], "{name}, {count} names");
        }
        // One with the same hash that isn't there.
        assert_eq!(world.by_name(NameKind::HostName, &names[0], None), Answer::Unknown);
    }
}

/// Whatever is in the file: no look-up fails, none takes for ever, and a snapshot that was cut short or made longer is
/// treated as absent.
#[test]
fn a_damaged_snapshot_is_treated_as_absent() {
    let mut random = Random::from_environment(33);
    for round in 0..rounds(1_500) {
        let state = state(&mut random);
        let mut files = World::new(state.directory(&mut random));
        let mut bytes = write(&compile(&state), META);
        let is_cut = round % 3 == 0;
        if is_cut {
            let len = random.below(bytes.len() + 100);
            if len == bytes.len() {
                continue;
            }
            bytes.resize(len, 0);
        } else {
            for _ in 0..=random.below(8) {
                let at = random.below(bytes.len());
                bytes[at] = random.below(256) as u8;
            }
        }
        let snapshot = Snapshot { bytes: bytes.into(), modified: NOW - 5, state: Some(STAMP) };
        let mut damaged = files.clone().with(snapshot).scarce(&mut random);
        for kind in KINDS {
            for wanted in ["web", "web.lab", "nobody"] {
                let found = damaged.by_name(kind, wanted, None);
                if is_cut {
                    let expected = files.by_name(kind, wanted, None);
                    assert_eq!(found, expected, "{kind:?} {wanted:?}\n{}", files.directory);
                }
            }
            let address = Address::V4([192, 168, 122, 1]);
            let (name, listed) = (
                damaged.by_address(kind, address),
                look_up::list(
                    &mut damaged.directory,
                    damaged.snapshot.as_ref().map(|snapshot| snapshot.open(usize::MAX)),
                    &damaged.means,
                    kind,
                ),
            );
            assert!(listed.is_ok());
            if is_cut {
                assert_eq!(name, files.by_address(kind, address));
                assert_eq!(damaged.list(kind), files.list(kind), "{kind:?}\n{}", files.directory);
            }
        }
    }
}

/// Out of memory, there is no answer rather than a wrong one.
#[test]
fn a_snapshot_without_memory() {
    let mut random = Random::from_environment(35);
    for _ in 0..rounds(200) {
        let state = state(&mut random);
        let snapshot = fresh(&compile(&state), Some(STAMP));
        let mut directory = state.directory(&mut random).with(Manner::PLAIN);
        let ample = Means { places: random.below(7), ..Means::ample(NOW) };
        for kind in KINDS {
            let mut look = |means| {
                let opened = Some(snapshot.open(usize::MAX));
                let answer = look_up::by_name(&mut directory, opened, &means, kind, b"web", None);
                let opened = Some(snapshot.open(usize::MAX));
                (answer, look_up::list(&mut directory, opened, &means, kind))
            };
            let (answer, list) = look(ample);
            for slices in 0..6 {
                let (found, listed) = look(Means { slices, ..ample });
                assert!(found.is_err() || found == answer, "{found:?} {answer:?}");
                assert!(listed.is_err() || listed == list, "{listed:?} {list:?}");
            }
        }
    }
}
