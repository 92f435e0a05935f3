//! One record of `BRIDGE.status`: what dnsmasq handed out (libvirt, `src/util/virlease.c`).

use crate::address::{Address, Mac};
use crate::json::{self, Members, Parsed, Value};
use crate::snapshot::format::client_of;
use crate::text::Text;
use crate::window::{StateFile, Window};

/// A lease, as far as its record says.
#[derive(Clone, Debug)]
pub struct Lease {
    /// `ip-address`. `None` where there is none, or none that can be read.
    pub address: Option<Address>,
    /// `mac-address`. `None` where there is none, or none of Ethernet.
    pub mac: Option<Mac>,
    /// `hostname`: what the guest calls itself. Empty where it has said nothing.
    pub hostname: Text,
    /// `domain`: the network's. Empty where it has none, or the file's writer doesn't keep it.
    pub domain: Text,
    /// `expiry-time`: seconds since the epoch; 0 never ends.
    pub expiry: i64,
    /// `client-id`, as a number: [`client_of`]. 0 where there is none.
    pub client: u32,
    /// A key that is known has a value of a type that it can't have.
    mistyped: bool,
}

/// Why a record says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRecord {
    /// A value has the wrong type.
    Mistyped,
    /// There is no address in it, or none that can be read.
    NoAddress,
}

impl Lease {
    /// A record without any keys.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            address: None,
            mac: None,
            hostname: Text::new(),
            domain: Text::new(),
            expiry: 0,
            client: 0,
            mistyped: false,
        }
    }

    /// Takes the place of this lease with what stands at the window's place, whose next byte is `{`.
    pub fn read<F: StateFile>(&mut self, window: &mut Window<'_, F>) -> Parsed {
        self.clear();
        json::object(window, self)
    }

    /// Drops all keys.
    fn clear(&mut self) {
        self.address = None;
        self.mac = None;
        self.hostname.clear();
        self.domain.clear();
        self.expiry = 0;
        self.client = 0;
        self.mistyped = false;
    }

    /// The address, where the record is good.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn checked(&self) -> Result<Address, BadRecord> {
        match self.address {
            _ if self.mistyped => Err(BadRecord::Mistyped),
            Some(address) => Ok(address),
            None => Err(BadRecord::NoAddress),
        }
    }

    /// Whether it has ended before `now` (seconds since the epoch).
    #[must_use]
    pub fn has_expired(&self, now: i64) -> bool {
        self.expiry != 0 && self.expiry < now
    }
}

impl Default for Lease {
    fn default() -> Self {
        Self::new()
    }
}

/// The keys that matter here, in one text: a table of texts would be pointers, which the dynamic linker
/// has to set in every process.
const KEYS: &[u8] = b"ip-address,mac-address,hostname,domain,expiry-time,client-id";

// Which of them is which.
const ADDRESS: usize = 0;
const MAC: usize = 1;
const HOSTNAME: usize = 2;
const DOMAIN: usize = 3;
const EXPIRY: usize = 4;
const CLIENT: usize = 5;

impl Members for Lease {
    fn member(&mut self, key: &[u8], value: Value<'_>) {
        let mut keys = KEYS.split(|&byte| byte == b',');
        let Some(key) = keys.position(|name| name == key) else { return };
        match (key, value) {
            (ADDRESS, Value::String(text)) => self.address = Address::parse(text),
            (MAC, Value::String(text)) => self.mac = Mac::parse(text),
            (HOSTNAME, Value::String(text)) => self.hostname.set(text),
            (DOMAIN, Value::String(text)) => self.domain.set(text),
            (EXPIRY, Value::Integer(seconds)) => self.expiry = seconds,
            (CLIENT, Value::String(text)) => self.client = client_of(text),
            // libvirt's modules don't read it.
            (CLIENT, _) => self.client = 0,
            _ => self.mistyped = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::{FRONT, InMemory};

    fn read(text: &str) -> (Lease, Parsed) {
        let mut lease = Lease::new();
        let mut buffer = [0; FRONT + 16];
        let file = InMemory { bytes: text.as_bytes(), piece: usize::MAX };
        let parsed = lease.read(&mut Window::new(file, &mut buffer));
        (lease, parsed)
    }

    #[test]
    fn all_keys() {
        let (lease, parsed) = read(
            r#"{"iaid": "1", "ip-address": "10.0.0.2", "mac-address": "52:54:00:00:00:01",
                "hostname": "w\u0065b", "domain": "lab", "client-id": "01:02", "server-duid": "00",
                "new": [1, {"x": null}, [true]], "expiry-time": 1700000000}"#,
        );
        assert_eq!(parsed, Parsed::Whole { nested: true });
        assert_eq!(lease.checked(), Ok(Address::V4([10, 0, 0, 2])));
        assert_eq!(lease.mac, Some(Mac([0x52, 0x54, 0, 0, 0, 1])));
        assert_eq!(lease.hostname.as_bytes(), b"web");
        assert_eq!(lease.domain.as_bytes(), b"lab");
        assert_eq!(lease.expiry, 1_700_000_000);
        assert!(lease.has_expired(1_700_000_001));
        assert!(!lease.has_expired(1_700_000_000));
    }

    #[test]
    fn what_a_record_may_lack() {
        let (lease, _) = read(r#"{"ip-address": "10.0.0.2"}"#);
        assert!(lease.checked().is_ok());
        assert!(!lease.has_expired(i64::MAX));
        assert_eq!(read("{}").0.checked(), Err(BadRecord::NoAddress));
        assert_eq!(read(r#"{"ip-address": "x"}"#).0.checked(), Err(BadRecord::NoAddress));
    }

    #[test]
    fn wrong_types() {
        for member in [
            r#""ip-address": 1"#,
            r#""mac-address": null"#,
            r#""hostname": ["web"]"#,
            r#""hostname": {}"#,
            r#""domain": true"#,
            r#""expiry-time": "1700000000""#,
            r#""expiry-time": 1.5"#,
            r#""expiry-time": 1e9"#,
        ] {
            let (lease, parsed) = read(&format!(r#"{{"ip-address": "10.0.0.2", {member}}}"#));
            assert!(matches!(parsed, Parsed::Whole { .. }), "{member}");
            assert_eq!(lease.checked(), Err(BadRecord::Mistyped), "{member}");
        }
    }

    #[test]
    fn a_key_that_comes_twice() {
        let (lease, _) = read(
            r#"{"ip-address": "10.0.0.2", "ip-address": "10.0.0.3", "hostname": "a", "hostname": "b"}"#,
        );
        assert_eq!(lease.checked(), Ok(Address::V4([10, 0, 0, 3])));
        assert_eq!(lease.hostname.as_bytes(), b"b");
    }

    #[test]
    fn not_json() {
        for text in [
            "{",
            "{,}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":01}",
            "{\"a\":1,}",
            "{\"a\":\"\n\"}",
            "{\"a\":\"\\x\"}",
            "{\"a\":\"\\ud800\"}",
            "{\"a\":tru}",
            "{a:1}",
            "{\"a\":[1}",
            "{\"a\":-}",
            "{\"a\":1.",
        ] {
            assert_eq!(read(text).1, Parsed::Malformed, "{text:?}");
        }
    }
}
