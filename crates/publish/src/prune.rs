//! `--prune`: removes the names of a host that is gone, and whose journal is gone with it. The ownership records show which
//! names these are. They are found with a zone transfer or, if the server doesn't allow that, among the names given on the
//! command line.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use guest_store::reverse::reverse_name;

use crate::client::Client;
use crate::failure::Failure;
use crate::publisher::Plan;
use crate::record::{DnsRecord, canonical, is_in_zone};
use crate::update::CHANGES_MAX;
use crate::zone::{Certainty, Held, HeldNames, Seen, Server as _, Stop, Update, Wanted, Zone};

/// Why names were not removed.
#[derive(Debug)]
pub enum Error {
    /// An update failed: the zone, and why.
    Failed(String, Failure),
    /// A zone transfer failed: the zone, and why.
    NotTransferred(String, Failure),
    /// Names in this zone changed at the same time.
    Changed(String),
    /// The output can't be written.
    Output(io::Error),
}

/// Removes all names of `host`, or only `names`, and prints the result for each zone.
///
/// # Errors
/// See [`Error`].
pub fn prune(
    client: &Client,
    plan: &Plan,
    host: &str,
    names: &[String],
    out: &mut dyn Write,
) -> Result<(), Error> {
    let mut client = client.clone();
    let forward = found(&mut client, plan, &plan.zone, host, || {
        let full = |name: &String| {
            let name = canonical(name);
            let is_full = is_in_zone(&name, &plan.zone);
            if is_full { name } else { format!("{name}.{}", plan.zone) }
        };
        (!names.is_empty()).then(|| names.iter().map(full).collect())
    })?;
    let addresses: BTreeSet<String> =
        forward.values().flat_map(|held| &held.records).filter_map(reverse).collect();
    let mut all = vec![(plan.zone.clone(), forward)];
    for zone in &plan.reverse_zones {
        let held = found(&mut client, plan, zone, host, || {
            let in_zone = addresses.iter().filter(|name| is_in_zone(name, zone)).cloned();
            (!names.is_empty()).then(|| in_zone.collect())
        })?;
        all.push((zone.clone(), held));
    }
    // Reverse zones come first: if this fails in between, the next run can still find addresses by their names.
    for (zone, held) in all.into_iter().rev() {
        let count = remove(&mut client, &zone, host, held)?;
        let names = if count == 1 { "name" } else { "names" };
        writeln!(out, "{zone}: removed {count} {names} of {host}").map_err(Error::Output)?;
    }
    Ok(())
}

fn reverse(record: &DnsRecord) -> Option<String> {
    match record {
        DnsRecord::A(address) => Some(reverse_name((*address).into())),
        DnsRecord::Aaaa(address) => Some(reverse_name((*address).into())),
        DnsRecord::Ptr(_) => None,
    }
}

/// The names of `host` in a zone: those among `given`, if that is `Some`, else all.
fn found(
    client: &mut Client,
    plan: &Plan,
    zone: &str,
    host: &str,
    given: impl FnOnce() -> Option<Vec<String>>,
) -> Result<HeldNames, Error> {
    let seen: BTreeMap<String, Seen> = match given() {
        Some(names) => {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            client.look(&names).map_err(|failure| Error::Failed(zone.into(), failure))?
        }
        None => {
            client.transfer(zone).map_err(|failure| Error::NotTransferred(zone.into(), failure))?
        }
    };
    let is_reverse = zone != plan.zone;
    let own = seen.into_iter().filter(|(_, seen)| seen.owner.as_deref() == Some(host));
    let held = own.map(|(name, seen)| {
        let is_ours = |record: &DnsRecord| matches!(record, DnsRecord::Ptr(_)) == is_reverse;
        let records = seen.records.into_iter().filter(is_ours).collect();
        (name, Held { records, certainty: Certainty::Sure })
    });
    Ok(held.collect())
}

fn remove(client: &mut Client, zone: &str, host: &str, held: HeldNames) -> Result<usize, Error> {
    let mut names = Zone { held, conflicts: BTreeMap::new() };
    let wanted = Wanted::new();
    let update = Update { zone, host, wanted: &wanted, most: CHANGES_MAX, retry_conflicts: false };
    // The zone itself shows what is left, so no journal is needed.
    let outcome = names.update(&update, client, &mut |_| Ok(()));
    match outcome {
        Ok(_) if !names.held.is_empty() => Err(Error::Changed(zone.into())),
        Ok(count) => Ok(count),
        Err(Stop::Failed(failure)) => Err(Error::Failed(zone.into(), failure)),
        Err(Stop::Unsaved(error)) => Err(Error::Output(error)),
    }
}

impl Error {
    /// What failed, and what to do next.
    #[must_use]
    pub fn text(&self, client: &Client, host: &str) -> String {
        let about =
            |zone| crate::failure::About { server: &client.server, zone, signer: &client.signer };
        match self {
            Self::Failed(zone, failure) => {
                let about = about(zone.as_str());
                format!("{zone}: {}; next step: {}", failure.what(about), failure.next_step(about))
            }
            Self::NotTransferred(zone, failure) => {
                let about = about(zone.as_str());
                let step = match failure {
                    Failure::Query(_) | Failure::Other(_) if client.signer.is_kerberos() => {
                        String::from(
                            "allow transfers to this host's address (allow-transfer in BIND), as they are not signed with Kerberos",
                        )
                    }
                    // Knot and PowerDNS answer so to a key without rights.
                    Failure::Query(_) | Failure::UnknownKey | Failure::NotAuthoritative => {
                        String::from(
                            "allow transfers with this key (allow-transfer in BIND, acl in Knot, TSIG-ALLOW-AXFR in PowerDNS)",
                        )
                    }
                    _ => failure.next_step(about),
                };
                format!(
                    "cannot list the names in {zone}: {}; next step: {step}, or name the guests: libvirt-nss-publish --prune \
                     {host} NAME...",
                    failure.what(about)
                )
            }
            Self::Changed(zone) => {
                format!(
                    "names in {zone} changed at the same time; next step: run the same command again"
                )
            }
            Self::Output(error) => {
                format!("cannot write the output: {}", guest_store::reason(error))
            }
        }
    }
}
