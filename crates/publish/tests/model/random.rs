//! Random events in random order.

use std::collections::{BTreeMap, BTreeSet};

use publish::zone::{Certainty, Conflict, HeldNames, Update, Wanted, Zone};
use testkit::random::{Random, rounds, seed};

use crate::dns::{Data, Dns, Fault, Way};

const ZONE: &str = "site.example";
const HOSTS: [&str; 3] = ["alpha", "beta", "gamma"];
const NAMES: usize = 6;

struct Host {
    name: &'static str,
    guests: Wanted,
    zone: Zone,
    journal: HeldNames,
    /// Names that it may have forgotten together with a journal.
    lost: BTreeSet<String>,
}

struct World {
    random: Random,
    dns: Dns,
    hosts: Vec<Host>,
    /// Records that people have added to the zone.
    foreign: BTreeMap<String, BTreeSet<Data>>,
    /// Whether people add addresses beside those of guests. After a journal is lost, they can't be told apart from these.
    with_addresses: bool,
}

fn name(number: usize) -> String {
    format!("guest-{number}.{ZONE}")
}

impl World {
    fn new(mut random: Random) -> Self {
        let host = |name| Host {
            name,
            guests: Wanted::new(),
            zone: Zone::default(),
            journal: HeldNames::new(),
            lost: BTreeSet::new(),
        };
        let with_addresses = random.one_in(2);
        Self {
            random,
            dns: Dns::default(),
            hosts: HOSTS.map(host).into(),
            foreign: BTreeMap::new(),
            with_addresses,
        }
    }

    fn guests_change(&mut self, at: usize) {
        for _ in 0..=self.random.below(3) {
            let name = name(self.random.below(NAMES));
            if self.random.one_in(3) {
                self.hosts[at].guests.remove(&name);
                continue;
            }
            let mut records = BTreeSet::new();
            for _ in 0..self.random.below(3) {
                let number = self.random.below(4);
                let text = match self.random.one_in(2) {
                    true => format!("A 10.0.{at}.{number}"),
                    false => format!("AAAA fd00::{at}:{number}"),
                };
                records.insert(text.parse().unwrap());
            }
            self.hosts[at].guests.insert(name, records);
        }
    }

    fn people_edit(&mut self) {
        let name = name(self.random.below(NAMES));
        let data = match self.random.below(if self.with_addresses { 3 } else { 2 }) {
            0 => ("MX", "10 mx.example."),
            1 => ("TXT", "\"by hand\""),
            _ => ("A", "192.0.2.1"),
        };
        let (kind, text) = data;
        let data: Data = (kind.into(), text.into());
        let there = self.foreign.entry(name.clone()).or_default();
        if there.remove(&data) {
            self.dns.delete(&name, kind, text);
            return;
        }
        let claiming = self.hosts.iter().filter_map(|host| host.journal.get(&name));
        let claiming = claiming.into_iter().any(|held| held.certainty == Certainty::Claiming);
        if kind == "A" && claiming {
            return;
        }
        there.insert(data);
        self.dns.add(&name, kind, text);
    }

    /// One update of a host, during which messages may be lost and the host may crash.
    fn update(&mut self, at: usize, with_faults: bool) -> bool {
        let mut faults = Vec::new();
        let mut crash_after = None;
        if with_faults {
            let all = [Fault::None, Fault::AnswerLost, Fault::MessageLost, Fault::Refused];
            for _ in 0..self.random.below(4) {
                faults.push(*self.random.pick(&all));
            }
            if self.random.one_in(4) {
                crash_after = Some(self.random.below(4));
            }
        }
        let most = 1 + self.random.below(4);
        let host = &mut self.hosts[at];
        let foreign = &self.foreign;
        let mut check = |before: &Dns, after: &Dns| {
            for (name, all) in foreign {
                for (kind, data) in all {
                    assert!(after.has(name, kind, data), "{name} {kind} {data} was lost");
                }
            }
            for number in 0..NAMES {
                let owners = [before, after].map(|dns| dns.owner(&name(number)));
                let taken = matches!(&owners, [Some(a), Some(b)] if a != b);
                assert!(!taken, "a name was taken over: {owners:?}");
            }
        };
        let mut way = Way { dns: &mut self.dns, faults, crash_after, sent: 0, check: &mut check };
        let update = Update {
            zone: ZONE,
            host: host.name,
            wanted: &host.guests,
            most,
            retry_conflicts: !with_faults || self.random.one_in(2),
        };
        let (journal, mut alive) = (&mut host.journal, true);
        let result = {
            let crashed = std::cell::Cell::new(false);
            // After a crash, nothing more is saved.
            let result =
                host.zone.update(&update, &mut Crashing(&mut way, &crashed), &mut |held| {
                    if !crashed.get() {
                        *journal = held.clone();
                    }
                    Ok(())
                });
            alive &= !crashed.get();
            result
        };
        let made = result.as_ref().is_ok_and(|made| *made > 0);
        if !alive {
            host.zone = Zone { held: restarted(&host.journal), ..Zone::default() };
        }
        made || (result.is_err() && !with_faults)
    }

    fn lose_journal(&mut self, at: usize) {
        let host = &mut self.hosts[at];
        host.lost.extend(host.journal.keys().cloned());
        host.journal.clear();
        host.zone = Zone::default();
    }

    fn settle(&mut self) {
        for round in 0.. {
            let mut changed = false;
            for at in 0..self.hosts.len() {
                changed |= self.update(at, false);
            }
            if !changed {
                break;
            }
            assert!(round < 20, "updates don't settle");
        }
    }

    fn check(&self) {
        for number in 0..NAMES {
            let name = name(number);
            let owner = self.dns.owner(&name);
            let there = self.dns.names.get(&name).cloned().unwrap_or_default();
            let foreign = self.foreign.get(&name).cloned().unwrap_or_default();
            let ours: BTreeSet<String> =
                there.difference(&foreign).map(|(kind, data)| format!("{kind} {data}")).collect();
            let wants = |host: &&Host| host.guests.contains_key(&name);
            let Some(owner) = owner else {
                assert!(ours.is_empty(), "{name}: {ours:?} belongs to no host");
                let wanted = self.hosts.iter().find(wants).is_some();
                assert!(!wanted || !foreign.is_empty(), "{name} is wanted and free");
                for host in self.hosts.iter().filter(wants) {
                    assert_eq!(host.zone.conflicts.get(&name), Some(&Conflict::Foreign));
                }
                continue;
            };
            for host in &self.hosts {
                let guest = host.guests.get(&name);
                if host.name == owner {
                    let Some(records) = guest else {
                        assert!(host.lost.contains(&name), "{name} was left behind");
                        continue;
                    };
                    let records: BTreeSet<String> =
                        records.iter().map(ToString::to_string).collect();
                    assert_eq!(ours, records, "{name}");
                } else if guest.is_some() {
                    let conflict = host.zone.conflicts.get(&name);
                    assert_eq!(conflict, Some(&Conflict::Host(owner.clone())), "{name}");
                }
            }
        }
    }
}

fn restarted(journal: &HeldNames) -> HeldNames {
    let mut held = journal.clone();
    for held in held.values_mut().filter(|held| held.certainty == Certainty::Sure) {
        held.certainty = Certainty::Unsure;
    }
    held
}

/// Reports when the host has crashed.
struct Crashing<'c, 'd>(&'c mut Way<'d>, &'c std::cell::Cell<bool>);

impl publish::zone::Server for Crashing<'_, '_> {
    fn send(&mut self, message: &publish::update::Message) -> publish::zone::Answer {
        let answer = self.0.send(message);
        self.1.set(self.0.has_crashed());
        answer
    }

    fn look(
        &mut self,
        names: &[&str],
    ) -> Result<BTreeMap<String, publish::zone::Seen>, publish::failure::Failure> {
        let seen = self.0.look(names);
        self.1.set(self.0.has_crashed());
        seen
    }
}

#[test]
fn all_hosts_end_up_with_the_names_they_want() {
    let first = seed(1);
    for seed in first..first + rounds(1000) {
        let mut world = World::new(Random::new(seed));
        for _ in 0..world.random.below(40) {
            let at = world.random.below(HOSTS.len());
            match world.random.below(10) {
                0..3 => world.guests_change(at),
                3 => world.people_edit(),
                4 if !world.with_addresses && world.random.one_in(3) => world.lose_journal(at),
                _ => {
                    world.update(at, true);
                }
            }
        }
        world.settle();
        world.check();
        let serial = world.dns.serial;
        for at in 0..HOSTS.len() {
            world.update(at, false);
        }
        assert_eq!(world.dns.serial, serial, "a new serial although nothing changed");
    }
}
