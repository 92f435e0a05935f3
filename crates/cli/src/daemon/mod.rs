//! libvirt-nssd's snapshot, in words for people.

mod entries;
mod rejected;
pub(crate) mod rows;

use guest_names::candidate::Evidence;
use guest_names::snapshot::Standing;
use guest_store::snapshot::Info;
use guest_store::snapshot::read::{self, Unusable};

use crate::output::duration;
use crate::paths::Paths;

/// A complete snapshot.
pub(crate) struct Snapshot {
    pub(crate) compiled: read::Snapshot,
}

/// `Ok(None)` if there is none; an error if the modules don't use it.
pub(crate) type Reading = Result<Option<Snapshot>, Unusable>;

/// Reads the snapshot that belongs to the state directory.
pub(crate) fn read(paths: &Paths) -> Reading {
    let Some(path) = paths.snapshot() else { return Ok(None) };
    let compiled = read::Snapshot::read(&path, &paths.state_directory())?;
    Ok(compiled.map(|compiled| Snapshot { compiled }))
}

impl Snapshot {
    /// Its record for people.
    pub(crate) fn info(&self) -> &Info {
        &self.compiled.info
    }

    /// Which parts of it are used.
    pub(crate) fn standing(&self, now: i64) -> Standing {
        self.compiled.standing(now)
    }

    /// The name of a connection, by its index in the daemon's configuration.
    pub(crate) fn connection(&self, place: u16) -> String {
        let connection = self.info().connections.get(usize::from(place));
        match connection.map(|connection| &connection.name) {
            Some(name) if !name.is_empty() => name.clone(),
            _ => nameless(place),
        }
    }

    /// When it was compiled.
    pub(crate) fn compiled(&self, now: i64) -> String {
        format!("compiled {}", ago(self.compiled.meta.compiled, now))
    }

    /// Why what came from libvirt no longer counts: the daemon has been silent for too long.
    pub(crate) fn silence(&self, now: i64) -> String {
        let hold = span(self.compiled.meta.hold.into());
        let modified = self.compiled.modified;
        if modified > now {
            let ahead = span(modified.saturating_sub(now));
            return format!(
                "the time stamp of libvirt-nssd's snapshot is {ahead} ahead of the clock (it is valid for {hold})"
            );
        }
        let silent = span(now.saturating_sub(modified));
        format!("libvirt-nssd hasn't renewed its snapshot for {silent} (it is valid for {hold})")
    }

    /// Until when what came from libvirt counts if the daemon stays silent, in seconds since the epoch. `None`: it
    /// doesn't count now.
    pub(crate) fn counts_until(&self, now: i64) -> Option<i64> {
        let end = self.compiled.modified.saturating_add(self.compiled.meta.hold.into());
        self.standing(now).reports.then_some(end)
    }
}

/// The name of a connection, by its index in the daemon's configuration, if it is known.
pub(crate) fn connection(snapshot: &Reading, place: u16) -> String {
    match snapshot {
        Ok(Some(snapshot)) => snapshot.connection(place),
        _ => nameless(place),
    }
}

fn nameless(place: u16) -> String {
    format!("#{}", u32::from(place) + 1)
}

/// A span of time, in seconds up to five minutes.
fn span(seconds: i64) -> String {
    if seconds < 300 { format!("{seconds}s") } else { duration::short(seconds) }
}

/// How long ago something happened.
pub(crate) fn ago(time: i64, now: i64) -> String {
    match now.saturating_sub(time) {
        0 => "just now".into(),
        past @ 1.. => format!("{} ago", span(past)),
        ahead => format!("{} ahead of the clock", span(ahead.saturating_neg())),
    }
}

/// Where an address is known from: one word for programs, which doesn't change; as in virsh domifaddr if that has one.
pub(crate) fn source_word(evidence: Evidence) -> &'static str {
    match evidence {
        Evidence::StateFile => "file",
        Evidence::Lease => "lease",
        Evidence::Agent => "agent",
        Evidence::Neighbour => "arp",
    }
}

/// Where an address is known from, for people.
pub(crate) fn source_text(evidence: Evidence) -> &'static str {
    match evidence {
        Evidence::StateFile => "a lease in a state file",
        Evidence::Lease => "libvirt's leases",
        Evidence::Agent => "the guest's agent",
        Evidence::Neighbour => "the ARP table",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(ago(100, 100), "just now");
        assert_eq!(ago(97, 100), "3s ago");
        assert_eq!(ago(10, 100), "90s ago");
        assert_eq!(ago(400, 100), "5m ahead of the clock");
        assert!(ago(i64::MIN, i64::MAX).ends_with("ago"));
        assert!(ago(i64::MAX, i64::MIN).ends_with("clock"));
    }
}
