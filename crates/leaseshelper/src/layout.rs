//! The list as text, to the byte: the layout that libvirt's helper gave it up to 10.7 (yajl's, two spaces
//! deep).
//!
//! ```text
//! [
//!   {
//!     "ip-address": "192.168.122.5",
//!     "expiry-time": 1900000000
//!   }
//! ]
//! ```
//!
//! An empty list is `[`, an empty line, `]`. In strings, control characters, quotes and backslashes are
//! escaped, the control characters without a letter of their own as `\u00XX` in upper case; everything else
//! stands for itself.
//!
//! [`records`] reads that layout and no other. It keeps each record as the slice of text that it is, so a
//! change costs a pass over the bytes and copies what stays. [`crate::json`] reads every other layout.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::event::Lease;

/// A lease in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its text in this layout, from `  {` to `  }`.
    pub text: Cow<'a, str>,
    /// The value of `ip-address`.
    pub ip_address: Cow<'a, str>,
    /// The value of `server-duid`.
    pub server_duid: Option<Cow<'a, str>>,
}

/// The keys of a record in the order in which they are written, and the type of each.
///
/// `server-duid` stands a second time at the end: that is where a record that lacked it gets it.
const KEYS: [(&str, Kind); 9] = [
    ("iaid", Kind::Text),
    ("ip-address", Kind::Text),
    ("mac-address", Kind::Text),
    ("hostname", Kind::Text),
    ("domain", Kind::Text),
    ("client-id", Kind::Text),
    ("server-duid", Kind::Text),
    ("expiry-time", Kind::Number),
    ("server-duid", Kind::Text),
];

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Text,
    Number,
}

const OPEN: &str = "  {\n";
const CLOSE: &str = "\n  }";
const EMPTY: &str = "[\n\n]\n";

/// Writes the list, piece by piece.
pub fn list<'a>(records: &'a [Record]) -> impl Iterator<Item = &'a str> + Clone {
    let separators = std::iter::once("[\n").chain(std::iter::repeat(",\n"));
    let records =
        separators.zip(records).flat_map(|(separator, record)| [separator, &*record.text]);
    let open = if records.clone().next().is_none() { "[\n" } else { "" };
    std::iter::once(open).chain(records).chain(std::iter::once("\n]\n"))
}

impl<'a> Record<'a> {
    /// Writes a record for a lease.
    #[must_use]
    pub fn new(lease: &'a Lease) -> Self {
        let mut text = String::from(OPEN);
        let members = [
            ("iaid", lease.iaid.as_deref()),
            ("ip-address", Some(lease.ip_address.as_str())),
            ("mac-address", Some(lease.mac_address.as_str())),
            ("hostname", lease.hostname.as_deref()),
            ("domain", lease.domain.as_deref()),
            ("client-id", lease.client_id.as_deref()),
            ("server-duid", lease.server_duid.as_deref()),
        ];
        for (name, value) in members {
            if let Some(value) = value {
                key(&mut text, 2, name);
                string(&mut text, value);
                text.push_str(",\n");
            }
        }
        key(&mut text, 2, "expiry-time");
        write!(text, "{}", lease.expiry_time).expect("a String takes everything");
        text.push_str(CLOSE);
        Self {
            text: Cow::Owned(text),
            ip_address: Cow::Borrowed(&lease.ip_address),
            server_duid: lease.server_duid.as_deref().map(Cow::Borrowed),
        }
    }

    /// Gives the record a server DUID, behind everything else. It must not have one yet.
    pub fn add_server_duid(&mut self, duid: &str) {
        debug_assert!(self.server_duid.is_none());
        let text = self.text.to_mut();
        text.truncate(text.len() - CLOSE.len());
        text.push_str(",\n");
        key(text, 2, "server-duid");
        string(text, duid);
        text.push_str(CLOSE);
        self.server_duid = Some(Cow::Owned(duid.to_owned()));
    }
}

/// Writes a key at the given depth, and what separates it from its value.
pub(crate) fn key(out: &mut String, depth: usize, name: &str) {
    indent(out, depth);
    string(out, name);
    out.push_str(": ");
}

/// Writes the white space in front of a value or key at the given depth.
pub(crate) fn indent(out: &mut String, depth: usize) {
    out.extend(std::iter::repeat_n("  ", depth));
}

/// Writes a string with its quotes.
pub(crate) fn string(out: &mut String, value: &str) {
    out.push('"');
    let mut rest = value;
    while let Some(at) = rest.bytes().position(|byte| byte < b' ' || byte == b'"' || byte == b'\\')
    {
        out.push_str(&rest[..at]);
        let byte = rest.as_bytes()[at];
        match LETTERS.iter().find(|(_, escaped)| *escaped == byte) {
            Some((letter, _)) => out.extend(['\\', char::from(*letter)]),
            None => write!(out, "\\u{byte:04X}").expect("a String takes everything"),
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}

/// What may follow a backslash, but for `u`, and the byte that it stands for.
const LETTERS: [(u8, u8); 7] = [
    (b'"', b'"'),
    (b'\\', b'\\'),
    (b'b', 0x08),
    (b'f', 0x0c),
    (b'n', b'\n'),
    (b'r', b'\r'),
    (b't', b'\t'),
];

/// Reads a list, or nothing where one byte of it is not as [`list`] writes it, a record has keys of another
/// program, or one lacks `ip-address` or `expiry-time`.
#[must_use]
pub fn records(text: &str) -> Option<Vec<Record<'_>>> {
    if text == EMPTY {
        return Some(Vec::new());
    }
    let mut cursor = Cursor { text, at: 0 };
    // A record is about 200 bytes, so this is room enough for the list and not for much more.
    let mut records = Vec::with_capacity(text.len() / 160 + 1);
    cursor.take("[\n")?;
    loop {
        records.push(cursor.record()?);
        if cursor.take(",\n").is_none() {
            break;
        }
    }
    cursor.take("\n]\n")?;
    (cursor.at == text.len()).then_some(records)
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, literal: &str) -> Option<()> {
        self.text.as_bytes()[self.at..].starts_with(literal.as_bytes()).then(|| {
            self.at += literal.len();
        })
    }

    fn record(&mut self) -> Option<Record<'a>> {
        let start = self.at;
        let mut ip_address = None;
        let mut server_duid = None;
        let mut has_expiry = false;
        // Each key has to come behind the one before in the table, so none comes twice.
        let mut next = 0;
        self.take(OPEN)?;
        loop {
            self.take("    ")?;
            let name = self.string()?;
            self.take(": ")?;
            let found = KEYS[next..].iter().position(|(key, _)| *key == name)?;
            let (name, kind) = KEYS[next + found];
            next += found + 1;
            match kind {
                Kind::Number => {
                    self.number()?;
                    has_expiry = true;
                }
                Kind::Text => {
                    let value = self.string()?;
                    match name {
                        "ip-address" => ip_address = Some(value),
                        "server-duid" if server_duid.is_some() => return None,
                        "server-duid" => server_duid = Some(value),
                        _ => {}
                    }
                }
            }
            if self.take(",\n").is_none() {
                break;
            }
        }
        self.take(CLOSE)?;
        let ip_address = unescape(ip_address?)?;
        let server_duid = match server_duid {
            Some(duid) => Some(unescape(duid)?),
            None => None,
        };
        let text = Cow::Borrowed(&self.text[start..self.at]);
        has_expiry.then_some(Record { text, ip_address, server_duid })
    }

    /// Steps over a string and gives what is between its quotes.
    fn string(&mut self) -> Option<&'a str> {
        self.take("\"")?;
        let start = self.at;
        let bytes = self.text.as_bytes();
        loop {
            let byte = *bytes.get(self.at)?;
            self.at += 1;
            match byte {
                b'"' => return Some(&self.text[start..self.at - 1]),
                b'\\' => self.escape()?,
                0..b' ' => return None,
                _ => {}
            }
        }
    }

    fn escape(&mut self) -> Option<()> {
        let rest = &self.text.as_bytes()[self.at..];
        if LETTERS.iter().any(|(letter, _)| rest.first() == Some(letter)) {
            self.at += 1;
            return Some(());
        }
        let [b'u', b'0', b'0', high @ (b'0' | b'1'), low, ..] = *rest else { return None };
        let low = match low {
            b'0'..=b'9' => low - b'0',
            b'A'..=b'F' => low - b'A' + 10,
            _ => return None,
        };
        let byte = (high - b'0') << 4 | low;
        self.at += 5;
        // NUL ends a string for libvirt, so a string that holds one is not ours.
        (byte != 0 && !LETTERS.iter().any(|(_, escaped)| *escaped == byte)).then_some(())
    }

    /// Steps over a whole number that an `i64` holds, written without detours.
    fn number(&mut self) -> Option<()> {
        let rest = &self.text[self.at..];
        let length = rest.bytes().take_while(|byte| matches!(byte, b'-' | b'0'..=b'9')).count();
        let digits = rest[..length].trim_start_matches('-');
        let detour = digits.starts_with('0') && length != 1;
        self.at += length;
        (!detour && rest[..length].parse::<i64>().is_ok()).then_some(())
    }
}

fn unescape(inner: &str) -> Option<Cow<'_, str>> {
    if !inner.contains('\\') {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str(&format!("\"{inner}\"")).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease() -> Lease {
        Lease {
            iaid: Some("7".into()),
            ip_address: "fd00::5".into(),
            mac_address: "52:54:00:00:00:01".into(),
            hostname: Some("web".into()),
            domain: Some("lab".into()),
            client_id: Some("00:01".into()),
            server_duid: Some("00:02".into()),
            expiry_time: -7,
        }
    }

    fn written(records: &[Record]) -> String {
        list(records).collect()
    }

    #[test]
    fn a_record_with_everything() {
        let lease = lease();
        let text = written(&[Record::new(&lease)]);
        let expected = r#"[
  {
    "iaid": "7",
    "ip-address": "fd00::5",
    "mac-address": "52:54:00:00:00:01",
    "hostname": "web",
    "domain": "lab",
    "client-id": "00:01",
    "server-duid": "00:02",
    "expiry-time": -7
  }
]
"#;
        assert_eq!(text, expected);
    }

    #[test]
    fn lists_of_none_one_and_two() {
        let lease = Lease { ip_address: "a".into(), mac_address: "b".into(), ..Lease::default() };
        let record = "  {\n    \"ip-address\": \"a\",\n    \"mac-address\": \"b\",\n    \"expiry-time\": 0\n  }";
        let records = [Record::new(&lease), Record::new(&lease)];
        assert_eq!(written(&records[..0]), "[\n\n]\n");
        assert_eq!(written(&records[..1]), format!("[\n{record}\n]\n"));
        assert_eq!(written(&records), format!("[\n{record},\n{record}\n]\n"));
    }

    #[test]
    fn escapes() {
        let mut out = String::new();
        string(&mut out, "a\u{1}\u{1f}\u{7f}\u{8}\u{c}\n\r\t\u{b}/\"\\é😀<");
        assert_eq!(
            out,
            r#""a\u0001\u001F"#.to_owned() + "\u{7f}" + r#"\b\f\n\r\t\u000B/\"\\é😀<""#
        );
    }

    #[test]
    fn what_is_written_is_read_back_as_the_same_bytes() {
        let mut leases = vec![lease()];
        for byte in 1..0x80u8 {
            let name = String::from(char::from(byte));
            leases.push(Lease { hostname: Some(name.clone()), ip_address: name, ..lease() });
        }
        leases.push(Lease { server_duid: None, expiry_time: i64::MIN, ..lease() });
        leases.push(Lease { domain: None, iaid: None, expiry_time: i64::MAX, ..lease() });
        let records: Vec<Record> = leases.iter().map(Record::new).collect();
        let text = written(&records);
        let read = super::records(&text).expect("its own layout");
        assert_eq!(read, records);
        assert_eq!(written(&read), text);
        assert!(matches!(read[1].text, Cow::Borrowed(_)), "an untouched record is not copied");
        assert_eq!(super::records("[\n\n]\n"), Some(vec![]));
    }

    #[test]
    fn a_late_server_duid_goes_last() {
        let lease = Lease { server_duid: None, ..lease() };
        let mut record = Record::new(&lease);
        record.add_server_duid("a\"b");
        assert!(
            record.text.ends_with("\"expiry-time\": -7,\n    \"server-duid\": \"a\\\"b\"\n  }")
        );
        let text = written(&[record.clone()]);
        assert_eq!(super::records(&text), Some(vec![record]));
    }

    #[test]
    fn one_byte_off_is_another_layout() {
        let lease = Lease { hostname: Some("a\\b\u{1}é".into()), ..lease() };
        let text = written(&[Record::new(&lease), Record::new(&lease)]);
        for at in 0..text.len() {
            for insert in [" ", "\"", "\\", "0", "\n", "}", ",", "{"] {
                if !text.is_char_boundary(at) {
                    continue;
                }
                let odd = format!("{}{insert}{}", &text[..at], &text[at..]);
                if let Some(records) = super::records(&odd) {
                    assert_eq!(written(&records), odd);
                    let parsed: serde_json::Value = serde_json::from_str(&odd).expect("JSON");
                    assert_eq!(parsed.as_array().map(Vec::len), Some(2));
                }
            }
            if text.is_char_boundary(at) {
                assert_eq!(super::records(&text[..at]), None, "cut at {at}");
            }
        }
    }

    #[test]
    fn what_only_json_reads() {
        let member =
            |member: &str| format!("[\n  {{\n    \"ip-address\": \"a\",\n{member}\n  }}\n]\n");
        assert!(super::records(&member("    \"expiry-time\": 1")).is_some());
        for other in [
            r#"    "expiry-time": 01"#,
            r#"    "expiry-time": -0"#,
            r#"    "expiry-time": 1.0"#,
            r#"    "expiry-time": -"#,
            r#"    "expiry-time": 9223372036854775808"#,
            r#"    "expiry-time": "1""#,
            r#"    "hostname": "a""#,
            "    \"hostname\": \"\\u001f\",\n    \"expiry-time\": 1",
            "    \"hostname\": \"\\u000A\",\n    \"expiry-time\": 1",
            "    \"hostname\": \"\\u0000\",\n    \"expiry-time\": 1",
            "    \"hostname\": \"\\/\",\n    \"expiry-time\": 1",
            "    \"hostname\": \"\\u00E9\",\n    \"expiry-time\": 1",
            "    \"hostname\": null,\n    \"expiry-time\": 1",
            "    \"other\": \"a\",\n    \"expiry-time\": 1",
            "    \"iaid\": \"a\",\n    \"expiry-time\": 1",
            "    \"hostname\": \"a\",\n    \"hostname\": \"a\",\n    \"expiry-time\": 1",
            "    \"server-duid\": \"a\",\n    \"expiry-time\": 1,\n    \"server-duid\": \"a\"",
            "    \"expiry-time\": 1,\n    \"server-duid\": null",
        ] {
            assert_eq!(super::records(&member(other)), None, "{other}");
        }
    }
}
