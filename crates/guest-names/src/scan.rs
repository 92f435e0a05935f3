//! Going through the records of one state file.
//!
//! Two ways that find the same: [`next`] reads object by object; `matching` passes over the bytes
//! for a needle and reads the objects around its finds alone.

use needle::Needle;

use crate::json::{self, Parsed};
use crate::observe::Observer;
use crate::window::{StateFile, Window};

/// A record of the usual length comes out of a single read, so that a file that is rewritten in
/// place can't give half of an old and half of a new one.
const USUAL_RECORD: usize = 2048;

/// What is done with the objects of a file.
pub trait Records<F> {
    /// Reads the object whose `{` is the window's next byte. It may turn out not to be one.
    fn read(&mut self, window: &mut Window<'_, F>) -> Parsed;

    /// The object that was read last is good JSON; its `{` stands at `start`. One object may come
    /// more than once.
    fn take(&mut self, start: u32);

    /// Who is told, if anyone.
    fn observer(&mut self) -> Option<&mut dyn Observer>;
}

/// Reads on to the next object, whole or not, and goes behind it. `false` at the file's end.
pub fn next<F: StateFile>(window: &mut Window<'_, F>, records: &mut dyn Records<F>) -> bool {
    if !json::next_object(window) {
        return false;
    }
    let start = window.offset();
    window.gather(USUAL_RECORD);
    let parsed = records.read(window);
    match parsed {
        Parsed::Whole { .. } => records.take(start),
        Parsed::Malformed => {
            if let Some(observer) = records.observer() {
                observer.malformed(start, window.offset());
            }
        }
    }
    if parsed != (Parsed::Whole { nested: false }) {
        window.seek(start.saturating_add(1));
    }
    true
}

/// At least every object of the file that has `needle` or a backslash in it.
pub(crate) fn matching<F: StateFile>(
    window: &mut Window<'_, F>,
    needle: &Needle,
    records: &mut dyn Records<F>,
) {
    loop {
        match needle.find(window.ahead()) {
            Some(at) => {
                window.advance(at);
                if !object_around(window, records) {
                    window.seek(0);
                    while next(window, records) {}
                    return;
                }
            }
            None if window.slide(needle.overlap()) => {}
            None => return,
        }
    }
}

/// Takes the object that the window's place is in and goes behind it. `false` where that can't be
/// told from the bytes around: then only reading from the start can.
///
/// libvirt starts each record on a line of its own. A `{` at the start of a line is outside of any
/// string; where a whole object without others in it starts there and reaches beyond the window's
/// place, it is the one.
fn object_around<F: StateFile>(window: &mut Window<'_, F>, records: &mut dyn Records<F>) -> bool {
    let place = window.offset();
    let Some(back) = back_to_line_start_brace(window.behind()).or_else(|| {
        window.look_back(place);
        back_to_line_start_brace(window.behind())
    }) else {
        return false;
    };
    let start = place.saturating_sub(back as u32);
    window.seek(start);
    window.gather(USUAL_RECORD);
    let parsed = records.read(window);
    if parsed != (Parsed::Whole { nested: false }) || window.offset() <= place {
        return false;
    }
    records.take(start);
    true
}

/// How many bytes before the end of `behind` stands the last `{` that is first in its line.
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
    use crate::lease::Lease;
    use crate::testing::Random;
    use crate::window::{FRONT, InMemory};
    use std::collections::BTreeSet;

    /// The names and places of all leases called `wanted`, in either case.
    struct Named<'a>(&'a str, Lease, BTreeSet<(u32, Vec<u8>)>);

    impl<F: StateFile> Records<F> for Named<'_> {
        fn read(&mut self, window: &mut Window<'_, F>) -> Parsed {
            self.1.read(window)
        }
        fn take(&mut self, start: u32) {
            let name = self.1.hostname.as_bytes();
            if name.eq_ignore_ascii_case(self.0.as_bytes()) {
                self.2.insert((start, name.to_vec()));
            }
        }
        fn observer(&mut self) -> Option<&mut dyn Observer> {
            None
        }
    }

    fn both_ways(text: &[u8], wanted: &str, buffer: usize) -> [BTreeSet<(u32, Vec<u8>)>; 2] {
        let mut needle = Needle::EMPTY;
        needle.extend(b"\"");
        needle.extend(wanted.as_bytes());
        [false, true].map(|fast| {
            let mut buffer = vec![0; buffer];
            let mut window = Window::new(InMemory { bytes: text, piece: usize::MAX }, &mut buffer);
            let mut records = Named(wanted, Lease::new(), BTreeSet::new());
            if fast {
                matching(&mut window, &needle, &mut records);
            } else {
                while next(&mut window, &mut records) {}
            }
            records.2
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
