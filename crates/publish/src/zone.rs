//! What this host has in a zone, and how to make that what it wants to have.
//!
//! Nothing here talks to a server; [`Server`] does. What may be on the server is saved before a message is sent. So a
//! crash, a lost answer or an outage of the server can leave names uncertain, but none is forgotten.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::record::DnsRecord;
use crate::update::{Change, Kind, Message, messages};

/// The records of each name, by canonical name.
pub type Wanted = BTreeMap<String, BTreeSet<DnsRecord>>;

/// The names in a zone that belong, or may belong, to this host.
pub type HeldNames = BTreeMap<String, Held>;

/// How certain it is what the server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Certainty {
    /// The server has confirmed it.
    Sure,
    /// The server may have any of the records.
    Unsure,
    /// The name may belong to this host now, and its earlier records there aren't known.
    Claiming,
}

/// A name that belongs to this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its records.
    pub records: BTreeSet<DnsRecord>,
    /// How certain that is.
    pub certainty: Certainty,
}

/// Why a wanted name isn't published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// It belongs to another host.
    Host(String),
    /// It has records, but no ownership record.
    Foreign,
}

/// What the server has under a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The host in its ownership record.
    pub owner: Option<String>,
    /// Its addresses, or its PTR records.
    pub records: BTreeSet<DnsRecord>,
    /// Whether it is an alias (CNAME).
    pub is_alias: bool,
}

/// The result of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The message was applied.
    Done,
    /// A prerequisite wasn't met, so nothing was applied.
    Unmet,
    /// See [`Failure`].
    Failed(Failure),
}

/// The zone's primary server.
pub trait Server {
    /// Sends a message.
    fn send(&mut self, message: &Message) -> Answer;

    /// Reads what the server has under these names. The result has all of them.
    ///
    /// # Errors
    /// The server doesn't answer, or refuses the query.
    fn look(&mut self, names: &[&str]) -> Result<BTreeMap<String, Seen>, Failure>;
}

/// Why the update of a zone ended early.
#[derive(Debug)]
pub enum Stop {
    /// The server failed or refused.
    Failed(Failure),
    /// The journal can't be written, so nothing was sent.
    Unsaved(io::Error),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// A zone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Zone {
    /// What the journal keeps.
    pub held: HeldNames,
    /// Wanted names that belong to others. They are ignored until it is time to check again.
    pub conflicts: BTreeMap<String, Conflict>,
}

/// What an update of a zone needs.
pub struct Update<'u> {
    /// The zone's name.
    pub zone: &'u str,
    /// This host.
    pub host: &'u str,
    /// The names and records that this host wants there.
    pub wanted: &'u Wanted,
    /// The largest number of changes per message.
    pub most: usize,
    /// Whether to check if names that belonged to others are free now.
    pub retry_conflicts: bool,
}

/// How often one update plans again after it has learned more. Four are enough if nobody else writes to the zone: a check, a
/// look, the change, and its parts.
const PASSES: usize = 8;

impl Zone {
    /// Sends what differs. Calls `save` with the names before and after anything is sent. Returns the number of changes made.
    ///
    /// # Errors
    /// See [`Stop`]. Changes made until then stay, and are recorded.
    pub fn update(
        &mut self,
        update: &Update<'_>,
        server: &mut dyn Server,
        save: &mut dyn FnMut(&HeldNames) -> io::Result<()>,
    ) -> Result<usize, Stop> {
        self.conflicts.retain(|name, _| update.wanted.contains_key(name));
        if update.retry_conflicts {
            self.look_at_conflicts(update.host, server)?;
        }
        let mut running = Running { zone: self, update, looked: BTreeSet::new(), made: 0 };
        if running.look_at_claims(server)? {
            save(&running.zone.held).map_err(Stop::Unsaved)?;
        }
        for _ in 0..PASSES {
            let changes = running.plan();
            if changes.is_empty() {
                break;
            }
            let before = running.expect(&changes);
            if let Err(error) = save(&running.zone.held) {
                running.not_sent(&changes, &before);
                return Err(Stop::Unsaved(error));
            }
            let sent = running.send(changes, &before, server);
            save(&running.zone.held).map_err(Stop::Unsaved)?;
            sent?;
        }
        Ok(running.made)
    }

    /// It is no longer certain what the server has: the next update checks all names.
    pub fn doubt(&mut self) {
        for held in self.held.values_mut().filter(|held| held.certainty == Certainty::Sure) {
            held.certainty = Certainty::Unsure;
        }
    }

    fn look_at_conflicts(&mut self, host: &str, server: &mut dyn Server) -> Result<(), Failure> {
        let names: Vec<&str> = self.conflicts.keys().map(String::as_str).collect();
        if names.is_empty() {
            return Ok(());
        }
        let seen = server.look(&names)?;
        self.conflicts.retain(|name, conflict| {
            let Some(seen) = seen.get(name) else { return true };
            match &seen.owner {
                Some(owner) if owner != host => *conflict = Conflict::Host(owner.clone()),
                None if seen.is_alias || !seen.records.is_empty() => *conflict = Conflict::Foreign,
                _ => return false,
            }
            true
        });
        Ok(())
    }
}

/// What was known about names before they were changed; `None`: they didn't belong to this host.
type Before = BTreeMap<String, Option<Held>>;

/// The change that turns what is held into what is wanted; `None` if they are equal.
fn change(name: &str, wanted: Option<&BTreeSet<DnsRecord>>, held: Option<&Held>) -> Option<Change> {
    let nothing = BTreeSet::new();
    let (kind, delete, add) = match (held, wanted) {
        (None, None) => return None,
        (None, Some(wanted)) => (Kind::Claim, nothing, wanted.clone()),
        (Some(held), _) if held.certainty != Certainty::Sure => {
            (Kind::Check, nothing, held.records.clone())
        }
        (Some(held), None) => (Kind::Release, held.records.clone(), nothing),
        (Some(held), Some(wanted)) if held.records == *wanted => return None,
        (Some(held), Some(wanted)) => (Kind::Alter, &held.records - wanted, wanted - &held.records),
    };
    Some(Change { name: name.into(), kind, delete, add })
}

struct Running<'z, 'u> {
    zone: &'z mut Zone,
    update: &'u Update<'u>,
    /// Names whose records the server has returned.
    looked: BTreeSet<String>,
    made: usize,
}

impl Running<'_, '_> {
    /// Looks at names that were claimed without an answer, since a check would not notice their earlier records. Returns whether
    /// there were any.
    fn look_at_claims(&mut self, server: &mut dyn Server) -> Result<bool, Failure> {
        let held = self.zone.held.iter();
        let claims = held.filter(|(_, held)| held.certainty == Certainty::Claiming);
        let claims: Vec<String> = claims.map(|(name, _)| name.clone()).collect();
        let names: Vec<&str> = claims.iter().map(String::as_str).collect();
        self.look(&names, server)?;
        Ok(!names.is_empty())
    }

    fn look(&mut self, names: &[&str], server: &mut dyn Server) -> Result<(), Failure> {
        if names.is_empty() {
            return Ok(());
        }
        let seen = server.look(names)?;
        for name in names {
            if let Some(seen) = seen.get(*name) {
                self.settle(name, seen);
            }
            self.looked.insert((*name).into());
        }
        Ok(())
    }

    /// Plans the changes. Names that are given up come first, since others may be waiting for them.
    fn plan(&self) -> Vec<Change> {
        let (wanted, held) = (self.update.wanted, &self.zone.held);
        let names = wanted.keys().chain(held.keys().filter(|name| !wanted.contains_key(*name)));
        let free = names.filter(|name| !self.zone.conflicts.contains_key(*name));
        let mut changes: Vec<Change> =
            free.filter_map(|name| change(name, wanted.get(name), held.get(name))).collect();
        changes.sort_by_key(|change| change.kind);
        changes
    }

    /// Records what may be on the server once these changes are sent.
    fn expect(&mut self, changes: &[Change]) -> Before {
        let held = &mut self.zone.held;
        let mut before = Before::new();
        for change in changes {
            let was = held.get(&change.name).cloned();
            let (mut records, certainty) = match &was {
                None => (BTreeSet::new(), Certainty::Claiming),
                Some(was) if was.certainty == Certainty::Sure && change.kind != Kind::Check => {
                    (was.records.clone(), Certainty::Unsure)
                }
                Some(was) => (was.records.clone(), was.certainty),
            };
            records.extend(change.add.iter().cloned());
            held.insert(change.name.clone(), Held { records, certainty });
            before.insert(change.name.clone(), was);
        }
        before
    }

    fn send(
        &mut self,
        changes: Vec<Change>,
        before: &Before,
        server: &mut dyn Server,
    ) -> Result<(), Failure> {
        let Update { zone, host, most, .. } = *self.update;
        let mut queue: VecDeque<Message> = messages(zone, host, changes, most).into();
        while let Some(message) = queue.pop_front() {
            let failure = match server.send(&message) {
                Answer::Done => {
                    self.done(message.changes, before);
                    continue;
                }
                Answer::Unmet => match self.unmet(message, before, server) {
                    Ok(parts) => {
                        parts.into_iter().rev().for_each(|part| queue.push_front(part));
                        continue;
                    }
                    Err(failure) => failure,
                },
                Answer::Failed(failure) => {
                    if !failure.may_have_been_applied() {
                        self.not_sent(&message.changes, before);
                    }
                    failure
                }
            };
            queue.iter().for_each(|message| self.not_sent(&message.changes, before));
            return Err(failure);
        }
        Ok(())
    }

    /// Records that the server hasn't received these changes.
    fn not_sent(&mut self, changes: &[Change], before: &Before) {
        for change in changes {
            match before.get(&change.name) {
                Some(Some(was)) => self.zone.held.insert(change.name.clone(), was.clone()),
                _ => self.zone.held.remove(&change.name),
            };
        }
    }

    fn done(&mut self, changes: Vec<Change>, before: &Before) {
        for Change { name, kind, delete, add } in changes {
            self.made += usize::from(kind != Kind::Check);
            let records = match kind {
                Kind::Release => {
                    self.zone.held.remove(&name);
                    continue;
                }
                Kind::Claim | Kind::Check => add,
                Kind::Alter => {
                    let was = before.get(&name).and_then(Option::as_ref);
                    let was = was.map(|held| held.records.clone()).unwrap_or_default();
                    &(&was - &delete) | &add
                }
            };
            self.zone.held.insert(name, Held { records, certainty: Certainty::Sure });
        }
    }

    /// Handles a prerequisite that wasn't met. The server doesn't say which one: looks at the names or, if that was done already,
    /// returns the two halves of the message to be sent instead.
    fn unmet(
        &mut self,
        mut message: Message,
        before: &Before,
        server: &mut dyn Server,
    ) -> Result<Vec<Message>, Failure> {
        let names = message.changes.iter().map(|change| change.name.as_str());
        let names: Vec<&str> = names.filter(|name| !self.looked.contains(*name)).collect();
        if names.is_empty() {
            if message.changes.len() > 1 {
                let second = message.changes.split_off(message.changes.len() / 2);
                let second = Message { changes: second, ..message.clone() };
                return Ok(vec![message, second]);
            }
            self.not_sent(&message.changes, before);
            self.overtaken(message);
            return Ok(Vec::new());
        }
        self.not_sent(&message.changes, before);
        self.look(&names, server)?;
        Ok(Vec::new())
    }

    /// Records what the server has under a name.
    fn settle(&mut self, name: &str, seen: &Seen) {
        let held = self.zone.held.remove(name);
        match &seen.owner {
            Some(owner) if owner == self.update.host => {
                let records = match held {
                    // Other records there don't belong to this host.
                    Some(held) if held.certainty != Certainty::Claiming => {
                        &seen.records & &held.records
                    }
                    // The journal was lost. A name's addresses belong to its owner.
                    _ => seen.records.clone(),
                };
                let held = Held { records, certainty: Certainty::Sure };
                self.zone.held.insert(name.into(), held);
            }
            Some(owner) if self.update.wanted.contains_key(name) => {
                self.zone.conflicts.insert(name.into(), Conflict::Host(owner.clone()));
            }
            _ => {}
        }
    }

    /// Someone else has changed a name after it was looked at, or it has records of types that weren't queried.
    fn overtaken(&mut self, message: Message) {
        for change in message.changes {
            if let Some(held) = self.zone.held.get_mut(&change.name) {
                held.certainty = Certainty::Unsure;
            }
            self.zone.conflicts.insert(change.name, Conflict::Foreign);
        }
    }
}
