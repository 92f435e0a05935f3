//! `libvirt-nss disable --restore`: undoing what `enable` did, and no more.

use std::fs;
use std::io;
use std::path::Path;

use super::switch::{drop_copy, hosts, show};
use crate::context::Context;
use crate::error::Error;
use crate::nsswitch::file::{self, Conf, backup, new_version};
use crate::nsswitch::replace::{self, NewVersion};
use crate::nsswitch::{OURS, edit};

/// Back to what was before `enable`.
///
/// # Errors
/// The file is as it is, and so is its backup.
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
    // Another run may have been at it until now; of a vendor's file there is none here.
    if replace::read(&conf.target).is_ok_and(|now| now != conf.text) {
        return Err(Error::ChangedMeanwhile(conf.path.clone()));
    }
    if restored != before {
        if restored != conf.text {
            new.put(&conf.target, &conf.text, restored)?;
        }
        replace::remove(&kept)?;
        context.print(&format!(
            "{}: changed since; what enable added is removed, the rest stays: '{}'",
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

/// The file is gone, and takes what `enable` added with it.
///
/// # Errors
/// Something of ours is still there.
pub(crate) fn without_file(dry_run: bool, context: &Context) -> Result<(), Error> {
    let path = context.paths.nsswitch();
    // Without its directory there is nothing in it either.
    if let (false, Ok(target)) = (dry_run, file::place_of_missing(&context.paths)) {
        replace::remove(&backup(&target))?;
        forget_unfinished(&target)?;
    }
    context.print(&format!("{}: it doesn't exist; nothing to undo", path.display()))
}

/// What a run that was killed left, if it isn't another run's that is at work: that is waited for.
fn forget_unfinished(target: &Path) -> Result<(), Error> {
    for path in [target, &backup(target)] {
        if new_version(path).exists() {
            drop(NewVersion::reserve(path)?);
        }
    }
    Ok(())
}
