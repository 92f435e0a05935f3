//! `libvirt-nss enable` and `libvirt-nss disable`.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use crate::args::{Disable, Enable, Services};
use crate::context::Context;
use crate::error::Error;
use crate::nsswitch::authselect::{self, Way};
use crate::nsswitch::file::{self, Conf, Owner, backup};
use crate::nsswitch::line::{Misread, parse};
use crate::nsswitch::replace::{self, Place};
use crate::nsswitch::{OURS, diff, edit};
use crate::paths::Paths;
use crate::state::snapshot::lossy;
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
    let wish = |text: &[u8]| edit::enable(text, options.services.names(), options.authoritative);
    if conf.owner == Owner::Authselect {
        let simple = options.services.are_both() && !options.authoritative;
        by_authselect(&conf, Deed::Enable, simple, &wish, options.dry_run, context)?;
    } else {
        change(&conf, &wish, options.dry_run, context)?;
    }
    if options.authoritative {
        context.print(
            "[UNAVAIL=return]: a guest's name goes no further than our services; where it has no \
             address of the family that is asked for, the DNS isn't asked either",
        )?;
    }
    Ok(Status::Ok)
}

pub(crate) fn disable(options: &Disable, context: &Context) -> Result<Status, Error> {
    let conf = file::read(&context.paths)?;
    let names = options.services.names();
    let wish = |text: &[u8]| {
        if options.authoritative {
            edit::make_ordinary(text, names)
        } else {
            edit::disable(text, names)
        }
    };
    if conf.owner == Owner::Authselect {
        let simple = options.services.are_both() && !options.authoritative;
        let deed = if options.restore { Deed::Restore } else { Deed::Disable };
        by_authselect(&conf, deed, simple, &wish, options.dry_run, context)?;
    } else if options.restore {
        restore(&conf, options.dry_run, context)?;
    } else {
        change(&conf, &wish, options.dry_run, context)?;
    }
    Ok(Status::Ok)
}

/// What a text becomes.
type Wish<'w> = &'w dyn Fn(&[u8]) -> Result<Vec<u8>, Misread>;

/// Changes the file, or shows how.
fn change(conf: &Conf, wish: Wish<'_>, dry_run: bool, context: &Context) -> Result<(), Error> {
    let misread = |misread| Error::Nsswitch(conf.path.clone(), misread);
    let edited = wish(&conf.text).map_err(misread)?;
    if edited == conf.text {
        context.print(&format!(
            "{}: nothing to change in '{}'",
            conf.path.display(),
            hosts(&edited)
        ))?;
        return remarks(&edited, conf, context);
    }
    if conf.owner == Owner::Store {
        return Err(Error::Refused(format!(
            "{} belongs to the system's configuration, which makes it anew; change the hosts line \
             there (NixOS: system.nssDatabases.hosts)",
            conf.path.display()
        )));
    }
    if dry_run {
        return show(&conf.path, &conf.text, &edited, context);
    }
    let place = Place::reserve(&conf.target)?;
    // Another run may have been at it until now.
    let vendor = context.paths.vendor_nsswitch();
    let like = if conf.target.exists() { &conf.target } else { &vendor };
    let text = fs::read(like).map_err(Error::file("read", like, "run this again"))?;
    let edited = wish(&text).map_err(misread)?;
    if like == &conf.target {
        keep_backup(&conf.target, &text, &edited, &vendor)?;
    } else {
        context.print(&format!("{}: a copy of {}", conf.path.display(), vendor.display()))?;
    }
    if edited != text || like == &vendor {
        place.put(like, &text, &edited)?;
    }
    context.print(&format!("{}: '{}'", conf.path.display(), hosts(&edited)))?;
    forget_backup(conf, &edited, context)?;
    if backup(&conf.target).exists() {
        context.print(&format!("the file as it was is {}", backup(&conf.target).display()))?;
    }
    remarks(&edited, conf, context)
}

/// The backup is the file as it was before ours came: one that has ours is no reason for a new one.
/// Where the distribution's own takes over, nothing is lost.
fn keep_backup(target: &Path, text: &[u8], edited: &[u8], vendor: &Path) -> Result<(), Error> {
    let backup = backup(target);
    let ours = edit::present(text).unwrap_or_default();
    let is_vendors = fs::read(vendor).is_ok_and(|vendor| vendor == edited);
    if ours.is_empty() || !(backup.exists() || is_vendors) {
        replace::copy(target, &backup)?;
    }
    Ok(())
}

/// Once the file is what it was, nothing of us stays.
fn forget_backup(conf: &Conf, now: &[u8], context: &Context) -> Result<(), Error> {
    let kept = backup(&conf.target);
    match fs::read(&kept) {
        Ok(before) if before == now => replace::move_to(&kept, &conf.target),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Then it may be the copy of a vendor's file that enable made.
            let vendor = context.paths.vendor_nsswitch();
            if fs::read(&vendor).is_ok_and(|vendor| vendor == now) {
                replace::remove(&conf.target)?;
                let (path, vendor) = (conf.path.display(), vendor.display());
                context.print(&format!("{path}: removed, {vendor} counts again"))?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Back to what was before `enable`.
fn restore(conf: &Conf, dry_run: bool, context: &Context) -> Result<(), Error> {
    let kept = backup(&conf.target);
    let before = match fs::read(&kept) {
        Ok(before) => before,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let vendor = context.paths.vendor_nsswitch();
            if vendor.is_file() && conf.owner != Owner::Vendor {
                return change(conf, &|text| edit::disable(text, &OURS), dry_run, context);
            }
            return context.print(&format!("{}: nothing to undo", conf.path.display()));
        }
        Err(error) => {
            return Err(Error::file("read", &kept, "run this as root (sudo)")(error));
        }
    };
    let wishes: [(&[&str], bool); 6] = [
        (&OURS, false),
        (&OURS, true),
        (&["libvirt"], false),
        (&["libvirt"], true),
        (&["libvirt_guest"], false),
        (&["libvirt_guest"], true),
    ];
    let untouched = wishes.iter().any(|&(services, authoritative)| {
        edit::enable(&before, services, authoritative).is_ok_and(|text| text == conf.text)
    });
    let restored = if untouched || before == conf.text {
        before.clone()
    } else {
        let misread = |misread| Error::Nsswitch(conf.path.clone(), misread);
        let old = edit::present(&before).unwrap_or_default();
        let ours = edit::present(&conf.text).map_err(misread)?;
        let added: Vec<&str> = ours.into_iter().filter(|name| !old.contains(name)).collect();
        edit::disable(&conf.text, &added).map_err(misread)?
    };
    if dry_run {
        return show(&conf.path, &conf.text, &restored, context);
    }
    let place = Place::reserve(&conf.target)?;
    if restored == before {
        replace::move_to(&kept, &conf.target)?;
        context.print(&format!("{}: as it was before", conf.path.display()))
    } else {
        if restored != conf.text {
            place.put(&conf.target, &conf.text, &restored)?;
        }
        replace::remove(&kept)?;
        context.print(&format!(
            "{}: it was changed since; what enable added is off, the rest stays: '{}'",
            conf.path.display(),
            hosts(&restored)
        ))
    }
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Enable,
    Disable,
    /// Undo what `enable` did.
    Restore,
}

/// Where authselect makes the file. `simple`: what its feature does is what is wanted.
fn by_authselect(
    conf: &Conf,
    deed: Deed,
    simple: bool,
    wish: Wish<'_>,
    dry_run: bool,
    context: &Context,
) -> Result<(), Error> {
    if !context.paths.is_this_system() {
        return Err(Error::Refused(format!(
            "authselect makes {}, and only the running system's own can be asked; run this there",
            conf.path.display()
        )));
    }
    match authselect::way()? {
        Way::Feature { on } if simple => by_feature(conf, deed, on, dry_run, context),
        way => by_user_file(deed, way, wish, dry_run, context),
    }
}

/// The backup tells that it was `enable` that turned the feature on.
fn by_feature(
    conf: &Conf,
    deed: Deed,
    is_on: bool,
    dry_run: bool,
    context: &Context,
) -> Result<(), Error> {
    let on = deed == Deed::Enable;
    let kept = backup(&conf.path);
    if is_on == on || (deed == Deed::Restore && !kept.exists()) {
        let state = if is_on { "on" } else { "off" };
        return context
            .print(&format!("nothing to change: authselect's feature with-libvirt is {state}"));
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
    deed: Deed,
    way: Way,
    wish: Wish<'_>,
    dry_run: bool,
    context: &Context,
) -> Result<(), Error> {
    let path = context.paths.below(Paths::AUTHSELECT_USER);
    let Ok(text) = fs::read(&path) else {
        let why = match way {
            Way::Feature { .. } => {
                "authselect's feature with-libvirt puts both services on the line, without actions, \
                 and this system's authselect can't do anything else; run this without --guest, \
                 --host and --authoritative"
            }
            Way::UserFile => {
                "authselect's profile has no feature with-libvirt; make a profile of your own that \
                 has our services on its hosts line ('authselect create-profile', see \
                 authselect-profiles(5)), or run 'authselect opt-out' and this again"
            }
        };
        return Err(Error::Refused(why.into()));
    };
    let conf = Conf { target: path.clone(), path, owner: Owner::Administrator, text };
    if deed == Deed::Restore {
        restore(&conf, dry_run, context)?;
    } else {
        change(&conf, wish, dry_run, context)?;
    }
    if dry_run {
        return Ok(());
    }
    authselect::apply_changes()?;
    context.print("done: authselect apply-changes")
}

/// What someone should know who has this line.
fn remarks(text: &[u8], conf: &Conf, context: &Context) -> Result<(), Error> {
    let line = parse(text).map_err(|misread| Error::Nsswitch(conf.path.clone(), misread))?;
    let first_of_ours = OURS.iter().filter_map(|name| line.position(name)).min();
    if let (Some(ours), Some(files)) = (first_of_ours, line.position("files")) {
        if ours < files {
            context.warn(
                "note: files comes after our services, so that a guest's name counts before one of \
                 /etc/hosts",
            );
        }
    }
    if let Some(comment) = &line.comment {
        let comment = lossy(&text[comment.clone()]);
        context.warn(&format!(
            "note: glibc 2.33 and newer take the words of '{}' for services; a comment needs a line \
             of its own",
            comment.trim_end()
        ));
    }
    Ok(())
}

fn show(path: &Path, old: &[u8], new: &[u8], context: &Context) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    for line in diff::lines(&path.display().to_string(), old, new, context.paint) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// The hosts line, for people.
fn hosts(text: &[u8]) -> String {
    match parse(text) {
        Ok(line) => lossy(&text[line.range]).split_whitespace().collect::<Vec<_>>().join(" "),
        Err(_) => String::new(),
    }
}
