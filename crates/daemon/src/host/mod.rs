//! What this host's kernel knows about its own network. From that follows which addresses no guest can have, and which ones
//! a guest on a bridge can have.

mod routes;

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use ipnet::IpNet;

use crate::service::log::Log;
use routes::Events;

/// The state of the routing tables at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// The host's own addresses, including broadcast addresses, in ascending order.
    pub addresses: Vec<IpAddr>,
    /// The gateways of its routes, in ascending order.
    pub gateways: Vec<IpAddr>,
    /// Destinations that an interface reaches without a gateway, in the order of the interfaces' names.
    pub subnets: Vec<(String, IpNet)>,
}

impl Host {
    /// Whether the address belongs to this host or to a gateway.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        self.addresses.binary_search(&address).is_ok()
            || self.gateways.binary_search(&address).is_ok()
    }

    /// The subnets on an interface.
    pub fn subnets_on(&self, interface: &[u8]) -> impl Iterator<Item = &IpNet> {
        let from = self.subnets.partition_point(|(name, _)| name.as_bytes() < interface);
        let rest = self.subnets.get(from..).unwrap_or(&[]);
        rest.iter()
            .take_while(move |(name, _)| name.as_bytes() == interface)
            .map(|(_, subnet)| subnet)
    }
}

/// How long to wait after a change before the routes are read: a router has many, and they may change all the time.
const PAUSE: Duration = Duration::from_millis(200);

/// Follows the kernel's routes.
pub struct Watch {
    log: Log,
    /// `None` if the kernel's routes can't be read.
    events: Option<Events>,
    /// When to read the routes, if that is due.
    due: Option<Instant>,
}

impl Watch {
    /// The first read is due at once. If the kernel's routes can't be read, logs a warning and reports none.
    #[must_use]
    pub fn new(log: Log) -> Self {
        let mut watch = Self { log, events: None, due: None };
        match Events::open() {
            Ok(events) => {
                watch.events = Some(events);
                watch.due = Some(Instant::now());
            }
            Err(error) => watch.give_up(&error),
        }
        watch
    }

    /// Readable when something has changed.
    #[must_use]
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.events.as_ref().map(|events| events.as_fd())
    }

    /// When [`Watch::take`] next has something to do, if nothing else happens.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// The routes, if they may have changed.
    pub fn take(&mut self) -> Option<Host> {
        let changed = match self.events.as_ref()?.take() {
            Ok(changed) => changed,
            Err(error) => {
                self.give_up(&error);
                return Some(Host::default());
            }
        };
        let now = Instant::now();
        if changed {
            self.due = self.due.or(Some(now + PAUSE));
        }
        self.due.filter(|&due| due <= now)?;
        self.due = None;
        match routes::read() {
            Ok(host) => Some(host),
            Err(error) => {
                self.give_up(&error);
                Some(Host::default())
            }
        }
    }

    fn give_up(&mut self, error: &io::Error) {
        self.log.warning(format!(
            "cannot read the kernel's routes: {}; until the daemon is restarted, agents' reports \
             are not checked against this host's addresses, gateways and bridges' subnets",
            guest_store::reason(error)
        ));
        (self.events, self.due) = (None, None);
    }
}
