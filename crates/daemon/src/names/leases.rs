//! Adds a row for everything in the state files.

use std::collections::HashMap;

use guest_names::address::{Address, Mac};
use guest_names::bridge::Bridge;
use guest_names::candidate::Evidence;
use guest_names::name::is_host_name;
use guest_names::snapshot::format::{flags, kind};
use guest_store::contents::Lease;

use super::connections::{bridge_of, guests_here, home, network_on, place};
use super::index::Index;
use super::limits::Holder;
use super::suffix::{self, Suffixes};
use super::table::{Class, Fact, Span, Table};
use super::{Input, Pulse};
use crate::facts::{Connection, Facts, KnownGuest};
use crate::model::{self, Network};

/// The guest that a lease in the state files belongs to.
#[derive(Clone, Copy)]
pub(super) struct Owner {
    /// The number of the running guest that has the NIC, if any (see [`Holder::Guest`]).
    guest: Option<u32>,
    /// Whether the guest's agent has answered since, and didn't report the address.
    pub(super) denied: bool,
    /// See [`Fact::rank`].
    rank: u32,
    connection: u16,
    /// The index of the lease's fact in the table.
    pub(super) fact: u32,
}

/// The owners of all leases in the state files.
pub(super) struct Owned {
    pub(super) leases: Vec<Owner>,
    pub(super) undecided: bool,
    /// Rank and connection of leases that belong to no running guest.
    home: (u32, u16),
    /// Rank and connection of each running guest, by domain name; empty unless several connections are to this host.
    guests: HashMap<Vec<u8>, (u32, u16)>,
}

impl Owned {
    pub(super) fn new(facts: &Facts, index: &Index<'_>) -> Self {
        let home = home(facts).map_or((0, 0), place);
        let (rank, connection) = home;
        let without_guest = Owner { guest: None, denied: false, rank, connection, fact: 0 };
        let leases = vec![without_guest; index.files.leases.len()];
        let mut owned = Self { leases, undecided: false, home, guests: HashMap::new() };
        let here = facts.connections.iter().filter(|connection| connection.settings.here);
        let several = here.count() > 1;
        for (guest, connection, known) in guests_here(facts) {
            if several {
                let name = known.guest.name.as_bytes().to_vec();
                owned.guests.entry(name).or_insert(place(connection));
            }
            for nic in &known.guest.nics {
                let bridge = bridge_of(nic).and_then(|bridge| index.bridge(bridge));
                for at in bridge.into_iter().flat_map(|bridge| index.leases_of(bridge, nic.mac)) {
                    owned.take(at, guest, connection, known, index);
                }
            }
        }
        owned
    }

    fn take(
        &mut self,
        at: u32,
        guest: u32,
        connection: &Connection,
        known: &KnownGuest,
        index: &Index<'_>,
    ) {
        let (Some(owner), Some(lease)) = (self.leases.get_mut(at as usize), index.lease(at)) else {
            return;
        };
        if owner.guest.is_none() {
            owner.guest = Some(guest);
            (owner.rank, owner.connection) = place(connection);
        }
        if let (Some(answered), false) = (known.answered, names(known, lease.address)) {
            // The agent may have taken this long to answer, so its answer may lack anything leased in that time.
            let patience = connection.settings.config.agent_timeout.as_millis() as i64;
            if index.first_seen(at).saturating_add(patience) <= answered {
                owner.denied = true;
            } else {
                self.undecided = true;
            }
        }
    }
}

/// Whether the guest's agent reports the address.
pub(super) fn names(known: &KnownGuest, address: Address) -> bool {
    known.guest.nics.iter().flat_map(|nic| &nic.addresses).any(|reported| {
        reported.source == model::ReportedBy::Agent
            && super::trust::address(reported.address) == address
    })
}

/// Adds the rows that a look-up would find in the state files, and the aliases of the leases' host names.
pub(super) fn add(
    table: &mut Table,
    input: Input<'_>,
    index: &Index<'_>,
    owned: &mut Owned,
    pulse: &mut Pulse<'_>,
) {
    let networks =
        index.files.bridges().map(|bridge| network_on(input.facts, index.files.bridge(bridge)));
    let networks: Vec<Option<&Network>> = networks.collect();
    let mut suffixes = Suffixes::new(input.naming);
    let mut host = (Default::default(), Span::default());
    for (at, lease) in index.files.leases.iter().enumerate() {
        if lease.has_expired(index.now()) {
            continue;
        }
        pulse();
        let owner = &mut owned.leases[at];
        let domain = index.domains_of(lease.bridge, lease.mac).next();
        let bridge = index.files.bridge(lease.bridge);
        owner.fact = table.fact(Fact {
            address: Some(lease.address),
            mac: lease.mac,
            bridge,
            expiry: lease.expiry,
            order: lease.start.saturating_add(1),
            client: lease.client,
            evidence: Evidence::StateFile,
            connection: owner.connection,
            rank: owner.rank,
            flags: 0,
            holder: match (owner.guest, domain) {
                (Some(guest), _) => Holder::Guest(guest),
                (None, Some((record, _))) => Holder::Domain(record),
                (None, None) => Holder::Bridge(lease.bridge),
            },
        });
        let name = index.files.text(lease.host_name);
        if host.0 != lease.host_name {
            host = (lease.host_name, table.name(name));
        }
        let attached = domain.is_some();
        let suffixes = &mut suffixes;
        let mut row = LeaseRows { table, input, index, suffixes, lease, owner, attached };
        row.add(kind::HOST, name, host.1);
        if is_host_name(name) {
            row.add_address(host.1, 0);
            row.attached |= row.owner.guest.is_some();
            row.add_aliases(kind::HOST, name, host.1, &networks);
            row.attached = attached;
        }
        if let Some((_, domain)) = domain {
            let name = row.table.name(index.files.text(domain.name));
            row.add_address(name, flags::DOMAIN);
        }
    }
    add_domains(table, input, index, owned, &mut suffixes, &networks, pulse);
}

/// Adds the domain names in the MAC maps with their leases, in the order in which a look-up finds them.
fn add_domains<'i>(
    table: &mut Table,
    input: Input<'i>,
    index: &Index<'_>,
    owned: &Owned,
    suffixes: &mut Suffixes<'i>,
    networks: &[Option<&'i Network>],
    pulse: &mut Pulse<'_>,
) {
    let files = index.files;
    let mut on_bridges: Vec<Vec<u32>> = vec![Vec::new(); files.bridges().count()];
    for (at, lease) in (0..).zip(&files.leases) {
        if let Some(on_bridge) = on_bridges.get_mut(lease.bridge.number()) {
            on_bridge.push(at);
        }
    }
    for domains in files.domains.chunk_by(|a, b| a.bridge == b.bridge) {
        let Some(bridge) = domains.first().map(|domain| domain.bridge) else { continue };
        let mut names = HashMap::new();
        for domain in domains {
            let text = files.text(domain.name);
            let name = *names.entry(text).or_insert_with(|| table.name(text));
            let unending = |mac: &Mac| {
                index.leases_of(bridge, *mac).any(|at| files.leases[at as usize].expiry == 0)
            };
            if files.macs_of(domain).iter().any(unending) {
                continue;
            }
            if let Some(key) = suffix::own_key(table, kind::GUEST, text) {
                let (rank, connection) = *owned.guests.get(text).unwrap_or(&owned.home);
                let fact = table.fact(Fact {
                    address: None,
                    mac: None,
                    bridge: Bridge::NONE,
                    expiry: 0,
                    order: 0,
                    client: 0,
                    evidence: Evidence::StateFile,
                    connection,
                    rank,
                    flags: 0,
                    holder: Holder::Bridge(bridge),
                });
                table.row(key, name, fact, Class::Own, flags::LEASE | flags::ATTACHED, false);
            }
        }
        for &at in on_bridges.get(bridge.number()).map_or(&[][..], Vec::as_slice) {
            let lease = &files.leases[at as usize];
            if lease.has_expired(index.now()) {
                continue;
            }
            pulse();
            for (_, domain) in index.domains_of(bridge, lease.mac) {
                let text = files.text(domain.name);
                let Some(&name) = names.get(text) else { continue };
                let owner = &owned.leases[at as usize];
                let attached = true;
                let mut row = LeaseRows { table, input, index, suffixes, lease, owner, attached };
                row.add(kind::GUEST, text, name);
                if owner.guest.is_none() {
                    row.add_aliases(kind::GUEST, text, name, networks);
                }
            }
        }
    }
}

/// Adds the rows of one lease.
struct LeaseRows<'r, 'f> {
    table: &'r mut Table,
    input: Input<'f>,
    index: &'r Index<'r>,
    suffixes: &'r mut Suffixes<'f>,
    lease: &'r Lease,
    owner: &'r Owner,
    attached: bool,
}

impl<'f> LeaseRows<'_, 'f> {
    fn attached(&self) -> u8 {
        if self.attached { flags::ATTACHED } else { 0 }
    }

    fn flags(&self) -> u8 {
        let denied = if self.owner.denied { flags::DENIED } else { 0 };
        flags::LEASE | denied | self.attached()
    }

    /// Adds the lease under a name, and under that name followed by the domain in the lease's record.
    fn add(&mut self, kind: u8, text: &[u8], name: Span) {
        let flags = self.flags();
        if let Some(key) = suffix::own_key(self.table, kind, text) {
            self.table.row(key, name, self.owner.fact, Class::Own, flags, false);
        }
        let domain = self.index.files.text(self.lease.domain);
        if let Some(key) = suffix::key(self.table, kind, text, domain) {
            self.table.row(key, name, self.owner.fact, Class::Derived, flags, false);
        }
    }

    fn add_address(&mut self, name: Span, domain: u8) {
        let key = self.table.address_key(self.lease.address);
        let flags = self.flags() | domain;
        self.table.row(key, name, self.owner.fact, Class::Own, flags, false);
    }

    /// Adds the lease under the aliases of its connection, if it belongs to a connection to this host.
    fn add_aliases(&mut self, kind: u8, text: &[u8], name: Span, networks: &[Option<&'f Network>]) {
        let connection = self.input.facts.connections.get(usize::from(self.owner.connection));
        let Some(connection) = connection.filter(|one| one.settings.here && !self.owner.denied)
        else {
            return;
        };
        let network = networks.get(self.lease.bridge.number()).copied().flatten();
        let flags = flags::REPORTED | self.attached();
        let aliases = self.suffixes.aliases(self.table, kind, text, (connection, network));
        for (key, class) in aliases.into_iter().flatten() {
            self.table.row(key, name, self.owner.fact, class, flags, false);
        }
    }
}
