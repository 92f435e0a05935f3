//! The list of a bridge's leases, and the change that an event makes to it. What is here decides and does no
//! I/O.

use std::fmt;

use crate::event::Change;
use crate::json;
use crate::layout::{self, Record};

/// A bridge's leases, as far as its file could be read. A later one is a fresher one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leases<'a> {
    /// The leases.
    pub records: Vec<Record<'a>>,
    /// What is wrong with the file, where something is; the records are then what could be saved.
    pub damage: Option<Damage>,
}

/// What is wrong with a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The kind, which the name of the file that is put aside tells.
    pub why: Why,
    /// Where and what, for people.
    pub detail: String,
}

/// The kinds of damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It is no JSON.
    NotJson,
    /// It is JSON, and no array.
    NotAList,
    /// It is an array, and something in it is no lease.
    NotLeases,
}

impl Why {
    /// The kind as a part of a file's name.
    #[must_use]
    pub fn slug(self) -> &'static str {
        match self {
            Self::NotJson => "not-json",
            Self::NotAList => "not-a-list",
            Self::NotLeases => "not-leases",
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.why {
            Why::NotJson => "this is no JSON",
            Why::NotAList => "this is no list",
            Why::NotLeases => "not everything in this list is a lease",
        };
        write!(f, "{what} ({})", self.detail)
    }
}

impl<'a> Leases<'a> {
    /// Reads a file. One that is empty or blank is an empty list.
    #[must_use]
    pub fn read(bytes: &'a [u8]) -> Self {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Self { records: Vec::new(), damage: None };
        }
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let records = json::salvage(&String::from_utf8_lossy(bytes));
                let damage = Damage { why: Why::NotJson, detail: error.to_string() };
                return Self { records, damage: Some(damage) };
            }
        };
        if let Some(records) = layout::records(text) {
            return Self { records, damage: None };
        }
        match json::records(text) {
            Ok(records) => Self { records, damage: None },
            Err(damage) => Self { records: json::salvage(text), damage: Some(damage) },
        }
    }

    /// Makes a change.
    ///
    /// IPv6 leases without a server DUID get the one that the event or another lease tells. libvirt's helper
    /// does so too, since its version 1.2.6 wrote none.
    pub fn apply(&mut self, change: &'a Change) {
        if let Some(gone) = &change.remove {
            self.records.retain(|record| record.ip_address != gone.as_str());
        }
        if let Some(duid) = server_duid(&self.records, change.server_duid.as_deref()) {
            let duid = duid.to_owned();
            for record in &mut self.records {
                if is_ipv6(&record.ip_address) && record.server_duid.is_none() {
                    record.add_server_duid(&duid);
                }
            }
        }
        self.records.extend(change.add.as_ref().map(Record::new));
    }
}

/// The server's DUID: the one that dnsmasq told, else the first that an IPv6 lease has.
#[must_use]
pub fn server_duid<'a>(records: &'a [Record], told: Option<&'a str>) -> Option<&'a str> {
    told.or_else(|| {
        records
            .iter()
            .filter(|record| is_ipv6(&record.ip_address))
            .find_map(|record| record.server_duid.as_deref())
    })
}

/// Whether this is an IPv6 address; everything else counts as IPv4, as it does for libvirt.
#[must_use]
pub fn is_ipv6(address: &str) -> bool {
    address.contains(':')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Bridge, Lease};

    fn lease(ip_address: &str) -> Lease {
        Lease { ip_address: ip_address.into(), mac_address: "52:54".into(), ..Lease::default() }
    }

    fn change(remove: Option<&str>, add: Option<Lease>, server_duid: Option<&str>) -> Change {
        Change {
            bridge: Bridge::new("virbr0".into()).expect("a name"),
            remove: remove.map(Into::into),
            add,
            server_duid: server_duid.map(Into::into),
        }
    }

    fn file(leases: &[Lease]) -> String {
        let records: Vec<Record> = leases.iter().map(Record::new).collect();
        layout::list(&records).collect()
    }

    fn after(text: &str, change: &Change) -> String {
        let mut leases = Leases::read(text.as_bytes());
        leases.apply(change);
        assert_eq!(leases.damage, None);
        layout::list(&leases.records).collect()
    }

    #[test]
    fn empty_and_blank_files_are_empty_lists() {
        for text in ["", " ", "\n\n", "[\n\n]\n", "[]\n"] {
            assert_eq!(Leases::read(text.as_bytes()), Leases { records: vec![], damage: None });
            assert_eq!(after(text, &change(Some("1"), None, None)), "[\n\n]\n");
        }
    }

    #[test]
    fn add_moves_to_the_end_and_del_removes() {
        let before = file(&[lease("1"), lease("2"), lease("3")]);
        let renewed = Lease { hostname: Some("web".into()), ..lease("2") };
        let expected = file(&[lease("1"), lease("3"), renewed.clone()]);
        assert_eq!(after(&before, &change(Some("2"), Some(renewed), None)), expected);
        assert_eq!(after(&before, &change(Some("1"), None, None)), file(&[lease("2"), lease("3")]));
        assert_eq!(after(&before, &change(Some("9"), None, None)), before);
        assert_eq!(after(&before, &change(None, None, None)), before);
    }

    #[test]
    fn addresses_are_compared_unescaped() {
        let before = file(&[lease("a\"\u{1}é"), lease("2")]);
        assert_eq!(after(&before, &change(Some("a\"\u{1}é"), None, None)), file(&[lease("2")]));
    }

    #[test]
    fn server_duids_are_filled_in() {
        let known = Lease { server_duid: Some("d".into()), ..lease("::2") };
        let before = file(&[lease("::1"), known, lease("3")]);
        let filled = |duid| {
            before.replacen("0\n  },", &format!("0,\n    \"server-duid\": \"{duid}\"\n  }},"), 1)
        };
        assert_eq!(after(&before, &change(None, None, Some("told"))), filled("told"));
        assert_eq!(after(&before, &change(None, None, None)), filled("d"));
        // Not the one of a lease that goes, and none for IPv4.
        assert_eq!(
            after(&before, &change(Some("::2"), None, None)),
            file(&[lease("::1"), lease("3")])
        );
    }

    #[test]
    fn damage_tells_what_and_keeps_what_can_be_read() {
        let text = file(&[lease("1"), lease("2")]);
        let cut = Leases::read(&text.as_bytes()[..text.len() - 8]);
        assert_eq!(cut.records, [Record::new(&lease("1"))]);
        assert_eq!(cut.damage.expect("damage").why, Why::NotJson);

        let mut bytes = file(&[lease("1")]).into_bytes();
        let at = bytes.windows(5).position(|window| window == b"52:54").expect("the MAC");
        bytes[at] = 0xff;
        let bad_utf8 = Leases::read(&bytes);
        assert_eq!(bad_utf8.damage.as_ref().expect("damage").why, Why::NotJson);
        assert!(bad_utf8.records[0].text.contains("\"\u{fffd}2:54\""));
    }

    #[test]
    fn whatever_is_in_the_file_the_list_written_for_it_is_sound() {
        let known = Lease {
            hostname: Some("é\"\\\u{1}{}[]".into()),
            server_duid: Some("d".into()),
            expiry_time: -1,
            ..lease("::2")
        };
        let sound = file(&[lease("1"), known, lease("::3")]).into_bytes();
        let event = change(Some("1"), Some(lease("4")), Some("told"));
        // A linear congruential generator (Knuth's MMIX) is random enough to break a file.
        let mut state = 1u64;
        let mut random = |end: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % end
        };
        let mut damaged = 0;
        for _ in 0..20_000 {
            let mut bytes = sound.clone();
            for _ in 0..=random(3) {
                if bytes.is_empty() {
                    break;
                }
                let at = random(bytes.len());
                match random(4) {
                    0 => drop(bytes.splice(at..(at + random(40)).min(bytes.len()), [])),
                    1 => bytes.insert(at, random(256) as u8),
                    2 => bytes.truncate(at.max(1)),
                    _ => bytes[at] = b"\"\\{}[],:\0 0a"[random(12)],
                }
            }
            let mut leases = Leases::read(&bytes);
            damaged += u32::from(leases.damage.is_some());
            leases.apply(&event);
            let written: String = layout::list(&leases.records).collect();
            let again = Leases::read(written.as_bytes());
            assert_eq!(again.damage, None, "{}\n{written}", bytes.escape_ascii());
            assert_eq!(layout::list(&again.records).collect::<String>(), written);
            assert_eq!(again.records.last().map(|last| &*last.ip_address), Some("4"));
        }
        assert!(damaged > 5_000, "only {damaged} of these were damaged");
    }
}
