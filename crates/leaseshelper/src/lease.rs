//! A lease as dnsmasq reports it.

/// A lease as dnsmasq reports it. Bytes that are not UTF-8 have become U+FFFD.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lease {
    /// The client's identity association, in decimal, after a `T` for a temporary address. IPv6 only.
    pub iaid: Option<String>,
    /// The IP address, as `inet_ntop` writes it.
    pub ip_address: String,
    /// The MAC, preceded by a hardware type if the network isn't Ethernet (`06-...`).
    pub mac_address: String,
    /// The host name without its domain.
    pub hostname: Option<String>,
    /// The network's domain, from `DNSMASQ_DOMAIN`.
    pub domain: Option<String>,
    /// IPv4: the client id. IPv6: the client's DUID.
    pub client_id: Option<String>,
    /// The DUID of dnsmasq itself. IPv6 only.
    pub server_duid: Option<String>,
    /// When the lease ends, in seconds since 1970; 0 means never.
    pub expiry_time: i64,
}

/// Whether this is an IPv6 address; everything else counts as IPv4, as it does for libvirt.
#[must_use]
pub fn is_ipv6(address: &str) -> bool {
    address.contains(':')
}
