//! How much of a snapshot counts: its leases, what libvirt reported, or nothing.

use super::format::{Entry, Meta, flags};
use crate::candidate::{Attached, Candidate, Evidence, Origin, Precedence};
use crate::io::Stamp;

/// The open snapshot, and its status.
pub struct Opened<F> {
    /// The file.
    pub file: F,
    /// When it was last written to or touched (`st_mtim`), in seconds since the epoch.
    pub modified: i64,
    /// Bytes in it.
    pub length: u32,
    /// The state directory's current version; `None` if there is no directory.
    pub state: Option<Stamp>,
}

/// How much of a snapshot counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The leases of the state files. The directory hasn't changed since the snapshot was compiled, so the files needn't be
    /// read.
    pub leases: bool,
    /// What libvirt's API reported. The daemon is alive, or was until recently.
    pub reports: bool,
}

impl Standing {
    /// Everything counts.
    pub const WHOLE: Self = Self { leases: true, reports: true };

    /// The standing of a snapshot with this `meta`, at `now` (seconds since the epoch).
    #[must_use]
    pub fn of<F>(meta: &Meta, opened: &Opened<F>, now: i64) -> Self {
        let age = now.saturating_sub(opened.modified).unsigned_abs();
        let leases = meta.state.is_some() && meta.state == opened.state;
        Self { leases, reports: age <= u64::from(meta.hold) }
    }
}

impl Entry<'_> {
    /// Whether the entry counts in a snapshot of this standing, at `now` (seconds since the epoch).
    #[must_use]
    pub fn counts(&self, standing: Standing, now: i64) -> bool {
        self.counts_as(standing, now).is_some()
    }

    /// The evidence by which the entry counts; `None` if it doesn't.
    #[must_use]
    pub fn counts_as(&self, standing: Standing, now: i64) -> Option<Evidence> {
        let lasts = self.expiry == 0 || self.expiry >= now;
        let denied = self.is(flags::DENIED) && standing.reports;
        if self.is(flags::LEASE) && standing.leases && lasts && !denied {
            return Some(Evidence::StateFile);
        }
        if !(self.is(flags::REPORTED) && standing.reports) {
            return None;
        }
        match self.evidence {
            // These count after the lease has ended.
            reported @ (Evidence::Agent | Evidence::Neighbour) => Some(reported),
            Evidence::StateFile | Evidence::Lease if lasts => Some(Evidence::Lease),
            Evidence::StateFile | Evidence::Lease => {
                self.is(flags::CONFIRMED).then_some(Evidence::Agent)
            }
        }
    }

    /// The entry at byte `offset` as a candidate with this evidence. `exact`: its name also matches in case.
    #[must_use]
    pub(crate) fn candidate(
        &self,
        offset: u32,
        evidence: Evidence,
        standing: Standing,
        exact: bool,
    ) -> Candidate {
        // If the snapshot replaces the files, the daemon has already decided.
        let precedence = match () {
            () if standing.leases => Precedence::WithFiles,
            () if self.is(flags::BEFORE) => Precedence::BeforeFiles,
            () if self.is(flags::ELSEWHERE) => Precedence::AfterFiles,
            () => Precedence::WithFiles,
        };
        let attached = if self.is(flags::ATTACHED) { Attached::Yes } else { Attached::No };
        Candidate {
            address: self.address,
            mac: self.mac,
            bridge: self.bridge,
            attached,
            exact,
            evidence,
            precedence,
            expiry: self.expiry,
            order: self.order,
            client: self.client,
            origin: Origin::Snapshot { offset },
            ..Candidate::EMPTY
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{Address, Mac};
    use crate::bridge::Bridge;

    fn entry(flags: u8, evidence: Evidence, expiry: i64) -> Entry<'static> {
        let address = Some(Address::V4([10, 0, 0, 1]));
        let (mac, bridge) = (Some(Mac([2; 6])), Bridge::NONE);
        let (order, client) = (0, 0);
        let name = b"web";
        Entry { flags, evidence, connection: 0, address, mac, bridge, expiry, order, client, name }
    }

    #[test]
    fn what_counts() {
        use flags::{CONFIRMED, DENIED, LEASE, REPORTED};
        let both = Standing { leases: true, reports: true };
        let leases = Standing { leases: true, reports: false };
        let reports = Standing { leases: false, reports: true };
        let none = Standing::default();
        for (flags, evidence, expiry, counting) in [
            (LEASE, Evidence::StateFile, 0, [true, true, false, false]),
            (LEASE, Evidence::StateFile, 100, [true, true, false, false]),
            (LEASE, Evidence::StateFile, 99, [false; 4]),
            (LEASE | DENIED, Evidence::StateFile, 0, [false, true, false, false]),
            (REPORTED, Evidence::Lease, 100, [true, false, true, false]),
            (REPORTED, Evidence::Lease, 99, [false; 4]),
            (REPORTED, Evidence::Agent, 99, [true, false, true, false]),
            (LEASE | REPORTED, Evidence::Agent, 0, [true, true, true, false]),
            (LEASE | REPORTED, Evidence::Neighbour, 99, [true, false, true, false]),
            (LEASE | REPORTED, Evidence::StateFile, 99, [false; 4]),
            (LEASE | REPORTED | CONFIRMED, Evidence::StateFile, 99, [true, false, true, false]),
            (0, Evidence::Agent, 0, [false; 4]),
        ] {
            for (standing, counts) in [both, leases, reports, none].into_iter().zip(counting) {
                let entry = entry(flags, evidence, expiry);
                assert_eq!(entry.counts(standing, 100), counts, "{entry:?} {standing:?}");
            }
        }
    }

    #[test]
    fn how_long_a_snapshot_counts() {
        let stamp = Stamp { seconds: 1, nanoseconds: 2, device: 3, inode: 4 };
        let meta = Meta { state: Some(stamp), hold: 90, length: 0, compiled: 0 };
        let opened = |modified, state| Opened { file: (), modified, length: 0, state };
        let at = |modified, now| Standing::of(&meta, &opened(modified, None), now).reports;
        assert!(at(1000, 1000) && at(1000, 1090) && !at(1000, 1091));
        // The clock was set back.
        assert!(at(1000, 910) && !at(1000, 909) && !at(i64::MIN, i64::MAX));
        let of = |meta: &Meta, state| Standing::of(meta, &opened(0, state), 0).leases;
        assert!(of(&meta, Some(stamp)));
        assert!(!of(&meta, Some(Stamp { nanoseconds: 3, ..stamp })));
        assert!(!of(&meta, None));
        assert!(!of(&Meta { state: None, ..meta }, None));
    }
}
