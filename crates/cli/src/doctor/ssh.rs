//! Checks whether ssh gets guests' host keys from us, if that is enabled or could be.

use guest_store::snapshot::ssh::{GuestId, SshGuest};

use super::{Finding, Level, System};
use crate::ssh::drop_in::{self, DropIn, LINK, Parts};

const CHECK: &str = "ssh";

pub(super) fn check(system: &System<'_>) -> Vec<Finding> {
    let Ok(drop_in) = drop_in::read(system.paths) else { return Vec::new() };
    let link = system.paths.below(LINK);
    let link = link.display();
    let enable = format!("'sudo {}'", system.paths.command("ssh enable"));
    match drop_in {
        DropIn::Enabled(parts) => {
            let file = system.paths.below(parts.packaged());
            if let Some(why) = drop_in::trouble(&file) {
                let text = format!("ssh refuses every connection, as of {}: {why}", file.display());
                let remedy =
                    format!("'sudo chown root:root {0}' and 'sudo chmod 0644 {0}'", file.display());
                return vec![Finding::new(CHECK, Level::Error, text).remedy(remedy)];
            }
            let text = format!("ssh knows the host keys of guests ({link}): {}", keys(system));
            let mut findings = vec![Finding::ok(CHECK, text)];
            let behind = guests_behind(system);
            if parts == Parts::HostKeys && behind > 0 {
                let text = format!(
                    "{} only through another host, and ssh doesn't go there",
                    reached(behind)
                );
                findings.push(Finding::new(CHECK, Level::Note, text).remedy(enable));
            }
            findings
        }
        DropIn::Dangling => {
            let text = format!("{link} leads to a file that isn't there; ssh ignores it");
            let remedy =
                format!("install libvirt-nss, or 'sudo {}'", system.paths.command("ssh disable"));
            vec![Finding::new(CHECK, Level::Note, text).remedy(remedy)]
        }
        DropIn::Absent if has_keys(system) => {
            let text =
                format!("ssh is not set up to use the host keys of guests ({})", keys(system));
            vec![Finding::new(CHECK, Level::Note, text).remedy(enable)]
        }
        DropIn::Absent | DropIn::Foreign => Vec::new(),
    }
}

/// The guests that ssh may ask for, as long as the daemon lives.
fn guests<'s>(system: &'s System<'_>) -> &'s [(GuestId, SshGuest)] {
    match &system.snapshot {
        Ok(Some(snapshot)) if snapshot.standing(system.now).reports => {
            &snapshot.compiled.ssh_guests
        }
        _ => &[],
    }
}

fn has_keys(system: &System<'_>) -> bool {
    guests(system).iter().any(|(_, guest)| !guest.keys.is_empty())
}

fn guests_behind(system: &System<'_>) -> usize {
    guests(system).iter().filter(|(_, guest)| guest.route.is_some()).count()
}

fn keys(system: &System<'_>) -> String {
    let count = guests(system).iter().filter(|(_, guest)| !guest.keys.is_empty()).count();
    format!("those of {} now", super::state_files::count(count, "guest"))
}

fn reached(count: usize) -> String {
    let verb = if count == 1 { "is" } else { "are" };
    format!("{} {verb} reached", super::state_files::count(count, "guest"))
}
