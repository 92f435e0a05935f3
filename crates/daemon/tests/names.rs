//! A look-up in the snapshot finds everything that a look-up in the state files finds.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use daemon::config::{Config, Naming};
use daemon::facts::Facts;
use daemon::host::Host;
use daemon::model::{Agent, ConnectionId, Guest, Nic, ReportedAddress, ReportedBy, Update};
use daemon::names::{Input, compile};
use daemon::snapshot::write;
use daemon::state::Files;
use guest_names::address::{Address, Family, Mac};
use guest_names::bridge::Bridge;
use guest_names::io::Stamp;
use guest_names::name::NameKind;
use guest_names::snapshot::format::Meta;
use guest_store::snapshot::Info;
use testkit::generate::{NODE, NOW, WANTED, address_text, state};
use testkit::look_up::{Answer, Means, by_address, by_name, list};
use testkit::memory::{Directory, Snapshot};
use testkit::random::{Random, rounds};
use testkit::reference::{HostState, Lease};
use testkit::scratch::Scratch;

const STAMP: Stamp = Stamp { seconds: 1, nanoseconds: 2, device: 3, inode: 4 };

/// Replaces all files in a directory on disk.
fn fill(on_disk: &Scratch, files: &Directory) {
    for entry in fs::read_dir(on_disk.path()).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    for (name, contents) in files.files() {
        on_disk.write(std::str::from_utf8(name).unwrap(), contents);
    }
}

/// The snapshot that the daemon compiles at `now` from the files and libvirt's reports, and when it would compile the next.
fn snapshot(path: &Path, facts: &Facts, now: i64, modified: i64) -> (Snapshot, Option<i64>) {
    let files = Files::read(path).unwrap();
    let (node, host, naming) = (NODE.as_bytes(), &Host::default(), &Naming::default());
    let mut names = compile(Input { now, node, files: &files, facts, host, naming }, &mut || ());
    let meta = Meta { state: Some(STAMP), hold: 90, length: 0, compiled: NOW };
    let mut bytes = io::Cursor::new(Vec::new());
    write(&mut bytes, &mut names, meta, |_| Info::default(), &mut || ()).unwrap();
    let bytes = bytes.into_inner().into();
    (Snapshot { bytes, modified, state: Some(STAMP) }, names.until)
}

/// Random state directories, and names that are mostly in them.
#[test]
fn a_snapshot_answers_like_the_files() {
    let mut random = Random::from_environment(23);
    let on_disk = Scratch::new();
    let (mut data, mut none, mut names) = (0, 0, 0);
    let rounds = rounds(500);
    for round in 0..rounds {
        let state = state(&mut random);
        let files = state.directory(&mut random);
        fill(&on_disk, &files);
        // In the order in which the disk lists them, as the daemon reads them.
        let mut read_files = guest_store::Directory::new(on_disk.path());
        // With a daemon that is alive and one that isn't; at once, and when some leases have ended.
        let modified = if random.one_in(2) { NOW } else { NOW - 1000 };
        let (snapshot, _) = snapshot(on_disk.path(), &Facts::default(), NOW, modified);
        let mut no_files = Directory::default();
        for now in [NOW, NOW + 15] {
            let means = Means::ample(now);
            let open = || Some(snapshot.open(usize::MAX));
            for kind in [NameKind::HostName, NameKind::Domain] {
                for wanted in WANTED {
                    for family in [None, Some(Family::V4)] {
                        let name = wanted.as_bytes();
                        let compiled = by_name(&mut no_files, open(), &means, kind, name, family);
                        let read = by_name(&mut read_files, None, &means, kind, name, family);
                        assert_eq!(
                            compiled, read,
                            "round {round}, {now}: {kind:?} {wanted} {family:?}\n{files}"
                        );
                        match compiled {
                            Ok(Answer::Addresses(_)) => data += 1,
                            Ok(Answer::NoData) => none += 1,
                            _ => {}
                        }
                    }
                }
                for lease in state.leases.iter().take(12) {
                    let compiled = by_address(&mut no_files, open(), &means, kind, lease.address);
                    let read = by_address(&mut read_files, None, &means, kind, lease.address);
                    let text = address_text(lease.address);
                    assert_eq!(compiled, read, "round {round}, {now}: {kind:?} {text}\n{files}");
                    names += u64::from(compiled != Ok(None));
                }
                let compiled = list(&mut no_files, open(), &means, kind);
                let mut read = list(&mut read_files, None, &means, kind).unwrap();
                let mut compiled = compiled.unwrap();
                compiled.sort();
                read.sort();
                assert_eq!(compiled, read, "round {round}, {now}: {kind:?}\n{files}");
            }
        }
    }
    assert!(data > 2 * rounds && none > rounds && names > 3 * rounds, "{data} {none} {names}");
}
/// An address that no state file has.
fn unleased(random: &mut Random) -> IpAddr {
    IpAddr::from([10, 9, 0, random.below(4) as u8])
}

/// The guests that libvirt reports for a state directory: all in its MAC maps. Their agents report their leases and further
/// addresses, and there are neighbours.
fn guests(state: &HostState, random: &mut Random) -> Vec<Guest> {
    let mut guests: BTreeMap<&str, Vec<(Bridge, Mac)>> = BTreeMap::new();
    for guest in &state.guests {
        let nics = guest.macs.iter().map(|&mac| (guest.bridge, mac));
        guests.entry(&guest.name).or_default().extend(nics);
    }
    let mut guest = |number: u8, name: &str, nics: Vec<(Bridge, Mac)>| {
        let answers = random.one_in(2);
        let nics = nics.into_iter().map(|(bridge, mac)| {
            let reported = |address, source| ReportedAddress { address, source, expiry: 0 };
            let own = state.leases.iter().filter(|lease| {
                lease.bridge == bridge && lease.mac == Some(mac) && is_current(lease, NOW)
            });
            let own = own.map(|lease| address_text(lease.address).parse().unwrap());
            let mut addresses: Vec<ReportedAddress> = own
                .filter(|_| answers)
                .map(|address| reported(address, ReportedBy::Agent))
                .collect();
            let source = if answers { ReportedBy::Agent } else { ReportedBy::Neighbour };
            let more = (0..random.below(3)).map(|_| reported(unleased(random), source));
            addresses.extend(more);
            Nic {
                mac,
                network: None,
                bridge: Some(String::from_utf8_lossy(bridge.as_bytes()).into_owned()),
                addresses,
            }
        });
        let nics = nics.collect();
        let host_name = (*random.pick(&["web", "Web", "db", "node", "inside"])).to_owned();
        Guest {
            uuid: [number; 16],
            name: name.into(),
            title: None,
            host_name: Some(host_name).filter(|_| answers),
            agent: if answers { Agent::Answered } else { Agent::Silent },
            host_keys: None,
            nics,
        }
    };
    (0..).zip(guests).map(|(number, (name, nics))| guest(number, name, nics)).collect()
}

fn facts(guests: Vec<Guest>) -> Facts {
    let connections = Config::default().connections;
    let mut facts = Facts::new(&connections, Facts::default(), 0, 0);
    // Long after the leases were first seen.
    facts.apply(Update::Guests(ConnectionId(0), guests), 1_000_000, 0);
    facts
}

fn is_current(lease: &Lease, now: i64) -> bool {
    lease.expiry == 0 || lease.expiry >= now
}

/// With agents and neighbours, a name in the files keeps its leases, in their order. It only gains addresses that are in no
/// file.
#[test]
fn names_in_the_files_keep_their_leases_with_the_daemon() {
    let mut random = Random::from_environment(29);
    let on_disk = Scratch::new();
    let (mut same, mut more, mut names, mut others, mut hidden) = (0, 0, 0, 0, 0);
    let rounds = rounds(300);
    for round in 0..rounds {
        let state = state(&mut random);
        let files = state.directory(&mut random);
        fill(&on_disk, &files);
        let mut read_files = guest_store::Directory::new(on_disk.path());
        let guests = guests(&state, &mut random);
        let facts = facts(guests.clone());
        let mut compiled = snapshot(on_disk.path(), &facts, NOW, NOW);
        let mut no_files = Directory::default();
        for now in [NOW, NOW + 15] {
            if compiled.1.is_some_and(|until| until < now) {
                compiled = snapshot(on_disk.path(), &facts, now, NOW);
            }
            let open = || Some(compiled.0.open(usize::MAX));
            let means = Means::ample(now);
            let is_leased = |address: Address| {
                let mut leases = state.leases.iter();
                leases.any(|lease| lease.address == address && is_current(lease, now))
            };
            for kind in [NameKind::HostName, NameKind::Domain] {
                for wanted in WANTED {
                    for family in [None, Some(Family::V4)] {
                        let name = wanted.as_bytes();
                        let with =
                            by_name(&mut no_files, open(), &means, kind, name, family).unwrap();
                        let without =
                            by_name(&mut read_files, None, &means, kind, name, family).unwrap();
                        if without == Answer::Unknown {
                            others += u64::from(!with.addresses().is_empty());
                            continue;
                        }
                        let (leased, rest): (Vec<_>, Vec<_>) =
                            with.addresses().into_iter().partition(|&address| is_leased(address));
                        // A running guest whose agent reports this host name hides leases that were left behind, as a lease
                        // of a running guest does.
                        let is_attached = |address: Address| {
                            let mut leases = state.leases.iter();
                            leases.any(|lease| {
                                let name = lease.hostname.to_lowercase();
                                let is_named =
                                    !name.is_empty() && wanted.to_lowercase().starts_with(&name);
                                lease.address == address
                                    && is_current(lease, now)
                                    && is_named
                                    && state.is_attached(lease)
                            })
                        };
                        let is_called = |guest: &Guest| {
                            let name = guest.host_name.as_deref();
                            let plain = wanted.strip_suffix('.').unwrap_or(wanted);
                            name.is_some_and(|name| name.eq_ignore_ascii_case(plain))
                        };
                        let without = without.addresses();
                        let left_behind = !without.iter().any(|&address| is_attached(address));
                        let is_hidden = kind == NameKind::HostName
                            && left_behind
                            && guests.iter().any(is_called);
                        // Any other reported address is better than a link-local lease.
                        let is_last_resort = without.iter().any(Address::is_link_local_v6);
                        if is_hidden || is_last_resort && !rest.is_empty() {
                            hidden += 1;
                            continue;
                        }
                        assert_eq!(
                            leased, without,
                            "round {round}, {now}: {kind:?} {wanted} {family:?}: {with:?}\n{files}\n{guests:#?}"
                        );
                        assert!(with.addresses().ends_with(&rest), "round {round}: {with:?}");
                        same += leased.len() as u64;
                        more += rest.len() as u64;
                    }
                }
                for lease in state.leases.iter().take(12) {
                    let with = by_address(&mut no_files, open(), &means, kind, lease.address);
                    let without = by_address(&mut read_files, None, &means, kind, lease.address);
                    if without != Ok(None) {
                        names += 1;
                        let text = address_text(lease.address);
                        assert_eq!(
                            with, without,
                            "round {round}, {now}: {kind:?} {text}\n{files}\n{guests:#?}"
                        );
                    }
                }
            }
        }
    }
    let counts = format!("{same} {more} {names} {others} {hidden}");
    assert!(
        same > 6 * rounds && more > rounds && names > rounds && others > rounds / 6,
        "{counts}"
    );
    assert!(hidden * 5 < same, "{counts}");
}
