//! Which addresses that a guest is said to have are believed.

use std::net::IpAddr;

use guest_names::address::Address;

/// The heart's form of it; an IPv4 address that is written as an IPv6 one stays one of those, and is not
/// believed.
#[must_use]
pub fn address(address: IpAddr) -> Address {
    match address {
        IpAddr::V4(v4) => Address::V4(v4.octets()),
        IpAddr::V6(v6) => Address::V6(v6.octets()),
    }
}

/// Whether it can be the address of a guest, told by whomever: not unspecified (RFC 1122, 3.2.1.3: all of
/// 0.0.0.0/8), loopback, multicast, broadcast, IPv4 link-local (RFC 3927), IPv4-mapped (RFC 4291,
/// 2.5.5.2). IPv6 link-local ones depend on what is known of their scope.
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

    /// `core::net` is the oracle.
    #[test]
    fn as_core_has_it() {
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
