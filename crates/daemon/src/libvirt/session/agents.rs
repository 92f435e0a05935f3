//! The guest agents of a session: the connection for them, who is asked when, and what their silence means.

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

/// The agents' connections.
pub(super) enum Link {
    /// Not wanted, or not there for the time being.
    None,
    /// The workers, and the connections that they use.
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
        self.refuse_agents(error.to_string());
        self.schedule(Instant::now() + wait, Task::OpenAgents);
        self.drop_agents();
    }

    fn refuse_agents(&mut self, why: String) {
        self.send(Update::Agents(self.config.id, Err(why.clone())));
        self.warn(format!("guest agents are not asked: {why}"));
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

    /// The agent has just connected, or the guest has other NICs.
    pub(super) fn ask_agent_soon(&mut self, uuid: Uuid, now: Instant) {
        self.ask_agent_at(uuid, now, Pace::from(SOON));
    }

    fn ask_agent_at(&mut self, uuid: Uuid, now: Instant, pace: Pace) {
        // All are asked when the connection for agents is there.
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
        // It begins again when the agent, or the connection for agents, is back.
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
        // Without, it comes from a worker that is about to end.
        let Link::Up { connects, .. } = &self.agents else { return };
        if answer.is_err() && !connects.iter().all(|one| matches!(one.is_alive(), Ok(true))) {
            // It says nothing about the agent. If the main connection is lost too, there is an event for that.
            self.close_pool();
            self.schedule(now + SOON, Task::OpenAgents);
            return;
        }
        if answer == Err(Failure::NoTimeout) {
            self.refuse_agents(
                "the libvirt there can't limit the time that one takes; it needs 5.10 or newer"
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
