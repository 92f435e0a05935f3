//! One record of `BRIDGE.macs`: the NICs of a running guest (libvirt, `src/util/virmacmap.c`).

use crate::address::Mac;
use crate::json::{self, Members, Parsed, Value};
use crate::text::Text;
use crate::window::{StateFile, Window};

/// A domain's record, without its MACs: those are handed on as they are read, for there is no limit to
/// how many there are.
#[derive(Clone, Debug)]
pub struct MacMap {
    /// `domain`: the name that libvirt knows the guest by. Empty where it is missing or too long.
    pub domain: Text,
    /// A key that is known has a value of a type that it can't have.
    mistyped: bool,
}

/// What is done with the MACs of records.
pub trait MacUse {
    /// A record begins; what came of the one before counts only if it was ended.
    fn begin(&mut self);

    /// A MAC of the record, the domain's name known or not.
    fn mac(&mut self, mac: Mac);

    /// The record is whole and good. Whether it is one that was looked for.
    fn end(&mut self, map: &MacMap) -> bool;
}

impl MacMap {
    /// A record without any keys.
    #[must_use]
    pub const fn new() -> Self {
        Self { domain: Text::new(), mistyped: false }
    }

    /// Takes the place of this record with what stands at the window's place, whose next byte is `{`.
    pub fn read<F: StateFile>(
        &mut self,
        window: &mut Window<'_, F>,
        uses: &mut dyn MacUse,
    ) -> Parsed {
        self.domain.clear();
        self.mistyped = false;
        uses.begin();
        json::object(window, &mut Reading { map: self, uses })
    }

    /// Whether the record, read to its end, is one.
    #[must_use]
    pub fn is_good(&self) -> bool {
        !self.domain.is_empty() && !self.mistyped
    }
}

impl Default for MacMap {
    fn default() -> Self {
        Self::new()
    }
}

struct Reading<'m> {
    map: &'m mut MacMap,
    uses: &'m mut dyn MacUse,
}

impl Members for Reading<'_> {
    fn member(&mut self, key: &[u8], value: Value<'_>) {
        let is_domain = key == b"domain";
        if !is_domain && key != b"macs" {
            return;
        }
        match (is_domain, value) {
            (true, Value::String(text)) => self.map.domain.set(text),
            (false, Value::Array) => {}
            (false, Value::Element(text)) => {
                if let Some(mac) = Mac::parse(text) {
                    self.uses.mac(mac);
                }
            }
            _ => self.map.mistyped = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::{FRONT, InMemory};

    impl MacUse for Vec<Mac> {
        fn begin(&mut self) {
            self.clear();
        }
        fn mac(&mut self, mac: Mac) {
            self.push(mac);
        }
        fn end(&mut self, _: &MacMap) -> bool {
            true
        }
    }

    fn read(text: &str) -> (MacMap, Vec<Mac>, Parsed) {
        let mut map = MacMap::new();
        let mut macs = Vec::new();
        let mut buffer = [0; FRONT + 16];
        let file = InMemory { bytes: text.as_bytes(), piece: usize::MAX };
        let parsed = map.read(&mut Window::new(file, &mut buffer), &mut macs);
        (map, macs, parsed)
    }

    #[test]
    fn both_orders_of_keys() {
        for text in [
            r#"{"domain": "my v\u00e4", "macs": ["52:54:00:00:00:01", "52:54:00:00:00:02"]}"#,
            r#"{"x": [1, {}], "macs": ["52:54:00:00:00:01", "?", "52:54:00:00:00:02"], "domain": "my v\u00e4"}"#,
        ] {
            let (map, macs, parsed) = read(text);
            assert!(matches!(parsed, Parsed::Whole { .. }));
            assert!(map.is_good());
            assert_eq!(map.domain.as_bytes(), "my v\u{e4}".as_bytes());
            assert_eq!(macs.iter().map(|mac| mac.0[5]).collect::<Vec<_>>(), [1, 2]);
        }
    }

    #[test]
    fn what_is_no_record() {
        for text in [
            "{}",
            r#"{"domain": ""}"#,
            r#"{"domain": 1, "macs": []}"#,
            r#"{"domain": ["a"]}"#,
            r#"{"domain": "a", "macs": "52:54:00:00:00:01"}"#,
            r#"{"domain": "a", "macs": [1]}"#,
            r#"{"macs": ["52:54:00:00:00:01"]}"#,
        ] {
            assert!(!read(text).0.is_good(), "{text}");
        }
        assert!(read(r#"{"domain": "a"}"#).0.is_good());
    }
}
