//! Reads the kernel's neighbour table over rtnetlink(7): a list of all entries, and an event for each change.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use guest_names::address::Mac;
use netlink_packet_core::NetlinkPayload;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use rustix::io::Errno;
use rustix::net::netdevice::index_to_name;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{RecvFlags, SocketFlags, recvfrom};

use super::table::{Entry, Event, Interface};
use crate::rtnetlink::{DATAGRAM_MAX, Messages, open, request_list};

/// The bit for RTNLGRP_NEIGH, group 3, in a socket's address.
const NEIGHBOUR_GROUP: u32 = 1 << 2;

/// A received message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// An entry, from the list or because it has changed.
    Event(Event),
    /// The end of the list.
    ListEnd,
    /// The kernel's table changed while it was being listed, or events were lost: it must be listed again.
    Incomplete,
}

/// A socket that receives every change of the kernel's neighbour table.
pub struct Socket {
    fd: OwnedFd,
    buffer: Vec<u8>,
}

impl Socket {
    /// Opens the socket. From now on no change is missed; [`Socket::list`] requests the entries that already exist.
    ///
    /// # Errors
    /// Out of descriptors; AF_NETLINK is forbidden (a sandbox).
    pub fn open() -> io::Result<Self> {
        let fd = open(NEIGHBOUR_GROUP, SocketFlags::NONBLOCK)?;
        Ok(Self { fd, buffer: vec![0; DATAGRAM_MAX] })
    }

    /// Asks the kernel to list all its entries.
    ///
    /// # Errors
    /// The kernel's error, such as when it is busy with an earlier list.
    pub fn list(&self) -> io::Result<()> {
        request_list(&self.fd, RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default()), 0)
    }

    /// Reads everything that has arrived.
    ///
    /// # Errors
    /// The kernel's error.
    pub fn take(&mut self) -> io::Result<Vec<Received>> {
        let mut received = Vec::new();
        loop {
            let from = match recvfrom(&self.fd, self.buffer.as_mut_slice(), RecvFlags::empty()) {
                Ok((_, length, from)) => (length, from),
                Err(Errno::AGAIN) => return Ok(received),
                Err(Errno::INTR) => continue,
                Err(Errno::NOBUFS) => {
                    received.push(Received::Incomplete);
                    continue;
                }
                Err(errno) => return Err(errno.into()),
            };
            let (length, sender) = from;
            let sender = sender.and_then(|sender| SocketAddrNetlink::try_from(sender).ok());
            // Only the kernel has port 0; anyone else's messages are ignored.
            if sender.is_some_and(|sender| sender.pid() == 0) {
                let bytes = self.buffer.get(..length).unwrap_or_default();
                read(bytes, |index| interface(&self.fd, index), &mut received);
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The interface with this index, if it still exists.
fn interface(socket: &OwnedFd, index: u32) -> Option<Interface> {
    let name = index_to_name(socket, index).ok()?;
    let is_bridge = Path::new("/sys/class/net").join(&name).join("bridge").is_dir();
    Some(Interface { name: name.into(), is_bridge })
}

/// Reads the messages in one datagram. `interface` returns the interface with an index.
fn read(bytes: &[u8], interface: impl Fn(u32) -> Option<Interface>, received: &mut Vec<Received>) {
    for message in Messages(bytes) {
        let Ok(message) = message else {
            received.push(Received::Incomplete);
            return;
        };
        match message.payload {
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewNeighbour(neighbour)) => {
                received.extend(event(&neighbour, &interface).map(Received::Event));
            }
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelNeighbour(neighbour)) => {
                let key = key(&neighbour);
                received
                    .extend(key.map(|key| Received::Event(Event { key, entry: Entry::Deleted })));
            }
            NetlinkPayload::Done(_) => received.push(Received::ListEnd),
            NetlinkPayload::Error(_) | NetlinkPayload::Overrun(_) => {
                received.push(Received::Incomplete);
            }
            _ => {}
        }
        if message.is_interrupted {
            received.push(Received::Incomplete);
        }
    }
}

/// `None` for entries of other tables, and for proxy entries, which are addresses on other links.
fn key(neighbour: &NeighbourMessage) -> Option<(u32, IpAddr)> {
    if neighbour.header.flags.contains(NeighbourFlags::Proxy) {
        return None;
    }
    neighbour.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => {
            Some((neighbour.header.ifindex, (*address).into()))
        }
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => {
            Some((neighbour.header.ifindex, (*address).into()))
        }
        _ => None,
    })
}

fn event(
    neighbour: &NeighbourMessage,
    interface: impl Fn(u32) -> Option<Interface>,
) -> Option<Event> {
    let key = key(neighbour)?;
    let is_confirmed = match neighbour.header.state {
        NeighbourState::Reachable | NeighbourState::Permanent => true,
        NeighbourState::Stale | NeighbourState::Delay | NeighbourState::Probe => false,
        NeighbourState::Failed => return Some(Event { key, entry: Entry::Failed }),
        // Not resolved yet (INCOMPLETE), or never resolved (NOARP: multicast, for example).
        _ => return None,
    };
    let mac = neighbour.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::LinkLayerAddress(bytes) => bytes.as_slice().try_into().ok().map(Mac),
        _ => None,
    })?;
    let interface = interface(key.0)?;
    Some(Event { key, entry: Entry::Resolved { mac, interface, is_confirmed } })
}
