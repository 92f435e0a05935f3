//! The neighbours that the kernel reports, and which of them count.
//!
//! An address counts while its entry is REACHABLE: its owner has answered within the last half minute or so. If the address
//! isn't used, the entry then becomes STALE. It still counts for `hold`; half-way through, the daemon sends a datagram to
//! it, which makes the kernel probe it again. So an idle guest keeps its addresses, and one that has given up an address
//! loses it. An entry that hasn't been seen REACHABLE, as most haven't when the daemon starts, is probed before it counts.
//! An address that no longer answers is probed a few more times, less and less often, since its guest may be restarting.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use guest_names::address::Mac;

use crate::facts::Millis;
use crate::model::GUEST_ADDRESSES;

/// How many addresses of one NIC count. A guest can answer for any number; this is one more than is taken from one guest, so
/// that the log says whose were left out.
const MOST_ADDRESSES: usize = GUEST_ADDRESSES + 1;

/// How many addresses of one NIC may be remembered after the kernel has dropped them. The kernel's own table is limited, but a
/// guest can answer for one address after the other.
const MOST_REMEMBERED: usize = 16;

/// An entry's key: the interface's index and the address.
pub type Key = (u32, IpAddr);

/// A change of the kernel's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The index of the address's interface, and the address.
    pub key: Key,
    /// The new state of the entry.
    pub entry: Entry,
}

/// The state of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The MAC address is known.
    Resolved {
        /// The MAC address that answers for the address.
        mac: Mac,
        /// The interface.
        interface: Interface,
        /// Whether it is REACHABLE or PERMANENT, and not STALE, DELAY or PROBE.
        is_confirmed: bool,
    },
    /// Nothing answers (FAILED).
    Failed,
    /// The kernel has dropped the entry. That says nothing about the address, since the table has a limited size.
    Deleted,
}

/// An interface of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: Box<str>,
    /// Whether it is a bridge.
    pub is_bridge: bool,
}

/// Whether an entry counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Confirmed,
    /// Was confirmed until this time.
    Lately(Millis),
    /// Nothing has answered since it was probed this many times.
    Silent {
        asked: u32,
    },
}

/// How many probes may go unanswered before an address is given up: with the default `hold`, after about 45 minutes.
const MOST_QUESTIONS: u32 = 7;

#[derive(Debug)]
struct Neighbour {
    mac: Mac,
    interface: Interface,
    standing: Standing,
    /// When to probe it, if it belongs to a guest.
    ask_at: Option<Millis>,
    /// Whether the kernel has the entry.
    is_listed: bool,
    /// Whether it was in the list that is being read.
    is_in_list: bool,
}

/// The neighbours of this host.
#[derive(Debug, Default)]
pub struct Table {
    neighbours: BTreeMap<Key, Neighbour>,
    by_mac: BTreeSet<([u8; 6], Key)>,
    /// Entries sorted by the time in [`Standing::Lately`] and, in `questions`, by [`Neighbour::ask_at`].
    fading: BTreeSet<(Millis, Key)>,
    questions: BTreeSet<(Millis, Key)>,
}

impl Table {
    /// Applies a change. Returns the MAC addresses for which the set of counting addresses has changed.
    pub fn apply(&mut self, event: Event, now: Millis, hold: Millis) -> Vec<Mac> {
        let Event { key, entry } = event;
        let before = self.counting(key);
        let old = self.take(key);
        let new = match (entry, old) {
            (Entry::Resolved { mac, interface, is_confirmed }, old) => {
                let old = old.filter(|old| old.mac == mac);
                let (standing, ask_at) = match old.map(|old| (old.standing, old.ask_at)) {
                    _ if is_confirmed => (Standing::Confirmed, None),
                    Some((Standing::Confirmed, _)) => (Standing::Lately(now), Some(now + hold / 2)),
                    Some(as_before) => as_before,
                    None => (Standing::Silent { asked: 0 }, Some(now)),
                };
                Some(Neighbour {
                    mac,
                    interface,
                    standing,
                    ask_at,
                    is_listed: true,
                    is_in_list: true,
                })
            }
            (Entry::Failed, Some(mut old)) => {
                if old.counts() {
                    old.fall_silent(now, hold);
                }
                Some(old)
            }
            (Entry::Deleted, Some(mut old)) => {
                old.is_listed = false;
                if old.standing == Standing::Confirmed {
                    (old.standing, old.ask_at) = (Standing::Lately(now), Some(now + hold / 2));
                }
                // If probes are still due after a first one, the address belongs to a guest; keep it.
                let is_asked =
                    old.standing != Standing::Silent { asked: 0 } && old.ask_at.is_some();
                let is_crowded = self.keys_on(old.mac, key.0).nth(MOST_REMEMBERED - 1).is_some();
                Some(old).filter(|old| (old.counts() || is_asked) && !is_crowded)
            }
            (Entry::Failed | Entry::Deleted, None) => None,
        };
        if let Some(new) = new {
            self.put(key, new);
        }
        match (before, self.counting(key)) {
            (before, after) if before == after => Vec::new(),
            (before, after) => before.into_iter().chain(after).collect(),
        }
    }

    /// Call this before the kernel lists all its entries.
    pub fn begin_list(&mut self) {
        for neighbour in self.neighbours.values_mut() {
            neighbour.is_in_list = false;
        }
    }

    /// Call this after a complete list: treats entries that weren't in it as deleted. Returns the same as [`Table::apply`].
    pub fn end_list(&mut self, now: Millis, hold: Millis) -> Vec<Mac> {
        let is_missing = |one: &Neighbour| one.is_listed && !one.is_in_list;
        let missing = self.neighbours.iter().filter(|(_, one)| is_missing(one));
        let gone: Vec<Key> = missing.map(|(key, _)| *key).collect();
        let delete = |key| self.apply(Event { key, entry: Entry::Deleted }, now, hold);
        gone.into_iter().flat_map(delete).collect()
    }

    /// The addresses that count of the NIC with this MAC address on the interfaces that `is_its` accepts. On others, the same
    /// MAC address may belong to another guest.
    pub fn addresses(
        &self,
        mac: Mac,
        is_its: impl Fn(&Interface) -> bool,
    ) -> impl Iterator<Item = IpAddr> {
        let all = self.keys_of(mac).filter_map(|key| Some((key, self.neighbours.get(&key)?)));
        let counting = all.filter(move |(_, one)| one.counts() && is_its(&one.interface));
        counting.map(|(key, _)| key.1).take(MOST_ADDRESSES)
    }

    fn keys_of(&self, mac: Mac) -> impl Iterator<Item = Key> {
        self.keys_from(mac, 0)
    }

    fn keys_on(&self, mac: Mac, interface: u32) -> impl Iterator<Item = Key> {
        self.keys_from(mac, interface).take_while(move |(other, _)| *other == interface)
    }

    /// The keys of a MAC address on the interface with this index and on those with higher ones.
    fn keys_from(&self, mac: Mac, interface: u32) -> impl Iterator<Item = Key> {
        let first = (mac.0, (interface, IpAddr::from([0; 4])));
        let all = self.by_mac.range(first..).take_while(move |(other, _)| *other == mac.0);
        all.map(|(_, key)| *key)
    }

    /// A guest has this MAC address, perhaps a new one: has its addresses probed.
    pub fn ask_about(&mut self, mac: Mac, now: Millis) {
        let keys: Vec<Key> = self.keys_of(mac).collect();
        for key in keys {
            let Some(mut neighbour) = self.take(key) else { continue };
            if !neighbour.counts() {
                neighbour.standing = Standing::Silent { asked: 0 };
                neighbour.ask_at = Some(now);
            }
            self.put(key, neighbour);
        }
    }

    /// The addresses that the kernel should probe now. Only those of guests are returned: `is_guests` tells whether a MAC
    /// address belongs to one.
    pub fn to_ask(
        &mut self,
        is_guests: impl Fn(Mac) -> bool,
        now: Millis,
        hold: Millis,
    ) -> Vec<Key> {
        let mut to_ask = Vec::new();
        while let Some(&(_, key)) = self.questions.first().filter(|(at, _)| *at <= now) {
            let Some(mut neighbour) = self.take(key) else { break };
            neighbour.ask_at = None;
            let is_guests = is_guests(neighbour.mac);
            if is_guests {
                to_ask.push(key);
            }
            if let Standing::Silent { .. } = neighbour.standing {
                if is_guests {
                    neighbour.fall_silent(now, hold);
                } else if !neighbour.is_listed {
                    continue;
                }
            }
            self.put(key, neighbour);
        }
        to_ask
    }

    /// Stops counting addresses that haven't been confirmed for `hold`. Returns the same as [`Table::apply`].
    pub fn expire(&mut self, now: Millis, hold: Millis) -> Vec<Mac> {
        let mut macs = Vec::new();
        while let Some(&(_, key)) = self.fading.first().filter(|(since, _)| since + hold <= now) {
            let Some(mut neighbour) = self.take(key) else { break };
            macs.push(neighbour.mac);
            neighbour.fall_silent(now, hold);
            self.put(key, neighbour);
        }
        macs
    }

    /// When [`Table::to_ask`] or [`Table::expire`] has something to do next, if nothing else happens.
    pub fn due(&self, hold: Millis) -> Option<Millis> {
        let fading = self.fading.first().map(|(since, _)| since + hold);
        self.questions.first().map(|(at, _)| *at).into_iter().chain(fading).min()
    }

    /// The MAC address for which an address counts.
    fn counting(&self, key: Key) -> Option<Mac> {
        self.neighbours.get(&key).filter(|one| one.counts()).map(|one| one.mac)
    }

    fn take(&mut self, key: Key) -> Option<Neighbour> {
        let neighbour = self.neighbours.remove(&key)?;
        self.by_mac.remove(&(neighbour.mac.0, key));
        if let Standing::Lately(since) = neighbour.standing {
            self.fading.remove(&(since, key));
        }
        if let Some(at) = neighbour.ask_at {
            self.questions.remove(&(at, key));
        }
        Some(neighbour)
    }

    fn put(&mut self, key: Key, neighbour: Neighbour) {
        self.by_mac.insert((neighbour.mac.0, key));
        if let Standing::Lately(since) = neighbour.standing {
            self.fading.insert((since, key));
        }
        if let Some(at) = neighbour.ask_at {
            self.questions.insert((at, key));
        }
        self.neighbours.insert(key, neighbour);
    }
}

impl Neighbour {
    fn counts(&self) -> bool {
        !matches!(self.standing, Standing::Silent { .. })
    }

    /// Nothing has answered. Schedules the next probe, after a longer wait than before.
    fn fall_silent(&mut self, now: Millis, hold: Millis) {
        let asked = match self.standing {
            Standing::Silent { asked } => asked + 1,
            Standing::Confirmed | Standing::Lately(_) => 1,
        };
        self.standing = Standing::Silent { asked };
        self.ask_at = (asked < MOST_QUESTIONS).then(|| now + (hold / 2) * (1 << asked.min(16)) / 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLD: Millis = 90;
    const MAC: Mac = Mac([0x52, 0x54, 0, 0, 0, 1]);
    const OTHER: Mac = Mac([0x52, 0x54, 0, 0, 0, 2]);

    fn key(address: &str) -> Key {
        (3, address.parse().unwrap())
    }

    fn resolved(mac: Mac, address: &str, is_confirmed: bool) -> Event {
        let interface = Interface { name: "br0".into(), is_bridge: true };
        let entry = Entry::Resolved { mac, interface, is_confirmed };
        Event { key: key(address), entry }
    }

    fn without(address: &str, entry: Entry) -> Event {
        Event { key: key(address), entry }
    }

    fn addresses(table: &Table, mac: Mac) -> Vec<String> {
        table.addresses(mac, |_| true).map(|address| address.to_string()).collect()
    }

    fn ask(table: &mut Table, now: Millis) -> Vec<Key> {
        table.to_ask(|mac| mac == MAC, now, HOLD)
    }

    fn apply(table: &mut Table, event: Event, now: Millis) -> Vec<Mac> {
        table.apply(event, now, HOLD)
    }

    #[test]
    fn a_reachable_address_counts_and_still_does_for_a_while_after() {
        let mut table = Table::default();
        assert_eq!(apply(&mut table, resolved(MAC, "fd00::1", true), 0), [MAC]);
        assert_eq!(addresses(&table, MAC), ["fd00::1"]);
        assert_eq!((table.due(HOLD), ask(&mut table, 1000)), (None, vec![]));
        // It is no longer used.
        assert_eq!(apply(&mut table, resolved(MAC, "fd00::1", false), 1000), []);
        assert_eq!(table.due(HOLD), Some(1000 + HOLD / 2));
        assert_eq!(ask(&mut table, 1000 + HOLD / 2 - 1), []);
        assert_eq!(ask(&mut table, 1000 + HOLD / 2), [key("fd00::1")]);
        assert_eq!(ask(&mut table, 1000 + HOLD / 2), []);
        assert_eq!(table.due(HOLD), Some(1000 + HOLD));
        // It answers.
        assert_eq!(apply(&mut table, resolved(MAC, "fd00::1", true), 1050), []);
        assert_eq!(table.due(HOLD), None);
        // The next time it doesn't.
        apply(&mut table, resolved(MAC, "fd00::1", false), 2000);
        assert_eq!(ask(&mut table, 2000 + HOLD / 2), [key("fd00::1")]);
        assert_eq!(table.expire(2000 + HOLD - 1, HOLD), []);
        assert_eq!(table.expire(2000 + HOLD, HOLD), [MAC]);
        assert!(addresses(&table, MAC).is_empty());
    }

    #[test]
    fn an_unconfirmed_address_is_probed_before_it_counts() {
        let mut table = Table::default();
        assert_eq!(apply(&mut table, resolved(MAC, "10.0.0.1", false), 0), []);
        assert_eq!(apply(&mut table, resolved(OTHER, "10.0.0.2", false), 0), []);
        assert!(addresses(&table, MAC).is_empty());
        // Only guests' addresses are probed.
        assert_eq!(ask(&mut table, 0), [key("10.0.0.1")]);
        assert_eq!(ask(&mut table, 0), []);
        assert_eq!(apply(&mut table, resolved(MAC, "10.0.0.1", true), 5), [MAC]);
        // Now it is known to belong to a guest.
        table.ask_about(OTHER, 10);
        assert_eq!(table.to_ask(|mac| mac == OTHER, 10, HOLD), [key("10.0.0.2")]);
    }

    /// For example, while its guest restarts.
    #[test]
    fn a_silent_address_stops_counting_and_is_probed_less_and_less_often() {
        let mut table = Table::default();
        apply(&mut table, resolved(MAC, "10.0.0.1", true), 0);
        assert_eq!(apply(&mut table, without("10.0.0.1", Entry::Failed), 5), [MAC]);
        assert!(addresses(&table, MAC).is_empty());
        apply(&mut table, without("10.0.0.1", Entry::Deleted), 6);
        let mut now = 5;
        let mut waits = Vec::new();
        while let Some(at) = table.due(HOLD) {
            waits.push((at - now) / (HOLD / 2));
            now = at;
            assert_eq!(ask(&mut table, now), [key("10.0.0.1")]);
            assert_eq!(apply(&mut table, without("10.0.0.1", Entry::Failed), now), []);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32]);
        assert_eq!(apply(&mut table, resolved(MAC, "10.0.0.1", true), now), [MAC]);
    }

    #[test]
    fn an_address_that_moves_belongs_to_its_new_owner_alone() {
        let mut table = Table::default();
        apply(&mut table, resolved(MAC, "10.0.0.1", true), 0);
        assert_eq!(apply(&mut table, resolved(OTHER, "10.0.0.1", true), 1), [MAC, OTHER]);
        assert!(addresses(&table, MAC).is_empty());
        assert_eq!(addresses(&table, OTHER), ["10.0.0.1"]);
        // Another guest claims it, but doesn't answer probes.
        assert_eq!(apply(&mut table, resolved(MAC, "10.0.0.1", false), 2), [OTHER]);
        assert!(addresses(&table, MAC).is_empty());
    }

    #[test]
    fn an_entry_that_the_kernel_drops_counts_for_a_while() {
        let mut table = Table::default();
        apply(&mut table, resolved(MAC, "10.0.0.1", true), 0);
        apply(&mut table, resolved(OTHER, "10.0.0.2", true), 0);
        apply(&mut table, resolved(OTHER, "10.0.0.3", false), 0);
        assert_eq!(apply(&mut table, without("10.0.0.1", Entry::Deleted), 10), []);
        assert_eq!(addresses(&table, MAC), ["10.0.0.1"]);
        assert_eq!(table.expire(10 + HOLD, HOLD), [MAC]);
        // Events were lost, so the kernel lists everything.
        table.begin_list();
        apply(&mut table, resolved(OTHER, "10.0.0.4", true), 200);
        assert_eq!(table.end_list(200, HOLD), []);
        assert_eq!(addresses(&table, OTHER), ["10.0.0.2", "10.0.0.4"]);
        assert_eq!(table.expire(200 + HOLD, HOLD), [OTHER]);
        assert_eq!(addresses(&table, OTHER), ["10.0.0.4"]);
        // Nothing is kept for addresses that belong to no guest.
        table.to_ask(|_| false, 10_000, HOLD);
        assert_eq!(table.neighbours.keys().collect::<Vec<_>>(), [&key("10.0.0.4")]);
    }

    #[test]
    fn the_addresses_of_one_nic_are_limited() {
        let mut table = Table::default();
        for number in 0..100 {
            apply(&mut table, resolved(MAC, &format!("10.0.0.{number}"), true), 0);
        }
        assert_eq!(addresses(&table, MAC).len(), MOST_ADDRESSES);
    }

    /// A guest answers for one address after the other, and the kernel drops each to make room for the next.
    #[test]
    fn few_addresses_are_remembered_that_the_kernel_has_dropped() {
        let mut table = Table::default();
        let many = || (0..=u16::MAX).map(|n| format!("10.0.{}.{}", n >> 8, n & 0xff));
        for (now, address) in (0..).zip(many()) {
            apply(&mut table, resolved(MAC, &address, true), now);
            table.expire(now, HOLD);
            ask(&mut table, now);
            apply(&mut table, without(&address, Entry::Deleted), now);
        }
        assert_eq!(table.neighbours.len(), MOST_REMEMBERED);
    }
}
