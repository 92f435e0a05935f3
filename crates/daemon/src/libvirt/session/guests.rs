//! The guests of a session: their XML, and their addresses in the host's ARP table.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::Instant;

use virt::domain::Domain;

use super::schedule::{Entry, Uuid};
use super::{SOON, Session, Task};
use crate::libvirt::error::{Error, is_unsupported, one_line, words};
use crate::libvirt::guest::Description;
use crate::libvirt::inbox::Inbox;
use crate::libvirt::pace::Pace;
use crate::libvirt::raw::{self, Asked};
use crate::libvirt::read::{self, Failed};
use crate::model::Update;

impl Session<'_> {
    /// Reads all running guests. Stops early if the keeper must end.
    pub(super) fn list_guests(&mut self, inbox: &Inbox) -> Result<(), virt::error::Error> {
        let mut gone: BTreeSet<Uuid> = self.kept.guests.keys().copied().collect();
        let mut lost = None;
        read::xml_of_each(&read::domains(&self.connect)?, |domain, xml| {
            match self.list_guest(domain, xml) {
                Ok(Some(uuid)) => {
                    gone.remove(&uuid);
                }
                Ok(None) => {}
                Err(error) => {
                    lost = Some(error);
                    return ControlFlow::Break(());
                }
            }
            if inbox.is_stopping() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if let Some(error) = lost {
            return Err(error);
        }
        for uuid in gone {
            self.kept.guests.remove(&uuid);
        }
        Ok(())
    }

    /// Reads one of the running domains. Returns its UUID, unless it has stopped in the meantime.
    fn list_guest(
        &mut self,
        domain: &Domain,
        xml: Result<String, virt::error::Error>,
    ) -> Result<Option<Uuid>, virt::error::Error> {
        let uuid = domain.uuid()?.into_bytes();
        match read::description(domain, xml, &mut self.kept.names) {
            Ok(None) => return Ok(None),
            Ok(Some(description)) => {
                self.describe(uuid, description);
            }
            Err(Failed::Call(error)) if !matches!(self.connect.is_alive(), Ok(true)) => {
                return Err(error);
            }
            Err(Failed::Call(error)) => {
                let name = domain.name().unwrap_or_default();
                let (name, why) = (one_line(&name), words(&error));
                self.warn(format!("cannot read the XML of domain {name}: {why}"));
            }
            Err(Failed::Odd(why)) => self.warn(why),
        }
        Ok(Some(uuid))
    }

    /// Reads a guest again, after an event that it changed.
    pub(super) fn refresh_guest(&mut self, uuid: Uuid) -> Result<(), Error> {
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

    /// Stores the description of a running guest. Returns whether it is new or has changed.
    pub(super) fn describe(&mut self, uuid: Uuid, description: Description) -> bool {
        let now = Instant::now();
        // It was restarted in the meantime; everything that was known is about the previous run.
        let entry = self.kept.guests.get(&uuid);
        if entry.is_some_and(|entry| entry.known.description.is_another_run(&description)) {
            self.kept.guests.remove(&uuid);
            self.send(Update::Gone(self.config.id, uuid));
        }
        let connected = description.agent_is_connected;
        let (is_new, was_connected, other_nics, changed);
        match self.kept.guests.get_mut(&uuid) {
            None => {
                (is_new, was_connected, other_nics, changed) = (true, false, true, true);
                self.kept.guests.insert(uuid, Entry::new(description));
            }
            Some(entry) => {
                is_new = false;
                let before = &entry.known.description;
                was_connected = before.agent_is_connected;
                other_nics = before.has_other_nics(&description);
                let mut differs = *before != description;
                entry.known.description = description;
                if !connected {
                    differs |= entry.known.silence();
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

    pub(super) fn ask_arp_soon(&mut self, uuid: Uuid, now: Instant) {
        self.ask_arp_at(uuid, now, Pace::from(SOON));
    }

    pub(super) fn ask_arp_at(&mut self, uuid: Uuid, now: Instant, pace: Pace) {
        if !self.has_arp {
            return;
        }
        if let Some(entry) = self.kept.guests.get_mut(&uuid) {
            entry.arp.pace = pace;
            entry.arp.due = Some(now);
            self.schedule(now, Task::AskArp(uuid));
        }
    }

    pub(super) fn ask_arp(&mut self, uuid: Uuid) -> Result<(), Error> {
        let Some(entry) = self.kept.guests.get_mut(&uuid) else { return Ok(()) };
        entry.arp.due = None;
        // Queries resume when the agent falls silent.
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
                self.warn(format!("cannot read the ARP table: {}", words(&error)));
                Ok(())
            }
            // The guest may have just stopped, for example. An event will report that.
            Err(error) => Err(self.failed("read the ARP table", error)),
        }
    }
}
