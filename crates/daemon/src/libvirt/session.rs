//! A connection while it is up: what it has, what its events change, and what is asked again.
//!
//! Everything here runs in the keeper's thread, one call at a time: messages first, then what events want
//! looked at, then what is due. Agents are asked elsewhere (`agent.rs`).

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use virt::connect::Connect;

use super::agent::{Agents, Answer, Failure, Lane, Pool};
use super::callbacks::{Event, Sink, Subscription};
use super::connection::{self, Access};
use super::error::{Error, is_unsupported, one_line, words};
use super::inbox::{Address, Happened, Inbox, Next};
use super::known::{Description, Known, Names};
use super::pace::Pace;
use super::raw::{self, Asked};
use super::read::{self, Failed};
use crate::model::{ConnectionConfig, ConnectionState, Guest, Network, Update};

/// The first wait of a back-off: guests have their addresses seconds after they start.
const SOON: Duration = Duration::from_secs(1);
/// The longest time until an agent that hangs, or a connection for agents that is refused, is tried again.
const RARELY: Duration = Duration::from_secs(3600);
/// What a silent agent said last holds for so many of the times after which it would be asked again.
const HOLD: u32 = 3;
/// So many of the last warnings are not said again.
const WARNINGS: usize = 64;

/// Where updates go.
pub(super) type Updates = Arc<dyn Fn(Update) + Send + Sync>;

/// Why a session has ended.
pub(super) enum End {
    /// The keeper is to end.
    Stop,
    /// The connection is lost; why.
    Lost(String),
}

type Uuid = [u8; 16];

/// Something to be done at a time. A guest's are done only if the time is still the one that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Task {
    AskAgent(Uuid),
    AskArp(Uuid),
    Forget(Uuid),
    Networks,
    Guests,
    OpenAgents,
}

/// A running guest and when to ask for it again.
struct Entry {
    known: Known,
    agent: Schedule,
    arp: Schedule,
    /// How many times the agent did not answer in time, since it last did.
    timeouts: u32,
}

/// When something is asked next.
struct Schedule {
    due: Option<Instant>,
    pace: Pace,
    /// It is under way.
    asking: bool,
    /// It is to be asked again at once.
    again: bool,
}

impl Schedule {
    fn new() -> Self {
        Self { due: None, pace: Pace::from(SOON), asking: false, again: false }
    }
}

/// What outlives a session: guests run on when libvirt's daemon is restarted, and keep their addresses.
#[derive(Default)]
pub(super) struct Kept {
    guests: HashMap<Uuid, Entry>,
    networks: Vec<Network>,
    names: Names,
    lost_at: Option<Instant>,
}

/// The agents' connection.
enum AgentsLink {
    /// Not wanted, or not there for the time being.
    None,
    Up {
        pool: Pool,
        connect: Connect,
    },
}

pub(super) struct Session<'a> {
    config: &'a ConnectionConfig,
    updates: &'a Updates,
    address: Address,
    // Taken back before the connection is closed: fields are dropped in this order.
    subscription: Subscription,
    connect: Connect,
    agents: AgentsLink,
    agents_pace: Pace,
    kept: &'a mut Kept,
    networks_pace: Pace,
    networks_due: Option<Instant>,
    due: BinaryHeap<Reverse<(Instant, Task)>>,
    changed_guests: BTreeSet<Uuid>,
    networks_changed: bool,
    has_arp: bool,
    said: VecDeque<String>,
}

impl<'a> Session<'a> {
    /// Registers for events, lists everything, and sends it: `Up`, `Networks`, `Guests`.
    pub(super) fn begin(
        config: &'a ConnectionConfig,
        connect: Connect,
        updates: &'a Updates,
        kept: &'a mut Kept,
        inbox: &Inbox,
    ) -> Result<Self, Error> {
        let address = inbox.address();
        let events = address.clone();
        let sink: Sink = Arc::new(move |event| events.tell(Happened::Event(event)));
        let failed = |doing| move |source| Error::Call { doing, uri: config.uri.clone(), source };
        let subscription =
            Subscription::new(&connect, &sink).map_err(failed("register for the events"))?;
        let mut session = Self {
            config,
            updates,
            address,
            subscription,
            connect,
            agents: AgentsLink::None,
            agents_pace: Pace::from(Duration::from_secs(60)),
            kept,
            networks_pace: Pace::from(config.refresh),
            networks_due: None,
            due: BinaryHeap::new(),
            changed_guests: BTreeSet::new(),
            networks_changed: false,
            has_arp: config.arp,
            said: VecDeque::new(),
        };
        session.take_up();
        session.kept.networks = session.read_networks().map_err(failed("list the networks"))?;
        session.list_guests(inbox).map_err(failed("list the running domains"))?;
        session.send(Update::State(config.id, ConnectionState::Up));
        session.send(Update::Networks(config.id, session.kept.networks.clone()));
        session.send_all_guests();
        session.schedule_networks();
        let now = Instant::now();
        let uuids: Vec<Uuid> = session.kept.guests.keys().copied().collect();
        for uuid in uuids {
            session.ask_arp_soon(uuid, now);
        }
        if !session.subscription.tells_guests {
            session.schedule(Instant::now() + config.refresh, Task::Guests);
        }
        session.kept.lost_at = None;
        if config.agent {
            session.open_agents();
        }
        Ok(session)
    }

    /// Goes on with what is kept from before. All of it is asked again; what an agent said holds until then,
    /// unless that was long ago.
    fn take_up(&mut self) {
        let hold = self.hold();
        let too_old = self.kept.lost_at.is_some_and(|lost| lost.elapsed() > hold);
        for entry in self.kept.guests.values_mut() {
            entry.agent = Schedule::new();
            entry.arp = Schedule::new();
            entry.timeouts = 0;
            if too_old {
                entry.known.clear();
            }
        }
    }

    /// Keeps everything current until the connection is lost or the keeper is to end.
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
                Next::Due => {}
            }
            let done = if self.networks_changed {
                self.networks_changed = false;
                self.refresh_networks()
            } else if let Some(uuid) = self.changed_guests.pop_first() {
                self.refresh_guest(uuid)
            } else if let Some(task) = self.next_task() {
                self.run_task(task, inbox)
            } else {
                let until = self.due.peek().map(|Reverse((at, _))| *at);
                match inbox.wait(until) {
                    Next::Stop => return End::Stop,
                    Next::Due => Ok(()),
                    Next::Happened(happened) => match self.take(happened) {
                        Some(end) => return end,
                        None => Ok(()),
                    },
                }
            };
            if let Err(error) = done {
                if !matches!(self.connect.is_alive(), Ok(true)) {
                    return self.lost(error.to_string());
                }
                self.warn(error.to_string());
            }
        }
    }

    fn lost(&mut self, why: String) -> End {
        self.kept.lost_at.get_or_insert_with(Instant::now);
        End::Lost(why)
    }

    fn take(&mut self, happened: Happened) -> Option<End> {
        match happened {
            Happened::Event(Event::Guest(uuid)) => {
                self.changed_guests.insert(uuid);
            }
            Happened::Event(Event::Networks) => self.networks_changed = true,
            Happened::Event(Event::Closed(why)) => return Some(self.lost(why.into())),
            Happened::AgentsOpened(opened) => self.agents_opened(opened),
            Happened::Asked(uuid, answer) => self.asked(uuid, answer),
            // The one that this session began with.
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
        // Those that were put off or brought forward stand elsewhere in the heap as well.
        let current = match task {
            Task::AskAgent(uuid) => {
                self.kept.guests.get(&uuid).is_some_and(|e| e.agent.due == Some(at))
            }
            Task::AskArp(uuid) => {
                self.kept.guests.get(&uuid).is_some_and(|e| e.arp.due == Some(at))
            }
            Task::Networks => self.networks_due == Some(at),
            Task::Forget(_) | Task::Guests | Task::OpenAgents => true,
        };
        current.then_some(task)
    }

    fn run_task(&mut self, task: Task, inbox: &Inbox) -> Result<(), Error> {
        match task {
            Task::AskAgent(uuid) => self.ask_agent(uuid),
            Task::AskArp(uuid) => return self.ask_arp(uuid),
            Task::Forget(uuid) => self.forget(uuid),
            Task::Networks => {
                self.schedule_networks();
                return self.refresh_networks();
            }
            Task::Guests => {
                self.schedule(Instant::now() + self.config.refresh, Task::Guests);
                self.list_guests(inbox).map_err(|error| self.failed("list the domains", error))?;
                self.send_all_guests();
            }
            Task::OpenAgents => self.open_agents(),
        }
        Ok(())
    }

    fn schedule(&mut self, at: Instant, task: Task) {
        self.due.push(Reverse((at, task)));
    }

    // Networks.

    fn read_networks(&mut self) -> Result<Vec<Network>, virt::error::Error> {
        let mut warnings = Vec::new();
        let networks =
            read::networks(&self.connect, self.config.leases, &self.kept.networks, &mut |w| {
                warnings.push(w);
            });
        for warning in warnings {
            self.warn(warning);
        }
        networks
    }

    /// Asks again where the driver tells of no changes, or for leases, of which none does.
    fn schedule_networks(&mut self) {
        if self.config.leases || !self.subscription.tells_networks {
            let at = Instant::now() + self.networks_pace.wait(self.config.refresh);
            self.networks_due = Some(at);
            self.schedule(at, Task::Networks);
        }
    }

    fn refresh_networks(&mut self) -> Result<(), Error> {
        let networks =
            self.read_networks().map_err(|error| self.failed("list the networks", error))?;
        if networks == self.kept.networks {
            return Ok(());
        }
        let bridges = |networks: &[Network]| -> Vec<(String, Option<String>)> {
            networks.iter().map(|one| (one.name.clone(), one.bridge.clone())).collect()
        };
        let moved = bridges(&networks) != bridges(&self.kept.networks);
        self.kept.networks = networks;
        self.send(Update::Networks(self.config.id, self.kept.networks.clone()));
        if moved {
            self.send_all_guests();
        }
        Ok(())
    }

    // Guests.

    fn list_guests(&mut self, inbox: &Inbox) -> Result<(), virt::error::Error> {
        let mut gone: BTreeSet<Uuid> = self.kept.guests.keys().copied().collect();
        for domain in read::domains(&self.connect)? {
            if inbox.is_stopping() {
                break;
            }
            let uuid = domain.uuid()?.into_bytes();
            let description = match read::description(&domain, &mut self.kept.names) {
                Ok(Some(description)) => description,
                Ok(None) => continue,
                Err(Failed::Call(error)) if !matches!(self.connect.is_alive(), Ok(true)) => {
                    return Err(error);
                }
                Err(Failed::Call(error)) => {
                    let name = domain.name().unwrap_or_default();
                    let (name, why) = (one_line(&name), words(&error));
                    self.warn(format!("cannot read the XML of domain {name}: {why}"));
                    gone.remove(&uuid);
                    continue;
                }
                Err(Failed::Odd(why)) => {
                    self.warn(why);
                    continue;
                }
            };
            gone.remove(&uuid);
            self.describe(uuid, description);
        }
        for uuid in gone {
            self.kept.guests.remove(&uuid);
        }
        Ok(())
    }

    /// An event said that this one changed.
    fn refresh_guest(&mut self, uuid: Uuid) -> Result<(), Error> {
        match read::lookup(&self.connect, uuid, &mut self.kept.names) {
            Ok(Some(description)) => {
                if self.describe(uuid, description) {
                    self.send_guest(uuid);
                }
            }
            Ok(None) => {
                if self.kept.guests.remove(&uuid).is_some() {
                    self.send(Update::Gone(self.config.id, uuid));
                }
            }
            Err(Failed::Call(error)) => return Err(self.failed("read a domain", error)),
            Err(Failed::Odd(why)) => self.warn(why),
        }
        Ok(())
    }

    /// Takes the description of a running guest. True if it is new or has changed.
    fn describe(&mut self, uuid: Uuid, description: Description) -> bool {
        let now = Instant::now();
        // It was started anew in the meantime.
        if self
            .kept
            .guests
            .get(&uuid)
            .is_some_and(|e| e.known.description.is_another_run(&description))
        {
            self.kept.guests.remove(&uuid);
        }
        let connected = description.agent_is_connected;
        let (is_new, was_connected, other_nics, changed);
        match self.kept.guests.get_mut(&uuid) {
            None => {
                (is_new, was_connected, other_nics, changed) = (true, false, true, true);
                let entry = Entry {
                    known: Known::new(description),
                    agent: Schedule::new(),
                    arp: Schedule::new(),
                    timeouts: 0,
                };
                self.kept.guests.insert(uuid, entry);
            }
            Some(entry) => {
                is_new = false;
                let before = &entry.known.description;
                was_connected = before.agent_is_connected;
                other_nics = before.has_other_nics(&description);
                let mut differs = *before != description;
                entry.known.description = description;
                if !connected {
                    differs |= entry.known.silence(now);
                }
                changed = differs;
            }
        }
        if connected && (!was_connected || other_nics) {
            self.ask_agent_soon(uuid, now);
        } else if !connected && was_connected {
            self.agent_fell_silent(uuid);
        }
        if other_nics {
            self.ask_arp_soon(uuid, now);
            if is_new && !self.kept.guests.is_empty() {
                self.ask_leases_soon(now);
            }
        }
        changed
    }

    fn ask_leases_soon(&mut self, now: Instant) {
        if self.config.leases && self.networks_due.is_some() {
            self.networks_pace = Pace::from(SOON);
            let at = now + self.networks_pace.wait(self.config.refresh);
            self.networks_due = Some(at);
            self.schedule(at, Task::Networks);
        }
    }

    // ARP.

    fn ask_arp_soon(&mut self, uuid: Uuid, now: Instant) {
        if !self.has_arp {
            return;
        }
        if let Some(entry) = self.kept.guests.get_mut(&uuid) {
            entry.arp.pace = Pace::from(SOON);
            entry.arp.due = Some(now);
            self.schedule(now, Task::AskArp(uuid));
        }
    }

    fn ask_arp(&mut self, uuid: Uuid) -> Result<(), Error> {
        let Some(entry) = self.kept.guests.get_mut(&uuid) else { return Ok(()) };
        entry.arp.due = None;
        // It begins again when the agent falls silent.
        if !self.has_arp || entry.known.answers() {
            return Ok(());
        }
        let at = Instant::now() + entry.arp.pace.wait(self.config.refresh);
        entry.arp.due = Some(at);
        self.schedule(at, Task::AskArp(uuid));
        let asked = self
            .connect
            .lookup_domain_by_uuid(uuid::Uuid::from_bytes(uuid))
            .and_then(|domain| raw::interface_addresses(&domain, Asked::Arp));
        match asked {
            Ok(interfaces) => {
                let changed =
                    self.kept.guests.get_mut(&uuid).is_some_and(|e| e.known.set_arp(&interfaces));
                if changed {
                    self.send_guest(uuid);
                }
                Ok(())
            }
            Err(error) if is_unsupported(&error) => {
                self.has_arp = false;
                self.warn(format!("the ARP table can't be asked: {}", words(&error)));
                Ok(())
            }
            // One that has just stopped, say. Its event tells.
            Err(error) => Err(self.failed("ask the ARP table", error)),
        }
    }

    // Agents.

    fn open_agents(&mut self) {
        let address = self.address.clone();
        let opened =
            connection::open_in_background(&self.config.uri, Access::ReadWrite, move |opened| {
                address.tell(Happened::AgentsOpened(opened))
            });
        if let Err(error) = opened {
            self.no_agents(Error::Thread(error));
        }
    }

    fn agents_opened(&mut self, opened: Result<Connect, virt::error::Error>) {
        let connect = match opened {
            Ok(connect) => connect,
            Err(source) => {
                self.no_agents(Error::Connect { uri: self.config.uri.clone(), source });
                return;
            }
        };
        let address = self.address.clone();
        let agents = Agents { connect: connect.clone() };
        let answered = move |uuid, answer| address.tell(Happened::Asked(uuid, answer));
        match Pool::start(agents, self.config.agent_timeout, answered) {
            Ok(pool) => {
                self.agents = AgentsLink::Up { pool, connect };
                self.agents_pace = Pace::from(Duration::from_secs(60));
                let now = Instant::now();
                let uuids: Vec<Uuid> = (self.kept.guests.iter())
                    .filter(|(_, entry)| entry.known.description.agent_is_connected)
                    .map(|(uuid, _)| *uuid)
                    .collect();
                for uuid in uuids {
                    self.ask_agent_soon(uuid, now);
                }
            }
            Err(error) => self.no_agents(Error::Thread(error)),
        }
    }

    fn no_agents(&mut self, error: Error) {
        let wait = self.agents_pace.wait(RARELY);
        self.warn(format!("guest agents are not asked: {error}"));
        self.schedule(Instant::now() + wait, Task::OpenAgents);
        self.drop_agents();
    }

    fn close_pool(&mut self) {
        self.agents = AgentsLink::None;
        // Who stood in its queues will not be asked.
        for entry in self.kept.guests.values_mut() {
            entry.agent = Schedule::new();
        }
    }

    /// No agent can be asked for the time being.
    fn drop_agents(&mut self) {
        self.close_pool();
        let now = Instant::now();
        let mut silenced = Vec::new();
        for (uuid, entry) in &mut self.kept.guests {
            if entry.known.silence(now) {
                silenced.push(*uuid);
            }
        }
        for uuid in silenced {
            self.agent_fell_silent(uuid);
            self.send_guest(uuid);
        }
    }

    /// The agent has just connected, or the guest has other NICs.
    fn ask_agent_soon(&mut self, uuid: Uuid, now: Instant) {
        let Some(entry) = self.kept.guests.get_mut(&uuid) else { return };
        entry.timeouts = 0;
        entry.agent.pace = Pace::from(SOON);
        if entry.agent.asking {
            entry.agent.again = true;
        } else {
            entry.agent.due = Some(now);
            self.schedule(now, Task::AskAgent(uuid));
        }
    }

    fn ask_agent(&mut self, uuid: Uuid) {
        let Some(entry) = self.kept.guests.get_mut(&uuid) else { return };
        entry.agent.due = None;
        // It begins again when the agent, or the connection for agents, is back.
        let AgentsLink::Up { pool, .. } = &self.agents else { return };
        if !entry.known.description.agent_is_connected || entry.agent.asking {
            return;
        }
        entry.agent.asking = true;
        let lane = match entry.timeouts {
            0 => Lane::Quick { known: entry.known.has_answered() },
            _ => Lane::Slow,
        };
        pool.put(uuid, lane);
    }

    fn asked(&mut self, uuid: Uuid, answer: Result<Answer, Failure>) {
        let now = Instant::now();
        let Some(entry) = self.kept.guests.get_mut(&uuid) else { return };
        entry.agent.asking = false;
        if !entry.known.description.agent_is_connected {
            return;
        }
        let refresh = self.config.refresh;
        let (mut changed, mut silent, mut warning) = (false, false, None);
        let wait = match answer {
            Ok(answer) => {
                entry.timeouts = 0;
                changed = entry.known.hear(&answer);
                entry.agent.pace.wait(refresh)
            }
            Err(Failure::TimedOut(why)) => {
                if entry.timeouts == 0 {
                    entry.agent.pace = Pace::from(refresh);
                    let name = one_line(entry.known.description.name());
                    warning = Some(format!("the agent of guest {name} does not answer: {why}"));
                }
                entry.timeouts = entry.timeouts.saturating_add(1);
                silent = entry.known.silence(now);
                entry.agent.pace.wait(RARELY.max(refresh))
            }
            Err(Failure::Refused(why)) => {
                let name = one_line(entry.known.description.name());
                warning = Some(format!("the agent of guest {name} can't be asked: {why}"));
                silent = entry.known.silence(now);
                entry.agent.pace.wait(refresh)
            }
            Err(Failure::NoTimeout) => {
                self.drop_agents();
                self.warn(
                    "guest agents are not asked: that libvirt can't bound the time they take; \
                     it needs 5.10"
                        .into(),
                );
                return;
            }
        };
        let at = if std::mem::take(&mut entry.agent.again) { now } else { now + wait };
        entry.agent.due = Some(at);
        self.schedule(at, Task::AskAgent(uuid));
        if let Some(warning) = warning {
            let AgentsLink::Up { connect, .. } = &self.agents else { return };
            if !matches!(connect.is_alive(), Ok(true)) {
                // All of them say so now: one line will do. If the other connection is lost too, that is told.
                self.close_pool();
                self.schedule(now + SOON, Task::OpenAgents);
                return;
            }
            self.warn(warning);
        }
        if silent {
            self.agent_fell_silent(uuid);
        }
        if changed || silent {
            self.send_guest(uuid);
        }
    }

    fn hold(&self) -> Duration {
        self.config.refresh * HOLD
    }

    fn agent_fell_silent(&mut self, uuid: Uuid) {
        let hold = self.hold();
        if let Some(until) = self.kept.guests.get(&uuid).and_then(|e| e.known.holds_until(hold)) {
            self.schedule(until, Task::Forget(uuid));
        }
        self.ask_arp_soon(uuid, Instant::now());
    }

    fn forget(&mut self, uuid: Uuid) {
        let (hold, now) = (self.hold(), Instant::now());
        if self.kept.guests.get_mut(&uuid).is_some_and(|entry| entry.known.forget(hold, now)) {
            self.send_guest(uuid);
        }
    }

    // Telling.

    fn send(&self, update: Update) {
        (self.updates)(update);
    }

    fn send_guest(&self, uuid: Uuid) {
        if let Some(entry) = self.kept.guests.get(&uuid) {
            let guest = entry.known.guest(uuid, &self.kept.networks);
            self.send(Update::Guest(self.config.id, guest));
        }
    }

    fn send_all_guests(&self) {
        let guests: Vec<Guest> = (self.kept.guests.iter())
            .map(|(&uuid, entry)| entry.known.guest(uuid, &self.kept.networks))
            .collect();
        self.send(Update::Guests(self.config.id, guests));
    }

    /// Once: what does not work now will not work at the next refresh either.
    fn warn(&mut self, warning: String) {
        if self.said.contains(&warning) {
            return;
        }
        self.send(Update::Warning(self.config.id, warning.clone()));
        if self.said.len() == WARNINGS {
            self.said.pop_front();
        }
        self.said.push_back(warning);
    }

    fn failed(&self, doing: &'static str, source: virt::error::Error) -> Error {
        Error::Call { doing, uri: self.config.uri.clone(), source }
    }
}
