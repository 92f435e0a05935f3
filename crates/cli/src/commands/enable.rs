//! `libvirt-nss enable` and `libvirt-nss disable`: put our services on the `hosts` line, and remove them.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::restore;
use super::switch::{drop_copy, hosts, show};
use crate::args::{Disable, Enable, Services};
use crate::context::Context;
use crate::error::Error;
use crate::nsswitch::authselect::{self, Method};
use crate::nsswitch::file::{self, Conf, Owner, backup};
use crate::nsswitch::line::{ParseError, parse};
use crate::nsswitch::replace::{self, NewVersion};
use crate::nsswitch::{OURS, edit};
use crate::paths::Paths;
use crate::state::lossy;
use crate::status::Status;

impl Services {
    fn names(self) -> &'static [&'static str] {
        match self {
            Self { guest: true, .. } => &["libvirt_guest"],
            Self { host: true, .. } => &["libvirt"],
            _ => &OURS,
        }
    }

    fn are_both(self) -> bool {
        !self.guest && !self.host
    }
}

pub(crate) fn enable(options: &Enable, context: &Context) -> Result<Status, Error> {
    let conf = file::read(&context.paths)?;
    let edit_text =
        |text: &[u8]| edit::enable(text, options.services.names(), options.authoritative);
    if conf.owner == Owner::Authselect {
        let simple = options.services.are_both() && !options.authoritative;
        by_authselect(&conf, Task::Enable, simple, &edit_text, options.dry_run, context)?;
    } else {
        change(&conf, &edit_text, options.dry_run, context)?;
    }
    tell_about_other(options, &conf, context)?;
    if options.authoritative {
        context.print(
            "with [UNAVAIL=return], no later service is asked for the name of a guest, even if the guest has no \
             address of the requested family",
        )?;
    }
    Ok(Status::Ok)
}

/// If only one of the two is requested and the other is there already: how to turn that off.
fn tell_about_other(options: &Enable, conf: &Conf, context: &Context) -> Result<(), Error> {
    let other = match options.services {
        Services { guest: true, .. } => "libvirt",
        Services { host: true, .. } => "libvirt_guest",
        _ => return Ok(()),
    };
    if !edit::present(&conf.text).is_ok_and(|present| present.contains(&other)) {
        return Ok(());
    }
    let option = if other == "libvirt" { "--host" } else { "--guest" };
    context.print(&format!(
        "{other} is on the line too; '{}' removes it",
        context.paths.sudo_command(&format!("disable {option}"))
    ))
}

pub(crate) fn disable(options: &Disable, context: &Context) -> Result<Status, Error> {
    if options.restore && file::is_gone(&context.paths) {
        restore::without_file(options.dry_run, context)?;
        return Ok(Status::Ok);
    }
    let conf = file::read(&context.paths)?;
    let names = options.services.names();
    let edit_text = |text: &[u8]| {
        if options.authoritative {
            edit::make_ordinary(text, names)
        } else {
            edit::disable(text, names)
        }
    };
    if conf.owner == Owner::Authselect {
        let simple = options.services.are_both() && !options.authoritative;
        let task = if options.restore { Task::Restore } else { Task::Disable };
        by_authselect(&conf, task, simple, &edit_text, options.dry_run, context)?;
    } else if options.restore {
        restore::run(&conf, options.dry_run, context)?;
    } else {
        change(&conf, &edit_text, options.dry_run, context)?;
    }
    Ok(Status::Ok)
}

/// What a text becomes.
type Edit<'w> = &'w dyn Fn(&[u8]) -> Result<Vec<u8>, ParseError>;

/// Changes the file, or shows how.
fn change(conf: &Conf, edit_text: Edit<'_>, dry_run: bool, context: &Context) -> Result<(), Error> {
    let parse_error = |parse_error| Error::Nsswitch(conf.path.clone(), parse_error);
    let edited = edit_text(&conf.text).map_err(parse_error)?;
    if edited == conf.text {
        context.print(&format!("{} needs no change: '{}'", conf.path.display(), hosts(&edited)))?;
        return remarks(&edited, conf, context);
    }
    if dry_run {
        show(&conf.path, &conf.text, &edited, context)?;
    }
    if conf.owner == Owner::Store {
        return Err(Error::Refused(format!(
            "{} is generated from the system's configuration, so change the hosts line there (NixOS: \
             system.nssDatabases.hosts)",
            conf.path.display()
        )));
    }
    if dry_run {
        return Ok(());
    }
    let new = NewVersion::reserve(&conf.target)?;
    // Another run may have changed it until now.
    let vendor = context.paths.vendor_nsswitch();
    let is_vendors = !conf.target.exists();
    let like = if is_vendors { &vendor } else { &conf.target };
    let text = replace::read(like)?;
    let edited = edit_text(&text).map_err(parse_error)?;
    let is_new = if is_vendors {
        link_backup(&conf.target)?;
        context.print(&format!("{}: copied from {}", conf.path.display(), vendor.display()))?;
        true
    } else {
        keep_backup(&conf.target, &text, &edited)?
    };
    if edited != text || is_vendors {
        let put = new.put(like, &text, &edited);
        if put.is_err() && is_new {
            replace::remove(&backup(&conf.target))?;
        }
        put?;
    }
    context.print(&format!("{}: '{}'", conf.path.display(), hosts(&edited)))?;
    forget_backup(conf, &edited, context)?;
    if backup(&conf.target).exists() {
        context.print(&format!("backup: {}", backup(&conf.target).display()))?;
    }
    remarks(&edited, conf, context)
}

/// The backup is the file from before our services were added; a file that has them doesn't replace it. Returns
/// whether it was made now.
fn keep_backup(target: &Path, text: &[u8], edited: &[u8]) -> Result<bool, Error> {
    let backup = backup(target);
    let ours = edit::present(text).unwrap_or_default();
    let is_needed = edited != text && (ours.is_empty() || !backup.exists());
    if is_needed {
        replace::copy(target, &backup)?;
    }
    Ok(is_needed)
}

/// If the file is a copy of the distribution's, the backup is a link to that one.
fn link_backup(target: &Path) -> Result<(), Error> {
    let backup = backup(target);
    match symlink("../usr/etc/nsswitch.conf", &backup) {
        // From a run that was killed.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked.map_err(Error::file("write", &backup, "run this as root (sudo)")),
    }
}

/// Once the file is what it was, the backup goes too.
fn forget_backup(conf: &Conf, now: &[u8], context: &Context) -> Result<(), Error> {
    let kept = backup(&conf.target);
    if !replace::read(&kept).is_ok_and(|before| before == now) {
        return Ok(());
    }
    if kept.is_symlink() {
        return drop_copy(conf, context);
    }
    replace::move_to(&kept, &conf.target)
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    Enable,
    Disable,
    /// Undo what `enable` did.
    Restore,
}

/// Where authselect manages the file. `simple`: its feature does what is requested.
fn by_authselect(
    conf: &Conf,
    task: Task,
    simple: bool,
    edit_text: Edit<'_>,
    dry_run: bool,
    context: &Context,
) -> Result<(), Error> {
    if !context.paths.is_this_system() {
        return Err(Error::Refused(format!(
            "authselect manages {}, and only the running system's authselect can be used; run this there",
            conf.path.display()
        )));
    }
    // What was changed is restored.
    let user_file = backup(&context.paths.below(Paths::AUTHSELECT_USER));
    let simple = simple && !(task == Task::Restore && user_file.exists());
    match authselect::method()? {
        Method::Feature { on } if simple => by_feature(conf, task, on, dry_run, context),
        method => by_user_file(task, method, edit_text, dry_run, context),
    }
}

/// The backup shows that `enable` turned the feature on.
fn by_feature(
    conf: &Conf,
    task: Task,
    is_on: bool,
    dry_run: bool,
    context: &Context,
) -> Result<(), Error> {
    let on = task == Task::Enable;
    let kept = backup(&conf.path);
    if task == Task::Restore && !is_on && kept.exists() && !dry_run {
        // Killed before the feature was on, or after it was off.
        replace::remove(&kept)?;
    }
    if is_on == on || (task == Task::Restore && !kept.exists()) {
        let state = if is_on { "on" } else { "off" };
        return context
            .print(&format!("nothing to do: authselect's feature with-libvirt is {state}"));
    }
    let command = authselect::feature_command(on);
    if dry_run {
        return context.print(&format!("this would run: {command}"));
    }
    if on {
        replace::copy(&conf.target, &kept)?;
        authselect::set_feature(true)?;
    } else {
        authselect::set_feature(false)?;
        replace::remove(&kept)?;
    }
    context.print(&format!("done: {command}"))
}

fn by_user_file(
    task: Task,
    method: Method,
    edit_text: Edit<'_>,
    dry_run: bool,
    context: &Context,
) -> Result<(), Error> {
    let path = context.paths.below(Paths::AUTHSELECT_USER);
    let Ok(text) = fs::read(&path) else {
        let why = match method {
            Method::Feature { .. } => {
                "this system's authselect can only put both services on the line, without actions (feature \
                 with-libvirt); run this without --guest, --host and --authoritative"
            }
            Method::UserFile => {
                "authselect's profile has no feature with-libvirt; create a profile that has these services on its \
                 hosts line ('authselect create-profile', see authselect-profiles(5)), or run 'authselect \
                 opt-out' and this again"
            }
        };
        return Err(Error::Refused(why.into()));
    };
    let conf = Conf { target: path.clone(), path, owner: Owner::Administrator, text };
    if task == Task::Restore {
        restore::run(&conf, dry_run, context)?;
    } else {
        change(&conf, edit_text, dry_run, context)?;
    }
    if dry_run {
        return Ok(());
    }
    authselect::apply_changes()?;
    context.print("done: authselect apply-changes")
}

/// Warns of oddities of the line.
fn remarks(text: &[u8], conf: &Conf, context: &Context) -> Result<(), Error> {
    let line =
        parse(text).map_err(|parse_error| Error::Nsswitch(conf.path.clone(), parse_error))?;
    let first_of_ours = OURS.iter().filter_map(|name| line.position(name)).min();
    if let (Some(ours), Some(files)) = (first_of_ours, line.position("files")) {
        if ours < files {
            context.warn(
                "note: files comes after libvirt and libvirt_guest, so a guest's name overrides one in /etc/hosts",
            );
        }
    }
    if let Some(comment) = &line.comment {
        let comment = lossy(&text[comment.clone()]);
        context.warn(&format!(
            "note: glibc 2.33 and newer read the words of '{}' as services; move the comment to its own \
             line",
            comment.trim_end()
        ));
    }
    Ok(())
}
