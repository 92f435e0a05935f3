//! `libvirt-nss ssh enable`, `disable` and `status`: whether ssh gets guests' host keys from us.

use std::ffi::OsString;
use std::io::{self, Write as _};

use guest_store::snapshot::info::{ConnectionInfo, Info};

use crate::args::SshEnable;
use crate::context::Context;
use crate::daemon::{self, Reading};
use crate::error::Error;
use crate::ssh::client::Effective;
use crate::ssh::drop_in::{self, COMMAND, DropIn, LINK, Parts};
use crate::status::Status;

/// A name that no host has, used to ask ssh for its configuration for any host.
const ANY_HOST: &str = "host.invalid";

pub(crate) fn enable(options: &SshEnable, context: &Context) -> Result<Status, Error> {
    let reading = daemon::read(&context.paths);
    let parts = match options {
        SshEnable { proxy: true, .. } => Parts::HostKeysAndProxy,
        SshEnable { no_proxy: true, .. } => Parts::HostKeys,
        _ if has_ssh(info(&reading)) => Parts::HostKeysAndProxy,
        _ => Parts::HostKeys,
    };
    if options.print {
        let command = std::env::current_exe().ok().filter(|_| context.paths.is_this_system());
        let command = command.and_then(|path| path.into_os_string().into_string().ok());
        let zone = info(&reading).and_then(|info| info.zone.as_deref());
        let text = parts.text(zone, command.as_deref().unwrap_or(COMMAND));
        // Never wrapped, as this is a configuration file.
        io::stdout().write_all(text.as_bytes())?;
        return Ok(Status::Ok);
    }
    let before = drop_in::read(&context.paths)?;
    if before == DropIn::Enabled(parts) {
        context.print(&format!("{}: nothing to change", context.paths.below(LINK).display()))?;
    } else {
        drop_in::enable(parts, &context.paths)?;
        if let Err(error) = check(context) {
            // If ssh rejects it for any reason, remove it: no configuration is better than an ssh that doesn't work.
            drop_in::disable(&context.paths)?;
            return Err(error);
        }
        let what = match parts {
            Parts::HostKeys => "the host keys of guests",
            Parts::HostKeysAndProxy => {
                "the host keys of guests, and goes through their hosts where only these can reach them"
            }
        };
        context.print(&format!(
            "ssh now knows {what} ({}); '{}' undoes it",
            context.paths.below(LINK).display(),
            context.paths.sudo_command("ssh disable")
        ))?;
    }
    for remark in remarks(&reading, context) {
        context.print(&remark)?;
    }
    Ok(Status::Ok)
}

pub(crate) fn disable(context: &Context) -> Result<Status, Error> {
    let link = context.paths.below(LINK);
    let link = link.display();
    match drop_in::disable(&context.paths)? {
        true => context.print(&format!("ssh works without libvirt-nss again ({link} removed)"))?,
        false => context.print(&format!("nothing to change: there is no {link}"))?,
    }
    Ok(Status::Ok)
}

pub(crate) fn status(context: &Context) -> Result<Status, Error> {
    let reading = daemon::read(&context.paths);
    let link = context.paths.below(LINK);
    let link = link.display();
    let again = format!("'{}'", context.paths.sudo_command("ssh enable"));
    match drop_in::read(&context.paths)? {
        DropIn::Absent => {
            context.print(&format!(
                "Not enabled: ssh treats guests like any other host. {again} turns it on"
            ))?;
            return Ok(Status::Warnings);
        }
        DropIn::Dangling => {
            context.print(&format!("Not working: {link} leads to a file that doesn't exist; install libvirt-nss, and run {again}"))?;
            return Ok(Status::Warnings);
        }
        DropIn::Foreign => {
            context.print(&format!("Not enabled: {link} was not made by libvirt-nss"))?;
            return Ok(Status::Warnings);
        }
        DropIn::Enabled(parts) => {
            let file = context.paths.below(parts.packaged());
            if let Some(why) = drop_in::trouble(&file) {
                context.print(&format!(
                    "ssh refuses {}: {why}; 'sudo chmod 0644' or reinstall libvirt-nss",
                    file.display()
                ))?;
                return Ok(Status::Warnings);
            }
            let proxy = match parts {
                Parts::HostKeys => "",
                Parts::HostKeysAndProxy => ", and goes through other hosts to reach them",
            };
            context
                .print(&format!("Enabled: ssh knows the host keys of guests{proxy} ({link})"))?;
        }
    }
    if let Ok(Some(known)) = &reading {
        if known.standing(context.clock.now()).reports {
            let guests = &known.compiled.ssh_guests;
            let keys = guests.iter().filter(|(_, guest)| !guest.keys.is_empty()).count();
            let behind = guests.iter().filter(|(_, guest)| guest.route.is_some()).count();
            let all = known.info().connections.iter();
            let running: Option<usize> = all.map(|one| one.guests).sum();
            let running = running.filter(|&running| running > 0);
            let of = running.map(|running| format!(" of {running} running")).unwrap_or_default();
            context.print(&format!("Guests with known host keys: {keys}{of}. Guests reached through their hosts: {behind}"))?;
        }
    }
    let mut status = Status::Ok;
    if let Err(error) = check(context) {
        context.print(&error.to_string())?;
        status = Status::Warnings;
    }
    for remark in remarks(&reading, context) {
        context.print(&remark)?;
        status = Status::Warnings;
    }
    Ok(status)
}

fn info(reading: &Reading) -> Option<&Info> {
    Some(reading.as_ref().ok()?.as_ref()?.info())
}

/// Whether there is a connection by ssh.
fn has_ssh(info: Option<&Info>) -> bool {
    info.is_some_and(|info| info.connections.iter().any(is_ssh))
}

fn is_ssh(connection: &ConnectionInfo) -> bool {
    let transport =
        connection.uri.as_deref().and_then(|uri| uri.split_once(':')?.0.split_once('+'));
    matches!(transport, Some((_, "ssh" | "libssh" | "libssh2")))
}

/// Checks that ssh accepts the file and uses it. ssh may not be installed; below another root directory it isn't run.
fn check(context: &Context) -> Result<(), Error> {
    if !context.paths.is_this_system() {
        return Ok(());
    }
    let effective = match Effective::read(&[OsString::from(ANY_HOST)]) {
        Err(Error::Command { why, .. }) if why.starts_with("No such file") => return Ok(()),
        effective => effective?,
    };
    let theirs = match effective.known_hosts_command {
        Some(command) if command.starts_with(COMMAND) => return Ok(()),
        Some(command) => {
            format!("KnownHostsCommand is '{command}', from a file that it reads before {LINK}")
        }
        None => format!("it doesn't read {LINK}; see Include in /etc/ssh/ssh_config"),
    };
    Err(Error::Refused(format!("ssh doesn't ask for guests' host keys: {theirs}")))
}

/// Prints what else the user should know or do.
fn remarks(reading: &Reading, context: &Context) -> Vec<String> {
    let mut remarks = Vec::new();
    let now = context.clock.now();
    let known = match reading {
        Ok(Some(known)) if known.standing(now).reports => known,
        _ => {
            remarks.push(
                "libvirt-nssd doesn't run: no keys are known, and ssh works as without libvirt-nss; see 'libvirt-nss doctor'"
                    .into(),
            );
            return remarks;
        }
    };
    let info = known.info();
    if drop_in::read(&context.paths).is_ok_and(|now| now == DropIn::Enabled(Parts::HostKeys))
        && has_ssh(Some(info))
    {
        let with: Vec<&str> = info
            .connections
            .iter()
            .filter(|one| is_ssh(one))
            .map(|one| one.name.as_str())
            .collect();
        remarks.push(format!(
            "guests on NAT networks of {} can't be reached: 'libvirt-nss ssh enable --proxy' makes ssh go through their host",
            with.join(", ")
        ));
    }
    if let Some(zone) = info.zone.as_deref().filter(|zone| *zone != "vm.internal") {
        if has_ssh(Some(info)) {
            remarks.push(format!(
                "guests can't be reached through other hosts by names in the zone {zone}, as the package's file has vm.internal; put \
                 the last two lines of 'libvirt-nss ssh enable --proxy --print' into a file in /etc/ssh/ssh_config.d"
            ));
        }
    }
    remarks
}
