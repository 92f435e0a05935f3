//! Adds a row for everything that libvirt reports: guests, and leases on networks of other hosts.
//!
//! A lease's host name has only that lease's address, as in the state files. A domain's name has all addresses of the
//! guest, and so has the host name that its agent reports. But if a lease of a running guest has that host name, then
//! addresses leased under other host names are left out.

use std::collections::HashSet;
use std::net::IpAddr;

use guest_names::address::Mac;
use guest_names::bridge::Bridge;
use guest_names::candidate::Evidence;
use guest_names::name::is_host_name;
use guest_names::snapshot::format::{flags, kind};

use super::addresses::{Addresses, Believed};
use super::connections::{guests, home, rank_of};
use super::index::Index;
use super::leases::{Owned, names};
use super::limits::Holder;
use super::ssh;
use super::suffix::{self, Aliases, Suffixes};
use super::table::{Class, Fact, Span, Table};
use super::trust::{self, NicOf, Trust, Verdict, agent_host_name, is_reachable};
use super::{Input, Notes, Pulse};
use crate::facts::{Connection, KnownGuest};
use crate::model::{self, Network, NetworkLease};

/// Adds the rows of all connections. Records in `notes` when to compile again, which guests have too many addresses,
/// and what ssh needs.
pub(super) fn add(
    table: &mut Table,
    input: Input<'_>,
    index: &Index<'_>,
    owned: &Owned,
    notes: &mut Notes,
    pulse: &mut Pulse<'_>,
) {
    let home = home(input.facts).map(rank_of);
    let trust = Trust::new(input, index);
    let mut all = guests(input.facts).peekable();
    for connection in &input.facts.connections {
        let rank = rank_of(connection);
        let flags = match home {
            _ if connection.settings.here => 0,
            Some(home) if rank < home => flags::ELSEWHERE | flags::BEFORE,
            _ => flags::ELSEWHERE,
        };
        let leases = NetworkLeases::new(connection);
        let mut suffixes = Suffixes::new(input.naming);
        let mut adding = Adding {
            table: &mut *table,
            input,
            index,
            owned,
            notes: &mut *notes,
            trust: &trust,
            suffixes: &mut suffixes,
            connection,
            leases,
            rank,
            flags,
        };
        while let Some((number, _, known)) = all.next_if(|(_, of, _)| std::ptr::eq(*of, connection))
        {
            pulse();
            adding.guest(known, number);
        }
        adding.leases_without_guest();
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

    /// The leases of a NIC; on all networks if its network isn't known.
    fn of(
        &self,
        mac: Mac,
        network: Option<&str>,
    ) -> impl Iterator<Item = &'c NetworkLease> + use<'_, 'c> {
        let from = self.by_mac.partition_point(|&(other, ..)| other < mac.0);
        let rest = self.by_mac.get(from..).unwrap_or(&[]);
        let network = network.map(str::to_owned);
        rest.iter()
            .take_while(move |&&(other, ..)| other == mac.0)
            .filter(move |(_, on, _)| network.as_ref().is_none_or(|network| *network == on.name))
            .map(|&(.., lease)| lease)
    }
}

/// A guest's name, and its aliases on each network. Most guests are on one network.
struct NameKeys<'n> {
    kind: u8,
    text: &'n [u8],
    name: Span,
    own: Span,
    aliases: Vec<(Option<&'n str>, Aliases)>,
}

impl<'n> NameKeys<'n> {
    fn aliases_on(
        &mut self,
        table: &mut Table,
        suffixes: &mut Suffixes<'n>,
        network: Option<&'n Network>,
        connection: &'n Connection,
    ) -> Aliases {
        let on = network.map(|network| network.name.as_str());
        if let Some(&(_, known)) = self.aliases.iter().find(|(other, _)| *other == on) {
            return known;
        }
        let made = suffixes.aliases(table, self.kind, self.text, (connection, network));
        self.aliases.push((on, made));
        made
    }
}

/// Adds the rows of one connection.
struct Adding<'a, 'i> {
    table: &'a mut Table,
    input: Input<'i>,
    index: &'a Index<'i>,
    owned: &'a Owned,
    notes: &'a mut Notes,
    trust: &'a Trust<'i>,
    suffixes: &'a mut Suffixes<'i>,
    connection: &'i Connection,
    leases: NetworkLeases<'i>,
    rank: u32,
    flags: u8,
}

impl<'i> Adding<'_, 'i> {
    fn is_here(&self) -> bool {
        self.connection.settings.here
    }

    fn guest(&mut self, known: &'i KnownGuest, number: u32) {
        let holder = Holder::Guest(number);
        let nics = known.guest.nics.iter();
        let nics: Vec<NicOf<'i>> =
            nics.filter_map(|nic| NicOf::new(self.input, self.connection, known, nic)).collect();
        let mut addresses = Addresses::default();
        for &of in &nics {
            self.leases_in_files(of, &mut addresses.in_files);
        }
        addresses.in_files.sort_by_key(Believed::identity);
        for &of in &nics {
            self.reported_leases(known, of, &mut addresses);
        }
        for source in [model::ReportedBy::Agent, model::ReportedBy::Neighbour] {
            for &of in &nics {
                self.claims(known, of, source, &mut addresses);
            }
        }
        if addresses.is_limited {
            self.notes.limited.push(holder);
        }
        if let Some(end) = addresses.until {
            self.notes.decide_again(end);
        }
        // When a confirmed lease ends, the agent's or neighbour table's report alone counts.
        let confirmed = addresses.in_files.iter().chain(&addresses.reported);
        for one in confirmed.filter(|one| one.confirmed) {
            self.notes.decide_again(one.expiry);
        }
        let with_facts: Vec<(Believed<'i>, u32)> = addresses
            .all()
            .map(|one| (one, one.fact.unwrap_or_else(|| self.fact(Some(&one), holder))))
            .collect();
        self.note_for_ssh(known, &nics, &with_facts);
        self.domain_name(known.guest.name.as_bytes(), holder, &with_facts);
        self.lease_names(&with_facts);
        if let Some(host_name) = known.guest.host_name.as_deref().and_then(agent_host_name) {
            self.agent_name(host_name.as_bytes(), &with_facts);
        }
    }

    /// Notes what ssh needs to know: which addresses are leased to this guest alone and, if this host can't reach the guest,
    /// at which addresses the guest's own host can.
    fn note_for_ssh(
        &mut self,
        known: &'i KnownGuest,
        nics: &[NicOf<'i>],
        believed: &[(Believed<'i>, u32)],
    ) {
        let id = ssh::id_of(self.connection, known);
        if known.guest.host_keys.as_ref().is_some_and(|keys| !keys.is_empty()) {
            for (one, _) in believed.iter().filter(|(one, _)| one.is_leased()) {
                let mut on = nics.iter().filter(|of| of.nic.mac == one.mac);
                if !on.any(|&of| self.trust.is_leased_to_another(of, one.address)) {
                    self.notes.ssh.leased.push((one.address, id));
                }
            }
        }
        if believed.is_empty() && !self.is_here() {
            let addresses = self.addresses_behind(known);
            if !addresses.is_empty() {
                self.notes.ssh.behind.push((id, addresses));
            }
        }
    }

    /// The addresses of a guest on networks that only its host reaches, leased ones first.
    fn addresses_behind(&self, known: &'i KnownGuest) -> Vec<IpAddr> {
        let (mut leased, mut claimed) = (Vec::new(), Vec::new());
        for nic in &known.guest.nics {
            let of = NicOf::anywhere(self.input, self.connection, known, nic);
            let on_network = self.leases.of(nic.mac, nic.network.as_deref());
            leased.extend(on_network.map(|lease| (lease.address, lease.expiry)));
            for reported in &nic.addresses {
                match reported.source {
                    model::ReportedBy::Lease => leased.push((reported.address, reported.expiry)),
                    _ if of.can_have(self.input, reported.address) => {
                        claimed.push(reported.address)
                    }
                    _ => {}
                }
            }
        }
        let current = leased.into_iter().filter(|&(_, expiry)| !self.input.has_expired(expiry));
        let mut addresses = Vec::new();
        for ip in current.map(|(ip, _)| ip).chain(claimed) {
            let address = trust::address(ip);
            let is_good = trust::is_possible(address) && !address.is_link_local_v6();
            if is_good && !addresses.contains(&ip) && addresses.len() < ssh::ADDRESSES {
                addresses.push(ip);
            }
        }
        addresses
    }

    /// Adds a NIC's leases from the state files, if the guest runs on this host.
    fn leases_in_files(&self, of: NicOf<'i>, believed: &mut Vec<Believed<'i>>) {
        if !self.is_here() {
            return;
        }
        let Some(on) = self.index.bridge(of.bridge) else { return };
        for at in self.index.leases_of(on, of.nic.mac) {
            let owner = &self.owned.leases[at as usize];
            let Some(lease) = self.index.lease(at).filter(|_| !owner.denied) else { continue };
            believed.push(Believed {
                address: lease.address,
                mac: of.nic.mac,
                network: of.network,
                bridge: of.bridge,
                evidence: Evidence::StateFile,
                expiry: lease.expiry,
                fact: Some(owner.fact),
                host_name: self.index.files.text(lease.host_name),
                confirmed: false,
            });
        }
    }

    /// Adds the leases that libvirt reports for a NIC.
    fn reported_leases(&self, known: &'i KnownGuest, of: NicOf<'i>, addresses: &mut Addresses<'i>) {
        let on_networks = self.leases.of(of.nic.mac, of.nic.network.as_deref());
        let on_networks = on_networks.map(|lease| {
            let host_name = lease.host_name.as_deref().unwrap_or("");
            (lease.address, lease.expiry, host_name)
        });
        let on_nic = of.nic.addresses.iter();
        let on_nic = on_nic
            .filter(|reported| reported.source == model::ReportedBy::Lease)
            .map(|reported| (reported.address, reported.expiry, ""));
        for (ip, expiry, host_name) in on_networks.chain(on_nic) {
            let address = trust::address(ip);
            let lost = known.answered.is_some() && !names(known, address);
            if lost || self.input.has_expired(expiry) || !trust::is_possible(address) {
                continue;
            }
            let lease = Believed {
                address,
                mac: of.nic.mac,
                network: of.network,
                bridge: of.bridge,
                evidence: Evidence::Lease,
                expiry,
                fact: None,
                host_name: host_name.as_bytes(),
                confirmed: false,
            };
            if address.is_link_local_v6() || addresses.has(&lease) {
                continue;
            }
            let taken = self.trust.leased_to_another(address, None, false);
            match taken.filter(|_| !self.is_here()) {
                None => addresses.push(lease),
                Some(end) => addresses.refuse_until(end),
            }
        }
    }

    /// Adds the addresses that the agent or a neighbour table reports for a NIC, as far as they can be trusted.
    fn claims(
        &self,
        known: &'i KnownGuest,
        of: NicOf<'i>,
        source: model::ReportedBy,
        addresses: &mut Addresses<'i>,
    ) {
        for reported in of.nic.addresses.iter().filter(|reported| reported.source == source) {
            let address = trust::address(reported.address);
            let is_agent = source == model::ReportedBy::Agent;
            let lost = !is_agent && known.answered.is_some() && !names(known, address);
            if lost || addresses.confirm(address) {
                continue;
            }
            // libvirt reports another host's neighbours without their state: they may be days old, so a lease wins.
            if !is_agent && !self.is_here() && addresses.has_lease(of.nic.mac, address) {
                continue;
            }
            match self.trust.claim(of, reported.address) {
                Verdict::Refused => {}
                Verdict::RefusedUntil(end) => addresses.refuse_until(end),
                Verdict::Believed => addresses.push(Believed {
                    address,
                    mac: of.nic.mac,
                    network: of.network,
                    bridge: of.bridge,
                    evidence: if is_agent { Evidence::Agent } else { Evidence::Neighbour },
                    expiry: 0,
                    fact: None,
                    host_name: b"",
                    confirmed: false,
                }),
            }
        }
    }

    fn fact(&mut self, believed: Option<&Believed<'_>>, holder: Holder) -> u32 {
        self.table.fact(Fact {
            address: believed.map(|one| one.address),
            mac: believed.map(|one| one.mac),
            bridge: believed.map_or(Bridge::NONE, |one| one.bridge),
            expiry: believed.map_or(0, |one| one.expiry),
            order: 0,
            client: 0,
            evidence: believed.map_or(Evidence::Lease, |one| one.evidence),
            connection: self.connection.settings.config.id.0,
            rank: self.rank,
            flags: self.flags,
            holder,
        })
    }

    /// Adds the domain's name with all addresses of the guest.
    fn domain_name(&mut self, text: &'i [u8], holder: Holder, believed: &[(Believed<'i>, u32)]) {
        let name = self.table.name(text);
        let Some(own) = suffix::own_key(self.table, kind::GUEST, text) else { return };
        let mut names = NameKeys { kind: kind::GUEST, text, name, own, aliases: Vec::new() };
        for (one, fact) in believed {
            self.add(&mut names, one, *fact, false);
        }
        let lasts = |one: &Believed<'_>| one.expiry == 0 || one.confirmed;
        if !believed.iter().any(|(one, _)| lasts(one)) {
            // So that the name still belongs to a known guest once all of its leases have expired.
            let fact = self.fact(None, holder);
            self.table.row(own, name, fact, Class::Own, flags::REPORTED | flags::ATTACHED, false);
        }
    }

    /// Adds the host name of each lease that libvirt reports. `leases` does so for the state files.
    fn lease_names(&mut self, believed: &[(Believed<'i>, u32)]) {
        for (one, fact) in believed.iter().filter(|(one, _)| one.evidence == Evidence::Lease) {
            if is_host_name(one.host_name) {
                let name = self.table.name(one.host_name);
                let own = suffix::own_key(self.table, kind::HOST, one.host_name);
                let Some(own) = own else { continue };
                let (text, aliases) = (one.host_name, Vec::new());
                let mut names = NameKeys { kind: kind::HOST, text, name, own, aliases };
                self.add(&mut names, one, *fact, false);
            }
        }
    }

    /// Adds the host name that the agent reports, with all addresses of the guest.
    fn agent_name(&mut self, text: &'i [u8], believed: &[(Believed<'i>, u32)]) {
        let name = self.table.name(text);
        let Some(own) = suffix::own_key(self.table, kind::HOST, text) else { return };
        let mut names = NameKeys { kind: kind::HOST, text, name, own, aliases: Vec::new() };
        for (one, fact) in believed {
            let same = one.host_name.eq_ignore_ascii_case(text);
            if one.is_leased() && same && !one.confirmed {
                // The lease's own row already has this name.
                continue;
            }
            self.add(&mut names, one, *fact, one.is_leased() && !same);
        }
    }

    /// Adds rows for one address: the name, its aliases, and the reverse look-up.
    fn add(&mut self, names: &mut NameKeys<'i>, one: &Believed<'i>, fact: u32, borrowed: bool) {
        let confirmed = if one.confirmed { flags::CONFIRMED } else { 0 };
        let flags = flags::REPORTED | flags::ATTACHED | confirmed;
        let NameKeys { kind, name, own, .. } = *names;
        let aliases = names.aliases_on(self.table, self.suffixes, one.network, self.connection);
        let aliases = aliases.into_iter().flatten();
        for (key, class) in std::iter::once((own, Class::Own)).chain(aliases) {
            self.table.row(key, name, fact, class, flags, borrowed);
        }
        let key = self.table.address_key(one.address);
        let domain = if kind == kind::GUEST { flags::DOMAIN } else { 0 };
        self.table.row(key, name, fact, Class::Own, flags | domain, borrowed);
    }

    /// Adds the leases that libvirt reports for NICs of no running guest.
    fn leases_without_guest(&mut self) {
        if self.leases.by_mac.is_empty() && !self.has_leases_without_mac() {
            return;
        }
        let nics = self.connection.guests.values().flat_map(|known| &known.guest.nics);
        let nics: HashSet<([u8; 6], Option<&str>)> =
            nics.map(|nic| (nic.mac.0, nic.network.as_deref())).collect();
        let connection = self.connection;
        for network in &connection.networks {
            if !is_reachable(connection, Some(network)) {
                continue;
            }
            let has_guest = |mac: Mac| {
                [None, Some(network.name.as_str())].iter().any(|on| nics.contains(&(mac.0, *on)))
            };
            for lease in &network.leases {
                let text = lease.host_name.as_deref().unwrap_or("").as_bytes();
                let current = !self.input.has_expired(lease.expiry);
                if current && is_host_name(text) && !lease.mac.is_some_and(has_guest) {
                    self.lease_without_guest(network, lease, text);
                }
            }
        }
    }

    fn has_leases_without_mac(&self) -> bool {
        let mut leases = self.connection.networks.iter().flat_map(|network| &network.leases);
        leases.any(|lease| lease.mac.is_none())
    }

    fn lease_without_guest(&mut self, network: &'i Network, lease: &NetworkLease, text: &'i [u8]) {
        let address = trust::address(lease.address);
        if !trust::is_possible(address) || address.is_link_local_v6() {
            return;
        }
        if !self.is_here() {
            if let Some(end) = self.trust.leased_to_another(address, None, false) {
                self.notes.decide_again(end);
                return;
            }
        }
        let bridge = network.bridge.as_deref().filter(|_| self.is_here());
        let bridge = bridge.and_then(|name| Bridge::new(name.as_bytes())).unwrap_or(Bridge::NONE);
        let connection = self.connection.settings.config.id.0;
        let fact = self.table.fact(Fact {
            address: Some(address),
            mac: lease.mac,
            bridge,
            expiry: lease.expiry,
            order: 0,
            client: 0,
            evidence: Evidence::Lease,
            connection,
            rank: self.rank,
            flags: self.flags,
            holder: Holder::Connection(connection),
        });
        let name = self.table.name(text);
        let Some(own) = suffix::own_key(self.table, kind::HOST, text) else { return };
        self.table.row(own, name, fact, Class::Own, flags::REPORTED, false);
        let place = (self.connection, Some(network));
        let aliases = self.suffixes.aliases(self.table, kind::HOST, text, place);
        for (key, class) in aliases.into_iter().flatten() {
            self.table.row(key, name, fact, class, flags::REPORTED, false);
        }
        let key = self.table.address_key(address);
        self.table.row(key, name, fact, Class::Own, flags::REPORTED, false);
    }
}
