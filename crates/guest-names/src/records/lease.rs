//! One record of `BRIDGE.status`: a lease from dnsmasq (libvirt, `src/util/virlease.c`).

use crate::address::{Address, Mac};
use crate::io::StateFile;
use crate::json::{Malformed, Object, Parsed, Value};
use crate::text::Text;
use crate::window::Window;

/// A lease, as it is recorded.
#[derive(Clone, Debug)]
pub struct Lease {
    /// `ip-address`. `None` if it is missing or invalid.
    pub address: Option<Address>,
    /// `mac-address`. `None` if it is missing or not an Ethernet address.
    pub mac: Option<Mac>,
    /// `hostname`, which the guest chose. Empty if it sent none.
    pub hostname: Text,
    /// `domain`: the network's. Empty if it has none, or if the leases helper doesn't record it.
    pub domain: Text,
    /// `expiry-time`: seconds since the epoch; 0 never ends.
    pub expiry: i64,
    /// `client-id`, as a number: [`client_of`]. 0 if there is none.
    pub client: u32,
    /// One of the keys has a value of the wrong type.
    mistyped: bool,
}

/// Why a record is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRecord {
    /// A value has the wrong type.
    Mistyped,
    /// The address is missing or invalid.
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

    /// Replaces this lease by the next record. The window's next byte is its `{`.
    #[inline(never)] // 200 bytes less stack with messages
    pub fn read<F: StateFile>(&mut self, window: &mut Window<'_, F>) -> Parsed {
        self.read_noting(window, |_, _| {})
    }

    /// The same, and puts the text of the client id, which look-ups don't need, into `client_id`.
    pub fn read_with_client_id<F: StateFile>(
        &mut self,
        window: &mut Window<'_, F>,
        client_id: &mut Text,
    ) -> Parsed {
        client_id.clear();
        self.read_noting(window, |key, value| match (key, value) {
            (CLIENT, Value::String(text)) => client_id.set(text),
            (CLIENT, _) => client_id.clear(),
            _ => {}
        })
    }

    fn read_noting<F: StateFile>(
        &mut self,
        window: &mut Window<'_, F>,
        mut note: impl FnMut(usize, Value<'_>),
    ) -> Parsed {
        self.clear();
        let mut text = Text::new();
        let mut object = Object::new(KEYS, &mut text);
        loop {
            match object.next(window) {
                Ok(Some((key, value))) => {
                    note(key, value);
                    self.set(key, value);
                }
                Ok(None) => return object.parsed(),
                Err(Malformed) => return Parsed::Malformed,
            }
        }
    }

    /// Removes all values.
    fn clear(&mut self) {
        self.address = None;
        self.mac = None;
        self.hostname.clear();
        self.domain.clear();
        self.expiry = 0;
        self.client = 0;
        self.mistyped = false;
    }

    /// The address, if the record is valid.
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

/// The keys of interest.
const KEYS: &[u8] = b"ip-address,mac-address,hostname,domain,expiry-time,client-id";

// Their indices.
const ADDRESS: usize = 0;
const MAC: usize = 1;
const HOSTNAME: usize = 2;
const DOMAIN: usize = 3;
const EXPIRY: usize = 4;
const CLIENT: usize = 5;

impl Lease {
    fn set(&mut self, key: usize, value: Value<'_>) {
        match (key, value) {
            (ADDRESS, Value::String(text)) => self.address = Address::parse(text),
            (MAC, Value::String(text)) => self.mac = Mac::parse(text),
            (HOSTNAME, Value::String(text)) => self.hostname.set(text),
            (DOMAIN, Value::String(text)) => self.domain.set(text),
            (EXPIRY, Value::Integer(seconds)) => self.expiry = seconds,
            (CLIENT, Value::String(text)) => self.client = client_of(text),
            // libvirt's modules ignore the client id.
            (CLIENT, _) => self.client = 0,
            _ => self.mistyped = true,
        }
    }
}

/// A number that identifies a lease's client id (DHCP option 61, or the DUID): the same for the same text. 0: no client
/// id.
#[must_use]
pub fn client_of(id: &[u8]) -> u32 {
    // FNV-1a.
    let mix = |hash: u32, &byte: &u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    let hash = id.iter().fold(0x811c_9dc5, mix);
    if id.is_empty() { 0 } else { hash.max(1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::InMemory;
    use crate::window::FRONT;

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
    fn keys_that_may_be_missing() {
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
