//! Reads the kernel's routing tables over rtnetlink(7): all routes at once, and an event when one changes.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use ipnet::IpNet;
use netlink_packet_core::NetlinkPayload;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteNextHop, RouteType, RouteVia,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rustix::io::Errno;
use rustix::net::netdevice::index_to_name;
use rustix::net::{RecvFlags, SocketFlags, recv};

use super::Host;
use crate::rtnetlink::{DATAGRAM_MAX, Messages, open, request_list};

/// The bits for RTNLGRP_IPV4_ROUTE, group 7, and RTNLGRP_IPV6_ROUTE, group 11.
const ROUTE_GROUPS: u32 = 1 << 6 | 1 << 10;

/// How often to list the routes again if they change in the meantime.
const ATTEMPTS: u32 = 8;

/// A socket that is readable when a route has changed.
pub(super) struct Events(OwnedFd);

impl Events {
    /// Opens the socket. From now on no change is missed.
    ///
    /// # Errors
    /// Out of descriptors; AF_NETLINK is forbidden (a sandbox).
    pub(super) fn open() -> io::Result<Self> {
        open(ROUTE_GROUPS, SocketFlags::NONBLOCK).map(Self)
    }

    /// Discards the events that have arrived. Returns whether there were any; [`read`] finds out what has changed.
    ///
    /// # Errors
    /// The kernel's error.
    pub(super) fn take(&self) -> io::Result<bool> {
        let (mut any, mut byte) = (false, [0]);
        loop {
            match recv(&self.0, &mut byte, RecvFlags::TRUNC) {
                // There were too many events, and some are lost.
                Ok(_) | Err(Errno::NOBUFS) => any = true,
                Err(Errno::AGAIN) => return Ok(any),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Reads all routes.
///
/// # Errors
/// The errors of [`Events::open`], and the kernel's.
pub(super) fn read() -> io::Result<Host> {
    let socket = open(0, SocketFlags::empty())?;
    for attempt in 1..=ATTEMPTS {
        request_list(&socket, RouteNetlinkMessage::GetRoute(RouteMessage::default()), attempt)?;
        if let Some(routes) = receive(&socket, attempt)? {
            return Ok(host(&routes, |index| index_to_name(&socket, index).ok()));
        }
    }
    Err(io::Error::other("the routing tables keep changing"))
}

/// Receives the routes of one list; `None` if they changed in the meantime. The kernel produces each part of the list when
/// it is read, so this doesn't block.
fn receive(socket: &OwnedFd, sequence: u32) -> io::Result<Option<Vec<RouteMessage>>> {
    let (mut routes, mut changed) = (Vec::new(), false);
    let mut buffer = vec![0; DATAGRAM_MAX];
    loop {
        let length = match recv(socket, buffer.as_mut_slice(), RecvFlags::empty()) {
            Ok((_, length)) => length,
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(errno.into()),
        };
        for message in Messages(buffer.get(..length).unwrap_or_default()) {
            let message = message?;
            changed |= message.is_interrupted;
            match message.payload {
                // The rest of an earlier list that was abandoned.
                _ if message.sequence != sequence => {}
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewRoute(route)) => {
                    routes.push(route);
                }
                NetlinkPayload::Done(_) => return Ok((!changed).then_some(routes)),
                NetlinkPayload::Error(error) => return Err(error.to_io()),
                _ => {}
            }
        }
    }
}

/// Evaluates the routes. `name` returns the name of the interface with an index.
fn host(routes: &[RouteMessage], name: impl Fn(u32) -> Option<String>) -> Host {
    let mut host = Host::default();
    let mut names = HashMap::new();
    for route in routes {
        let mut gateways = gateways(&route.attributes).peekable();
        let is_direct = gateways.peek().is_none();
        host.gateways.extend(gateways);
        let Some(subnet) = destination(route) else { continue };
        match route.header.kind {
            // Only of single addresses: the loopback interface has a route to all of 127.0.0.0/8.
            RouteType::Local | RouteType::Broadcast | RouteType::Anycast
                if subnet.prefix_len() == subnet.max_prefix_len() =>
            {
                host.addresses.push(subnet.addr());
            }
            // Neither a default route nor IPv6's multicast route, which each interface has.
            RouteType::Unicast
                if is_direct && subnet.prefix_len() > 0 && !subnet.addr().is_multicast() =>
            {
                for index in interfaces(&route.attributes) {
                    let name = names.entry(index).or_insert_with(|| name(index));
                    host.subnets.extend(name.clone().map(|name| (name, subnet)));
                }
            }
            _ => {}
        }
    }
    host.addresses.sort_unstable();
    host.addresses.dedup();
    host.gateways.sort_unstable();
    host.gateways.dedup();
    host.subnets.sort_unstable();
    host.subnets.dedup();
    host
}

fn destination(route: &RouteMessage) -> Option<IpNet> {
    let address = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(address) => ip(address),
        _ => None,
    });
    let unspecified = match route.header.address_family {
        AddressFamily::Inet => IpAddr::from([0; 4]),
        AddressFamily::Inet6 => IpAddr::from([0; 16]),
        _ => return None,
    };
    let prefix = route.header.destination_prefix_length;
    IpNet::new(address.unwrap_or(unspecified), prefix).ok()
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some((*v4).into()),
        RouteAddress::Inet6(v6) => Some((*v6).into()),
        _ => None,
    }
}

/// The attributes of the route and, if there are several next hops, those of each.
fn all(attributes: &[RouteAttribute]) -> impl Iterator<Item = &RouteAttribute> {
    let hops = attributes.iter().flat_map(|attribute| match attribute {
        RouteAttribute::MultiPath(hops) => hops.as_slice(),
        _ => &[],
    });
    attributes.iter().chain(hops.flat_map(|hop: &RouteNextHop| &hop.attributes))
}

fn gateways(attributes: &[RouteAttribute]) -> impl Iterator<Item = IpAddr> {
    all(attributes).filter_map(|attribute| match attribute {
        RouteAttribute::Gateway(address) => ip(address),
        RouteAttribute::Via(RouteVia::Inet(v4)) => Some((*v4).into()),
        RouteAttribute::Via(RouteVia::Inet6(v6)) => Some((*v6).into()),
        _ => None,
    })
}

/// The indices of the route's interfaces.
fn interfaces(attributes: &[RouteAttribute]) -> impl Iterator<Item = u32> {
    attributes.iter().flat_map(|attribute| match attribute {
        RouteAttribute::Oif(index) => vec![*index],
        RouteAttribute::MultiPath(hops) => hops.iter().map(|hop| hop.interface_index).collect(),
        _ => Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(kind: RouteType, to: &str, attributes: &[RouteAttribute]) -> RouteMessage {
        let to: IpNet = to.parse().unwrap();
        let mut route = RouteMessage::default();
        route.header.kind = kind;
        route.header.destination_prefix_length = to.prefix_len();
        route.header.address_family =
            if to.addr().is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        if to.prefix_len() > 0 {
            route.attributes.push(RouteAttribute::Destination(to.addr().into()));
        }
        route.attributes.extend_from_slice(attributes);
        route
    }

    fn via(address: &str) -> RouteAttribute {
        RouteAttribute::Gateway(address.parse::<IpAddr>().unwrap().into())
    }

    fn hop(index: u32, attributes: &[RouteAttribute]) -> RouteNextHop {
        let mut hop = RouteNextHop::default();
        hop.interface_index = index;
        hop.attributes = attributes.to_vec();
        hop
    }

    #[test]
    fn addresses_gateways_and_subnets() {
        use RouteType::{Anycast, Broadcast, Local, Multicast, Unicast};
        let on = RouteAttribute::Oif;
        let hops = vec![hop(2, &[via("10.0.0.1")]), hop(3, &[via("10.0.0.9")])];
        let direct_hops = vec![hop(2, &[]), hop(3, &[])];
        let routes = [
            route(Unicast, "0.0.0.0/0", &[via("192.168.1.1"), on(1)]),
            route(Unicast, "::/0", &[via("fe80::1"), on(1)]),
            route(Unicast, "10.9.0.0/16", &[RouteAttribute::MultiPath(hops)]),
            route(
                Unicast,
                "10.8.0.0/16",
                &[RouteAttribute::Via(RouteVia::Inet6("fe80::2".parse().unwrap())), on(1)],
            ),
            route(Unicast, "10.7.0.0/16", &[RouteAttribute::MultiPath(direct_hops)]),
            route(Unicast, "192.168.1.0/24", &[on(1)]),
            route(Unicast, "192.168.1.0/24", &[on(1)]),
            route(Unicast, "fd00::/64", &[on(1)]),
            route(Unicast, "0.0.0.0/0", &[on(4)]),
            route(Unicast, "ff00::/8", &[on(1)]),
            route(Unicast, "10.6.0.0/16", &[on(9)]),
            route(Multicast, "ff00::/8", &[on(1)]),
            route(Local, "127.0.0.0/8", &[on(5)]),
            route(Local, "192.168.1.2/32", &[on(1)]),
            route(Broadcast, "192.168.1.255/32", &[on(1)]),
            route(Local, "fd00::2/128", &[on(1)]),
            route(Anycast, "fd00::/128", &[on(1)]),
            route(RouteType::Unreachable, "10.5.0.0/16", &[]),
        ];
        let names = |index| (index < 9).then(|| format!("if{index}"));
        let host = host(&routes, names);
        let texts = |addresses: &[IpAddr]| -> Vec<String> {
            addresses.iter().map(ToString::to_string).collect()
        };
        assert_eq!(texts(&host.addresses), ["192.168.1.2", "192.168.1.255", "fd00::", "fd00::2"]);
        let gateways = ["10.0.0.1", "10.0.0.9", "192.168.1.1", "fe80::1", "fe80::2"];
        assert_eq!(texts(&host.gateways), gateways);
        let subnets = host.subnets.iter().map(|(name, subnet)| format!("{name} {subnet}"));
        assert_eq!(
            subnets.collect::<Vec<_>>(),
            ["if1 192.168.1.0/24", "if1 fd00::/64", "if2 10.7.0.0/16", "if3 10.7.0.0/16"]
        );
        assert!(host.has("192.168.1.1".parse().unwrap()) && host.has("fd00::2".parse().unwrap()));
        assert!(!host.has("192.168.1.3".parse().unwrap()));
        assert_eq!(host.subnets_on(b"if1").count(), 2);
        assert_eq!(host.subnets_on(b"if").count(), 0);
    }

    #[test]
    fn this_kernels_routes() {
        let host = read().unwrap();
        assert!(host.has("127.0.0.1".parse().unwrap()), "{host:?}");
        Events::open().unwrap().take().unwrap();
    }
}
