//! What one call of the helper asks for: the command line and the environment that dnsmasq gives its
//! `--dhcp-script` (dnsmasq(8); the variables are set in its `helper.c`), read the way libvirt's own helper
//! reads them.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::error::Error;

/// One call of the helper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// `--help`.
    Help,
    /// `--version`.
    Version,
    /// `init`: dnsmasq starts and wants to know the leases that it gave out.
    Init(Init),
    /// `add`, `old` or `del`: a lease came, was renewed or went.
    Change(Change),
}

/// dnsmasq's question for the known leases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Init {
    /// Whose list.
    pub bridge: Bridge,
    /// `DNSMASQ_SERVER_DUID`; the list has it otherwise.
    pub server_duid: Option<String>,
}

/// A change of a bridge's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Whose list.
    pub bridge: Bridge,
    /// The IP address whose lease leaves the list. None: every lease stays.
    pub remove: Option<String>,
    /// The lease that goes to the end of the list. None for `del`, and for a client without a MAC.
    pub add: Option<Lease>,
    /// `DNSMASQ_SERVER_DUID`, which IPv6 leases of old writers lack.
    pub server_duid: Option<String>,
}

/// A lease as dnsmasq tells it. What is not UTF-8 has U+FFFD in the place of the bad bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lease {
    /// The client's identity association, in decimal, after a `T` for a temporary address. IPv6 only.
    pub iaid: Option<String>,
    /// The IP address, as `inet_ntop` writes it.
    pub ip_address: String,
    /// The MAC, which dnsmasq puts a hardware type before where it is not Ethernet's (`06-...`).
    pub mac_address: String,
    /// The host name without its domain.
    pub hostname: Option<String>,
    /// The network's domain, from `DNSMASQ_DOMAIN`.
    pub domain: Option<String>,
    /// IPv4: the client id. IPv6: the client's DUID.
    pub client_id: Option<String>,
    /// The DUID of dnsmasq itself. IPv6 only.
    pub server_duid: Option<String>,
    /// When the lease ends, in seconds since 1970. 0: never.
    pub expiry_time: i64,
}

/// The name of a network interface, and so safe as a part of a file's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bridge(OsString);

impl Bridge {
    /// Takes what the kernel takes for an interface (`dev_valid_name` in `net/core/dev.c`): 1 to 15 bytes, not
    /// `.` or `..`, and in it no slash, colon or white space.
    ///
    /// # Errors
    /// [`Error::BadBridge`] for every other name.
    pub fn new(name: OsString) -> Result<Self, Error> {
        let bytes = name.as_bytes();
        let space = |byte: &u8| matches!(byte, b'/' | b':' | b' ' | b'\t'..=b'\r' | 0xa0);
        if bytes.is_empty()
            || bytes.len() >= libc::IFNAMSIZ
            || bytes == b"."
            || bytes == b".."
            || bytes.iter().any(space)
        {
            return Err(Error::BadBridge(name));
        }
        Ok(Self(name))
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &OsStr {
        &self.0
    }
}

impl Event {
    /// Reads the command line, which starts with the program's name, and the environment.
    ///
    /// # Errors
    /// [`Error::Usage`], [`Error::NoBridge`], [`Error::BadBridge`], [`Error::UnknownAction`],
    /// [`Error::NoAddress`], [`Error::BadExpiry`]. Where more than one is due, the one that libvirt's helper
    /// would find first.
    pub fn read(
        arguments: &[OsString],
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, Error> {
        match arguments.get(1).map(|first| first.as_bytes()) {
            Some(b"--help") => return Ok(Self::Help),
            Some(b"--version") => return Ok(Self::Version),
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
        // dnsmasq does not know the interface of a lease that ran out while it was down.
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
            // Not every DHCPv6 client's MAC is known, and libvirt's readers want one in each record.
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
            expiry_time: variable("DNSMASQ_LEASE_EXPIRES").map_or(Ok(0), seconds)?,
        };
        Ok(Self::Change(Change { bridge, remove: Some(ip_address), add: Some(lease), server_duid }))
    }
}

fn text(value: OsString) -> String {
    String::from_utf8(value.into_vec())
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Reads a decimal number as `strtoll` does, but for white space behind it (dnsmasq up to 2.51 put a space
/// there).
fn seconds(value: OsString) -> Result<i64, Error> {
    let spaceless = value.as_bytes().trim_ascii_end();
    let start = spaceless.iter().position(|byte| !matches!(byte, b' ' | b'\t'..=b'\r'));
    std::str::from_utf8(&spaceless[start.unwrap_or(spaceless.len())..])
        .ok()
        .and_then(|number| number.parse().ok())
        .ok_or(Error::BadExpiry(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Variables<'a> = &'a [(&'a str, &'a str)];

    fn read(arguments: &[&str], variables: Variables) -> Result<Event, Error> {
        let arguments: Vec<OsString> =
            ["helper"].iter().chain(arguments).map(OsString::from).collect();
        Event::read(&arguments, |name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
        })
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
    fn what_is_refused_and_in_which_order() {
        assert!(matches!(read(&["--help", "a", "b", "c", "d"], &[]), Ok(Event::Help)));
        assert!(matches!(read(&["--version"], &[]), Ok(Event::Version)));
        for count in [0, 2, 5, 6] {
            assert!(matches!(read(&["add"; 6][..count], &[]), Err(Error::Usage(_))), "{count}");
        }
        assert!(matches!(Event::read(&[], |_| None), Err(Error::Usage(_))));
        assert!(matches!(read(&["nonsense"], &[]), Err(Error::NoBridge)));
        let bridge: Variables = &[("DNSMASQ_INTERFACE", "virbr0")];
        for action in ["tftp", "arp-add", "arp-del", "relay-snoop", "ADD", "", "add "] {
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
    fn interface_names_are_the_kernels() {
        for good in ["virbr0", "a", "...", "exactly15bytes.", "br-\u{e9}", "-", "x\u{1}"] {
            assert!(Bridge::new(good.into()).is_ok(), "{good:?}");
        }
        for bad in
            ["", ".", "..", "../x", "a/b", "/", "a:b", "a b", "a\n", "a\u{b}", "sixteen_bytes_xx"]
        {
            assert!(matches!(Bridge::new(bad.into()), Err(Error::BadBridge(_))), "{bad:?}");
        }
        assert!(Bridge::new(OsString::from_vec(vec![b'a', 0xa0])).is_err());
        assert!(Bridge::new(OsString::from_vec(vec![b'a', 0xff])).is_ok());
    }

    #[test]
    fn seconds_as_strtoll_has_them() {
        let read = |text: &str| seconds(text.into()).ok();
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
