//! Makes the kernel check whether a neighbour still answers for an address.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};

use super::table::Key;

/// RFC 863: whatever is sent to this port is discarded.
const DISCARD: u16 = 9;

/// Sends empty datagrams. When the kernel sends one to an address whose entry is STALE, it probes the address (RFC 4861,
/// 7.3.3; its ARP does the same). It doesn't matter whether anything listens on the port.
pub struct Asker {
    v4: UdpSocket,
    v6: Option<UdpSocket>,
}

impl Asker {
    /// Opens two sockets, or one if the kernel has no IPv6.
    ///
    /// # Errors
    /// Out of descriptors.
    pub fn new() -> io::Result<Self> {
        let v4 = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        v4.set_nonblocking(true)?;
        let v6 = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).ok();
        if let Some(v6) = &v6 {
            v6.set_nonblocking(true)?;
        }
        Ok(Self { v4, v6 })
    }

    /// Has the kernel probe an address; the result appears in its table. If nothing can be sent (the route is gone, a packet
    /// filter), the address isn't confirmed and stops counting.
    pub fn ask(&self, (interface, address): Key) {
        let (socket, to) = match (address, &self.v6) {
            (IpAddr::V4(v4), _) => (&self.v4, SocketAddr::from((v4, DISCARD))),
            (IpAddr::V6(v6), Some(socket)) => {
                let scope = if v6.is_unicast_link_local() { interface } else { 0 };
                (socket, SocketAddrV6::new(v6, DISCARD, 0, scope).into())
            }
            (IpAddr::V6(_), None) => return,
        };
        let _ = socket.send_to(&[], to);
    }
}
