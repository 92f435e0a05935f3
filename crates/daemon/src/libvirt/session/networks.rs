//! The networks of a session.

use std::time::Instant;

use super::{SOON, Session, Task};
use crate::libvirt::error::Error;
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

    /// Asks again where the driver tells of no changes, or for leases, of which none does.
    pub(super) fn schedule_networks(&mut self) {
        if self.has_leases || !self.subscription.tells_networks {
            let at = Instant::now() + self.networks_pace.wait(self.config.refresh);
            self.networks_due = Some(at);
            self.schedule(at, Task::Networks);
        }
    }

    pub(super) fn refresh_networks(&mut self) -> Result<(), Error> {
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

    /// A guest has come, so its lease is about to.
    pub(super) fn ask_leases_soon(&mut self, now: Instant) {
        if self.has_leases && self.networks_due.is_some() {
            self.networks_pace = Pace::from(SOON);
            let at = now + self.networks_pace.wait(self.config.refresh);
            self.networks_due = Some(at);
            self.schedule(at, Task::Networks);
        }
    }
}
