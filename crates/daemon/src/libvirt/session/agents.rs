//! The guest agents of a session: their connections, when each is queried, and what happens if one is silent.

use std::time::{Duration, Instant};

use virt::connect::Connect;

use super::schedule::{Schedule, Uuid};
use super::{RARELY, SOON, Session, Task};
use crate::libvirt::agent::{Agents, Answer, Failure, Pool, WORKERS};
use crate::libvirt::connection::{self, Access};
use crate::libvirt::error::Error;
use crate::libvirt::inbox::Happened;
use crate::libvirt::pace::Pace;
use crate::model::Update;

/// The connections for the agents.
pub(super) enum Link {
    /// Not configured, or currently not open.
    None,
    /// The workers, and their connections.
    Up {
        /// Ends them when it is dropped.
        pool: Pool,
        /// Read-write, one for each worker.
        connects: Vec<Connect>,
    },
}

impl Session<'_> {
    pub(super) fn open_agents(&mut self) {
        let address = self.address.clone();
        let opened = connection::open_in_background(
            &self.config.uri,
            Access::ReadWrite,
            WORKERS,
            move |opened| address.send(Happened::AgentsOpened(opened)),
        );
        if let Err(error) = opened {
            self.no_agents(Error::Thread(error));
        }
    }

    pub(super) fn agents_opened(&mut self, opened: Result<Vec<Connect>, virt::error::Error>) {
        let connects = match opened {
            Ok(connects) => connects,
            Err(source) => {
                self.no_agents(Error::Connect { uri: self.config.uri.clone(), source });
                return;
            }
        };
        let address = self.address.clone();
        let agents = connects.iter().map(|connect| Agents { connect: connect.clone() }).collect();
        let answered = move |uuid, answer| address.send(Happened::Asked(uuid, answer));
        match Pool::start(agents, self.config.agent_timeout, answered) {
            Ok(pool) => {
                self.agents = Link::Up { pool, connects };
                self.send(Update::Agents(self.config.id, Ok(())));
                self.agents_pace = Pace::from(Duration::from_secs(60));
                let now = Instant::now();
                let uuids: Vec<Uuid> = (self.kept.guests.iter())
                    .filter(|(_, entry)| entry.known.description.agent_is_connected)
                    .map(|(uuid, _)| *uuid)
                    .collect();
                // They may have been running for long: query each within the first interval.
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
        self.refuse_agents(error.to_string());
        self.schedule(Instant::now() + wait, Task::OpenAgents);
        self.drop_agents();
    }

    fn refuse_agents(&mut self, why: String) {
        self.send(Update::Agents(self.config.id, Err(why.clone())));
        self.warn(format!("guest agents are not queried: {why}"));
    }

    pub(super) fn close_pool(&mut self) {
        self.agents = Link::None;
        // Guests in its queues will not be queried.
        for entry in self.kept.guests.values_mut() {
            entry.agent = Schedule::new();
        }
    }

    /// Treats all agents as silent, since none can be queried now.
    pub(super) fn drop_agents(&mut self) {
        self.close_pool();
        let mut silenced = Vec::new();
        for (uuid, entry) in &mut self.kept.guests {
            if entry.known.silence() {
                silenced.push(*uuid);
            }
        }
        for uuid in silenced {
            self.agent_fell_silent(uuid);
            self.send_guest(uuid);
        }
    }

    /// Call this when the agent has just connected, or the guest's NICs have changed.
    pub(super) fn ask_agent_soon(&mut self, uuid: Uuid, now: Instant) {
        self.ask_agent_at(uuid, now, Pace::from(SOON));
    }

    fn ask_agent_at(&mut self, uuid: Uuid, now: Instant, pace: Pace) {
        // All are queried once the connections for agents are open.
        if matches!(self.agents, Link::None) {
            return;
        }
        let Some(entry) = self.kept.guests.get_mut(&uuid) else { return };
        entry.timeouts = 0;
        entry.read_host_keys_again();
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
        // Queries resume when the agent, or the connections for agents, are back.
        let Link::Up { pool, .. } = &self.agents else { return };
        if !entry.known.description.agent_is_connected || entry.agent.asking {
            return;
        }
        entry.agent.asking = true;
        let questions = entry.questions(self.config.host_keys, Instant::now());
        pool.put(uuid, questions, entry.lane());
    }

    pub(super) fn asked(&mut self, uuid: Uuid, answer: Result<Answer, Failure>) {
        let now = Instant::now();
        // Otherwise the answer is from a worker that is about to end.
        let Link::Up { connects, .. } = &self.agents else { return };
        if answer.is_err() && !connects.iter().all(|one| matches!(one.is_alive(), Ok(true))) {
            // The failure says nothing about the agent. If the main connection is lost, too, an event will report that.
            self.close_pool();
            self.schedule(now + SOON, Task::OpenAgents);
            return;
        }
        if answer == Err(Failure::NoTimeout) {
            self.refuse_agents(
                "this libvirt can't limit how long a query takes; version 5.10 or newer is needed"
                    .into(),
            );
            self.drop_agents();
            return;
        }
        let Some(entry) = self.kept.guests.get_mut(&uuid) else { return };
        let Some(outcome) =
            entry.take_answer(answer, self.config.host_keys, self.config.refresh, now)
        else {
            return;
        };
        self.schedule(outcome.ask_at, Task::AskAgent(uuid));
        if let Some(warning) = outcome.warning {
            self.warn(warning);
        }
        if outcome.fell_silent {
            self.agent_fell_silent(uuid);
        }
        if outcome.changed {
            self.send_guest(uuid);
        }
    }

    pub(super) fn agent_fell_silent(&mut self, uuid: Uuid) {
        self.ask_arp_soon(uuid, Instant::now());
    }
}
