//! Runs the fuzz targets on their seeds and on mutations of these. The mutations are the same in each run, so failures
//! can be reproduced anywhere. `TEST_ROUNDS` sets their number per target, `TEST_SEED` their seed.

use std::fs;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use fuzz::TARGETS;
use testkit::random::{Random, rounds, seed};

/// A range in `bytes`, usually a short one.
fn some_part(random: &mut Random, bytes: &[u8]) -> Range<usize> {
    let start = random.below(bytes.len() + 1);
    let longest = if random.one_in(4) { bytes.len() - start } else { 16 };
    start..(start + random.below(longest + 1)).min(bytes.len())
}

/// One mutation of `bytes`.
fn mutate(random: &mut Random, bytes: &mut Vec<u8>, seeds: &[Vec<u8>], tokens: &[Vec<u8>]) {
    match random.below(9) {
        0 if !bytes.is_empty() => {
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
        }
        1 if !bytes.is_empty() => {
            let at = random.below(bytes.len());
            bytes[at] = *random.pick(b"\"\\{}[],:0 \n\xffa=.");
        }
        2 => {
            let part = some_part(random, bytes);
            bytes.drain(part);
        }
        3 => {
            let part = bytes[some_part(random, bytes)].to_vec();
            let at = random.below(bytes.len() + 1);
            bytes.splice(at..at, part);
        }
        4 => {
            let other = random.pick(seeds);
            let part = other[some_part(random, other)].to_vec();
            let over = some_part(random, bytes);
            bytes.splice(over, part);
        }
        5 | 6 => {
            let token = random.pick(tokens).clone();
            let at = random.below(bytes.len() + 1);
            bytes.splice(at..at, token);
        }
        7 => {
            let token = random.pick(tokens).clone();
            let over = some_part(random, bytes);
            bytes.splice(over, token);
        }
        _ => {
            let (end, other) = (random.below(bytes.len() + 1), random.pick(seeds));
            let rest = &other[random.below(other.len() + 1)..];
            bytes.truncate(end);
            bytes.extend_from_slice(rest);
        }
    }
}

/// The tokens of a dictionary in libFuzzer's format.
fn read_tokens(dictionary: &str) -> Vec<Vec<u8>> {
    let lines = dictionary.lines().filter(|line| line.starts_with('"'));
    lines.map(|line| unquote(line).unwrap_or_else(|| panic!("not a token: {line}"))).collect()
}

fn unquote(line: &str) -> Option<Vec<u8>> {
    let mut rest = line.strip_prefix('"')?.strip_suffix('"')?.as_bytes();
    let mut token = Vec::new();
    while let [byte, behind @ ..] = rest {
        (token, rest) = match (byte, behind) {
            (b'\\', [b'x', a, b, behind @ ..]) => {
                let digits = [*a, *b];
                let value = u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?;
                ([token, vec![value]].concat(), behind)
            }
            (b'\\', [byte @ (b'\\' | b'"'), behind @ ..]) => {
                ([token, vec![*byte]].concat(), behind)
            }
            (b'\\', _) => return None,
            _ => ([token, vec![*byte]].concat(), behind),
        };
    }
    Some(token)
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A target's seeds, sorted by name.
fn seeds_of(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name);
    let entries =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> =
        entries.map(|entry| entry.expect("the directory can be listed").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "no seeds in {}", folder.display());
    paths.iter().map(|path| read(path)).collect()
}

/// Runs a target on its seeds and on this many mutations of them.
fn run(name: &str, mutations: u64) {
    let (_, body) = TARGETS.iter().find(|(target, _)| *target == name).expect("it is a target");
    let dictionary = Path::new(env!("CARGO_MANIFEST_DIR")).join("dictionary");
    let tokens =
        read_tokens(&String::from_utf8(read(&dictionary)).expect("the dictionary is text"));
    let seeds = seeds_of(name);
    let check = |input: &[u8]| {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| body(input))) {
            eprintln!("the input of target {name}: b\"{}\"", input.escape_ascii());
            std::panic::resume_unwind(panic);
        }
    };
    seeds.iter().for_each(|seed| check(seed));
    let first = seed(1);
    for round in 0..rounds(mutations) {
        // Each mutation has its own random numbers, so it can be repeated without the others.
        let mut random = Random::new(first.wrapping_mul(0xff51_afd7_ed55_8ccd) ^ round);
        let mut input = random.pick(&seeds).clone();
        for _ in 0..=random.below(8) {
            mutate(&mut random, &mut input, &seeds, &tokens);
        }
        check(&input);
    }
}

#[test]
fn json() {
    run("json", 20_000);
}

#[test]
fn lease() {
    run("lease", 50_000);
}

#[test]
fn macmap() {
    run("macmap", 50_000);
}

#[test]
fn lookup() {
    run("lookup", 5_000);
}

#[test]
fn pack() {
    run("pack", 100_000);
}

#[test]
fn snapshot() {
    run("snapshot", 20_000);
}

/// A target without a test would never run in this suite.
#[test]
fn every_target_has_a_test() {
    let names = TARGETS.map(|(name, _)| name);
    assert_eq!(names, ["json", "lease", "macmap", "lookup", "pack", "snapshot"]);
}
