//! The snapshot of state files alone: a look-up in it gives what a look-up in the files gives.

#[path = "../../guest-names/tests/support/mod.rs"]
mod support;

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use daemon::facts::Facts;
use daemon::names::{Input, compile};
use daemon::publish::write;
use daemon::state::read::read;
use guest_names::address::{Address, Family};
use guest_names::forward::{Answer, Found, NoRoom, Query, Source};
use guest_names::ranking::Candidate;
use guest_names::search::Search;
use guest_names::snapshot::format::{Meta, Stamp};
use guest_names::state::{Kind, StateDir};
use guest_names::text::Text;
use guest_names::window::StateFile as _;
use support::model::{NOW, WANTED, state};
use support::{Directory, Random, Snapshot};

const STAMP: Stamp = Stamp { seconds: 1, nanoseconds: 2, device: 3, inode: 4 };

/// A directory on disk, gone when it goes.
struct OnDisk(PathBuf);

impl OnDisk {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("libvirt-nssd-names-{}", std::process::id()));
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

/// What the daemon makes of the files.
fn snapshot(path: &Path, modified: i64) -> Directory {
    let files = read(path).unwrap().files;
    let mut names = compile(Input { now: NOW, files: &files, facts: &Facts::default() });
    let meta = Meta { state: Some(STAMP), hold: 90, length: 0, compiled: NOW };
    let mut bytes = Cursor::new(Vec::new());
    write(&mut bytes, &mut names, meta, |_| b"{}".to_vec()).unwrap();
    let mut alone = Directory::default();
    alone.set_snapshot(Some(Snapshot { bytes: bytes.into_inner(), modified, state: Some(STAMP) }));
    alone
}

#[derive(Default)]
struct Addresses(Vec<(Address, guest_names::state::Bridge)>);

impl Answer for Addresses {
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
    let mut answer = Addresses::default();
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
    let place = OnDisk::new();
    let (mut data, mut none, mut names) = (0, 0, 0);
    for round in 0..700 {
        let state = state(&mut random);
        place.fill(&mut state.directory(&mut random));
        let mut files = guest_store::Directory::new(&place.0, None);
        // With a daemon that lives and with one that doesn't, at once and when some leases have ended.
        let modified = if random.below(2) == 0 { NOW } else { NOW - 1000 };
        let mut alone = snapshot(&place.0, modified);
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
    assert!(data > 1000 && none > 250 && names > 1000, "{data} {none} {names}");
}
