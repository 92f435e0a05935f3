//! Look-ups over random state directories, against a model that is too simple to be wrong.

mod support;

use std::collections::BTreeSet;

use guest_names::address::{Address, Family};
use guest_names::enumerate::Cursor;
use guest_names::forward::{Found, Query, Source};
use guest_names::ranking::Candidate;
use guest_names::search::Search;
use guest_names::text::Text;
use support::model::{Collected, Guest, NOW, WANTED, holds, look_up, state, text_of};
use support::{Directory, Random};

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
                let mut search = Search::new(&mut directory, &mut window, NOW, None);
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
                let mut search = Search::new(&mut directory, &mut window, NOW, None);
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
        let mut search = Search::new(directory, &mut window, NOW, None);
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
    let mut search = Search::new(&mut directory, &mut window, NOW, None);
    let query = Query {
        source: Source::HostName,
        wanted: Source::HostName.wanted(b"web").unwrap(),
        family: None,
    };
    let mut answer = Collected { addresses: Vec::new(), room: 0 };
    assert!(search.addresses(&query, &mut [Candidate::EMPTY], &mut answer).is_err());
}
