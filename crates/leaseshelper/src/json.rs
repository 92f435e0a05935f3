//! Lists that are not laid out as the helper writes them: by a newer libvirt (json-c: `[]`, `\u001f`), by hand,
//! with the keys of another program, or damaged. They come out in the helper's own layout, with nothing left
//! out.
//!
//! Numbers, `true`, `false` and `null` keep their text, members their order; white space and escapes become the
//! layout's, as they do when libvirt's helper prints the list anew.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::layout::{self, Record};
use crate::leases::{Damage, Why};

/// How deep a value may be nested; yajl, which printed the list for libvirt up to 10.7, ends here too.
const DEEPEST: usize = 128;

/// Reads a list.
///
/// A lease without `expiry-time` gets 0, never: that is what early helpers meant by leaving it out. A
/// `server-duid` that is no string is dropped: libvirt's helper writes null where it knows none, and can't read
/// that.
///
/// # Errors
/// What is wrong with it, where not each byte of it could be taken over. [`salvage`] then gives what can be
/// saved.
pub fn records(text: &str) -> Result<Vec<Record<'static>>, Damage> {
    let values: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| Damage {
        why: if error.classify() == Category::Data { Why::NotAList } else { Why::NotJson },
        detail: error.to_string(),
    })?;
    let lease = |(i, value): (usize, &&RawValue)| {
        record(value).ok_or_else(|| Damage {
            why: Why::NotLeases,
            detail: format!(
                "element {} of {} is no object with an ip-address and a whole number as its expiry-time",
                i + 1,
                values.len()
            ),
        })
    };
    values.iter().enumerate().map(lease).collect()
}

/// Reads every lease that stands whole somewhere in a text, whatever is around it. Of two with one IP address
/// the later is taken, as it is the fresher one.
#[must_use]
pub fn salvage(text: &str) -> Vec<Record<'static>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(brace) = text[at..].find('{') {
        at += brace;
        let mut values = serde_json::Deserializer::from_str(&text[at..]).into_iter::<&RawValue>();
        match values.next().and_then(Result::ok).and_then(record) {
            Some(record) => {
                found.push(record);
                at += values.byte_offset();
            }
            None => at += 1,
        }
    }
    let mut seen = HashSet::new();
    found.reverse();
    found.retain(|record| seen.insert(record.ip_address.clone()));
    found.reverse();
    found
}

/// The members of an object in their order. Of two with one key the later value counts, at the place of the
/// earlier.
pub(crate) struct Members<'a>(Vec<(String, &'a RawValue)>);

impl Members<'_> {
    /// The members of a record's text.
    pub(crate) fn of<'a>(record: &'a Record) -> Option<Members<'a>> {
        serde_json::from_str(&record.text).ok()
    }

    /// The string under a key.
    pub(crate) fn string(&self, key: &str) -> Option<String> {
        serde_json::from_str(self.get(key)?.get()).ok()
    }

    /// The whole number under a key.
    pub(crate) fn number(&self, key: &str) -> Option<i64> {
        self.get(key)?.get().parse().ok()
    }

    fn get(&self, key: &str) -> Option<&RawValue> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| *value)
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members: Self::Value = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
                    match members.iter_mut().find(|(earlier, _)| *earlier == key) {
                        Some((_, place)) => *place = value,
                        None => members.push((key, value)),
                    }
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(InOrder).map(Self)
    }
}

/// Makes a record of an object, or nothing where it is no lease.
fn record(value: &RawValue) -> Option<Record<'static>> {
    let mut members: Members = serde_json::from_str(value.get()).ok()?;
    let ip_address = members.string("ip-address")?;
    let has_expiry = members.get("expiry-time").is_some();
    if has_expiry && members.number("expiry-time").is_none() {
        return None;
    }
    let server_duid = members.string("server-duid");
    members.0.retain(|(key, _)| key != "server-duid" || server_duid.is_some());
    let mut text = String::from("  {\n");
    for (i, (key, value)) in members.0.iter().enumerate() {
        if i > 0 {
            text.push_str(",\n");
        }
        layout::key(&mut text, 2, key);
        print(&mut text, value, 2)?;
    }
    if !has_expiry {
        text.push_str(",\n");
        layout::key(&mut text, 2, "expiry-time");
        text.push('0');
    }
    text.push_str("\n  }");
    Some(Record {
        text: Cow::Owned(text),
        ip_address: Cow::Owned(ip_address),
        server_duid: server_duid.map(Cow::Owned),
    })
}

/// Prints a value that stands at the given depth.
fn print(out: &mut String, value: &RawValue, depth: usize) -> Option<()> {
    let text = value.get();
    match text.as_bytes().first()? {
        b'"' => layout::string(out, &serde_json::from_str::<String>(text).ok()?),
        b'[' if depth < DEEPEST => {
            out.push_str("[\n");
            for (i, value) in serde_json::from_str::<Vec<&RawValue>>(text).ok()?.iter().enumerate()
            {
                out.push_str(if i > 0 { ",\n" } else { "" });
                layout::indent(out, depth + 1);
                print(out, value, depth + 1)?;
            }
            out.push('\n');
            layout::indent(out, depth);
            out.push(']');
        }
        b'{' if depth < DEEPEST => {
            out.push_str("{\n");
            let members: Members = serde_json::from_str(text).ok()?;
            for (i, (key, value)) in members.0.iter().enumerate() {
                out.push_str(if i > 0 { ",\n" } else { "" });
                layout::key(out, depth + 1, key);
                print(out, value, depth + 1)?;
            }
            out.push('\n');
            layout::indent(out, depth);
            out.push('}');
        }
        b'[' | b'{' => return None,
        _ => out.push_str(text),
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Lease;

    fn printed(text: &str) -> String {
        layout::list(&records(text).expect("leases")).collect()
    }

    fn why(text: &str) -> Why {
        records(text).expect_err("no leases").why
    }

    fn addresses(records: &[Record]) -> Vec<String> {
        records.iter().map(|record| record.ip_address.to_string()).collect()
    }

    #[test]
    fn the_helpers_own_layout_comes_out_unchanged() {
        let names = ["web", "", "a\u{1}\u{1f}\u{7f}\u{8}\u{c}\n\r\t\u{b}/\"\\é😀<"];
        let leases: Vec<Lease> = (0..12)
            .map(|i: usize| Lease {
                iaid: (i % 2 == 0).then(|| i.to_string()),
                ip_address: format!("fd00::{i}"),
                mac_address: "52:54:00:00:00:01".into(),
                hostname: Some(names[i % 3].into()),
                domain: (i % 4 == 0).then(|| "lab".into()),
                client_id: Some("01:ff".into()),
                server_duid: (i % 5 == 0).then(|| "00:02".into()),
                expiry_time: i as i64 - 3,
            })
            .collect();
        let direct: Vec<Record> = leases.iter().map(Record::new).collect();
        let text: String = layout::list(&direct).collect();
        assert_eq!(printed(&text), text);
        assert_eq!(records(&text).as_deref(), Ok(&*direct));
    }

    #[test]
    fn other_layouts_come_out_in_the_helpers() {
        assert_eq!(printed("[]"), "[\n\n]\n");
        let text = r#"[ {"ip-address":"1.2.3.4", "expiry-time": 12, "x":[], "y":{},
            "z":[1,{"a":-0.10e5,"b":null, "c":[true,false]}],"u":"\u00e9\ud83d\ude00\/\u001f" } ]"#;
        let expected = r#"[
  {
    "ip-address": "1.2.3.4",
    "expiry-time": 12,
    "x": [

    ],
    "y": {

    },
    "z": [
      1,
      {
        "a": -0.10e5,
        "b": null,
        "c": [
          true,
          false
        ]
      }
    ],
    "u": "é😀/\u001F"
  }
]
"#;
        assert_eq!(printed(text), expected);
    }

    #[test]
    fn what_other_writers_left_out_or_wrote_badly() {
        assert_eq!(
            printed(r#"[{"ip-address":"::1","server-duid":null}]"#),
            "[\n  {\n    \"ip-address\": \"::1\",\n    \"expiry-time\": 0\n  }\n]\n"
        );
        assert_eq!(
            printed(r#"[{"ip-address":"1","expiry-time":1,"ip-address":"2"}]"#),
            "[\n  {\n    \"ip-address\": \"2\",\n    \"expiry-time\": 1\n  }\n]\n"
        );
    }

    #[test]
    fn kinds_of_damage() {
        assert_eq!(why("garbage"), Why::NotJson);
        assert_eq!(why("[{\"ip-address\":\"1\",\"expiry-time\":1}"), Why::NotJson);
        assert_eq!(why("[]\0"), Why::NotJson);
        assert_eq!(why("[] []"), Why::NotJson);
        assert_eq!(why("{}"), Why::NotAList);
        assert_eq!(why("7"), Why::NotAList);
        for element in [
            "7",
            "[]",
            "{}",
            r#"{"ip-address":7,"expiry-time":1}"#,
            r#"{"ip-address":"1","expiry-time":"1"}"#,
            r#"{"ip-address":"1","expiry-time":1.5}"#,
            r#"{"ip-address":"1","expiry-time":9223372036854775808}"#,
        ] {
            assert_eq!(why(&format!("[{element}]")), Why::NotLeases, "{element}");
        }
        let deep = |depth| {
            format!(
                "[{{\"ip-address\":\"1\",\"expiry-time\":1,\"x\":{}{}}}]",
                "[".repeat(depth),
                "]".repeat(depth)
            )
        };
        assert!(records(&deep(100)).is_ok());
        assert_eq!(why(&deep(200)), Why::NotLeases);
        assert_eq!(why(&deep(100_000)), Why::NotLeases);
    }

    #[test]
    fn every_cut_list_gives_its_whole_leases() {
        let leases: Vec<Lease> = (0..5)
            .map(|i| Lease {
                ip_address: format!("192.168.122.{i}"),
                hostname: Some("{[\"}]{".into()),
                ..Lease::default()
            })
            .collect();
        let direct: Vec<Record> = leases.iter().map(Record::new).collect();
        let text: String = layout::list(&direct).collect();
        for cut in 0..text.len() {
            let whole = text[..cut].matches("\n  }").count();
            assert_eq!(salvage(&text[..cut]), direct[..whole], "cut at {cut}");
            let whole = text[cut..].matches("{\n").count();
            assert_eq!(salvage(&text[cut..]), direct[5 - whole..], "from {cut}");
        }
    }

    #[test]
    fn salvage_finds_leases_wherever_they_are() {
        let lease =
            |ip: &str, expiry: u32| format!(r#"{{"ip-address":"{ip}","expiry-time":{expiry}}}"#);
        let text = format!(
            "\0\0{{{}, {{\"x\": {}}} \"{{\\\"ip-address\\\":\\\"9\\\"}}\" {{\"broken: {} ]]",
            lease("1", 1),
            lease("2", 1),
            lease("1", 2)
        );
        let found = salvage(&text);
        assert_eq!(addresses(&found), ["2", "1"]);
        assert!(found[1].text.contains("\"expiry-time\": 2"), "the later of the two");
        assert!(salvage("").is_empty());
        assert!(salvage(&"{".repeat(10_000)).is_empty());
    }
}
