//! `libvirt-nss dns`: makes this host's resolver answer for guests' names, undoes that, and says whether it works.

use crate::args::{Dns, DnsAction};
use crate::context::Context;
use crate::daemon;
use crate::dns::outlets::{self, Outlet};
use crate::dns::phase::{self, Phase};
use crate::dns::report::report;
use crate::dns::resolver::{self, Resolver, is_active};
use crate::dns::steps::{
    addition, configuration, enabled, outlet_phase, place, removal, server_is_enabled, server_phase,
};
use crate::dns::way::Way;
use crate::dns::zones::{left_out, zones};
use crate::dns::{CONFIGURATION, DAEMON, MARK, server};
use crate::error::Error;
use crate::nsswitch::replace::NewVersion;
use crate::paths::Paths;
use crate::status::Status;

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
        phases.push(server_phase(true));
    } else if server_is_enabled(paths) {
        phases.push(server_phase(false));
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
        phases.push(server_phase(false));
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
