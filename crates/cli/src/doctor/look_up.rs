//! Makes one real look-up, as programs do: getaddrinfo(3) for the name of a running guest.

use std::net::{IpAddr, ToSocketAddrs as _};

use guest_names::name::NameKind;

use super::{Finding, Level, System};
use crate::lookup;
use crate::nsswitch::OURS;
use crate::state::rows::AddressState;

const CHECK: &str = "look-up";

pub(super) fn check(system: &System<'_>) -> Vec<Finding> {
    let services = system.services();
    let is_on_line = |name: &&str| services.iter().any(|service| service == name);
    // Without our services on the line the name would go to the network; another finding says so.
    if !system.paths.are_the_systems() || !OURS.iter().any(is_on_line) {
        return Vec::new();
    }
    let Some((name, service, expected)) = guest(system, &services) else { return Vec::new() };
    let found: Vec<IpAddr> = match (name.as_str(), 0).to_socket_addrs() {
        Ok(found) => found.map(|found| found.ip()).collect(),
        Err(error) => {
            let text = format!(
                "getaddrinfo doesn't find {name}, although {service} has {expected}: {error}"
            );
            return vec![bad(text, &name)];
        }
    };
    if found.contains(&expected) {
        return vec![Finding::ok(CHECK, format!("getaddrinfo finds {name} at {expected}"))];
    }
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    let found = found.join(", ");
    vec![bad(format!("getaddrinfo returns {found} for {name}, not {expected}"), &name)]
}

fn bad(text: String, name: &str) -> Finding {
    let remedy = format!("'libvirt-nss explain --verbose {name}' shows each step of that look-up");
    Finding::new(CHECK, Level::Error, text).remedy(remedy)
}

/// A name that must be found: of a running guest, whose address a service on the line has.
fn guest(system: &System<'_>, services: &[String]) -> Option<(String, &'static str, IpAddr)> {
    let attached = system.rows.iter().filter(|row| row.state == AddressState::Attached);
    let names = attached.flat_map(|row| {
        let host_name = row.host_name.as_ref().map(|name| (NameKind::HostName, name));
        let domain = row.domain.as_ref().map(|name| (NameKind::Domain, name));
        host_name.into_iter().chain(domain)
    });
    let asked =
        names.filter(|(kind, _)| services.iter().any(|service| service == lookup::service(*kind)));
    asked.take(16).find_map(|(kind, name)| {
        let (paths, now) = (system.paths, system.now);
        let answered = lookup::by_name(paths, kind, name.as_bytes(), None, now, None).ok()?;
        let first = answered.candidates.first()?;
        Some((name.clone(), lookup::service(kind), lookup::address_of(first)))
    })
}
