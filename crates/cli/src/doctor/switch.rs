//! Checks the `hosts` line: whether our services are on it, and are asked.

use super::fix::Fix;
use super::{Finding, Level, System};
use crate::nsswitch::file::Owner;
use crate::nsswitch::line::{Action, HostsLine, Service, Status, parse};
use crate::nsswitch::{OURS, edit, order};
use crate::state::lossy;

const CHECK: &str = "hosts-line";

/// Where the file is made from the system's configuration.
const CONFIGURE: &str = "change it in the system's configuration (NixOS: system.nssDatabases.hosts); \
                         'libvirt-nss enable --dry-run' shows where the services belong";

/// Adds what puts these services where they are asked.
fn enabling(
    finding: Finding,
    system: &System<'_>,
    owner: &Owner,
    services: &[&'static str],
) -> Finding {
    match owner {
        Owner::Store => finding.remedy(CONFIGURE),
        _ => finding.remedy(enable(system)).fix(Fix::Enable(services.to_vec())),
    }
}

fn enable(system: &System<'_>) -> String {
    system.paths.sudo_command("enable")
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
        Err(parse_error) => {
            return vec![Finding::new(CHECK, Level::Error, format!("{path}: {parse_error}"))];
        }
    };
    let mut findings = Vec::new();
    let present: Vec<&'static str> =
        OURS.into_iter().filter(|name| line.position(name).is_some()).collect();
    match present.as_slice() {
        [] => {
            let text =
                format!("{path}, line {}, has neither libvirt nor libvirt_guest", line.number);
            let finding = Finding::new(CHECK, Level::Error, text);
            findings.push(enabling(finding, system, &conf.owner, &OURS));
        }
        [one] => {
            let other = OURS.iter().find(|name| *name != one).copied().unwrap_or_default();
            let what = match other {
                "libvirt" => "guests' host names",
                _ => "the names of libvirt domains",
            };
            findings.push(
                Finding::new(
                    CHECK,
                    Level::Note,
                    format!("{path}, line {}, has no {other}: {what} don't resolve", line.number),
                )
                .remedy(format!("{}, if you want them to", enable(system))),
            );
        }
        _ => {}
    }
    let place = format!("{path}, line {}", line.number);
    let is_refused = edit::enable(&conf.text, &present, false).is_err();
    findings.extend(hidden(&line, &present, &place).map(|finding| match is_refused {
        // Another finding says what to remove first.
        true => finding,
        false => enabling(finding, system, &conf.owner, &present),
    }));
    findings.extend(oddities(&line, &conf.text, &place));
    if findings.iter().all(|finding| finding.level == Level::Note) && !present.is_empty() {
        let verb = if present.len() == 1 { "is" } else { "are" };
        let text = format!(
            "{path}, line {}: {} {verb} placed correctly",
            line.number,
            present.join(" and ")
        );
        findings.insert(0, Finding::ok(CHECK, text));
    }
    findings
}

/// Services of ours after one that keeps look-ups from them.
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
            format!(
                "{ours} asked while systemd-resolved runs: resolve comes first and ends the look-up"
            ),
        ),
        "dns" | "resolve" if !ends => (
            Level::Warning,
            format!(
                "{ours} asked before {name}: every guest's name goes to the DNS first, which takes time \
                 and may return another host"
            ),
        ),
        mdns if mdns.starts_with("mdns") => (
            Level::Warning,
            format!("{ours} asked for names in .local: {name} comes first and ends the look-up"),
        ),
        _ => (Level::Error, format!("{ours} asked: {name} comes first and ends the look-up")),
    }
}

/// Whether it is the last service of the line.
fn is_last(line: &HostsLine, service: &Service) -> bool {
    line.services.last() == Some(service)
}

fn oddities(line: &HostsLine, text: &[u8], place: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let ours = line.services.iter().filter(|service| OURS.contains(&service.name.as_str()));
    for service in ours.clone() {
        // That is harmless where no service follows.
        if !service.actions.ends(Status::Success) {
            let after = line.services.iter().skip_while(|other| *other != service).nth(1);
            let drops = after.is_some() || service.actions.after(Status::Success) == Action::Merge;
            if drops {
                let list = service.list.clone().map(|list| lossy(&text[list])).unwrap_or_default();
                let what = format!(
                    "{place}: {} {list} makes glibc drop its answer and go on",
                    service.name
                );
                findings.push(
                    Finding::new(CHECK, Level::Error, what)
                        .remedy("remove that action from the line"),
                );
            }
        }
        if service.actions.ends(Status::NotFound) && !is_last(line, service) {
            findings.push(
                Finding::new(
                    CHECK,
                    Level::Error,
                    format!("{place}: {} ends the look-up of every name that no guest has, so the DNS is never asked", service.name),
                )
                .remedy(
                    "remove that action; to keep guests' names from the DNS, use [UNAVAIL=return]",
                ),
            );
        }
    }
    for name in OURS {
        if ours.clone().filter(|service| service.name == name).count() > 1 {
            let text = format!("{place}, has {name} twice, so it is asked twice");
            let finding = Finding::new(CHECK, Level::Warning, text);
            findings.push(finding.remedy("remove one of them"));
        }
    }
    let first = ours.clone().next().and_then(|service| line.position(&service.name));
    if let (Some(ours), Some(files)) = (first, line.position("files")) {
        if ours < files {
            findings.push(Finding::new(
                CHECK,
                Level::Note,
                format!(
                    "{place}: files comes after libvirt and libvirt_guest, so a guest's name overrides one in \
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
                    "{place}: glibc 2.33 and newer read the words of '{}' as services",
                    lossy(&text[comment.clone()]).trim_end()
                ),
            )
            .remedy("move the comment to its own line"),
        );
    }
    findings
}
