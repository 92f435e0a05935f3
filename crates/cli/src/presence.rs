//! Why a name has no address, according to the state files and the daemon.

use std::io;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt as _;

use guest_names::name::NameKind;
use guest_store::contents::{Contents, ReadFile};
use guest_store::fault_text;

use crate::daemon::{self, Reading};
use crate::error::reason;
use crate::paths::Paths;
use crate::state::lossy;
use crate::state::rows::{AddressState, Row, all_rows};

/// How many similar names are suggested.
const SIMILAR: usize = 3;

/// How similar a name must be for that (Jaro-Winkler; 1 is equal).
const ALIKE: f64 = 0.8;

/// Why a name has no address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Absence {
    /// No guest can have the name.
    Impossible,
    /// The last lease has expired.
    Expired(IpAddr, i64),
    /// A running guest's NIC on this bridge has no lease.
    NoLease(String),
    /// It runs on this bridge, whose leases can't all be read.
    Unclear(String),
    /// It runs, but libvirt-nssd knows no address: the connection's name.
    NoAddress(String),
    /// The daemon rejects the lease of this address.
    Denied(IpAddr),
    /// No guest has the name: similar names.
    Unknown(Vec<String>),
}

/// What is known about a name without an address.
#[derive(Debug)]
pub(crate) struct Presence {
    pub(crate) name: String,
    /// Whether it has one after all: the state has changed since the look-up.
    pub(crate) has_address: bool,
    pub(crate) absence: Absence,
    /// Files that may have more and couldn't be read completely, and why.
    pub(crate) unread: Vec<String>,
    /// What to do if the name is a guest's host name followed by a domain that its lease doesn't record.
    pub(crate) unrecorded_domain: Option<String>,
    /// Seconds since the epoch.
    now: i64,
}

impl Presence {
    /// Reads the state files and the daemon's snapshot for a name that has no address.
    pub(crate) fn read(paths: &Paths, name: &[u8], kinds: &[NameKind], now: i64) -> Self {
        let contents = Contents::read(&paths.state_directory());
        let snapshot = daemon::read(paths);
        let rows = all_rows(contents.as_ref().ok(), paths, &snapshot, now);
        let mut unread = unread_in(&contents, paths);
        unread.extend(unused_snapshot(&snapshot, now));
        let possible = kinds.iter().any(|kind| kind.wanted(name).is_some());
        let absence = if possible { absence(&rows, name, kinds) } else { Absence::Impossible };
        let has_address = rows.iter().any(|row| {
            let finds = |&kind: &NameKind| row.resolves().by(kind) && is_about(row, name, kind);
            kinds.iter().any(finds)
        });
        let unrecorded_domain = unrecorded_domain(&rows, &lossy(name));
        Self { name: lossy(name), has_address, absence, unread, unrecorded_domain, now }
    }

    /// The reason, as the second half of a sentence.
    pub(crate) fn reason(&self) -> String {
        let reason = match &self.absence {
            Absence::Impossible => "no guest can be called that".into(),
            Absence::Expired(address, end) => {
                format!("the lease of {address} expired {}", daemon::ago(*end, self.now))
            }
            Absence::NoLease(bridge) => format!("it runs on {bridge} without a lease"),
            Absence::Unclear(bridge) => {
                format!("it runs on {bridge}, whose leases can't all be read")
            }
            Absence::NoAddress(connection) => {
                format!("it runs (connection {connection}) without a known address")
            }
            Absence::Denied(address) => format!(
                "libvirt-nssd rejects {address}: the guest's agent doesn't report it, or another \
                 guest takes precedence"
            ),
            Absence::Unknown(_) => self.unknown("has this name"),
        };
        self.with_unread_files(reason)
    }

    fn unknown(&self, has_name: &str) -> String {
        match self.unread.as_slice() {
            [] => format!("no guest {has_name}"),
            _ => format!("no guest {has_name} in the files that could be read"),
        }
    }

    /// Adds the files that could have the answer but couldn't be read.
    fn with_unread_files(&self, reason: String) -> String {
        let unread = match self.absence {
            Absence::Unknown(_) | Absence::Unclear(_) => self.unread.as_slice(),
            _ => &[],
        };
        std::iter::once(reason).chain(unread.iter().cloned()).collect::<Vec<_>>().join("; ")
    }

    /// The whole answer in one sentence, with similar names or the next step.
    pub(crate) fn answer_and_next(&self, paths: &Paths) -> String {
        let next = match self.did_you_mean().as_str() {
            "" => format!("; see '{}'", paths.command(&format!("explain {}", self.name))),
            _ => String::new(),
        };
        self.answer() + &next
    }

    /// The whole answer in one sentence, with similar names.
    pub(crate) fn answer(&self) -> String {
        let name = &self.name;
        match &self.absence {
            Absence::Impossible => format!("'{name}' cannot be the name of a guest"),
            Absence::Unknown(_) => {
                let unknown = self.unknown(&format!("is called '{name}'"));
                self.with_unread_files(unknown) + &self.did_you_mean()
            }
            _ => format!("'{name}' has no address: {}", self.reason()),
        }
    }

    /// `; did you mean web-vm?`, or nothing.
    pub(crate) fn did_you_mean(&self) -> String {
        match &self.absence {
            Absence::Unknown(similar) if !similar.is_empty() => {
                format!("; did you mean {}?", similar.join(" or "))
            }
            _ => String::new(),
        }
    }
}

/// Why a state file may have more in it than was read.
pub(crate) fn unread(file: &ReadFile) -> Option<String> {
    let name = file.path.file_name().unwrap_or_default();
    let name = lossy(name.as_bytes());
    match &file.fault {
        Some((0, fault)) => Some(format!("{name}: {}", fault_text(*fault).to_lowercase())),
        Some((at, fault)) => {
            Some(format!("{name}: {} at byte {at}", fault_text(*fault).to_lowercase()))
        }
        None if !file.is_whole() => Some(format!("{name}: damaged")),
        None => None,
    }
}

/// The same for all state files; for the directory if it can't be listed.
pub(crate) fn unread_files(paths: &Paths) -> Vec<String> {
    unread_in(&Contents::read(&paths.state_directory()), paths)
}

/// Why the daemon's snapshot isn't used, or only in part.
pub(crate) fn unused_snapshot(snapshot: &Reading, now: i64) -> Option<String> {
    match snapshot {
        Ok(Some(snapshot)) if !snapshot.standing(now).reports => Some(snapshot.silence(now)),
        Err(unusable) => Some(unusable.to_string()),
        Ok(_) => None,
    }
}

fn unread_in(contents: &io::Result<Contents>, paths: &Paths) -> Vec<String> {
    match contents {
        Ok(contents) => contents.files.iter().filter_map(unread).collect(),
        Err(error) => {
            let directory = paths.state_directory();
            vec![format!("{}: {}", directory.display(), reason(error).to_lowercase())]
        }
    }
}

/// Whether a row has the name, by the rules of a look-up.
fn is_about(row: &Row, name: &[u8], kind: NameKind) -> bool {
    let Some(wanted) = kind.wanted(name) else { return false };
    match kind {
        NameKind::HostName => row.host_names().any(|host_name| {
            let domain = row.lease_domain.as_deref().unwrap_or_default();
            let fit = wanted.fit(host_name.as_bytes());
            fit.is_some_and(|fit| wanted.fits_in(fit, domain.as_bytes()))
        }),
        NameKind::Domain => {
            let domain = row.domain.as_ref();
            domain
                .and_then(|domain| wanted.fit(domain.as_bytes()))
                .is_some_and(|fit| fit.is_whole())
        }
    }
}

fn absence(rows: &[Row], name: &[u8], kinds: &[NameKind]) -> Absence {
    let about = || {
        let is_about = |row: &&Row| kinds.iter().any(|&kind| is_about(row, name, kind));
        rows.iter().filter(is_about)
    };
    let of = |state| about().find(|row| row.state == state);
    if let Some(row) = of(AddressState::Unclear).filter(|row| row.address.is_none()) {
        return Absence::Unclear(row.bridge.clone());
    }
    if let Some(address) = of(AddressState::Denied).and_then(|row| row.address) {
        return Absence::Denied(address);
    }
    let ended = about().filter(|row| row.state == AddressState::Expired);
    let ended = ended.filter_map(|row| Some((row.expiry?, row.address?)));
    if let Some((end, address)) = ended.max() {
        return Absence::Expired(address, end);
    }
    if let Some(row) = about().find(|row| row.address.is_none() && row.via.is_none()) {
        return Absence::NoLease(row.bridge.clone());
    }
    if let Some(via) = of(AddressState::NoAddress).and_then(|row| row.via.as_ref()) {
        return Absence::NoAddress(via.connection.clone());
    }
    Absence::Unknown(similar(rows, &lossy(name), kinds))
}

/// What to do if the first labels are a guest's host name, and its lease doesn't record the others as the domain.
fn unrecorded_domain(rows: &[Row], name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let dots = name.match_indices('.').map(|(at, _)| at);
    let (host_name, row) = dots.rev().find_map(|at| {
        let head = &name[..at];
        let called =
            |row: &&Row| row.current_host_name().is_some_and(|own| own.eq_ignore_ascii_case(head));
        Some((head, rows.iter().find(called)?))
    })?;
    let domain = &name[host_name.len() + 1..];
    Some(match &row.lease_domain {
        Some(recorded) => format!("{host_name} is in the domain {recorded}, not in {domain}"),
        None => format!(
            "use '{host_name}': its lease records no domain. The leases helper of libvirt-nss records the \
             network's domain at the next renewal; libvirt's own never does"
        ),
    })
}

/// The names that are most like `name`, the best first.
fn similar(rows: &[Row], name: &str, kinds: &[NameKind]) -> Vec<String> {
    let name = name.to_lowercase();
    let of = |row| match row {
        (NameKind::HostName, row) => Row::current_host_name(row),
        (NameKind::Domain, row) => row.domain.as_deref(),
    };
    let names = kinds.iter().flat_map(|&kind| rows.iter().filter_map(move |row| of((kind, row))));
    let mut alike: Vec<(f64, &str)> = names
        .map(|other| (strsim::jaro_winkler(&name, &other.to_lowercase()), other))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .collect();
    alike.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    alike.dedup_by(|a, b| a.1 == b.1);
    alike.into_iter().take(SIMILAR).map(|(_, name)| name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::scratch::Scratch;

    #[test]
    fn an_address_that_came_after_the_look_up() {
        let directory = Scratch::new();
        let read = |kind| {
            let paths = Paths::new(None, Some(directory.path()));
            Presence::read(&paths, b"web", &[kind], 1)
        };
        assert!(!read(NameKind::HostName).has_address);
        let lease =
            r#"[{"ip-address":"10.0.0.9","mac-address":"52:54:00:00:00:09","hostname":"web"}]"#;
        directory.write("virbr0.status", lease);
        assert!(read(NameKind::HostName).has_address);
        assert!(!read(NameKind::Domain).has_address);
    }
}
