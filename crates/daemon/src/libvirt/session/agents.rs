//! The guest agents of a session: the connection for them, who is asked when, and what their silence means.

use std::time::{Duration, Instant};

use virt::connect::Connect;

use super::schedule::{Schedule, Uuid};
use super::{SOON, Session, Task};
use crate::libvirt::agent::{Agents, Answer, Failure, Lane, Pool};
use crate::libvirt::connection::{self, Access};
use crate::libvirt::error::{Error, one_line};
use crate::libvirt::inbox::Happened;
use crate::libvirt::pace::Pace;

/// The longest time until an agent that hangs, or a connection for agents that is refused, is tried again.
const RARELY: Duration = Duration::from_secs(3600);
/// What a silent agent said last holds for so many of the times after which it would be asked again.
const HOLD: u32 = 3;

/// The agents' connection.
pub(super) enum Link {
    /// Not wanted, or not there for the time being.
    None,
    /// Its workers, and the connection that they use.
    Up {
        /// Ends them when it is dropped.
        pool: Pool,
        /// Read-write.
        connect: Connect,
    },
}

impl Session<'_> {
    pub(super) fn open_agents(&mut self) {
        let address = self.address.clone();
        let opened =
            connection::open_in_background(&self.config.uri, Access::ReadWrite, move |opened| {
                address.tell(Happened::AgentsOpened(opened))
            });
        if let Err(error) = opened {
            self.no_agents(Error::Thread(error));
        }
    }

    pub(super) fn agents_opened(&mut self, opened: Result<Connect, virt::error::Error>) {
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
                self.agents = Link::Up { pool, connect };
                self.agents_pace = Pace::from(Duration::from_secs(60));
                let now = Instant::now();
                let uuids: Vec<Uuid> = (self.kept.guests.iter())
                    .filter(|(_, entry)| entry.known.description.agent_is_connected)
                    .map(|(uuid, _)| *uuid)
                    .collect();
                // They may have been running for long: all are asked now, and then at their intervals.
                let pace = Pace::spread_over(self.config.refresh);
                for uuid in uuids {
                    self.ask_agent_at(uuid, now, pace);
                }
            }
            Err(error) => self.no_agents(Error::Thread(error)),
        }
    }

    pub(super) fn no_agents(&mut self, error: Error) {
        let wait = self.agents_pace.wait(RARELY);
        self.warn(format!("guest agents are not asked: {error}"));
        self.schedule(Instant::now() + wait, Task::OpenAgents);
        self.drop_agents();
    }

    pub(super) fn close_pool(&mut self) {
        self.agents = Link::None;
        // Who stood in its queues will not be asked.
        for entry in self.kept.guests.values_mut() {
            entry.agent = Schedule::new();
        }
    }

    /// No agent can be asked for the time being.
    pub(super) fn drop_agents(&mut self) {
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
    pub(super) fn ask_agent_soon(&mut self, uuid: Uuid, now: Instant) {
        self.ask_agent_at(uuid, now, Pace::from(SOON));
    }

    fn ask_agent_at(&mut self, uuid: Uuid, now: Instant, pace: Pace) {
        let Some(entry) = self.kept.guests.get_mut(&uuid) else { return };
        entry.timeouts = 0;
        entry.agent.pace = pace;
        if entry.agent.asking {
            entry.agent.again = true;
        } else {
            entry.agent.due = Some(now);
            self.schedule(now, Task::AskAgent(uuid));
        }
    }

    pub(super) fn ask_agent(&mut self, uuid: Uuid) {
        let Some(entry) = self.kept.guests.get_mut(&uuid) else { return };
        entry.agent.due = None;
        // It begins again when the agent, or the connection for agents, is back.
        let Link::Up { pool, .. } = &self.agents else { return };
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

    pub(super) fn asked(&mut self, uuid: Uuid, answer: Result<Answer, Failure>) {
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
                let is_first = !entry.known.has_answered();
                changed = entry.known.hear(&answer);
                if is_first && !entry.known.has_said_addresses() {
                    // It is still booting.
                    entry.agent.pace = Pace::from(SOON);
                }
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
            Err(Failure::NotRunning) => entry.agent.pace.wait(refresh),
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
            let Link::Up { connect, .. } = &self.agents else { return };
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

    pub(super) fn hold(&self) -> Duration {
        self.config.refresh * HOLD
    }

    pub(super) fn agent_fell_silent(&mut self, uuid: Uuid) {
        let hold = self.hold();
        if let Some(until) = self.kept.guests.get(&uuid).and_then(|e| e.known.holds_until(hold)) {
            self.schedule(until, Task::Forget(uuid));
        }
        self.ask_arp_soon(uuid, Instant::now());
    }

    pub(super) fn forget(&mut self, uuid: Uuid) {
        let (hold, now) = (self.hold(), Instant::now());
        if self.kept.guests.get_mut(&uuid).is_some_and(|entry| entry.known.forget(hold, now)) {
            self.send_guest(uuid);
        }
    }
}
