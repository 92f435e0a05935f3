//! The list in dnsmasq's own format, which dnsmasq reads from `init` when it starts (`read_leases` in its
//! `lease.c`):
//!
//! ```text
//! EXPIRY MAC IP HOSTNAME|* CLIENTID|*
//! duid SERVERDUID
//! EXPIRY IAID IP HOSTNAME|* CLIENTID|*
//! ```
//!
//! IPv4 leases come first, then the server's DUID and the IPv6 leases, which are left out if no DUID is known.
//!
//! dnsmasq splits its input at white space. A guest chooses its host name, and dnsmasq passes on what it received, so a
//! name with a newline in it could forge a lease. Whatever dnsmasq would not read back as one word is left out.

use std::fmt::Write as _;

use crate::lease::is_ipv6;
use crate::leases::server_duid;
use crate::record::{LeaseRecord, Members};

/// The longest words, in bytes, that dnsmasq reads.
mod longest {
    /// A MAC, an IAID or a host name.
    pub(super) const NAME: usize = 255;
    /// An IP address.
    pub(super) const ADDRESS: usize = 64;
    /// A client id or DUID: 255 bytes in hexadecimal.
    pub(super) const ID: usize = 764;
}

/// What `init` prints.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// The lines for dnsmasq.
    pub text: Vec<u8>,
    /// A message for each lease that is left out because dnsmasq could not read it.
    pub left_out: Vec<String>,
}

/// Formats the leases. `server_duid_reported` is the DUID from dnsmasq's environment, if it was set.
#[must_use]
pub fn lines(records: &[LeaseRecord], server_duid_reported: Option<&str>) -> Lines {
    let mut text = String::new();
    let mut left_out = Vec::new();
    let mut print = |text: &mut String, record: &LeaseRecord, id: &str| {
        if line(text, record, id).is_none() {
            left_out.push(format!(
                "dnsmasq can't be given the lease of {}: its {id} or its address is missing or is not one word",
                record.ip_address.as_bytes().escape_ascii()
            ));
        }
    };
    for record in records.iter().filter(|record| !is_ipv6(&record.ip_address)) {
        print(&mut text, record, "mac-address");
    }
    if let Some(duid) =
        server_duid(records, server_duid_reported).and_then(|duid| word(duid, longest::ID))
    {
        writeln!(text, "duid {duid}").expect("writing to a String succeeds");
        for record in records.iter().filter(|record| is_ipv6(&record.ip_address)) {
            print(&mut text, record, "iaid");
        }
    }
    Lines { text: text.into_bytes(), left_out }
}

fn line(out: &mut String, record: &LeaseRecord, id: &str) -> Option<()> {
    let members = Members::read(&record.text)?;
    let expiry = members.number("expiry-time")?;
    let id = members.string(id)?;
    let id = word(&id, longest::NAME)?;
    let address = word(&record.ip_address, longest::ADDRESS)?;
    let hostname = members.string("hostname").unwrap_or_default();
    let hostname = word(&hostname, longest::NAME).unwrap_or("*");
    let client_id = members.string("client-id").unwrap_or_default();
    let client_id = word(&client_id, longest::ID).unwrap_or("*");
    writeln!(out, "{expiry} {id} {address} {hostname} {client_id}").ok()
}

/// The value, if dnsmasq would read it back unchanged.
fn word(value: &str, longest: usize) -> Option<&str> {
    let one_word = !value.bytes().any(|byte| byte <= b' ' || byte == 0x7f);
    (one_word && !value.is_empty() && value.len() <= longest).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::Lease;

    fn lines(leases: &[Lease], reported: Option<&str>) -> (String, usize) {
        let records: Vec<LeaseRecord> = leases.iter().map(LeaseRecord::new).collect();
        let lines = super::lines(&records, reported);
        (String::from_utf8(lines.text).expect("UTF-8"), lines.left_out.len())
    }

    fn ipv4() -> Lease {
        Lease {
            ip_address: "192.168.122.5".into(),
            mac_address: "52:54:00:00:00:01".into(),
            hostname: Some("web".into()),
            client_id: Some("01:02".into()),
            expiry_time: 1_900_000_000,
            ..Lease::default()
        }
    }

    fn ipv6() -> Lease {
        Lease { iaid: Some("T7".into()), ip_address: "fd00::5".into(), ..ipv4() }
    }

    #[test]
    fn ipv4_first_then_the_duid_and_ipv6() {
        let known = Lease {
            server_duid: Some("00:02".into()),
            hostname: None,
            client_id: None,
            expiry_time: 0,
            ..ipv6()
        };
        let expected = "1900000000 52:54:00:00:00:01 192.168.122.5 web 01:02\n\
                        duid 00:02\n1900000000 T7 fd00::5 web 01:02\n0 T7 fd00::5 * *\n";
        assert_eq!(lines(&[ipv6(), known, ipv4()], None), (expected.into(), 0));
    }

    #[test]
    fn no_ipv6_without_a_duid() {
        assert_eq!(lines(&[ipv6()], None), (String::new(), 0));
        assert_eq!(lines(&[ipv6()], Some("9")).0, "duid 9\n1900000000 T7 fd00::5 web 01:02\n");
        assert_eq!(lines(&[], Some("9")).0, "duid 9\n");
    }

    #[test]
    fn a_guest_cannot_add_a_line() {
        let longest = "x".repeat(255);
        let too_long = "x".repeat(256);
        for (name, shown) in [
            ("", "*"),
            ("a b", "*"),
            ("a *\n0 52:54:00:00:00:99 192.168.122.9 victim *", "*"),
            ("a\tb", "*"),
            ("a\u{b}b", "*"),
            ("a\u{7f}b", "*"),
            ("café", "café"),
            (&*longest, &*longest),
            (&*too_long, "*"),
        ] {
            let lease =
                Lease { hostname: Some(name.into()), client_id: Some(name.into()), ..ipv4() };
            let id = if name == too_long { name } else { shown };
            let expected = format!("1900000000 52:54:00:00:00:01 192.168.122.5 {shown} {id}\n");
            assert_eq!(lines(&[lease], None), (expected, 0), "{name:?}");
        }
    }

    #[test]
    fn a_lease_without_its_id_is_left_out_and_reported() {
        let no_mac = Lease { mac_address: String::new(), ..ipv4() };
        let no_iaid = Lease { iaid: None, ..ipv6() };
        let bad_address = Lease { ip_address: "1 2".into(), ..ipv4() };
        let (text, left_out) = lines(&[no_mac, ipv4(), bad_address, no_iaid], Some("9"));
        assert_eq!(text, "1900000000 52:54:00:00:00:01 192.168.122.5 web 01:02\nduid 9\n");
        assert_eq!(left_out, 3);
        let lease = ipv4();
        let record = LeaseRecord::new(&lease);
        let text = record.text.replace("mac-address", "other").into();
        let other = LeaseRecord { text, ..record };
        assert_eq!(super::lines(&[other], None).left_out.len(), 1);
    }
}
