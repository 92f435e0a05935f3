//! The leases that can be read in a damaged file.

use std::collections::HashSet;

use serde_json::value::RawValue;

use crate::record::LeaseRecord;

/// Finds every complete lease in a text, whatever is around it, as long as its values are strings, numbers, `true`,
/// `false` or `null`. If two have the same IP address, the later one is taken, since it is fresher.
///
/// Takes linear time: a candidate from one brace ends at the next brace that is not in a string, and each byte is
/// passed at most once inside a string and once outside.
#[must_use]
pub fn salvage(text: &str) -> Vec<LeaseRecord<'_>> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(brace) = rest.find('{') {
        rest = &rest[brace..];
        let object = flat_object(rest);
        let lease = object
            .and_then(|object| serde_json::from_str::<&RawValue>(object).ok())
            .and_then(LeaseRecord::read);
        rest = match (object, lease) {
            (Some(object), Some(lease)) => {
                found.push(lease);
                &rest[object.len()..]
            }
            _ => &rest[1..],
        };
    }
    let mut seen = HashSet::new();
    found.reverse();
    found.retain(|record: &LeaseRecord| seen.insert(record.ip_address.clone()));
    found.reverse();
    found
}

/// The text from the brace at its start to the closing brace, if no other brace or bracket comes first outside of
/// strings. A string ends at its quote; a control character in it ends the search.
fn flat_object(text: &str) -> Option<&str> {
    let mut in_string = false;
    let mut bytes = text.bytes().enumerate().skip(1);
    while let Some((at, byte)) = bytes.next() {
        match (in_string, byte) {
            (_, b'"') => in_string = !in_string,
            (true, b'\\') => drop(bytes.next()),
            (true, 0..b' ') | (false, b'{' | b'[' | b'\\') => return None,
            (false, b'}') => return Some(&text[..=at]),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::lease::Lease;

    fn addresses<'a>(records: &'a [LeaseRecord]) -> Vec<&'a str> {
        records.iter().map(|record| &*record.ip_address).collect()
    }

    #[test]
    fn a_list_cut_anywhere_yields_its_complete_leases() {
        let leases: Vec<Lease> = (0..5)
            .map(|i| Lease {
                ip_address: format!("192.168.122.{i}"),
                hostname: Some("{[\"}]{\\".into()),
                ..Lease::default()
            })
            .collect();
        let whole: Vec<LeaseRecord> = leases.iter().map(LeaseRecord::new).collect();
        let text: Vec<&str> = whole.iter().map(|record| &*record.text).collect();
        let text = format!("[\n  {}\n]\n", text.join(",\n  "));
        for cut in 0..text.len() {
            let before = text[..cut].matches("\n  }").count();
            assert_eq!(salvage(&text[..cut]), whole[..before], "cut at {cut}");
            let after = text[cut..].matches("{\n").count();
            assert_eq!(salvage(&text[cut..]), whole[5 - after..], "from {cut}");
        }
    }

    #[test]
    fn finds_leases_wherever_they_are() {
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
        assert_eq!(found[1].text, lease("1", 2), "the later of the two");
        assert!(salvage("").is_empty());
        assert!(salvage(&"{".repeat(10_000)).is_empty());
    }

    #[test]
    fn time_is_linear_whatever_is_in_the_file() {
        // In quadratic time 80 KB took two seconds, optimised; this would take minutes.
        for unit in [
            r#"{"a":"#,
            r#"{"{":""#,
            "{",
            "{\"",
            "{\\\"",
            r#"{"a":1,"#,
            r#"{":{","#,
            r#"{"ip-address":"1"},"#,
        ] {
            let text = unit.repeat((1 << 20) / unit.len());
            let start = Instant::now();
            let found = salvage(&text);
            assert!(found.len() <= 1, "{unit}");
            assert!(start.elapsed() < Duration::from_secs(30), "{unit}: {:?}", start.elapsed());
        }
    }
}
