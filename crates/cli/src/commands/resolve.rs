//! `libvirt-nss resolve`: prints the addresses of a name, or the name of an address.

use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt as _;

use guest_names::candidate::Candidate;
use guest_names::name::NameKind;
use serde::Serialize;

use crate::answer::{Answer, ask};
use crate::args::Resolve;
use crate::context::Context;
use crate::error::Error;
use crate::lookup;
use crate::nsswitch;
use crate::output::escape::write_json;
use crate::presence;
use crate::state::address;
use crate::state::lossy;
use crate::status::Status;

pub(crate) fn run(options: &Resolve, context: &Context) -> Result<Status, Error> {
    match (options.reverse, &options.name) {
        (Some(address), _) => reverse(address, options, context),
        (None, Some(name)) => forward(name.as_bytes(), options, context),
        (None, None) => Ok(Status::Usage),
    }
}

fn forward(name: &[u8], options: &Resolve, context: &Context) -> Result<Status, Error> {
    let shown = lossy(name);
    let message = match ask(context, name, options.names.kinds(), options.families.family())? {
        Answer::Addresses(kind, candidates) => {
            print_addresses(name, kind, &candidates, options.json)?;
            nsswitch::note_absence(context);
            return Ok(Status::Ok);
        }
        Answer::OtherFamily(family, _) => {
            let family = lookup::family_text(family);
            let explain = context.paths.command(&format!("explain {shown}"));
            format!("'{shown}' has no {family} address; see '{explain}'")
        }
        Answer::Absent(presence) => presence.answer_and_next(&context.paths),
    };
    context.warn(&message);
    Ok(Status::NotFound)
}

fn reverse(address: IpAddr, options: &Resolve, context: &Context) -> Result<Status, Error> {
    let now = context.clock.now();
    for &kind in options.names.kinds() {
        let found = lookup::by_address(&context.paths, kind, address, now, None)?;
        if let Some(name) = found {
            let mut out = io::stdout().lock();
            if options.json {
                let found = JsonName { name: &name, service: lookup::service(kind), address };
                write_json(&mut out, &found)?;
            } else {
                writeln!(out, "{}", crate::output::escape::printable(&name))?;
            }
            return Ok(Status::Ok);
        }
    }
    let unread = presence::unread_files(&context.paths);
    let message = match unread.as_slice() {
        [] => format!("no guest has {address}"),
        unread => {
            format!("no guest has {address} in the files that could be read; {}", unread.join("; "))
        }
    };
    context.warn(&message);
    Ok(Status::NotFound)
}

fn print_addresses(
    name: &[u8],
    kind: NameKind,
    candidates: &[Candidate],
    json: bool,
) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    if json {
        let addresses = candidates.iter().map(JsonAddress::new).collect();
        let found = JsonAddresses { name: lossy(name), service: lookup::service(kind), addresses };
        write_json(&mut out, &found)?;
    } else {
        for candidate in candidates {
            writeln!(out, "{}", lookup::address_text(candidate))?;
        }
    }
    Ok(())
}

#[derive(Serialize)]
struct JsonAddresses {
    name: String,
    /// Which module gives the answer.
    service: &'static str,
    addresses: Vec<JsonAddress>,
}

#[derive(Serialize)]
pub(crate) struct JsonAddress {
    address: String,
    family: &'static str,
    /// The interface that a link-local address needs.
    scope: Option<String>,
    bridge: Option<String>,
    mac: Option<String>,
}

impl JsonAddress {
    /// An address of which nothing else is known.
    pub(crate) fn bare(address: IpAddr) -> Self {
        Self {
            address: address.to_string(),
            family: address::family(address),
            scope: None,
            bridge: None,
            mac: None,
        }
    }

    pub(crate) fn new(candidate: &Candidate) -> Self {
        let address = lookup::address_of(candidate);
        let bridge = lookup::bridge(candidate);
        Self {
            address: address.to_string(),
            family: address::family(address),
            scope: bridge.clone().filter(|_| address::needs_scope(address)),
            bridge,
            mac: candidate.mac.map(|mac| lossy(&mac.to_text())),
        }
    }
}

#[derive(Serialize)]
struct JsonName<'n> {
    name: &'n str,
    service: &'static str,
    address: IpAddr,
}
