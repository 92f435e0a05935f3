//! The steps by which `dns enable` and `dns disable` change this system.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::outlets::{self, Outlet};
use super::phase::{Change, Phase, read_text};
use super::resolver::may_run;
use super::way::{Content, LINK_MANAGERS, Route, Way};
use super::{CONFIGURATION, MARK, SERVER, server};
use crate::error::Error;
use crate::paths::Paths;

/// The path of a file that is read or changed.
pub(crate) fn place(paths: &Paths, path: &str) -> Result<PathBuf, Error> {
    paths.place(path).map_err(Error::file("find", &paths.below(path), "see 'namei -l' on it"))
}

/// The ways that have a file on this system.
pub(crate) fn enabled(paths: &Paths) -> Result<Vec<Way>, Error> {
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

/// Removes a way's files.
pub(crate) fn removal(way: Way, paths: &Paths) -> Result<Phase, Error> {
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

/// Makes a way's files.
pub(crate) fn addition(way: Way, zones: &[String], paths: &Paths) -> Result<Phase, Error> {
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

/// Has the daemon write this outlet's file and no other's.
pub(crate) fn outlet_phase(outlet: Option<Outlet>, paths: &Paths) -> Result<Phase, Error> {
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
pub(crate) fn configuration(paths: &Paths) -> Result<Option<String>, Error> {
    match paths.real(CONFIGURATION) {
        Ok(real) => Ok(Some(read_text(&paths.below(real))?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            let path = paths.below(CONFIGURATION);
            Err(Error::file("read", &path, "see 'namei -l' on it")(error))
        }
    }
}

/// Starts our server, or stops it.
pub(crate) fn server_phase(runs: bool) -> Phase {
    let on = "systemctl enable --quiet --now libvirt-nss-dns.service libvirt-nss-dns.path";
    let off = "systemctl disable --quiet --now libvirt-nss-dns.service libvirt-nss-dns.path";
    let (start, settle) = if runs { (on, off) } else { (off, on) };
    Phase { start: vec![start], settle: vec![settle], ..Phase::default() }
}

/// Whether libvirt-nss-dns.service starts with the daemon.
pub(crate) fn server_is_enabled(paths: &Paths) -> bool {
    paths.below("/etc/systemd/system/libvirt-nssd.service.wants").join(SERVER).is_symlink()
}
