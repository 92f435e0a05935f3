//! Rows of the state files.

use std::collections::HashMap;

use guest_names::address::{Address, Mac};
use guest_names::name::is_host_name;
use guest_names::snapshot::format::{Source, flags, kind};
use guest_names::state::Bridge;

use super::connections::{bridge_of, guests_here, home, network_on, place};
use super::index::Index;
use super::suffix;
use super::table::{Class, Fact, Span, Table};
use crate::facts::{Connection, Facts, Known};
use crate::model::{self, Network};
use crate::state::files::Lease;

/// No guest of this host's libvirt.
pub(super) const NOBODY: u32 = u32::MAX;

/// What libvirt's guests make of a lease of the files.
#[derive(Clone, Copy)]
pub(super) struct Owner {
    /// The guest that has the NIC, counted over the connections to this host; [`NOBODY`].
    pub(super) guest: u32,
    /// Its agent doesn't name the address.
    pub(super) denied: bool,
    /// See [`Fact::rank`].
    rank: u32,
    connection: u16,
    /// The lease's fact in the table.
    pub(super) fact: u32,
}

/// The leases of the files, by their place in the files.
pub(super) struct Owned {
    pub(super) leases: Vec<Owner>,
    pub(super) undecided: bool,
    /// Rank and connection of what is nobody's.
    home: (u32, u16),
    /// Those of guests by name, where several connections lead to this host.
    guests: HashMap<Vec<u8>, (u32, u16)>,
}

impl Owned {
    pub(super) fn new(facts: &Facts, index: &Index<'_>) -> Self {
        let home = home(facts).map_or((0, 0), place);
        let (rank, connection) = home;
        let nobody = Owner { guest: NOBODY, denied: false, rank, connection, fact: 0 };
        let leases = vec![nobody; index.files.leases.len()];
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
                let leases = bridge.map_or(&[][..], |bridge| index.leases_of(bridge, nic.mac));
                for &at in leases {
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
        known: &Known,
        index: &Index<'_>,
    ) {
        let (Some(owner), Some(lease)) = (self.leases.get_mut(at as usize), index.lease(at)) else {
            return;
        };
        if owner.guest == NOBODY {
            owner.guest = guest;
            (owner.rank, owner.connection) = place(connection);
        }
        if let (Some(answered), false) = (known.answered, names(known, lease.address)) {
            // The answer took a while to come: what was leased since it was asked for, it can't know.
            let patience = connection.settings.config.agent_timeout.as_millis() as i64;
            if lease.since.saturating_add(patience) <= answered {
                owner.denied = true;
            } else {
                self.undecided = true;
            }
        }
    }
}

/// Whether the guest's agent names the address.
pub(super) fn names(known: &Known, address: Address) -> bool {
    known.guest.nics.iter().flat_map(|nic| &nic.addresses).any(|told| {
        told.source == model::Source::Agent && super::trust::address(told.address) == address
    })
}

/// Adds the rows that a look-up would find in the files, and those of other names for leases that no
/// guest of libvirt's accounts for.
pub(super) fn add(table: &mut Table, facts: &Facts, index: &Index<'_>, owned: &mut Owned) {
    let home = home(facts);
    let mut host = (Default::default(), Span::default());
    for (at, lease) in index.files.leases.iter().enumerate() {
        if lease.has_expired(index.now()) {
            continue;
        }
        let owner = &mut owned.leases[at];
        let bridge = index.files.bridge(lease.bridge);
        owner.fact = table.fact(Fact {
            address: Some(lease.address),
            mac: lease.mac,
            bridge,
            expiry: lease.expiry,
            order: lease.start,
            client: lease.client,
            source: Source::Files,
            connection: owner.connection,
            rank: owner.rank,
            flags: 0,
        });
        let name = index.files.text(lease.host_name);
        if host.0 != lease.host_name {
            host = (lease.host_name, table.name(name));
        }
        let domain = index.domains_of(lease.bridge, lease.mac).next();
        let mut row = LeaseRows { table, index, lease, owner, attached: domain.is_some() };
        row.add(kind::HOST, name, host.1);
        if is_host_name(name) {
            row.add_address(host.1, 0);
        }
        if let Some(domain) = domain {
            let name = row.table.name(index.files.text(domain.name));
            row.add_address(name, flags::DOMAIN);
        }
        let alias = home.filter(|_| row.owner.guest == NOBODY);
        if let (Some(home), true) = (alias, is_host_name(name)) {
            row.add_aliases(kind::HOST, name, host.1, network_on(facts, bridge), home);
        }
    }
    add_domains(table, facts, index, owned);
}

/// As a look-up has it: the leases of a bridge with a MAC map, in the order of the maps.
fn add_domains(table: &mut Table, facts: &Facts, index: &Index<'_>, owned: &Owned) {
    let files = index.files;
    let home = home(facts);
    for domains in files.domains.chunk_by(|a, b| a.bridge == b.bridge) {
        let Some(bridge) = domains.first().map(|domain| domain.bridge) else { continue };
        let mut names = HashMap::new();
        for domain in domains {
            let text = files.text(domain.name);
            let name = *names.entry(text).or_insert_with(|| table.name(text));
            let unending = |mac: &Mac| {
                index
                    .leases_of(bridge, *mac)
                    .iter()
                    .any(|&at| files.leases[at as usize].expiry == 0)
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
                    source: Source::Files,
                    connection,
                    rank,
                    flags: 0,
                });
                table.row(key, name, fact, Class::Own, flags::LEASE | flags::ATTACHED);
            }
        }
        for (at, lease) in files.leases.iter().enumerate() {
            if lease.bridge != bridge || lease.has_expired(index.now()) {
                continue;
            }
            for domain in index.domains_of(bridge, lease.mac) {
                let text = files.text(domain.name);
                let Some(&name) = names.get(text) else { continue };
                let owner = &owned.leases[at];
                let mut row = LeaseRows { table, index, lease, owner, attached: true };
                row.add(kind::GUEST, text, name);
                if let (Some(home), NOBODY) = (home, owner.guest) {
                    let network = network_on(facts, files.bridge(bridge));
                    row.add_aliases(kind::GUEST, text, name, network, home);
                }
            }
        }
    }
}

/// The rows of one lease.
struct LeaseRows<'r, 'f> {
    table: &'r mut Table,
    index: &'r Index<'f>,
    lease: &'r Lease,
    owner: &'r Owner,
    attached: bool,
}

impl LeaseRows<'_, '_> {
    fn attached(&self) -> u8 {
        if self.attached { flags::ATTACHED } else { 0 }
    }

    fn flags(&self) -> u8 {
        let denied = if self.owner.denied { flags::DENIED } else { 0 };
        flags::LEASE | denied | self.attached()
    }

    /// Under the name, and under the name with the record's domain behind it.
    fn add(&mut self, kind: u8, text: &[u8], name: Span) {
        let flags = self.flags();
        if let Some(key) = suffix::own_key(self.table, kind, text) {
            self.table.row(key, name, self.owner.fact, Class::Own, flags);
        }
        let domain = self.index.files.text(self.lease.domain);
        if let Some(key) = suffix::key(self.table, kind, text, domain) {
            self.table.row(key, name, self.owner.fact, Class::Derived, flags);
        }
    }

    fn add_address(&mut self, name: Span, domain: u8) {
        let key = self.table.address_key(self.lease.address);
        let flags = self.flags() | domain;
        self.table.row(key, name, self.owner.fact, Class::Own, flags);
    }

    fn add_aliases(
        &mut self,
        kind: u8,
        text: &[u8],
        name: Span,
        network: Option<&Network>,
        home: &Connection,
    ) {
        let flags = flags::TOLD | self.attached();
        for key in suffix::aliases(self.table, kind, text, network, home).into_iter().flatten() {
            self.table.row(key, name, self.owner.fact, Class::Alias, flags);
        }
    }
}
