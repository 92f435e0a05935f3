//! Whole look-ups over arbitrary state files: by name, by address, and of all guests, for both kinds of names.
//!
//! - However the files are read (fast or observed, through a large buffer or a small one, with room for many
//!   candidates or for none), the answer is the same.
//! - If all files are valid JSON, the answer is that of [`testkit::reference`].
//! - Otherwise, every address and every name in the answer is in the files.
//! - Whatever fails or changes meanwhile, a look-up ends and never panics. Out of descriptors or memory, it gives
//!   no answer rather than a wrong one.

use std::collections::BTreeSet;
use std::net::IpAddr;

use guest_names::address::{Address, Family};
use guest_names::io::{Exhausted, Fault};
use guest_names::name::NameKind;
use testkit::generate::NODE;
use testkit::look_up::{Answer, Means, NameAndAddress, by_address, by_name, ip, list};
use testkit::memory::{Directory, Manner};
use testkit::reference::{Reference, listed_name};

use crate::oracle;
use crate::scenario::{NOW, Scenario};
use crate::state;

const KINDS: [NameKind; 2] = [NameKind::HostName, NameKind::Domain];
const FAMILIES: [Option<Family>; 3] = [None, Some(Family::V4), Some(Family::V6)];

/// How the files are read.
#[derive(Clone, Copy, Debug)]
struct Way {
    means: Means<'static>,
    manner: Manner,
}

/// As the modules read them.
const USUAL: Way = Way { means: Means::ample(NOW), manner: Manner::PLAIN };

/// A name, if there is one.
type Name = Option<Vec<u8>>;

/// The results of all look-ups of a scenario.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    names: Vec<(NameKind, Option<Family>, Result<Answer, Exhausted>)>,
    addresses: Vec<(NameKind, Result<Name, Exhausted>)>,
    lists: Vec<(NameKind, Result<Vec<NameAndAddress>, Exhausted>)>,
}

fn outcome(scenario: &Scenario<'_>, files: &Directory, way: &Way) -> Outcome {
    let Way { means, manner } = way;
    let (mut names, mut addresses, mut lists) = (Vec::new(), Vec::new(), Vec::new());
    for kind in KINDS {
        for family in FAMILIES {
            let mut directory = files.with(*manner);
            let answer = by_name(&mut directory, None, means, kind, scenario.name, family);
            names.push((kind, family, answer));
        }
        if let Some(address) = scenario.address {
            let mut directory = files.with(*manner);
            addresses.push((kind, by_address(&mut directory, None, means, kind, address)));
        }
        lists.push((kind, list(&mut files.with(*manner), None, means, kind)));
    }
    Outcome { names, addresses, lists }
}

/// Runs the target.
///
/// # Panics
/// If something is wrong.
pub fn run(data: &[u8]) {
    let Some(scenario) = Scenario::read(data) else { return };
    let files = scenario.directory();
    let usual = outcome(&scenario, &files, &USUAL);
    let (buffer, places) = (scenario.buffer, scenario.places);
    let short = Manner { piece: scenario.piece, ..Manner::PLAIN };
    let smallest = Way { means: Means { buffer, places, ..USUAL.means }, manner: short };
    let watched = |way: Way| Way { means: Means { watched: true, ..way.means }, ..way };
    for way in [
        watched(USUAL),
        Way { means: Means { buffer, ..USUAL.means }, ..USUAL },
        Way { means: Means { places, ..USUAL.means }, ..USUAL },
        Way { manner: short, ..USUAL },
        smallest,
        watched(smallest),
    ] {
        assert_eq!(outcome(&scenario, &files, &way), usual, "{way:?}");
    }
    match state::read(&scenario.files) {
        Some(state) => {
            let reference = Reference { state: &state, node: NODE, now: NOW };
            compare(&scenario, &reference, &usual);
        }
        None => is_in_the_files(&scenario, &usual),
    }
    mishaps(&scenario, &files, &usual);
}

fn compare(scenario: &Scenario<'_>, reference: &Reference<'_>, usual: &Outcome) {
    for (kind, family, answer) in &usual.names {
        let expected = reference.by_name(*kind, scenario.name, *family, family.is_none());
        assert_eq!(answer, &Ok(expected), "{kind:?} {family:?}");
    }
    for (kind, name) in &usual.addresses {
        let address = scenario.address.expect("an address was looked up");
        assert_eq!(*name, Ok(reference.by_address(*kind, address)), "{kind:?} {address:?}");
    }
    for (kind, pairs) in &usual.lists {
        let pairs = pairs.as_ref().expect("memory is ample");
        let set: BTreeSet<NameAndAddress> =
            pairs.iter().map(|(name, address)| (listed_name(*kind, name), *address)).collect();
        assert_eq!(set.len(), pairs.len(), "a pair was returned twice: {pairs:?}");
        assert_eq!(set, reference.list(*kind), "{kind:?}");
    }
}

/// Every address and name in the answers is in the files.
fn is_in_the_files(scenario: &Scenario<'_>, usual: &Outcome) {
    let texts: Vec<Vec<u8>> =
        scenario.files.iter().map(|(_, contents)| without_escapes(contents)).collect();
    let mut addresses: BTreeSet<IpAddr> = BTreeSet::new();
    for text in &texts {
        let parts = text.split(|byte| !byte.is_ascii_hexdigit() && !matches!(byte, b'.' | b':'));
        let parts: BTreeSet<&[u8]> = parts.collect();
        addresses.extend(parts.into_iter().filter_map(oracle::address).map(ip));
    }
    let check_address = |address: IpAddr| {
        assert!(addresses.contains(&address), "{address} is in no file");
    };
    let check_name = |name: &[u8]| {
        let has_name = |text: &Vec<u8>| text.windows(name.len()).any(|part| part == name);
        assert!(!name.is_empty() && texts.iter().any(has_name), "\"{}\"", name.escape_ascii());
    };
    let answers = usual.names.iter().filter_map(|(.., answer)| answer.as_ref().ok());
    answers.flat_map(Answer::addresses).for_each(|address: Address| check_address(ip(address)));
    let names = usual.addresses.iter().filter_map(|(_, name)| name.as_ref().ok()?.as_ref());
    names.for_each(|name| check_name(name));
    for (name, address) in usual.lists.iter().filter_map(|(_, list)| list.as_ref().ok()).flatten() {
        check_name(name);
        check_address(*address);
    }
}

/// The bytes with JSON's escapes decoded, inside strings and outside.
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

/// Look-ups during which something fails, files change between two openings, or memory runs out.
fn mishaps(scenario: &Scenario<'_>, files: &Directory, usual: &Outcome) {
    let few = Means { buffer: scenario.buffer, places: scenario.places, ..USUAL.means };
    for changing in [false, true] {
        let failing = |fault| {
            let manner = Manner { fault: Some((scenario.fault, fault)), changing, ..Manner::PLAIN };
            outcome(scenario, files, &Way { means: few, manner })
        };
        failing(Fault::Unreadable(libc::EIO));
        let exhausted = failing(Fault::Exhausted);
        if !changing {
            is_usual_or_exhausted(&exhausted, usual);
        }
        let manner = Manner { changing, ..Manner::PLAIN };
        outcome(scenario, files, &Way { means: few, manner });
    }
    for slices in 0..3 {
        let way = Way { means: Means { slices, ..few }, ..USUAL };
        is_usual_or_exhausted(&outcome(scenario, files, &way), usual);
    }
}

fn is_usual_or_exhausted(outcome: &Outcome, usual: &Outcome) {
    for (one, other) in outcome.names.iter().zip(&usual.names) {
        assert!(one == other || one.2.is_err(), "{one:?} {other:?}");
    }
    for (one, other) in outcome.addresses.iter().zip(&usual.addresses) {
        assert!(one == other || one.1.is_err(), "{one:?} {other:?}");
    }
    for (one, other) in outcome.lists.iter().zip(&usual.lists) {
        assert!(one == other || one.1.is_err(), "{one:?} {other:?}");
    }
}
