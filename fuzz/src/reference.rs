//! The look-up a second time, as plainly as it can be said: all records in memory, one rule after the
//! other. It takes files that are JSON from the first byte to the last; what is to come of others is not
//! its subject.

use std::cmp::Reverse;

use guest_names::address::{Address, Family, Mac};
use guest_names::forward::{Found, Source};
use guest_names::name::is_host_name;

use crate::memory::NamedFile;
use crate::oracle::all_objects;
use crate::records::{LeaseRecord, MacRecord};

/// A lease that has not expired, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Lease {
    bridge: Vec<u8>,
    address: Address,
    mac: Option<Mac>,
    hostname: Vec<u8>,
    domain: Vec<u8>,
    /// Later is better; 0 in the file is best.
    lasting: u64,
    /// Its file in the listing, and its record in the file.
    place: (usize, usize),
}

/// A domain's NICs on a bridge.
#[derive(Clone, Debug)]
struct Guest {
    bridge: Vec<u8>,
    domain: Vec<u8>,
    macs: Vec<Mac>,
}

/// All that the files say.
#[derive(Clone, Debug, Default)]
pub struct Reference {
    /// Best first.
    leases: Vec<Lease>,
    /// In the order of the files.
    guests: Vec<Guest>,
}

/// The longest name of a bridge (`IFNAMSIZ` without the NUL).
const BRIDGE_MAX: usize = 15;

/// How a record's name answers to the wanted one.
enum Fit<'a> {
    Whole,
    /// If the network's domain is this.
    Within(&'a [u8]),
}

fn same(a: &[u8], b: &[u8]) -> bool {
    a.eq_ignore_ascii_case(b)
}

fn without_dot(name: &[u8]) -> &[u8] {
    name.strip_suffix(b".").unwrap_or(name)
}

fn fit<'w>(wanted: &'w [u8], name: &[u8]) -> Option<Fit<'w>> {
    let plain = without_dot(wanted);
    if name.is_empty() {
        return None;
    }
    if name == wanted || same(name, plain) {
        return Some(Fit::Whole);
    }
    let rest = plain.get(name.len()..)?.strip_prefix(b".")?;
    (same(&plain[..name.len()], name) && !rest.is_empty()).then_some(Fit::Within(rest))
}

/// Whether `name` is the wanted one in its case too.
fn is_exact(wanted: &[u8], name: &[u8]) -> bool {
    name == wanted || without_dot(wanted).starts_with(name)
}

impl Lease {
    fn answers(&self, fit: &Fit<'_>) -> bool {
        match fit {
            Fit::Whole => true,
            Fit::Within(rest) => same(without_dot(&self.domain), rest),
        }
    }
}

impl Reference {
    /// `None` where a file isn't JSON throughout.
    #[must_use]
    pub fn read(files: &[NamedFile<'_>], now: i64) -> Option<Self> {
        let mut all = Self::default();
        for (file, (name, bytes)) in files.iter().enumerate() {
            let stem = |suffix: &[u8]| {
                let stem = name.strip_suffix(suffix)?;
                ((1..=BRIDGE_MAX).contains(&stem.len())).then(|| stem.to_vec())
            };
            let (leases, macs) = (stem(b".status"), stem(b".macs"));
            if leases.is_none() && macs.is_none() {
                continue;
            }
            let objects = all_objects(std::str::from_utf8(bytes).ok()?)?;
            if let Some(bridge) = leases {
                let records = objects.iter().map(LeaseRecord::of).enumerate();
                let records = records.map(|(at, record)| (at, record, bridge.clone()));
                all.leases.extend(records.filter_map(|(at, record, bridge)| {
                    let ended = record.expiry != 0 && record.expiry < now;
                    let good = !record.mistyped && !ended;
                    let address = record.address.filter(|_| good)?;
                    let lasting =
                        if record.expiry == 0 { u64::MAX } else { record.expiry.unsigned_abs() };
                    let LeaseRecord { mac, hostname, domain, .. } = record;
                    let place = (file, at);
                    Some(Lease { bridge, address, mac, hostname, domain, lasting, place })
                }));
            } else if let Some(bridge) = macs {
                let records = objects.iter().map(MacRecord::of).filter(MacRecord::is_good);
                all.guests.extend(records.map(|record| {
                    let MacRecord { domain, macs, .. } = record;
                    Guest { bridge: bridge.clone(), domain, macs }
                }));
            }
        }
        all.leases.sort_by_key(|lease| (Reverse(lease.lasting), lease.place));
        Some(all)
    }

    /// The first domain that has a lease's NIC.
    fn guest_of(&self, lease: &Lease) -> Option<&Guest> {
        let mac = lease.mac?;
        let is_it = |guest: &&Guest| guest.bridge == lease.bridge && guest.macs.contains(&mac);
        self.guests.iter().find(is_it)
    }

    fn is_attached(&self, lease: &Lease) -> bool {
        self.guest_of(lease).is_some()
    }

    /// The leases of a name, best first, those of one address once.
    fn elected(&self, source: Source, wanted: &[u8], family: Option<Family>) -> Elected<'_> {
        let mut known = false;
        let mut chosen: Vec<&Lease> = match source {
            Source::HostName => {
                let by_name = self.leases.iter().filter(|lease| {
                    fit(wanted, &lease.hostname).is_some_and(|fit| lease.answers(&fit))
                });
                let by_name: Vec<&Lease> = by_name.collect();
                let attached = |lease: &&Lease| self.is_attached(lease);
                let rule = by_name.len() > 1 && by_name.iter().any(attached);
                by_name.into_iter().filter(|lease| !rule || self.is_attached(lease)).collect()
            }
            Source::Domain => {
                let mut its = self.guests.iter().filter_map(|guest| {
                    let fit = fit(wanted, &guest.domain)?;
                    Some((guest, fit, is_exact(wanted, &guest.domain)))
                });
                let its: Vec<_> = its.by_ref().collect();
                let whole = |(_, fit, _): &&(&Guest, Fit<'_>, bool)| matches!(fit, Fit::Whole);
                known = its.iter().any(|one| whole(&one));
                let only_exact = its.iter().filter(whole).any(|(.., exact)| *exact);
                let has = |lease: &&Lease| {
                    its.iter().any(|(guest, fit, exact)| {
                        guest.bridge == lease.bridge
                            && lease.mac.is_some_and(|mac| guest.macs.contains(&mac))
                            && lease.answers(fit)
                            && (*exact || !only_exact)
                    })
                };
                self.leases.iter().filter(has).collect()
            }
        };
        known |= !chosen.is_empty();
        chosen.retain(|lease| family.is_none_or(|family| lease.address.family() == family));
        let mut leases: Vec<&Lease> = Vec::new();
        for lease in chosen {
            if leases.iter().all(|other| other.address != lease.address) {
                leases.push(lease);
            }
        }
        Elected { known, leases }
    }

    /// What a look-up of `wanted` comes to, and the addresses in their order.
    #[must_use]
    pub fn addresses(
        &self,
        source: Source,
        wanted: &[u8],
        family: Option<Family>,
    ) -> (Found, Vec<Address>) {
        let Elected { known, leases } = self.elected(source, wanted, family);
        let found = match (known, leases.is_empty()) {
            (_, false) => Found::Data,
            (true, true) => Found::NoData,
            (false, true) => Found::Unknown,
        };
        (found, leases.iter().map(|lease| lease.address).collect())
    }

    /// The name of the guest that has `address`.
    #[must_use]
    pub fn name_of(&self, source: Source, address: Address) -> Option<Vec<u8>> {
        let mut its = self.leases.iter().filter(|lease| lease.address == address);
        match source {
            Source::HostName => {
                let named: Vec<&Lease> =
                    its.filter(|lease| is_host_name(&lease.hostname)).collect();
                let attached = named.iter().find(|lease| self.is_attached(lease));
                attached.or(named.first()).map(|lease| lease.hostname.clone())
            }
            Source::Domain => its
                .find(|lease| self.is_attached(lease))
                .and_then(|lease| self.guest_of(lease))
                .map(|guest| guest.domain.clone()),
        }
    }

    /// Every pair of a name and an address that look-ups by name give, in no order.
    #[must_use]
    pub fn pairs(&self, source: Source) -> Vec<(Vec<u8>, Address)> {
        let name = |lease: &Lease| match source {
            Source::HostName => Some(lease.hostname.clone()),
            Source::Domain => self.guest_of(lease).map(|guest| guest.domain.clone()),
        };
        let named = self.leases.iter().filter_map(|lease| Some((name(lease)?, lease)));
        named
            .filter(|(name, lease)| {
                let family = Some(lease.address.family());
                let named = source == Source::Domain || is_host_name(name);
                named
                    && source.wanted(name).is_some()
                    && self.elected(source, name, family).leases.contains(lease)
            })
            .map(|(name, lease)| (name, lease.address))
            .collect()
    }
}

struct Elected<'r> {
    /// A guest has the name.
    known: bool,
    leases: Vec<&'r Lease>,
}
