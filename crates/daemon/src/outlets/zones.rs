//! The DNS zones of guests' names and addresses.

use std::collections::BTreeSet;
use std::net::IpAddr;

use guest_names::name::is_host_name;
use guest_store::contents::Contents;
use ipnet::IpNet;

use super::answers::in_domain;
use crate::facts::Facts;
use crate::host::Host;

/// Zones, in lower case and without a trailing dot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Zones {
    /// The zone that every guest has a name in.
    pub zone: String,
    /// The domains of networks, in ascending order. They may be public domains with other names in them, so guests' names in
    /// them are published, but other names aren't denied.
    pub domains: BTreeSet<String>,
    /// Those domains for which libvirt's own dnsmasq is the only server (`<domain localOnly='yes'/>`).
    pub local_domains: BTreeSet<String>,
    /// The reverse zones of this host's networks.
    pub reverse: BTreeSet<String>,
}

impl Zones {
    /// The zones of the known networks and leases.
    #[must_use]
    pub fn of(zone: &str, files: &Contents, facts: &Facts, host: &Host) -> Self {
        let mut zones = Self { zone: zone.to_ascii_lowercase(), ..Self::default() };
        let networks =
            || facts.connections.iter().flat_map(|connection| connection.networks.iter());
        for network in networks() {
            if let Some(domain) = network.domain.as_deref().and_then(domain) {
                if network.domain_is_local {
                    zones.local_domains.insert(domain.clone());
                }
                zones.domains.insert(domain);
            }
        }
        for lease in &files.leases {
            let text = std::str::from_utf8(files.text(lease.domain)).ok();
            // Nearly always it is already known, so check before converting it.
            if text.is_some_and(|text| !text.is_empty() && !zones.domains.contains(text)) {
                zones.domains.extend(text.and_then(domain));
            }
        }
        let here = facts.connections.iter().filter(|connection| connection.settings.here);
        let mut named = BTreeSet::new();
        for network in here.flat_map(|connection| &connection.networks) {
            if let (Some(bridge), false) = (&network.bridge, network.subnets.is_empty()) {
                named.insert(bridge.as_bytes());
                zones.add_reverse(&network.subnets);
            }
        }
        // Bridges that have leases, but that no connection reports with subnets.
        let bridges = files.bridges().map(|bridge| files.bridge(bridge));
        for bridge in bridges.filter(|bridge| !named.contains(bridge.as_bytes())) {
            zones.add_reverse(host.subnets_on(bridge.as_bytes()));
        }
        zones
    }

    fn add_reverse<'s>(&mut self, subnets: impl IntoIterator<Item = &'s IpNet>) {
        self.reverse.extend(subnets.into_iter().flat_map(reverse_zones));
    }

    /// Whether a name is below one of the zones or domains.
    #[must_use]
    pub fn have(&self, name: &str) -> bool {
        let is_below = |domain: &String| in_domain(name, domain) && name.len() > domain.len();
        is_below(&self.zone) || self.domains.iter().any(is_below)
    }

    /// All zones that only contain guests' names: forward zones, the main zone first, then reverse zones.
    pub fn own(&self) -> impl Iterator<Item = &str> {
        let is_new = |domain: &&String| !in_domain(domain, &self.zone);
        let domains = self.local_domains.iter().filter(is_new);
        std::iter::once(&self.zone).chain(domains).chain(&self.reverse).map(String::as_str)
    }

    /// [`Zones::own`] as lines of dnsmasq's `servers-file` (dnsmasq(8)): dnsmasq answers names in these zones only from the
    /// hosts file.
    #[must_use]
    pub fn servers(&self) -> Vec<u8> {
        self.own().flat_map(|zone| format!("server=/{zone}/\n").into_bytes()).collect()
    }
}

/// A network's domain in lower case, if it is valid.
fn domain(text: &str) -> Option<String> {
    let domain = text.trim_end_matches('.').to_ascii_lowercase();
    is_host_name(domain.as_bytes()).then_some(domain)
}

/// The reverse zones (RFC 1035, 3.5; RFC 3596, 2.5) that together cover exactly the subnet: one if the prefix ends between
/// two labels, else up to 128.
fn reverse_zones(subnet: &IpNet) -> Vec<String> {
    let (octets, bits, suffix) = match subnet.network() {
        IpAddr::V4(address) => (address.octets().to_vec(), 8, "in-addr.arpa"),
        IpAddr::V6(address) => (address.octets().to_vec(), 4, "ip6.arpa"),
    };
    let length = usize::from(subnet.prefix_len());
    if length == 0 || subnet.network().is_loopback() || is_link_local(subnet.network()) {
        return Vec::new();
    }
    let labels: Vec<u32> = octets
        .iter()
        .flat_map(|&octet| match bits {
            8 => vec![u32::from(octet)],
            _ => vec![u32::from(octet >> 4), u32::from(octet & 15)],
        })
        .collect();
    let whole = length.div_ceil(bits);
    let count = 1 << (whole * bits - length);
    let label = |label: u32| if bits == 8 { format!("{label}.") } else { format!("{label:x}.") };
    let (last, upper) = labels[..whole].split_last().map_or((0, &[][..]), |(l, u)| (*l, u));
    let upper: String = upper.iter().rev().map(|&one| label(one)).collect();
    (last..last + count).map(|last| format!("{}{upper}{suffix}", label(last))).collect()
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.segments()[0] & 0xffc0 == 0xfe80,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reverse_zones_are_exactly_the_subnet() {
        let zones = |subnet: &str| reverse_zones(&subnet.parse().unwrap());
        assert_eq!(zones("192.168.122.1/24"), ["122.168.192.in-addr.arpa"]);
        assert_eq!(zones("10.0.0.1/8"), ["10.in-addr.arpa"]);
        assert_eq!(
            zones("172.16.0.1/14"),
            [
                "16.172.in-addr.arpa",
                "17.172.in-addr.arpa",
                "18.172.in-addr.arpa",
                "19.172.in-addr.arpa"
            ]
        );
        assert_eq!(zones("10.0.0.6/31"), ["6.0.0.10.in-addr.arpa", "7.0.0.10.in-addr.arpa"]);
        assert_eq!(zones("10.1.2.3/32"), ["3.2.1.10.in-addr.arpa"]);
        assert_eq!(zones("fd00:122::1/64"), ["0.0.0.0.0.0.0.0.2.2.1.0.0.0.d.f.ip6.arpa"]);
        assert_eq!(zones("fd00::1/7"), ["c.f.ip6.arpa", "d.f.ip6.arpa"]);
        for none in ["0.0.0.0/0", "::/0", "fe80::1/64", "127.0.0.1/8", "169.254.0.1/16"] {
            assert!(zones(none).is_empty(), "{none}");
        }
    }

    #[test]
    fn names_in_zones() {
        let zones = Zones {
            zone: "vm.internal".into(),
            domains: ["lab.example".into(), "x.vm.internal".into()].into(),
            local_domains: ["lab.example".into(), "x.vm.internal".into()].into(),
            reverse: ["10.in-addr.arpa".into()].into(),
        };
        for name in ["web.vm.internal", "a.b.vm.internal", "web.lab.example"] {
            assert!(zones.have(name), "{name}");
        }
        for name in ["vm.internal", "web", "xvm.internal", "web.example", "internal"] {
            assert!(!zones.have(name), "{name}");
        }
        let servers = String::from_utf8(zones.servers()).unwrap();
        assert_eq!(
            servers,
            "server=/vm.internal/\nserver=/lab.example/\nserver=/10.in-addr.arpa/\n"
        );
    }
}
