//! All zones of a host: when and in which order they are updated, and what is recorded.
//!
//! The forward zone comes first. An address gets a PTR record once its name belongs to this host, and loses it along with
//! the name.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Instant;

use guest_store::reverse::reverse_name;

use crate::backoff::Backoff;
use crate::failure::Failure;
use crate::journal::{Journal, Store, View};
use crate::record::{DnsRecord, is_in_zone};
use crate::select::Selected;
use crate::update::CHANGES_MAX;
use crate::zone::{Certainty, Conflict, HeldNames, Server, Stop, Update, Wanted, Zone};

/// The smallest number of changes per message, for a slow server.
const CHANGES_MIN: usize = 8;

/// What to publish where.
#[derive(Clone, Debug)]
pub struct Plan {
    /// This host's name in ownership records.
    pub host: String,
    /// The server and its port, as `ns1.site.example#53`.
    pub server: String,
    /// The forward zone.
    pub zone: String,
    /// The reverse zones.
    pub reverse_zones: Vec<String>,
    /// The longest time between two attempts.
    pub retry: std::time::Duration,
}

/// What happened, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Names of a zone were changed.
    Changed {
        /// The zone.
        zone: String,
        /// How many.
        names: usize,
    },
    /// A zone can't be updated, for a new reason.
    Failed {
        /// The zone.
        zone: String,
        /// Why.
        failure: Failure,
    },
    /// A zone can be updated again.
    Recovered {
        /// The zone.
        zone: String,
    },
    /// A wanted name belongs to someone else.
    Conflict {
        /// The name.
        name: String,
        /// Who has it.
        conflict: Conflict,
    },
}

/// A zone, and the state of its updates.
#[derive(Debug)]
struct Tended {
    zone: Zone,
    backoff: Backoff,
    failure: Option<FailedSince>,
    /// When to check again whether names that others have are free.
    conflicts: Backoff,
    /// Whether contact was lost, so that the server may have been replaced or restored from a backup.
    is_in_doubt: bool,
    /// The largest number of changes per message.
    most: usize,
}

/// A failure, and when it began.
#[derive(Clone, Debug)]
pub struct FailedSince {
    /// The failure.
    pub failure: Failure,
    /// When it began.
    pub since: Instant,
}

/// A zone's status.
pub struct ZoneView<'p> {
    /// Its name.
    pub name: &'p str,
    /// The number of names in it that belong to this host.
    pub published: usize,
    /// Why it isn't up to date.
    pub failure: Option<&'p FailedSince>,
    /// When it will be retried.
    pub retry: Option<Instant>,
    /// Wanted names that belong to others.
    pub conflicts: &'p BTreeMap<String, Conflict>,
}

/// All zones of a host.
#[derive(Debug)]
pub struct Publisher {
    plan: Plan,
    /// This host's name in the ownership records on the server. After a change of name, the old one until those are removed.
    host: String,
    store: Store,
    zones: BTreeMap<String, Tended>,
}

impl Publisher {
    /// Continues from the journal. All of it is checked with the server, which may have changed in the meantime.
    #[must_use]
    pub fn new(plan: Plan, store: Store, journal: Option<Journal>) -> Self {
        let Journal { host, mut zones, .. } = journal.unwrap_or_default();
        let host = if zones.is_empty() { plan.host.clone() } else { host };
        for zone in plan.reverse_zones.iter().chain([&plan.zone]) {
            zones.entry(zone.clone()).or_default();
        }
        let tended = |held| Tended {
            zone: Zone { held, conflicts: BTreeMap::new() },
            backoff: Backoff::new(plan.retry),
            failure: None,
            conflicts: Backoff::new(plan.retry),
            is_in_doubt: true,
            most: CHANGES_MAX,
        };
        let zones = zones.into_iter().map(|(zone, held)| (zone, tended(held))).collect();
        Self { plan, host, store, zones }
    }

    /// The names that this host holds in the forward zone.
    #[must_use]
    pub fn held(&self) -> Option<&HeldNames> {
        self.zones.get(&self.plan.zone).map(|tended| &tended.zone.held)
    }

    /// Updates those zones that are due to what is selected.
    ///
    /// # Errors
    /// The journal can't be written.
    pub fn publish(
        &mut self,
        selected: &Selected,
        server: &mut dyn Server,
        now: Instant,
    ) -> io::Result<Vec<Event>> {
        let mut events = Vec::new();
        let nothing = Wanted::new();
        let is_renamed = self.host != self.plan.host;
        let forward = self.plan.zone.clone();
        let wanted = if is_renamed { &nothing } else { &selected.wanted };
        self.update(&forward, wanted, server, now, &mut events)?;
        let mut reverse = self.reverse(selected, wanted);
        let zones: Vec<String> =
            self.zones.keys().filter(|zone| **zone != forward).cloned().collect();
        for zone in zones {
            let wanted = reverse.remove(&zone).unwrap_or_default();
            self.update(&zone, &wanted, server, now, &mut events)?;
        }
        let Plan { zone, reverse_zones, .. } = &self.plan;
        self.zones.retain(|name, tended| {
            !tended.zone.held.is_empty() || name == zone || reverse_zones.contains(name)
        });
        if is_renamed && self.zones.values().all(|tended| tended.zone.held.is_empty()) {
            self.host = self.plan.host.clone();
            events.extend(self.publish(selected, server, now)?);
        }
        Ok(events)
    }

    /// When to publish again, even if nothing changes.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        let zones = self.zones.values();
        zones.flat_map(|tended| [tended.backoff.due(), tended.conflicts.due()]).flatten().min()
    }

    /// The zones, the forward one first.
    pub fn zones(&self) -> impl Iterator<Item = ZoneView<'_>> {
        let mut names: Vec<&String> = self.zones.keys().collect();
        names.sort_by_key(|name| **name != self.plan.zone);
        names.into_iter().filter_map(|name| {
            let Tended { zone, failure, backoff, .. } = self.zones.get(name)?;
            let held = zone.held.values().filter(|held| held.certainty != Certainty::Claiming);
            Some(ZoneView {
                name,
                published: held.count(),
                failure: failure.as_ref(),
                retry: backoff.due(),
                conflicts: &zone.conflicts,
            })
        })
    }

    /// The names of addresses, by zone. Each address gets one name, the first of its names that belongs to this host.
    fn reverse(&self, selected: &Selected, wanted: &Wanted) -> BTreeMap<String, Wanted> {
        let held = self.held();
        let is_held = |name: &&String| {
            wanted.contains_key(*name)
                && held
                    .and_then(|held| held.get(*name))
                    .is_some_and(|held| held.certainty != Certainty::Claiming)
        };
        let mut zones: BTreeMap<String, Wanted> = BTreeMap::new();
        for (address, names) in &selected.names {
            let Some(name) = names.iter().find(is_held) else { continue };
            let reverse = reverse_name(*address);
            let zones_of = self.plan.reverse_zones.iter();
            let zone =
                zones_of.filter(|zone| is_in_zone(&reverse, zone)).max_by_key(|zone| zone.len());
            let Some(zone) = zone else { continue };
            let records: BTreeSet<DnsRecord> = [DnsRecord::Ptr(name.clone())].into();
            zones.entry(zone.clone()).or_default().insert(reverse, records);
        }
        zones
    }

    fn update(
        &mut self,
        name: &str,
        wanted: &Wanted,
        server: &mut dyn Server,
        now: Instant,
        events: &mut Vec<Event>,
    ) -> io::Result<()> {
        let Some(mut tended) = self.zones.remove(name) else { return Ok(()) };
        let outcome = if tended.backoff.is_due(now) {
            self.update_now(name, &mut tended, wanted, server, now, events)
        } else {
            Ok(())
        };
        self.zones.insert(name.into(), tended);
        outcome
    }

    fn update_now(
        &self,
        name: &str,
        tended: &mut Tended,
        wanted: &Wanted,
        server: &mut dyn Server,
        now: Instant,
        events: &mut Vec<Event>,
    ) -> io::Result<()> {
        if std::mem::take(&mut tended.is_in_doubt) {
            tended.zone.doubt();
        }
        let before = tended.zone.conflicts.clone();
        let retry_conflicts = !before.is_empty() && tended.conflicts.is_due(now);
        let update =
            Update { zone: name, host: &self.host, wanted, most: tended.most, retry_conflicts };
        let Self { host, store, zones, plan } = self;
        let mut save = |held: &HeldNames| {
            let others = zones.iter().map(|(zone, tended)| (zone.as_str(), &tended.zone.held));
            store.write(&View::new(host, &plan.server, others.chain([(name, held)])))
        };
        let outcome = tended.zone.update(&update, server, &mut save);
        tended.note_conflicts(&before, retry_conflicts, now, events);
        match outcome {
            Ok(names) => {
                tended.backoff.reset();
                tended.most = (tended.most * 2).min(CHANGES_MAX);
                if tended.failure.take().is_some() {
                    events.push(Event::Recovered { zone: name.into() });
                }
                if names > 0 {
                    events.push(Event::Changed { zone: name.into(), names });
                }
                Ok(())
            }
            Err(Stop::Failed(failure)) => {
                tended.note_failure(name, failure, now, events);
                Ok(())
            }
            Err(Stop::Unsaved(error)) => Err(error),
        }
    }
}

impl Tended {
    fn note_failure(
        &mut self,
        zone: &str,
        failure: Failure,
        now: Instant,
        events: &mut Vec<Event>,
    ) {
        self.is_in_doubt = true;
        if failure.is_temporary() {
            self.backoff.pause(now);
            self.most = (self.most / 4).max(CHANGES_MIN);
        } else {
            self.backoff.pause_long(now);
        }
        let old = self.failure.as_ref();
        if old.is_none_or(|old| old.failure.code() != failure.code()) {
            events.push(Event::Failed { zone: zone.into(), failure: failure.clone() });
        }
        let since = old.map_or(now, |old| old.since);
        self.failure = Some(FailedSince { failure, since });
    }

    fn note_conflicts(
        &mut self,
        before: &BTreeMap<String, Conflict>,
        retried: bool,
        now: Instant,
        events: &mut Vec<Event>,
    ) {
        let conflicts = &self.zone.conflicts;
        let new: Vec<_> =
            conflicts.iter().filter(|(name, other)| before.get(*name) != Some(*other)).collect();
        if conflicts.is_empty() {
            self.conflicts.reset();
        } else if !new.is_empty() {
            self.conflicts.reset();
            self.conflicts.pause(now);
        } else if retried {
            self.conflicts.pause(now);
        }
        events.extend(new.into_iter().map(|(name, conflict)| Event::Conflict {
            name: name.clone(),
            conflict: conflict.clone(),
        }));
    }
}
