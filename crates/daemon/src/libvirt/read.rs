//! Reads the current state of a connection.

use std::iter;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use roxmltree::Document;
use virt::connect::Connect;
use virt::domain::Domain;
use virt::error::{Error, ErrorNumber};
use virt::sys;

use super::error::{is, is_unsupported, one_line, words};
use super::guest::{Description, SharedNames};
use super::raw;
use super::threads;
use super::xml::{DomainXml, NetworkXml};
use crate::model::Network;

/// Why something could not be read.
pub(super) enum Failed {
    /// A libvirt call failed.
    Call(Error),
    /// Only this domain is invalid; holds a log message.
    Odd(String),
}

/// How many domains' XML is requested at the same time, since the round trip to a remote host may take longest. By default,
/// libvirtd runs five calls of one client at a time (`max_client_requests`).
const AT_A_TIME: usize = 4;

/// Requests the XML of each domain, in any order, and passes it to `take` in this thread, until `take` breaks.
pub(super) fn xml_of_each(
    domains: &[Domain],
    mut take: impl FnMut(&Domain, Result<String, Error>) -> ControlFlow<()>,
) {
    let next = AtomicUsize::new(0);
    let ask_next = || {
        let domain = domains.get(next.fetch_add(1, Ordering::Relaxed))?;
        Some((domain, domain.xml_desc(0)))
    };
    let (send, receive) = mpsc::sync_channel(AT_A_TIME);
    thread::scope(|scope| {
        // This thread requests XML, too, so a single domain needs no other thread.
        for _ in 1..AT_A_TIME.min(domains.len()) {
            let (send, ask_next) = (send.clone(), &ask_next);
            let started = threads::builder("list").spawn_scoped(scope, move || {
                while let Some(asked) = ask_next() {
                    // `take` broke off.
                    if send.send(asked).is_err() {
                        return;
                    }
                }
            });
            if started.is_err() {
                break;
            }
        }
        drop(send);
        while let Some((domain, xml)) = ask_next() {
            let others = receive.try_iter();
            for (domain, xml) in iter::once((domain, xml)).chain(others) {
                if take(domain, xml).is_break() {
                    return;
                }
            }
        }
        for (domain, xml) in receive {
            if take(domain, xml).is_break() {
                return;
            }
        }
    });
}

/// What a domain's XML says, or `None` if the domain doesn't run.
pub(super) fn description(
    domain: &Domain,
    xml: Result<String, Error>,
    names: &mut SharedNames,
) -> Result<Option<Description>, Failed> {
    let xml = match xml {
        Ok(xml) => xml,
        Err(error) if is(&error, ErrorNumber::NoDomain) => return Ok(None),
        Err(error) => return Err(Failed::Call(error)),
    };
    let odd = |why: &str| {
        let name = domain.name().unwrap_or_default();
        Failed::Odd(format!("domain {} is ignored: its XML is invalid: {why}", one_line(&name)))
    };
    let document = Document::parse(&xml).map_err(|error| odd(&error.to_string()))?;
    let read = DomainXml::read(&document).ok_or_else(|| odd("no <domain> with a <name>"))?;
    Ok(read.id.is_some().then(|| Description::keep(&read, names)))
}

/// The description of the domain with this UUID, or `None` if no such domain runs.
pub(super) fn lookup(
    connect: &Connect,
    uuid: [u8; 16],
    names: &mut SharedNames,
) -> Result<Option<Description>, Failed> {
    match connect.lookup_domain_by_uuid(uuid::Uuid::from_bytes(uuid)) {
        Ok(domain) => description(&domain, domain.xml_desc(0), names),
        Err(error) if is(&error, ErrorNumber::NoDomain) => Ok(None),
        Err(error) => Err(Failed::Call(error)),
    }
}

/// The running domains.
pub(super) fn domains(connect: &Connect) -> Result<Vec<Domain>, Error> {
    connect.list_all_domains(sys::VIR_CONNECT_LIST_DOMAINS_ACTIVE)
}

/// The active networks, sorted by name; none if the driver doesn't support networks. With `leases`, they include their
/// DHCP leases; it becomes false if the driver can't report them. Leases that can't be read this time are taken from
/// `before`. Log messages about invalid networks go to `warn`.
pub(super) fn networks(
    connect: &Connect,
    leases: &mut bool,
    before: &[Network],
    warn: &mut dyn FnMut(String),
) -> Result<Vec<Network>, Error> {
    let listed = match connect.list_all_networks(sys::VIR_CONNECT_LIST_NETWORKS_ACTIVE) {
        Ok(listed) => listed,
        Err(error) if is_unsupported(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut networks = Vec::with_capacity(listed.len());
    for network in &listed {
        let xml = match network.xml_desc(0) {
            Ok(xml) => xml,
            Err(error) if is(&error, ErrorNumber::NoNetwork) => continue,
            Err(error) => return Err(error),
        };
        let read = match Document::parse(&xml) {
            Ok(document) => NetworkXml::read(&document).map(|read| Network {
                name: read.name.into(),
                bridge: read.bridge.map(Into::into),
                domain: read.domain.map(Into::into),
                domain_is_local: read.domain_is_local,
                routed: read.routed,
                subnets: read.subnets,
                leases: Vec::new(),
            }),
            Err(_) => None,
        };
        let Some(mut read) = read else {
            let name = network.name().unwrap_or_default();
            warn(format!("network {} is ignored: its XML is invalid", one_line(&name)));
            continue;
        };
        if *leases {
            match raw::dhcp_leases(network) {
                Ok(leases) => read.leases = leases,
                Err(error) if is_unsupported(&error) => {
                    *leases = false;
                    warn(format!("cannot read DHCP leases: {}", words(&error)));
                }
                Err(error) => {
                    if let Some(before) = before.iter().find(|one| one.name == read.name) {
                        read.leases.clone_from(&before.leases);
                    }
                    let name = one_line(&read.name);
                    warn(format!(
                        "cannot read the DHCP leases of network {name}: {}",
                        words(&error)
                    ));
                }
            }
        }
        networks.push(read);
    }
    networks.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(networks)
}
