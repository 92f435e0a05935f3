//! Checks the state directory and its files: whether they are there, readable for everyone and undamaged; and what a
//! crash left behind.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use guest_names::io::{Fault, Kind};
use guest_store::contents::{Contents, ReadFile};
use guest_store::damage::Damage;
use rustix::io::Errno;

use super::fix::Fix;
use super::{Finding, Level, System};
use crate::nsswitch::file::{backup, new_version};
use crate::output::duration;
use crate::state::rows::AddressState;
use guest_store::fault_text;

const DIRECTORY: &str = "state-directory";
const FILE: &str = "state-files";
const LEFTOVER: &str = "leftovers";

/// The writer of a younger file may still be at work. Seconds.
const AT_WORK: i64 = 60;

pub(super) fn check(system: &System<'_>) -> Vec<Finding> {
    let directory = system.paths.state_directory();
    let contents = match &system.contents {
        Ok(contents) => contents,
        Err(error) => {
            let mut findings = vec![unreadable(&directory, error)];
            findings.extend(leftovers_of_switch(system));
            return findings;
        }
    };
    let mut findings = vec![readable(system, &directory, contents)];
    let wrong: Vec<Finding> = contents.files.iter().flat_map(file).collect();
    if wrong.is_empty() && !contents.files.is_empty() {
        findings.push(Finding::ok(FILE, "all state files are undamaged and readable for everyone"));
    }
    findings.extend(wrong);
    let mut left = leftovers(system, &directory, contents);
    left.extend(leftovers_of_switch(system));
    if left.is_empty() {
        left.push(Finding::ok(LEFTOVER, "no crash has left files behind"));
    }
    findings.extend(left);
    findings
}

fn unreadable(directory: &Path, error: &io::Error) -> Finding {
    let text = format!("{}: {}", directory.display(), crate::error::reason(error));
    if error.kind() == io::ErrorKind::NotFound {
        Finding::new(DIRECTORY, Level::Warning, text).remedy(
            "libvirt creates it when it starts its first network: 'virsh net-start default' (package \
             libvirt-daemon-system, or libvirt-daemon-driver-network)",
        )
    } else {
        Finding::new(DIRECTORY, Level::Error, text).remedy(format!(
            "everyone must be able to list it, as programs look names up as their own user: 'sudo \
             chmod o+rx {}', and o+x for the directories above it",
            directory.display()
        ))
    }
}

fn readable(system: &System<'_>, directory: &Path, contents: &Contents) -> Finding {
    // Directories above another system's root don't matter in that system.
    let mut places = directory.ancestors().take_while(|place| system.paths.has(place));
    let closed = places.find(|place| {
        let needed = if *place == directory { 0o005 } else { 0o001 };
        fs::metadata(place).is_ok_and(|status| status.mode() & needed != needed)
    });
    if let Some(closed) = closed {
        let mode = if closed == directory { "o+rx" } else { "o+x" };
        let shown = closed.display();
        return Finding::new(
            DIRECTORY,
            Level::Warning,
            format!("not everyone may use {shown}: programs of some users find no guests"),
        )
        .remedy(format!("sudo chmod {mode} {shown}"));
    }
    let own = system.rows.iter().filter(|row| row.via.is_none() && row.expiry.is_some());
    let held = own.filter(|row| row.state != AddressState::Expired);
    let mut domains: Vec<&[u8]> =
        contents.domains.iter().map(|domain| contents.text(domain.name)).collect();
    domains.sort_unstable();
    domains.dedup();
    Finding::ok(
        DIRECTORY,
        format!(
            "{}: {} and {}",
            directory.display(),
            count(domains.len(), "running guest"),
            count(held.count(), "lease"),
        ),
    )
}

pub(super) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn file(file: &ReadFile) -> Vec<Finding> {
    let path = file.path.display();
    if let Some((at, fault)) = file.fault {
        let at = if at == 0 { String::new() } else { format!(" from byte {at} on") };
        let text = format!("{path} can't be read{at}: {}", fault_text(fault));
        let remedy = match fault {
            Fault::Unreadable(errno) if errno == Errno::ACCESS.raw_os_error() => {
                format!("sudo chmod o+r {path}")
            }
            _ => "it must be a regular file that everyone may read (0644); if it is something else, move it \
                  away, and libvirt writes a new one"
                .into(),
        };
        return vec![Finding::new(FILE, Level::Error, text).remedy(remedy)];
    }
    let mut findings = Vec::new();
    if fs::metadata(&file.path).is_ok_and(|status| status.mode() & 0o004 == 0) {
        let text =
            format!("not everyone may read {path}: programs of some users don't find its guests");
        let finding = Finding::new(FILE, Level::Warning, text);
        findings.push(finding.remedy(format!("sudo chmod o+r {path}")));
    }
    let mut damage = file.damage.clone();
    if !damage.iter().any(|damage| matches!(damage, Damage::NotJson(..))) {
        // Just now it could be read.
        damage.extend(Damage::around_records(&file.path).unwrap_or_default());
    }
    if !damage.is_empty() {
        let first: Vec<String> = damage.iter().take(3).map(ToString::to_string).collect();
        let more = match damage.len() {
            0..=3 => String::new(),
            all => format!("; and {} more", all - 3),
        };
        let text = format!("{path} is damaged: {}{more}", first.join("; "));
        findings.push(Finding::new(FILE, Level::Error, text).remedy(match file.kind {
            Kind::Leases => {
                "the modules of libvirt-nss read the rest. At the next lease, libvirt's own helper drops \
                 the whole list; that of libvirt-nss keeps what can be read, and a guest that renews its \
                 lease is listed again"
            }
            Kind::Macs => {
                "the modules of libvirt-nss read the rest; libvirt rewrites the file when a guest on the \
                 bridge starts or stops, or on 'systemctl restart virtnetworkd' (or libvirtd)"
            }
        }));
    }
    findings
}

/// New versions that never replaced the old ones, and lists that our leases helper moved aside.
fn leftovers(system: &System<'_>, directory: &Path, contents: &Contents) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in &contents.names {
        let path = directory.join(name);
        let name = name.to_string_lossy();
        if name.contains(".status.broken-") {
            let text =
                format!("{} is a damaged list of leases that was moved aside", path.display());
            findings.push(
                Finding::new(LEFTOVER, Level::Note, text)
                    .remedy("find out what damaged it, then remove the file"),
            );
        } else if name.ends_with(".new") {
            findings.extend(left(system, &path));
        }
    }
    findings
}

fn leftovers_of_switch(system: &System<'_>) -> Vec<Finding> {
    let Ok(conf) = &system.conf else { return Vec::new() };
    let places = [conf.target.clone(), backup(&conf.target)];
    places.iter().filter_map(|place| left(system, &new_version(place))).collect()
}

/// A file that was to replace another one, and didn't.
fn left(system: &System<'_>, path: &Path) -> Option<Finding> {
    let age = system.now - fs::symlink_metadata(path).ok()?.mtime();
    if age < AT_WORK {
        return None;
    }
    let text = format!(
        "{} is left over from a program that died {} ago while it replaced a file",
        path.display(),
        duration::short(age)
    );
    let finding = Finding::new(LEFTOVER, Level::Warning, text);
    let remedy = format!("sudo rm {}", path.display());
    Some(finding.remedy(remedy).fix(Fix::Remove(path.to_owned())))
}
