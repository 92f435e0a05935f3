//! Guests and leases side by side: what `list` and `watch` show.

use std::collections::BTreeSet;
use std::net::IpAddr;

use guest_names::snapshot::format::Source;

use super::networks::Networks;
use super::snapshot::{MacAddress, Snapshot};
use crate::daemon::source_word;

/// What a lease is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    /// A running guest's NIC has it.
    Attached,
    /// It holds, and no running guest has its NIC: it was left behind, or isn't a guest's.
    LeftBehind,
    /// It holds; which NICs are on its bridge can't be told.
    Unclear,
    /// A running guest's NIC that has no lease.
    NoLease,
    /// It holds, and names don't resolve to it: libvirt-nssd knows better.
    Denied,
    /// A running guest of which libvirt-nssd knows no address.
    NoAddress,
    /// It has ended.
    Expired,
}

impl State {
    /// For people.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Attached => "attached",
            Self::LeftBehind => "left behind",
            Self::Unclear => "unclear",
            Self::NoLease => "no lease",
            Self::Denied => "denied",
            Self::NoAddress => "no address",
            Self::Expired => "expired",
        }
    }

    /// For programs: one word, which stays.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Attached => "attached",
            Self::LeftBehind => "left-behind",
            Self::Unclear => "unclear",
            Self::NoLease => "no-lease",
            Self::Denied => "denied",
            Self::NoAddress => "no-address",
            Self::Expired => "expired",
        }
    }
}

/// A lease, or a NIC without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// libvirt's name of the guest. Of a lease that no running guest has it isn't known.
    pub(crate) domain: Option<String>,
    pub(crate) host_name: Option<String>,
    /// Empty for a NIC that is on no bridge of this host.
    pub(crate) bridge: String,
    pub(crate) network: Option<String>,
    /// The network's DNS domain.
    pub(crate) network_domain: Option<String>,
    pub(crate) address: Option<IpAddr>,
    pub(crate) mac: Option<MacAddress>,
    /// By which the guest told DHCP itself apart: a client id, or a DUID; hexadecimal bytes, colons between.
    pub(crate) client_id: Option<String>,
    /// Seconds since the epoch; 0 never ends. None without a lease.
    pub(crate) expiry: Option<i64>,
    pub(crate) state: State,
    /// None for what the state files say.
    pub(crate) told: Option<Told>,
}

/// Who told libvirt-nssd of a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Told {
    pub(crate) source: Source,
    /// The name of the connection to the guest's libvirt.
    pub(crate) connection: String,
    /// That is another host's.
    pub(crate) elsewhere: bool,
}

impl Row {
    /// Whether its guest runs on another host.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.told.as_ref().is_some_and(|told| told.elsewhere)
    }

    /// Who says so: one word, which stays.
    pub(crate) fn source(&self) -> &'static str {
        match (&self.told, self.state) {
            (Some(_), State::NoAddress) => "libvirt",
            (Some(told), _) => source_word(told.source),
            (None, _) => source_word(Source::Files),
        }
    }
}

/// All rows of the state files: by the guest's name, then by address.
pub(crate) fn rows(snapshot: &Snapshot, networks: &Networks, now: i64) -> Vec<Row> {
    let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let mut leased: BTreeSet<(&str, MacAddress)> = BTreeSet::new();
    let mut rows = Vec::new();
    for lease in &snapshot.leases {
        let domain = lease.mac.and_then(|mac| snapshot.domain_of(&lease.bridge, mac));
        let state = if lease.has_expired(now) {
            State::Expired
        } else if domain.is_some() {
            State::Attached
        } else if snapshot.knows_nics_of(&lease.bridge) {
            State::LeftBehind
        } else {
            State::Unclear
        };
        if state == State::Attached {
            leased.extend(lease.mac.map(|mac| (lease.bridge.as_str(), mac)));
        }
        let network = networks.of(&lease.bridge);
        rows.push(Row {
            domain: domain.map(str::to_owned),
            host_name: filled(&lease.host_name),
            bridge: lease.bridge.clone(),
            network: network.map(|network| network.name.clone()),
            network_domain: filled(&lease.network_domain)
                .or_else(|| network.and_then(|network| network.domain.clone())),
            address: Some(lease.address),
            mac: lease.mac,
            client_id: filled(&lease.client_id),
            expiry: Some(lease.expiry),
            state,
            told: None,
        });
    }
    for nic in &snapshot.nics {
        if leased.insert((&nic.bridge, nic.mac)) {
            let network = networks.of(&nic.bridge);
            rows.push(Row {
                domain: Some(nic.domain.clone()),
                host_name: None,
                bridge: nic.bridge.clone(),
                network: network.map(|network| network.name.clone()),
                network_domain: network.and_then(|network| network.domain.clone()),
                address: None,
                mac: Some(nic.mac),
                client_id: None,
                expiry: None,
                state: State::NoLease,
                told: None,
            });
        }
    }
    sort(&mut rows);
    rows
}

/// By the guest's name, then by address.
pub(crate) fn sort(rows: &mut [Row]) {
    rows.sort_by(|a, b| sort_key(a).cmp(&sort_key(b)));
}

fn sort_key(row: &Row) -> impl Ord + '_ {
    let name = row.domain.as_deref().or(row.host_name.as_deref());
    // None last.
    (name.is_none(), name, row.bridge.as_str(), row.mac, row.address, row.state, &row.told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::StateDirectory;

    const NOW: i64 = 1_700_000_000;

    fn shown(directory: &StateDirectory) -> Vec<String> {
        let snapshot = Snapshot::read(directory.path()).unwrap();
        let rows = rows(&snapshot, &Networks::read(&snapshot), NOW);
        let show = |row: &Row| {
            let address = row.address.map_or("-".into(), |address| address.to_string());
            let [domain, host] = [&row.domain, &row.host_name].map(|name| match name {
                Some(name) => name.clone(),
                None => "-".into(),
            });
            format!("{domain} {host} {} {address} {}", row.bridge, row.state.word())
        };
        rows.iter().map(show).collect()
    }

    #[test]
    fn each_state() {
        let directory = StateDirectory::new();
        let lease = |mac: u8, address: &str, name: &str, expiry: i64| {
            format!(
                r#"{{"ip-address": "{address}", "mac-address": "52:54:00:00:00:{mac:02x}",
                "hostname": "{name}", "expiry-time": {expiry}}}"#
            )
        };
        directory.write(
            "virbr0.status",
            &format!(
                "[{},{},{},{},{}]",
                lease(1, "10.0.0.1", "web", NOW),
                lease(1, "fd00::1", "web", 0),
                lease(2, "10.0.0.2", "gone", NOW + 5),
                lease(3, "10.0.0.3", "late", NOW - 1),
                r#"{"ip-address": "10.0.0.9"}"#,
            ),
        );
        directory.write(
            "virbr0.macs",
            r#"[{"domain": "web-vm", "macs": ["52:54:00:00:00:01", "52:54:00:00:00:05"]},
                {"domain": "late-vm", "macs": ["52:54:00:00:00:03"]}]"#,
        );
        directory.write("virbr1.status", &format!("[{}]", lease(1, "10.1.0.1", "web", 0)));
        let expected = [
            "- gone virbr0 10.0.0.2 left-behind",
            "late-vm - virbr0 - no-lease",
            "late-vm late virbr0 10.0.0.3 expired",
            "- web virbr1 10.1.0.1 unclear",
            "web-vm web virbr0 10.0.0.1 attached",
            "web-vm web virbr0 fd00::1 attached",
            "web-vm - virbr0 - no-lease",
            "- - virbr0 10.0.0.9 left-behind",
        ];
        assert_eq!(shown(&directory), expected);
    }
}
