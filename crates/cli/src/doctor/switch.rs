//! The `hosts` line: ours on it, and asked.

use super::fix::Fix;
use super::{Finding, Level, System};
use crate::nsswitch::file::Owner;
use crate::nsswitch::line::{HostsLine, Service, Status, parse};
use crate::nsswitch::{OURS, order};
use crate::state::lossy;

const CHECK: &str = "hosts-line";

const ENABLE: &str = "sudo libvirt-nss enable";

/// Where the file is made from the system's configuration.
const CONFIGURE: &str = "change it in the system's configuration (NixOS: system.nssDatabases.hosts); \
                         'libvirt-nss enable --dry-run' tells where ours belong";

/// With what puts these services where they are asked.
fn enabling(finding: Finding, owner: &Owner, services: &[&'static str]) -> Finding {
    match owner {
        Owner::Store => finding.remedy(CONFIGURE),
        _ => finding.remedy(ENABLE).fix(Fix::Enable(services.to_vec())),
    }
}

pub(super) fn check(system: &System<'_>) -> Vec<Finding> {
    let path = system.paths.nsswitch();
    let path = path.display();
    let conf = match &system.conf {
        Ok(conf) => conf,
        Err(error) => return vec![Finding::new(CHECK, Level::Error, error.to_string())],
    };
    let line = match parse(&conf.text) {
        Ok(line) => line,
        Err(misread) => {
            return vec![Finding::new(CHECK, Level::Error, format!("{path}: {misread}"))];
        }
    };
    let mut findings = Vec::new();
    let present: Vec<&'static str> =
        OURS.into_iter().filter(|name| line.position(name).is_some()).collect();
    match present.as_slice() {
        [] => {
            let text =
                format!("{path}, line {}: neither libvirt nor libvirt_guest is there", line.number);
            let finding = Finding::new(CHECK, Level::Error, text);
            findings.push(enabling(finding, &conf.owner, &OURS));
        }
        [one] => {
            let other = OURS.iter().find(|name| *name != one).copied().unwrap_or_default();
            let what = match other {
                "libvirt" => "the host names that guests chose",
                _ => "the names of libvirt domains",
            };
            findings.push(
                Finding::new(
                    CHECK,
                    Level::Note,
                    format!(
                        "{path}, line {}: {other} isn't there: {what} don't resolve",
                        line.number
                    ),
                )
                .remedy(format!("{ENABLE}, if they are to")),
            );
        }
        _ => {}
    }
    let place = format!("{path}, line {}", line.number);
    findings.extend(
        hidden(&line, &present, &place).map(|finding| enabling(finding, &conf.owner, &present)),
    );
    findings.extend(oddities(&line, &conf.text, &place));
    if findings.iter().all(|finding| finding.level == Level::Note) && !present.is_empty() {
        let verb = if present.len() == 1 { "stands where it is" } else { "stand where they are" };
        let text = format!("{path}, line {}: {} {verb} asked", line.number, present.join(" and "));
        findings.insert(0, Finding::ok(CHECK, text));
    }
    findings
}

/// Ours that stand behind what hides them.
fn hidden(line: &HostsLine, present: &[&'static str], place: &str) -> Option<Finding> {
    let first = order::first_hiding(line)?;
    let behind: Vec<&'static str> = present
        .iter()
        .filter(|name| line.position(name).is_some_and(|at| at > first))
        .copied()
        .collect();
    if behind.is_empty() {
        return None;
    }
    let service = &line.services[first];
    let ours = match behind.as_slice() {
        [one] => format!("{one} isn't"),
        many => format!("{} aren't", many.join(" and ")),
    };
    let (level, text) = by_what(service, &ours);
    Some(Finding::new(CHECK, level, format!("{place}: {text}")))
}

/// `ours`: which of ours, and "isn't" or "aren't".
fn by_what(service: &Service, ours: &str) -> (Level, String) {
    let name = &service.name;
    let ends = order::ends_without_answer(service);
    match name.as_str() {
        "resolve" if ends => (
            Level::Error,
            format!("behind resolve and its action {ours} asked while systemd-resolved runs"),
        ),
        "dns" | "resolve" if !ends => (
            Level::Warning,
            format!(
                "behind {name} {ours} asked first: every guest's name goes to the DNS, which takes \
                 time, and where another host may have it"
            ),
        ),
        mdns if mdns.starts_with("mdns") => (
            Level::Warning,
            format!("behind {name} and its action {ours} asked for names under .local"),
        ),
        _ => (Level::Error, format!("behind {name} {ours} asked, as its action ends look-ups")),
    }
}

fn oddities(line: &HostsLine, text: &[u8], place: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let ours = line.services.iter().filter(|service| OURS.contains(&service.name.as_str()));
    for service in ours.clone() {
        if service.actions.ends(Status::NotFound) {
            findings.push(
                Finding::new(
                    CHECK,
                    Level::Error,
                    format!("{place}: {} ends the look-up of every other name", service.name),
                )
                .remedy(
                    "take NOTFOUND=return out; [UNAVAIL=return] is what keeps guests' names here",
                ),
            );
        }
    }
    for name in OURS {
        if ours.clone().filter(|service| service.name == name).count() > 1 {
            let text = format!("{place}: {name} stands there twice, and is asked twice");
            let finding = Finding::new(CHECK, Level::Warning, text);
            findings.push(finding.remedy("leave the first of them"));
        }
    }
    let first = ours.clone().next().and_then(|service| line.position(&service.name));
    if let (Some(ours), Some(files)) = (first, line.position("files")) {
        if ours < files {
            findings.push(Finding::new(
                CHECK,
                Level::Note,
                format!(
                    "{place}: files comes after ours, so that a guest's name counts before one of \
                     /etc/hosts"
                ),
            ));
        }
    }
    if let Some(comment) = &line.comment {
        findings.push(
            Finding::new(
                CHECK,
                Level::Warning,
                format!(
                    "{place}: glibc 2.33 and newer take the words of '{}' for services",
                    lossy(&text[comment.clone()]).trim_end()
                ),
            )
            .remedy("give the comment a line of its own"),
        );
    }
    findings
}
