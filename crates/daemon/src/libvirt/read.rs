//! Reading what a connection has now.

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
    /// The call as a whole; libvirt's error.
    Call(Error),
    /// This one alone; a line for the log.
    Odd(String),
}

/// So many domains are asked for their XML at the same time: the way to a remote host and back may take longer
/// than all else. libvirtd runs five calls of one client at a time by default (`max_client_requests`).
const AT_A_TIME: usize = 4;

/// Asks each domain for its XML, in no order, and hands it over in this thread, until that breaks off.
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
        // This thread asks too, so others are worth it for more than one domain.
        for _ in 1..AT_A_TIME.min(domains.len()) {
            let (send, ask_next) = (send.clone(), &ask_next);
            let started = threads::builder("list").spawn_scoped(scope, move || {
                while let Some(asked) = ask_next() {
                    // The other end has broken off.
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
        Failed::Odd(format!("the XML of domain {} is left out: {why}", one_line(&name)))
    };
    let document = Document::parse(&xml).map_err(|error| odd(&error.to_string()))?;
    let read = DomainXml::read(&document).ok_or_else(|| odd("no <domain> with a <name>"))?;
    Ok(read.id.is_some().then(|| Description::keep(&read, names)))
}

/// The description of the domain with this UUID, or `None` if there is none that runs.
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

/// The active networks in order of their names, with their leases if `leases`, which becomes false where the
/// driver has none to report. A driver without networks has none. What is odd goes to `warn`; leases that
/// can't be had this time are those of `before`.
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
            warn(format!("the XML of network {} can't be read", one_line(&name)));
            continue;
        };
        if *leases {
            match raw::dhcp_leases(network) {
                Ok(leases) => read.leases = leases,
                Err(error) if is_unsupported(&error) => {
                    *leases = false;
                    warn(format!("DHCP leases can't be asked for: {}", words(&error)));
                }
                Err(error) => {
                    if let Some(before) = before.iter().find(|one| one.name == read.name) {
                        read.leases.clone_from(&before.leases);
                    }
                    let name = one_line(&read.name);
                    warn(format!("cannot ask for the leases of network {name}: {}", words(&error)));
                }
            }
        }
        networks.push(read);
    }
    networks.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(networks)
}
