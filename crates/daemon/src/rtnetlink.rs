//! rtnetlink(7): sockets, requests for lists, and the messages in a datagram.

use std::io;
use std::os::fd::OwnedFd;

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, bind, sendto, socket_with};

/// When the kernel sends a list, its datagrams are at most 32 KiB long, unless a longer buffer was used before.
pub(crate) const DATAGRAM_MAX: usize = 32 << 10;

/// The length of a message's header, and the alignment of messages.
const HEADER: usize = 16;
const ALIGNMENT: usize = 4;

/// linux/netlink.h: the list is inconsistent, because the table changed in the meantime.
const NLM_F_DUMP_INTR: u16 = 0x10;

/// Opens a socket that receives the events of these groups (a bit mask).
///
/// # Errors
/// Out of descriptors; AF_NETLINK is forbidden (a sandbox).
pub(crate) fn open(groups: u32, flags: SocketFlags) -> io::Result<OwnedFd> {
    let flags = flags | SocketFlags::CLOEXEC;
    // No protocol is needed, since NETLINK_ROUTE is 0.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    if groups != 0 {
        bind(&socket, &SocketAddrNetlink::new(0, groups))?;
    }
    Ok(socket)
}

/// Requests a list from the kernel, with this sequence number in its messages.
///
/// # Errors
/// The kernel's error, such as when it is busy with an earlier list.
pub(crate) fn request_list(
    socket: &OwnedFd,
    message: RouteNetlinkMessage,
    sequence: u32,
) -> io::Result<()> {
    let mut header = NetlinkHeader::default();
    (header.flags, header.sequence_number) = (NLM_F_REQUEST | NLM_F_DUMP, sequence);
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    sendto(socket, &bytes, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    Ok(())
}

/// One message.
pub(crate) struct Message {
    pub(crate) payload: NetlinkPayload<RouteNetlinkMessage>,
    /// The sequence number of the request; 0 for an event.
    pub(crate) sequence: u32,
    /// Whether the message is part of an inconsistent list.
    pub(crate) is_interrupted: bool,
}

/// The messages in a datagram, up to the first invalid one.
pub(crate) struct Messages<'d>(pub(crate) &'d [u8]);

impl Iterator for Messages<'_> {
    type Item = io::Result<Message>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.len() < HEADER {
            return None;
        }
        let message = match NetlinkMessage::<RouteNetlinkMessage>::deserialize(self.0) {
            Ok(message) => message,
            Err(error) => {
                self.0 = &[];
                return Some(Err(io::Error::other(error)));
            }
        };
        let NetlinkHeader { length, flags, sequence_number, .. } = message.header;
        let next = (length as usize).next_multiple_of(ALIGNMENT);
        self.0 = self.0.get(next.max(HEADER)..).unwrap_or_default();
        Some(Ok(Message {
            payload: message.payload,
            sequence: sequence_number,
            is_interrupted: flags & NLM_F_DUMP_INTR != 0,
        }))
    }
}
