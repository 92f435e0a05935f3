//! Makes the same calls to libvirt's helper and to ours, and compares exit status, list, and output of `init`. The
//! lists must be identical to the byte if yajl wrote libvirt's and all of it is ASCII without records of other
//! programs; otherwise their values must be the same.

use std::thread;

use crate::generate::{
    Random, Taste, call, call_with_duid, foreign_list, list_without_duids, rounds, seed,
};
use crate::world::{Call, OURS, Stock, World};

const STOCK_BRIDGE: &str = "stock0";
const OUR_BRIDGE: &str = "ours0";

/// Each thread has a world and random numbers of its own, so a seed means the same on every machine.
const SHARDS: usize = 2;

#[test]
fn generated_sequences() {
    let Some(stock) = Stock::find() else { return };
    let (seed, sequences) = (seed(), rounds(100));
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

/// The lists that a sequence produced, and what is in them.
struct Lists {
    taste: Taste,
    stock: Vec<u8>,
    ours: Vec<u8>,
}

/// Runs this many sequences. Each begins without a list, with the list that an earlier sequence produced, or with one
/// that another program could have written.
/// another program could have written.
fn shard(stock: &Stock, seed: u64, sequences: usize) -> usize {
    let Some(world) = World::new() else { return 0 };
    let mut random = Random::new(seed);
    let mut reached: Vec<Lists> = Vec::new();
    let mut calls = 0;
    for number in 0..sequences {
        let mut first = None;
        let mut taste = Taste {
            nasty: random.one_in(8),
            foreign: false,
            ascii: stock.reads_only_ascii(),
            odd_numbers: !stock.has_json_c(),
        };
        let start = match random.below(10) {
            0 => None,
            1 => Some(random.pick(&["", "[]\n", "[\n\n]\n", " \n"]).into()),
            2 => {
                first = Some(call_with_duid(&mut random, taste));
                Some(list_without_duids(&mut random).into_bytes())
            }
            3 => {
                (taste.nasty, taste.foreign) = (true, true);
                Some(foreign_list(&mut random, taste).into_bytes())
            }
            _ => None,
        };
        let (stocks, ours) = match start {
            Some(start) => (Some(start.clone()), Some(start)),
            None if reached.is_empty() || random.one_in(8) => (None, None),
            None => {
                let lists = &reached[random.below(reached.len())];
                taste.nasty |= lists.taste.nasty;
                taste.foreign |= lists.taste.foreign;
                (Some(lists.stock.clone()), Some(lists.ours.clone()))
            }
        };
        set(&world, STOCK_BRIDGE, stocks.as_deref());
        set(&world, OUR_BRIDGE, ours.as_deref());
        let mut before = ours;
        let bytes_differ = taste.foreign || stock.has_json_c();
        for step in 0..1 + random.below(3) {
            let call = first.take().unwrap_or_else(|| call(&mut random, taste));
            calls += 1;
            let story = || {
                let list = before.as_deref().unwrap_or_default().escape_ascii().to_string();
                format!("seed {seed}, sequence {number}, step {step}: {call}\nbefore: {list}")
            };
            compare(&world, stock, &call, bytes_differ, &story);
            before = world.list(OUR_BRIDGE);
        }
        if let (Some(stock), Some(ours)) = (world.list(STOCK_BRIDGE), before) {
            let lists = Lists { taste, stock, ours };
            let index = random.below(24);
            match reached.get_mut(index) {
                Some(earlier) => *earlier = lists,
                None => reached.push(lists),
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

/// Makes one call with each helper and compares the outcomes.
fn compare(
    world: &World,
    stock: &Stock,
    call: &Call,
    bytes_differ: bool,
    story: &dyn Fn() -> String,
) {
    let on = |bridge: &str| {
        let mut call = call.clone();
        for (name, value) in &mut call.variables {
            if ["DNSMASQ_INTERFACE", "VIR_BRIDGE_NAME"].contains(name) && value == b"BRIDGE" {
                *value = bridge.into();
            }
        }
        call
    };
    let theirs = on(STOCK_BRIDGE).run(&stock.program);
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
        // libvirt's helper has created the file by this point.
        expected = expected.filter(|list| !list.is_empty());
        found = found.filter(|list| !list.is_empty());
    }
    let found = found.as_deref().map(without_domains);
    let show = |list: &Option<Vec<u8>>| list.as_deref().map(text);
    let values = |list: &Option<Vec<u8>>| {
        let json = serde_json::from_slice::<serde_json::Value>(list.as_deref()?);
        Some(json.unwrap_or_else(|error| panic!("{error}: {:?}\n{}", show(list), story())))
    };
    let is_ascii = expected.as_ref().is_none_or(|list| list.is_ascii());
    if is_ascii && !bytes_differ {
        assert_eq!(show(&expected), show(&found), "the list\n{}", story());
    } else if expected != found {
        assert_eq!(values(&expected), values(&found), "the list\n{}", story());
    }
    let mode = |bridge: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        let path = world.path(format!("{bridge}.status"));
        path.metadata().map(|metadata| metadata.permissions().mode()).ok()
    };
    if ours.status.success() {
        assert_eq!(mode(STOCK_BRIDGE), mode(OUR_BRIDGE), "permissions\n{}", story());
    }
}

/// The list without the key that libvirt's helper doesn't write.
fn without_domains(list: &[u8]) -> Vec<u8> {
    list.split_inclusive(|byte| *byte == b'\n')
        .filter(|line| !line.starts_with(b"    \"domain\": "))
        .flatten()
        .copied()
        .collect()
}
