//! Checks libvirt-nssd and its snapshot: whether they are there, alive, trusted by the modules, and connected.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use guest_names::candidate::Evidence;
use guest_store::snapshot::info::{ConnectionInfo, ConnectionState};
use guest_store::snapshot::read::{Unusable, Why};
use guest_store::snapshot::trust::Refused;

use super::guests::list;
use super::{Finding, Level, System};
use crate::daemon::{Snapshot, ago};
use crate::output::duration;
use crate::state::rows;

const CHECK: &str = "daemon";
const CONNECTION: &str = "daemon-connection";
const ADDRESS: &str = "no-address";

/// The next step for whatever is the daemon's fault.
const STATUS: &str = "see 'systemctl status libvirt-nssd' and 'journalctl -u libvirt-nssd'";

/// Within so many seconds after a change of the state files, the daemon has compiled a new snapshot.
const COMPILES_WITHIN: i64 = 10;

pub(super) fn check(system: &System<'_>) -> Vec<Finding> {
    let Some(path) = system.paths.snapshot() else { return Vec::new() };
    let snapshot = match &system.snapshot {
        Ok(Some(snapshot)) => snapshot,
        Ok(None) => return vec![none(system, &path)],
        Err(unusable) => return vec![refused(unusable)],
    };
    let mut findings = vec![state(system, snapshot, &path)];
    findings.extend(closed(&path));
    if snapshot.standing(system.now).reports {
        findings.extend(leases(system, snapshot, &path));
        let connections = snapshot.info().connections.iter();
        findings.extend(connections.filter_map(|one| connection(one, system.now)));
        findings.extend(snapshot.info().connections.iter().filter_map(agents));
    }
    findings
}

fn none(system: &System<'_>, path: &Path) -> Finding {
    let itself = system.paths.snapshot_itself();
    if itself.exists() {
        let (itself, link) = (itself.display(), path.parent().unwrap_or(path).display());
        let text = format!(
            "look-ups don't find libvirt-nssd's snapshot {itself}: {link} doesn't point to it"
        );
        return Finding::new(CHECK, Level::Error, text).remedy(format!(
            "libvirt-nssd makes that link in its home directory when it starts, and its user must own that \
             directory: {STATUS}"
        ));
    }
    Finding::new(
        CHECK,
        Level::Note,
        "libvirt-nssd doesn't run; it is only needed for guests on bridges, with static addresses or on other hosts",
    )
}

/// The modules don't use it.
fn refused(unusable: &Unusable) -> Finding {
    let path = unusable.path.display();
    let remedy = match &unusable.why {
        Why::Refused(Refused::Writable { path, .. }) => format!(
            "anyone may have written there, so find out who did; then 'sudo chmod go-w {}' and \
             'sudo systemctl restart libvirt-nssd'",
            path.display()
        ),
        Why::Refused(Refused::Unreadable(_)) | Why::Unreadable(_) => {
            format!("everyone must be able to read it (0644, its directory 0755): 'ls -ld {path}'")
        }
        Why::Refused(_) => format!(
            "libvirt-nssd didn't write it: find out who did ('ls -l {path}'), remove it, and 'sudo systemctl \
             restart libvirt-nssd'"
        ),
        Why::Version => {
            "libvirt-nssd and this command have different versions: install the same version of all packages, \
             and 'sudo systemctl restart libvirt-nssd'"
                .into()
        }
        Why::Length { .. } | Why::Broken { .. } => {
            "'sudo systemctl restart libvirt-nssd' replaces it; something other than libvirt-nssd must have \
             changed it"
                .into()
        }
    };
    let text = match &unusable.why {
        Why::Broken { .. } => {
            format!("{unusable}: look-ups that come across it read only the state files")
        }
        _ => format!("{unusable}: look-ups don't use it, and read only the state files"),
    };
    Finding::new(CHECK, Level::Error, text).remedy(remedy)
}

/// Whether it counts, and what it has.
fn state(system: &System<'_>, snapshot: &Snapshot, path: &Path) -> Finding {
    let (now, path) = (system.now, path.display());
    let standing = snapshot.standing(now);
    let compiled = snapshot.compiled(now);
    if !standing.reports {
        let text = format!(
            "{path}, {compiled}, is out of date: {}; guests that only it knows don't resolve",
            snapshot.silence(now)
        );
        let remedy = if snapshot.compiled.modified > now {
            format!("set the clock; {STATUS}")
        } else {
            format!("{STATUS}; 'sudo systemctl restart libvirt-nssd'")
        };
        return Finding::new(CHECK, Level::Error, text).remedy(remedy);
    }
    let stands = match (standing.leases, snapshot.compiled.meta.state) {
        (true, _) => "replaces the state files",
        (false, Some(_)) => "is used with the state files, which have changed since",
        (false, None) => "is used with the state files, which it doesn't cover",
    };
    let version =
        snapshot.info().version.as_ref().map(|version| format!(" of libvirt-nssd {version}"));
    let version = version.unwrap_or_default();
    Finding::ok(
        CHECK,
        format!("{path}{version}, {compiled}, {stands}: {}", content(system, snapshot)),
    )
}

/// How many guests and addresses by source it adds, and the connections.
fn content(system: &System<'_>, snapshot: &Snapshot) -> String {
    let rows = system.rows.iter().filter_map(|row| Some((row, row.via.as_ref()?)));
    let mut sources: BTreeMap<_, usize> = BTreeMap::new();
    let mut guests: Vec<(&str, &str)> = Vec::new();
    for (row, via) in rows {
        if row.address.is_some() {
            *sources.entry(via.evidence).or_default() += 1;
        }
        guests.extend(row.domain.as_deref().map(|domain| (via.connection.as_str(), domain)));
    }
    guests.sort_unstable();
    guests.dedup();
    let sources: Vec<String> = sources
        .into_iter()
        .map(|(source, count)| match source {
            Evidence::StateFile | Evidence::Lease => format!("{count} leased"),
            Evidence::Agent => format!("{count} from agents"),
            Evidence::Neighbour => format!("{count} from ARP"),
        })
        .collect();
    let addresses = match sources.as_slice() {
        [] => "no address".to_owned(),
        sources => format!("addresses: {}", sources.join(", ")),
    };
    let all = &snapshot.info().connections;
    let is_up =
        |one: &&ConnectionInfo| matches!(one.state, ConnectionState::Up | ConnectionState::Idle);
    let up = all.iter().filter(is_up);
    let running: Option<usize> = up.clone().map(|one| one.guests).sum();
    let running = running
        .map(|count| format!(" ({})", super::state_files::count(count, "guest")))
        .unwrap_or_default();
    let connections = match all.len() {
        0 => String::new(),
        all => format!("; {} of {all} connections up{running}", up.count()),
    };
    if guests.is_empty() {
        return format!("no further guests{connections}");
    }
    let guests = super::state_files::count(guests.len(), "more guest");
    format!("{guests} ({addresses}){connections}")
}

/// Programs look up as their own user.
fn closed(path: &Path) -> Option<Finding> {
    let home = path.parent()?;
    let closed = |path: &Path, needed: u32| {
        fs::metadata(path).is_ok_and(|status| status.mode() & needed != needed)
    };
    let (place, mode) = if closed(path, 0o004) {
        (path, "o+r")
    } else if closed(home, 0o001) {
        (home, "o+x")
    } else {
        return None;
    };
    let place = place.display();
    let text = format!(
        "not everyone may read {place}: programs of some users read the state files instead"
    );
    Some(Finding::new(CHECK, Level::Warning, text).remedy(format!("sudo chmod {mode} {place}")))
}

/// Leases count only as long as the state directory is as the daemon saw it.
fn leases(system: &System<'_>, snapshot: &Snapshot, path: &Path) -> Option<Finding> {
    if !snapshot.info().files.unread.is_empty() {
        let unread = snapshot.info().files.unread.join(", ");
        let text = format!(
            "libvirt-nssd can't read all of the state files ({unread}): look-ups read them themselves, \
             which takes longer"
        );
        let remedy = "make them regular files that everyone may read (0644)";
        return Some(Finding::new(CHECK, Level::Warning, text).remedy(remedy));
    }
    if snapshot.standing(system.now).leases {
        return None;
    }
    let changed = snapshot.compiled.state?.seconds;
    let since = changed.max(snapshot.compiled.meta.compiled);
    if system.now.saturating_sub(since) < COMPILES_WITHIN {
        return None;
    }
    let path = path.display();
    let text = match snapshot.compiled.meta.state {
        Some(_) => format!(
            "the state files changed {}, and {path} hasn't been renewed since: look-ups read them \
             themselves, which takes longer",
            ago(changed, system.now)
        ),
        None => format!(
            "{path} doesn't cover the state files: look-ups read them themselves, which takes longer"
        ),
    };
    let remedy = format!(
        "libvirt-nssd must be able to read {}: {STATUS}",
        system.paths.state_directory().display()
    );
    Some(Finding::new(CHECK, Level::Warning, text).remedy(remedy))
}

fn connection(connection: &ConnectionInfo, now: i64) -> Option<Finding> {
    let ConnectionInfo { name, uri, state, since, reason, .. } = connection;
    let level = match state {
        ConnectionState::Down => Level::Warning,
        ConnectionState::Connecting => Level::Note,
        ConnectionState::Up | ConnectionState::Idle | ConnectionState::Unknown => return None,
    };
    let to = match uri {
        Some(uri) => format!("{name} ({uri})"),
        None => name.clone(),
    };
    let since = match since {
        Some(since) => format!(" for {}", duration::short(now.saturating_sub(*since).max(0))),
        None => String::new(),
    };
    let reason = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let text = match state {
        ConnectionState::Connecting => format!("libvirt-nssd has been connecting to {to}{since}"),
        _ => format!("libvirt-nssd isn't connected to {to}{since}{reason}"),
    };
    Some(Finding::new(CONNECTION, level, text).remedy(
        "'sudo libvirt-nssd --check' tries all connections; its guests don't resolve until it is back",
    ))
}

/// What the service's user may not do, which only the service knows.
fn agents(connection: &ConnectionInfo) -> Option<Finding> {
    let why = connection.no_agents.as_ref()?;
    let text = format!("libvirt-nssd can't ask the guest agents of {}: {why}", connection.name);
    Some(Finding::new(CONNECTION, Level::Warning, text).remedy(
        "'sudo libvirt-nssd --check' tries it as the service's user; if you don't want agents to be asked, set \
         'agent = false' in /etc/libvirt-nss.toml",
    ))
}

/// Guests that only the daemon knows, without an address.
pub(super) fn without_address(system: &System<'_>) -> Vec<Finding> {
    let rows = system.rows.iter().filter(|row| row.state == rows::AddressState::NoAddress);
    let guests = rows.filter_map(|row| Some((row.domain.as_deref()?, row.via.as_ref()?)));
    let guests: Vec<String> =
        guests.map(|(domain, via)| format!("{domain} (connection {})", via.connection)).collect();
    if guests.is_empty() {
        return Vec::new();
    }
    let (verb, it) = if guests.len() == 1 { ("runs", "it doesn't") } else { ("run", "they don't") };
    let text = format!("{} {verb} without a known address: {it} resolve", list(&guests));
    vec![Finding::new(ADDRESS, Level::Warning, text).remedy(
        "if a guest is still booting, 'libvirt-nss wait NAME' returns when it is up; with the QEMU guest agent \
         installed, a guest reports its addresses itself",
    )]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_that_the_service_may_not_ask() {
        let mut host = ConnectionInfo { name: "host".into(), ..ConnectionInfo::default() };
        assert!(agents(&host).is_none());
        host.no_agents = Some("authentication unavailable; let the user in".into());
        let finding = agents(&host).unwrap();
        assert_eq!(
            finding.text,
            "libvirt-nssd can't ask the guest agents of host: authentication unavailable; let the user in"
        );
        assert_eq!(finding.level, Level::Warning);
        assert!(finding.remedy.unwrap().contains("agent = false"));
    }
}
