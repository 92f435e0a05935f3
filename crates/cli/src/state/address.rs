//! Converts addresses between guest-names and std, and has MACs that can be sorted and printed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use guest_names::address::{Address, Mac};

pub(crate) fn to_std(address: Address) -> IpAddr {
    match address {
        Address::V4(octets) => IpAddr::V4(Ipv4Addr::from(octets)),
        Address::V6(octets) => IpAddr::V6(Ipv6Addr::from(octets)),
    }
}

pub(crate) fn from_std(address: IpAddr) -> Address {
    match address {
        IpAddr::V4(address) => Address::V4(address.octets()),
        IpAddr::V6(address) => Address::V6(address.octets()),
    }
}

/// Whether the address is only meaningful with an interface.
pub(crate) fn needs_scope(address: IpAddr) -> bool {
    from_std(address).is_link_local_v6()
}

/// For programs.
pub(crate) fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "ipv4" } else { "ipv6" }
}

/// A MAC that can be sorted and printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct MacAddress(pub(crate) [u8; 6]);

impl From<Mac> for MacAddress {
    fn from(mac: Mac) -> Self {
        Self(mac.0)
    }
}

impl std::fmt::Display for MacAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&Mac(self.0).to_text()))
    }
}
