//! The record of a lease in the list: JSON text, and the few values in it that events need.
//!
//! A record that was read keeps its text, no matter what wrote it: libvirt's helper with yajl (up to 10.7) or json-c,
//! an administrator, or a program with keys of its own. Only characters outside ASCII become `\uXXXX`, since libvirt
//! 11.3 takes a list that has any for broken. New records have yajl's layout:
//!
//! ```text
//! {
//!     "ip-address": "192.168.122.5",
//!     "expiry-time": 1900000000
//!   }
//! ```
//!
//! In strings, quotes, backslashes, control characters and characters outside ASCII are escaped, as `\uXXXX` in upper
//! case unless JSON has a short escape for them.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::lease::Lease;
use crate::limits::MOST_MEMBERS;

/// The record of a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRecord<'a> {
    /// The JSON object, from brace to brace.
    pub text: Cow<'a, str>,
    /// The value of `ip-address`.
    pub ip_address: Cow<'a, str>,
    /// The value of `server-duid`.
    pub server_duid: Option<Cow<'a, str>>,
}

impl<'a> LeaseRecord<'a> {
    /// Formats the record of a lease.
    #[must_use]
    pub fn new(lease: &'a Lease) -> Self {
        let mut object = ObjectWriter::new();
        for (key, value) in [
            ("iaid", lease.iaid.as_deref()),
            ("ip-address", Some(lease.ip_address.as_str())),
            ("mac-address", Some(lease.mac_address.as_str())),
            ("hostname", lease.hostname.as_deref()),
            ("domain", lease.domain.as_deref()),
            ("client-id", lease.client_id.as_deref()),
            ("server-duid", lease.server_duid.as_deref()),
        ] {
            if let Some(value) = value {
                object.member(key, &quoted(value));
            }
        }
        object.member("expiry-time", &lease.expiry_time.to_string());
        Self {
            text: Cow::Owned(object.finish()),
            ip_address: Cow::Borrowed(&lease.ip_address),
            server_duid: lease.server_duid.as_deref().map(Cow::Borrowed),
        }
    }

    /// Parses a record. `None` if the value is not a lease: an object with a string as its `ip-address` and a whole
    /// number as its `expiry-time`, with at most 64 members and nested at most 127 deep.
    ///
    /// The text stays as it is, except for what libvirt's helper can't read: a missing `expiry-time` becomes 0 (never;
    /// early helpers left it out), a `server-duid` that is not a string is removed (the helper writes null if it knows
    /// none), and of several members with one key only the last is kept.
    #[must_use]
    pub fn read(value: &'a RawValue) -> Option<Self> {
        let mut members = Members::read(value.get())?;
        let ip_address = members.string("ip-address")?;
        // serde_json only skips over a raw value: it has checked neither its depth nor its escapes.
        let is_simple = |value: &RawValue| !value.get().contains(['{', '[', '\\']);
        if members.members.iter().any(|(_, value)| {
            !is_simple(value) && serde_json::from_str::<serde_json::Value>(value.get()).is_err()
        }) {
            return None;
        }
        let server_duid = members.string("server-duid");
        let has_expiry = members.get("expiry-time").is_some();
        if has_expiry && members.number("expiry-time").is_none() {
            return None;
        }
        let has_bad_duid = members.get("server-duid").is_some() && server_duid.is_none();
        let text = if has_expiry && !has_bad_duid && !members.has_duplicates {
            Cow::Borrowed(value.get())
        } else {
            members.members.retain(|(key, _)| key != "server-duid" || !has_bad_duid);
            let mut object = members.write();
            if !has_expiry {
                object.member("expiry-time", "0");
            }
            Cow::Owned(object.finish())
        };
        // Characters outside ASCII can only be in strings, since this is valid JSON.
        let text = if text.is_ascii() { text } else { Cow::Owned(escape_non_ascii(&text)) };
        Some(Self {
            text,
            ip_address: Cow::Owned(ip_address),
            server_duid: server_duid.map(Cow::Owned),
        })
    }

    /// Adds a server DUID as the last member. The record must not have one yet.
    pub fn add_server_duid(&mut self, duid: &str) {
        debug_assert!(self.server_duid.is_none(), "a second server-duid");
        let members = Members::read(&self.text).expect("the text of a record is an object");
        let mut object = members.write();
        object.member("server-duid", &quoted(duid));
        self.text = Cow::Owned(object.finish());
        self.server_duid = Some(Cow::Owned(duid.to_owned()));
    }

    /// The record with a copy of its text, independent of the file's bytes.
    pub(crate) fn into_owned(self) -> LeaseRecord<'static> {
        LeaseRecord {
            text: Cow::Owned(self.text.into_owned()),
            ip_address: Cow::Owned(self.ip_address.into_owned()),
            server_duid: self.server_duid.map(|duid| Cow::Owned(duid.into_owned())),
        }
    }
}

/// The members of an object in order, and whether any key came twice. The last value of a key counts, at the position
/// of the first.
pub(crate) struct Members<'a> {
    members: Vec<(String, &'a RawValue)>,
    has_duplicates: bool,
}

impl<'a> Members<'a> {
    /// Parses an object.
    pub(crate) fn read(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The value of a key, if it is a string.
    pub(crate) fn string(&self, key: &str) -> Option<String> {
        serde_json::from_str(self.get(key)?.get()).ok()
    }

    /// The value of a key, if it is a whole number.
    pub(crate) fn number(&self, key: &str) -> Option<i64> {
        self.get(key)?.get().parse().ok()
    }

    fn get(&self, key: &str) -> Option<&'a RawValue> {
        self.members.iter().find(|(name, _)| name == key).map(|(_, value)| *value)
    }

    fn write(&self) -> ObjectWriter {
        let mut object = ObjectWriter::new();
        for (key, value) in &self.members {
            object.member(key, value.get());
        }
        object
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(8);
                let mut has_duplicates = false;
                while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
                    let is_full = members.len() == MOST_MEMBERS;
                    match members.iter_mut().find(|(earlier, _)| *earlier == key) {
                        Some((_, earlier)) => (*earlier, has_duplicates) = (value, true),
                        None if is_full => return Err(A::Error::custom("too many members")),
                        None => members.push((key, value)),
                    }
                }
                Ok(Members { members, has_duplicates })
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// Formats an object one level below the list.
struct ObjectWriter(String);

impl ObjectWriter {
    fn new() -> Self {
        Self(String::from("{"))
    }

    /// Adds a member; `value` is JSON text.
    fn member(&mut self, key: &str, value: &str) {
        let separator = if self.0.len() == 1 { "" } else { "," };
        write!(self.0, "{separator}\n    {}: {value}", quoted(key))
            .expect("writing to a String succeeds");
    }

    fn finish(mut self) -> String {
        self.0.push_str("\n  }");
        self.0
    }
}

/// A string as JSON text.
fn quoted(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 2);
    out.push('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            ' '..='\u{7f}' => out.push(c),
            _ => escape(&mut out, c),
        }
    }
    out.push('"');
    out
}

fn escape_non_ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for c in text.chars() {
        if c.is_ascii() { out.push(c) } else { escape(&mut out, c) }
    }
    out
}

/// Appends the escape of one character: two escapes if UTF-16 needs a surrogate pair (RFC 8259, section 7).
fn escape(out: &mut String, c: char) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        write!(out, "\\u{unit:04X}").expect("writing to a String succeeds");
    }
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

    fn raw(text: &str) -> &RawValue {
        serde_json::from_str(text).expect("JSON")
    }

    fn read(text: &str) -> Option<LeaseRecord<'_>> {
        LeaseRecord::read(raw(text))
    }

    #[test]
    fn a_record_with_everything() {
        let lease = lease();
        let expected = r#"{
    "iaid": "7",
    "ip-address": "fd00::5",
    "mac-address": "52:54:00:00:00:01",
    "hostname": "web",
    "domain": "lab",
    "client-id": "00:01",
    "server-duid": "00:02",
    "expiry-time": -7
  }"#;
        assert_eq!(LeaseRecord::new(&lease).text, expected);
    }

    #[test]
    fn escapes() {
        assert_eq!(
            quoted("a\u{1}\u{1f}\u{7f}\u{8}\u{c}\n\r\t\u{b}/\"\\é😀<"),
            r#""a\u0001\u001F"#.to_owned()
                + "\u{7f}"
                + r#"\b\f\n\r\t\u000B/\"\\\u00E9\uD83D\uDE00<""#
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
        for lease in &leases {
            let written = LeaseRecord::new(lease);
            let read = read(&written.text).expect("a lease");
            assert_eq!(read, written);
            assert!(matches!(read.text, Cow::Borrowed(_)), "an untouched record is not copied");
        }
    }

    #[test]
    fn records_of_other_writers_keep_their_text() {
        let text = r#"{"ip-address":"1.2.3.4", "expiry-time": 12, "x":[], "y":{},
            "z":[1,{"a":-0.10e5,"b":null, "c":[true,false]}],"u":"\u00e9\ud83d\ude00\/\u001f"}"#;
        assert_eq!(read(text).expect("a lease").text, text);
        let escaped = read(r#"{"ip\u002daddress":"\u0031","expiry-time":1}"#).expect("a lease");
        assert_eq!(escaped.ip_address, "1");
        let utf8 = read(r#"{"ip-address":"é","expiry-time":1,"ü":"😀"}"#).expect("a lease");
        assert_eq!(utf8.ip_address, "é");
        assert_eq!(utf8.text, r#"{"ip-address":"\u00E9","expiry-time":1,"\u00FC":"\uD83D\uDE00"}"#);
    }

    #[test]
    fn what_libvirts_helper_cannot_read_is_repaired() {
        for (text, mended) in [
            (
                r#"{"ip-address":"::1","server-duid":null}"#,
                "{\n    \"ip-address\": \"::1\",\n    \"expiry-time\": 0\n  }",
            ),
            (
                r#"{"ip-address":"1","expiry-time":1,"x" : [ 1.50 ],"ip-address":"2"}"#,
                "{\n    \"ip-address\": \"2\",\n    \"expiry-time\": 1,\n    \"x\": [ 1.50 ]\n  }",
            ),
        ] {
            assert_eq!(read(text).expect("a lease").text, mended);
        }
    }

    #[test]
    fn a_late_server_duid_goes_last() {
        let lease = Lease { server_duid: None, ..lease() };
        for text in [&LeaseRecord::new(&lease).text, r#"{"ip-address":"::1","expiry-time":-7}"#] {
            let mut record = read(text).expect("a lease");
            record.add_server_duid("a\"b");
            assert!(
                record.text.ends_with("\"expiry-time\": -7,\n    \"server-duid\": \"a\\\"b\"\n  }")
            );
            assert_eq!(read(&record.text).as_ref(), Some(&record));
        }
    }

    #[test]
    fn what_is_not_a_lease() {
        let deep = |depth| {
            format!(
                r#"{{"ip-address":"1","expiry-time":1,"x":{}{}}}"#,
                "[".repeat(depth),
                "]".repeat(depth)
            )
        };
        let wide = |members| {
            let more: String = (0..members).map(|i| format!(r#","x{i}":1"#)).collect();
            format!(r#"{{"ip-address":"1","expiry-time":1{more}}}"#)
        };
        assert!(read(&deep(100)).is_some());
        assert!(read(&wide(62)).is_some());
        for text in [
            "7",
            "[]",
            "{}",
            r#"{"ip-address":7,"expiry-time":1}"#,
            r#"{"ip-address":"\ud800","expiry-time":1}"#,
            r#"{"ip-address":"1","expiry-time":1,"x":"\ud800"}"#,
            r#"{"ip-address":"1","expiry-time":1,"\ud800":1}"#,
            r#"{"ip-address":"1","expiry-time":"1"}"#,
            r#"{"ip-address":"1","expiry-time":1.5}"#,
            r#"{"ip-address":"1","expiry-time":9223372036854775808}"#,
            &deep(200),
            &deep(100_000),
            &wide(63),
            &wide(100_000),
        ] {
            assert_eq!(read(text), None, "{:.60}", text);
        }
    }
}
