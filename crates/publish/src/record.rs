//! The DNS records that the publisher writes.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The label that is put before a name for the name of its ownership record.
///
/// The TXT record has a separate name, so that others can put any records, including TXT, beside a guest's addresses.
const OWNER_LABEL: &str = "_libvirt-nss";

/// The start of an ownership record's text; the host's name follows.
const OWNER_TEXT: &str = "libvirt-nss host=";

/// The longest domain name in a message, in bytes (RFC 1035, section 2.3.4).
const NAME_MAX: usize = 255;

/// A record's type and data.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DnsRecord {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// The name of an address, in lower case and without the final dot.
    Ptr(String),
}

impl DnsRecord {
    /// The type's name.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::A(_) => "A",
            Self::Aaaa(_) => "AAAA",
            Self::Ptr(_) => "PTR",
        }
    }

    /// The size of the data in a message in bytes, without compression.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::A(_) => 4,
            Self::Aaaa(_) => 16,
            Self::Ptr(name) => name.len() + 2,
        }
    }
}

impl From<IpAddr> for DnsRecord {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::A(address),
            IpAddr::V6(address) => Self::Aaaa(address),
        }
    }
}

/// As in a zone file: `A 192.0.2.1`.
impl fmt::Display for DnsRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::A(address) => write!(f, "A {address}"),
            Self::Aaaa(address) => write!(f, "AAAA {address}"),
            Self::Ptr(name) => write!(f, "PTR {name}."),
        }
    }
}

/// The error for text that is not one of these records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotADnsRecord;

impl FromStr for DnsRecord {
    type Err = NotADnsRecord;

    fn from_str(text: &str) -> Result<Self, NotADnsRecord> {
        let (kind, data) = text.trim().split_once(char::is_whitespace).ok_or(NotADnsRecord)?;
        let data = data.trim();
        match kind {
            "A" => data.parse().map(Self::A).map_err(|_| NotADnsRecord),
            "AAAA" => data.parse().map(Self::Aaaa).map_err(|_| NotADnsRecord),
            "PTR" => Ok(Self::Ptr(canonical(data))),
            _ => Err(NotADnsRecord),
        }
    }
}

/// A name in lower case without the final dot.
#[must_use]
pub fn canonical(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// Whether a name is the zone's name or below it. Both must be canonical.
#[must_use]
pub fn is_in_zone(name: &str, zone: &str) -> bool {
    name.strip_suffix(zone).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// The name of the ownership record for a name.
#[must_use]
pub fn owner_name(name: &str) -> String {
    format!("{OWNER_LABEL}.{name}")
}

/// The name that an ownership record is about; `None` for other names.
#[must_use]
pub fn owned_name(owner_name: &str) -> Option<&str> {
    owner_name.strip_prefix(OWNER_LABEL)?.strip_prefix('.')
}

/// Whether the name is short enough for its ownership record's name to be valid.
#[must_use]
pub fn can_be_owned(name: &str) -> bool {
    OWNER_LABEL.len() + 1 + name.len() + 2 <= NAME_MAX
}

/// The text of the ownership record of a host.
#[must_use]
pub fn owner_text(host: &str) -> String {
    format!("{OWNER_TEXT}{host}")
}

/// The host that an ownership record names: the data of a TXT record as dig(1) prints it.
#[must_use]
pub fn owner_of(data: &str) -> Option<&str> {
    data.trim().strip_prefix('"')?.strip_suffix('"')?.strip_prefix(OWNER_TEXT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_parsed_and_formatted() {
        for text in ["A 192.0.2.1", "AAAA 2001:db8::1", "PTR web.site.example."] {
            assert_eq!(text.parse::<DnsRecord>().unwrap().to_string(), text);
        }
        assert_eq!(
            "PTR\t Web.Site.Example.".parse(),
            Ok(DnsRecord::Ptr("web.site.example".into()))
        );
        for text in ["", "A", "A 1.2.3", "MX 10 a.", "AAAA x"] {
            assert_eq!(text.parse::<DnsRecord>(), Err(NotADnsRecord), "{text}");
        }
        assert_eq!(owner_of(&format!("\"{}\"", owner_text("alpha"))), Some("alpha"));
        assert_eq!(owner_of("\"v=spf1\""), None);
        assert_eq!(owned_name(&owner_name("web.site.example")), Some("web.site.example"));
        assert_eq!(owned_name("web.site.example"), None);
    }

    #[test]
    fn names_in_a_zone() {
        assert!(is_in_zone("web.site.example", "site.example"));
        assert!(is_in_zone("site.example", "site.example"));
        assert!(!is_in_zone("website.example", "site.example"));
        assert!(!is_in_zone("web.other.example", "site.example"));
        assert!(can_be_owned(&"a".repeat(240)));
        assert!(!can_be_owned(&"a".repeat(241)));
    }
}
