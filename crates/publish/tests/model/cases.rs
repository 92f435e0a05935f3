//! Cases step by step.

use publish::failure::Failure;
use publish::update::CHANGES_MAX;
use publish::zone::{Certainty, Conflict, HeldNames, Stop, Update, Wanted, Zone};

use crate::dns::{Dns, Fault, Way};

const ZONE: &str = "site.example";

fn wanted(names: &[(&str, &[&str])]) -> Wanted {
    let records = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    names.iter().map(|(name, texts)| (format!("{name}.{ZONE}"), records(texts))).collect()
}

struct Host {
    name: &'static str,
    zone: Zone,
    journal: HeldNames,
}

impl Host {
    fn new(name: &'static str) -> Self {
        Self { name, zone: Zone::default(), journal: HeldNames::new() }
    }

    fn update(&mut self, dns: &mut Dns, wanted: &Wanted, faults: &[Fault]) -> Result<usize, Stop> {
        let update = Update {
            zone: ZONE,
            host: self.name,
            wanted,
            most: CHANGES_MAX,
            retry_conflicts: true,
        };
        let mut way =
            Way { dns, faults: faults.to_vec(), crash_after: None, sent: 0, check: &mut |_, _| {} };
        let Self { zone, journal, .. } = self;
        let result = zone.update(&update, &mut way, &mut |held| {
            *journal = held.clone();
            Ok(())
        });
        assert_eq!(zone.held, *journal);
        result
    }

    /// Restarts the host, with its journal.
    fn restart(&mut self) {
        for held in self.journal.values_mut() {
            if held.certainty == Certainty::Sure {
                held.certainty = Certainty::Unsure;
            }
        }
        self.zone = Zone { held: self.journal.clone(), ..Zone::default() };
    }
}

#[test]
fn the_first_host_keeps_the_name() {
    let (mut dns, mut alpha, mut beta) = (Dns::default(), Host::new("alpha"), Host::new("beta"));
    let first = wanted(&[("web", &["A 10.0.0.1"]), ("db", &["A 10.0.0.2", "AAAA fd00::2"])]);
    assert_eq!(alpha.update(&mut dns, &first, &[]).unwrap(), 2);
    let second = wanted(&[("web", &["A 10.1.0.1"]), ("mail", &["A 10.1.0.2"])]);
    assert_eq!(beta.update(&mut dns, &second, &[]).unwrap(), 1);
    let conflict = beta.zone.conflicts.get("web.site.example");
    assert_eq!(conflict, Some(&Conflict::Host("alpha".into())));
    assert!(dns.has("web.site.example", "A", "10.0.0.1"));
    assert!(!dns.has("web.site.example", "A", "10.1.0.1"));
    // The guest moves: the second host gets the name once the first has given it up.
    assert_eq!(alpha.update(&mut dns, &wanted(&[("db", &["A 10.0.0.3"])]), &[]).unwrap(), 2);
    assert_eq!(beta.update(&mut dns, &second, &[]).unwrap(), 1);
    assert!(dns.has("web.site.example", "A", "10.1.0.1"));
    assert!(!dns.has("web.site.example", "A", "10.0.0.1"));
    assert!(!dns.has("db.site.example", "AAAA", "fd00::2"));
    assert!(beta.zone.conflicts.is_empty());
}

#[test]
fn nothing_is_sent_if_nothing_has_changed() {
    let (mut dns, mut alpha) = (Dns::default(), Host::new("alpha"));
    let wanted = wanted(&[("web", &["A 10.0.0.1"])]);
    alpha.update(&mut dns, &wanted, &[]).unwrap();
    let serial = dns.serial;
    // A message would be refused.
    assert_eq!(alpha.update(&mut dns, &wanted, &[Fault::Refused]).unwrap(), 0);
    alpha.restart();
    assert_eq!(alpha.update(&mut dns, &wanted, &[]).unwrap(), 0);
    assert_eq!(dns.serial, serial);
}

#[test]
fn foreign_records_stay() {
    let (mut dns, mut alpha) = (Dns::default(), Host::new("alpha"));
    dns.add("printer.site.example", "A", "192.0.2.1");
    dns.add("mail.site.example", "MX", "10 mx.");
    let all = wanted(&[
        ("printer", &["A 10.0.0.1"]),
        ("mail", &["A 10.0.0.2"]),
        ("web", &["A 10.0.0.3"]),
    ]);
    assert_eq!(alpha.update(&mut dns, &all, &[]).unwrap(), 1);
    assert_eq!(alpha.zone.conflicts.len(), 2);
    assert!(alpha.zone.conflicts.values().all(|conflict| *conflict == Conflict::Foreign));
    // Someone adds records beside ours. Ours are removed, theirs stay.
    dns.add("web.site.example", "A", "192.0.2.2");
    dns.add("web.site.example", "TXT", "\"by hand\"");
    alpha.restart();
    alpha.update(&mut dns, &all, &[]).unwrap();
    alpha.update(&mut dns, &wanted(&[]), &[]).unwrap();
    assert!(dns.has("web.site.example", "A", "192.0.2.2"));
    assert!(dns.has("web.site.example", "TXT", "\"by hand\""));
    assert!(!dns.has("web.site.example", "A", "10.0.0.3"));
    assert!(dns.has("printer.site.example", "A", "192.0.2.1"));
    assert_eq!(dns.names.len(), 3);
}

#[test]
fn after_a_lost_answer_the_name_is_looked_up() {
    for fault in [Fault::AnswerLost, Fault::MessageLost] {
        let (mut dns, mut alpha) = (Dns::default(), Host::new("alpha"));
        let first = wanted(&[("web", &["A 10.0.0.1"])]);
        assert!(alpha.update(&mut dns, &first, &[fault]).is_err());
        alpha.restart();
        // The guest has stopped in the meantime, and nothing is left of it.
        alpha.update(&mut dns, &wanted(&[]), &[]).unwrap();
        assert_eq!(dns.names.len(), 0, "{fault:?}");
        assert!(alpha.zone.held.is_empty());
    }
}

#[test]
fn a_lost_journal_is_recovered_from_the_zone() {
    let (mut dns, mut alpha) = (Dns::default(), Host::new("alpha"));
    alpha.update(&mut dns, &wanted(&[("web", &["A 10.0.0.1"])]), &[]).unwrap();
    let mut alpha = Host::new("alpha");
    alpha.update(&mut dns, &wanted(&[("web", &["A 10.0.0.2"])]), &[]).unwrap();
    assert!(!dns.has("web.site.example", "A", "10.0.0.1"));
    assert!(dns.has("web.site.example", "A", "10.0.0.2"));
}

#[test]
fn a_zone_that_was_restored_from_a_backup() {
    let (mut dns, mut alpha) = (Dns::default(), Host::new("alpha"));
    let backup = dns.clone();
    let all = wanted(&[("web", &["A 10.0.0.1"]), ("db", &["A 10.0.0.2"])]);
    alpha.update(&mut dns, &all, &[]).unwrap();
    let good = dns.names.clone();
    dns = backup;
    alpha.restart();
    alpha.update(&mut dns, &all, &[]).unwrap();
    assert_eq!(dns.names, good);
}

#[test]
fn after_a_refusal_nothing_is_in_doubt() {
    let (mut dns, mut alpha) = (Dns::default(), Host::new("alpha"));
    let all = wanted(&[("web", &["A 10.0.0.1"])]);
    let refused = alpha.update(&mut dns, &all, &[Fault::Refused]);
    assert!(matches!(refused, Err(Stop::Failed(Failure::Refused))));
    assert!(alpha.journal.is_empty());
}

#[test]
fn nothing_is_sent_without_a_journal() {
    let (mut dns, mut zone) = (Dns::default(), Zone::default());
    let all = wanted(&[("web", &["A 10.0.0.1"])]);
    let update =
        Update { zone: ZONE, host: "alpha", wanted: &all, most: 1, retry_conflicts: false };
    let mut way =
        Way { dns: &mut dns, faults: vec![], crash_after: None, sent: 0, check: &mut |_, _| {} };
    let full = |_: &HeldNames| Err(std::io::ErrorKind::StorageFull.into());
    assert!(matches!(zone.update(&update, &mut way, &mut { full }), Err(Stop::Unsaved(_))));
    assert_eq!((way.sent, zone), (0, Zone::default()));
}
