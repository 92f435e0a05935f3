//! One record of `BRIDGE.macs`: the NICs of a running guest (libvirt, `src/util/virmacmap.c`).

use crate::address::Mac;
use crate::io::StateFile;
use crate::json::{Malformed, Object, Parsed, Value};
use crate::text::Text;
use crate::window::Window;

/// How many MACs of a record are in memory at once. If a record has more, they come in several parts.
pub const MACS_AT_ONCE: usize = 16;

/// A domain's record, with some of its MACs.
#[derive(Debug)]
pub struct MacMap<'t> {
    /// `domain`: libvirt's name of the guest. Empty if it is missing or too long.
    pub domain: &'t mut Text,
    macs: [Mac; MACS_AT_ONCE],
    len: usize,
    /// Where the MACs after these begin in the file.
    rest: u32,
    /// Whether there are more.
    has_rest: bool,
    /// Where the window was before the first of them was read.
    back: Option<u32>,
    /// One of the keys has a value of the wrong type.
    mistyped: bool,
}

/// The keys of interest.
const KEYS: &[u8] = b"domain,macs";

// Their indices.
const DOMAIN: usize = 0;
const MACS: usize = 1;

impl<'t> MacMap<'t> {
    /// A record without any keys. The domain's name goes to `domain`.
    #[must_use]
    pub fn new(domain: &'t mut Text) -> Self {
        domain.clear();
        let macs = [Mac([0; 6]); MACS_AT_ONCE];
        Self { domain, macs, len: 0, rest: 0, has_rest: false, back: None, mistyped: false }
    }

    /// Replaces this record by the next one, with its first MACs. The window's next byte is its `{`. Strings are read into
    /// `scratch`.
    pub fn read<F: StateFile>(&mut self, window: &mut Window<'_, F>, scratch: &mut Text) -> Parsed {
        self.domain.clear();
        self.len = 0;
        self.has_rest = false;
        self.back = None;
        self.mistyped = false;
        let mut object = Object::new(KEYS, scratch);
        loop {
            match object.next(window) {
                Ok(Some((key, value))) => self.set(key, value, window.offset()),
                Ok(None) => return object.parsed(),
                Err(Malformed) => return Parsed::Malformed,
            }
        }
    }

    /// Replaces the MACs by the next ones. `false`: there are none, and the window is where it was before the first call.
    pub fn read_rest<F: StateFile>(
        &mut self,
        window: &mut Window<'_, F>,
        scratch: &mut Text,
    ) -> bool {
        if !self.has_rest {
            if let Some(back) = self.back.take() {
                window.seek(back);
            }
            return false;
        }
        self.back.get_or_insert(window.offset());
        window.seek(self.rest);
        self.len = 0;
        self.has_rest = false;
        let mut object = Object::in_array(KEYS, MACS, scratch);
        // The whole record is known to be valid.
        while let (Ok(Some((key, value))), false) = (object.next(window), self.has_rest) {
            self.set(key, value, window.offset());
        }
        true
    }

    /// Takes a member that ends before byte `end` of the file.
    fn set(&mut self, key: usize, value: Value<'_>, end: u32) {
        match (key, value) {
            (DOMAIN, Value::String(text)) => self.domain.set(text),
            (MACS, Value::Array) => {}
            (MACS, Value::Element(text)) => {
                let Some(mac) = Mac::parse(text) else { return };
                match self.macs.get_mut(self.len) {
                    Some(place) => {
                        *place = mac;
                        self.len += 1;
                        self.rest = end;
                    }
                    None => self.has_rest = true,
                }
            }
            _ => self.mistyped = true,
        }
    }

    /// Whether the record, read to its end, is valid.
    #[must_use]
    pub fn is_good(&self) -> bool {
        !self.domain.is_empty() && !self.mistyped
    }

    /// The MACs that were read last: at most [`MACS_AT_ONCE`].
    #[must_use]
    pub fn macs(&self) -> &[Mac] {
        self.macs.get(..self.len).unwrap_or(&self.macs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::InMemory;
    use crate::window::FRONT;

    fn record<T>(
        text: &str,
        check: impl FnOnce(&mut MacMap<'_>, &mut Window<'_, InMemory<'_>>, Parsed) -> T,
    ) -> T {
        let (mut domain, mut buffer) = (Text::new(), [0; FRONT + 16]);
        let mut window =
            Window::new(InMemory { bytes: text.as_bytes(), piece: usize::MAX }, &mut buffer);
        let mut map = MacMap::new(&mut domain);
        let parsed = map.read(&mut window, &mut Text::new());
        check(&mut map, &mut window, parsed)
    }

    fn is_good(text: &str) -> bool {
        record(text, |map, _, _| map.is_good())
    }

    #[test]
    fn both_orders_of_keys() {
        for text in [
            r#"{"domain": "my v\u00e4", "macs": ["52:54:00:00:00:01", "52:54:00:00:00:02"]}"#,
            r#"{"x": [1, {}], "macs": ["52:54:00:00:00:01", "?", "52:54:00:00:00:02"], "domain": "my v\u00e4"}"#,
        ] {
            record(text, |map, window, parsed| {
                assert!(matches!(parsed, Parsed::Whole { .. }));
                assert!(map.is_good());
                assert_eq!(map.domain.as_bytes(), "my v\u{e4}".as_bytes());
                assert_eq!(map.macs().iter().map(|mac| mac.0[5]).collect::<Vec<_>>(), [1, 2]);
                assert!(!map.read_rest(window, &mut Text::new()));
            });
        }
    }

    #[test]
    fn invalid_records() {
        for text in [
            "{}",
            r#"{"domain": ""}"#,
            r#"{"domain": 1, "macs": []}"#,
            r#"{"domain": ["a"]}"#,
            r#"{"domain": "a", "macs": "52:54:00:00:00:01"}"#,
            r#"{"domain": "a", "macs": [1]}"#,
            r#"{"macs": ["52:54:00:00:00:01"]}"#,
        ] {
            assert!(!is_good(text), "{text}");
        }
        assert!(is_good(r#"{"domain": "a"}"#));
    }

    #[test]
    fn many_macs_come_in_parts() {
        for count in [0, 1, 15, 16, 17, 32, 33, 100] {
            let macs: Vec<_> =
                (0..count).map(|last| format!("\"52:54:00:00:00:{last:02x}\"")).collect();
            let text = format!("{{\"macs\": [{}], \"domain\": \"web\"}}", macs.join(","));
            record(&text, |map, window, _| {
                // As where objects in the record are to be read next.
                window.seek(1);
                let mut seen = Vec::new();
                loop {
                    assert!(map.is_good());
                    seen.extend(map.macs().iter().map(|mac| mac.0[5]));
                    if !map.read_rest(window, &mut Text::new()) {
                        break;
                    }
                }
                assert_eq!(window.offset(), 1);
                assert_eq!(seen, (0..count).collect::<Vec<u8>>());
            });
        }
    }
}
