//! This host's neighbour table, which the kernel keeps: which MAC address answers for which IP address (ARP for IPv4,
//! neighbour discovery for IPv6).
//!
//! For a guest without an agent, it is the only source of addresses that the guest gave itself (SLAAC) or got from a DHCP
//! server other than libvirt's. Reading it needs no privileges.
//!
//! | module | purpose |
//! |---|---|
//! | `table` | the entries that the kernel reports, and which of them count; no I/O |
//! | `netlink` | the socket: the kernel's list of entries, and an event for each change |
//! | `ask` | makes the kernel probe an address |

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

/// Keeps the neighbours in [`Facts`] in step with the kernel's table.
pub struct Neighbours {
    /// `None` if the kernel's table can't be read.
    kernel: Option<(Socket, Asker)>,
    /// Whether the kernel is listing its table.
    is_listing: bool,
    /// Whether it has to be listed again.
    is_incomplete: bool,
}

impl Neighbours {
    /// Subscribes to the kernel's table. If that fails, logs a warning and reports no neighbours.
    #[must_use]
    pub fn new(log: Log) -> Self {
        let open = || Ok::<_, io::Error>((Socket::open()?, Asker::new()?));
        let kernel = open().map_err(|error| {
            log.warning(format!(
                "cannot read the kernel's neighbour table: {}; addresses that neither a lease nor an agent \
                 reports stay unknown",
                guest_store::reason(&error)
            ));
        });
        Self { kernel: kernel.ok(), is_listing: false, is_incomplete: true }
    }

    /// Readable when the kernel has sent something.
    #[must_use]
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.kernel.as_ref().map(|(socket, _)| socket.as_fd())
    }

    /// Applies what the kernel has sent, and has the kernel probe the addresses that are due.
    ///
    /// # Errors
    /// Reading the socket failed; it is closed then.
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
            // While the kernel is busy with one list, it refuses another request, so try again when that list ends.
            self.is_listing = socket.list().is_ok();
            self.is_incomplete = !self.is_listing;
        }
        for key in facts.neighbours_to_ask(now, hold) {
            asker.ask(key);
        }
        Ok(change)
    }
}
