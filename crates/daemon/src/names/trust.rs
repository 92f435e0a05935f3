//! Which of a guest's reported addresses and host names are believed.

use std::net::IpAddr;

use guest_names::address::{Address, Mac};
use guest_names::bridge::Bridge;
use guest_names::name::is_host_name;
use ipnet::IpNet;

use super::Input;
use super::connections::{bridge_of, guests, network_on};
use super::index::{AddressKey, Index, octets};
use crate::facts::{Connection, KnownGuest};
use crate::model::{Guest, Network, Nic, ReportedBy};

/// Converts an address to guest-names' type. An IPv4-mapped IPv6 address stays IPv6, and so is never believed.
#[must_use]
pub fn address(address: IpAddr) -> Address {
    match address {
        IpAddr::V4(v4) => Address::V4(v4.octets()),
        IpAddr::V6(v6) => Address::V6(v6.octets()),
    }
}

/// Whether any guest can have the address: not unspecified (RFC 1122, 3.2.1.3: all of
/// 0.0.0.0/8), loopback, multicast, broadcast, IPv4 link-local (RFC 3927), IPv4-mapped (RFC 4291,
/// 2.5.5.2). Whether IPv6 link-local addresses are believed depends on the NIC, so they count as possible.
#[must_use]
pub fn is_possible(address: Address) -> bool {
    match address {
        Address::V4([0 | 127 | 224..=239, ..] | [169, 254, ..] | [255, 255, 255, 255]) => false,
        Address::V4(_) => true,
        // ff00::/8; then ::, ::1, and ::ffff:0:0/96.
        Address::V6([0xff, ..]) => false,
        Address::V6(octets) => {
            let number = u128::from_be_bytes(octets);
            number > 1 && number >> 32 != 0xffff
        }
    }
}

/// The host name to use when an agent reports `reported`: its first label, if it is valid. dnsmasq does the same with DHCP
/// clients' names. The domain is the network's to choose: each name has an alias in it.
#[must_use]
pub fn agent_host_name(reported: &str) -> Option<&str> {
    let label = reported.split('.').next().unwrap_or(reported);
    is_host_name(label.as_bytes()).then_some(label)
}

/// Whether addresses on a network of the connection can be reached from this host.
pub(super) fn is_reachable(connection: &Connection, network: Option<&Network>) -> bool {
    let settings = &connection.settings;
    settings.here || settings.nat || network.is_some_and(|network| network.routed)
}

/// A guest's NIC, and where it is connected.
#[derive(Clone, Copy)]
pub(super) struct NicOf<'i> {
    pub(super) connection: &'i Connection,
    pub(super) guest: &'i Guest,
    pub(super) nic: &'i Nic,
    /// Its network, if it is known.
    pub(super) network: Option<&'i Network>,
    /// Its bridge on this host, or [`Bridge::NONE`].
    pub(super) bridge: Bridge,
}

impl<'i> NicOf<'i> {
    /// `None` if addresses on the NIC's network can't be reached from this host.
    pub(super) fn new(
        input: Input<'i>,
        connection: &'i Connection,
        known: &'i KnownGuest,
        nic: &'i Nic,
    ) -> Option<Self> {
        let of = Self::anywhere(input, connection, known, nic);
        let reachable = nic.network.is_none() || is_reachable(connection, of.network);
        reachable.then_some(of)
    }

    /// As [`NicOf::new`], but regardless of whether this host can reach the addresses.
    pub(super) fn anywhere(
        input: Input<'i>,
        connection: &'i Connection,
        known: &'i KnownGuest,
        nic: &'i Nic,
    ) -> Self {
        let here = connection.settings.here;
        let bridge = bridge_of(nic).filter(|_| here).unwrap_or(Bridge::NONE);
        let network = match &nic.network {
            Some(name) => connection.networks.iter().find(|one| one.name == *name),
            None if here => network_on(input.facts, bridge),
            None => None,
        };
        Self { connection, guest: &known.guest, nic, network, bridge }
    }

    fn is_here(&self) -> bool {
        self.connection.settings.here
    }

    /// Whether a guest on this NIC can have the address, as far as its networks are known.
    pub(super) fn can_have(&self, input: Input<'_>, ip: IpAddr) -> bool {
        let address = address(ip);
        if !is_possible(address) || input.host.has(ip) {
            return false;
        }
        let networks = &self.connection.networks;
        if networks.iter().flat_map(|network| &network.subnets).any(|subnet| subnet.addr() == ip) {
            // The network's gateway.
            return false;
        }
        let of_network = self.network.map_or(&[][..], |network| &network.subnets);
        let of_bridge = || input.host.subnets_on(self.bridge.as_bytes());
        if address.is_link_local_v6() {
            // fe80::/64 is on every link, but not on a bridge without IPv6.
            return self.bridge != Bridge::NONE
                && (of_bridge().any(|subnet| subnet.contains(&ip))
                    || (input.host.subnets.is_empty() && has_ipv6(of_network)));
        }
        if !of_network.is_empty() {
            return of_network.iter().any(|subnet| subnet.contains(&ip));
        }
        if self.bridge != Bridge::NONE {
            let same_family =
                |subnet: &&IpNet| subnet.addr().is_ipv4() == ip.is_ipv4() && !is_link_local(subnet);
            let mut subnets = of_bridge().filter(same_family).peekable();
            if subnets.peek().is_some() {
                return subnets.any(|subnet| subnet.contains(&ip));
            }
        }
        let configured = &self.connection.settings.subnets;
        configured.is_empty() || configured.iter().any(|subnet| subnet.contains(&ip))
    }
}

fn is_link_local(subnet: &IpNet) -> bool {
    match subnet {
        IpNet::V4(v4) => v4.addr().is_link_local(),
        IpNet::V6(v6) => v6.addr().is_unicast_link_local(),
    }
}

/// Whether the network has IPv6. If no subnet is known, it may.
fn has_ipv6(subnets: &[IpNet]) -> bool {
    subnets.is_empty() || subnets.iter().any(|subnet| subnet.addr().is_ipv6())
}

/// Whether an address is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Believed,
    Refused,
    /// Refused until another guest's lease ends, in seconds since the epoch.
    RefusedUntil(i64),
}

/// Decides whether reported addresses are believed.
pub(super) struct Trust<'i> {
    input: Input<'i>,
    index: &'i Index<'i>,
    claims: Claims,
    leases: ReportedLeases<'i>,
}

impl<'i> Trust<'i> {
    pub(super) fn new(input: Input<'i>, index: &'i Index<'i>) -> Self {
        Self { input, index, claims: Claims::new(input), leases: ReportedLeases::new(input) }
    }

    /// Whether to believe an agent or a neighbour table that reports the address on this NIC.
    pub(super) fn claim(&self, of: NicOf<'_>, ip: IpAddr) -> Verdict {
        if !of.can_have(self.input, ip) {
            return Verdict::Refused;
        }
        let address = address(ip);
        if self.claims.has_other(address, of.bridge, &of.guest.uuid) {
            return Verdict::Refused;
        }
        let lease = self.leased_to_another(address, Some(of.guest), of.is_here());
        match lease.or_else(|| self.leases.of_another(address, of)) {
            None => Verdict::Believed,
            Some(0) => Verdict::Refused,
            Some(expiry) => Verdict::RefusedUntil(expiry),
        }
    }

    /// Whether a lease gives the address to anyone but the NIC's guest.
    pub(super) fn is_leased_to_another(&self, of: NicOf<'_>, address: Address) -> bool {
        self.leased_to_another(address, Some(of.guest), of.is_here()).is_some()
            || self.leases.of_another(address, of).is_some()
    }

    /// When the lease in this host's state files ends that gives the address to anyone but `guest`; 0: never. `None` if there
    /// is no such lease. A guest that isn't `here`, on this host, has none of these leases.
    pub(super) fn leased_to_another(
        &self,
        address: Address,
        guest: Option<&Guest>,
        here: bool,
    ) -> Option<i64> {
        let guest = guest.filter(|_| here);
        let files = self.index.files;
        self.index.leases_with(address).iter().find_map(|&at| {
            let lease = self.index.lease(at)?;
            let own = guest.is_some_and(|guest| {
                let name = guest.name.as_bytes();
                has_nic_on(guest, lease.mac, files.bridge(lease.bridge))
                    || self
                        .index
                        .domains_of(lease.bridge, lease.mac)
                        .any(|(_, domain)| files.text(domain.name) == name)
            });
            (!own).then_some(lease.expiry)
        })
    }
}

/// Whether the guest has a NIC with this MAC address on the bridge. The same MAC on another bridge is another NIC.
fn has_nic_on(guest: &Guest, mac: Option<Mac>, bridge: Bridge) -> bool {
    let on = |nic: &Nic| nic.bridge.is_none() || bridge_of(nic) == Some(bridge);
    mac.is_some_and(|mac| guest.nics.iter().any(|nic| nic.mac == mac && on(nic)))
}

fn has_nic(guest: &Guest, mac: Option<Mac>) -> bool {
    mac.is_some_and(|mac| guest.nics.iter().any(|nic| nic.mac == mac))
}

/// A sort key for addresses. The same link-local address on two links is two addresses.
type LinkAddress = (AddressKey, Bridge);

fn link_address(address: Address, bridge: Bridge) -> LinkAddress {
    let bridge = if address.is_link_local_v6() { bridge } else { Bridge::NONE };
    (octets(address), bridge)
}

/// The addresses that agents report, each with the guest's UUID.
struct Claims(Vec<(LinkAddress, [u8; 16])>);

impl Claims {
    fn new(input: Input<'_>) -> Self {
        let mut claims = Vec::new();
        for (_, connection, known) in guests(input.facts) {
            for nic in &known.guest.nics {
                let agents = |reported: &&crate::model::ReportedAddress| {
                    reported.source == ReportedBy::Agent
                };
                if !nic.addresses.iter().any(|reported| agents(&reported)) {
                    continue;
                }
                let Some(of) = NicOf::new(input, connection, known, nic) else { continue };
                let own = nic.addresses.iter().filter(agents).map(|reported| reported.address);
                // A claim that can't be true must not take the address from its real owner.
                let own = own.filter(|&ip| of.can_have(input, ip));
                claims
                    .extend(own.map(|ip| (link_address(address(ip), of.bridge), known.guest.uuid)));
            }
        }
        claims.sort_unstable();
        claims.dedup();
        Self(claims)
    }

    /// Whether the agent of another guest reports the address too, so that it belongs to neither. Guests are compared by UUID,
    /// since during a migration one guest runs on two hosts.
    fn has_other(&self, address: Address, bridge: Bridge, uuid: &[u8; 16]) -> bool {
        let place = link_address(address, bridge);
        let from = self.0.partition_point(|(other, _)| *other < place);
        let rest = self.0.get(from..).unwrap_or(&[]);
        rest.iter().take_while(|(other, _)| *other == place).any(|(_, other)| other != uuid)
    }
}

/// The leases that libvirt reports for its networks.
struct ReportedLeases<'i>(Vec<(AddressKey, ReportedLease<'i>)>);

#[derive(Clone, Copy)]
struct ReportedLease<'i> {
    connection: &'i Connection,
    mac: Option<Mac>,
    expiry: i64,
}

impl<'i> ReportedLeases<'i> {
    fn new(input: Input<'i>) -> Self {
        let mut all = Vec::new();
        for connection in &input.facts.connections {
            let networks = connection.networks.iter();
            let networks = networks.filter(|network| is_reachable(connection, Some(network)));
            let leases = networks.flat_map(|network| &network.leases);
            let current = leases.filter(|lease| !input.has_expired(lease.expiry));
            all.extend(current.map(|lease| {
                let (mac, expiry) = (lease.mac, lease.expiry);
                (octets(address(lease.address)), ReportedLease { connection, mac, expiry })
            }));
        }
        all.sort_unstable_by_key(|&(place, _)| place);
        Self(all)
    }

    /// As [`Trust::leased_to_another`].
    fn of_another(&self, address: Address, of: NicOf<'_>) -> Option<i64> {
        let place = octets(address);
        let from = self.0.partition_point(|(other, _)| *other < place);
        let rest = self.0.get(from..).unwrap_or(&[]);
        let own = |lease: &ReportedLease<'_>| {
            std::ptr::eq(lease.connection, of.connection) && has_nic(of.guest, lease.mac)
        };
        rest.iter()
            .take_while(|(other, _)| *other == place)
            .find(|(_, lease)| !own(lease))
            .map(|(_, lease)| lease.expiry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn possible_addresses() {
        for text in [
            "192.168.122.5",
            "10.0.0.1",
            "8.8.8.8",
            "1.0.0.0",
            "223.255.255.255",
            "240.0.0.1",
            "169.253.0.1",
            "169.255.0.1",
            "255.255.255.254",
            "2001:db8::1",
            "fd00::1",
            "fe80::1",
            "::2",
            "::fffe:1.2.3.4",
        ] {
            assert!(is_possible(address(text.parse().unwrap())), "{text}");
        }
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "127.255.255.255",
            "224.0.0.1",
            "239.1.2.3",
            "255.255.255.255",
            "169.254.0.0",
            "169.254.255.255",
            "::",
            "::1",
            "ff02::1",
            "ff00::",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
        ] {
            assert!(!is_possible(address(text.parse().unwrap())), "{text}");
        }
    }

    /// `std::net` is the oracle.
    #[test]
    fn possible_addresses_as_std_classifies_them() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..200_000 {
            let v4 = std::net::Ipv4Addr::from(random.u32(..));
            let bad = v4.octets()[0] == 0
                || v4.is_loopback()
                || v4.is_multicast()
                || v4.is_broadcast()
                || v4.is_link_local();
            assert_eq!(is_possible(address(v4.into())), !bad, "{v4}");
            let mut octets = random.u128(..).to_be_bytes();
            let zeros = *random.choice(&[0, 10, 12, 15, 16]).unwrap();
            octets[..zeros].fill(0);
            if random.bool() && zeros == 12 {
                octets[10..12].fill(0xff);
            }
            let v6 = std::net::Ipv6Addr::from(octets);
            let bad = v6.is_unspecified()
                || v6.is_loopback()
                || v6.is_multicast()
                || v6.to_ipv4_mapped().is_some();
            assert_eq!(is_possible(address(v6.into())), !bad, "{v6}");
        }
    }
}
