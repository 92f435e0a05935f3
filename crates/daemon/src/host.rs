//! What this host's kernel knows of its own network: what no guest's address can be, and which addresses a
//! guest on a bridge can have.

use std::net::IpAddr;

use ipnet::IpNet;

/// As of one look at the routing tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// The host's own addresses, in ascending order.
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
