//! Checks for guests whose names don't work as people expect.

use std::collections::{BTreeMap, BTreeSet};

use guest_names::name::NameKind;
use guest_names::name::is_host_name;

use super::{Finding, Level, System};
use crate::daemon::ago;
use crate::output::duration;
use crate::state::rows::{AddressState, Row};

pub(super) fn check(system: &System<'_>) -> Vec<Finding> {
    if system.rows.is_empty() {
        return Vec::new();
    }
    let checks = [
        stopped_networks,
        unusable_names,
        shared_host_names,
        shared_client_ids,
        without_lease,
        expired,
        super::daemon::without_address,
        hidden_by_stale,
    ];
    let findings: Vec<Finding> = checks.iter().flat_map(|check| check(system)).collect();
    if findings.iter().all(|finding| finding.level == Level::Note) {
        let has_daemon = system.rows.iter().any(|row| row.via.is_some());
        let what = if has_daemon { "an address" } else { "a lease" };
        let text = format!("every running guest has {what} and a name of its own");
        return std::iter::once(Finding::ok("guests", text)).chain(findings).collect();
    }
    findings
}

/// The current leases and other addresses of this host's running guests, with the guest's name.
fn attached<'s>(system: &'s System<'_>) -> impl Iterator<Item = (&'s str, &'s Row)> {
    let attached = |row: &&Row| row.state == AddressState::Attached && !row.is_elsewhere();
    let rows = system.rows.iter().filter(attached);
    rows.filter_map(|row| Some((row.domain.as_deref()?, row)))
}

/// `a, b and c`; of many only the first.
pub(super) fn list(names: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    const SHOWN: usize = 8;
    let mut names: Vec<String> = names.into_iter().map(|name| name.as_ref().to_owned()).collect();
    if names.len() > SHOWN + 1 {
        let more = names.len() - SHOWN;
        names.truncate(SHOWN);
        names.push(format!("{more} more"));
    }
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}

fn shared_host_names(system: &System<'_>) -> Vec<Finding> {
    let mut owners: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for (domain, row) in attached(system) {
        for name in row.host_names() {
            owners.entry(name.to_ascii_lowercase()).or_default().insert(domain);
        }
    }
    let shared = owners.into_iter().filter(|(_, domains)| domains.len() > 1);
    shared
        .map(|(name, domains)| {
            let domains = list(domains);
            let text =
                format!("{domains} use the host name \"{name}\"; a look-up may return any of them");
            Finding::new("shared-host-name", Level::Warning, text).remedy(
                "give each guest a host name of its own (hostnamectl set-hostname), or use their \
                 domain names",
            )
        })
        .collect()
}

/// A guest with several NICs has one client id on all of them; two guests never should.
fn shared_client_ids(system: &System<'_>) -> Vec<Finding> {
    let Ok(contents) = &system.contents else { return Vec::new() };
    let mut owners: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for lease in &contents.leases {
        let domain = contents.domain_of_lease(lease).filter(|_| !lease.has_expired(system.now));
        if let (Some(domain), false) = (domain, lease.client_id.is_empty()) {
            let id = contents.string(lease.client_id);
            owners.entry(id).or_default().insert(contents.string(domain.name));
        }
    }
    let shared = owners.into_iter().filter(|(_, domains)| domains.len() > 1);
    shared
        .map(|(id, domains)| {
            let text = format!(
                "{} share a DHCP client id ({id}), as clones with the same machine-id do, so they \
                 take each other's address",
                list(domains)
            );
            Finding::new("shared-client-id", Level::Warning, text).remedy(
                "in all but one of them, 'rm /etc/machine-id && systemd-machine-id-setup' and reboot; \
                 run virt-sysprep on the image that they come from",
            )
        })
        .collect()
}

/// Bridges that no longer exist but have current leases.
fn stopped_networks(system: &System<'_>) -> Vec<Finding> {
    let mut leases: BTreeMap<&str, usize> = BTreeMap::new();
    let gone = |row: &&Row| row.state == AddressState::NoBridge && row.address.is_some();
    for row in system.rows.iter().filter(gone) {
        *leases.entry(&row.bridge).or_default() += 1;
    }
    leases
        .into_iter()
        .map(|(bridge, count)| {
            let leases = super::state_files::count(count, "lease");
            let text = format!(
                "{bridge} no longer exists, as its network was stopped, but {leases} of it still resolve"
            );
            Finding::new("no-bridge", Level::Warning, text).remedy(format!(
                "start the network ('virsh net-list --all', 'virsh net-start NAME'); if it is gone for \
                 good, remove {}/{bridge}.status",
                system.paths.state_directory().display()
            ))
        })
        .collect()
}

/// Running guests whose last lease has ended.
fn expired(system: &System<'_>) -> Vec<Finding> {
    let leased: BTreeSet<&str> = attached(system).map(|(domain, _)| domain).collect();
    let ended = |row: &&Row| row.state == AddressState::Expired && row.stands_for_nic;
    let rows = system.rows.iter().filter(ended);
    let of_guests = rows.filter_map(|row| Some((row.domain.as_deref()?, row)));
    let expired: Vec<String> = of_guests
        .filter(|(domain, _)| !leased.contains(domain))
        .map(|(domain, row)| {
            let address = row.address.map(|address| address.to_string()).unwrap_or_default();
            format!("{domain} ({address}, {})", ago(row.expiry.unwrap_or_default(), system.now))
        })
        .collect();
    if expired.is_empty() {
        return Vec::new();
    }
    let (leases, verb) =
        if expired.len() == 1 { ("lease", "doesn't") } else { ("leases", "don't") };
    let text = format!("{} {verb} resolve: the {leases} expired", list(&expired));
    vec![Finding::new("expired-lease", Level::Warning, text).remedy(
        "such a guest is paused, or its DHCP client or its network is down; look at its console ('virsh \
         console')",
    )]
}

fn without_lease(system: &System<'_>) -> Vec<Finding> {
    let leased: BTreeSet<&str> = attached(system).map(|(domain, _)| domain).collect();
    let without: BTreeSet<(&str, &str)> = system
        .rows
        .iter()
        .filter(|row| row.state == AddressState::NoLease)
        .filter_map(|row| Some((row.domain.as_deref()?, row.bridge.as_str())))
        .filter(|(domain, _)| !leased.contains(domain))
        .collect();
    if without.is_empty() {
        return Vec::new();
    }
    let mut bridges: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (domain, bridge) in without.iter() {
        bridges.entry(bridge).or_default().push(domain);
    }
    let places: Vec<String> =
        bridges.iter().map(|(bridge, domains)| format!("{} on {bridge}", list(domains))).collect();
    let (verb, it) =
        if without.len() == 1 { ("has", "it doesn't") } else { ("have", "they don't") };
    let text = format!("{} {verb} no lease: {it} resolve", list(&places));
    vec![Finding::new("no-lease", Level::Warning, text).remedy(
        "a guest that is still booting gets one soon ('libvirt-nss wait NAME'); a clone may share its machine-id \
         with another guest, which takes its lease away (systemd-machine-id-setup); a guest with a static \
         address needs libvirt-nssd, or DHCP with a reserved address (virsh net-update)",
    )]
}

/// Names of running guests that can't be looked up, or not by every program.
fn unusable_names(system: &System<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut host_names: BTreeSet<String> = BTreeSet::new();
    let (mut refused, mut odd) = (BTreeSet::new(), BTreeSet::new());
    for (domain, row) in attached(system) {
        let is_unusable = |name: &&str| NameKind::HostName.wanted(name.as_bytes()).is_none();
        for name in row.host_names().filter(is_unusable) {
            host_names.insert(format!("{domain} (\"{name}\")"));
        }
        if NameKind::Domain.wanted(domain.as_bytes()).is_none() {
            refused.insert(domain);
        } else if !is_host_name(domain.as_bytes()) {
            odd.insert(domain);
        }
    }
    if !host_names.is_empty() {
        let text = format!("no look-up finds these guests by host name: {}", list(host_names));
        findings.push(Finding::new("unusable-name", Level::Warning, text).remedy(
            "use letters, digits and hyphens, and no reserved name such as localhost (hostnamectl set-hostname)",
        ));
    }
    if !refused.is_empty() {
        let text = format!("no look-up finds these domain names: {}", list(refused));
        findings.push(
            Finding::new("unusable-name", Level::Warning, text)
                .remedy("rename it (virsh domrename)"),
        );
    }
    if !odd.is_empty() {
        let odd = list(odd.iter().map(|name| format!("\"{name}\"")));
        let text = format!("ssh and other programs may refuse these domain names: {odd}");
        findings.push(Finding::new("unusable-name", Level::Note, text).remedy(
            "use the guest's host name, or rename the domain (virsh domrename) with letters, digits and hyphens",
        ));
    }
    findings
}

/// Names for which the module libvirt returns a lease that no running guest has, although a running domain has that
/// name: then libvirt_guest isn't asked.
fn hidden_by_stale(system: &System<'_>) -> Vec<Finding> {
    let same = |a: &Option<String>, b: &Option<String>| match (a, b) {
        (Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
        _ => false,
    };
    let left = |row: &&Row| row.state == AddressState::NoGuest && row.via.is_none();
    let stale = system.rows.iter().filter(left);
    let hiding = stale.filter(|stale| {
        let is_stale = |name: &str| same(&Some(name.into()), &stale.host_name);
        let running = attached(system).any(|(_, row)| row.host_names().any(is_stale));
        let called = system.rows.iter().any(|row| same(&row.domain, &stale.host_name));
        called && !running
    });
    hiding
        .map(|stale| {
            let name = stale.host_name.as_deref().unwrap_or_default();
            let address = stale.address.map(|address| address.to_string()).unwrap_or_default();
            let left = match stale.expiry {
                Some(0) | None => "forever".into(),
                Some(expiry) => format!("for {}", duration::left(expiry, system.now)),
            };
            let text = format!(
                "{name} resolves to {address}, a lease that no running guest has, instead of the running \
                 guest {name}; {left}, or until that guest sends its host name to DHCP"
            );
            let mac = stale.mac.map(|mac| mac.to_string()).unwrap_or_default();
            Finding::new("stale-lease", Level::Warning, text).remedy(format!(
                "wait, or release the lease: 'sudo dhcp_release {} {address} {mac}' (package \
                 dnsmasq-utils)",
                stale.bridge
            ))
        })
        .collect()
}
