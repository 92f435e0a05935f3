//! The JSON reader: compares every object in a text with what `serde_json` reads, through windows of several sizes.

use guest_names::json::{Malformed, Object, Parsed, Value, next_object};
use guest_names::text::Text;
use guest_names::window::{FRONT, Window};

use testkit::memory::File;

use crate::oracle::{self, Event};

/// Longer inputs find nothing new.
const LENGTH_LIMIT: usize = 4096;

/// What the reader made of the object at `start`.
#[derive(Debug, PartialEq, Eq)]
struct Reading {
    start: usize,
    end: usize,
    parsed: Parsed,
    /// If it is malformed, the events before the error.
    events: Vec<Event>,
}

/// The keys to read: all that state files have, and an unknown one.
const KEYS: [&str; 8] =
    ["ip-address", "mac-address", "hostname", "domain", "expiry-time", "client-id", "macs", "x"];
const KEY_LIST: &[u8] = b"ip-address,mac-address,hostname,domain,expiry-time,client-id,macs,x";

fn event(key: usize, value: Value<'_>) -> Event {
    let key = KEYS[key].as_bytes().to_vec();
    match value {
        Value::String(text) => Event::String(key, text.to_vec()),
        Value::Integer(value) => Event::Integer(key, value),
        Value::Array => Event::Array(key),
        Value::Element(text) => Event::Element(key, text.to_vec()),
        Value::Other => Event::Other(key),
    }
}

/// Reads every object of `text`, as a look-up does.
fn readings(text: &[u8], buffer: usize, piece: usize) -> Vec<Reading> {
    let mut buffer = vec![0; FRONT + buffer];
    let mut window = Window::new(File::new(text, piece), &mut buffer);
    let mut readings = Vec::new();
    while next_object(&mut window) {
        let start = window.offset() as usize;
        let mut text = Text::new();
        let (mut object, mut events) = (Object::new(KEY_LIST, &mut text), Vec::new());
        let parsed = loop {
            match object.next(&mut window) {
                Ok(Some((key, value))) => events.push(event(key, value)),
                Ok(None) => break object.parsed(),
                Err(Malformed) => break Parsed::Malformed,
            }
        };
        let end = window.offset() as usize;
        readings.push(Reading { start, end, parsed, events });
        if parsed != (Parsed::Whole { nested: false }) {
            window.seek(start as u32 + 1);
        }
    }
    readings
}

/// Runs the target. The first byte gives the size of the small window, the second the size of short reads.
///
/// # Panics
/// If something is wrong.
pub fn run(data: &[u8]) {
    let &[size, piece, ref text @ ..] = data else { return };
    let text = text.get(..LENGTH_LIMIT).unwrap_or(text);
    let whole = readings(text, text.len().max(1), usize::MAX);
    assert_eq!(readings(text, 1 + usize::from(size), 1 + usize::from(piece)), whole);

    // The reader accepts any bytes above ASCII in strings, but nowhere else, as
    // with letters; serde_json requires UTF-8.
    let Ok(text) = std::str::from_utf8(text) else {
        let ascii: Vec<u8> =
            text.iter().map(|&byte| if byte.is_ascii() { byte } else { b'x' }).collect();
        let spans = |readings: &[Reading]| -> Vec<(usize, usize, Parsed)> {
            readings.iter().map(|one| (one.start, one.end, one.parsed)).collect()
        };
        let of_ascii = readings(&ascii, ascii.len().max(1), usize::MAX);
        assert_eq!(spans(&of_ascii), spans(&whole));
        return;
    };
    for reading in whole {
        match (reading.parsed, oracle::first_object(&text[reading.start..])) {
            (Parsed::Whole { nested }, Some((object, len))) => {
                assert_eq!(reading.end - reading.start, len, "{reading:?}");
                let is_read = |event: &Event| KEYS.iter().any(|key| key.as_bytes() == event.key());
                let events: Vec<Event> = object.events().into_iter().filter(is_read).collect();
                assert_eq!(reading.events, events, "{reading:?}");
                assert_eq!(nested, object.is_nested(), "{reading:?}");
            }
            (Parsed::Malformed, None) => {}
            (_, oracle) => panic!("{reading:?}, and by the oracle {oracle:?}"),
        }
    }
}
