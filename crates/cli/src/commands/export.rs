//! `libvirt-nss export`: the names that resolve, in the formats of other programs.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufWriter, Write};
use std::net::IpAddr;

use guest_names::name::is_host_name;
use serde_json::{Map, Value, json};

use crate::args::{Export, Format};
use crate::context::Context;
use crate::error::Error;
use crate::listing::Listing;
use crate::listing::fields::JsonRow;
use crate::output::escape::write_json;
use crate::state;
use crate::state::rows::{Resolves, Row};
use crate::status::Status;

pub(crate) fn run(options: &Export, context: &Context) -> Result<Status, Error> {
    let listing = Listing::read(context)?;
    let mut rows: Vec<&Row> = listing.rows.iter().collect();
    // These formats can't say which interface a link-local address needs.
    rows.retain(|row| {
        row.resolves() != Resolves::No
            && row.address.is_some_and(|address| !state::address::needs_scope(address))
            && options.filter.lets_through(row)
    });
    let mut out = BufWriter::new(io::stdout().lock());
    match options.format {
        Format::Hosts => {
            for (address, names) in hosts(&rows) {
                writeln!(out, "{address} {}", names.join(" "))?;
            }
        }
        Format::Ansible => write_json(&mut out, &ansible(&rows))?,
        Format::Prometheus => write_json(&mut out, &prometheus(&rows, options.port))?,
        Format::Json => {
            let rows: Vec<JsonRow<'_>> = rows.iter().map(|row| JsonRow::new(row)).collect();
            write_json(&mut out, &rows)?;
        }
    }
    out.flush()?;
    listing.warn_of_gaps(context);
    Ok(Status::Ok)
}

/// The names that programs accept as host names; the guest's host name first.
fn names(row: &Row) -> Vec<&str> {
    let by_host = matches!(row.resolves(), Resolves::Host | Resolves::Both);
    let by_domain = matches!(row.resolves(), Resolves::Domain | Resolves::Both);
    let host_names = row.host_names().filter(|_| by_host);
    let domain = row.domain.as_deref().filter(|_| by_domain && row.domain != row.host_name);
    let names = host_names.chain(domain);
    names.filter(|name| is_host_name(name.as_bytes())).collect()
}

/// hosts(5): an address has one line, with all its names.
fn hosts<'r>(rows: &[&'r Row]) -> BTreeMap<IpAddr, Vec<&'r str>> {
    let mut hosts: BTreeMap<IpAddr, Vec<&'r str>> = BTreeMap::new();
    for row in rows {
        let Some(address) = row.address else { continue };
        for name in names(row) {
            let known = hosts.entry(address).or_default();
            if !known.contains(&name) {
                known.push(name);
            }
        }
    }
    hosts
}

/// The guests by name: the domain's, or else the host name; IPv4 addresses come first.
fn guests<'r>(rows: &[&'r Row]) -> BTreeMap<&'r str, Vec<&'r Row>> {
    let mut guests: BTreeMap<&'r str, Vec<&'r Row>> = BTreeMap::new();
    for row in rows {
        if let Some(name) = row.domain.as_deref().or(row.host_name.as_deref()) {
            guests.entry(name).or_default().push(row);
        }
    }
    for rows in guests.values_mut() {
        rows.sort_by_key(|row| row.address.is_some_and(|address| address.is_ipv6()));
    }
    guests
}

/// The inventory of an Ansible inventory script (`--list`), with a group for each network.
fn ansible(rows: &[&Row]) -> Value {
    let mut variables = Map::new();
    let mut groups: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for (name, rows) in guests(rows) {
        let addresses: Vec<IpAddr> = rows.iter().filter_map(|row| row.address).collect();
        let host_name = rows.iter().find_map(|row| row.host_name.as_deref());
        let of_guest = json!({
            "ansible_host": addresses.first(),
            "libvirt_addresses": addresses,
            "libvirt_host_name": host_name,
        });
        variables.insert(name.to_owned(), of_guest);
        for network in rows.iter().filter_map(|row| row.network.as_deref().or(row.bridge())) {
            groups.entry(group_name(network)).or_default().insert(name);
        }
    }
    let mut inventory = Map::new();
    let hosts: Vec<&String> = variables.keys().collect();
    inventory.insert("all".into(), json!({ "hosts": hosts }));
    for (group, hosts) in groups {
        inventory.insert(group, json!({ "hosts": hosts }));
    }
    inventory.insert("_meta".into(), json!({ "hostvars": variables }));
    Value::Object(inventory)
}

/// Ansible accepts letters, digits and underscores.
fn group_name(network: &str) -> String {
    let letter = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '_' };
    format!("network_{}", network.chars().map(letter).collect::<String>())
}

/// Prometheus' file-based and HTTP service discovery: a target for each guest, by its first address.
fn prometheus(rows: &[&Row], port: Option<u16>) -> Value {
    let groups = guests(rows).into_iter().filter_map(|(name, rows)| {
        let first = rows.first()?;
        let target = match (first.address?, port) {
            (address, None) => address.to_string(),
            (IpAddr::V4(address), Some(port)) => format!("{address}:{port}"),
            (IpAddr::V6(address), Some(port)) => format!("[{address}]:{port}"),
        };
        let mut labels = Map::new();
        let mut label = |key: &str, value: Option<&str>| {
            if let Some(value) = value {
                labels.insert(key.into(), value.into());
            }
        };
        label("name", Some(name));
        label("host_name", rows.iter().find_map(|row| row.host_name.as_deref()));
        label("network", first.network.as_deref());
        label("bridge", first.bridge());
        Some(json!({ "targets": [target], "labels": labels }))
    });
    Value::Array(groups.collect())
}
