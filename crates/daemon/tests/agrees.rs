//! What is compiled of state files gives what look-ups find in the files themselves.

#[path = "../../guest-names/tests/support/mod.rs"]
mod support;

use std::fs;
use std::path::Path;

use daemon::facts::Facts;
use daemon::names::{Input, compile};
use daemon::publish::{NAME, Publisher};
use daemon::state::read;
use guest_names::address::{Address, Family};
use guest_names::forward::{Found, Source};
use guest_names::ranking::Candidate;
use guest_names::search::Search;
use guest_names::snapshot::format::{Meta, Stamp};
use guest_names::text::Text;
use support::model::{NOW, WANTED, look_up, state, text_of};
use support::{Directory, Random, Snapshot};

const STAMP: Stamp = Stamp { seconds: 17, nanoseconds: 18, device: 19, inode: 20 };
const WINDOW: usize = 4096;

/// The name of an address.
fn reverse(directory: &mut Directory, source: Source, address: Address) -> Option<String> {
    let mut window = vec![0; WINDOW];
    let mut name = Text::new();
    let mut search = Search::new(directory, &mut window, NOW, None);
    let found = search.name_of(source, address, &mut [Candidate::EMPTY; 3], &mut name).unwrap();
    found.then(|| String::from_utf8(name.as_bytes().to_vec()).unwrap())
}

/// Writes the files into `place` and gives what the daemon makes of them.
fn compiled(files: &Directory, place: &Path) -> Snapshot {
    for (name, contents) in files.files() {
        fs::write(place.join(name), contents).unwrap();
    }
    let reading = read::read(place).unwrap();
    assert!(reading.unread.is_empty(), "{:?}", reading.unread);
    let facts = Facts::default();
    let mut names = compile(Input { now: NOW, files: &reading.files, facts: &facts });
    let meta = Meta { state: Some(STAMP), hold: 90, length: 0, compiled: NOW };
    let mut publisher = Publisher::new(place);
    publisher.publish(&mut names, meta, |_| Vec::new()).unwrap();
    let bytes = fs::read(place.join(NAME)).unwrap();
    Snapshot { bytes, modified: NOW, state: Some(STAMP) }
}

/// Names and addresses come out of the snapshot alone as they come out of the files.
#[test]
fn the_snapshot_gives_what_the_files_give() {
    let place = std::env::temp_dir().join(format!("libvirt-nssd-agrees-{}", std::process::id()));
    let mut random = Random::new(41);
    let (mut data, mut names) = (0, 0);
    for _ in 0..1_500 {
        fs::create_dir(&place).unwrap();
        let state = state(&mut random);
        let mut files = state.directory(&mut random);
        let mut alone = Directory::default();
        alone.set_snapshot(Some(compiled(&files, &place)));
        fs::remove_dir_all(&place).unwrap();
        for wanted in WANTED {
            for source in [Source::HostName, Source::Domain] {
                for family in [None, Some(Family::V4), Some(Family::V6)] {
                    let expected = look_up(&mut files, WINDOW, 24, source, wanted, family);
                    let found = look_up(&mut alone, WINDOW, 24, source, wanted, family);
                    // The order of leases that end together is that of the directory's listing.
                    let set = |(found, mut addresses): (Found, Vec<Address>)| {
                        addresses.sort_by_key(|address| address.padded());
                        (found, addresses)
                    };
                    data += u32::from(found.0 == Found::Data);
                    assert_eq!(set(found), set(expected), "{source:?} {wanted:?}\n{files}");
                }
            }
        }
        for lease in &state.leases {
            for source in [Source::HostName, Source::Domain] {
                let expected = reverse(&mut files, source, lease.address);
                let found = reverse(&mut alone, source, lease.address);
                // Which of several files comes first is the listing's to say.
                let several =
                    state.leases.iter().filter(|one| one.address == lease.address).count();
                if several == 1 {
                    assert_eq!(found, expected, "{source:?} {}\n{files}", text_of(lease.address));
                }
                assert_eq!(found.is_some(), expected.is_some(), "{source:?}\n{files}");
                names += u32::from(found.is_some());
            }
        }
    }
    assert!(data > 1_000 && names > 1_000, "hardly an answer: {data}, {names}");
}
