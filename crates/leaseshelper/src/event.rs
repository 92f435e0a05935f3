//! What one call of the helper asks for: the command line and the environment that dnsmasq gives its
//! `--dhcp-script` (dnsmasq(8); its `helper.c` sets the variables), read as libvirt's own helper reads them.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::bridge::Bridge;
use crate::error::Error;
use crate::lease::Lease;

/// One call of the helper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// `--help`.
    Help,
    /// `--version`.
    Version,
    /// `init`: dnsmasq starts and asks for the leases that it has given out.
    Init(Init),
    /// `add`, `old` or `del`: a lease is new, renewed or gone.
    Change(Change),
    /// One of dnsmasq's other actions, such as the end of a TFTP transfer. No lease changes.
    Unrelated,
}

/// dnsmasq's request for the known leases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Init {
    /// The bridge whose list is printed.
    pub bridge: Bridge,
    /// `DNSMASQ_SERVER_DUID`; if it isn't set, the one in the list is used.
    pub server_duid: Option<String>,
}

/// A change of a bridge's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The bridge whose list changes.
    pub bridge: Bridge,
    /// The IP address whose lease is removed. `None`: every lease stays.
    pub remove: Option<String>,
    /// The lease that is added at the end. `None` for `del`, and for a client without a MAC.
    pub add: Option<Lease>,
    /// `DNSMASQ_SERVER_DUID`, for IPv6 leases that old helpers wrote without it.
    pub server_duid: Option<String>,
}

impl Event {
    /// Reads the command line, which starts with the program's name, and the environment. `now` is the time in
    /// seconds since 1970.
    ///
    /// # Errors
    /// [`Error::Usage`], [`Error::NoBridge`], [`Error::BadBridge`], [`Error::UnknownAction`],
    /// [`Error::NoAddress`], [`Error::BadSeconds`]. If several apply, it is the one that libvirt's helper would report.
    pub fn read(
        arguments: &[OsString],
        variable: impl Fn(&str) -> Option<OsString>,
        now: i64,
    ) -> Result<Self, Error> {
        match arguments.get(1).map(|first| first.as_bytes()) {
            Some(b"--help") => return Ok(Self::Help),
            Some(b"--version") => return Ok(Self::Version),
            // dnsmasq runs its script for each TFTP transfer, and logs it if the script fails.
            Some(b"tftp" | b"arp-add" | b"arp-del" | b"relay-snoop") => return Ok(Self::Unrelated),
            _ => {}
        }
        let (action, client, address, hostname) = match arguments {
            [_, action] => (action, None, None, None),
            [_, action, client, address] => (action, Some(client), Some(address), None),
            [_, action, client, address, hostname] => {
                (action, Some(client), Some(address), Some(hostname))
            }
            _ => return Err(Error::Usage(arguments.first().cloned().unwrap_or_default())),
        };
        // dnsmasq does not know the interface of a lease that expired while dnsmasq was down.
        let bridge = variable("DNSMASQ_INTERFACE")
            .filter(|name| !name.is_empty())
            .or_else(|| variable("VIR_BRIDGE_NAME"))
            .ok_or(Error::NoBridge)?;
        let bridge = Bridge::new(bridge)?;
        let server_duid = variable("DNSMASQ_SERVER_DUID").map(text);
        let address = address.cloned().map(text);
        match action.as_bytes() {
            b"init" => return Ok(Self::Init(Init { bridge, server_duid })),
            b"del" => {
                return Ok(Self::Change(Change {
                    bridge,
                    remove: address,
                    add: None,
                    server_duid,
                }));
            }
            b"add" | b"old" => {}
            _ => return Err(Error::UnknownAction(action.clone())),
        }

        let iaid = variable("DNSMASQ_IAID");
        let (mac, client_id) = match iaid {
            Some(_) => (variable("DNSMASQ_MAC"), client.cloned()),
            None => (client.cloned(), variable("DNSMASQ_CLIENT_ID")),
        };
        let Some(mac) = mac else {
            // The MAC of a DHCPv6 client isn't always known, and libvirt's readers need one in each record.
            return Ok(Self::Change(Change { bridge, remove: None, add: None, server_duid }));
        };
        let ip_address = address.ok_or(Error::NoAddress)?;
        let lease = Lease {
            iaid: iaid.map(text),
            ip_address: ip_address.clone(),
            mac_address: text(mac),
            hostname: hostname
                .cloned()
                .or_else(|| variable("DNSMASQ_SUPPLIED_HOSTNAME"))
                .or_else(|| variable("DNSMASQ_OLD_HOSTNAME"))
                .map(text),
            domain: variable("DNSMASQ_DOMAIN").filter(|name| !name.is_empty()).map(text),
            client_id: client_id.map(text),
            server_duid: server_duid.clone(),
            expiry_time: expiry_time(variable, now)?,
        };
        Ok(Self::Change(Change { bridge, remove: Some(ip_address), add: Some(lease), server_duid }))
    }
}

fn text(value: OsString) -> String {
    String::from_utf8(value.into_vec())
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// When the lease ends: `DNSMASQ_LEASE_EXPIRES`, unless dnsmasq was built for a machine whose clock doesn't survive a
/// reboot (`HAVE_BROKEN_RTC`). Such a dnsmasq gives the length and, unless it is 0, the time that remains.
fn expiry_time(variable: impl Fn(&str) -> Option<OsString>, now: i64) -> Result<i64, Error> {
    /// An unlimited lease in DHCP (RFC 2131, section 3.3).
    const UNLIMITED: i64 = 0xffff_ffff;
    let read = |name| variable(name).map(|value| seconds(name, value)).transpose();
    if let Some(expiry) = read("DNSMASQ_LEASE_EXPIRES")? {
        return Ok(expiry);
    }
    match read("DNSMASQ_LEASE_LENGTH")? {
        None | Some(0 | UNLIMITED) => Ok(0),
        Some(length) => Ok(now.saturating_add(read("DNSMASQ_TIME_REMAINING")?.unwrap_or(length))),
    }
}

/// Reads a decimal number as `strtoll` does, but allows white space after it (dnsmasq up to 2.51 wrote a space).
fn seconds(variable: &'static str, value: OsString) -> Result<i64, Error> {
    let spaceless = value.as_bytes().trim_ascii_end();
    let start = spaceless.iter().position(|byte| !matches!(byte, b' ' | b'\t'..=b'\r'));
    std::str::from_utf8(&spaceless[start.unwrap_or(spaceless.len())..])
        .ok()
        .and_then(|number| number.parse().ok())
        .ok_or(Error::BadSeconds { variable, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    type Variables<'a> = &'a [(&'a str, &'a str)];

    fn read(arguments: &[&str], variables: Variables) -> Result<Event, Error> {
        let arguments: Vec<OsString> =
            ["helper"].iter().chain(arguments).map(OsString::from).collect();
        let variable = |name: &str| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
        };
        Event::read(&arguments, variable, 1_000_000)
    }

    fn change(arguments: &[&str], variables: Variables) -> Change {
        match read(arguments, variables) {
            Ok(Event::Change(change)) => change,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_ipv4_lease() {
        let change = change(
            &["add", "52:54:00:00:00:01", "192.168.122.5", "web"],
            &[
                ("DNSMASQ_INTERFACE", "virbr0"),
                ("VIR_BRIDGE_NAME", "virbr9"),
                ("DNSMASQ_CLIENT_ID", "01:52"),
                ("DNSMASQ_SUPPLIED_HOSTNAME", "other"),
                ("DNSMASQ_DOMAIN", "lab"),
                ("DNSMASQ_LEASE_EXPIRES", "1900000000 "),
            ],
        );
        assert_eq!(change.bridge.name(), "virbr0");
        assert_eq!(change.remove.as_deref(), Some("192.168.122.5"));
        let lease = Lease {
            ip_address: "192.168.122.5".into(),
            mac_address: "52:54:00:00:00:01".into(),
            hostname: Some("web".into()),
            domain: Some("lab".into()),
            client_id: Some("01:52".into()),
            expiry_time: 1_900_000_000,
            ..Lease::default()
        };
        assert_eq!(change.add, Some(lease));
    }

    #[test]
    fn an_ipv6_lease() {
        let change = change(
            &["old", "00:01:ab", "fd00::5"],
            &[
                ("VIR_BRIDGE_NAME", "virbr0"),
                ("DNSMASQ_IAID", "T7"),
                ("DNSMASQ_MAC", "52:54:00:00:00:01"),
                ("DNSMASQ_CLIENT_ID", "unused"),
                ("DNSMASQ_SERVER_DUID", "00:02"),
                ("DNSMASQ_OLD_HOSTNAME", "former"),
            ],
        );
        let lease = change.add.expect("a lease");
        assert_eq!(lease.iaid.as_deref(), Some("T7"));
        assert_eq!(lease.mac_address, "52:54:00:00:00:01");
        assert_eq!(lease.client_id.as_deref(), Some("00:01:ab"));
        assert_eq!(lease.server_duid.as_deref(), Some("00:02"));
        assert_eq!(lease.hostname.as_deref(), Some("former"));
        assert_eq!(lease.domain, None);
        assert_eq!(lease.expiry_time, 0);
    }

    #[test]
    fn a_client_without_a_mac_changes_nothing() {
        let change = change(
            &["add", "00:01:ab", "fd00::5"],
            &[
                ("DNSMASQ_INTERFACE", "virbr0"),
                ("DNSMASQ_IAID", "7"),
                ("DNSMASQ_LEASE_EXPIRES", "x"),
            ],
        );
        assert_eq!((change.remove, change.add), (None, None));
    }

    #[test]
    fn the_action_alone() {
        let bridge: Variables = &[("DNSMASQ_INTERFACE", "virbr0")];
        assert!(matches!(read(&["init"], bridge), Ok(Event::Init(_))));
        for action in ["add", "old", "del"] {
            assert_eq!(change(&[action], bridge).remove, None);
        }
        let ipv6 =
            [("DNSMASQ_INTERFACE", "virbr0"), ("DNSMASQ_IAID", "7"), ("DNSMASQ_MAC", "52:54")];
        assert!(matches!(read(&["add"], &ipv6), Err(Error::NoAddress)));
    }

    #[test]
    fn errors_are_reported_in_libvirts_order() {
        assert!(matches!(read(&["--help", "a", "b", "c", "d"], &[]), Ok(Event::Help)));
        assert!(matches!(read(&["--version"], &[]), Ok(Event::Version)));
        for count in [0, 2, 5, 6] {
            assert!(matches!(read(&["add"; 6][..count], &[]), Err(Error::Usage(_))), "{count}");
        }
        assert!(matches!(Event::read(&[], |_| None, 0), Err(Error::Usage(_))));
        assert!(matches!(read(&["nonsense"], &[]), Err(Error::NoBridge)));
        let bridge: Variables = &[("DNSMASQ_INTERFACE", "virbr0")];
        for action in ["ADD", "", "add ", "tftp\n"] {
            assert!(
                matches!(read(&[action, "a", "b"], bridge), Err(Error::UnknownAction(_))),
                "{action}"
            );
        }
        assert!(matches!(
            read(&["del"], &[("DNSMASQ_INTERFACE", ""), ("VIR_BRIDGE_NAME", "virbr0")]),
            Ok(Event::Change(_))
        ));
        assert!(matches!(read(&["del"], &[("DNSMASQ_INTERFACE", "")]), Err(Error::NoBridge)));
    }

    #[test]
    fn actions_that_are_not_about_leases_succeed() {
        for action in ["tftp", "arp-add", "arp-del", "relay-snoop"] {
            for arguments in [&[action, "1000", "192.168.122.5", "/boot/pxe"][..], &[action]] {
                assert!(matches!(read(arguments, &[]), Ok(Event::Unrelated)), "{arguments:?}");
            }
        }
    }

    #[test]
    fn a_dnsmasq_without_a_clock_gives_the_lease_length() {
        let expiry = |variables: Variables| {
            let all = [&[("DNSMASQ_INTERFACE", "virbr0")], variables].concat();
            change(&["add", "52:54", "192.168.122.5"], &all).add.expect("a lease").expiry_time
        };
        assert_eq!(expiry(&[]), 0);
        let length = ("DNSMASQ_LEASE_LENGTH", "3600");
        assert_eq!(expiry(&[length]), 1_003_600);
        assert_eq!(expiry(&[length, ("DNSMASQ_TIME_REMAINING", "1200")]), 1_001_200);
        assert_eq!(expiry(&[length, ("DNSMASQ_LEASE_EXPIRES", "7")]), 7);
        for unlimited in ["0", "4294967295"] {
            assert_eq!(expiry(&[("DNSMASQ_LEASE_LENGTH", unlimited)]), 0);
        }
        assert_eq!(expiry(&[("DNSMASQ_LEASE_LENGTH", "9223372036854775807")]), i64::MAX);
        let bad = read(
            &["add", "52:54", "192.168.122.5"],
            &[("DNSMASQ_INTERFACE", "virbr0"), ("DNSMASQ_LEASE_LENGTH", "1h")],
        );
        assert!(
            matches!(bad, Err(Error::BadSeconds { variable: "DNSMASQ_LEASE_LENGTH", .. })),
            "{bad:?}"
        );
    }

    #[test]
    fn seconds_are_parsed_like_strtoll() {
        let read = |text: &str| seconds("X", text.into()).ok();
        assert_eq!(read("1900000000"), Some(1_900_000_000));
        assert_eq!(read(" \t\u{b}+12 \r\n"), Some(12));
        assert_eq!(read("-12"), Some(-12));
        assert_eq!(read("-0"), Some(0));
        assert_eq!(read("007"), Some(7));
        assert_eq!(read("9223372036854775807"), Some(i64::MAX));
        for bad in
            ["", " ", "x", "1x", "0x10", "1 2", "9223372036854775808", "+-1", "- 1", "1\u{b}"]
        {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn bad_bytes_become_the_replacement_character() {
        let value = |bytes: &[u8]| text(OsString::from_vec(bytes.to_vec()));
        assert_eq!(value(b"caf\xe9"), "caf\u{fffd}");
        assert_eq!(value("café".as_bytes()), "café");
    }
}
