//! `libvirt-nss disable --restore`: undoing what `enable` did, and nothing more.

use std::fs;
use std::io;
use std::path::Path;

use super::switch::{drop_copy, hosts, show};
use crate::context::Context;
use crate::error::Error;
use crate::nsswitch::file::{self, Conf, backup, new_version};
use crate::nsswitch::replace::{self, NewVersion};
use crate::nsswitch::{OURS, edit};

/// Restores the file as it was before `enable`.
///
/// # Errors
/// The file and its backup are unchanged.
pub(crate) fn run(conf: &Conf, dry_run: bool, context: &Context) -> Result<(), Error> {
    let kept = backup(&conf.target);
    if let Err(error) = fs::symlink_metadata(&kept) {
        if error.kind() == io::ErrorKind::NotFound {
            if !dry_run {
                forget_unfinished(&conf.target)?;
            }
            return context.print(&format!("{}: nothing to undo", conf.path.display()));
        }
    }
    let before = replace::read(&kept)?;
    let choices: [(&[&str], bool); 6] = [
        (&OURS, false),
        (&OURS, true),
        (&["libvirt"], false),
        (&["libvirt"], true),
        (&["libvirt_guest"], false),
        (&["libvirt_guest"], true),
    ];
    let untouched = choices.iter().any(|&(services, authoritative)| {
        edit::enable(&before, services, authoritative).is_ok_and(|text| text == conf.text)
    });
    let restored = if untouched || before == conf.text {
        before.clone()
    } else {
        let parse_error = |parse_error| Error::Nsswitch(conf.path.clone(), parse_error);
        let old = edit::present(&before).unwrap_or_default();
        let ours = edit::present(&conf.text).map_err(parse_error)?;
        let added: Vec<&str> = ours.into_iter().filter(|name| !old.contains(name)).collect();
        edit::disable(&conf.text, &added).map_err(parse_error)?
    };
    if dry_run {
        return show(&conf.path, &conf.text, &restored, context);
    }
    undo(conf, &before, &restored, context)?;
    forget_unfinished(&conf.target)
}

/// Makes the file `restored`. `before`: what the backup holds.
fn undo(conf: &Conf, before: &[u8], restored: &[u8], context: &Context) -> Result<(), Error> {
    let kept = backup(&conf.target);
    let new = NewVersion::reserve(&conf.target)?;
    // Another run may have changed it until now; there is none here if it is the vendor's.
    if replace::read(&conf.target).is_ok_and(|now| now != conf.text) {
        return Err(Error::ChangedMeanwhile(conf.path.clone()));
    }
    if restored != before {
        if restored != conf.text {
            new.put(&conf.target, &conf.text, restored)?;
        }
        replace::remove(&kept)?;
        context.print(&format!(
            "{}: removed what enable added, and kept later changes: '{}'",
            conf.path.display(),
            hosts(restored)
        ))
    } else if kept.is_symlink() {
        drop_copy(conf, context)
    } else {
        if before == conf.text {
            // Killed before it was changed, or changed back by hand.
            replace::remove(&kept)?;
        } else {
            replace::move_to(&kept, &conf.target)?;
        }
        context.print(&format!("{}: restored", conf.path.display()))
    }
}

/// The file is gone, and with it what `enable` added.
///
/// # Errors
/// A file of ours couldn't be removed.
pub(crate) fn without_file(dry_run: bool, context: &Context) -> Result<(), Error> {
    let path = context.paths.nsswitch();
    // Without its directory there is nothing to remove.
    if let (false, Ok(target)) = (dry_run, file::place_of_missing(&context.paths)) {
        replace::remove(&backup(&target))?;
        forget_unfinished(&target)?;
    }
    context.print(&format!("{} doesn't exist; nothing to undo", path.display()))
}

/// Removes what a killed run left. If another run is at work, it waits for that.
fn forget_unfinished(target: &Path) -> Result<(), Error> {
    for path in [target, &backup(target)] {
        if new_version(path).exists() {
            drop(NewVersion::reserve(path)?);
        }
    }
    Ok(())
}
