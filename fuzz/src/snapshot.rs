//! Look-ups with an arbitrary snapshot beside one state file.
//!
//! - However it is read, the answer is the same, and it comes after a bounded number of reads.
//! - Every address that is answered stands in the snapshot or is the file's; every name stands there too.
//! - Where the snapshot is broken the file answers.
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
use guest_names::enumerate::Cursor;
use guest_names::forward::{Answer, Found, NoRoom, Query, Source};
use guest_names::ranking::Candidate;
use guest_names::search::Search;
use guest_names::snapshot::format::{Entry, Meta};
use guest_names::snapshot::{Key, Opened, Standing, Take};
use guest_names::text::Text;
use guest_names::window::{Fault, StateFile};

use crate::memory::{Directory, Manner, NamedFile, Snapshot};

const NOW: i64 = 1_700_000_000;

/// Where the file's length stands in the snapshot.
const LENGTH_AT: usize = Meta::START + 20;

/// More names than this are not asked for.
const PAIRS_LIMIT: usize = 16;

/// What the state file says.
const FILES: [NamedFile<'static>; 2] = [
    (
        b"virbr0.status",
        br#"[{"ip-address": "10.9.9.9", "mac-address": "52:54:00:00:00:09", "hostname": "web"}]"#,
    ),
    (b"virbr0.macs", br#"[{"domain": "web", "macs": ["52:54:00:00:00:09"]}]"#),
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

    fn identity(&mut self) -> u64 {
        1
    }
}

/// The entries under a key, each where it stands.
struct Taken<'t> {
    bytes: &'t [u8],
    count: usize,
}

impl Take for Taken<'_> {
    fn take(&mut self, offset: u32, entry: &Entry<'_>, _: Standing) {
        let there = Entry::parse(&self.bytes[offset as usize..]).expect("an entry stands there");
        assert_eq!(there.0, *entry);
        self.count += 1;
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Addresses(Vec<Address>);

impl Answer for Addresses {
    fn clear(&mut self) {
        self.0.clear();
    }

    fn holds(&self, address: Address) -> bool {
        self.0.contains(&address)
    }

    fn add(&mut self, candidate: &Candidate) -> Result<(), NoRoom> {
        self.0.push(candidate.address);
        Ok(())
    }
}

/// What came of all look-ups.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    forward: Vec<(Found, Addresses)>,
    reverse: Vec<Option<Vec<u8>>>,
    pairs: Vec<Vec<(Vec<u8>, Address)>>,
}

/// What is looked up.
struct Asked<'a> {
    name: &'a [u8],
    address: Option<Address>,
}

fn outcome(
    asked: &Asked<'_>,
    snapshot: Option<Snapshot<'_>>,
    window: usize,
    piece: usize,
) -> Outcome {
    let directory = || {
        let directory = Directory::new(&FILES, Manner { piece, ..Manner::PLAIN });
        match snapshot {
            Some(snapshot) => directory.with(snapshot),
            None => directory,
        }
    };
    let (mut window, mut places) = (vec![0; window], vec![Candidate::EMPTY; 3]);
    let mut outcome = Outcome::default();
    for source in [Source::HostName, Source::Domain] {
        if let Some(wanted) = source.wanted(asked.name) {
            let (mut dir, mut answer) = (directory(), Addresses::default());
            let mut search = Search::new(&mut dir, &mut window, NOW, None);
            let query = Query { source, wanted, family: None };
            let found = search.addresses(&query, &mut places, &mut answer);
            outcome.forward.push((found.expect("nothing runs out in memory"), answer));
        }
        if let Some(address) = asked.address {
            let (mut dir, mut name) = (directory(), Text::new());
            let mut search = Search::new(&mut dir, &mut window, NOW, None);
            let found = search.name_of(source, address, &mut places, &mut name);
            let found = found.expect("nothing runs out in memory");
            outcome.reverse.push(found.then(|| name.as_bytes().to_vec()));
        }
        let (mut pairs, mut cursor) = (Vec::new(), Cursor::new());
        while pairs.len() < PAIRS_LIMIT {
            let (mut dir, mut name, mut candidate) = (directory(), Text::new(), Candidate::EMPTY);
            let mut search = Search::new(&mut dir, &mut window, NOW, None);
            let next = search.next(source, &mut cursor, &mut places, &mut name, &mut candidate);
            if !next.expect("nothing runs out in memory") {
                break;
            }
            pairs.push((name.as_bytes().to_vec(), candidate.address));
        }
        outcome.pairs.push(pairs);
    }
    outcome
}

/// Runs the target.
///
/// # Panics
/// When something is wrong.
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
    let older = control.first() == Some(&b'1');
    let state = meta.and_then(|meta| meta.state).filter(|_| !older);
    let snapshot = Snapshot { bytes: &bytes, modified: NOW, state };

    let usual = outcome(&asked, Some(snapshot), 16 << 10, usize::MAX);
    assert_eq!(outcome(&asked, Some(snapshot), Meta::END, usize::MAX), usual);
    assert_eq!(outcome(&asked, Some(snapshot), 16 << 10, 512), usual);
    let stands = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    for (_, Addresses(addresses)) in &usual.forward {
        assert!(addresses.iter().all(|one| *one == OF_FILES || stands(one.octets())));
    }
    for name in usual.reverse.iter().flatten() {
        assert!(name == b"web" || stands(name));
    }
    if meta.is_none() {
        assert_eq!(usual, outcome(&asked, None, 16 << 10, usize::MAX));
    }

    let keys = [Source::HostName, Source::Domain].into_iter();
    let keys = keys.filter_map(|source| Some(Key::of_name(source, &source.wanted(name)?)));
    for key in keys.chain(address.map(Key::of_address)) {
        let (reads, length) = (Cell::new(0), bytes.len() as u32);
        let file = Counted { bytes: &bytes, reads: &reads };
        let mut opened = Opened { file, modified: NOW, length, state };
        let mut taken = Taken { bytes: &bytes, count: 0 };
        let mut scratch = vec![0; 4096];
        let _ = opened.entries(&key, NOW, &mut scratch, &mut taken);
        // The header, the slots, the records of the same hash, the entries.
        let most = 1 + bytes.len() / 64 + 1 + 72 + taken.count + 1;
        assert!(reads.get() <= most, "{} reads of {} bytes", reads.get(), bytes.len());
    }
}
