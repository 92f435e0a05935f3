//! The daemon's snapshot, for people.

use guest_names::snapshot::Standing;
use guest_names::snapshot::format::Source;

use super::entries::{EntryStory, Fate};
use super::text::{Page, outcome_of};
use super::{Explanation, ModuleAnswer};
use crate::daemon::{self, Reading, Snapshot, source_text};
use crate::output::duration;
use crate::output::paint::Tone;

impl Page<'_> {
    /// Tells of it where there is one. Whether the state files were read too.
    pub(super) fn snapshot(&mut self, explanation: &Explanation, own: &ModuleAnswer) -> bool {
        let story = &own.story.snapshot;
        let Some(standing) = story.standing else {
            if let Err(unusable) = &explanation.snapshot {
                self.text(2, Tone::Bad, &format!("libvirt-nssd's snapshot isn't used: {unusable}"));
            }
            return true;
        };
        // A look-up doesn't meet what is broken elsewhere in it.
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
            self.text(4, Tone::Faint, "nothing about the name");
        }
        if story.wins() {
            let text = "The state files aren't read: names of that connection come before theirs.";
            self.text(2, Tone::Plain, text);
        }
        !story.wins() && !standing.is_some_and(|standing| standing.leases)
    }
}

/// Puts it into words.
struct SnapshotText<'t> {
    reading: &'t Reading,
    /// Seconds since the epoch.
    now: i64,
}

impl SnapshotText<'_> {
    /// None where it is damaged, or came just now.
    fn snapshot(&self) -> Option<&Snapshot> {
        self.reading.as_ref().ok()?.as_ref()
    }

    fn silence(&self) -> String {
        match self.snapshot() {
            Some(snapshot) => snapshot.silence(self.now),
            None => "libvirt-nssd has been silent for too long".into(),
        }
    }

    /// What of the snapshot counts.
    fn standing(&self, standing: Option<Standing>) -> (Tone, String) {
        let compiled =
            self.snapshot().map(|snapshot| format!(", {},", snapshot.compiled(self.now)));
        let snapshot = format!("libvirt-nssd's snapshot{}", compiled.unwrap_or_default());
        let of_files = match self.snapshot().map(|snapshot| snapshot.compiled.meta.state) {
            Some(Some(_)) => ", which have changed since",
            Some(None) => ", of which it says nothing",
            None => "",
        };
        let (tone, text) = match standing {
            None => (Tone::Bad, "is broken, and passed by".into()),
            Some(Standing { leases: true, told: true }) => {
                (Tone::Plain, "stands for the state files".into())
            }
            Some(Standing { leases: true, told: false }) => (
                Tone::Warning,
                format!(
                    "stands for the state files; what libvirt told doesn't count, as {}",
                    self.silence()
                ),
            ),
            Some(Standing { leases: false, told: true }) => {
                (Tone::Plain, format!("goes with the state files{of_files}"))
            }
            Some(Standing { leases: false, told: false }) => {
                (Tone::Warning, format!("is out of date: {}", self.silence()))
            }
        };
        (tone, format!("{snapshot} {text}"))
    }

    /// What an entry says.
    fn what(&self, entry: &EntryStory) -> String {
        let mut parts = vec![entry.name.clone()];
        parts.push(match entry.address {
            Some(address) => address.to_string(),
            None => "no address".into(),
        });
        parts.extend(entry.mac.map(|mac| mac.to_string()));
        parts.extend(entry.bridge.clone());
        let leased = matches!(entry.source, Source::Files | Source::Lease);
        if leased && entry.address.is_some() {
            parts.push(match entry.expiry {
                0 => "never ends".into(),
                end if end < self.now => format!("ended {}", duration::left(end, self.now)),
                end => format!("{} left", duration::left(end, self.now)),
            });
        }
        let connection = daemon::connection(self.reading, entry.connection);
        let from = match (entry.source, entry.address) {
            (Source::Files, None) => "a state file".into(),
            (Source::Files, Some(_)) => source_text(Source::Files).to_owned(),
            (_, None) => format!("libvirt, connection {connection}"),
            (source, Some(_)) => format!("{}, connection {connection}", source_text(source)),
        };
        format!("{}; from {from}", parts.join(", "))
    }

    fn fate(&self, fate: Fate, entry: &EntryStory) -> (Tone, String) {
        let why = match fate {
            Fate::Known => return (Tone::Good, "the guest that is asked for".into()),
            Fate::Candidate(outcome) => return outcome_of(outcome),
            Fate::ReadAnew => {
                let text = "doesn't count: the state files have changed since, and are read";
                return (Tone::Plain, text.into());
            }
            Fate::Other => "it isn't of the name that is asked for".into(),
            Fate::Expired => format!("the lease ended {}", duration::left(entry.expiry, self.now)),
            Fate::Denied => "the guest's agent doesn't have the address, or a guest that comes \
                             first has the name"
                .into(),
            Fate::Silent => self.silence(),
            Fate::BehindOthers => {
                "a guest of a connection that comes before the state files has the name".into()
            }
            Fate::BehindFiles => {
                "it is another host's guest, and the name is one of this host's".into()
            }
        };
        (Tone::Warning, format!("doesn't count: {why}"))
    }
}
