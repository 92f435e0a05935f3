//! A guest, and how long information about it is trusted. This rule is implemented only here:
//!
//! What a source reports counts until it reports something else. When a source stops reporting (an agent that is silent or
//! not queried yet, a neighbour table without an entry), its last report still counts for `hold`. This is the
//! configuration's `hold`. Connections that are down (see [`super::Facts::expire`]), and snapshots that the daemon no longer
//! touches, are trusted for the same time.

use guest_names::address::Mac;

use super::Millis;
use crate::model::{Agent, Guest, ReportedAddress, ReportedBy};
use crate::neighbours::table::{Interface, Table};

/// The sources that may fall silent while their guest runs. Leases are not among them, since a lease says when it ends.
/// This host's own neighbour table has its own rule ([`crate::neighbours::table`]).
const MAY_FALL_SILENT: [ReportedBy; 2] = [ReportedBy::Agent, ReportedBy::Neighbour];

/// A guest, and what is known about it.
#[derive(Debug)]
pub struct KnownGuest {
    /// As last reported, including what still counts from silent sources.
    pub guest: Guest,
    /// When its agent last answered, as long as that answer counts.
    pub answered: Option<Millis>,
    /// Since when each source of [`MAY_FALL_SILENT`] has been silent, if anything it reported still counts.
    silent_since: [Option<Millis>; MAY_FALL_SILENT.len()],
}

impl KnownGuest {
    /// Combines a new report about a guest with what was known before. Both must be about the same run of the domain.
    /// `neighbours` is this host's neighbour table, if the guest runs here.
    pub(super) fn new(
        mut guest: Guest,
        old: Option<&Self>,
        neighbours: Option<&Table>,
        now: Millis,
    ) -> Self {
        guest.nics.shrink_to_fit();
        let answered = (guest.agent == Agent::Answered).then_some(now);
        // Host keys count as long as the domain runs; a new session may not have read them yet.
        let before = old.and_then(|old| old.guest.host_keys.clone());
        guest.host_keys = guest.host_keys.or(before);
        let mut known = Self { guest, answered, silent_since: Default::default() };
        for (at, source) in MAY_FALL_SILENT.into_iter().enumerate() {
            let Some(old) = old.filter(|old| old.has(source)) else { continue };
            let is_known_here = source == ReportedBy::Neighbour && neighbours.is_some();
            if !known.has(source) && !is_known_here {
                known.take_over(source, old);
                known.silent_since[at] = old.silent_since[at].or(Some(now));
            }
        }
        if let Some(neighbours) = neighbours {
            known.set_neighbours(neighbours);
        }
        known
    }

    /// A guest whose agent has been silent since `since`, with what it reported before.
    pub(super) fn silent_since(guest: Guest, since: Millis) -> Self {
        Self { guest, answered: None, silent_since: [Some(since), None] }
    }

    /// Updates the addresses from this host's neighbour table. Only entries on the NIC's own bridge count: on another bridge,
    /// the same MAC address may belong to another guest.
    pub(super) fn set_neighbours(&mut self, table: &Table) {
        for nic in &mut self.guest.nics {
            nic.addresses.retain(|reported| reported.source != ReportedBy::Neighbour);
            let on_nic = |interface: &Interface| match nic.bridge.as_deref() {
                Some(bridge) => bridge == &*interface.name,
                // A macvtap NIC: the host sees it on its own macvlan interface of the same device.
                None => !interface.is_bridge,
            };
            let reported =
                |address| ReportedAddress { address, source: ReportedBy::Neighbour, expiry: 0 };
            nic.addresses.extend(table.addresses(nic.mac, on_nic).map(reported));
        }
    }

    /// Whether the guest has a NIC with this MAC address.
    pub(super) fn has_nic(&self, mac: Mac) -> bool {
        self.guest.nics.iter().any(|nic| nic.mac == mac)
    }

    /// Whether anything that the source reported counts.
    fn has(&self, source: ReportedBy) -> bool {
        let mut reported = self.guest.nics.iter().flat_map(|nic| &nic.addresses);
        (source == ReportedBy::Agent && (self.answered.is_some() || self.guest.host_name.is_some()))
            || reported.any(|reported| reported.source == source)
    }

    fn take_over(&mut self, source: ReportedBy, old: &Self) {
        if source == ReportedBy::Agent {
            self.answered = old.answered;
            self.guest.host_name.clone_from(&old.guest.host_name);
        }
        for nic in &mut self.guest.nics {
            let before = old.guest.nics.iter().find(|before| before.mac == nic.mac);
            let reported = before.into_iter().flat_map(|before| &before.addresses);
            nic.addresses.extend(reported.filter(|reported| reported.source == source).cloned());
        }
    }

    /// Drops what the source reported.
    pub(super) fn forget(&mut self, source: ReportedBy) {
        for (since, of) in self.silent_since.iter_mut().zip(MAY_FALL_SILENT) {
            if of == source {
                *since = None;
            }
        }
        if source == ReportedBy::Agent {
            self.answered = None;
            self.guest.host_name = None;
        }
        for nic in &mut self.guest.nics {
            nic.addresses.retain(|reported| reported.source != source);
        }
    }

    /// Drops reports of sources that have been silent for `hold`. Returns whether there were any.
    pub(super) fn expire(&mut self, now: Millis, hold: Millis) -> bool {
        let mut any = false;
        for (at, source) in MAY_FALL_SILENT.into_iter().enumerate() {
            if self.silent_since[at].is_some_and(|since| since + hold <= now) {
                self.forget(source);
                any = true;
            }
        }
        any
    }

    /// When the first of the silent sources fell silent, if there are any.
    pub(super) fn first_silence(&self) -> Option<Millis> {
        self.silent_since.iter().flatten().min().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Nic;
    use crate::neighbours::table::{Entry, Event};

    const HOLD: Millis = 90;

    fn guest(agent: Agent, addresses: &[(&str, ReportedBy)]) -> Guest {
        let reported = |&(address, source): &(&str, ReportedBy)| ReportedAddress {
            address: address.parse().unwrap(),
            source,
            expiry: 0,
        };
        let nic = Nic {
            mac: Mac([2; 6]),
            network: None,
            bridge: None,
            addresses: addresses.iter().map(reported).collect(),
        };
        Guest {
            uuid: [1; 16],
            name: "vm".into(),
            title: None,
            host_name: (agent == Agent::Answered).then(|| "web".into()),
            agent,
            host_keys: None,
            nics: vec![nic],
        }
    }

    fn silent(addresses: &[(&str, ReportedBy)]) -> Guest {
        guest(Agent::Silent, addresses)
    }

    fn summary(known: &KnownGuest) -> (Option<&str>, Vec<String>) {
        let reported = known.guest.nics.iter().flat_map(|nic| &nic.addresses);
        let addresses = reported.map(|reported| reported.address.to_string());
        (known.guest.host_name.as_deref(), addresses.collect())
    }

    /// A guest with an address from its agent and one from its host's neighbour table.
    fn known() -> KnownGuest {
        let reported = [("10.0.0.1", ReportedBy::Agent), ("10.0.0.9", ReportedBy::Neighbour)];
        KnownGuest::new(guest(Agent::Answered, &reported), None, None, 0)
    }

    #[test]
    fn the_last_report_of_a_silent_agent_counts_for_a_while() {
        let reported = silent(&[("10.0.0.8", ReportedBy::Neighbour)]);
        let mut now = KnownGuest::new(reported.clone(), Some(&known()), None, 10);
        let both = (Some("web"), vec!["10.0.0.8".to_owned(), "10.0.0.1".to_owned()]);
        assert_eq!(summary(&now), both);
        assert_eq!((now.answered, now.first_silence()), (Some(0), Some(10)));
        // The guest is reported again, and its agent is still silent.
        now = KnownGuest::new(reported, Some(&now), None, 50);
        assert_eq!((summary(&now), now.first_silence()), (both, Some(10)));
        assert!(!now.expire(10 + HOLD - 1, HOLD));
        assert!(now.expire(10 + HOLD, HOLD));
        assert_eq!(summary(&now), (None, vec!["10.0.0.8".to_owned()]));
        assert_eq!((now.answered, now.first_silence()), (None, None));
    }

    #[test]
    fn an_agent_that_answers_again_is_believed_at_once() {
        let now = KnownGuest::new(silent(&[]), Some(&known()), None, 10);
        let reported = guest(Agent::Answered, &[("10.0.0.2", ReportedBy::Agent)]);
        let mut now = KnownGuest::new(reported, Some(&now), None, 20);
        assert_eq!(
            summary(&now),
            (Some("web"), vec!["10.0.0.2".to_owned(), "10.0.0.9".to_owned()])
        );
        // The neighbour table still has no entry.
        assert_eq!((now.answered, now.first_silence()), (Some(20), Some(10)));
        assert!(now.expire(10 + HOLD, HOLD));
        assert_eq!(summary(&now), (Some("web"), vec!["10.0.0.2".to_owned()]));
    }

    #[test]
    fn host_keys_count_as_long_as_the_domain_runs() {
        let with = |keys: Option<&[&str]>| Guest {
            host_keys: keys.map(|keys| keys.iter().map(|&key| key.into()).collect()),
            ..silent(&[])
        };
        let of = |known: &KnownGuest| known.guest.host_keys.as_ref().map(|keys| keys.len());
        let first = KnownGuest::new(with(Some(&["a", "b"])), None, None, 0);
        let mut now = KnownGuest::new(with(None), Some(&first), None, 10);
        assert!(!now.expire(10 + 10 * HOLD, HOLD));
        assert_eq!(of(&now), Some(2));
        assert_eq!(of(&KnownGuest::new(with(Some(&[])), Some(&now), None, 20)), Some(0));
        assert_eq!(of(&KnownGuest::new(with(None), None, None, 20)), None);
    }

    #[test]
    fn a_neighbour_counts_on_the_bridge_of_its_nic() {
        let entry = |name: &str, mac| Entry::Resolved {
            mac: Mac(mac),
            interface: Interface { name: name.into(), is_bridge: name.starts_with("br") },
            is_confirmed: true,
        };
        let mut table = Table::default();
        let entries = [
            ("10.0.0.1", entry("br0", [2; 6])),
            ("10.0.0.2", entry("br1", [2; 6])),
            ("10.0.0.3", entry("br0", [3; 6])),
            ("10.0.0.4", entry("macvlan0", [2; 6])),
        ];
        for (address, entry) in entries {
            table.apply(Event { key: (1, address.parse().unwrap()), entry }, 0, HOLD);
        }
        let mut guest = silent(&[]);
        guest.nics[0].bridge = Some("br0".into());
        let known = KnownGuest::new(guest.clone(), None, Some(&table), 0);
        assert_eq!(summary(&known), (None, vec!["10.0.0.1".to_owned()]));
        // For this host's neighbours, only the table decides how long they count.
        let known = KnownGuest::new(guest.clone(), Some(&known), Some(&Table::default()), 10);
        assert_eq!((summary(&known), known.first_silence()), ((None, vec![]), None));
        guest.nics[0].bridge = None;
        let known = KnownGuest::new(guest, None, Some(&table), 0);
        assert_eq!(summary(&known), (None, vec!["10.0.0.4".to_owned()]));
    }

    /// A guest on another bridge has the same MAC address, and answers for more addresses than one NIC may have.
    #[test]
    fn another_guest_with_the_mac_address_hides_no_neighbours() {
        let mut table = Table::default();
        let entry = |name: &str| Entry::Resolved {
            mac: Mac([2; 6]),
            interface: Interface { name: name.into(), is_bridge: true },
            is_confirmed: true,
        };
        for last in 0..=255 {
            let key = (1, [10, 1, 0, last].into());
            table.apply(Event { key, entry: entry("br1") }, 0, HOLD);
        }
        let key = (2, [10, 0, 0, 1].into());
        table.apply(Event { key, entry: entry("br0") }, 0, HOLD);
        let mut guest = silent(&[]);
        guest.nics[0].bridge = Some("br0".into());
        let known = KnownGuest::new(guest, None, Some(&table), 0);
        assert_eq!(summary(&known), (None, vec!["10.0.0.1".to_owned()]));
    }

    #[test]
    fn an_agent_that_reports_no_addresses_withdraws_them() {
        let now = KnownGuest::new(guest(Agent::Answered, &[]), Some(&known()), None, 10);
        assert_eq!(summary(&now), (Some("web"), vec!["10.0.0.9".to_owned()]));
    }
}
