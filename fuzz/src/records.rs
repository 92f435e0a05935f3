//! The readers of single records: a lease, and a domain's record in a MAC map.

use guest_names::address::Mac;
use guest_names::json::Parsed;
use guest_names::records::lease::{BadRecord, Lease, client_of};
use guest_names::records::mac_map::MacMap;
use guest_names::text::Text;
use guest_names::window::{FRONT, Window};

use testkit::memory::File;

use crate::oracle::{self, Event, Object};

/// The expected values of a lease's record, by the oracle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseRecord {
    /// See [`Lease::address`].
    pub address: Option<guest_names::address::Address>,
    /// See [`Lease::mac`].
    pub mac: Option<Mac>,
    /// See [`Lease::hostname`].
    pub hostname: Vec<u8>,
    /// See [`Lease::domain`].
    pub domain: Vec<u8>,
    /// See [`Lease::expiry`].
    pub expiry: i64,
    /// The client id; empty if it is missing or isn't a text.
    pub client: Vec<u8>,
    /// Whether a key has a value of the wrong type.
    pub mistyped: bool,
}

impl LeaseRecord {
    /// The record in an object.
    #[must_use]
    pub fn of(object: &Object) -> Self {
        let mut record = Self::default();
        for event in object.events() {
            match event {
                Event::String(key, value) => match key.as_slice() {
                    b"ip-address" => record.address = oracle::address(&value),
                    b"mac-address" => record.mac = oracle::mac(&value),
                    b"hostname" => record.hostname = value,
                    b"domain" => record.domain = value,
                    b"client-id" => record.client = value,
                    b"expiry-time" => record.mistyped = true,
                    _ => {}
                },
                Event::Integer(key, value) if key == b"expiry-time" => record.expiry = value,
                Event::Integer(key, _)
                | Event::Array(key)
                | Event::Other(key)
                | Event::Element(key, _)
                    if key == b"client-id" =>
                {
                    record.client.clear();
                }
                Event::Integer(key, _) | Event::Array(key) | Event::Other(key) => {
                    let known: [&[u8]; 5] =
                        [b"ip-address", b"mac-address", b"hostname", b"domain", b"expiry-time"];
                    record.mistyped |= known.contains(&key.as_slice());
                }
                Event::Element(..) => {}
            }
        }
        record
    }
}

/// The expected values of a MAC map's record, by the oracle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MacRecord {
    /// See [`MacMap::domain`].
    pub domain: Vec<u8>,
    /// The MACs, in order.
    pub macs: Vec<Mac>,
    /// Whether a key has a value of the wrong type.
    pub mistyped: bool,
}

impl MacRecord {
    /// The record in an object.
    #[must_use]
    pub fn of(object: &Object) -> Self {
        let mut record = Self::default();
        for event in object.events() {
            match event {
                Event::String(key, value) if key == b"domain" => record.domain = value,
                Event::Element(key, value) if key == b"macs" => {
                    record.macs.extend(oracle::mac(&value));
                }
                Event::Array(key) => record.mistyped |= key == b"domain",
                Event::Element(..) => {}
                Event::String(key, _) | Event::Integer(key, _) | Event::Other(key) => {
                    record.mistyped |= key == b"domain" || key == b"macs";
                }
            }
        }
        record
    }

    /// See [`MacMap::is_good`].
    #[must_use]
    pub fn is_good(&self) -> bool {
        !self.domain.is_empty() && !self.mistyped
    }
}

/// The sizes of the window and of reads, and a text that begins with an object.
fn split(data: &[u8]) -> Option<(usize, usize, &str)> {
    let &[size, piece, ref text @ ..] = data else { return None };
    let text = std::str::from_utf8(text).ok().filter(|text| text.starts_with('{'))?;
    Some((1 + usize::from(size), 1 + usize::from(piece), text))
}

fn is_whole(parsed: Parsed) -> bool {
    matches!(parsed, Parsed::Whole { .. })
}

/// Runs the target of lease records.
///
/// # Panics
/// If something is wrong.
pub fn run_lease(data: &[u8]) {
    let Some((size, piece, text)) = split(data) else { return };
    let mut buffer = vec![0; FRONT + size];
    let (mut lease, mut client) = (Lease::new(), Text::new());
    let mut window = Window::new(File::new(text.as_bytes(), piece), &mut buffer);
    let parsed = lease.read_with_client_id(&mut window, &mut client);
    let expected = oracle::first_object(text).map(|(object, _)| LeaseRecord::of(&object));
    assert_eq!(is_whole(parsed), expected.is_some(), "{lease:?}");
    let Some(expected) = expected else { return };
    let checked = match expected.address {
        _ if expected.mistyped => Err(BadRecord::Mistyped),
        Some(address) => Ok(address),
        None => Err(BadRecord::NoAddress),
    };
    assert_eq!(lease.checked(), checked);
    let record = LeaseRecord {
        address: lease.address,
        mac: lease.mac,
        hostname: lease.hostname.as_bytes().to_vec(),
        domain: lease.domain.as_bytes().to_vec(),
        expiry: lease.expiry,
        client: client.as_bytes().to_vec(),
        mistyped: expected.mistyped,
    };
    assert_eq!(record, expected);
    assert_eq!(lease.client, client_of(&expected.client));
}

/// Runs the target of MAC maps' records.
///
/// # Panics
/// If something is wrong.
pub fn run_macmap(data: &[u8]) {
    let Some((size, piece, text)) = split(data) else { return };
    let (mut buffer, mut domain, mut scratch) = (vec![0; FRONT + size], Text::new(), Text::new());
    let mut window = Window::new(File::new(text.as_bytes(), piece), &mut buffer);
    let mut map = MacMap::new(&mut domain);
    let parsed = map.read(&mut window, &mut scratch);
    let expected = oracle::first_object(text).map(|(object, _)| MacRecord::of(&object));
    assert_eq!(is_whole(parsed), expected.is_some(), "{map:?}");
    let Some(expected) = expected else { return };
    let (is_good, end) = (map.is_good(), window.offset());
    assert_eq!(is_good, expected.is_good());
    let mut macs = map.macs().to_vec();
    while map.read_rest(&mut window, &mut scratch) {
        assert!(!map.macs().is_empty(), "{map:?}");
        macs.extend(map.macs());
        assert_eq!(map.is_good(), is_good, "{map:?}");
    }
    assert_eq!(window.offset(), end, "{map:?}");
    let domain = map.domain.as_bytes().to_vec();
    assert_eq!(MacRecord { domain, macs, mistyped: expected.mistyped }, expected);
}
