//! Look-ups in random state directories, compared with the reference, and what they cost.

use std::collections::BTreeSet;

use guest_names::address::{Address, Family};
use guest_names::io::{Exhausted, Fault};
use guest_names::name::NameKind;
use guest_names::window::{FRONT, LARGE_BUFFER, SMALL_BUFFER};
use testkit::generate::{NODE, NOW, WANTED, address_text, bridge, mac, mac_text, state};
use testkit::look_up::{Answer, Means, by_address, by_name, list};
use testkit::memory::{Directory, Manner};
use testkit::random::{Random, rounds};
use testkit::reference::{Guest, HostState, Lease, Reference, listed_name};

const KINDS: [NameKind; 2] = [NameKind::HostName, NameKind::Domain];
const FAMILIES: [Option<Family>; 3] = [None, Some(Family::V4), Some(Family::V6)];

/// What the modules have on the main thread.
const AMPLE: Means<'static> = Means::ample(NOW);

fn reference(state: &HostState) -> Reference<'_> {
    Reference { state, node: NODE, now: NOW }
}

/// Little memory, and reads that end early.
fn scarce(random: &mut Random) -> (Means<'static>, Manner) {
    let more = if random.one_in(2) { 600 } else { LARGE_BUFFER };
    let buffer = 200 + random.below(more);
    let (places, watched) = (random.below(7), random.one_in(4));
    let piece = if random.one_in(2) { usize::MAX } else { FRONT + random.below(2000) };
    (Means { buffer, places, watched, ..AMPLE }, Manner { piece, ..Manner::PLAIN })
}

/// A lease that never ends, of `web`.
fn lease(address: Address) -> Lease {
    Lease {
        bridge: bridge(0),
        address,
        mac: None,
        hostname: "web".into(),
        domain: String::new(),
        expiry: 0,
        client: String::new(),
    }
}

fn v4(number: u16) -> Address {
    let [high, low] = number.to_be_bytes();
    Address::V4([10, 0, high, low])
}

/// The addresses of a name.
fn addresses(directory: &Directory, kind: NameKind, name: &str) -> Vec<Address> {
    let mut directory = directory.with(Manner::PLAIN);
    by_name(&mut directory, None, &AMPLE, kind, name.as_bytes(), None).unwrap().addresses()
}

#[test]
fn names_give_the_references_addresses() {
    let mut random = Random::from_environment(11);
    let (mut data, mut none, mut scoped) = (0, 0, 0);
    let rounds = rounds(4_000);
    for _ in 0..rounds {
        let state = state(&mut random);
        let files = state.directory(&mut random);
        let (means, manner) = scarce(&mut random);
        for wanted in [*random.pick(&WANTED), *random.pick(&WANTED)] {
            for kind in KINDS {
                for family in FAMILIES {
                    let name = wanted.as_bytes();
                    let mut directory = files.with(manner);
                    let found = by_name(&mut directory, None, &means, kind, name, family).unwrap();
                    let expected = reference(&state).by_name(kind, name, family, family.is_none());
                    assert_eq!(
                        found, expected,
                        "{kind:?} {wanted:?} {family:?} {means:?} {manner:?}\n{files}"
                    );
                    let is_link_local = |address: &Address| address.is_link_local_v6();
                    match &found {
                        Answer::Addresses(_) => data += 1,
                        Answer::NoData => none += 1,
                        Answer::Unknown => {}
                    }
                    scoped += u64::from(found.addresses().iter().any(is_link_local));
                }
            }
        }
    }
    let counts = [data, none, scoped];
    assert!(
        data > rounds / 2 && none > rounds / 2 && scoped > rounds / 40,
        "too few answers: {counts:?}"
    );
}

#[test]
fn addresses_give_the_references_names() {
    let mut random = Random::from_environment(12);
    let mut names = 0;
    let rounds = rounds(1_500);
    for _ in 0..rounds {
        let state = state(&mut random);
        let files = state.directory(&mut random);
        let (means, manner) = scarce(&mut random);
        let known = state.leases.iter().map(|lease| lease.address).take(12);
        for address in known.chain([v4(9)]) {
            for kind in KINDS {
                let mut directory = files.with(manner);
                let name = by_address(&mut directory, None, &means, kind, address).unwrap();
                let expected = reference(&state).by_address(kind, address);
                let text = address_text(address);
                assert_eq!(name, expected, "{kind:?} {text} {means:?} {manner:?}\n{files}");
                names += u64::from(name.is_some());
            }
        }
    }
    assert!(names > 3 * rounds, "too few names: {names}");
}

/// Each pair comes once, in the order of the names, and has an address that a look-up of the name gives; and so does every
/// pair that look-ups give.
#[test]
fn the_list_has_what_look_ups_give() {
    let mut random = Random::from_environment(13);
    let mut pairs = 0;
    let rounds = rounds(1_500);
    for _ in 0..rounds {
        let state = state(&mut random);
        let files = state.directory(&mut random);
        let (means, manner) = scarce(&mut random);
        for kind in KINDS {
            let mut directory = files.with(manner);
            let listed = list(&mut directory, None, &means, kind).unwrap();
            let names: Vec<_> = listed.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
            assert!(names.is_sorted(), "{kind:?} {listed:?}");
            let set: BTreeSet<_> =
                listed.iter().map(|(name, address)| (listed_name(kind, name), *address)).collect();
            assert_eq!(set.len(), listed.len(), "{kind:?} {listed:?}\n{files}");
            assert_eq!(set, reference(&state).list(kind), "{kind:?} {means:?} {manner:?}\n{files}");
            pairs += listed.len() as u64;
        }
    }
    assert!(pairs > 3 * rounds, "too few pairs: {pairs}");
}

/// All that a look-up can be about, with the same means.
fn everything(
    directory: &mut Directory,
    means: &Means<'_>,
    state: &HostState,
) -> Vec<Result<String, Exhausted>> {
    let mut outcomes = Vec::new();
    let address = state.leases.first().map_or(v4(1), |lease| lease.address);
    for kind in KINDS {
        for name in ["web", "db.lab"] {
            let answer = by_name(directory, None, means, kind, name.as_bytes(), None);
            outcomes.push(answer.map(|answer| format!("{answer:?}")));
        }
        let name = by_address(directory, None, means, kind, address);
        outcomes.push(name.map(|name| format!("{name:?}")));
        outcomes.push(list(directory, None, means, kind).map(|list| format!("{list:?}")));
    }
    outcomes
}

#[test]
fn out_of_memory_there_is_no_answer_rather_than_a_wrong_one() {
    let mut random = Random::from_environment(14);
    let (mut failed, mut answered) = (0, 0);
    for _ in 0..rounds(300) {
        let state = state(&mut random);
        let files = state.directory(&mut random);
        let means = Means { places: random.below(7), ..AMPLE };
        let mut directory = files.with(Manner::PLAIN);
        let expected = everything(&mut directory, &means, &state);
        assert!(expected.iter().all(Result::is_ok));
        for slices in 0..8 {
            let means = Means { slices, ..means };
            let found = everything(&mut directory, &means, &state);
            for (found, expected) in found.iter().zip(&expected) {
                match found {
                    Ok(_) => answered += usize::from(slices == 0),
                    Err(Exhausted) => failed += 1,
                }
                assert!(
                    found.is_err() || found == expected,
                    "{found:?} {expected:?} {means:?}\n{files}"
                );
            }
        }
    }
    assert!(failed > 1_000 && answered > 1_000, "{failed} failed, {answered} were answered");
}

#[test]
fn out_of_descriptors_there_is_no_answer_rather_than_a_wrong_one() {
    let mut random = Random::from_environment(15);
    for _ in 0..rounds(150) {
        let state = state(&mut random);
        let files = state.directory(&mut random);
        let (means, manner) = scarce(&mut random);
        for kind in KINDS {
            let task = |manner| {
                let mut directory = files.with(manner);
                let answer = by_name(&mut directory, None, &means, kind, b"web", None);
                (answer, directory.calls())
            };
            let (answer, calls) = task(manner);
            assert!(answer.is_ok());
            for call in (0..calls).step_by(1 + calls / 40) {
                let failing = |fault| Manner { fault: Some((call, fault)), ..manner };
                let (found, _) = task(failing(Fault::Exhausted));
                assert_eq!(found, Err(Exhausted), "call {call} of {calls}\n{files}");
                // What can't be read is left out.
                let (found, _) = task(failing(Fault::Unreadable(5)));
                assert!(found.is_ok(), "call {call} of {calls}\n{files}");
            }
        }
    }
}

/// Files that change while they are read: an answer, and nothing that is in no version of them.
#[test]
fn files_that_change_give_no_address_of_their_own_making() {
    let mut random = Random::from_environment(16);
    for _ in 0..rounds(500) {
        let state = state(&mut random);
        let (means, manner) = scarce(&mut random);
        let mut directory = state.directory(&mut random).with(Manner { changing: true, ..manner });
        for kind in KINDS {
            for _ in 0..3 {
                let answer = by_name(&mut directory, None, &means, kind, b"web", None).unwrap();
                let is_there = |address| state.leases.iter().any(|lease| lease.address == address);
                assert!(answer.addresses().into_iter().all(is_there), "{answer:?}\n{directory}");
                list(&mut directory, None, &means, kind).unwrap();
            }
        }
    }
}

/// An attached lease's name is given before that of one left behind, the one that ends last first.
#[test]
fn reverse_prefers_what_is_attached() {
    let of = |on, last, name: &str, expiry| Lease {
        bridge: bridge(on),
        mac: Some(mac(last)),
        hostname: name.into(),
        expiry,
        ..lease(v4(1))
    };
    let leases = vec![
        of(0, 1, "gone", NOW + 90),
        of(1, 2, "here", NOW + 10),
        of(1, 3, "not a host", NOW + 99),
    ];
    let mut state = HostState { leases, guests: Vec::new() };
    let names = |state: &HostState| {
        let files = state.directory(&mut Random::new(1));
        [0, 1, 2, 3, 24].map(|places| {
            let (mut directory, means) = (files.with(Manner::PLAIN), Means { places, ..AMPLE });
            by_address(&mut directory, None, &means, NameKind::HostName, v4(1)).unwrap().unwrap()
        })
    };
    assert_eq!(names(&state), [b"gone"; 5]);
    state.guests.push(Guest { bridge: bridge(1), name: "x".into(), macs: vec![mac(2)] });
    assert_eq!(names(&state), [b"here"; 5]);
}

/// The boot loader's lease, one without a client id, the installer's, and the system's.
#[test]
fn of_the_leases_of_one_nic_those_of_another_client_than_the_freshest_are_left_out() {
    let of = |last, client: &str, expiry| Lease {
        mac: Some(mac(1)),
        client: client.into(),
        expiry,
        ..lease(v4(last))
    };
    let leases = vec![
        of(1, "01:52", NOW + 300),
        of(2, "", NOW + 200),
        of(3, "ff:00", NOW + 100),
        of(4, "ff:00", NOW + 50),
    ];
    let mut state = HostState { leases, guests: Vec::new() };
    let found = |state: &HostState| {
        let files = state.directory(&mut Random::new(1));
        addresses(&files, NameKind::HostName, "web")
    };
    assert_eq!(found(&state), [v4(2), v4(3), v4(4)]);
    // A fresher one without a client id changes nothing.
    state.leases.push(of(5, "", NOW + 10));
    assert_eq!(found(&state), [v4(2), v4(3), v4(4), v4(5)]);
    state.leases.pop();
    // An expired lease is not the freshest.
    state.leases[2].expiry = NOW - 1;
    state.leases[3].expiry = NOW - 1;
    assert_eq!(found(&state), [v4(1), v4(2)]);
    // Nor are those of another NIC or family.
    state.leases.push(Lease { mac: Some(mac(2)), ..of(5, "00", NOW + 1) });
    let v6 = Address::parse(b"fd00::1").unwrap();
    state.leases.push(Lease { address: v6, ..of(6, "00:01", NOW) });
    assert_eq!(found(&state), [v4(1), v4(2), v4(5), v6]);
}

/// Leases that never end come last, as in libvirt's own modules.
#[test]
fn the_latest_end_comes_first() {
    let of = |last, expiry| Lease { expiry, ..lease(v4(last)) };
    let ends = [0, NOW + 1, i64::MAX, NOW + 2, 0];
    let leases = ends.iter().zip(0..).map(|(&end, last)| of(last, end)).collect();
    let files = HostState { leases, guests: Vec::new() }.directory(&mut Random::new(1));
    let found = addresses(&files, NameKind::HostName, "web");
    assert_eq!(found, [v4(2), v4(3), v4(1), v4(0), v4(4)]);
}

/// Two domains whose names differ only in case, one of them with more NICs than a look-up has places for, share a NIC.
#[test]
fn domains_that_share_a_nic_and_differ_in_case() {
    for others in [7, 31, 90] {
        let shared = mac(0);
        let macs = [vec![shared], (1..=others).map(mac).collect()].concat();
        let guest = |name: &str, macs| Guest { bridge: bridge(0), name: name.into(), macs };
        let guests = vec![guest("web", macs), guest("WEB", vec![shared])];
        let of = |last, mac, expiry| Lease { mac: Some(mac), expiry, ..lease(v4(last)) };
        let mut leases: Vec<_> =
            (0..12).map(|last| of(last, shared, NOW + i64::from(last))).collect();
        leases.push(of(99, mac(others), NOW + 1_000));
        let mut state = HostState { leases, guests };
        let shared_ones: Vec<_> = (0..12).rev().map(v4).collect();
        let all = [vec![v4(99)], shared_ones.clone()].concat();
        for _ in 0..2 {
            let files = state.directory(&mut Random::new(1));
            for places in 0..7 {
                for buffer in [200, SMALL_BUFFER, LARGE_BUFFER] {
                    let means = Means { places, buffer, ..AMPLE };
                    let look = |name: &[u8]| {
                        let mut directory = files.with(Manner::PLAIN);
                        let kind = NameKind::Domain;
                        by_name(&mut directory, None, &means, kind, name, None).unwrap().addresses()
                    };
                    assert_eq!(look(b"WEB"), shared_ones, "{means:?}");
                    assert_eq!(look(b"web"), all, "{means:?}");
                    // Neither is written so: both answer.
                    assert_eq!(look(b"Web"), all, "{means:?}");
                }
            }
            state.guests.reverse();
        }
    }
}

/// However many leases a name has, each file is opened once and hardly more of it is read than there is.
#[test]
fn thousands_of_leases_of_one_name_take_linear_time() {
    let files = |count: u16| {
        let leases = (0..count).map(|at| Lease {
            mac: Some(mac(at % 64)),
            expiry: NOW + i64::from(at),
            ..lease(v4(at))
        });
        let macs = (0..64).map(mac).collect();
        let guests = vec![Guest { bridge: bridge(0), name: "web".into(), macs }];
        HostState { leases: leases.collect(), guests }.directory(&mut Random::new(4))
    };
    let sizes = [2_000, 8_000].map(|count| (count, files(count)));
    for (count, files) in &sizes {
        let expected: Vec<_> = (0..*count).rev().map(v4).collect();
        for kind in KINDS {
            for (buffer, places) in [(SMALL_BUFFER, 4), (LARGE_BUFFER, 24)] {
                let means = Means { buffer, places, ..AMPLE };
                let mut directory = files.with(Manner::PLAIN);
                let answer = by_name(&mut directory, None, &means, kind, b"web", None).unwrap();
                assert!(answer.addresses() == expected, "{} addresses", answer.addresses().len());
                is_read_once(&directory, &format!("{kind:?} by name, {means:?}"));

                let mut directory = files.with(Manner::PLAIN);
                let pairs = list(&mut directory, None, &means, kind).unwrap();
                assert_eq!(pairs.len(), usize::from(*count));
                is_read_once(&directory, &format!("{kind:?} list, {means:?}"));
            }
        }
    }
}

/// # Panics
/// A state file was opened more than once, or three times as much was read of it as there is.
fn is_read_once(directory: &Directory, what: &str) {
    for (name, contents) in directory.files() {
        let use_of = directory.use_of(std::str::from_utf8(name).unwrap());
        let (opened, bytes) = (use_of.opened, use_of.bytes);
        assert!(opened <= 1, "{what}: opened {opened} times");
        assert!(bytes <= 3 * contents.len(), "{what}: {bytes} bytes of {}", contents.len());
    }
}

/// The MAC and the address that the tests write are those that they mean.
#[test]
fn the_files_say_what_the_state_says() {
    assert_eq!(mac_text(mac(0x102)), "52:54:00:00:01:02");
    assert_eq!(address_text(v4(0x102)), "10.0.1.2");
    let state = HostState { leases: vec![lease(v4(7))], guests: Vec::new() };
    let directory = state.directory(&mut Random::new(1));
    let (_, text) = directory.files().find(|(name, _)| *name == b"virbr0.status").unwrap();
    let value: serde_json::Value = serde_json::from_slice(text).unwrap();
    assert_eq!(value[0]["ip-address"], "10.0.0.7");
}
