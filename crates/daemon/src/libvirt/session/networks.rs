//! The networks of a session.

use std::time::Instant;

use super::{Failed, RARELY, SOON, Session, Task};
use crate::libvirt::pace::Pace;
use crate::libvirt::read;
use crate::model::{Network, Update};

impl Session<'_> {
    pub(super) fn read_networks(&mut self) -> Result<Vec<Network>, virt::error::Error> {
        let mut warnings = Vec::new();
        let networks = read::networks(
            &self.connect,
            &mut self.has_leases,
            &self.kept.networks,
            &mut |warning| warnings.push(warning),
        );
        for warning in warnings {
            self.warn(warning);
        }
        networks
    }

    /// Reads the networks for the first time. If only that fails, those of the previous session are kept.
    ///
    /// # Errors
    /// The connection is lost.
    pub(super) fn begin_networks(&mut self) -> Result<(), virt::error::Error> {
        match self.read_networks() {
            Ok(networks) => {
                self.kept.networks = networks;
                self.kept.networks_retry = None;
                self.has_networks = true;
            }
            Err(error) if !matches!(self.connect.is_alive(), Ok(true)) => return Err(error),
            Err(error) => {
                let error = self.failed("list the networks", error);
                self.warn(error.to_string());
            }
        }
        Ok(())
    }

    /// Schedules the next read: there is no event for leases, nor for a stop of the network daemon behind this connection.
    pub(super) fn schedule_networks(&mut self) {
        let wait = if self.has_networks {
            self.networks_pace.wait(self.config.refresh)
        } else {
            let first = Pace::from(self.config.refresh);
            self.kept.networks_retry.get_or_insert(first).wait(RARELY)
        };
        let at = Instant::now() + wait;
        self.networks_due = Some(at);
        self.schedule(at, Task::Networks);
    }

    /// Reads the networks again, and sends them if they have changed.
    ///
    /// # Errors
    /// [`Failed::Reconnect`]: libvirt's modular daemons open a connection to the network daemon for each of their clients,
    /// and don't reopen it after the network daemon was restarted.
    pub(super) fn refresh_networks(&mut self) -> Result<(), Failed> {
        let networks = self
            .read_networks()
            .map_err(|error| Failed::Reconnect(self.failed("list the networks", error)))?;
        self.has_networks = true;
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

    /// Reads leases more often for a while: a guest has started, and will soon have a lease.
    pub(super) fn ask_leases_soon(&mut self, now: Instant) {
        if self.has_leases && self.networks_due.is_some() {
            self.networks_pace = Pace::from(SOON);
            let at = now + self.networks_pace.wait(self.config.refresh);
            self.networks_due = Some(at);
            self.schedule(at, Task::Networks);
        }
    }
}
