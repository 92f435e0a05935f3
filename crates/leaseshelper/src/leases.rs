//! The list of a bridge's leases, and the change that an event makes to it. No I/O happens here.

use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::damage::{Damage, DamageKind};
use crate::event::Change;
use crate::lease::is_ipv6;
use crate::record::LeaseRecord;
use crate::salvage::salvage;

/// A bridge's leases, as far as the file could be read. The freshest come last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leases<'a> {
    /// The leases.
    pub records: Vec<LeaseRecord<'a>>,
    /// The damage to the file, if any. The leases are then those that could be saved.
    pub damage: Option<Damage>,
}

impl<'a> Leases<'a> {
    /// Parses a file. An empty or blank one is an empty list.
    #[must_use]
    pub fn read(bytes: &'a [u8]) -> Self {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Self { records: Vec::new(), damage: None };
        }
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let text = String::from_utf8_lossy(bytes);
                let records = salvage(&text).into_iter().map(LeaseRecord::into_owned).collect();
                let damage = Damage { kind: DamageKind::NotJson, detail: error.to_string() };
                return Self { records, damage: Some(damage) };
            }
        };
        match serde_json::from_str::<Vec<&RawValue>>(text) {
            Ok(elements) => Self::of_elements(&elements),
            Err(error) => {
                let kind = match error.classify() {
                    Category::Data => DamageKind::NotAList,
                    _ => DamageKind::NotJson,
                };
                let damage = Damage { kind, detail: error.to_string() };
                Self { records: salvage(text), damage: Some(damage) }
            }
        }
    }

    fn of_elements(elements: &[&'a RawValue]) -> Self {
        let mut records = Vec::with_capacity(elements.len() + 1);
        let mut damage = None;
        for (i, element) in elements.iter().enumerate() {
            if let Some(record) = LeaseRecord::read(element) {
                records.push(record);
                continue;
            }
            records.extend(salvage(element.get()));
            damage.get_or_insert_with(|| Damage {
                kind: DamageKind::NotLeases,
                detail: format!(
                    "element {} of {} is not an object with an ip-address and a whole number as its expiry-time",
                    i + 1,
                    elements.len()
                ),
            });
        }
        Self { records, damage }
    }

    /// Applies a change.
    ///
    /// IPv6 leases without a server DUID get the one of the event or of another lease. libvirt's helper does the same,
    /// because version 1.2.6 wrote none.
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
        self.records.extend(change.add.as_ref().map(LeaseRecord::new));
    }

    /// The list as text, in pieces. An empty list is `[`, an empty line, `]`, as yajl wrote it.
    pub fn text(&self) -> impl Iterator<Item = &str> + Clone {
        let open = if self.records.is_empty() { "[\n" } else { "" };
        let separators = std::iter::once("[\n  ").chain(std::iter::repeat(",\n  "));
        let records = separators
            .zip(&self.records)
            .flat_map(|(separator, record)| [separator, &*record.text]);
        std::iter::once(open).chain(records).chain(std::iter::once("\n]\n"))
    }
}

/// The server's DUID: the one that dnsmasq reported, else that of the first IPv6 lease that has one.
#[must_use]
pub fn server_duid<'a>(records: &'a [LeaseRecord], reported: Option<&'a str>) -> Option<&'a str> {
    reported.or_else(|| {
        records
            .iter()
            .filter(|record| is_ipv6(&record.ip_address))
            .find_map(|record| record.server_duid.as_deref())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::Bridge;
    use crate::lease::Lease;

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
        let records = leases.iter().map(LeaseRecord::new).collect();
        Leases { records, damage: None }.text().collect()
    }

    fn after(text: &str, change: &Change) -> String {
        let mut leases = Leases::read(text.as_bytes());
        leases.apply(change);
        assert_eq!(leases.damage, None);
        leases.text().collect()
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
        // It isn't taken from a lease that is removed, and isn't added to IPv4 leases.
        assert_eq!(
            after(&before, &change(Some("::2"), None, None)),
            file(&[lease("::1"), lease("3")])
        );
    }

    #[test]
    fn damage_is_named_and_what_can_be_read_is_kept() {
        let text = file(&[lease("1"), lease("2")]);
        let cut = Leases::read(&text.as_bytes()[..text.len() - 8]);
        assert_eq!(cut.records, [LeaseRecord::new(&lease("1"))]);
        assert_eq!(cut.damage.expect("damage").kind, DamageKind::NotJson);

        let mut bytes = file(&[lease("1")]).into_bytes();
        let at = bytes.windows(5).position(|window| window == b"52:54").expect("the MAC");
        bytes[at] = 0xff;
        let bad_utf8 = Leases::read(&bytes);
        assert_eq!(bad_utf8.damage.as_ref().expect("damage").kind, DamageKind::NotJson);
        assert!(bad_utf8.records[0].text.contains(r#""\uFFFD2:54""#));
    }

    #[test]
    fn the_new_list_is_valid_whatever_the_old_one_was() {
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
            let written: String = leases.text().collect();
            let again = Leases::read(written.as_bytes());
            assert_eq!(again.damage, None, "{}\n{written}", bytes.escape_ascii());
            assert_eq!(again.text().collect::<String>(), written);
            assert_eq!(again.records.last().map(|last| &*last.ip_address), Some("4"));
        }
        assert!(damaged > 5_000, "only {damaged} of these were damaged");
    }
}
