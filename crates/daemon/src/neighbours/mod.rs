//! The kernel's neighbour table of this host: which address answers at which MAC address (ARP for IPv4, neighbour
//! discovery for IPv6).
//!
//! It is the only source for addresses that a guest gave itself (SLAAC), or that it has from a DHCP server of
//! somebody else's, where there is no agent in it. Reading it needs no privileges.
//!
//! | module | what it is |
//! |---|---|
//! | `table` | what the kernel reports, and which of it counts: values only |
//! | `netlink` | the socket: the kernel's list of entries, and an event for each change |
//! | `ask` | has the kernel confirm an address again |

pub mod ask;
pub mod netlink;
pub mod table;

use std::io;
use std::os::fd::AsFd as _;
use std::os::fd::BorrowedFd;

use self::ask::Asker;
use self::netlink::{Received, Socket};
use crate::facts::{Change, Facts, Millis};
use crate::service::log::Log;

/// Keeps the facts' neighbours as the kernel has them.
pub struct Neighbours {
    /// `None` where there is none to be had.
    kernel: Option<(Socket, Asker)>,
    /// The kernel is listing its table.
    is_listing: bool,
    /// It has to list it again.
    is_incomplete: bool,
}

impl Neighbours {
    /// Listens to the kernel. Where that can't be done the log says so, and nothing is known of neighbours.
    #[must_use]
    pub fn new(log: Log) -> Self {
        let open = || Ok::<_, io::Error>((Socket::open()?, Asker::new()?));
        let kernel = open().map_err(|error| {
            log.warning(format!(
                "cannot read the kernel's neighbour table: {}; addresses that neither a lease nor an agent \
                 gives are unknown",
                guest_store::reason(&error)
            ));
        });
        Self { kernel: kernel.ok(), is_listing: false, is_incomplete: true }
    }

    /// Readable when something has come.
    #[must_use]
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.kernel.as_ref().map(|(socket, _)| socket.as_fd())
    }

    /// Takes in what has come, and has the kernel ask about what is due.
    ///
    /// # Errors
    /// The socket's; it is closed then.
    pub fn run(&mut self, facts: &mut Facts, now: Millis, hold: Millis) -> io::Result<Change> {
        let mut change = Change::None;
        let Some((socket, asker)) = &mut self.kernel else { return Ok(change) };
        let received = match socket.take() {
            Ok(received) => received,
            Err(error) => {
                self.kernel = None;
                return Err(error);
            }
        };
        for one in received {
            match one {
                Received::Event(event) => {
                    change = change.max(facts.apply_neighbour(event, now, hold));
                }
                Received::Incomplete => self.is_incomplete = true,
                Received::ListEnd => {
                    self.is_listing = false;
                    if !self.is_incomplete {
                        change = change.max(facts.end_neighbours(now, hold));
                    }
                }
            }
        }
        if self.is_incomplete && !self.is_listing {
            facts.begin_neighbours();
            // While the kernel is busy with one list it refuses another, and ends that one first.
            self.is_listing = socket.list().is_ok();
            self.is_incomplete = !self.is_listing;
        }
        for key in facts.neighbours_to_ask(now, hold) {
            asker.ask(key);
        }
        Ok(change)
    }
}
