//! The same calls to libvirt's own helper and to ours: same exit status, same list to the byte, same output of
//! `init`.

use std::path::Path;
use std::process::Output;
use std::thread;

use crate::generate::{Random, Taste, call, call_with_duid, foreign_list, list_without_duids};
use crate::world::{Call, OURS, World, stock};

const STOCK_BRIDGE: &str = "stock0";
const OUR_BRIDGE: &str = "ours0";

/// How many sequences, unless `LEASESHELPER_SEQUENCES` says otherwise. A call of libvirt's helper takes 12 to
/// 20 ms.
const SEQUENCES: usize = 2000;
/// Each has a world and a random state of its own, so a seed means the same on every machine.
const SHARDS: usize = 4;

#[test]
fn generated_sequences() {
    let Some(stock) = stock() else { return };
    let number = |name: &str, default| match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")),
        Err(_) => default,
    };
    let seed = number("LEASESHELPER_SEED", 1);
    let sequences = number("LEASESHELPER_SEQUENCES", SEQUENCES as u64) as usize;
    let calls: usize = thread::scope(|scope| {
        let shards: Vec<_> = (0..SHARDS)
            .map(|i| {
                let stock = &stock;
                let share = sequences / SHARDS + usize::from(i < sequences % SHARDS);
                scope.spawn(move || shard(stock, seed ^ (i as u64) << 32, share))
            })
            .collect();
        shards.into_iter().map(|shard| shard.join().expect("no difference")).sum()
    });
    eprintln!("{sequences} sequences, {calls} calls, seed {seed}");
}

/// Runs so many sequences. Each begins with no list, or with one that an earlier sequence led to, or one that
/// another program could have written.
fn shard(stock: &Path, seed: u64, sequences: usize) -> usize {
    let Some(world) = World::new() else { return 0 };
    let mut random = Random::new(seed);
    let mut reached: Vec<(bool, Vec<u8>, Vec<u8>)> = Vec::new();
    let mut calls = 0;
    for number in 0..sequences {
        let mut first = None;
        let mut taste = Taste { nasty: random.one_in(8) };
        let start = match random.below(10) {
            0 => None,
            1 => Some(random.pick(&["", "[]\n", "[\n\n]\n", " \n"]).into()),
            2 => {
                first = Some(call_with_duid(&mut random, taste));
                Some(list_without_duids(&mut random).into_bytes())
            }
            3 => {
                taste.nasty = true;
                Some(foreign_list(&mut random).into_bytes())
            }
            _ => None,
        };
        let (stocks, ours) = match start {
            Some(start) => (Some(start.clone()), Some(start)),
            None if reached.is_empty() || random.one_in(8) => (None, None),
            None => {
                let (nasty, stocks, ours) = &reached[random.below(reached.len())];
                taste.nasty |= nasty;
                (Some(stocks.clone()), Some(ours.clone()))
            }
        };
        set(&world, STOCK_BRIDGE, stocks.as_deref());
        set(&world, OUR_BRIDGE, ours.as_deref());
        let mut before = ours;
        for step in 0..1 + random.below(3) {
            let call = first.take().unwrap_or_else(|| call(&mut random, taste));
            calls += 1;
            let story = || {
                let list = before.as_deref().unwrap_or_default().escape_ascii().to_string();
                format!("seed {seed}, sequence {number}, step {step}: {call}\nbefore: {list}")
            };
            both(&world, stock, &call, &story);
            before = world.list(OUR_BRIDGE);
        }
        if let (Some(stocks), Some(ours)) = (world.list(STOCK_BRIDGE), before) {
            let place = random.below(24);
            if place < reached.len() {
                reached[place] = (taste.nasty, stocks, ours);
            } else {
                reached.push((taste.nasty, stocks, ours));
            }
        }
    }
    calls
}

fn set(world: &World, bridge: &str, list: Option<&[u8]>) {
    match list {
        Some(bytes) => world.write_list(bridge, bytes),
        None => {
            let _ = std::fs::remove_file(world.path(format!("{bridge}.status")));
        }
    }
}

/// Makes one call of each helper and compares.
fn both(world: &World, stock: &Path, call: &Call, story: &dyn Fn() -> String) -> (Output, Output) {
    let on = |bridge: &str| {
        let mut call = call.clone();
        for (name, value) in &mut call.variables {
            if ["DNSMASQ_INTERFACE", "VIR_BRIDGE_NAME"].contains(name) && value == b"BRIDGE" {
                *value = bridge.into();
            }
        }
        call
    };
    let theirs = on(STOCK_BRIDGE).run(stock);
    let ours = on(OUR_BRIDGE).run(OURS);
    assert_eq!(
        theirs.status.code(),
        ours.status.code(),
        "exit status\n{}\n{theirs:?}\n{ours:?}",
        story()
    );
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
    if call.arguments.first().is_some_and(|action| action == b"init") {
        assert_eq!(text(&theirs.stdout), text(&ours.stdout), "stdout\n{}", story());
    }
    let mut expected = world.list(STOCK_BRIDGE);
    let mut found = world.list(OUR_BRIDGE);
    if !ours.status.success() {
        // libvirt's helper has made the file by then.
        expected = expected.filter(|list| !list.is_empty());
        found = found.filter(|list| !list.is_empty());
    }
    let found = found.as_deref().map(without_domains);
    let show = |list: Option<&[u8]>| list.map(text);
    assert_eq!(show(expected.as_deref()), show(found.as_deref()), "the list\n{}", story());
    let mode = |bridge: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        let path = world.path(format!("{bridge}.status"));
        path.metadata().map(|metadata| metadata.permissions().mode()).ok()
    };
    if ours.status.success() {
        assert_eq!(mode(STOCK_BRIDGE), mode(OUR_BRIDGE), "permissions\n{}", story());
    }
    (theirs, ours)
}

/// The list without the one key that libvirt's helper does not keep.
fn without_domains(list: &[u8]) -> Vec<u8> {
    list.split_inclusive(|byte| *byte == b'\n')
        .filter(|line| !line.starts_with(b"    \"domain\": "))
        .flatten()
        .copied()
        .collect()
}
