//! Guests that the daemon knows, beside those of the state files.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use guest_names::candidate::Evidence;
use guest_names::snapshot::Standing;
use guest_names::snapshot::format::flags;

use super::Snapshot;
use super::entries::{Assignment, assignment, entries};
use super::rejected::RejectedLeases;
use crate::state::networks::Networks;
use crate::state::rows::{AddressState, Row, Via, sort};
use crate::state::{MacAddress, lossy};

/// Adds to the rows of the state files what `snapshot` has of guests beyond them, as far as that counts.
pub(crate) fn add(rows: &mut Vec<Row>, snapshot: &Snapshot, networks: &Networks, now: i64) {
    let standing = snapshot.standing(now);
    let rejected = RejectedLeases::of(snapshot, standing, now);
    rows.iter_mut().for_each(|row| rejected.mark(row));
    if standing.reports {
        let addresses = Addresses::of(snapshot, standing, now);
        addresses.add(rows, snapshot, networks);
    }
    sort(rows);
}

/// The guest that has an address.
struct Holder {
    connection: u16,
    elsewhere: bool,
    evidence: Evidence,
    expiry: Option<i64>,
    attached: bool,
    domains: BTreeSet<String>,
    host_names: BTreeSet<String>,
}

/// The addresses that the daemon knows, as far as they count.
struct Addresses {
    /// By connection, too.
    holders: BTreeMap<(u16, Assignment), Holder>,
    /// Domains of which no address may be known, by connection, and whether that is another host's.
    domains: BTreeMap<(u16, String), bool>,
}

impl Addresses {
    fn of(snapshot: &Snapshot, standing: Standing, now: i64) -> Self {
        let mut addresses = Self { holders: BTreeMap::new(), domains: BTreeMap::new() };
        let reported = entries(snapshot)
            .filter(|(_, entry)| entry.is(flags::REPORTED) && entry.counts(standing, now));
        for (is_domain, entry) in reported {
            let (name, elsewhere) = (lossy(entry.name), entry.is(flags::ELSEWHERE));
            let Some(assignment) = assignment(&entry) else {
                if is_domain {
                    addresses.domains.insert((entry.connection, name), elsewhere);
                }
                continue;
            };
            let leased = entry.evidence.is_lease();
            let holder =
                addresses.holders.entry((entry.connection, assignment)).or_insert(Holder {
                    connection: entry.connection,
                    elsewhere,
                    evidence: entry.evidence,
                    expiry: leased.then_some(entry.expiry),
                    attached: false,
                    domains: BTreeSet::new(),
                    host_names: BTreeSet::new(),
                });
            holder.attached |= entry.is(flags::ATTACHED);
            let names = if is_domain { &mut holder.domains } else { &mut holder.host_names };
            names.insert(name);
        }
        addresses
    }

    fn add(self, rows: &mut Vec<Row>, snapshot: &Snapshot, networks: &Networks) {
        let mut of_files = OfFiles::new(rows);
        let mut new = Vec::new();
        for ((_, assignment), mut holder) in self.holders {
            if !holder.elsewhere {
                of_files.meet(rows, &assignment, &mut holder);
            }
            new.extend(holder.rows(&assignment, snapshot, networks));
        }
        of_files.drop_answered(rows);
        rows.extend(new);
        let has = |row: &Row| Some((row.via.as_ref().map(connection_of), row.domain.clone()?));
        let there: BTreeSet<(Option<String>, String)> = rows.iter().filter_map(has).collect();
        for ((connection, domain), elsewhere) in self.domains {
            let connection = snapshot.connection(connection);
            let assignment = (Some(connection.clone()), domain.clone());
            let here = (None, domain);
            if there.contains(&assignment) || (!elsewhere && there.contains(&here)) {
                continue;
            }
            rows.push(Row {
                domain: Some(here.1),
                host_name: None,
                other_host_names: Vec::new(),
                bridge: String::new(),
                network: None,
                network_domain: None,
                lease_domain: None,
                address: None,
                mac: None,
                client_id: None,
                expiry: None,
                state: AddressState::NoAddress,
                stands_for_nic: true,
                yields: [None; 2],
                via: Some(Via { evidence: Evidence::Lease, connection, elsewhere }),
            });
        }
    }
}

fn connection_of(via: &Via) -> String {
    via.connection.clone()
}

/// The rows of the state files, by what the daemon may know of too.
struct OfFiles {
    /// Current leases by address.
    leases: BTreeMap<IpAddr, Vec<usize>>,
    /// Rows that are all there is of a NIC.
    nics: BTreeMap<MacAddress, Vec<usize>>,
    /// Those of which an address is known all the same.
    answered: BTreeSet<usize>,
}

impl OfFiles {
    fn new(rows: &[Row]) -> Self {
        let mut of_files =
            Self { leases: BTreeMap::new(), nics: BTreeMap::new(), answered: BTreeSet::new() };
        for (at, row) in rows.iter().enumerate() {
            if let (true, Some(mac)) = (row.stands_for_nic, row.mac) {
                of_files.nics.entry(mac).or_default().push(at);
            }
            if let (Some(address), false) = (row.address, row.state == AddressState::Expired) {
                of_files.leases.entry(address).or_default().push(at);
            }
        }
        of_files
    }

    /// Leaves to `holder` the names that no row has.
    fn meet(&mut self, rows: &mut [Row], (address, mac, bridge): &Assignment, holder: &mut Holder) {
        let on = |row: &Row| bridge.is_empty() || row.bridge == *bridge;
        for &at in self.leases.get(address).into_iter().flatten() {
            // A lease on the bridge that no other guest has is the guest's, whatever its MAC address was then.
            let is_own =
                |row: &Row| row.mac == *mac || row.bridge == *bridge && holder.may_have_leased(row);
            if on(&rows[at]) && is_own(&rows[at]) {
                holder.fill(&mut rows[at]);
            }
        }
        let nics = mac.and_then(|mac| self.nics.get(&mac)).into_iter().flatten();
        self.answered.extend(nics.filter(|&&at| on(&rows[at])));
    }

    /// An expired lease stays in the list of all.
    fn drop_answered(self, rows: &mut Vec<Row>) {
        for &at in &self.answered {
            rows[at].stands_for_nic = false;
        }
        let mut at = 0..;
        rows.retain(|row| {
            at.next().is_none_or(|at| row.address.is_some() || !self.answered.contains(&at))
        });
    }
}

impl Holder {
    /// Whether the lease is of the guest, or of none that is known.
    fn may_have_leased(&self, row: &Row) -> bool {
        let is_own = |domain: &String| self.domains.contains(domain);
        row.domain.as_ref().map_or(self.attached && !self.domains.is_empty(), is_own)
    }

    /// Puts names that a state file's row lacks into it, and forgets those that it has.
    fn fill(&mut self, row: &mut Row) {
        if row.domain.is_none() {
            row.domain = self.domains.pop_first();
            if row.domain.is_some() && self.attached && row.state != AddressState::Denied {
                row.state = AddressState::Attached;
            }
        }
        if row.host_name.is_none() {
            row.host_name = self.host_names.pop_first();
        }
        self.domains.retain(|name| row.domain.as_ref() != Some(name));
        let same = |name: &String| {
            row.host_name.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name))
        };
        self.host_names.retain(|name| !same(name));
        if self.domains.is_empty() {
            row.other_host_names.extend(std::mem::take(&mut self.host_names));
        }
    }

    /// A row for each domain that is left: mostly there is one, or none.
    fn rows(self, assignment: &Assignment, snapshot: &Snapshot, networks: &Networks) -> Vec<Row> {
        let (address, mac, bridge) = assignment;
        let network = networks.of(bridge).filter(|_| !self.elsewhere);
        let count = self.domains.len().max(usize::from(!self.host_names.is_empty()));
        let mut domains = self.domains.into_iter();
        let mut host_names = self.host_names.into_iter();
        let host_name = host_names.next();
        let other_host_names: Vec<String> = host_names.collect();
        let row = |_| Row {
            domain: domains.next(),
            host_name: host_name.clone(),
            other_host_names: other_host_names.clone(),
            bridge: bridge.clone(),
            network: network.map(|network| network.name.clone()),
            network_domain: network.and_then(|network| network.domain.clone()),
            lease_domain: None,
            address: Some(*address),
            mac: *mac,
            client_id: None,
            expiry: self.expiry,
            state: if self.attached { AddressState::Attached } else { AddressState::NoGuest },
            stands_for_nic: false,
            yields: [None; 2],
            via: Some(Via {
                evidence: self.evidence,
                connection: snapshot.connection(self.connection),
                elsewhere: self.elsewhere,
            }),
        };
        (0..count).map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon;
    use crate::paths::Paths;
    use crate::state::rows::rows;
    use guest_names::address::{Address, Mac};
    use guest_names::bridge::Bridge;
    use guest_names::snapshot::format::{Entry, Meta};
    use guest_store::contents::Contents;
    use guest_store::snapshot::trust::stamp_of;
    use guest_store::states::Interfaces;
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    use testkit::cdb::{self, Records, entry, write};
    use testkit::scratch::Scratch;

    const NOW: i64 = 1_700_000_000;

    /// A system with these state files and this snapshot, as it is listed `later` seconds after the
    /// daemon's last touch.
    fn listed(status: &str, macs: &str, records: &Records, later: i64) -> Vec<String> {
        let directory = Scratch::new();
        let paths = Paths::new(Some(directory.path()), None);
        let (state, path) = (paths.state_directory(), paths.snapshot().unwrap());
        let home = path.parent().unwrap();
        fs::create_dir_all(&state).unwrap();
        fs::create_dir_all(home).unwrap();
        fs::set_permissions(home, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(state.join("virbr0.status"), status).unwrap();
        fs::write(state.join("virbr0.macs"), macs).unwrap();
        let stamp = stamp_of(&fs::metadata(&state).unwrap());
        let meta = Meta { state: Some(stamp), hold: 90, length: 0, compiled: NOW };
        fs::write(&path, write(records, meta)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let now = fs::metadata(&path).unwrap().mtime() + later;

        let snapshot = daemon::read(&paths).unwrap().unwrap();
        let contents = Contents::read(&state).unwrap();
        let networks = Networks::read(&contents);
        let mut all = rows(&contents, &networks, &Interfaces::Unknown, now);
        add(&mut all, &snapshot, &networks, now);
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        let show = |row: &Row| {
            let address = or_dash(row.address.map(|address| address.to_string()));
            let names = row.host_names().collect::<Vec<_>>().join(",");
            let host = or_dash(Some(names).filter(|names| !names.is_empty()));
            let domain = or_dash(row.domain.clone());
            let via = row.via.as_ref().map_or("", |via| &via.connection);
            format!("{domain} {host} {address} {} {} {via}", row.state.word(), row.source())
                .trim_end()
                .to_owned()
        };
        all.iter().map(show).collect()
    }

    fn of(name: &str, last: u8, mac: u8) -> Entry<'_> {
        Entry {
            mac: Some(Mac([0x52, 0x54, 0, 0, 0, mac])),
            bridge: Bridge::new(b"virbr0").unwrap(),
            ..entry(name, Some(Address::V4([10, 0, 0, last])))
        }
    }

    fn put(records: &mut Records, kind: &str, entry: &Entry<'_>) {
        let name = String::from_utf8(entry.name.to_ascii_lowercase()).unwrap();
        cdb::add(records, format!("{kind}{name}").as_bytes(), entry);
    }

    fn lease(last: u8, mac: u8, name: &str) -> String {
        format!(
            r#"{{"ip-address": "10.0.0.{last}", "mac-address": "52:54:00:00:00:{mac:02x}",
            "hostname": "{name}", "expiry-time": 0}}"#
        )
    }

    const MACS: &str = r#"[{"domain": "web-vm", "macs": ["52:54:00:00:00:01"]}]"#;

    #[test]
    fn a_nic_without_a_lease_has_an_address() {
        let mut records = Records::new();
        put(&mut records, "g", &of("web-vm", 1, 1));
        put(&mut records, "h", &of("Web", 1, 1));
        assert_eq!(listed("[]", MACS, &records, 0), ["web-vm Web 10.0.0.1 attached agent #1"]);
        // Without the daemon it has none.
        assert_eq!(listed("[]", MACS, &records, 91), ["web-vm - - no-lease file"]);
    }

    #[test]
    fn names_beside_those_of_a_lease() {
        let status = format!("[{}]", lease(1, 1, "web"));
        let mut records = Records::new();
        put(&mut records, "g", &of("web-vm", 1, 1));
        put(&mut records, "h", &of("WEB", 1, 1));
        assert_eq!(listed(&status, MACS, &records, 0), ["web-vm web 10.0.0.1 attached file"]);
        put(&mut records, "h", &of("www", 1, 1));
        let both = ["web-vm web,www 10.0.0.1 attached file"];
        assert_eq!(listed(&status, MACS, &records, 0), both);
        // A NIC without a lease has them too.
        let both = ["web-vm WEB,www 10.0.0.1 attached agent #1"];
        assert_eq!(listed("[]", MACS, &records, 0), both);
        // A lease without a name gets the agent's.
        let status = format!("[{}]", lease(1, 1, ""));
        let mut records = Records::new();
        put(&mut records, "h", &of("www", 1, 1));
        assert_eq!(listed(&status, MACS, &records, 0), ["web-vm www 10.0.0.1 attached file"]);
    }

    #[test]
    fn what_has_expired_lives_on_by_the_agents_word() {
        let status = lease(1, 1, "web").replace(": 0}", ": 5}");
        let mut records = Records::new();
        put(&mut records, "h", &of("web", 1, 1));
        let mut found = listed(&format!("[{status}]"), MACS, &records, 0);
        found.sort();
        assert_eq!(found, ["- web 10.0.0.1 attached agent #1", "web-vm web 10.0.0.1 expired file"]);
    }

    #[test]
    fn rejected_leases() {
        let status = format!("[{}]", lease(1, 1, "web"));
        let flags = flags::LEASE | flags::ATTACHED | flags::DENIED;
        let denied = |name| Entry { flags, evidence: Evidence::StateFile, ..of(name, 1, 1) };
        let mut records = Records::new();
        put(&mut records, "h", &denied("web"));
        put(&mut records, "g", &denied("web-vm"));
        assert_eq!(listed(&status, MACS, &records, 0), ["web-vm web 10.0.0.1 denied file"]);
        assert_eq!(listed(&status, MACS, &records, 91), ["web-vm web 10.0.0.1 attached file"]);
        // Another guest has one of its names: by the other it is given.
        let mut records = Records::new();
        put(&mut records, "h", &denied("web"));
        put(&mut records, "g", &Entry { flags: flags & !flags::DENIED, ..denied("web-vm") });
        assert_eq!(listed(&status, MACS, &records, 0), ["web-vm web 10.0.0.1 attached file"]);
    }

    #[test]
    fn guests_of_other_hosts_are_others() {
        let status = format!("[{}]", lease(1, 1, "web"));
        let other = |name| {
            let flags = flags::REPORTED | flags::ATTACHED | flags::ELSEWHERE;
            Entry { flags, connection: 1, bridge: Bridge::NONE, ..of(name, 1, 1) }
        };
        let mut records = Records::new();
        put(&mut records, "g", &other("web-vm"));
        let here = "web-vm web 10.0.0.1 attached file";
        let there = "web-vm - 10.0.0.1 attached agent #2";
        assert_eq!(listed(&status, MACS, &records, 0), [there, here]);
        // Of one there no address is known.
        let mut records = Records::new();
        let known = |flags, connection| Entry { flags, connection, ..entry("web-vm", None) };
        put(&mut records, "g", &known(flags::REPORTED, 0));
        assert_eq!(listed(&status, MACS, &records, 0), [here]);
        put(&mut records, "g", &known(flags::REPORTED | flags::ELSEWHERE, 1));
        let unknown = "web-vm - - no-address libvirt #2";
        assert_eq!(listed(&status, MACS, &records, 0), [unknown, here]);
    }

    /// Its lease is from before its NIC got another MAC address.
    #[test]
    fn a_guest_that_changed_its_mac() {
        let mut records = Records::new();
        put(&mut records, "g", &of("web-vm", 1, 1));
        put(&mut records, "h", &of("web", 1, 1));
        let once = ["web-vm web 10.0.0.1 attached file"];
        assert_eq!(listed(&format!("[{}]", lease(1, 9, "web")), MACS, &records, 0), once);
        // On another NIC of the guest.
        let macs = MACS.replace("01\"]", "01\", \"52:54:00:00:00:09\"]");
        assert_eq!(listed(&format!("[{}]", lease(1, 9, "web")), &macs, &records, 0), once);
        // Another guest has leased the address since.
        let macs =
            MACS.replace("}]", "}, {\"domain\": \"db-vm\", \"macs\": [\"52:54:00:00:00:09\"]}]");
        let found = listed(&format!("[{}]", lease(1, 9, "db")), &macs, &records, 0);
        assert_eq!(
            found,
            ["db-vm db 10.0.0.1 attached file", "web-vm web 10.0.0.1 attached agent #1"]
        );
    }

    /// A guest has entries under longer names too, but is listed under its own.
    #[test]
    fn each_guest_once() {
        let mut records = Records::new();
        for key in ["hweb", "hweb.default", "hweb.local", "a\x0a\0\0\x01"] {
            cdb::add(&mut records, key.as_bytes(), &of("web", 1, 1));
        }
        assert_eq!(listed("[]", "[]", &records, 0), ["- web 10.0.0.1 attached agent #1"]);
    }
}
