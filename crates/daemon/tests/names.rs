//! A look-up in the snapshot gives what a look-up in the state files gives, as far as these know.

#[path = "../../guest-names/tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use daemon::config::{Config, Naming};
use daemon::facts::Facts;
use daemon::host::Host;
use daemon::model::{Agent, ConnectionId, Guest, Nic, Source as ReportedBy, Told, Update};
use daemon::names::{Input, compile};
use daemon::publish::write;
use daemon::state::read::read;
use guest_names::address::{Address, Family, Mac};
use guest_names::forward::{Answer, Found, NoRoom, Query, Source};
use guest_names::ranking::Candidate;
use guest_names::search::Search;
use guest_names::snapshot::format::{Meta, Stamp};
use guest_names::state::{Kind, StateDir};
use guest_names::text::Text;
use guest_names::window::StateFile as _;
use support::model::{self, NOW, State, WANTED, state};
use support::{Directory, Random, Snapshot};

const STAMP: Stamp = Stamp { seconds: 1, nanoseconds: 2, device: 3, inode: 4 };

/// A directory on disk, gone when it goes.
struct OnDisk(PathBuf);

impl OnDisk {
    fn new(name: &str) -> Self {
        let name = format!("libvirt-nssd-names-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// Takes the place of all files.
    fn fill(&self, directory: &mut Directory) {
        for entry in fs::read_dir(&self.0).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        for bridge in 0..3 {
            let bridge =
                guest_names::state::Bridge::new(format!("virbr{bridge}").as_bytes()).unwrap();
            for kind in [Kind::Leases, Kind::Macs] {
                let Ok(mut file) = directory.open(&bridge, kind) else { continue };
                let mut content = vec![0; 1 << 16];
                let length = file.read_at(0, &mut content).unwrap();
                let name = guest_store::file_name(bridge.as_bytes(), kind);
                fs::write(self.0.join(name), &content[..length]).unwrap();
            }
        }
    }
}

impl Drop for OnDisk {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What the daemon makes at `now` of the files and of what libvirt reports, and when it would again.
fn snapshot(path: &Path, facts: &Facts, now: i64, modified: i64) -> (Directory, Option<i64>) {
    let files = read(path).unwrap().files;
    let (host, naming) = (&Host::default(), &Naming::default());
    let mut names = compile(Input { now, files: &files, facts, host, naming }, &mut || ());
    let meta = Meta { state: Some(STAMP), hold: 90, length: 0, compiled: NOW };
    let mut bytes = Cursor::new(Vec::new());
    write(&mut bytes, &mut names, meta, |_| b"{}".to_vec(), &mut || ()).unwrap();
    let mut alone = Directory::default();
    alone.set_snapshot(Some(Snapshot { bytes: bytes.into_inner(), modified, state: Some(STAMP) }));
    (alone, names.until)
}

#[derive(Default)]
struct Answered(Vec<(Address, guest_names::state::Bridge)>);

impl Answer for Answered {
    fn clear(&mut self) {
        self.0.clear();
    }
    fn holds(&self, address: Address) -> bool {
        self.0.iter().any(|&(one, _)| one == address)
    }
    fn add(&mut self, candidate: &Candidate) -> Result<(), NoRoom> {
        self.0.push((candidate.address, candidate.bridge));
        Ok(())
    }
}

type Addressed = (Found, Vec<(Address, guest_names::state::Bridge)>);

fn look_up<S: StateDir>(
    directory: &mut S,
    source: Source,
    wanted: &str,
    family: Option<Family>,
    now: i64,
) -> Addressed {
    let Some(wanted) = source.wanted(wanted.as_bytes()) else {
        return (Found::Unknown, Vec::new());
    };
    let mut window = vec![0; 16 << 10];
    let mut answer = Answered::default();
    let found = Search::new(directory, &mut window, now, None)
        .addresses(&Query { source, wanted, family }, &mut [Candidate::EMPTY; 8], &mut answer)
        .unwrap();
    (found, answer.0)
}

fn reverse<S: StateDir>(
    directory: &mut S,
    source: Source,
    address: Address,
    now: i64,
) -> Option<Vec<u8>> {
    let (mut window, mut name) = (vec![0; 16 << 10], Text::new());
    let found = Search::new(directory, &mut window, now, None)
        .name_of(source, address, &mut [Candidate::EMPTY; 8], &mut name)
        .unwrap();
    found.then(|| name.as_bytes().to_vec())
}

/// The readers' own generator of state directories, and names that are mostly in them.
#[test]
fn a_snapshot_stands_for_the_files() {
    let mut random = Random::new(23);
    let place = OnDisk::new("alone");
    let (mut data, mut none, mut names) = (0, 0, 0);
    for round in 0..300 {
        let state = state(&mut random);
        place.fill(&mut state.directory(&mut random));
        let mut files = guest_store::Directory::new(&place.0, None);
        // With a daemon that lives and with one that doesn't, at once and when some leases have ended.
        let modified = if random.below(2) == 0 { NOW } else { NOW - 1000 };
        let (mut alone, _) = snapshot(&place.0, &Facts::default(), NOW, modified);
        for now in [NOW, NOW + 15] {
            for source in [Source::HostName, Source::Domain] {
                for wanted in WANTED {
                    for family in [None, Some(Family::V4)] {
                        let told = look_up(&mut alone, source, wanted, family, now);
                        let read = look_up(&mut files, source, wanted, family, now);
                        assert_eq!(
                            told,
                            read,
                            "round {round}, {now}: {source:?} {wanted} {family:?}\n{}",
                            state.directory(&mut random)
                        );
                        match told.0 {
                            Found::Data => data += 1,
                            Found::NoData => none += 1,
                            Found::Unknown => {}
                        }
                    }
                }
                for lease in &state.leases {
                    let told = reverse(&mut alone, source, lease.address, now);
                    let read = reverse(&mut files, source, lease.address, now);
                    assert_eq!(
                        told,
                        read,
                        "round {round}, {now}: {source:?} {:?}\n{}",
                        lease.address,
                        state.directory(&mut random)
                    );
                    names += u32::from(told.is_some());
                }
            }
        }
    }
    assert!(data > 1_000 && none > 100 && names > 500, "{data} {none} {names}");
}

/// An address that no state file has.
fn unleased(random: &mut Random) -> IpAddr {
    IpAddr::from([10, 9, 0, random.below(4) as u8])
}

/// libvirt's guests of a state directory: all that its MAC maps have, with agents that tell the truth about
/// their leases and have more to tell, and with neighbours.
fn guests(state: &State, random: &mut Random) -> Vec<Guest> {
    let mut guests: BTreeMap<&str, Vec<(usize, Mac)>> = BTreeMap::new();
    for guest in &state.guests {
        let nics = guest.macs.iter().map(|&mac| (guest.bridge, mac));
        guests.entry(&guest.name).or_default().extend(nics);
    }
    let mut guest = |number: u8, name: &str, nics: Vec<(usize, Mac)>| {
        let answers = random.below(2) == 0;
        let nics = nics.into_iter().map(|(bridge, mac)| {
            let told = |address, source| Told { address, source, expiry: 0 };
            let own = state.leases.iter().filter(|lease| {
                lease.bridge == bridge && lease.mac == Some(mac) && model::holds(lease)
            });
            let own = own.map(|lease| model::text_of(lease.address).parse().unwrap());
            let mut addresses: Vec<Told> =
                own.filter(|_| answers).map(|address| told(address, ReportedBy::Agent)).collect();
            let source = if answers { ReportedBy::Agent } else { ReportedBy::Neighbour };
            let more = (0..random.below(3)).map(|_| told(unleased(random), source));
            addresses.extend(more);
            Nic { mac, network: None, bridge: Some(format!("virbr{bridge}")), addresses }
        });
        let nics = nics.collect();
        let host_name = (*random.pick(&["web", "Web", "db", "node", "inside"])).to_owned();
        Guest {
            uuid: [number; 16],
            name: name.into(),
            title: None,
            host_name: Some(host_name).filter(|_| answers),
            agent: if answers { Agent::Answered } else { Agent::Silent },
            nics,
        }
    };
    (0..).zip(guests).map(|(number, (name, nics))| guest(number, name, nics)).collect()
}

fn facts(guests: Vec<Guest>) -> Facts {
    let connections = Config::default().connections;
    let mut facts = Facts::new(&connections, Facts::default(), 0, 0);
    // Long after the leases were first met.
    facts.apply(Update::Guests(ConnectionId(0), guests), 1_000_000, 0);
    facts
}

/// With agents and neighbours: a name that the files have keeps its leases, in their order, and gets besides
/// only what no file knows.
#[test]
fn what_the_files_know_is_the_same_with_the_daemon() {
    let mut random = Random::new(29);
    let place = OnDisk::new("agents");
    let (mut same, mut more, mut names, mut others, mut hidden) = (0, 0, 0, 0, 0);
    for round in 0..300 {
        let state = state(&mut random);
        place.fill(&mut state.directory(&mut random));
        let mut files = guest_store::Directory::new(&place.0, None);
        let guests = guests(&state, &mut random);
        let facts = facts(guests.clone());
        let (mut alone, until) = snapshot(&place.0, &facts, NOW, NOW);
        for now in [NOW, NOW + 15] {
            if until.is_some_and(|until| until < now) {
                (alone, _) = snapshot(&place.0, &facts, now, NOW);
            }
            let is_leased = |address: Address| {
                let current = |expiry: i64| expiry == 0 || expiry >= now;
                let mut leases = state.leases.iter();
                leases.any(|lease| lease.address == address && lease.expiry.is_none_or(current))
            };
            for source in [Source::HostName, Source::Domain] {
                for wanted in WANTED {
                    for family in [None, Some(Family::V4)] {
                        let with = look_up(&mut alone, source, wanted, family, now);
                        let without = look_up(&mut files, source, wanted, family, now);
                        if without.0 == Found::Unknown {
                            others += u32::from(with.0 == Found::Data);
                            continue;
                        }
                        let (leased, rest): (Vec<_>, Vec<_>) =
                            with.1.iter().copied().partition(|(address, _)| is_leased(*address));
                        let context = || {
                            let directory = state.directory(&mut Random::new(1));
                            format!(
                                "round {round}, {now}: {source:?} {wanted} {family:?}: {with:?}\n{directory}\n{guests:#?}"
                            )
                        };
                        // A running guest whose agent calls it so hides leases that were left behind, as the lease
                        // of a running guest does.
                        let is_attached = |address: Address| {
                            let mut leases = state.leases.iter();
                            leases.any(|lease| {
                                lease.address == address
                                    && state.answers(source, lease, wanted).is_some()
                                    && state.is_attached(lease)
                            })
                        };
                        let is_called = |guest: &Guest| {
                            let name = guest.host_name.as_deref();
                            name.is_some_and(|name| name.eq_ignore_ascii_case(wanted))
                        };
                        let left_behind =
                            !without.1.iter().any(|&(address, _)| is_attached(address));
                        if source == Source::HostName && left_behind && guests.iter().any(is_called)
                        {
                            hidden += 1;
                            continue;
                        }
                        assert_eq!(leased, without.1, "{}", context());
                        same += leased.len();
                        more += rest.len();
                    }
                }
                for lease in &state.leases {
                    let with = reverse(&mut alone, source, lease.address, now);
                    let without = reverse(&mut files, source, lease.address, now);
                    if without.is_some() {
                        names += 1;
                        assert_eq!(with, without, "round {round}, {now}: {:?}", lease.address);
                    }
                }
            }
        }
    }
    let counts = format!("{same} {more} {names} {others} {hidden}");
    assert!(same > 2_000 && more > 500 && names > 500 && others > 50, "{counts}");
    assert!(hidden * 10 < same, "{counts}");
}
