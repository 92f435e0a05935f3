//! `libvirt-nss dns`: makes this host's resolver answer for guests' names, undoes that, and says whether it works.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use guest_names::name::is_host_name;

use crate::args::{Dns, DnsAction};
use crate::context::Context;
use crate::daemon;
use crate::dns::outlets::{self, Outlet};
use crate::dns::phase::{self, Change, Phase, read_text};
use crate::dns::resolver::{self, Resolver, is_active, may_run};
use crate::dns::way::{Content, LINK_MANAGERS, Route, Way};
use crate::dns::{DAEMON, MARK, SERVER, server, trial};
use crate::error::Error;
use crate::nsswitch::replace::NewVersion;
use crate::paths::Paths;
use crate::status::Status;

/// The daemon's configuration.
const CONFIGURATION: &str = "/etc/libvirt-nss.toml";

pub(crate) fn run(options: &Dns, context: &Context) -> Result<Status, Error> {
    match options.action {
        DnsAction::Enable => enable(options, context),
        DnsAction::Disable => disable(options.dry_run, context),
        DnsAction::Status => status(context),
    }
}

fn enable(options: &Dns, context: &Context) -> Result<Status, Error> {
    let paths = &context.paths;
    let _lock = if options.dry_run { None } else { Some(lock(paths)?) };
    let resolver = resolver::find(paths)?;
    let way = choose(&resolver, options.server || has_many_names(paths))?;
    let zones = if way.outlet() == Outlet::Hosts { zones(paths)? } else { Vec::new() };
    if way.outlet() == Outlet::Hosts && paths.is_this_system() {
        server::check_program()?;
    }
    let mut phases = Vec::new();
    // Another way may be enabled: after an upgrade, systemd-resolved may have a better one.
    for other in enabled(paths)?.into_iter().filter(|other| *other != way) {
        phases.push(removal(other, paths)?);
    }
    phases.push(outlet_phase(Some(way.outlet()), paths)?);
    if way.outlet() == Outlet::Hosts {
        phases.push(Phase {
            start: vec![
                "systemctl enable --quiet --now libvirt-nss-dns.service libvirt-nss-dns.path",
            ],
            settle: vec![
                "systemctl disable --quiet --now libvirt-nss-dns.service libvirt-nss-dns.path",
            ],
            ..Phase::default()
        });
    } else if server_is_enabled(paths) {
        phases.push(without_server());
    }
    phases.push(addition(way, &zones, paths)?);
    context.print(&format!("{}: {}", resolver.name, way.text()))?;
    if let Some(text) = left_out(way, &zones) {
        context.print(&text)?;
    }
    let is_new = phases.iter().any(Phase::has_changes);
    if !is_new {
        context.print("nothing to change")?;
        if !paths.is_this_system() || options.dry_run {
            return Ok(Status::Ok);
        }
    }
    for phase in phases.iter().filter(|_| is_new) {
        phase.show(context)?;
    }
    if options.dry_run {
        return Ok(Status::Ok);
    }
    if paths.is_this_system() && !is_active(DAEMON) {
        return Err(Error::Refused(
            "libvirt-nssd, which writes the names, doesn't run: 'systemctl enable --now libvirt-nssd', and run \
             this again"
                .into(),
        ));
    }
    phase::apply(&phases, context)?;
    if is_new {
        context.print("done; 'libvirt-nss dns status' shows whether it works")?;
    }
    Ok(Status::Ok)
}

fn disable(dry_run: bool, context: &Context) -> Result<Status, Error> {
    let paths = &context.paths;
    let mut phases = removals(paths)?;
    let kept = outlets::edit(configuration(paths)?.as_deref(), None).ok().flatten();
    if kept.is_some_and(|text| text.contains(MARK)) {
        let path = paths.below(CONFIGURATION);
        let path = path.display();
        context
            .print(&format!("{path} keeps its table [outlets], which has been changed since"))?;
    }
    if phases.is_empty() {
        context.print("nothing to undo")?;
        return Ok(Status::Ok);
    }
    let _lock = if dry_run { None } else { Some(lock(paths)?) };
    if !dry_run {
        // Another run may just have changed something.
        phases = removals(paths)?;
    }
    for phase in &phases {
        phase.show(context)?;
    }
    if !dry_run {
        phase::apply(&phases, context)?;
        context.print("done")?;
    }
    Ok(Status::Ok)
}

/// What undoes everything.
fn removals(paths: &Paths) -> Result<Vec<Phase>, Error> {
    let mut phases = Vec::new();
    for way in enabled(paths)? {
        phases.push(removal(way, paths)?);
    }
    if server_is_enabled(paths) {
        phases.push(without_server());
    }
    let outlet = outlet_phase(None, paths)?;
    if outlet.has_changes() {
        phases.push(outlet);
    }
    Ok(phases)
}

/// Has other runs wait until it is dropped.
fn lock(paths: &Paths) -> Result<NewVersion, Error> {
    NewVersion::reserve(&place(paths, "/etc/libvirt-nss-dns")?)
}

/// The path of a file that is read or changed.
fn place(paths: &Paths, path: &str) -> Result<PathBuf, Error> {
    paths.place(path).map_err(Error::file("find", &paths.below(path), "see 'namei -l' on it"))
}

/// Prints the present state and what to do. `Warnings` if names that should resolve may not.
fn status(context: &Context) -> Result<Status, Error> {
    let report = report(&context.paths);
    for line in &report.lines {
        context.print(line)?;
    }
    for (problem, next) in &report.problems {
        context.print(&format!("{problem}: {next}"))?;
    }
    Ok(if report.problems.is_empty() { Status::Ok } else { Status::Warnings })
}

/// The state of guests' names outside NSS.
pub(crate) struct Report {
    /// The way that is enabled.
    pub(crate) way: Option<Way>,
    pub(crate) lines: Vec<String>,
    /// Each problem, with the next step.
    pub(crate) problems: Vec<(String, String)>,
}

/// Checks the resolver, the files and the services.
pub(crate) fn report(paths: &Paths) -> Report {
    let mut report = Report { way: None, lines: Vec::new(), problems: Vec::new() };
    let (found, enabled) = (resolver::find(paths), enabled(paths));
    match &found {
        Ok(resolver) => report.lines.push(format!("resolver: {}", resolver.name)),
        // Then nothing asks for guests' names anymore.
        Err(error) if enabled.as_ref().is_ok_and(|ways| !ways.is_empty()) => {
            report.problems.push(refused(error));
        }
        Err(error) => report.lines.push(format!("resolver: {error}")),
    }
    let enabled = match enabled {
        Ok(enabled) => enabled,
        Err(error) => {
            report.problems.push(refused(&error));
            return report;
        }
    };
    let Some(&way) = enabled.first() else {
        report.lines.push(
            "not enabled: programs without NSS don't find guests ('libvirt-nss dns enable')".into(),
        );
        return report;
    };
    report.way = Some(way);
    report.lines.push(format!("enabled: {}", way.text()));
    let further = resolver::further_servers(paths);
    if !further.is_empty() {
        let text = format!(
            "programs that use musl ask {} at the same time, and may take its answer that there is no such guest",
            further.join(" and ")
        );
        report.problems.push((text, "remove that name server from /etc/resolv.conf".into()));
    }
    let again = format!("'{}'", paths.sudo_command("dns enable"));
    if let Ok(resolver) = &found {
        let has = |way: &Way| resolver.way == *way || resolver.others.contains(way);
        for other in enabled.iter().filter(|way| !has(way)) {
            let text = format!(
                "programs now ask {}, but {} was made for another resolver or version",
                resolver.name,
                other.paths()[0]
            );
            report.problems.push((text, again.clone()));
        }
    }
    let stale = || {
        if way.outlet() == Outlet::Records {
            return Ok(false);
        }
        let zones = zones(paths)?;
        report.lines.push(format!("zones: {}", zones.join(" ")));
        report.lines.extend(left_out(way, &zones));
        Ok(addition(way, &zones, paths)?.has_changes())
    };
    let stale: Result<bool, Error> = { stale }();
    match stale {
        Ok(true) => {
            let text = "the networks or the server's address have changed since 'dns enable'";
            report.problems.push((text.into(), again));
        }
        Ok(false) => {}
        Err(error) => report.problems.push(refused(&error)),
    }
    let outlet = paths.below(way.outlet().file());
    let mut example = None;
    let zone = zones(paths).ok().and_then(|zones| zones.into_iter().next());
    match way.outlet().names(paths, zone.as_deref().unwrap_or_default()) {
        Ok(names) => {
            report.lines.push(format!("names: {}", names.count));
            example = names.example;
        }
        Err(_) => report.problems.push((
            format!("{} is missing, so programs without NSS find no guest", outlet.display()),
            format!(
                "see 'systemctl status libvirt-nssd', and that [outlets] in {} has '{} = true'",
                paths.below(CONFIGURATION).display(),
                way.outlet().key()
            ),
        )),
    }
    if way.outlet() == Outlet::Hosts {
        match server::read(paths) {
            Ok(address) => report.lines.push(format!("server: {address}")),
            Err(error) => report.problems.push(refused(&error)),
        }
        if paths.is_this_system() && !is_active(SERVER) {
            let text = format!("{SERVER} doesn't run, so programs without NSS find no guest");
            report.problems.push((text, format!("see 'systemctl status {SERVER}'")));
        }
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

/// With this many names and addresses, systemd-resolved stops answering for half a second or longer while it reads
/// static records again (docs/dns.md).
const MANY: u32 = 10_000;

fn has_many_names(paths: &Paths) -> bool {
    let keys = daemon::read(paths).ok().flatten().and_then(|known| known.info().keys);
    keys.is_some_and(|keys| keys >= MANY)
}

/// The resolver's best way, or the one that asks our server if that is wanted.
fn choose(resolver: &Resolver, server: bool) -> Result<Way, Error> {
    if !server || resolver.way.outlet() == Outlet::Hosts {
        return Ok(resolver.way);
    }
    let way = resolver.others.iter().find(|way| way.outlet() == Outlet::Hosts);
    way.copied().ok_or_else(|| Error::Refused(format!("{} can't ask a server", resolver.name)))
}

/// What the user is told where the resolver doesn't take all zones.
fn left_out(way: Way, zones: &[String]) -> Option<String> {
    let (most, all) = (way.takes(zones), zones.len());
    (most < all).then(|| {
        format!("the resolver takes only {most} of {all} zones: addresses in the last ones have no name there")
    })
}

/// The ways that have a file on this system.
fn enabled(paths: &Paths) -> Result<Vec<Way>, Error> {
    let mut enabled = Vec::new();
    for way in Way::ALL {
        let mut exists = false;
        for path in way.paths() {
            let change = Change::read(place(paths, path)?, None)?;
            is_ours(&change)?;
            exists |= change.before.is_some();
        }
        if exists {
            enabled.push(way);
        }
    }
    Ok(enabled)
}

/// Refuses a file without our mark.
fn is_ours(change: &Change) -> Result<(), Error> {
    match &change.before {
        Some(Content::Text(text)) if !text.starts_with(MARK) => Err(Error::Refused(format!(
            "{} was not made by this command: rename it, and run this again",
            change.path.display()
        ))),
        _ => Ok(()),
    }
}

fn removal(way: Way, paths: &Paths) -> Result<Phase, Error> {
    let mut changes = Vec::new();
    for path in way.paths() {
        let change = Change::read(place(paths, path)?, None)?;
        is_ours(&change)?;
        changes.push(change);
    }
    // Somebody may have removed the unit that it stops.
    let exists = changes.first().is_some_and(|change| change.before.is_some());
    let stop = if exists { way.stop().to_vec() } else { Vec::new() };
    let (mut settle, mut start) =
        (commands(way.settle(), &changes, paths), commands(way.start(), &changes, paths));
    // A resolver that is gone has nothing to read again, and one that was stopped stays so.
    if way != Way::Link && !may_run(paths, way.service()) {
        (settle, start) = (Vec::new(), Vec::new());
    }
    Ok(Phase { stop, changes, start: settle, until: None, unstart: Vec::new(), settle: start })
}

fn addition(way: Way, zones: &[String], paths: &Paths) -> Result<Phase, Error> {
    let server = match way.outlet() {
        Outlet::Hosts => server::read(paths)?,
        // Not used.
        Outlet::Records => server::Address { address: [127, 0, 0, 153].into(), port: 53 },
    };
    let mut changes = Vec::new();
    for (path, content) in way.paths().iter().zip(way.contents(&Route { server, zones })) {
        let place = place(paths, path)?;
        // The service that the file is for may not be installed.
        let is_for_manager = LINK_MANAGERS.iter().any(|manager| manager.path == *path);
        if is_for_manager && !place.parent().is_some_and(Path::is_dir) {
            continue;
        }
        let change = Change::read(place, Some(content))?;
        is_ours(&change)?;
        changes.push(change);
    }
    let has_changes = changes.iter().any(|change| !change.is_none());
    let start = if has_changes { commands(way.start(), &changes, paths) } else { Vec::new() };
    let (unstart, settle) = (way.stop().to_vec(), commands(way.settle(), &changes, paths));
    Ok(Phase { stop: Vec::new(), changes, start, until: None, unstart, settle })
}

/// Leaves out the commands for managers of links that don't run, or whose file doesn't change.
fn commands(all: &[&'static str], changes: &[Change], paths: &Paths) -> Vec<&'static str> {
    let changes = |path: &str| {
        let name = Path::new(path).file_name();
        changes.iter().any(|change| !change.is_none() && change.path.file_name() == name)
    };
    let is_meant = |command: &&&str| {
        let manager = LINK_MANAGERS.iter().find(|manager| manager.reload == **command);
        manager.is_none_or(|manager| changes(manager.path) && may_run(paths, manager.service))
    };
    all.iter().filter(is_meant).copied().collect()
}

fn outlet_phase(outlet: Option<Outlet>, paths: &Paths) -> Result<Phase, Error> {
    let (path, before) = (place(paths, CONFIGURATION)?, configuration(paths)?);
    let refused = |why: &str| Error::Refused(format!("{} stays as it is: {why}", path.display()));
    let after = outlets::edit(before.as_deref(), outlet).map_err(|why| refused(&why))?;
    let (before, after) = (before.map(Content::Text), after.map(Content::Text));
    // Whoever made a link keeps the file elsewhere.
    if before != after && path.is_symlink() {
        let next = match outlet {
            Some(outlet) => format!("add a table [outlets] with '{} = true' there", outlet.key()),
            None => "remove the table [outlets] there".into(),
        };
        let target = fs::read_link(&path).unwrap_or_default();
        let target = target.display();
        return Err(refused(&format!("it is a link to {target}; {next}, and run this again")));
    }
    let change = Change { path, before, after };
    let reload = "systemctl try-reload-or-restart libvirt-nssd.service";
    let commands = if change.is_none() { Vec::new() } else { vec![reload] };
    Ok(Phase {
        stop: Vec::new(),
        changes: vec![change],
        start: commands.clone(),
        until: outlet.map(|outlet| paths.below(outlet.file())),
        unstart: Vec::new(),
        settle: commands,
    })
}

/// The text of the daemon's configuration, if there is one.
fn configuration(paths: &Paths) -> Result<Option<String>, Error> {
    match paths.real(CONFIGURATION) {
        Ok(real) => Ok(Some(read_text(&paths.below(real))?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            let path = paths.below(CONFIGURATION);
            Err(Error::file("read", &path, "see 'namei -l' on it")(error))
        }
    }
}

fn without_server() -> Phase {
    Phase {
        start: vec!["systemctl disable --quiet --now libvirt-nss-dns.service libvirt-nss-dns.path"],
        settle: vec!["systemctl enable --quiet --now libvirt-nss-dns.service libvirt-nss-dns.path"],
        ..Phase::default()
    }
}

/// Whether libvirt-nss-dns.service starts with the daemon.
fn server_is_enabled(paths: &Paths) -> bool {
    paths.below("/etc/systemd/system/libvirt-nssd.service.wants").join(SERVER).is_symlink()
}

/// The zones in which libvirt-nssd has names; the first is the zone of all guests.
fn zones(paths: &Paths) -> Result<Vec<String>, Error> {
    let zones = match daemon::read(paths) {
        Ok(Some(known)) => known.info().zones.clone(),
        Ok(None) => Vec::new(),
        Err(unusable) => return Err(Error::Refused(unusable.to_string())),
    };
    // The daemon's user writes the snapshot, and root writes the zones into units and configurations.
    if let Some(other) =
        zones.iter().find(|zone| !zone.is_empty() && !is_host_name(zone.as_bytes()))
    {
        return Err(Error::Refused(format!(
            "libvirt-nssd's snapshot has a zone that is not a domain name ({other:?}): 'systemctl restart \
             libvirt-nssd', and run this again"
        )));
    }
    if zones.first().is_none_or(String::is_empty) {
        return Err(Error::Refused(
            "libvirt-nssd has no snapshot, so guests' zones aren't known: 'systemctl enable --now libvirt-nssd', \
             and run this again"
                .into(),
        ));
    }
    Ok(zones)
}
