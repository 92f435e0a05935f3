//! Whole look-ups over arbitrary state files: by name, by address and all guests, of both sources.
//!
//! - However the files are read (fast or watched, through a large window or a small one, with many places
//!   or few) the answer is the same.
//! - Where all files are JSON it is the one of [`crate::reference`].
//! - Where they are not, every address and every name that is answered stands in them.
//! - Whatever fails or changes under it, a look-up ends, and never panics.

use std::collections::BTreeSet;

use guest_names::address::{Address, Family};
use guest_names::enumerate::Cursor;
use guest_names::forward::{Answer, Failure, Found, NoRoom, Query, Source};
use guest_names::observe::Observer;
use guest_names::ranking::Candidate;
use guest_names::search::{Exhausted, Search};
use guest_names::text::Text;
use guest_names::window::Fault;

use crate::memory::{Directory, Manner};
use crate::oracle;
use crate::reference::Reference;
use crate::scenario::{NOW, Scenario};

const SOURCES: [Source; 2] = [Source::HostName, Source::Domain];
const FAMILIES: [Option<Family>; 3] = [None, Some(Family::V4), Some(Family::V6)];

/// More pairs than this are not asked for: each costs a look-up.
const PAIRS_LIMIT: usize = 16;

/// How the files are read.
#[derive(Clone, Copy, Debug)]
struct Way {
    window: usize,
    places: usize,
    /// How many the answer lends.
    lends: usize,
    watched: bool,
    manner: Manner,
}

/// What the modules do.
const USUAL: Way =
    Way { window: 16 << 10, places: 32, lends: 0, watched: false, manner: Manner::PLAIN };

/// What came of all look-ups of a scenario.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    forward: Vec<Forward>,
    reverse: Vec<Reverse>,
}

/// A look-up by name; `None` for a name that no guest can have.
type Forward = (Source, Option<Family>, Option<Result<Found, Failure>>, Vec<Address>);

/// A look-up by address, and the name.
type Reverse = (Source, Result<Option<Vec<u8>>, Exhausted>);

/// A name and an address of an enumeration.
type Pair = (Vec<u8>, Address);

struct Watcher;

impl Observer for Watcher {}

/// An answer that takes all.
struct Addresses {
    held: Vec<Address>,
    /// How many places it has to lend.
    lends: usize,
    lent: Vec<Candidate>,
}

impl Answer for Addresses {
    fn clear(&mut self) {
        self.held.clear();
        self.lent.clear();
    }

    fn holds(&self, address: Address) -> bool {
        self.held.contains(&address)
    }

    fn add(&mut self, candidate: &Candidate) -> Result<(), NoRoom> {
        self.held.push(candidate.address);
        Ok(())
    }

    fn lend(&mut self, least: usize) {
        let count = if self.lends > least { self.lends } else { 0 };
        self.lent = vec![Candidate::EMPTY; count];
    }

    fn lent(&mut self) -> &mut [Candidate] {
        &mut self.lent
    }
}

/// Runs `body` with a search and its places.
fn search<T>(
    scenario: &Scenario<'_>,
    way: &Way,
    body: impl FnOnce(&mut Search<'_, Directory<'_>>, &mut [Candidate]) -> T,
) -> T {
    let mut dir = Directory::new(&scenario.files, way.manner);
    let mut window = vec![0; way.window];
    let mut places = vec![Candidate::EMPTY; way.places];
    let mut watcher = Watcher;
    let observer = if way.watched { Some(&mut watcher as &mut dyn Observer) } else { None };
    let mut search = Search::new(&mut dir, &mut window, NOW, observer);
    body(&mut search, &mut places)
}

fn outcome(scenario: &Scenario<'_>, way: &Way) -> Outcome {
    let mut outcome = Outcome { forward: Vec::new(), reverse: Vec::new() };
    for source in SOURCES {
        for family in FAMILIES {
            let mut answer = Addresses { held: Vec::new(), lends: way.lends, lent: Vec::new() };
            let found = source.wanted(scenario.name).map(|wanted| {
                let query = Query { source, wanted, family };
                search(scenario, way, |search, places| {
                    search.addresses(&query, places, &mut answer)
                })
            });
            if found.is_some_and(|found| found.is_ok()) {
                assert_eq!(found == Some(Ok(Found::Data)), !answer.held.is_empty());
            }
            outcome.forward.push((source, family, found, answer.held));
        }
        if let Some(address) = scenario.address {
            let mut name = Text::new();
            let found = search(scenario, way, |search, places| {
                search.name_of(source, address, places, &mut name)
            });
            let found = found.map(|found| found.then(|| name.as_bytes().to_vec()));
            outcome.reverse.push((source, found));
        }
    }
    outcome
}

/// All pairs, as far as they are asked for.
fn pairs(scenario: &Scenario<'_>, source: Source, way: &Way) -> Result<Vec<Pair>, Exhausted> {
    let (mut pairs, mut cursor) = (Vec::new(), Cursor::new());
    while pairs.len() < PAIRS_LIMIT {
        let (mut name, mut candidate) = (Text::new(), Candidate::EMPTY);
        let next = search(scenario, way, |search, places| {
            search.next(source, &mut cursor, places, &mut name, &mut candidate)
        })?;
        if !next {
            break;
        }
        pairs.push((name.as_bytes().to_vec(), candidate.address));
    }
    Ok(pairs)
}

/// Runs the target.
///
/// # Panics
/// When something is wrong.
pub fn run(data: &[u8]) {
    let Some(scenario) = Scenario::read(data) else { return };
    let usual = outcome(&scenario, &USUAL);
    let short = Manner { piece: scenario.piece, ..Manner::PLAIN };
    let (window, places) = (scenario.window, scenario.places);
    let smallest = Way { window, places, lends: 0, watched: false, manner: short };
    for way in [
        Way { watched: true, ..USUAL },
        Way { window, ..USUAL },
        Way { places, ..USUAL },
        Way { places, lends: places + 2, ..USUAL },
        Way { manner: short, ..USUAL },
        smallest,
        Way { watched: true, ..smallest },
    ] {
        assert_eq!(outcome(&scenario, &way), usual, "{way:?}");
    }
    let listed = SOURCES.map(|source| {
        let usual = pairs(&scenario, source, &USUAL).expect("nothing runs out in memory");
        let other = pairs(&scenario, source, &Way { watched: true, ..smallest });
        assert_eq!(other.as_ref(), Ok(&usual));
        usual
    });
    match Reference::read(&scenario.files, NOW) {
        Some(reference) => compare(&scenario, &reference, &usual, &listed),
        None => is_in_the_files(&scenario, &usual, &listed),
    }
    mishaps(&scenario);
}

fn compare(
    scenario: &Scenario<'_>,
    reference: &Reference,
    usual: &Outcome,
    listed: &[Vec<Pair>; 2],
) {
    for (source, family, found, addresses) in &usual.forward {
        if let Some(found) = found {
            let (expected, in_order) = reference.addresses(*source, scenario.name, *family);
            assert_eq!((found, addresses), (&Ok(expected), &in_order), "{source:?} {family:?}");
        }
    }
    for (source, name) in &usual.reverse {
        let address = scenario.address.expect("an address was asked for");
        assert_eq!(*name, Ok(reference.name_of(*source, address)), "{source:?} {address:?}");
    }
    for (source, pairs) in SOURCES.iter().zip(listed) {
        let mut expected = reference.pairs(*source);
        if expected.len() < PAIRS_LIMIT {
            let mut pairs = pairs.clone();
            let key = |(name, address): &Pair| (name.clone(), address.octets().to_vec());
            pairs.sort_by_key(key);
            expected.sort_by_key(key);
            assert_eq!(pairs, expected, "{source:?}");
        }
    }
}

/// No address and no name comes from anywhere else.
fn is_in_the_files(scenario: &Scenario<'_>, usual: &Outcome, listed: &[Vec<Pair>; 2]) {
    let texts: Vec<Vec<u8>> =
        scenario.files.iter().map(|(_, contents)| without_escapes(contents)).collect();
    let mut addresses = Vec::new();
    for text in &texts {
        let parts = text.split(|byte| !byte.is_ascii_hexdigit() && !matches!(byte, b'.' | b':'));
        let parts: BTreeSet<&[u8]> = parts.collect();
        addresses.extend(parts.into_iter().filter_map(oracle::address));
    }
    let is_address = |address: &Address| {
        assert!(addresses.contains(address), "{address:?} stands nowhere");
    };
    let is_name = |name: &[u8]| {
        let stands = |text: &Vec<u8>| text.windows(name.len()).any(|part| part == name);
        assert!(!name.is_empty() && texts.iter().any(stands), "\"{}\"", name.escape_ascii());
    };
    usual.forward.iter().for_each(|(.., answer)| answer.iter().for_each(is_address));
    usual.reverse.iter().for_each(|(_, name)| {
        if let Ok(Some(name)) = name {
            is_name(name);
        }
    });
    for (name, address) in listed.iter().flatten() {
        is_name(name);
        is_address(address);
    }
}

/// The bytes with JSON's escapes put in their places, in strings and out of them.
fn without_escapes(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut rest = text;
    while let Some((&byte, behind)) = rest.split_first() {
        let escape_len = match behind {
            _ if byte != b'\\' => 0,
            [b'u', lead @ ..] if lead.starts_with(b"d8") || lead.starts_with(b"D8") => 12,
            [b'u', ..] => 6,
            _ => 2,
        };
        let quoted = rest.get(..escape_len).filter(|_| escape_len > 0);
        let decoded = quoted.and_then(|escape| {
            let quoted = [b"\"", escape, b"\""].concat();
            serde_json::from_slice::<String>(&quoted).ok()
        });
        match decoded {
            Some(decoded) => {
                plain.extend_from_slice(decoded.as_bytes());
                rest = &rest[escape_len..];
            }
            None => {
                plain.push(byte);
                rest = behind;
            }
        }
    }
    plain
}

/// Reading fails somewhere, and files change between two openings.
fn mishaps(scenario: &Scenario<'_>) {
    for fault in [Fault::Unreadable(libc::EIO), Fault::Exhausted] {
        for changing in [false, true] {
            let manner = Manner { fault: Some((scenario.fault, fault)), changing, ..Manner::PLAIN };
            outcome(scenario, &Way { manner, places: scenario.places, ..USUAL });
        }
    }
    let changing = Way { manner: Manner { changing: true, ..Manner::PLAIN }, ..USUAL };
    let few = Way { places: scenario.places, window: scenario.window, ..changing };
    outcome(scenario, &changing);
    outcome(scenario, &few);
    for source in SOURCES {
        // What it lists while the files change is not told; that it ends is.
        let _ = pairs(scenario, source, &few);
    }
}
