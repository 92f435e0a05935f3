//! Whether programs without NSS find guests, and what to do if they don't.

use std::net::IpAddr;

use super::outlets::Outlet;
use super::resolver::{self, Resolver, is_active};
use super::steps::{addition, enabled};
use super::way::Way;
use super::zones::{left_out, zones};
use super::{CONFIGURATION, SERVER, server, trial};
use crate::error::Error;
use crate::paths::Paths;

/// The state of guests' names outside NSS.
#[derive(Default)]
pub(crate) struct Report {
    /// The way that is enabled.
    pub(crate) way: Option<Way>,
    pub(crate) lines: Vec<String>,
    /// Each problem, with the next step.
    pub(crate) problems: Vec<(String, String)>,
}

/// Checks the resolver, the files and the services.
pub(crate) fn report(paths: &Paths) -> Report {
    let mut report = Report::default();
    let (found, enabled) = (resolver::find(paths), enabled(paths));
    match &found {
        Ok(resolver) => report.line(format!("resolver: {}", resolver.name)),
        // Then nothing asks for guests' names anymore.
        Err(error) if enabled.as_ref().is_ok_and(|ways| !ways.is_empty()) => report.error(error),
        Err(error) => report.line(format!("resolver: {error}")),
    }
    let enabled = match enabled {
        Ok(enabled) => enabled,
        Err(error) => {
            report.error(&error);
            return report;
        }
    };
    let Some(&way) = enabled.first() else {
        report.line(
            "not enabled: programs without NSS don't find guests ('libvirt-nss dns enable')".into(),
        );
        return report;
    };
    report.way = Some(way);
    report.line(format!("enabled: {}", way.text()));
    report.further_servers(paths);
    if let Ok(resolver) = &found {
        report.other_ways(resolver, &enabled, paths);
    }
    let zones = zones(paths);
    if way.outlet() == Outlet::Hosts {
        report.zones(way, zones.as_deref(), paths);
    }
    let zone = zones.ok().and_then(|zones| zones.into_iter().next()).unwrap_or_default();
    let example = report.names(way, &zone, paths);
    if way.outlet() == Outlet::Hosts {
        report.server(paths);
    }
    // Whether it works, if nothing else is known to be wrong.
    if let (true, true, Some((name, addresses))) =
        (paths.is_this_system(), report.problems.is_empty(), example)
    {
        match trial::look_up(&name) {
            Some(found) if !found.iter().any(|one| addresses.contains(one)) => {
                report.problems.push(not_found(way, &name, &found));
            }
            _ => {}
        }
    }
    report
}

impl Report {
    fn line(&mut self, line: String) {
        self.lines.push(line);
    }

    fn error(&mut self, error: &Error) {
        self.problems.push(refused(error));
    }

    fn further_servers(&mut self, paths: &Paths) {
        let further = resolver::further_servers(paths);
        if !further.is_empty() {
            let text = format!(
                "programs that use musl ask {} at the same time, and may take its answer that there is no such guest",
                further.join(" and ")
            );
            self.problems.push((text, "remove that name server from /etc/resolv.conf".into()));
        }
    }

    /// Files of a way that the resolver doesn't have.
    fn other_ways(&mut self, resolver: &Resolver, enabled: &[Way], paths: &Paths) {
        let has = |way: &Way| resolver.way == *way || resolver.others.contains(way);
        for other in enabled.iter().filter(|way| !has(way)) {
            let text = format!(
                "programs now ask {}, but {} was made for another resolver or version",
                resolver.name,
                other.paths()[0]
            );
            self.problems.push((text, enable_again(paths)));
        }
    }

    /// The zones, and whether the files have them.
    fn zones(&mut self, way: Way, zones: Result<&[String], &Error>, paths: &Paths) {
        let zones = match zones {
            Ok(zones) => zones,
            Err(error) => return self.error(error),
        };
        self.line(format!("zones: {}", zones.join(" ")));
        self.lines.extend(left_out(way, zones));
        match addition(way, zones, paths) {
            Ok(phase) if phase.has_changes() => {
                let text = "the networks or the server's address have changed since 'dns enable'";
                self.problems.push((text.into(), enable_again(paths)));
            }
            Ok(_) => {}
            Err(error) => self.error(&error),
        }
    }

    /// The names that the daemon has written. Returns one of those in the zone, with its addresses.
    fn names(&mut self, way: Way, zone: &str, paths: &Paths) -> Option<(String, Vec<IpAddr>)> {
        let outlet = way.outlet();
        match outlet.names(paths, zone) {
            Ok(names) => {
                self.line(format!("names: {}", names.count));
                names.example
            }
            Err(_) => {
                let missing = paths.below(outlet.file());
                self.problems.push((
                    format!(
                        "{} is missing, so programs without NSS find no guest",
                        missing.display()
                    ),
                    format!(
                        "see 'systemctl status libvirt-nssd', and that [outlets] in {} has '{} = true'",
                        paths.below(CONFIGURATION).display(),
                        outlet.key()
                    ),
                ));
                None
            }
        }
    }

    fn server(&mut self, paths: &Paths) {
        match server::read(paths) {
            Ok(address) => self.line(format!("server: {address}")),
            Err(error) => self.error(&error),
        }
        if paths.is_this_system() && !is_active(SERVER) {
            let text = format!("{SERVER} doesn't run, so programs without NSS find no guest");
            self.problems.push((text, format!("see 'systemctl status {SERVER}'")));
        }
    }
}

fn enable_again(paths: &Paths) -> String {
    format!("'{}'", paths.sudo_command("dns enable"))
}

/// The problem that a look-up doesn't find a guest, and the next step.
fn not_found(way: Way, name: &str, found: &[IpAddr]) -> (String, String) {
    let found = match found.first() {
        Some(address) => format!("finds {address}, which isn't the guest's"),
        None => "doesn't find it".into(),
    };
    let reader = match way {
        Way::Link => "libvirt-nss-dns-link.service",
        _ => way.service(),
    };
    let next = match way.outlet() {
        Outlet::Records => format!("'sudo systemctl restart {reader}'"),
        Outlet::Hosts => format!("'sudo systemctl restart {SERVER} {reader}'"),
    };
    (format!("{name} is a guest's, but a program without NSS {found}"), next)
}

/// Splits an error into the problem and the next step at its end.
fn refused(error: &Error) -> (String, String) {
    let text = error.to_string();
    match text.rsplit_once("; ").or_else(|| text.split_once(": ")) {
        Some((text, next)) => (text.into(), next.into()),
        None => (text, "see 'libvirt-nss dns status'".into()),
    }
}
