//! The JSON reader: every object of a text, compared with what `serde_json` makes of it, through
//! windows of several sizes.

use guest_names::json::{Members, Parsed, Value, next_object, object};
use guest_names::window::{FRONT, Window};

use crate::memory::File;
use crate::oracle::{self, Event};

/// More than this finds nothing new.
const LENGTH_LIMIT: usize = 4096;

/// What the reader made of the object at `start`.
#[derive(Debug, PartialEq, Eq)]
struct Reading {
    start: usize,
    end: usize,
    parsed: Parsed,
    /// Of a malformed one those before the place where it went wrong.
    events: Vec<Event>,
}

#[derive(Default)]
struct Recorder(Vec<Event>);

impl Members for Recorder {
    fn member(&mut self, key: &[u8], value: Value<'_>) {
        let key = key.to_vec();
        self.0.push(match value {
            Value::String(text) => Event::String(key, text.to_vec()),
            Value::Integer(value) => Event::Integer(key, value),
            Value::Array => Event::Array(key),
            Value::Element(text) => Event::Element(key, text.to_vec()),
            Value::Other => Event::Other(key),
        });
    }
}

/// Every object of `text`, as the look-up goes through them.
fn readings(text: &[u8], buffer: usize, piece: usize) -> Vec<Reading> {
    let mut buffer = vec![0; FRONT + buffer];
    let mut window = Window::new(File::new(text, piece), &mut buffer);
    let mut readings = Vec::new();
    while next_object(&mut window) {
        let start = window.offset() as usize;
        let mut recorder = Recorder::default();
        let parsed = object(&mut window, &mut recorder);
        let end = window.offset() as usize;
        readings.push(Reading { start, end, parsed, events: recorder.0 });
        if parsed != (Parsed::Whole { nested: false }) {
            window.seek(start as u32 + 1);
        }
    }
    readings
}

/// Runs the target. The first byte says how large the small window is, the second how short the reads.
///
/// # Panics
/// When something is wrong.
pub fn run(data: &[u8]) {
    let &[size, piece, ref text @ ..] = data else { return };
    let text = text.get(..LENGTH_LIMIT).unwrap_or(text);
    let whole = readings(text, text.len().max(1), usize::MAX);
    assert_eq!(readings(text, 1 + usize::from(size), 1 + usize::from(piece)), whole);

    // Bytes above ASCII are taken as they come in strings and nowhere else, as letters are; serde_json
    // asks for UTF-8.
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
                assert_eq!(reading.events, object.events(), "{reading:?}");
                assert_eq!(nested, object.is_nested(), "{reading:?}");
            }
            (Parsed::Malformed, None) => {}
            (_, oracle) => panic!("{reading:?}, and by the oracle {oracle:?}"),
        }
    }
}
