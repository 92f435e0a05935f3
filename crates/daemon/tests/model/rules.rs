//! The model: the rules for names, too simple to be wrong. Everything is found by linear search.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use daemon::config::Connection;
use daemon::facts::Facts;
use daemon::model::{
    Agent, ConnectionId, Guest, Network, Nic, ReportedAddress, ReportedBy, Update,
};
use guest_names::address::{Address, Mac};
use guest_names::name::is_host_name;
use guest_store::contents::{Lease, TextSpan};
use ipnet::IpNet;

use crate::random::*;
use crate::{OwnedEntry, compiled};

pub(crate) fn lower(name: &str) -> String {
    name.to_ascii_lowercase()
}

impl World {
    pub(crate) fn here(&self) -> Option<usize> {
        self.connections.iter().position(|connection| connection.here)
    }

    pub(crate) fn text(&self, text: TextSpan) -> String {
        String::from_utf8(self.files.contents.text(text).to_vec()).unwrap()
    }

    pub(crate) fn bridge(&self, lease: &Lease) -> String {
        String::from_utf8(self.files.contents.bridge(lease.bridge).as_bytes().to_vec()).unwrap()
    }

    pub(crate) fn leases(&self) -> impl Iterator<Item = &Lease> {
        self.files.contents.leases.iter().filter(|lease| lease.expiry >= NOW)
    }

    /// The names of the domains with the lease's NIC.
    pub(crate) fn domains(&self, lease: &Lease) -> Vec<String> {
        let on = self.files.contents.domains.iter().filter(|domain| domain.bridge == lease.bridge);
        on.filter(|domain| {
            self.files.contents.macs_of(domain).iter().any(|&mac| Some(mac) == lease.mac)
        })
        .map(|domain| self.text(domain.name))
        .collect()
    }

    pub(crate) fn has_nic(&self, guest: &Guest, lease: &Lease) -> bool {
        let bridge = self.bridge(lease);
        guest
            .nics
            .iter()
            .any(|nic| Some(nic.mac) == lease.mac && nic.bridge.as_ref() == Some(&bridge))
    }

    pub(crate) fn guests_here(&self) -> impl Iterator<Item = &Guest> {
        self.here().into_iter().flat_map(|here| &self.guests[here])
    }

    pub(crate) fn denied(&self, lease: &Lease) -> bool {
        let mut owners = self.guests_here().filter(|guest| self.has_nic(guest, lease));
        owners.any(|guest| guest.agent == Agent::Answered && !agent_names(guest, lease.address))
    }

    /// Whether the guest has the lease's NIC.
    pub(crate) fn has_lease(&self, connection: usize, guest: &Guest, lease: &Lease) -> bool {
        let on = |nic: &Nic| nic.bridge.is_none() || nic.bridge == Some(self.bridge(lease));
        let nics = guest.nics.iter().any(|nic| Some(nic.mac) == lease.mac && on(nic));
        self.connections[connection].here && (nics || self.domains(lease).contains(&guest.name))
    }

    pub(crate) fn is_leased_to_others(
        &self,
        connection: usize,
        guest: &Guest,
        address: Address,
    ) -> bool {
        let in_files = self
            .leases()
            .any(|lease| lease.address == address && !self.has_lease(connection, guest, lease));
        let reported = (0..self.connections.len()).any(|other| {
            let networks = self.networks[other].iter();
            let networks = networks.filter(|network| self.is_reachable(other, Some(network)));
            let mut leases = networks.flat_map(|network| &network.leases);
            leases.any(|lease| {
                let own = guest.nics.iter().any(|nic| Some(nic.mac) == lease.mac);
                let own = own && other == connection;
                lease.expiry >= NOW && to_address(lease.address) == address && !own
            })
        });
        in_files || reported
    }

    pub(crate) fn network(&self, connection: usize, nic: &Nic) -> Option<&Network> {
        let networks = &self.networks[connection];
        match &nic.network {
            Some(name) => networks.iter().find(|network| network.name == *name),
            None if self.connections[connection].here && nic.bridge.is_some() => {
                networks.iter().find(|network| network.bridge == nic.bridge)
            }
            None => None,
        }
    }

    pub(crate) fn is_reachable(&self, connection: usize, network: Option<&Network>) -> bool {
        let Connection { here, nat, .. } = self.connections[connection];
        here || nat || network.is_some_and(|network| network.routed)
    }

    /// The NICs whose addresses this host can reach.
    pub(crate) fn nics<'w>(
        &'w self,
        connection: usize,
        guest: &'w Guest,
    ) -> impl Iterator<Item = &'w Nic> {
        guest.nics.iter().filter(move |nic| {
            let network = self.network(connection, nic);
            nic.network.is_none() || self.is_reachable(connection, network)
        })
    }

    pub(crate) fn can_have(&self, connection: usize, nic: &Nic, address: IpAddr) -> bool {
        let gateways = self.networks[connection].iter().flat_map(|network| &network.subnets);
        let subnets = self.network(connection, nic).map_or(&[][..], |network| &network.subnets);
        let inside = if to_address(address).is_link_local_v6() {
            let here = self.connections[connection].here && nic.bridge.is_some();
            here && (subnets.is_empty() || subnets.iter().any(|subnet| subnet.addr().is_ipv6()))
        } else {
            subnets.is_empty() || subnets.iter().any(|subnet| subnet.contains(&address))
        };
        let mut gateways = gateways.map(IpNet::addr);
        is_good(to_address(address)) && inside && !gateways.any(|gateway| gateway == address)
    }

    /// Whether the agent of another guest reports the address.
    pub(crate) fn is_reported_by_others(&self, guest: &Guest, nic: &Nic, address: IpAddr) -> bool {
        (0..self.connections.len()).any(|connection| {
            let others = self.guests[connection].iter().filter(|other| other.uuid != guest.uuid);
            let mut nics = others.flat_map(|other| self.nics(connection, other));
            nics.any(|other| {
                let link_local = to_address(address).is_link_local_v6();
                let agents = |reported: &ReportedAddress| {
                    reported.source == ReportedBy::Agent && reported.address == address
                };
                other.addresses.iter().any(agents)
                    && self.can_have(connection, other, address)
                    && (!link_local || other.bridge == nic.bridge)
            })
        })
    }

    /// The addresses that a guest is believed to have.
    pub(crate) fn believed(&self, connection: usize, guest: &Guest) -> Vec<Believed> {
        let here = self.connections[connection].here;
        let mut believed: Vec<Believed> = Vec::new();
        let lost =
            |address: Address| guest.agent == Agent::Answered && !agent_names(guest, address);
        for nic in self.nics(connection, guest) {
            for lease in self.leases().filter(|_| here) {
                let own =
                    Some(nic.mac) == lease.mac && nic.bridge.as_ref() == Some(&self.bridge(lease));
                if own && !self.denied(lease) {
                    let name = Some(lower(&self.text(lease.host_name)));
                    believed.push(Believed::leased(lease.address, nic.mac, name, true));
                }
            }
            let mut reported: Vec<(Address, i64, Option<String>)> = Vec::new();
            for network in &self.networks[connection] {
                if nic.network.as_ref().is_some_and(|name| *name != network.name) {
                    continue;
                }
                let its = network.leases.iter().filter(|lease| lease.mac == Some(nic.mac));
                reported.extend(its.map(|lease| {
                    let name = lease.host_name.as_deref().map(lower);
                    (to_address(lease.address), lease.expiry, name)
                }));
            }
            let leases = nic.addresses.iter().filter(|one| one.source == ReportedBy::Lease);
            reported.extend(leases.map(|lease| (to_address(lease.address), lease.expiry, None)));
            for (address, expiry, name) in reported {
                // Leases in the files come first.
                let known = |one: &Believed| one.address == address && one.mac == Some(nic.mac);
                if believed.iter().any(known) {
                    continue;
                }
                let current = expiry == 0 || expiry >= NOW;
                let in_files = self.leases().any(|lease| lease.address == address);
                let good = is_good(address) && !address.is_link_local_v6() && current;
                if good && !lost(address) && (here || !in_files) {
                    believed.push(Believed::leased(address, nic.mac, name, false));
                }
            }
        }
        let leased = believed.clone();
        for nic in self.nics(connection, guest) {
            for reported in
                nic.addresses.iter().filter(|reported| reported.source != ReportedBy::Lease)
            {
                let address = to_address(reported.address);
                if reported.source == ReportedBy::Neighbour && lost(address) {
                    continue;
                }
                let same = |one: &&mut Believed| one.address == address && one.leased;
                believed.iter_mut().filter(same).for_each(|one| one.confirmed = true);
                let length = |address: Address| address.octets().len();
                let same_kind = |one: &Believed| {
                    one.mac == Some(nic.mac) && length(one.address) == length(address)
                };
                let is_neighbour = reported.source == ReportedBy::Neighbour;
                if is_neighbour && !here && leased.iter().any(same_kind) {
                    continue;
                }
                if !leased.iter().any(|one| one.address == address)
                    && self.can_have(connection, nic, reported.address)
                    && !self.is_reported_by_others(guest, nic, reported.address)
                    && !self.is_leased_to_others(connection, guest, address)
                {
                    believed.push(Believed::claimed(address));
                }
            }
        }
        if believed.iter().any(|one| !one.address.is_link_local_v6()) {
            believed.retain(|one| !one.address.is_link_local_v6());
        }
        believed
    }

    /// Leases that libvirt reports for NICs of no guest.
    pub(crate) fn of_nobody(&self, connection: usize) -> Vec<(String, Address)> {
        let mut found = Vec::new();
        for network in &self.networks[connection] {
            for lease in network.leases.iter().filter(|lease| lease.expiry >= NOW) {
                let mut nics = self.guests[connection].iter().flat_map(|guest| &guest.nics);
                let has_guest = nics.any(|nic| {
                    Some(nic.mac) == lease.mac
                        && nic.network.as_ref().is_none_or(|name| *name == network.name)
                });
                let name = lease.host_name.clone().unwrap();
                let address = to_address(lease.address);
                let here = self.connections[connection].here;
                let good = is_host_name(name.as_bytes())
                    && is_good(address)
                    && !address.is_link_local_v6()
                    && (here || !self.leases().any(|lease| lease.address == address))
                    && self.is_reachable(connection, Some(network));
                if good && !has_guest {
                    found.push((lower(&name), address));
                }
            }
        }
        found
    }

    /// The addresses of each name by rank. Rank 0 is for the files if no connection is to this host.
    pub(crate) fn by_rank(&self, kind: char) -> BTreeMap<String, BTreeMap<usize, Ranked>> {
        let mut all: BTreeMap<String, BTreeMap<usize, Ranked>> = BTreeMap::new();
        let mut ranked = |name: String, rank: usize, runs: bool, add: &dyn Fn(&mut Ranked)| {
            let ranked = all.entry(name).or_default().entry(rank).or_default();
            ranked.runs |= runs;
            add(ranked);
        };
        let home = self.here().map_or(0, |here| here + 1);
        if kind == 'g' {
            for domain in &self.files.contents.domains {
                ranked(lower(&self.text(domain.name)), home, true, &|_| ());
            }
        }
        for lease in self.leases().filter(|lease| !self.denied(lease)) {
            let host = self.text(lease.host_name);
            let names = if kind == 'g' { self.domains(lease) } else { vec![host] };
            for name in names.iter().filter(|name| kind == 'g' || is_host_name(name.as_bytes())) {
                let runs = !self.domains(lease).is_empty();
                ranked(lower(name), home, runs, &|ranked| ranked.lease(lease.address, runs));
            }
        }
        for connection in 0..self.connections.len() {
            let rank = connection + 1;
            for guest in &self.guests[connection] {
                let believed = self.believed(connection, guest);
                if kind == 'g' {
                    ranked(lower(&guest.name), rank, true, &|ranked| {
                        believed.iter().for_each(|one| ranked.add(one.address));
                    });
                    continue;
                }
                let own = guest.host_name.as_deref().map(lower);
                let own = own.filter(|name| is_host_name(name.as_bytes()));
                for one in &believed {
                    let name = one.name.clone().filter(|name| is_host_name(name.as_bytes()));
                    if let Some(name) = name.filter(|_| !one.of_files) {
                        ranked(name, rank, true, &|ranked| ranked.lease(one.address, true));
                    }
                    let Some(own) = &own else { continue };
                    let same = one.name.as_ref() == Some(own);
                    if !one.leased {
                        ranked(own.clone(), rank, true, &|ranked| ranked.add(one.address));
                    } else if !same {
                        ranked(own.clone(), rank, true, &|ranked| ranked.borrow(one.address));
                    } else if one.confirmed {
                        ranked(own.clone(), rank, true, &|ranked| ranked.lease(one.address, true));
                    }
                }
            }
            if kind == 'h' {
                for (name, address) in self.of_nobody(connection) {
                    ranked(name, rank, false, &|ranked| ranked.lease(address, false));
                }
            }
        }
        all
    }

    pub(crate) fn compiled(&self) -> BTreeMap<Vec<u8>, Vec<OwnedEntry>> {
        let mut facts = Facts::new(&self.connections, Facts::default(), 0, 0);
        for (at, (networks, guests)) in self.networks.iter().zip(&self.guests).enumerate() {
            let id = ConnectionId(at as u16);
            facts.apply(Update::Networks(id, networks.clone()), 5_000, 0);
            facts.apply(Update::Guests(id, guests.clone()), 5_000, 0);
        }
        compiled(&self.files, &facts)
    }
}

/// An address that a guest is believed to have.
#[derive(Clone, Debug)]
pub(crate) struct Believed {
    pub(crate) address: Address,
    /// The NIC of a lease.
    pub(crate) mac: Option<Mac>,
    pub(crate) leased: bool,
    /// Whether it is in a state file.
    pub(crate) of_files: bool,
    /// The lease's host name, in lower case.
    pub(crate) name: Option<String>,
    /// Whether the agent or the ARP table reports the leased address, too.
    pub(crate) confirmed: bool,
}

impl Believed {
    pub(crate) fn leased(address: Address, mac: Mac, name: Option<String>, of_files: bool) -> Self {
        Self { address, mac: Some(mac), leased: true, of_files, name, confirmed: false }
    }

    pub(crate) fn claimed(address: Address) -> Self {
        Self { address, mac: None, leased: false, of_files: false, name: None, confirmed: false }
    }
}

/// What one connection has under a name.
#[derive(Debug, Default)]
pub(crate) struct Ranked {
    pub(crate) addresses: BTreeSet<String>,
    /// Addresses leased under another name.
    pub(crate) borrowed: BTreeSet<String>,
    /// Whether a lease of a running guest has the name.
    pub(crate) leased: bool,
    /// Whether a guest with the name runs.
    pub(crate) runs: bool,
}

impl Ranked {
    pub(crate) fn add(&mut self, address: Address) {
        self.addresses.insert(text(address));
    }

    pub(crate) fn lease(&mut self, address: Address, runs: bool) {
        self.add(address);
        self.leased |= runs;
    }

    pub(crate) fn borrow(&mut self, address: Address) {
        self.borrowed.insert(text(address));
    }

    pub(crate) fn all(&self) -> BTreeSet<String> {
        let borrowed = self.borrowed.iter().filter(|_| !self.leased);
        self.addresses.iter().chain(borrowed).cloned().collect()
    }
}

pub(crate) fn agent_names(guest: &Guest, address: Address) -> bool {
    guest.nics.iter().flat_map(|nic| &nic.addresses).any(|reported| {
        reported.source == ReportedBy::Agent && to_address(reported.address) == address
    })
}

pub(crate) fn to_address(address: IpAddr) -> Address {
    match address {
        IpAddr::V4(v4) => Address::V4(v4.octets()),
        IpAddr::V6(v6) => Address::V6(v6.octets()),
    }
}

pub(crate) fn is_good(address: Address) -> bool {
    let text = text(address);
    !["127.0.0.1", "169.254.0.1", "::ffff:10.0.0.1", "ff02::1"].contains(&text.as_str())
}

pub(crate) fn text(address: Address) -> String {
    match address {
        Address::V4(octets) => std::net::Ipv4Addr::from(octets).to_string(),
        Address::V6(octets) => std::net::Ipv6Addr::from(octets).to_string(),
    }
}
