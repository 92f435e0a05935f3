//! Rows of what libvirt tells: the guests, and leases on networks of other hosts.

use std::collections::BTreeMap;
use std::net::IpAddr;

use guest_names::address::{Address, Mac};
use guest_names::name::is_host_name;
use guest_names::snapshot::format::{Source, flags, kind};
use guest_names::state::Bridge;

use super::connections::{bridge_of, guests_here, home, network_on, rank_of};
use super::index::Index;
use super::leases::{NOBODY, Owned, names};
use super::suffix;
use super::table::{Class, Fact, Span, Table};
use super::trust;
use super::{Input, earliest, weight};
use crate::facts::{Connection, Known};
use crate::model::{self, Network, NetworkLease, Nic};

/// Adds the rows of all connections. `until` becomes the time when a lease ends that keeps an address from
/// being believed.
pub(super) fn add(
    table: &mut Table,
    input: Input<'_>,
    index: &Index<'_>,
    owned: &Owned,
    until: &mut Option<i64>,
) {
    let home = home(input.facts).map(rank_of);
    let mut numbers = guests_here(input.facts).map(|(number, ..)| number);
    for connection in &input.facts.connections {
        let rank = rank_of(connection);
        let flags = match home {
            _ if connection.settings.here => 0,
            Some(home) if rank < home => flags::ELSEWHERE | flags::BEFORE,
            _ => flags::ELSEWHERE,
        };
        let leases = NetworkLeases::new(connection);
        let mut adding = Adding {
            table: &mut *table,
            input,
            index,
            owned,
            until: &mut *until,
            connection,
            leases,
            rank,
            flags,
        };
        for known in connection.guests.values() {
            let number = if connection.settings.here { numbers.next() } else { None };
            adding.guest(known, number.unwrap_or(NOBODY));
        }
        adding.leases_of_nobody();
    }
}

/// The leases of a connection's networks, by MAC.
struct NetworkLeases<'c> {
    by_mac: Vec<([u8; 6], &'c Network, &'c NetworkLease)>,
}

impl<'c> NetworkLeases<'c> {
    fn new(connection: &'c Connection) -> Self {
        let mut by_mac: Vec<_> = connection
            .networks
            .iter()
            .flat_map(|network| network.leases.iter().map(move |lease| (network, lease)))
            .filter_map(|(network, lease)| Some((lease.mac?.0, network, lease)))
            .collect();
        by_mac.sort_by_key(|&(mac, ..)| mac);
        Self { by_mac }
    }

    /// Those of a NIC. Its network may not be known.
    fn of(
        &self,
        mac: Mac,
        network: Option<&str>,
    ) -> impl Iterator<Item = (&'c Network, &'c NetworkLease)> {
        let from = self.by_mac.partition_point(|&(other, ..)| other < mac.0);
        let rest = self.by_mac.get(from..).unwrap_or(&[]);
        rest.iter()
            .take_while(move |&&(other, ..)| other == mac.0)
            .filter(move |(_, on, _)| network.is_none_or(|network| network == on.name))
            .map(|&(_, network, lease)| (network, lease))
    }
}

/// An address that a guest is believed to have.
struct Believed<'n> {
    address: Address,
    mac: Mac,
    network: Option<&'n Network>,
    source: Source,
    expiry: i64,
    fact: u32,
}

/// The rows of one connection, as they are added.
struct Adding<'a, 'i> {
    table: &'a mut Table,
    input: Input<'i>,
    index: &'a Index<'i>,
    owned: &'a Owned,
    until: &'a mut Option<i64>,
    connection: &'i Connection,
    leases: NetworkLeases<'i>,
    rank: u32,
    flags: u8,
}

impl<'i> Adding<'_, 'i> {
    fn is_here(&self) -> bool {
        self.connection.settings.here
    }

    fn has_expired(&self, expiry: i64) -> bool {
        expiry != 0 && expiry < self.input.now
    }

    fn guest(&mut self, known: &'i Known, number: u32) {
        let mut believed: Vec<Believed<'i>> = Vec::new();
        let mut host_names: Vec<&'i [u8]> = Vec::new();
        let agents = known.guest.host_name.as_deref();
        host_names.extend(agents.map(str::as_bytes).filter(|name| is_host_name(name)));
        for nic in &known.guest.nics {
            self.nic(known, number, nic, &mut believed, &mut host_names);
        }
        let names = [(kind::HOST, host_names), (kind::GUEST, vec![known.guest.name.as_bytes()])];
        for (kind, texts) in names {
            for text in texts {
                let name = self.table.name(text);
                self.name(kind, text, name, &believed);
                if kind == kind::GUEST && !believed.iter().any(|one| one.expiry == 0) {
                    self.without_address(text, name);
                }
            }
        }
    }

    /// The guest is known, whatever becomes of its addresses.
    fn without_address(&mut self, text: &[u8], name: Span) {
        let Some(key) = suffix::own_key(self.table, kind::GUEST, text) else { return };
        let fact = self.fact(None, None, Bridge::NONE, Source::Lease, 0);
        self.table.row(key, name, fact, Class::Own, flags::TOLD | flags::ATTACHED);
    }

    fn fact(
        &mut self,
        address: Option<Address>,
        mac: Option<Mac>,
        bridge: Bridge,
        source: Source,
        expiry: i64,
    ) -> u32 {
        let (rank, flags) = (self.rank, self.flags);
        let connection = self.connection.settings.config.id.0;
        let (order, client) = (0, 0);
        self.table.fact(Fact {
            address,
            mac,
            bridge,
            expiry,
            order,
            client,
            source,
            connection,
            rank,
            flags,
        })
    }

    /// Adds what is believed of one NIC, and what its leases call the host.
    fn nic(
        &mut self,
        known: &'i Known,
        number: u32,
        nic: &'i Nic,
        believed: &mut Vec<Believed<'i>>,
        host_names: &mut Vec<&'i [u8]>,
    ) {
        let bridge = bridge_of(nic).filter(|_| self.is_here()).unwrap_or(Bridge::NONE);
        let network = match &nic.network {
            Some(name) => self.connection.networks.iter().find(|one| one.name == *name),
            None if self.is_here() => network_on(self.input.facts, bridge),
            None => None,
        };
        if !(nic.network.is_none() || self.has_meaning_here(network)) {
            return;
        }
        let answered = known.answered.is_some();
        let mut add = |adding: &mut Self, told: IpAddr, source: model::Source, expiry: i64| {
            let address = trust::address(told);
            let lost = answered && source != model::Source::Agent && !names(known, address);
            let good = !lost && !adding.has_expired(expiry);
            if good && adding.is_believed(address, nic.mac, bridge, source, number, known) {
                let (source, expiry) = match source {
                    model::Source::Lease => (Source::Lease, expiry),
                    model::Source::Agent => (Source::Agent, 0),
                    model::Source::Arp => (Source::Arp, 0),
                };
                let scope = bridge;
                adding.believe(believed, address, nic.mac, scope, network, source, expiry);
            }
            good
        };
        for told in &nic.addresses {
            add(self, told.address, told.source, told.expiry);
        }
        let leases: Vec<_> = self.leases.of(nic.mac, nic.network.as_deref()).collect();
        for (_, lease) in leases {
            let good = add(self, lease.address, model::Source::Lease, lease.expiry);
            let name = lease.host_name.as_deref().map(str::as_bytes);
            add_name(host_names, name.filter(|_| good));
        }
        if !self.is_here() {
            return;
        }
        let Some(on) = self.index.bridge(bridge) else { return };
        let index = self.index;
        for &at in index.leases_of(on, nic.mac) {
            let owner = &self.owned.leases[at as usize];
            let Some(lease) = index.lease(at).filter(|_| !owner.denied) else { continue };
            add_name(host_names, Some(index.files.text(lease.host_name)));
            let same = |one: &Believed<'_>| one.address == lease.address && one.mac == nic.mac;
            if !believed.iter().any(same) {
                believed.push(Believed {
                    address: lease.address,
                    mac: nic.mac,
                    network,
                    source: Source::Files,
                    expiry: lease.expiry,
                    fact: owner.fact,
                });
            }
        }
    }

    /// Whether addresses on a network of the connection can be reached from this host.
    fn has_meaning_here(&self, network: Option<&Network>) -> bool {
        let settings = &self.connection.settings;
        settings.here || settings.nat || network.is_some_and(|network| network.routed)
    }

    fn is_believed(
        &mut self,
        address: Address,
        mac: Mac,
        bridge: Bridge,
        source: model::Source,
        number: u32,
        known: &Known,
    ) -> bool {
        if !trust::is_possible(address) || (address.is_link_local_v6() && bridge == Bridge::NONE) {
            return false;
        }
        if self.is_here() && source == model::Source::Lease {
            return true;
        }
        let name = if self.is_here() { Some(known.guest.name.as_bytes()) } else { None };
        match self.leased_to_another(address, mac, bridge, number, name) {
            Some(0) => false,
            Some(expiry) => {
                earliest(self.until, expiry);
                false
            }
            None => true,
        }
    }

    /// When the lease ends that gives the address to the NIC of another running guest of this host.
    fn leased_to_another(
        &self,
        address: Address,
        mac: Mac,
        bridge: Bridge,
        number: u32,
        name: Option<&[u8]>,
    ) -> Option<i64> {
        let files = self.index.files;
        self.index.leases_with(address).iter().find_map(|&at| {
            let lease = self.index.lease(at)?;
            if address.is_link_local_v6() && files.bridge(lease.bridge) != bridge {
                return None;
            }
            let owner = &self.owned.leases[at as usize];
            let mut domains = self.index.domains_of(lease.bridge, lease.mac).peekable();
            let runs = owner.guest != NOBODY || domains.peek().is_some();
            let own_nic = name.is_some() && lease.mac == Some(mac);
            let own = own_nic
                || (number != NOBODY && owner.guest == number)
                || domains.any(|domain| Some(files.text(domain.name)) == name);
            (runs && !own).then_some(lease.expiry)
        })
    }

    #[allow(clippy::too_many_arguments, reason = "they are one address's")]
    fn believe(
        &mut self,
        believed: &mut Vec<Believed<'i>>,
        address: Address,
        mac: Mac,
        bridge: Bridge,
        network: Option<&'i Network>,
        source: Source,
        expiry: i64,
    ) {
        let known = believed.iter().position(|one| one.address == address && one.mac == mac);
        if known.is_some_and(|at| weight(believed[at].source) >= weight(source)) {
            return;
        }
        let fact = self.fact(Some(address), Some(mac), bridge, source, expiry);
        let new = Believed { address, mac, network, source, expiry, fact };
        match known {
            Some(at) => believed[at] = new,
            None => believed.push(new),
        }
    }

    /// Adds a name of a guest with all its addresses.
    fn name(&mut self, kind: u8, text: &[u8], name: Span, believed: &[Believed<'i>]) {
        let told = flags::TOLD | flags::ATTACHED;
        let Some(own) = suffix::own_key(self.table, kind, text) else { return };
        // By network: mostly there is one.
        let mut keys: Vec<(Option<&str>, [Option<Span>; 3])> = Vec::new();
        for one in believed {
            self.table.row(own, name, one.fact, Class::Own, told);
            let network = one.network.map(|network| network.name.as_str());
            let known = keys.iter().find(|(other, _)| *other == network).map(|&(_, keys)| keys);
            let aliases = known.unwrap_or_else(|| {
                let made = suffix::aliases(self.table, kind, text, one.network, self.connection);
                keys.push((network, made));
                made
            });
            for key in aliases.into_iter().flatten() {
                self.table.row(key, name, one.fact, Class::Alias, told);
            }
            let key = self.table.address_key(one.address);
            let domain = if kind == kind::GUEST { flags::DOMAIN } else { 0 };
            self.table.row(key, name, one.fact, Class::Own, told | domain);
        }
    }

    /// Leases that the API told whose NICs no guest has.
    fn leases_of_nobody(&mut self) {
        let mut nics: BTreeMap<[u8; 6], Vec<Option<&str>>> = BTreeMap::new();
        if !self.leases.by_mac.is_empty() {
            for nic in self.connection.guests.values().flat_map(|known| &known.guest.nics) {
                nics.entry(nic.mac.0).or_default().push(nic.network.as_deref());
            }
        }
        let connection = self.connection;
        for network in &connection.networks {
            if !self.has_meaning_here(Some(network)) {
                continue;
            }
            for lease in &network.leases {
                let on = |name: &Option<&str>| name.is_none_or(|name| name == network.name);
                let has_guest = lease
                    .mac
                    .and_then(|mac| nics.get(&mac.0))
                    .is_some_and(|networks| networks.iter().any(on));
                let text = lease.host_name.as_deref().unwrap_or("").as_bytes();
                if !has_guest && is_host_name(text) && !self.has_expired(lease.expiry) {
                    self.lease_of_nobody(network, lease, text);
                }
            }
        }
    }

    fn lease_of_nobody(&mut self, network: &'i Network, lease: &NetworkLease, text: &[u8]) {
        let address = trust::address(lease.address);
        let bridge = network.bridge.as_deref().filter(|_| self.is_here());
        let bridge = bridge.and_then(|name| Bridge::new(name.as_bytes())).unwrap_or(Bridge::NONE);
        let scoped = !address.is_link_local_v6() || bridge != Bridge::NONE;
        let mac = lease.mac.unwrap_or(Mac([0; 6]));
        let taken = match self.leased_to_another(address, mac, bridge, NOBODY, None) {
            Some(expiry) if !self.is_here() => {
                if expiry != 0 {
                    earliest(self.until, expiry);
                }
                true
            }
            _ => false,
        };
        if !trust::is_possible(address) || !scoped || taken {
            return;
        }
        let fact = self.fact(Some(address), lease.mac, bridge, Source::Lease, lease.expiry);
        let name = self.table.name(text);
        let Some(own) = suffix::own_key(self.table, kind::HOST, text) else { return };
        self.table.row(own, name, fact, Class::Own, flags::TOLD);
        let aliases = suffix::aliases(self.table, kind::HOST, text, Some(network), self.connection);
        for key in aliases.into_iter().flatten() {
            self.table.row(key, name, fact, Class::Alias, flags::TOLD);
        }
        let key = self.table.address_key(address);
        self.table.row(key, name, fact, Class::Own, flags::TOLD);
    }
}

/// Takes a name in that is one and isn't there yet, in whatever case.
fn add_name<'n>(names: &mut Vec<&'n [u8]>, name: Option<&'n [u8]>) {
    let Some(name) = name.filter(|name| is_host_name(name)) else { return };
    if !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
        names.push(name);
    }
}
