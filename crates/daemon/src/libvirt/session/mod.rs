//! A connection while it is up: lists its guests and networks, follows its events, and repeats queries.
//!
//! Everything here runs in the keeper's thread, one call at a time: first messages, then guests and networks that events
//! reported as changed, then scheduled tasks. Agents are queried in other threads (`agent.rs`).

mod agents;
mod guests;
mod networks;
mod schedule;

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use virt::connect::Connect;

use self::agents::Link;
use self::schedule::{Entry, Schedule, Task, Uuid};
use super::callbacks::{Event, Sink, Subscription};
use super::error::Error;
use super::guest::SharedNames;
use super::inbox::{Address, Happened, Inbox, Next};
use super::pace::Pace;
use crate::model::{ConnectionConfig, ConnectionState, Guest, Network, Update};

/// The first wait of a back-off: guests usually get their addresses seconds after they start.
const SOON: Duration = Duration::from_secs(1);
/// The longest time until a refused request is tried again.
const RARELY: Duration = Duration::from_secs(3600);
/// How long no guest must have run before a connection without `keep-alive` is closed.
const IDLE: Duration = Duration::from_secs(10);
/// How many of the last warnings are remembered and not repeated.
const WARNINGS: usize = 64;

/// Receives updates.
pub(super) type Updates = Arc<dyn Fn(Update) + Send + Sync>;

/// Why a session has ended.
pub(super) enum End {
    /// The keeper must end.
    Stop,
    /// The connection is lost; holds the reason.
    Lost(String),
    /// No guest runs, and the configuration says not to keep the connection without one.
    Idle,
}

/// Why a task failed.
enum Failed {
    /// A call failed. The session goes on if the connection is alive.
    Call(Error),
    /// The connection is alive, but must be replaced.
    Reconnect(Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Call(error)
    }
}

/// What outlives a session, since guests keep running when libvirt's daemon is restarted.
#[derive(Default)]
pub(super) struct Kept {
    guests: HashMap<Uuid, Entry>,
    networks: Vec<Network>,
    /// When to try again to list networks on a new connection, after that failed: a network driver may be installed by then.
    networks_retry: Option<Pace>,
    names: SharedNames,
}

/// A connection while it is up.
pub(super) struct Session<'a> {
    config: &'a ConnectionConfig,
    updates: &'a Updates,
    address: Address,
    // Must be dropped before the connection: fields are dropped in this order.
    subscription: Subscription,
    connect: Connect,
    agents: Link,
    agents_pace: Pace,
    kept: &'a mut Kept,
    networks_pace: Pace,
    networks_due: Option<Instant>,
    due: BinaryHeap<Reverse<(Instant, Task)>>,
    changed_guests: BTreeSet<Uuid>,
    networks_changed: bool,
    /// Whether networks have been listed in this session.
    has_networks: bool,
    /// When to close the connection if no guest has started by then.
    idle_at: Option<Instant>,
    /// Whether the ARP table and DHCP leases are configured as sources, and the driver supports them.
    has_arp: bool,
    has_leases: bool,
    said: VecDeque<String>,
}

impl<'a> Session<'a> {
    /// Registers for events, lists everything, and sends it as `Up`, `Networks` and `Guests`.
    ///
    /// # Errors
    /// One of these calls failed, and nothing was sent.
    pub(super) fn begin(
        config: &'a ConnectionConfig,
        connect: Connect,
        updates: &'a Updates,
        kept: &'a mut Kept,
        inbox: &Inbox,
    ) -> Result<Self, Error> {
        let address = inbox.address();
        let events = address.clone();
        let sink: Sink = Arc::new(move |event| events.send(Happened::Event(event)));
        let failed = |doing| move |source| Error::Call { doing, uri: config.uri.clone(), source };
        let subscription =
            Subscription::new(&connect, &sink).map_err(failed("register for the events"))?;
        let mut session = Self {
            config,
            updates,
            address,
            subscription,
            connect,
            agents: Link::None,
            agents_pace: Pace::from(Duration::from_secs(60)),
            kept,
            networks_pace: Pace::from(config.refresh),
            networks_due: None,
            due: BinaryHeap::new(),
            changed_guests: BTreeSet::new(),
            networks_changed: false,
            has_networks: false,
            idle_at: None,
            // Set later, so that listing the guests doesn't query the ARP table for all of them at once.
            has_arp: false,
            has_leases: config.leases,
            said: VecDeque::new(),
        };
        session.take_up();
        session.begin_networks().map_err(failed("list the networks"))?;
        session.list_guests(inbox).map_err(failed("list the running domains"))?;
        if inbox.is_stopping() {
            // The list may be incomplete, and is no longer needed.
            return Ok(session);
        }
        session.send(Update::State(config.id, ConnectionState::Up));
        session.send(Update::Networks(config.id, session.kept.networks.clone()));
        session.send_all_guests();
        session.schedule_networks();
        session.has_arp = config.arp;
        let now = Instant::now();
        let uuids: Vec<Uuid> = session.kept.guests.keys().copied().collect();
        for uuid in uuids {
            session.ask_arp_at(uuid, now, Pace::spread_over(config.refresh));
        }
        if !session.subscription.has_guest_events {
            session.schedule(Instant::now() + config.refresh, Task::Guests);
        }
        if config.agent {
            session.open_agents();
        }
        Ok(session)
    }

    /// Resets the schedules of the guests known from the previous session.
    fn take_up(&mut self) {
        for entry in self.kept.guests.values_mut() {
            entry.agent = Schedule::new();
            entry.arp = Schedule::new();
            (entry.timeouts, entry.is_refused) = (0, false);
            entry.known.begin_session();
        }
    }

    /// Keeps everything current until the connection is lost or idle, or the keeper must end.
    pub(super) fn run(&mut self, inbox: &Inbox) -> End {
        loop {
            match inbox.look() {
                Next::Stop => return End::Stop,
                Next::Happened(happened) => {
                    if let Some(end) = self.take(happened) {
                        return end;
                    }
                    continue;
                }
                Next::Due | Next::Wake => {}
            }
            if self.is_idle() {
                return End::Idle;
            }
            let done = if self.networks_changed {
                self.networks_changed = false;
                self.refresh_networks()
            } else if let Some(uuid) = self.changed_guests.pop_first() {
                self.refresh_guest(uuid).map_err(Failed::Call)
            } else if let Some(task) = self.next_task() {
                self.run_task(task, inbox)
            } else {
                let until = self.due.peek().map(|Reverse((at, _))| *at);
                match inbox.wait(until.into_iter().chain(self.idle_at).min()) {
                    Next::Stop => return End::Stop,
                    Next::Due | Next::Wake => Ok(()),
                    Next::Happened(happened) => match self.take(happened) {
                        Some(end) => return end,
                        None => Ok(()),
                    },
                }
            };
            match done {
                Ok(()) => {}
                Err(Failed::Reconnect(error)) => return End::Lost(error.to_string()),
                Err(Failed::Call(error)) if !matches!(self.connect.is_alive(), Ok(true)) => {
                    return End::Lost(error.to_string());
                }
                Err(Failed::Call(error)) => self.warn(error.to_string()),
            }
        }
    }

    /// Whether no guest has been running for so long that the connection should be closed.
    fn is_idle(&mut self) -> bool {
        if self.config.keep_alive || !self.kept.guests.is_empty() {
            self.idle_at = None;
            return false;
        }
        let now = Instant::now();
        now >= *self.idle_at.get_or_insert(now + IDLE)
    }

    fn take(&mut self, happened: Happened) -> Option<End> {
        match happened {
            Happened::Event(Event::Guest(uuid)) => {
                self.changed_guests.insert(uuid);
            }
            Happened::Event(Event::Networks) => self.networks_changed = true,
            Happened::Event(Event::Closed(why)) => return Some(End::Lost(why.into())),
            Happened::AgentsOpened(opened) => self.agents_opened(opened),
            Happened::Asked(uuid, answer) => self.asked(uuid, answer),
            // The connection of this session.
            Happened::Opened(_) => {}
        }
        None
    }

    fn next_task(&mut self) -> Option<Task> {
        let Reverse((at, _)) = self.due.peek()?;
        if *at > Instant::now() {
            return None;
        }
        let Reverse((at, task)) = self.due.pop()?;
        // A task that was rescheduled is in the heap more than once.
        let current = match task {
            Task::AskAgent(uuid) => {
                self.kept.guests.get(&uuid).is_some_and(|e| e.agent.due == Some(at))
            }
            Task::AskArp(uuid) => {
                self.kept.guests.get(&uuid).is_some_and(|e| e.arp.due == Some(at))
            }
            Task::Networks => self.networks_due == Some(at),
            Task::Guests | Task::OpenAgents => true,
        };
        current.then_some(task)
    }

    fn run_task(&mut self, task: Task, inbox: &Inbox) -> Result<(), Failed> {
        match task {
            Task::AskAgent(uuid) => self.ask_agent(uuid),
            Task::AskArp(uuid) => self.ask_arp(uuid)?,
            Task::Networks => {
                self.schedule_networks();
                return self.refresh_networks();
            }
            Task::Guests => {
                self.schedule(Instant::now() + self.config.refresh, Task::Guests);
                self.list_guests(inbox).map_err(|error| self.failed("list the domains", error))?;
                if !inbox.is_stopping() {
                    self.send_all_guests();
                }
            }
            Task::OpenAgents => self.open_agents(),
        }
        Ok(())
    }

    fn schedule(&mut self, at: Instant, task: Task) {
        self.due.push(Reverse((at, task)));
    }

    fn send(&self, update: Update) {
        (self.updates)(update);
    }

    pub(super) fn send_guest(&self, uuid: Uuid) {
        if let Some(entry) = self.kept.guests.get(&uuid) {
            let guest = entry.known.guest(uuid, &self.kept.networks);
            self.send(Update::Guest(self.config.id, guest));
        }
    }

    pub(super) fn send_all_guests(&self) {
        let guests: Vec<Guest> = (self.kept.guests.iter())
            .map(|(&uuid, entry)| entry.known.guest(uuid, &self.kept.networks))
            .collect();
        self.send(Update::Guests(self.config.id, guests));
    }

    /// Sends a warning, but only once: what doesn't work now won't work at the next refresh either.
    pub(super) fn warn(&mut self, warning: String) {
        if self.said.contains(&warning) {
            return;
        }
        self.send(Update::Warning(self.config.id, warning.clone()));
        if self.said.len() == WARNINGS {
            self.said.pop_front();
        }
        self.said.push_back(warning);
    }

    pub(super) fn failed(&self, doing: &'static str, source: virt::error::Error) -> Error {
        Error::Call { doing, uri: self.config.uri.clone(), source }
    }
}
