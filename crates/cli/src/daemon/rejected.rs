//! Leases that the daemon rejects.

use std::collections::BTreeSet;

use guest_names::snapshot::Standing;
use guest_names::snapshot::format::{Entry, flags};

use super::Snapshot;
use super::entries::{Assignment, assignment, entries};
use crate::state::rows::{AddressState, Row};

/// Leases of the state files that aren't returned by any look-up, as the daemon rejects them under all of their names.
pub(super) struct RejectedLeases(BTreeSet<Assignment>);

impl RejectedLeases {
    pub(super) fn of(snapshot: &Snapshot, standing: Standing, now: i64) -> Self {
        let mut denied = BTreeSet::new();
        if standing.leases && standing.reports {
            let leases = || entries(snapshot).filter(|(_, entry)| entry.is(flags::LEASE));
            let assignments = |wanted: &dyn Fn(&Entry<'_>) -> bool| -> BTreeSet<Assignment> {
                let wanted = leases().filter(|(_, entry)| wanted(entry));
                wanted.filter_map(|(_, entry)| assignment(&entry)).collect()
            };
            denied = assignments(&|entry| entry.is(flags::DENIED));
            // Those that are returned for another name aren't rejected.
            let given = assignments(&|entry| entry.counts(standing, now));
            denied.retain(|assignment| !given.contains(assignment));
        }
        Self(denied)
    }

    /// Gives a row with such a lease its state.
    pub(super) fn mark(&self, row: &mut Row) {
        let Some(address) = row.address else { return };
        let held = row.state != AddressState::Expired;
        if held && self.0.contains(&(address, row.mac, row.bridge.clone())) {
            row.state = AddressState::Denied;
        }
    }
}
