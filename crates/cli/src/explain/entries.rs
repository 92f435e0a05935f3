//! The entries that the daemon's snapshot had under the name, and what became of them.

use std::net::IpAddr;

use guest_names::candidate::Evidence;
use guest_names::candidate::{Candidate, Origin};
use guest_names::observe::Fate as Outcome;
use guest_names::snapshot::Standing;
use guest_names::snapshot::format::{Entry, flags};

use crate::state::address;
use crate::state::{MacAddress, lossy};

/// What the snapshot had.
#[derive(Default)]
pub(crate) struct SnapshotStory {
    /// What it is used for, once it was read; `Some(None)`: it is broken.
    pub(crate) standing: Option<Option<Standing>>,
    /// Under the name, in the file's order.
    pub(crate) entries: Vec<EntryStory>,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EntryStory {
    /// Where it starts in the file, in bytes.
    pub(crate) at: u32,
    pub(crate) name: String,
    pub(crate) address: Option<IpAddr>,
    pub(crate) mac: Option<MacAddress>,
    pub(crate) bridge: Option<String>,
    /// Seconds since the epoch; 0: never, or it isn't a lease.
    pub(crate) expiry: i64,
    pub(crate) evidence: Evidence,
    /// The connection's index in the daemon's configuration.
    pub(crate) connection: u16,
    flags: u8,
    /// It became a candidate.
    taken: bool,
}

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It says that the guest exists, without an address.
    Known,
    /// It was a candidate.
    Candidate(Outcome),
    /// It has another name.
    Other,
    /// It is a lease of the state files, which have changed since.
    Outdated,
    /// The lease has ended.
    Expired,
    /// The daemon rejects it: the guest agent doesn't report the address, or another guest takes precedence.
    Denied,
    /// The daemon has been silent for too long.
    Silent,
    /// A guest of a connection that takes precedence over the state files has the name.
    BehindOthers,
    /// It is another host's guest, and the state files have the name.
    BehindFiles,
}

impl Fate {
    /// One word for programs, which doesn't change.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Known => "known",
            Self::Candidate(outcome) => outcome_word(outcome),
            Self::Other => "other",
            Self::Outdated => "outdated",
            Self::Expired => "expired",
            Self::Denied => "denied",
            Self::Silent => "silent",
            Self::BehindOthers => "behind-others",
            Self::BehindFiles => "behind-files",
        }
    }
}

/// What became of a candidate: one word for programs.
pub(crate) fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Taken => "taken",
        Outcome::LeftBehind => "left-behind",
        Outcome::OtherCase => "other-case",
        Outcome::Duplicate => "duplicate",
        Outcome::OtherFamily => "other-family",
        Outcome::Outranked => "outranked",
        Outcome::OtherClient => "other-client",
        Outcome::LinkLocal => "link-local",
        Outcome::BehindConnection => "behind-others",
        Outcome::BehindFiles => "behind-files",
    }
}

impl SnapshotStory {
    /// The snapshot was read.
    pub(crate) fn asked(&mut self, standing: Option<Standing>) {
        self.standing = Some(standing);
        if standing.is_none() {
            self.entries.clear();
        }
    }

    /// An entry was read, and became a candidate or not.
    pub(crate) fn entry(&mut self, at: u32, entry: &Entry<'_>, taken: bool) {
        let bridge = entry.bridge.as_bytes();
        self.entries.push(EntryStory {
            at,
            name: lossy(entry.name),
            address: entry.address.map(address::to_std),
            mac: entry.mac.map(MacAddress::from),
            bridge: (!bridge.is_empty()).then(|| lossy(bridge)),
            expiry: entry.expiry,
            evidence: entry.evidence,
            connection: entry.connection,
            flags: entry.flags,
            taken,
        });
    }

    /// Whether a guest of a connection that takes precedence has the name, so that the state files weren't read.
    pub(crate) fn wins(&self) -> bool {
        let before = |entry: &EntryStory| entry.taken && entry.flags & flags::BEFORE != 0;
        let beside = matches!(self.standing, Some(Some(Standing { leases: false, .. })));
        beside && self.entries.iter().any(before)
    }

    /// What became of one of its entries.
    pub(crate) fn fate(
        &self,
        entry: &EntryStory,
        candidates: &[(Candidate, Outcome)],
        now: i64,
    ) -> Fate {
        if entry.taken {
            let origin = Origin::Snapshot { offset: entry.at };
            let mut own = candidates.iter().filter(|(candidate, _)| candidate.origin == origin);
            return match own.next() {
                Some(&(_, Outcome::BehindConnection)) => Fate::BehindOthers,
                Some(&(_, Outcome::BehindFiles)) => Fate::BehindFiles,
                Some(&(_, outcome)) => Fate::Candidate(outcome),
                None if entry.address.is_none() => Fate::Known,
                None => Fate::Other,
            };
        }
        let standing = self.standing.flatten().unwrap_or_default();
        let is = |flag| entry.flags & flag != 0;
        let ended = entry.expiry != 0 && entry.expiry < now;
        match (is(flags::LEASE), is(flags::REPORTED)) {
            (true, false) if self.wins() => Fate::BehindOthers,
            (true, false) if !standing.leases => Fate::Outdated,
            (true, _) if is(flags::DENIED) && standing.reports => Fate::Denied,
            (_, true) if !standing.reports => Fate::Silent,
            _ if ended => Fate::Expired,
            // The daemon doesn't write such an entry.
            _ => Fate::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use guest_names::bridge::Bridge;

    const NOW: i64 = 1000;

    fn entry(flags: u8, expiry: i64) -> Entry<'static> {
        let address = guest_names::address::Address::parse(b"10.0.0.1");
        let (evidence, bridge) = (Evidence::Lease, Bridge::NONE);
        Entry {
            flags,
            evidence,
            connection: 0,
            address,
            mac: None,
            bridge,
            expiry,
            order: 0,
            client: 0,
            name: b"web",
        }
    }

    fn fate(leases: bool, reports: bool, entry: Entry<'_>) -> &'static str {
        let mut story = SnapshotStory::default();
        story.entry(2048, &entry, false);
        story.asked(Some(Standing { leases, reports }));
        story.fate(&story.entries[0], &[], NOW).word()
    }

    #[test]
    fn why_an_entry_does_not_count() {
        use flags::{DENIED, LEASE, REPORTED};
        assert_eq!(fate(false, true, entry(LEASE, 0)), "outdated");
        assert_eq!(fate(true, true, entry(LEASE, NOW - 1)), "expired");
        assert_eq!(fate(true, true, entry(LEASE | DENIED, 0)), "denied");
        assert_eq!(fate(true, false, entry(REPORTED, 0)), "silent");
        assert_eq!(fate(false, false, entry(REPORTED | LEASE, 0)), "silent");
        assert_eq!(fate(false, true, entry(REPORTED, NOW - 1)), "expired");
        assert_eq!(fate(true, true, entry(0, 0)), "other");
    }

    #[test]
    fn a_connection_that_comes_first() {
        let mut story = SnapshotStory::default();
        story.entry(2048, &entry(flags::REPORTED, 0), true);
        story.entry(3000, &entry(flags::REPORTED | flags::BEFORE, 0), true);
        story.asked(Some(Standing { leases: false, reports: true }));
        assert!(story.wins());
        // What a damaged one says doesn't count.
        story.asked(None);
        assert!(story.entries.is_empty());
    }
}
