//! Dynamic updates (RFC 2136): changes of names, and messages with several changes.
//!
//! | change | prerequisites | update |
//! |---|---|---|
//! | claim | the name and its ownership record are not in use | add records and ownership |
//! | alter | the ownership record is this host's | delete old records one by one, add new ones |
//! | release | the same | delete records and ownership |
//! | check | the same, and the records are there | nothing |
//!
//! A server applies a message completely or not at all, so a change isn't made if another host or a person has changed the
//! name first. Records are deleted by value: Knot's `update-type` doesn't allow deleting all types, and records that others
//! added beside ours must stay.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::record::{DnsRecord, owner_name, owner_text};

/// The largest number of changes in a message.
pub const CHANGES_MAX: usize = 200;

/// The largest size of a message in bytes. TCP allows 65535.
const MESSAGE_MAX: usize = 60_000;

/// Messages with more bytes are sent over TCP: PowerDNS drops larger ones over UDP.
const UDP_MAX: usize = 1_200;

/// The kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Gives the name up.
    Release,
    /// Only checks that the records are as expected.
    Check,
    /// Changes the records.
    Alter,
    /// Takes the name for this host.
    Claim,
}

/// A change of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The name: canonical.
    pub name: String,
    /// What to do.
    pub kind: Kind,
    /// Records to delete.
    pub delete: BTreeSet<DnsRecord>,
    /// Records to add or, for a check, those that are expected.
    pub add: BTreeSet<DnsRecord>,
}

impl Change {
    /// An upper bound of its size in a message in bytes. In the message names are compressed; here they aren't.
    fn size(&self, host: &str) -> usize {
        // Type, class, TTL and the length of the data.
        const FIXED: usize = 10;
        let name = self.name.len() + 2 + FIXED;
        let owner = owner_name(&self.name).len() + 2 + FIXED;
        let text = owner_text(host).len() + 1;
        let records = self.delete.iter().chain(&self.add);
        let records: usize = records.map(|record| name + record.size()).sum();
        // The name itself, and ownership in a prerequisite and in the update.
        records + name + 2 * (owner + text)
    }

    /// Its lines for nsupdate(1).
    fn write(&self, script: &mut String, host: &str, ttl: u32) {
        let Self { name, kind, delete, add } = self;
        let (owner, text) = (owner_name(name), owner_text(host));
        // Writing to a string can't fail.
        let mut line = |text: std::fmt::Arguments<'_>| _ = writeln!(script, "{text}");
        match kind {
            Kind::Claim => {
                line(format_args!("prereq nxdomain {name}."));
                line(format_args!("prereq nxdomain {owner}."));
            }
            Kind::Alter | Kind::Release | Kind::Check => {
                line(format_args!("prereq yxrrset {owner}. TXT \"{text}\""));
            }
        }
        if *kind == Kind::Check {
            for record in add {
                line(format_args!("prereq yxrrset {name}. {record}"));
            }
            return;
        }
        for record in delete {
            line(format_args!("update delete {name}. {record}"));
        }
        for record in add {
            line(format_args!("update add {name}. {ttl} {record}"));
        }
        match kind {
            Kind::Claim => line(format_args!("update add {owner}. {ttl} TXT \"{text}\"")),
            Kind::Release => line(format_args!("update delete {owner}. TXT \"{text}\"")),
            Kind::Alter | Kind::Check => {}
        }
    }
}

/// Changes that are sent together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The zone: canonical. A message is about one zone.
    pub zone: String,
    /// The host whose names they are.
    pub host: String,
    /// The changes, at most one a name.
    pub changes: Vec<Change>,
}

impl Message {
    /// Whether to send it over TCP.
    #[must_use]
    pub fn wants_tcp(&self) -> bool {
        // The header, the zone's section, and a signature.
        let fixed = 12 + self.zone.len() + 6 + 300;
        let changes = self.changes.iter().map(|change| change.size(&self.host));
        fixed + changes.sum::<usize>() > UDP_MAX
    }

    /// Its lines for nsupdate(1), except for the server's.
    #[must_use]
    pub fn script(&self, ttl: u32) -> String {
        let mut script = format!("zone {}.\n", self.zone);
        for change in &self.changes {
            change.write(&mut script, &self.host, ttl);
        }
        script + "send\n"
    }
}

/// Splits changes into messages with at most `most` changes each.
#[must_use]
pub fn messages(zone: &str, host: &str, changes: Vec<Change>, most: usize) -> Vec<Message> {
    let message = |changes| Message { zone: zone.into(), host: host.into(), changes };
    let mut messages = Vec::new();
    let (mut together, mut size) = (Vec::new(), 0);
    for change in changes {
        let own = change.size(host);
        if !together.is_empty() && (together.len() >= most || size + own > MESSAGE_MAX) {
            messages.push(message(std::mem::take(&mut together)));
            size = 0;
        }
        size += own;
        together.push(change);
    }
    if !together.is_empty() {
        messages.push(message(together));
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(name: &str, kind: Kind, delete: &[&str], add: &[&str]) -> Change {
        let records = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        Change { name: name.into(), kind, delete: records(delete), add: records(add) }
    }

    #[test]
    fn a_script() {
        let changes = vec![
            change("old.site.example", Kind::Release, &["A 192.0.2.9"], &[]),
            change("same.site.example", Kind::Check, &[], &["A 192.0.2.1", "A 192.0.2.2"]),
            change("web.site.example", Kind::Alter, &["A 192.0.2.3"], &["AAAA 2001:db8::1"]),
            change("new.site.example", Kind::Claim, &[], &["A 192.0.2.4"]),
        ];
        let message = Message { zone: "site.example".into(), host: "alpha".into(), changes };
        let expected = "\
zone site.example.
prereq yxrrset _libvirt-nss.old.site.example. TXT \"libvirt-nss host=alpha\"
update delete old.site.example. A 192.0.2.9
update delete _libvirt-nss.old.site.example. TXT \"libvirt-nss host=alpha\"
prereq yxrrset _libvirt-nss.same.site.example. TXT \"libvirt-nss host=alpha\"
prereq yxrrset same.site.example. A 192.0.2.1
prereq yxrrset same.site.example. A 192.0.2.2
prereq yxrrset _libvirt-nss.web.site.example. TXT \"libvirt-nss host=alpha\"
update delete web.site.example. A 192.0.2.3
update add web.site.example. 60 AAAA 2001:db8::1
prereq nxdomain new.site.example.
prereq nxdomain _libvirt-nss.new.site.example.
update add new.site.example. 60 A 192.0.2.4
update add _libvirt-nss.new.site.example. 60 TXT \"libvirt-nss host=alpha\"
send
";
        assert_eq!(message.script(60), expected);
    }

    #[test]
    fn messages_are_limited() {
        let changes = |count: usize, records: u8| -> Vec<Change> {
            let record = |number| DnsRecord::A([192, 0, 2, number].into());
            let add: BTreeSet<DnsRecord> = (0..records).map(record).collect();
            let one = |number| Change {
                name: format!("guest-{number}.site.example"),
                kind: Kind::Claim,
                delete: BTreeSet::new(),
                add: add.clone(),
            };
            (0..count).map(one).collect()
        };
        let split = |changes: Vec<Change>, most| {
            let messages = messages("site.example", "alpha", changes.clone(), most);
            let together: Vec<Change> =
                messages.iter().flat_map(|message| message.changes.clone()).collect();
            assert_eq!(together, changes);
            messages
        };
        assert_eq!(split(changes(0, 1), 10).len(), 0);
        assert_eq!(split(changes(1000, 1), CHANGES_MAX).len(), 5);
        // 200 names with 30 addresses each don't fit into one message.
        for message in split(changes(200, 30), CHANGES_MAX) {
            let size: usize = message.changes.iter().map(|change| change.size("alpha")).sum();
            assert!(size <= MESSAGE_MAX);
        }
        assert!(!split(changes(1, 1), 10)[0].wants_tcp());
        assert!(split(changes(10, 1), 10)[0].wants_tcp());
    }
}
