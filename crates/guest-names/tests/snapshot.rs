//! Look-ups with a snapshot: it gives what the files give, and where it is broken the files do.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use guest_names::address::{Address, Family, Mac};
use guest_names::enumerate::Cursor;
use guest_names::forward::{Found, Source};
use guest_names::name::is_host_name;
use guest_names::ranking::Candidate;
use guest_names::search::Search;
use guest_names::snapshot::format::{Entry, Meta, Stamp, flags, hash};
use guest_names::state::Bridge;
use guest_names::text::Text;
use support::cdb::{Records, add, entry, write};
use support::model::{Lease, NOW, State, WANTED, holds, look_up, state, text_of};
use support::{Directory, Random, Snapshot};

const STAMP: Stamp = Stamp { seconds: 17, nanoseconds: 18, device: 19, inode: 20 };
const WINDOW: usize = 4096;

const META: Meta = Meta { state: Some(STAMP), hold: 90, length: 0, compiled: NOW };

/// A snapshot that was written a moment ago.
fn fresh(records: &Records, state: Option<Stamp>) -> Snapshot {
    Snapshot { bytes: write(records, META), modified: NOW - 5, state }
}

/// The domains that have the lease's NIC.
fn owners<'s>(state: &'s State, lease: &Lease) -> impl Iterator<Item = &'s str> {
    let (bridge, mac) = (lease.bridge, lease.mac);
    let here = state.guests.iter().filter(move |guest| guest.bridge == bridge);
    let its = here.filter(move |guest| guest.macs.iter().any(|&one| mac == Some(one)));
    its.map(|guest| guest.name.as_str())
}

/// What the daemon makes of the state files alone.
fn compile(state: &State) -> Records {
    let mut records = Records::new();
    let mut leases: Vec<_> = state.leases.iter().filter(holds).collect();
    leases.sort_by_key(|lease| lease.bridge);
    let lower = |kind: &str, name: &str| format!("{kind}{}", name.to_ascii_lowercase());
    for bridge in 0..state.bridges {
        for guest in state.guests.iter().filter(|guest| guest.bridge == bridge) {
            let flags = flags::LEASE | flags::ATTACHED;
            let entry = Entry { flags, ..entry(&guest.name, None) };
            add(&mut records, lower("g", &guest.name).as_bytes(), &entry);
        }
    }
    for lease in &leases {
        let bridge = Bridge::new(format!("virbr{}", lease.bridge).as_bytes()).unwrap();
        let attached = if state.is_attached(lease) { flags::ATTACHED } else { 0 };
        let (mac, expiry) = (lease.mac, lease.expiry.unwrap_or(0));
        let entry = |name| Entry {
            flags: flags::LEASE | attached,
            mac,
            bridge,
            expiry,
            ..entry(name, Some(lease.address))
        };
        let mut under = |kind: &str, name: &str, entry: &Entry<'_>| {
            add(&mut records, lower(kind, name).as_bytes(), entry);
            if let Some(domain) = &lease.domain {
                let name = format!("{name}.{domain}");
                add(&mut records, lower(kind, &name).as_bytes(), entry);
            }
        };
        let named = lease.hostname.as_deref().filter(|name| is_host_name(name.as_bytes()));
        if let Some(name) = named {
            under("h", name, &entry(name));
        }
        for name in owners(state, lease) {
            under("g", name, &entry(name));
        }
    }
    // The best name first.
    leases.sort_by_key(|lease| {
        let end = lease.expiry.filter(|&end| end != 0).unwrap_or(i64::MAX);
        (!state.is_attached(lease), -end)
    });
    for lease in leases {
        let key = [b"a", lease.address.octets()].concat();
        let attached = if state.is_attached(lease) { flags::ATTACHED } else { 0 };
        let flags = flags::LEASE | attached;
        let expiry = lease.expiry.unwrap_or(0);
        let entry = |name| Entry { flags, expiry, ..entry(name, Some(lease.address)) };
        if let Some(name) = lease.hostname.as_deref().filter(|name| is_host_name(name.as_bytes())) {
            add(&mut records, &key, &entry(name));
        }
        if let Some(name) = owners(state, lease).next() {
            add(&mut records, &key, &Entry { flags: flags | flags::DOMAIN, ..entry(name) });
        }
    }
    records
}

fn v4(last: u8) -> Address {
    Address::V4([10, 0, 0, last])
}

/// The name of an address.
fn reverse(directory: &mut Directory, source: Source, address: Address) -> Option<String> {
    let mut window = vec![0; WINDOW];
    let mut name = Text::new();
    let mut search = Search::new(directory, &mut window, NOW, None);
    let found = search.name_of(source, address, &mut [Candidate::EMPTY; 3], &mut name).unwrap();
    found.then(|| String::from_utf8(name.as_bytes().to_vec()).unwrap())
}

/// All pairs of an enumeration, as often as they come.
fn enumerate(directory: &mut Directory, source: Source) -> Vec<(String, String)> {
    let mut window = vec![0; WINDOW];
    let (mut cursor, mut name) = (Cursor::new(), Text::new());
    let mut pairs = Vec::new();
    loop {
        let mut search = Search::new(directory, &mut window, NOW, None);
        let (mut places, mut candidate) = ([Candidate::EMPTY; 3], Candidate::EMPTY);
        if !search.next(source, &mut cursor, &mut places, &mut name, &mut candidate).unwrap() {
            return pairs;
        }
        let name = String::from_utf8(name.as_bytes().to_vec()).unwrap();
        pairs.push((name, text_of(candidate.address)));
    }
}

/// Names and addresses come out of the snapshot as they come out of the files, which aren't there.
#[test]
fn a_snapshot_stands_for_the_files() {
    let mut random = Random::new(31);
    let (mut data, mut names) = (0, 0);
    for _ in 0..3_000 {
        let state = state(&mut random);
        let mut files = state.directory(&mut random);
        let mut alone = Directory::default();
        alone.set_snapshot(Some(fresh(&compile(&state), Some(STAMP))));
        let wanted = *random.pick(&WANTED);
        for source in [Source::HostName, Source::Domain] {
            for family in [None, Some(Family::V4), Some(Family::V6)] {
                let places = 1 + random.below(6);
                let expected = look_up(&mut files, WINDOW, places, source, wanted, family);
                let found = look_up(&mut alone, WINDOW, places, source, wanted, family);
                assert_eq!(found, expected, "{source:?} {wanted:?} {family:?}\n{files}");
                data += u32::from(found.0 == Found::Data);
            }
            for lease in &state.leases {
                let expected = reverse(&mut files, source, lease.address);
                let found = reverse(&mut alone, source, lease.address);
                assert_eq!(found, expected, "{source:?} {}\n{files}", text_of(lease.address));
                names += u32::from(found.is_some());
            }
        }
    }
    assert!(data > 1_000 && names > 1_000, "hardly an answer: {data}, {names}");
}

/// All guests are those of the files, whether the files answer for them or the snapshot.
#[test]
fn a_snapshot_lists_what_the_files_list() {
    let mut random = Random::new(34);
    let mut listed = 0;
    for _ in 0..1_000 {
        let state = state(&mut random);
        let mut files = state.directory(&mut random);
        let mut both = state.directory(&mut random);
        both.set_snapshot(Some(fresh(&compile(&state), Some(STAMP))));
        for source in [Source::HostName, Source::Domain] {
            let expected: BTreeSet<_> = enumerate(&mut files, source).into_iter().collect();
            let found: BTreeSet<_> = enumerate(&mut both, source).into_iter().collect();
            assert_eq!(found, expected, "{source:?}\n{files}");
            listed += found.len();
        }
    }
    assert!(listed > 1_000, "hardly a guest: {listed}");
}

/// Behind a change of the directory the files are read, and what was compiled of them doesn't count.
#[test]
fn an_older_snapshot_goes_with_the_files() {
    let mut random = Random::new(32);
    for _ in 0..500 {
        let [old, new] = [state(&mut random), state(&mut random)];
        let mut files = new.directory(&mut random);
        let mut both = new.directory(&mut random);
        let other = Stamp { nanoseconds: 0, ..STAMP };
        both.set_snapshot(Some(fresh(&compile(&old), Some(other))));
        for wanted in WANTED {
            for source in [Source::HostName, Source::Domain] {
                let expected = look_up(&mut files, WINDOW, 3, source, wanted, None);
                let found = look_up(&mut both, WINDOW, 3, source, wanted, None);
                assert_eq!(found.0, expected.0, "{source:?} {wanted:?}\n{files}");
                let set = |found: (Found, Vec<Address>)| -> BTreeSet<String> {
                    found.1.into_iter().map(text_of).collect()
                };
                assert_eq!(set(found), set(expected), "{source:?} {wanted:?}\n{files}");
            }
        }
        for source in [Source::HostName, Source::Domain] {
            let sorted = |mut pairs: Vec<_>| {
                pairs.sort();
                pairs
            };
            assert_eq!(
                sorted(enumerate(&mut both, source)),
                sorted(enumerate(&mut files, source)),
                "{source:?}\n{files}"
            );
        }
    }
}

const WEB: &str =
    r#"[{"ip-address": "10.0.0.1", "mac-address": "52:54:00:00:00:01", "hostname": "web"}]"#;
const WEB_MACS: &str = r#"[{"domain": "web", "macs": ["52:54:00:00:00:01"]}]"#;

/// What libvirt's API told, beside files that know some of it.
#[test]
fn what_is_told() {
    let mut records = Records::new();
    let mac = Some(Mac([0x52, 0x54, 0, 0, 0, 1]));
    let virbr0 = Bridge::new(b"virbr0").unwrap();
    for kind in ["h", "g"] {
        let key = |name: &str| format!("{kind}{name}").into_bytes();
        // The same NIC, another address of it, and the lease's once more.
        for last in [1, 2] {
            let entry = Entry { mac, bridge: virbr0, ..entry("web", Some(v4(last))) };
            add(&mut records, &key("web"), &entry);
            add(&mut records, &key("web.default"), &entry);
        }
        add(&mut records, &key("bridged"), &entry("Bridged", Some(v4(3))));
        let elsewhere = flags::TOLD | flags::ATTACHED | flags::ELSEWHERE;
        let remote = Entry { flags: elsewhere, ..entry("far", Some(v4(4))) };
        add(&mut records, &key("far"), &remote);
        add(&mut records, &key("here-too"), &remote);
        let first = Entry { flags: elsewhere | flags::BEFORE, ..entry("wins", Some(v4(5))) };
        add(&mut records, &key("wins"), &first);
        add(&mut records, &key("new"), &entry("new", None));
    }
    for (last, name) in [(1, "agent-says"), (3, "Bridged")] {
        add(&mut records, &[b"a\x0a\0\0", &[last][..]].concat(), &entry(name, Some(v4(last))));
    }
    let mut directory = Directory::default();
    let both = |name: &str, last: u8| {
        format!(
            r#"{{"ip-address": "10.0.0.{last}", "mac-address": "52:54:00:00:00:1{last}", "hostname": "{name}"}}"#
        )
    };
    let others = format!("[{}, {}]", both("here-too", 6), both("wins", 7));
    directory.add("virbr0.status".into(), WEB);
    directory.add("virbr0.macs".into(), WEB_MACS);
    directory.add("virbr1.status".into(), &others);
    directory.add(
        "virbr1.macs".into(),
        r#"[{"domain": "here-too", "macs": ["52:54:00:00:00:16"]}, {"domain": "wins", "macs": ["52:54:00:00:00:17"]}]"#,
    );
    let snapshot = fresh(&records, None);
    directory.set_snapshot(Some(snapshot.clone()));
    let mut look = |source, name| {
        let (found, mut addresses) = look_up(&mut directory, WINDOW, 3, source, name, None);
        addresses.sort_by_key(|address| address.padded());
        (found, addresses)
    };
    let data = |last: &[u8]| (Found::Data, last.iter().map(|&last| v4(last)).collect::<Vec<_>>());
    for source in [Source::HostName, Source::Domain] {
        assert_eq!(look(source, "WEB"), data(&[1, 2]));
        assert_eq!(look(source, "web.default"), data(&[1, 2]));
        assert_eq!(look(source, "bridged"), data(&[3]));
        assert_eq!(look(source, "far"), data(&[4]));
        assert_eq!(look(source, "here-too"), data(&[6]));
        assert_eq!(look(source, "wins"), data(&[5]));
        assert_eq!(look(source, "new"), (Found::NoData, Vec::new()));
        assert_eq!(look(source, "nobody"), (Found::Unknown, Vec::new()));
    }
    // The files' word counts before an agent's.
    assert_eq!(reverse(&mut directory, Source::HostName, v4(1)).as_deref(), Some("web"));
    assert_eq!(reverse(&mut directory, Source::HostName, v4(3)).as_deref(), Some("Bridged"));
    assert_eq!(reverse(&mut directory, Source::Domain, v4(3)), None);
    let mut pairs = enumerate(&mut directory, Source::HostName);
    pairs.sort();
    let pair = |name: &str, last: u8| (name.to_owned(), text_of(v4(last)));
    let expected = [
        pair("Bridged", 3),
        pair("far", 4),
        pair("here-too", 6),
        pair("web", 1),
        pair("web", 2),
        pair("wins", 5),
    ];
    assert_eq!(pairs, expected);

    // The daemon has been dead for longer than its words hold.
    directory.set_snapshot(Some(Snapshot { modified: NOW - 91, ..snapshot }));
    let mut look = |name| look_up(&mut directory, WINDOW, 3, Source::HostName, name, None);
    assert_eq!(look("web"), data(&[1]));
    assert_eq!(look("wins"), data(&[7]));
    for name in ["web.default", "bridged", "far", "new"] {
        assert_eq!(look(name), (Found::Unknown, Vec::new()), "{name}");
    }
}

/// A lease that the guest's agent doesn't confirm counts no longer than the daemon lives.
#[test]
fn what_is_denied() {
    let mut records = Records::new();
    let lease = flags::LEASE | flags::ATTACHED;
    let mac = Some(Mac([0x52, 0x54, 0, 0, 0, 1]));
    let bridge = Bridge::new(b"virbr0").unwrap();
    let flags = lease | flags::DENIED;
    let denied = Entry { flags, mac, bridge, ..entry("web", Some(v4(1))) };
    add(&mut records, b"hweb", &denied);
    add(&mut records, b"hweb", &entry("web", Some(v4(2))));
    let mut directory = Directory::default();
    let mut look = |modified| {
        let snapshot = Snapshot { modified, ..fresh(&records, Some(STAMP)) };
        directory.set_snapshot(Some(snapshot));
        look_up(&mut directory, WINDOW, 3, Source::HostName, "web", None).1
    };
    assert_eq!(look(NOW), [v4(2)]);
    assert_eq!(look(NOW - 91), [v4(1)]);

    // Nor is it listed, though it stands in the file.
    directory.add("virbr0.status".into(), WEB);
    let mut list = |modified| {
        let snapshot = Snapshot { modified, ..fresh(&records, Some(STAMP)) };
        directory.set_snapshot(Some(snapshot));
        enumerate(&mut directory, Source::HostName)
    };
    let web = |last| ("web".to_owned(), text_of(v4(last)));
    assert_eq!(list(NOW), [web(2)]);
    assert_eq!(list(NOW - 91), [web(1)]);
}

/// More addresses than fit the scratch and the places.
#[test]
fn a_long_record() {
    let mut records = Records::new();
    for number in 0..2_000u16 {
        let [high, low] = number.to_be_bytes();
        let address = Some(Address::V4([10, 1, high, low]));
        add(&mut records, b"hmany", &entry("many", address));
    }
    let mut directory = Directory::default();
    directory.set_snapshot(Some(fresh(&records, Some(STAMP))));
    let (found, addresses) = look_up(&mut directory, WINDOW, 24, Source::HostName, "many", None);
    assert_eq!((found, addresses.len()), (Found::Data, 2_000));
}

/// Pairs of texts that lead to the same hash, one behind the other, make any number of names with one hash.
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

/// A guest can choose names with one hash: with few of them the snapshot answers, with many the files do.
#[test]
fn names_with_one_hash() {
    let twins = twins(8);
    let names = |count: usize| -> Vec<String> {
        let name = |number: usize| {
            twins.iter().enumerate().map(|(bit, twin)| &twin[number >> bit & 1][..]).collect()
        };
        (0..count).map(name).collect()
    };
    for (count, snapshot_answers) in [(40, true), (200, false)] {
        let mut records = Records::new();
        for name in names(count) {
            add(&mut records, format!("h{name}").as_bytes(), &entry(&name, Some(v4(9))));
        }
        let mut directory = Directory::default();
        directory.set_snapshot(Some(fresh(&records, Some(STAMP))));
        let mut answered = 0;
        for name in names(count) {
            let found = look_up(&mut directory, WINDOW, 3, Source::HostName, &name, None);
            answered += usize::from(found == (Found::Data, vec![v4(9)]));
        }
        assert_eq!(answered == count, snapshot_answers, "{answered} of {count}");
        assert!(answered > 30, "{answered}");
    }
}

/// Whatever stands in the file: no look-up fails, none takes for ever, and one that was cut short or
/// lengthened is as good as none.
#[test]
fn a_broken_snapshot_is_as_good_as_none() {
    let mut random = Random::new(33);
    for round in 0..3_000 {
        let state = state(&mut random);
        let mut files = state.directory(&mut random);
        let mut broken = state.directory(&mut random);
        let mut snapshot = fresh(&compile(&state), Some(STAMP));
        let bytes = &mut snapshot.bytes;
        let cut = round % 3 == 0;
        if cut {
            let len = random.below(bytes.len() + 100);
            if len == bytes.len() {
                continue;
            }
            bytes.resize(len, 0);
        } else {
            for _ in 0..1 + random.below(8) {
                let at = random.below(bytes.len());
                bytes[at] = random.below(256) as u8;
            }
        }
        broken.set_snapshot(Some(snapshot));
        for source in [Source::HostName, Source::Domain] {
            for wanted in ["web", "web.lab", "nobody"] {
                let found = look_up(&mut broken, WINDOW, 3, source, wanted, None);
                if cut {
                    let expected = look_up(&mut files, WINDOW, 3, source, wanted, None);
                    assert_eq!(found.0, expected.0, "{source:?} {wanted:?}\n{files}");
                }
            }
            reverse(&mut broken, source, Address::V4([192, 168, 122, 1]));
            enumerate(&mut broken, source);
        }
    }
}
