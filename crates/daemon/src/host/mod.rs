//! What this host's kernel knows of its own network: what no guest's address can be, and which addresses a
//! guest on a bridge can have.

mod routes;

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use ipnet::IpNet;

use crate::service::log::Log;
use routes::Events;

/// As of one look at the routing tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// The host's own addresses, broadcast addresses among them, in ascending order.
    pub addresses: Vec<IpAddr>,
    /// The gateways of its routes, in ascending order.
    pub gateways: Vec<IpAddr>,
    /// Destinations that an interface reaches without a gateway, in the order of the interfaces' names.
    pub subnets: Vec<(String, IpNet)>,
}

impl Host {
    /// Whether the address is the host's own, or a gateway's.
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

/// After a change the routes are read at most once in that time: a router has many, and they may change all the
/// time.
const PAUSE: Duration = Duration::from_millis(200);

/// Keeps up with the kernel's routes.
pub struct Watch {
    log: Log,
    /// `None` where the kernel doesn't report changes.
    events: Option<Events>,
    /// When the routes are to be read, if they are.
    due: Option<Instant>,
}

impl Watch {
    /// The first look is due at once. Where the kernel can't be asked the log says so, and nothing is known of
    /// its routes.
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

    /// When there is something to do, if nothing else happens.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// The routes, if they may be others than before.
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
            "cannot read the kernel's routes: {}; agents may report addresses of this host, of its gateways and \
             outside of its bridges' subnets until the daemon is restarted",
            guest_store::reason(error)
        ));
        (self.events, self.due) = (None, None);
    }
}
