//! Finding the records of one state file.
//!
//! There are two ways, which find the same: parsing object by object, or searching the bytes for needles and parsing only
//! the objects around matches.

use needle::Needle;

use crate::io::StateFile;
use crate::json::{self, Parsed};
use crate::window::Window;

/// A record of the usual length is taken from a single read. Otherwise, when a file is rewritten in place, half of it could
/// be old and half new.
const USUAL_RECORD: usize = 2048;

/// Goes through a file's objects: [`Scan::next`] moves to one, the caller parses it and passes the result to
/// [`Scan::accept`]. With needles, at least every object that contains one of them or a backslash comes; without, every
/// object. An object may come more than once.
pub struct Scan<'n> {
    needles: &'n [Needle],
    /// The needle that is searched for. `None`: every object is parsed.
    needle: Option<&'n Needle>,
    /// Where it was found. The object around it doesn't end before.
    found: u32,
    /// Where the object starts.
    start: u32,
}

/// What an object turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It is a record.
    Record,
    /// Invalid JSON at this byte.
    Malformed(u32),
    /// Not known: all objects follow from the start of the file, including this one.
    FromStart,
}

impl<'n> Scan<'n> {
    /// Before the file's first object.
    #[must_use]
    pub fn new(needles: &'n [Needle]) -> Self {
        let (needle, needles) = match needles.split_first() {
            Some((first, others)) => (Some(first), others),
            None => (None, needles),
        };
        Self { needles, needle, found: 0, start: 0 }
    }

    /// Moves the window to the next object's `{`, whose offset it gives. `None` at the file's end.
    pub fn next<F: StateFile>(&mut self, window: &mut Window<'_, F>) -> Option<u32> {
        while let Some(needle) = self.needle {
            let Some(at) = needle.find(window.ahead()) else {
                if !window.slide(needle.overlap()) {
                    let (next, others) = self.needles.split_first()?;
                    self.needle = Some(next);
                    self.needles = others;
                    window.seek(0);
                }
                continue;
            };
            window.advance(at);
            self.found = window.offset();
            let behind = back_to_line_start_brace(window.behind()).or_else(|| {
                window.look_back(self.found);
                back_to_line_start_brace(window.behind())
            });
            match behind {
                Some(behind) => {
                    window.seek(self.found.saturating_sub(behind as u32));
                    return Some(self.begin(window));
                }
                None => self.read_every_object(window),
            }
        }
        json::next_object(window).then(|| self.begin(window))
    }

    fn begin<F: StateFile>(&mut self, window: &mut Window<'_, F>) -> u32 {
        self.start = window.offset();
        window.gather(USUAL_RECORD);
        self.start
    }

    /// Takes the result of parsing the object. The window stays where the parser left it.
    ///
    /// libvirt starts each record on its own line. A `{` at the start of a line is outside strings. If a whole object
    /// without nested ones starts there and extends past the match, the match is in it. In every other case the file has to
    /// be parsed from its start.
    pub fn accept<F: StateFile>(&mut self, window: &mut Window<'_, F>, parsed: Parsed) -> Accepted {
        let end = window.offset();
        let is_plain = parsed == Parsed::Whole { nested: false };
        if self.needle.is_some() && !(is_plain && end > self.found) {
            self.read_every_object(window);
            return Accepted::FromStart;
        }
        if !is_plain {
            window.seek(self.start.saturating_add(1));
        }
        match parsed {
            Parsed::Whole { .. } => Accepted::Record,
            Parsed::Malformed => Accepted::Malformed(end),
        }
    }

    fn read_every_object<F: StateFile>(&mut self, window: &mut Window<'_, F>) {
        self.needle = None;
        window.seek(0);
    }
}

/// How many bytes before the end of `behind` is the last `{` that is first in its line.
fn back_to_line_start_brace(behind: &[u8]) -> Option<usize> {
    let mut rest = behind;
    while let Some(at) = rest.iter().rposition(|&byte| byte == b'{') {
        rest = rest.get(..at)?;
        let before = rest.iter().rev().find(|&&byte| byte != b' ' && byte != b'\t');
        if before == Some(&b'\n') {
            return Some(behind.len() - at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::lease::Lease;
    use crate::testing::{InMemory, Random};
    use crate::window::FRONT;
    use std::collections::BTreeSet;

    /// The names and places of all leases called `wanted`, in either case: found both ways.
    fn both_ways(text: &[u8], wanted: &str, buffer: usize) -> [BTreeSet<(u32, Vec<u8>)>; 2] {
        let mut needle = Needle::EMPTY;
        needle.extend(b"\"");
        needle.extend(wanted.as_bytes());
        let mut buffer = vec![0; buffer];
        [&[][..], &[needle]].map(|needles| {
            let mut window = Window::new(InMemory { bytes: text, piece: usize::MAX }, &mut buffer);
            let (mut scan, mut lease) = (Scan::new(needles), Lease::new());
            let mut found = BTreeSet::new();
            while let Some(start) = scan.next(&mut window) {
                let parsed = lease.read(&mut window);
                let name = lease.hostname.as_bytes();
                let is_wanted = name.eq_ignore_ascii_case(wanted.as_bytes());
                if scan.accept(&mut window, parsed) == Accepted::Record && is_wanted {
                    found.insert((start, name.to_vec()));
                }
            }
            found
        })
    }

    /// Pieces of files, good and bad, strung together at random: both ways must find the same.
    #[test]
    fn the_fast_way_finds_what_the_slow_way_finds() {
        let pieces = [
            "\n",
            "  ",
            "{",
            "}",
            "[",
            "]",
            ",",
            "\"",
            "\\",
            ": ",
            "\n  {\n",
            "\n  },",
            "web",
            "1",
            "\"web\"",
            "\"hostname\": ",
            "\"hostname\": \"web\"",
            "\"hostname\": \"WEB\",",
            "\"hostname\": \"w\\u0065b\"",
            "\"x\": {\"hostname\": \"web\"}",
            "\"x\": \"a{b\",\n",
            "\n  {\n    \"ip-address\": \"10.0.0.1\",\n    \"hostname\": \"web\"\n  },",
            "\n  {\n    \"hostname\": \"other\",\n    \"expiry-time\": 12\n  },",
            "{\"hostname\":\"web\"},",
            "{\"hostname\":\"web\"\n",
            "\"x\":\n  {\n    ",
        ];
        let mut random = Random::new(7);
        let mut found = 0;
        for _ in 0..60_000 {
            let text: String = (0..1 + random.below(14)).map(|_| *random.pick(&pieces)).collect();
            let [slow, fast] = both_ways(text.as_bytes(), "web", 2 * FRONT + random.below(200));
            assert_eq!(slow, fast, "{text:?}");
            found += slow.len();
        }
        assert!(found > 10_000, "the pieces hardly ever make a record: {found}");
    }

    #[test]
    fn a_record_behind_every_kind_of_damage() {
        let good = "\n  {\n    \"hostname\": \"web\"\n  }";
        for bad in [
            "",
            "{",
            "{\"",
            "[[[",
            "\"",
            "\\",
            "{\"a\": \"",
            "{\"a\": {\"b\": [",
            "\0\0",
            "{\"a\":1}}}]",
            "{\"hostname\": \"web",
            "{\"a\": 01}",
        ] {
            for text in [format!("[{bad}\n,{good}]"), format!("[{good},{bad}")] {
                let [slow, fast] = both_ways(text.as_bytes(), "web", 2 * FRONT);
                assert_eq!(slow.len(), 1, "{text:?}");
                assert_eq!(slow, fast, "{text:?}");
            }
        }
    }

    #[test]
    fn an_object_in_an_object_counts_on_its_own() {
        let text = "[{\"hostname\": \"web\", \"old\": [{\"hostname\": \"web\"}]}]";
        let [slow, fast] = both_ways(text.as_bytes(), "web", 4096);
        assert_eq!(slow.len(), 2);
        assert_eq!(slow, fast);
    }

    #[test]
    fn deep_nesting_is_passed_in_linear_time() {
        let text = "{\"a\":".repeat(200_000);
        let [slow, fast] = both_ways(text.as_bytes(), "web", 16384);
        assert!(slow.is_empty() && fast.is_empty());
    }
}
