//! Checks libvirt-nss-publish by its status. Finds nothing if the service doesn't run, as most hosts don't need it.

use std::path::Path;

use guest_store::publish_status::{self, ConflictStatus, PublishStatus, ZoneStatus};

use super::state_files::count;
use super::{Finding, Level, System};
use crate::error::reason;
use crate::output::duration;

const CHECK: &str = "publish";

/// Names of a kind that a finding lists.
const LISTED: usize = 3;

pub(super) fn check(system: &System<'_>) -> Vec<Finding> {
    if !system.paths.is_without_own_directory() {
        return Vec::new();
    }
    let path = system.paths.below(publish_status::PATH);
    match publish_status::read(&path) {
        Ok(None) => Vec::new(),
        Ok(Some(status)) => findings(&status, system.now),
        Err(error) => vec![unreadable(&path, &error)],
    }
}

pub(crate) fn unreadable(path: &Path, error: &std::io::Error) -> Finding {
    let text = format!("cannot read {}: {}", path.display(), reason(error));
    let remedy =
        "libvirt-nss-publish writes it again: 'sudo systemctl restart libvirt-nss-publish'";
    Finding::new(CHECK, Level::Warning, text).remedy(remedy)
}

/// What the status comes to.
pub(crate) fn findings(status: &PublishStatus, now: i64) -> Vec<Finding> {
    let mut findings = Vec::new();
    for zone in &status.zones {
        findings.push(zone_finding(zone, status, now));
        findings.extend(conflicts(zone));
    }
    if let Some(why) = &status.stale {
        let text = format!("the names that are published may be out of date: {why}");
        let remedy =
            "'systemctl status libvirt-nssd' shows why; the names stay as they are until it runs";
        findings.push(Finding::new(CHECK, Level::Warning, text).remedy(remedy));
    }
    findings.extend(left_out(status));
    findings
}

fn zone_finding(zone: &ZoneStatus, status: &PublishStatus, now: i64) -> Finding {
    let names = count(zone.published, "name");
    let ZoneStatus { name, failure, .. } = zone;
    let Some(failure) = failure else {
        let PublishStatus { host, server, .. } = status;
        return Finding::ok(CHECK, format!("{name}: {names} published on {server}, as {host}"));
    };
    let since = duration::short(now.saturating_sub(failure.since).max(0));
    let retry = duration::short(failure.retry.saturating_sub(now).max(0));
    let text = format!(
        "{name} is not up to date since {since}, with {names}: {}; next try in {retry}",
        failure.what
    );
    Finding::new(CHECK, Level::Warning, text).remedy(failure.next_step.clone())
}

fn conflicts(zone: &ZoneStatus) -> Option<Finding> {
    let first = zone.conflicts.first()?;
    let whose = |conflict: &ConflictStatus| match &conflict.host {
        Some(host) => format!("{} (a guest of {host})", conflict.name),
        None => format!("{} (records not created by libvirt-nss-publish)", conflict.name),
    };
    let names: Vec<String> = zone.conflicts.iter().take(LISTED).map(whose).collect();
    let more = zone.conflict_count.saturating_sub(names.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let text = format!("others have names of this host's guests: {}{more}", names.join(", "));
    let remedy = match &first.host {
        Some(host) => format!(
            "rename one of the two guests or, if {host} is gone, 'sudo libvirt-nss-publish --prune {host}'"
        ),
        None => String::from("rename the guest, or remove those records on the server"),
    };
    Some(Finding::new(CHECK, Level::Warning, text).remedy(remedy))
}

fn left_out(status: &PublishStatus) -> Option<Finding> {
    let first = status.left_out.first()?;
    let name = match first.address {
        Some(address) => format!("{} ({address})", first.name),
        None => first.name.clone(),
    };
    let more = status.left_out_count.saturating_sub(1);
    let more = if more > 0 { format!("; {more} more") } else { String::new() };
    Some(Finding::new(CHECK, Level::Note, format!("not published: {name}: {}{more}", first.why)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use guest_store::publish_status::{FailureStatus, LeftOut};

    fn texts(status: &PublishStatus) -> Vec<String> {
        let text = |finding: Finding| {
            let remedy = finding.remedy.map(|remedy| format!(" > {remedy}")).unwrap_or_default();
            format!("{} {}{remedy}", finding.level.word(), finding.text)
        };
        findings(status, 1000).into_iter().map(text).collect()
    }

    #[test]
    fn all_is_well() {
        let zone =
            ZoneStatus { name: "site.example".into(), published: 1, ..ZoneStatus::default() };
        let status = PublishStatus {
            host: "rack1".into(),
            server: "ns1#53".into(),
            zones: vec![zone],
            ..PublishStatus::default()
        };
        assert_eq!(texts(&status), ["ok site.example: 1 name published on ns1#53, as rack1"]);
    }

    #[test]
    fn what_is_wrong() {
        let conflict = |name: &str, host: Option<&str>| ConflictStatus {
            name: name.into(),
            host: host.map(str::to_owned),
        };
        let zone = ZoneStatus {
            name: "site.example".into(),
            published: 2,
            failure: Some(FailureStatus {
                code: "BADKEY".into(),
                what: "ns1 does not know the key".into(),
                next_step: "compare the keys".into(),
                since: 880,
                retry: 1300,
            }),
            conflicts: vec![
                conflict("web.site.example", Some("beta")),
                conflict("printer.site.example", None),
            ],
            conflict_count: 12,
        };
        let status = PublishStatus {
            stale: Some("libvirt-nssd does not run".into()),
            zones: vec![zone],
            left_out: vec![LeftOut {
                name: "db".into(),
                address: Some([192, 168, 122, 7].into()),
                why: "only this host can reach it".into(),
            }],
            left_out_count: 3,
            ..PublishStatus::default()
        };
        let expected = [
            "warning site.example is not up to date since 2m, with 2 names: ns1 does not know the key; next try in 5m > \
             compare the keys",
            "warning others have names of this host's guests: web.site.example (a guest of beta), printer.site.example \
             (records not created by libvirt-nss-publish) and 10 more > rename one of the two guests or, if beta is gone, 'sudo \
             libvirt-nss-publish --prune beta'",
            "warning the names that are published may be out of date: libvirt-nssd does not run > 'systemctl status \
             libvirt-nssd' shows why; the names stay as they are until it runs",
            "note not published: db (192.168.122.7): only this host can reach it; 2 more",
        ];
        assert_eq!(texts(&status), expected);
    }
}
