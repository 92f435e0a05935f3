//! Addresses: of guests (IPv4, IPv6) and of their network interfaces (MAC).

/// An address family that a look-up can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `AF_INET`: 4 bytes.
    V4,
    /// `AF_INET6`: 16 bytes.
    V6,
}

/// A guest's address, in network byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// IPv4.
    V4([u8; 4]),
    /// IPv6.
    V6([u8; 16]),
}

impl Address {
    /// Parses an `ip-address` as inet_pton(3) does. One exception: an IPv6 address can end in a dotted quad only if
    /// inet_ntop(3) would write one (`::/80`), as look-ups by address rely on how a text ends.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        if has(text, b':') {
            let octets = parse_v6(text)?.to_be_bytes();
            let good = !has(text, b'.') || starts_with_80_zero_bits(octets);
            return good.then_some(Self::V6(octets));
        }
        Some(Self::V4(parse_v4(text)?.to_be_bytes()))
    }

    /// The family.
    #[inline]
    #[must_use]
    pub fn family(&self) -> Family {
        match self {
            Self::V4(_) => Family::V4,
            Self::V6(_) => Family::V6,
        }
    }

    /// 4 or 16 bytes, in network byte order.
    #[inline]
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        match self {
            Self::V4(octets) => octets,
            Self::V6(octets) => octets,
        }
    }

    /// The octets, for IPv4 followed by zeros.
    #[must_use]
    pub fn padded(&self) -> [u8; 16] {
        match *self {
            Self::V4([a, b, c, d]) => [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            Self::V6(octets) => octets,
        }
    }

    /// Whether it is an IPv6 link-local address (`fe80::/10`), which means nothing without a scope.
    #[must_use]
    pub fn is_link_local_v6(&self) -> bool {
        matches!(self, Self::V6([0xfe, second, ..]) if second & 0xc0 == 0x80)
    }
}

#[allow(clippy::manual_contains, reason = "core's vector search is larger than a short text needs")]
fn has(text: &[u8], byte: u8) -> bool {
    text.iter().any(|&one| one == byte)
}

pub(crate) fn starts_with_80_zero_bits(octets: [u8; 16]) -> bool {
    u128::from_be_bytes(octets) >> 48 == 0
}

/// Four decimal numbers up to 255, without leading zeros. (The compiler can't prove that the parsers of `core::net` don't
/// panic.)
#[inline(never)] // in all, 2 KB less code
fn parse_v4(text: &[u8]) -> Option<u32> {
    let mut address = 0;
    let mut rest = text;
    for at in 0..4 {
        if at > 0 {
            rest = rest.strip_prefix(b".")?;
        }
        if matches!(rest, [b'0', b'0'..=b'9', ..]) {
            return None;
        }
        let (octet, behind) = number(rest, 10, 3)?;
        address = address << 8 | u32::from(u8::try_from(octet).ok()?);
        rest = behind;
    }
    rest.is_empty().then_some(address)
}

/// RFC 4291, 2.2: groups of up to four hexadecimal digits, one run of zeros as `::`; the last two groups may be a dotted
/// quad.
#[inline(never)] // in all, 2 KB less code
fn parse_v6(text: &[u8]) -> Option<u128> {
    let (mut groups, mut count) = (0u128, 0);
    // The groups before the "::"; `groups` are then those after it.
    let mut front = None;
    let mut rest = text;
    loop {
        if let Some(behind) = rest.strip_prefix(b"::") {
            if front.is_some() {
                return None;
            }
            front = Some((groups, count));
            groups = 0;
            rest = behind;
            if rest.is_empty() {
                break;
            }
        } else if count > 0 {
            rest = rest.strip_prefix(b":")?;
        }
        if let Some(quad) = parse_v4(rest) {
            groups = groups << 32 | u128::from(quad);
            count += 2;
            break;
        }
        let (group, behind) = number(rest, 16, 4)?;
        groups = groups << 16 | u128::from(group);
        count += 1;
        rest = behind;
        if rest.is_empty() {
            break;
        }
    }
    match front {
        None => (count == 8).then_some(groups),
        // "::" stands for one group at least.
        Some(_) if count > 7 => None,
        Some((front, before)) => Some(front.checked_shl(128 - 16 * before).unwrap_or(0) | groups),
    }
}

/// The number of up to `most` digits that `text` begins with, and the text after it.
#[inline(never)] // in all, 2 KB less code
fn number(text: &[u8], radix: u8, most: usize) -> Option<(u32, &[u8])> {
    let (mut value, mut count) = (0, 0);
    while let Some(digit) = text.get(count).and_then(|&byte| hex(byte)).filter(|&d| d < radix) {
        value = value * u32::from(radix) + u32::from(digit);
        count += 1;
        if count > most {
            return None;
        }
    }
    if count == 0 { None } else { Some((value, text.get(count..)?)) }
}

/// An Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Parses `52:54:00:68:7e:fb`, in either case, with or without the hardware type that dnsmasq writes before addresses
    /// that aren't Ethernet's (`06-52:54:00:68:7e:fb`; dnsmasq, `print_mac`).
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let digits = match text {
            [a, b, b'-', rest @ ..] if hex(*a).is_some() && hex(*b).is_some() => rest,
            _ => text,
        };
        if digits.len() != 17 {
            return None;
        }
        let mut mac = [0; 6];
        for (octet, triple) in mac.iter_mut().zip(digits.chunks(3)) {
            // Only the last has no colon: there are 17 characters.
            let (&[high, low] | &[high, low, b':']) = triple else { return None };
            *octet = hex(high)? << 4 | hex(low)?;
        }
        Some(Self(mac))
    }

    /// The octets as a number, most significant first. Comparing numbers takes a fraction of the time of comparing arrays.
    #[must_use]
    pub const fn number(self) -> u64 {
        let [a, b, c, d, e, f] = self.0;
        u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }

    /// The canonical text: lower case, colons.
    #[must_use]
    #[inline(never)] // in all, 2 KB less code
    pub fn to_text(self) -> [u8; 17] {
        let mut text = [b':'; 17];
        for (triple, octet) in text.chunks_mut(3).zip(self.0) {
            if let [high, low, ..] = triple {
                [*high, *low] = hex_digits(octet);
            }
        }
        text
    }
}

/// The value of a hexadecimal digit.
#[inline(never)] // in all, 2 KB less code
pub(crate) fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// An octet as two hexadecimal digits, in lower case.
#[must_use]
pub fn hex_digits(octet: u8) -> [u8; 2] {
    [digit(octet >> 4), digit(octet & 0xf)]
}

/// The lower-case hexadecimal digit of a value below 16.
pub(crate) fn digit(value: u8) -> u8 {
    match value {
        0..=9 => b'0' + value,
        _ => b'a' + (value & 0xf) - 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;

    #[test]
    fn addresses() {
        assert_eq!(Address::parse(b"192.168.122.7"), Some(Address::V4([192, 168, 122, 7])));
        let v6 = Address::parse(b"2001:DB8::1").unwrap();
        assert_eq!(v6.octets()[..4], [0x20, 1, 0xd, 0xb8]);
        assert!(Address::parse(b"::ffff:1.2.3.4").is_some());
        for bad in [
            "",
            "1.2.3",
            "1.2.3.4.5",
            "01.2.3.4",
            "256.1.1.1",
            "2001:db8::1.2.3.4",
            "::g",
            "1.2.3.4 ",
            "fe80::1%2",
        ] {
            assert_eq!(Address::parse(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(Address::parse(b"\xff"), None);
    }

    /// `core::net` is the oracle, on texts that are nearly addresses.
    #[test]
    fn reads_what_core_reads() {
        use core::net::IpAddr;
        let pieces = [
            "0", "1", "01", "255", "256", ".", ".", ":", ":", "::", "f", "ABCD", "12345",
            "1.2.3.4", "%", " ",
        ];
        let mut random = Random::new(5);
        let mut good = 0;
        for _ in 0..200_000 {
            let text: String = (0..1 + random.below(16)).map(|_| *random.pick(&pieces)).collect();
            let expected = text.parse::<IpAddr>().ok().filter(|address| match address {
                IpAddr::V4(_) => true,
                IpAddr::V6(v6) => !text.contains('.') || starts_with_80_zero_bits(v6.octets()),
            });
            let expected = expected.map(|address| match address {
                IpAddr::V4(v4) => Address::V4(v4.octets()),
                IpAddr::V6(v6) => Address::V6(v6.octets()),
            });
            good += u32::from(expected.is_some());
            assert_eq!(Address::parse(text.as_bytes()), expected, "{text}");
        }
        assert!(good > 1000, "hardly an address among them: {good}");
    }

    #[test]
    fn link_local() {
        assert!(Address::parse(b"fe80::1").unwrap().is_link_local_v6());
        assert!(Address::parse(b"febf::1").unwrap().is_link_local_v6());
        assert!(!Address::parse(b"fec0::1").unwrap().is_link_local_v6());
        assert!(!Address::parse(b"169.254.0.1").unwrap().is_link_local_v6());
    }

    #[test]
    fn macs() {
        let mac = Mac([0x52, 0x54, 0, 0x68, 0x7e, 0xfb]);
        for text in ["52:54:00:68:7e:fb", "52:54:00:68:7E:FB", "06-52:54:00:68:7e:fb"] {
            assert_eq!(Mac::parse(text.as_bytes()), Some(mac), "{text}");
        }
        for bad in [
            "",
            "52:54:00:68:7e",
            "52:54:00:68:7e:fb:",
            "52:54:00:68:7e:fb:00",
            "52-54-00-68-7e-fb",
            "5254.0068.7efb",
            "gg:54:00:68:7e:fb",
        ] {
            assert_eq!(Mac::parse(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(&mac.to_text(), b"52:54:00:68:7e:fb");
    }
}
