//! Guests and leases as rows: what `list` and `watch` show.

use std::collections::HashSet;
use std::net::IpAddr;

use guest_names::candidate::Evidence;
use guest_names::name::NameKind;
use guest_store::contents::Contents;
pub(crate) use guest_store::states::AddressState;
use guest_store::states::{Interfaces, States};

use super::networks::Networks;
use super::{MacAddress, address};
use crate::daemon::{self, source_word};
use crate::paths::Paths;

/// A lease, or a NIC without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// The libvirt domain; unknown for a lease that no running guest has.
    pub(crate) domain: Option<String>,
    pub(crate) host_name: Option<String>,
    /// Further host names, which the guest's agent reports.
    pub(crate) other_host_names: Vec<String>,
    /// Empty for a NIC that isn't on a bridge of this host.
    pub(crate) bridge: String,
    pub(crate) network: Option<String>,
    /// The network's DNS domain.
    pub(crate) network_domain: Option<String>,
    /// The domain that the lease records: only with this one does `name.domain` resolve.
    pub(crate) lease_domain: Option<String>,
    pub(crate) address: Option<IpAddr>,
    pub(crate) mac: Option<MacAddress>,
    /// The DHCP client id or DUID that the guest sent: hexadecimal bytes, separated by colons.
    pub(crate) client_id: Option<String>,
    /// Seconds since the epoch; 0 never ends. None without a lease.
    pub(crate) expiry: Option<i64>,
    pub(crate) state: AddressState,
    /// It is the only row of a running guest's NIC, so it is shown even if its lease has expired.
    pub(crate) stands_for_nic: bool,
    /// The names for which this link-local address isn't returned, as they have another address.
    pub(crate) yields: [Option<NameKind>; 2],
    /// None for what the state files have.
    pub(crate) via: Option<Via>,
}

/// Which names find an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resolves {
    Both,
    Host,
    Domain,
    No,
}

impl Resolves {
    /// Whether a name of this kind finds the address.
    pub(crate) fn by(self, kind: NameKind) -> bool {
        match self {
            Self::Both => true,
            Self::Host => kind == NameKind::HostName,
            Self::Domain => kind == NameKind::Domain,
            Self::No => false,
        }
    }

    /// One word for people and programs, which doesn't change.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::Host => "host",
            Self::Domain => "domain",
            Self::No => "no",
        }
    }
}

/// Where libvirt-nssd knows a row from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Via {
    pub(crate) evidence: Evidence,
    /// The name of the connection to the guest's libvirt.
    pub(crate) connection: String,
    /// The guest runs on another host.
    pub(crate) elsewhere: bool,
}

impl Row {
    /// Whether its guest runs on another host.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.via.as_ref().is_some_and(|via| via.elsewhere)
    }

    /// The bridge, if it is one of this host.
    pub(crate) fn bridge(&self) -> Option<&str> {
        Some(self.bridge.as_str()).filter(|bridge| !bridge.is_empty())
    }

    /// All host names, the lease's first.
    pub(crate) fn host_names(&self) -> impl Iterator<Item = &str> {
        self.host_name.iter().chain(&self.other_host_names).map(String::as_str)
    }

    /// The host name that may resolve.
    pub(crate) fn current_host_name(&self) -> Option<&str> {
        self.host_name.as_deref().filter(|_| self.state != AddressState::Expired)
    }

    /// Which names find the address in a look-up.
    pub(crate) fn resolves(&self) -> Resolves {
        let current = matches!(
            self.state,
            AddressState::Attached
                | AddressState::NoGuest
                | AddressState::Unclear
                | AddressState::NoBridge
        );
        if self.address.is_none() || !current {
            return Resolves::No;
        }
        let is_possible = |name: &str, kind: NameKind| kind.wanted(name.as_bytes()).is_some();
        let may_have = |kind: NameKind| !self.yields.contains(&Some(kind));
        let host = may_have(NameKind::HostName)
            && self.host_names().any(|name| is_possible(name, NameKind::HostName));
        let mut domain = self.domain.iter();
        let domain =
            may_have(NameKind::Domain) && domain.any(|name| is_possible(name, NameKind::Domain));
        match (host, domain) {
            (true, true) => Resolves::Both,
            (true, false) => Resolves::Host,
            (false, true) => Resolves::Domain,
            (false, false) => Resolves::No,
        }
    }

    /// Whether it is shown without `--all`.
    pub(crate) fn is_current(&self) -> bool {
        self.state != AddressState::Expired || self.stands_for_nic
    }

    /// Where it is known from: one word, which doesn't change.
    pub(crate) fn source(&self) -> &'static str {
        match (&self.via, self.state) {
            (Some(_), AddressState::NoAddress) => "libvirt",
            (Some(via), _) => source_word(via.evidence),
            (None, _) => source_word(Evidence::StateFile),
        }
    }
}

/// The rows of the state files, and those that only the daemon knows.
pub(crate) fn all_rows(
    contents: Option<&Contents>,
    paths: &Paths,
    snapshot: &daemon::Reading,
    now: i64,
) -> Vec<Row> {
    let networks = contents.map(Networks::read).unwrap_or_default();
    let mut all = match contents {
        Some(contents) => rows(contents, &networks, &paths.interfaces(), now),
        None => Vec::new(),
    };
    if let Ok(Some(snapshot)) = snapshot {
        daemon::rows::add(&mut all, snapshot, &networks, now);
    }
    let yielding = link_local_yields(&all);
    for (row, yields) in all.iter_mut().zip(yielding) {
        row.yields = yields;
    }
    all
}

/// For each row with a link-local address, the names for which it isn't returned.
fn link_local_yields(rows: &[Row]) -> Vec<[Option<NameKind>; 2]> {
    let is_link_local = |row: &Row| row.address.is_some_and(address::needs_scope);
    let names = |row: &Row| {
        let host_name = row.host_name.as_ref().map(|name| name.to_ascii_lowercase());
        [(NameKind::HostName, host_name), (NameKind::Domain, row.domain.clone())]
    };
    let mut others: HashSet<(bool, String)> = HashSet::new();
    for row in rows.iter().filter(|row| !is_link_local(row) && row.resolves() != Resolves::No) {
        for (kind, name) in names(row) {
            others.extend(name.map(|name| (kind == NameKind::Domain, name)));
        }
    }
    let yields = |row: &Row| {
        names(row).map(|(kind, name)| {
            let name = name.filter(|_| is_link_local(row))?;
            others.contains(&(kind == NameKind::Domain, name)).then_some(kind)
        })
    };
    rows.iter().map(yields).collect()
}

/// All rows of the state files: by the guest's name, then by address.
pub(crate) fn rows(
    contents: &Contents,
    networks: &Networks,
    interfaces: &Interfaces,
    now: i64,
) -> Vec<Row> {
    let filled = |text| Some(contents.string(text)).filter(|text| !text.is_empty());
    let states = States::new(contents, interfaces, now);
    let ended_last = states.ended_last();
    let mut rows = Vec::new();
    for (at, lease) in contents.leases.iter().enumerate() {
        let bridge = contents.bridge_name(lease.bridge);
        let network = networks.of(&bridge);
        let domain = contents.domain_of_lease(lease);
        rows.push(Row {
            domain: domain.map(|domain| contents.string(domain.name)),
            host_name: filled(lease.host_name),
            other_host_names: Vec::new(),
            network: network.map(|network| network.name.clone()),
            network_domain: filled(lease.domain)
                .or_else(|| network.and_then(|network| network.domain.clone())),
            lease_domain: filled(lease.domain),
            bridge,
            address: Some(address::to_std(lease.address)),
            mac: lease.mac.map(MacAddress::from),
            client_id: filled(lease.client_id),
            expiry: Some(lease.expiry),
            state: states.of_lease(lease),
            stands_for_nic: ended_last.contains(&at),
            yields: [None; 2],
            via: None,
        });
    }
    let mut seen = HashSet::new();
    for (domain, mac) in contents.nics() {
        let state = states.of_nic(domain.bridge, mac);
        let Some(state) = state.filter(|&state| state != AddressState::Expired) else { continue };
        if !seen.insert((domain.bridge, mac.0)) {
            continue;
        }
        let bridge = contents.bridge_name(domain.bridge);
        let network = networks.of(&bridge);
        rows.push(Row {
            domain: Some(contents.string(domain.name)),
            host_name: None,
            other_host_names: Vec::new(),
            network: network.map(|network| network.name.clone()),
            network_domain: network.and_then(|network| network.domain.clone()),
            lease_domain: None,
            bridge,
            address: None,
            mac: Some(mac.into()),
            client_id: None,
            expiry: None,
            state,
            stands_for_nic: true,
            yields: [None; 2],
            via: None,
        });
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
    (name.is_none(), name, row.bridge.as_str(), row.mac, row.address, row.state, &row.via)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lookup;
    use crate::paths::Paths;
    use crate::state::lossy;
    use guest_names::observe::{Observer, Verdict};
    use guest_names::records::lease::BadRecord;
    use testkit::random::Random;
    use testkit::scratch::Scratch;

    const NOW: i64 = 1_700_000_000;

    fn shown(directory: &Scratch) -> Vec<String> {
        let contents = Contents::read(directory.path()).unwrap();
        let networks = Networks::read(&contents);
        let rows = rows(&contents, &networks, &Interfaces::Unknown, NOW);
        let show = |row: &Row| {
            let address = row.address.map_or("-".into(), |address| address.to_string());
            let [domain, host] = [&row.domain, &row.host_name].map(|name| match name {
                Some(name) => name.clone(),
                None => "-".into(),
            });
            let stands = if row.stands_for_nic { " *" } else { "" };
            format!("{domain} {host} {} {address} {}{stands}", row.bridge, row.state.word())
        };
        rows.iter().map(show).collect()
    }

    #[test]
    fn each_state() {
        let directory = Scratch::new();
        let lease = |mac: u8, address: &str, name: &str, expiry: i64| {
            format!(
                r#"{{"ip-address": "{address}", "mac-address": "52:54:00:00:00:{mac:02x}",
                "hostname": "{name}", "expiry-time": {expiry}}}"#
            )
        };
        directory.write(
            "virbr0.status",
            format!(
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
        directory.write("virbr1.status", format!("[{}]", lease(1, "10.1.0.1", "web", 0)));
        let expected = [
            "- gone virbr0 10.0.0.2 no-guest",
            "late-vm late virbr0 10.0.0.3 expired *",
            "- web virbr1 10.1.0.1 left-behind",
            "web-vm web virbr0 10.0.0.1 attached",
            "web-vm web virbr0 fd00::1 attached",
            "web-vm - virbr0 - no-lease *",
            "- - virbr0 10.0.0.9 no-guest",
        ];
        assert_eq!(shown(&directory), expected);
    }

    /// The leases that a look-up reports.
    #[derive(Default)]
    struct SeenLeases(Vec<(u32, String)>);

    impl Observer for SeenLeases {
        fn lease(
            &mut self,
            start: u32,
            lease: &guest_names::records::lease::Lease,
            verdict: Result<Verdict, BadRecord>,
        ) {
            if verdict.is_ok() {
                self.0.push((start, lossy(lease.hostname.as_bytes())));
            }
        }
    }

    /// Pieces of files, good and bad, at random: what is listed is what a look-up goes through.
    #[test]
    fn lists_what_the_look_up_sees() {
        let good = "\n  {\n    \"ip-address\": \"10.0.0.1\",\n    \"hostname\": \"web\"\n  }";
        let pieces =
            [good, good, "\n", "{", "}", "[", "]", ",", "\"", "\\", "{}", "{\"x\":", "1", good];
        let directory = Scratch::new();
        let mut random = Random::new(11);
        let paths = Paths::new(None, Some(directory.path()));
        let mut found = 0;
        for _ in 0..800 {
            let text: String = (0..=random.below(10)).map(|_| *random.pick(&pieces)).collect();
            directory.write("virbr0.status", &text);
            let mut seen = SeenLeases::default();
            lookup::by_name(&paths, NameKind::HostName, b"x", None, 0, Some(&mut seen)).unwrap();
            let contents = Contents::read(directory.path()).unwrap();
            let listed: Vec<_> = contents
                .leases
                .iter()
                .map(|lease| (lease.start, contents.string(lease.host_name)))
                .collect();
            assert_eq!(listed, seen.0, "{text:?}");
            found += listed.len();
        }
        assert!(found > 400, "hardly a lease among them: {found}");
    }
}
