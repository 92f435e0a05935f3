//! Look-ups with an arbitrary snapshot beside one state file.
//!
//! - However the snapshot is read, the answer is the same, and takes a bounded number of reads.
//! - Every address and every name in the answer is in the snapshot or in the file.
//! - If the snapshot is damaged, the file answers.
//!
//! The input:
//! ```text
//! web                   the name that is looked up
//! 10.0.0.1              the address that is looked up
//! 00                    1: the snapshot is older than the file; 1: its length is left as it says
//! the snapshot's bytes
//! ```

use std::cell::Cell;
use std::net::IpAddr;

use guest_names::address::Address;
use guest_names::io::{Fault, Stamp, StateFile};
use guest_names::name::NameKind;
use guest_names::snapshot::format::{Entry, Meta};
use guest_names::snapshot::{Key, Opened};
use guest_names::window::LARGE_BUFFER;
use testkit::look_up::{Answer, Means, NameAndAddress, by_address, by_name, list};
use testkit::memory::{Directory, Snapshot};

use crate::scenario::NOW;

const KINDS: [NameKind; 2] = [NameKind::HostName, NameKind::Domain];

/// The offset of the file's length in the snapshot.
const LENGTH_AT: usize = Meta::START + 20;

/// The size of the smallest buffer that a snapshot can be read with.
const LEAST_BUFFER: usize = 4096;

/// The contents of the state files.
const FILES: [(&str, &str); 2] = [
    (
        "virbr0.status",
        r#"[{"ip-address": "10.9.9.9", "mac-address": "52:54:00:00:00:09", "hostname": "web"}]"#,
    ),
    ("virbr0.macs", r#"[{"domain": "web", "macs": ["52:54:00:00:00:09"]}]"#),
];
const OF_FILES: Address = Address::V4([10, 9, 9, 9]);

/// A file that counts how often it is read.
struct Counted<'c> {
    bytes: &'c [u8],
    reads: &'c Cell<usize>,
}

impl StateFile for Counted<'_> {
    fn read_at(&mut self, offset: u32, room: &mut [u8]) -> Result<usize, Fault> {
        self.reads.set(self.reads.get() + 1);
        let rest = self.bytes.get(offset as usize..).unwrap_or(&[]);
        let len = rest.len().min(room.len());
        room[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn size(&mut self) -> u64 {
        self.bytes.len() as u64
    }
}

/// The results of all look-ups.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    names: Vec<Answer>,
    addresses: Vec<Option<Vec<u8>>>,
    lists: Vec<Vec<NameAndAddress>>,
}

/// The names and the address to look up.
struct Asked<'a> {
    name: &'a [u8],
    address: Option<Address>,
}

fn outcome(
    asked: &Asked<'_>,
    snapshot: Option<&Snapshot>,
    means: &Means<'_>,
    piece: usize,
) -> Outcome {
    let mut directory = Directory::new(&FILES);
    let open = || snapshot.map(|snapshot| snapshot.open(piece));
    let mut outcome = Outcome::default();
    for kind in KINDS {
        let answer = by_name(&mut directory, open(), means, kind, asked.name, None);
        outcome.names.push(answer.expect("memory is ample"));
        if let Some(address) = asked.address {
            let name = by_address(&mut directory, open(), means, kind, address);
            outcome.addresses.push(name.expect("memory is ample"));
        }
        let pairs = list(&mut directory, open(), means, kind);
        outcome.lists.push(pairs.expect("memory is ample"));
    }
    outcome
}

/// Runs the target.
///
/// # Panics
/// If something is wrong.
pub fn run(data: &[u8]) {
    let mut parts = data.splitn(4, |&byte| byte == b'\n');
    let mut part = || parts.next();
    let (Some(name), Some(address), Some(control), Some(bytes)) = (part(), part(), part(), part())
    else {
        return;
    };
    let address: Option<IpAddr> =
        std::str::from_utf8(address).ok().and_then(|text| text.parse().ok());
    let address = address.map(|address| match address {
        IpAddr::V4(address) => Address::V4(address.octets()),
        IpAddr::V6(address) => Address::V6(address.octets()),
    });
    let asked = Asked { name, address };
    let mut bytes = bytes.to_vec();
    if control.get(1) != Some(&b'1') {
        let length = (bytes.len() as u32).to_le_bytes();
        if let Some(place) = bytes.get_mut(LENGTH_AT..LENGTH_AT + 4) {
            place.copy_from_slice(&length);
        }
    }
    let meta = bytes.get(Meta::START..).and_then(Meta::parse);
    let meta = meta.filter(|meta| meta.length as usize == bytes.len());
    let is_older = control.first() == Some(&b'1');
    let state = meta.and_then(|meta| meta.state).filter(|_| !is_older);
    let snapshot = Snapshot { bytes: bytes.as_slice().into(), modified: NOW, state };

    let ample = Means::ample(NOW);
    let little = Means { buffer: LEAST_BUFFER, places: 0, watched: true, ..ample };
    let usual = outcome(&asked, Some(&snapshot), &ample, usize::MAX);
    assert_eq!(outcome(&asked, Some(&snapshot), &little, usize::MAX), usual);
    assert_eq!(outcome(&asked, Some(&snapshot), &ample, 512), usual);
    let has = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    for address in usual.names.iter().flat_map(Answer::addresses) {
        assert!(address == OF_FILES || has(address.octets()), "{address:?}");
    }
    for name in usual.addresses.iter().flatten() {
        assert!(name == b"web" || has(name), "{}", name.escape_ascii());
    }
    for (name, address) in usual.lists.iter().flatten() {
        assert!(name == b"web" || has(name), "{}", name.escape_ascii());
        let has_address = match address {
            IpAddr::V4(address) => {
                Address::V4(address.octets()) == OF_FILES || has(&address.octets())
            }
            IpAddr::V6(address) => has(&address.octets()),
        };
        assert!(has_address, "{address}");
    }
    if meta.is_none() {
        assert_eq!(usual, outcome(&asked, None, &ample, usize::MAX));
    }

    let keys = KINDS.into_iter();
    let keys = keys.filter_map(|kind| Some(Key::of_name(kind, &kind.wanted(name)?)));
    keys.chain(address.map(Key::of_address)).for_each(|key| count_reads(&bytes, state, &key));
}

/// Reads the entries of a key one after the other: each must be where the index says, and there must be no more reads
/// than the file gives reason for.
fn count_reads(bytes: &[u8], state: Option<Stamp>, key: &Key) {
    let (reads, length) = (Cell::new(0), bytes.len() as u32);
    let file = Counted { bytes, reads: &reads };
    let mut opened = Opened { file, modified: NOW, length, state };
    let mut buffer = vec![0; LARGE_BUFFER];
    let mut count = 0;
    if let Ok(mut entries) = opened.find(key, NOW, &mut buffer) {
        while let Ok(Some((offset, entry))) = entries.next_entry() {
            let there = Entry::parse(&bytes[offset as usize..]).expect("an entry can be read");
            assert_eq!(there.0, entry);
            count += 1;
        }
    }
    // The header, the slots, a head and a key for each record of the same hash, the entries.
    let most = 2 + bytes.len() / 4 + count;
    assert!(reads.get() <= most, "{} reads of {} bytes", reads.get(), bytes.len());
}
