//! What the daemon's snapshot had under the name, for people.

use guest_names::candidate::Evidence;
use guest_names::snapshot::Standing;

use super::entries::{EntryStory, Fate};
use super::text::{Page, outcome_of};
use super::{Explanation, ModuleAnswer};
use crate::daemon::{self, Reading, Snapshot, source_text};
use crate::output::duration;
use crate::output::paint::Tone;

impl Page<'_> {
    /// Adds what it had, if there is one. Returns whether the state files were read too.
    pub(super) fn snapshot(&mut self, explanation: &Explanation, own: &ModuleAnswer) -> bool {
        let story = &own.story.snapshot;
        let Some(standing) = story.standing else {
            if let Err(unusable) = &explanation.snapshot {
                self.text(2, Tone::Bad, &format!("libvirt-nssd's snapshot isn't used: {unusable}"));
            }
            return true;
        };
        // A look-up doesn't notice damage elsewhere in it.
        if let (Err(unusable), Some(_)) = (&explanation.snapshot, standing) {
            self.text(2, Tone::Bad, &format!("libvirt-nssd's snapshot is damaged: {unusable}"));
        }
        let text_of = SnapshotText { reading: &explanation.snapshot, now: self.style.now };
        let (tone, text) = text_of.standing(standing);
        self.text(2, tone, &text);
        for entry in &story.entries {
            let fate = story.fate(entry, &own.story.candidates, text_of.now);
            let (tone, fate) = text_of.fate(fate, entry);
            self.record(entry.at, &text_of.what(entry), tone, &fate);
        }
        if story.entries.is_empty() && standing.is_some() {
            self.text(4, Tone::Faint, "nothing under this name");
        }
        if story.wins() {
            let text = "The state files aren't read: names of that connection take precedence.";
            self.text(2, Tone::Plain, text);
        }
        !story.wins() && !standing.is_some_and(|standing| standing.leases)
    }
}

/// The snapshot in words.
struct SnapshotText<'t> {
    reading: &'t Reading,
    /// Seconds since the epoch.
    now: i64,
}

impl SnapshotText<'_> {
    /// None if it is damaged, or has only just appeared.
    fn snapshot(&self) -> Option<&Snapshot> {
        self.reading.as_ref().ok()?.as_ref()
    }

    fn silence(&self) -> String {
        match self.snapshot() {
            Some(snapshot) => snapshot.silence(self.now),
            None => "libvirt-nssd has been silent for too long".into(),
        }
    }

    /// What the snapshot is used for.
    fn standing(&self, standing: Option<Standing>) -> (Tone, String) {
        let compiled =
            self.snapshot().map(|snapshot| format!(", {},", snapshot.compiled(self.now)));
        let snapshot = format!("libvirt-nssd's snapshot{}", compiled.unwrap_or_default());
        let of_files = match self.snapshot().map(|snapshot| snapshot.compiled.meta.state) {
            Some(Some(_)) => ", which have changed since",
            Some(None) => ", which it doesn't cover",
            None => "",
        };
        let (tone, text) = match standing {
            None => (Tone::Bad, "is broken and isn't used".into()),
            Some(Standing { leases: true, reports: true }) => {
                (Tone::Plain, "replaces the state files".into())
            }
            Some(Standing { leases: true, reports: false }) => (
                Tone::Warning,
                format!(
                    "replaces the state files, but nothing else in it is used: {}",
                    self.silence()
                ),
            ),
            Some(Standing { leases: false, reports: true }) => {
                (Tone::Plain, format!("is used with the state files{of_files}"))
            }
            Some(Standing { leases: false, reports: false }) => {
                (Tone::Warning, format!("is out of date: {}", self.silence()))
            }
        };
        (tone, format!("{snapshot} {text}"))
    }

    /// The content of an entry.
    fn what(&self, entry: &EntryStory) -> String {
        let mut parts = vec![entry.name.clone()];
        parts.push(match entry.address {
            Some(address) => address.to_string(),
            None => "no address".into(),
        });
        parts.extend(entry.mac.map(|mac| mac.to_string()));
        parts.extend(entry.bridge.clone());
        let leased = entry.evidence.is_lease();
        if leased && entry.address.is_some() {
            parts.push(match entry.expiry {
                0 => "never ends".into(),
                end if end < self.now => format!("ended {}", duration::left(end, self.now)),
                end => format!("{} left", duration::left(end, self.now)),
            });
        }
        let connection = daemon::connection(self.reading, entry.connection);
        let from = match (entry.evidence, entry.address) {
            (Evidence::StateFile, None) => "a state file".into(),
            (Evidence::StateFile, Some(_)) => source_text(Evidence::StateFile).to_owned(),
            (_, None) => format!("libvirt, connection {connection}"),
            (evidence, Some(_)) => format!("{}, connection {connection}", source_text(evidence)),
        };
        format!("{}; from {from}", parts.join(", "))
    }

    fn fate(&self, fate: Fate, entry: &EntryStory) -> (Tone, String) {
        let why = match fate {
            Fate::Known => return (Tone::Good, "the requested guest".into()),
            Fate::Candidate(outcome) => return outcome_of(outcome),
            Fate::Outdated => {
                let text = "skipped: the state files have changed since, and are read instead";
                return (Tone::Plain, text.into());
            }
            Fate::Other => "it has another name".into(),
            Fate::Expired => format!("the lease ended {}", duration::left(entry.expiry, self.now)),
            Fate::Denied => "the guest agent doesn't report the address, or another guest takes \
                             precedence"
                .into(),
            Fate::Silent => self.silence(),
            Fate::BehindOthers => {
                "a guest of a connection that takes precedence over the state files has the name"
                    .into()
            }
            Fate::BehindFiles => {
                "the guest runs on another host, and a guest of this host has the name".into()
            }
        };
        (Tone::Warning, format!("skipped: {why}"))
    }
}
