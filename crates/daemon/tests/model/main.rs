//! Checks the rules for names against a model too simple to be wrong, in random worlds.

mod random;
mod rules;

use std::collections::{BTreeMap, BTreeSet};

use daemon::config::Naming;
use daemon::facts::Facts;
use daemon::host::Host;
use daemon::names::{Input, compile};
use daemon::state::Files;
use fastrand::Rng;
use guest_names::snapshot::Standing;
use guest_names::snapshot::format::{Entry, flags};

use random::*;
use rules::*;

pub(crate) fn compiled(files: &Files, facts: &Facts) -> BTreeMap<Vec<u8>, Vec<OwnedEntry>> {
    let mut keys = BTreeMap::new();
    let (host, naming) = (&Host::default(), &Naming::default());
    let names = compile(Input { now: NOW, node: b"", files, facts, host, naming }, &mut || ());
    names
        .each(&mut |key, entries| -> Result<(), ()> {
            let entries = entries.map(|entry| OwnedEntry {
                name: entry.name.to_vec(),
                entry: Entry { name: b"", ..entry },
            });
            assert!(keys.insert(key.to_vec(), entries.collect()).is_none());
            Ok(())
        })
        .unwrap();
    keys
}

/// An entry that keeps its name.
#[derive(Debug, PartialEq)]
pub(crate) struct OwnedEntry {
    pub(crate) entry: Entry<'static>,
    pub(crate) name: Vec<u8>,
}

const ALIVE: Standing = Standing { leases: true, reports: true };
const DEAD: Standing = Standing { leases: true, reports: false };

/// The addresses under a key that count; `None` if no entry does.
fn counting(entries: Option<&Vec<OwnedEntry>>, standing: Standing) -> Option<BTreeSet<String>> {
    let entries = entries?.iter().filter(|owned| owned.entry.counts(standing, NOW));
    let entries: Vec<_> = entries.collect();
    let addresses = entries.iter().filter_map(|owned| owned.entry.address).map(text).collect();
    (!entries.is_empty()).then_some(addresses)
}

#[test]
fn names_agree_with_the_model() {
    let mut random = Rng::with_seed(77);
    let (mut known, mut addressed, mut lost) = (0, 0, 0);
    for round in 0..6_000 {
        let world = random_world(&mut random);
        let compiled = world.compiled();
        for (kind, names) in [('h', &HOSTS[..]), ('g', &GUESTS[..])] {
            let model = world.by_rank(kind);
            let mut names: Vec<String> = names.iter().map(|name| lower(name)).collect();
            names.dedup();
            for name in names {
                let ranks = model.get(&name);
                // A name belongs to the first connection that runs a guest with it.
                let running = |ranks: &'_ BTreeMap<usize, Ranked>| {
                    let first = ranks.iter().find(|(_, ranked)| ranked.runs);
                    first.or_else(|| ranks.iter().next()).map(|(_, one)| one.all())
                };
                let expected = ranks.and_then(running);
                let expected = expected.as_ref();
                let key = format!("{kind}{name}").into_bytes();
                let found = counting(compiled.get(&key), ALIVE);
                let context = || {
                    format!(
                        "round {round}, {kind} {name}\nfound: {:#?}\n{:#?}\n{:#?}\nnetworks {:#?}",
                        compiled.get(&key),
                        world.connections,
                        world.guests,
                        world.networks
                    )
                };
                assert_eq!(found.as_ref(), expected, "{}", context());
                known += u32::from(expected.is_some());
                addressed += u32::from(expected.is_some_and(|addresses| !addresses.is_empty()));
                lost += u32::from(ranks.is_some_and(|ranks| ranks.len() > 1));
            }
        }
    }
    assert!(known > 5_000 && addressed > 5_000 && lost > 500, "{known} {addressed} {lost}");
}

/// Without the daemon, look-ups find exactly what is in the files, whatever libvirt reported.
#[test]
fn without_the_daemon_all_leases_are_there() {
    let mut random = Rng::with_seed(78);
    let mut leases = 0;
    for round in 0..6_000 {
        let world = random_world(&mut random);
        let (with, alone) = (world.compiled(), compiled(&world.files, &Facts::default()));
        let keys: BTreeSet<_> = with.keys().chain(alone.keys()).collect();
        for key in keys {
            let left = |keys: &BTreeMap<Vec<u8>, Vec<OwnedEntry>>| {
                let entries = keys.get(key).into_iter().flatten();
                let left: BTreeSet<String> = entries
                    .filter(|owned| owned.entry.counts(DEAD, NOW))
                    .map(|OwnedEntry { entry, name }| {
                        let Entry { address, mac, bridge, expiry, .. } = entry;
                        let domain = entry.is(flags::DOMAIN);
                        format!("{address:?} {mac:?} {bridge:?} {expiry} {domain} {name:?}")
                    })
                    .collect();
                left
            };
            assert_eq!(
                left(&with),
                left(&alone),
                "round {round}, {:?}",
                String::from_utf8_lossy(key)
            );
            leases += left(&alone).len();
        }
    }
    assert!(leases > 10_000, "{leases}");
}

/// Each guest has its name with its connection's name appended, no matter which guest has the bare name.
#[test]
fn each_guest_has_its_name_qualified_by_connection() {
    let mut random = Rng::with_seed(79);
    let mut found = 0;
    for round in 0..6_000 {
        let world = random_world(&mut random);
        let compiled = world.compiled();
        for (connection, guests) in world.guests.iter().enumerate() {
            for guest in guests {
                let believed = world.believed(connection, guest);
                let addresses: BTreeSet<_> = believed.iter().map(|one| text(one.address)).collect();
                for suffix in ["", ".vm.internal"] {
                    let key = format!("g{}.c{connection}{suffix}", lower(&guest.name)).into_bytes();
                    let entries = counting(compiled.get(&key), ALIVE).unwrap_or_default();
                    let all = entries.is_superset(&addresses);
                    assert!(all, "round {round}: {guest:#?} {entries:?} {addresses:?}");
                }
                found += addresses.len();
            }
        }
    }
    assert!(found > 2_000, "{found}");
}
