//! The records for ssh: which names and addresses identify which guest, the guests' host keys, and the route to guests
//! that only their own host can reach.
//!
//! A host key is only as good as the name it is recorded under. So only names that the administrator chose have keys: the
//! name of a domain, alone or with a suffix (see [`super::suffix`]). A host name that a guest chose never has a key. Nor
//! does it keep a domain of the same name from having one: if a connection ends up at the wrong guest, the domain's key
//! stops it. A name that two guests share has no key.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::net::IpAddr;

use guest_names::address::Address;
use guest_names::snapshot::format::kind;
use guest_store::snapshot::ssh::{GuestId, SshGuest, SshRoute, address_key, guest_key, name_key};

use super::connections::{bridge_of, guests, network_on};
use super::index::octets;
use super::suffix::{self, Suffixes};
use super::table::{Class, Span, Table};
use super::{Input, Pulse};
use crate::config::ssh_host;
use crate::facts::{Connection, KnownGuest};
use crate::model::{Network, Nic};

/// How many addresses are recorded for a guest that is reached through its host. ssh uses one of them.
pub(super) const ADDRESSES: usize = 8;

/// What `guests` collects for ssh while it goes through the guests' addresses.
#[derive(Default)]
pub(super) struct Addresses {
    /// Addresses that are leased to a guest and, as far as leases show, to no other. Two guests may still both be here.
    pub(super) leased: Vec<(Address, GuestId)>,
    /// Guests that only their own host can reach, in the order of their ids, with their addresses there.
    pub(super) behind: Vec<(GuestId, Vec<IpAddr>)>,
}

/// The records that ssh reads.
#[derive(Debug, Default)]
pub struct SshRecords {
    /// The guest of each name and address, by the record's key.
    by_key: Vec<(Vec<u8>, GuestId)>,
    guests: BTreeMap<GuestId, SshGuest>,
}

impl SshRecords {
    /// Calls `take` with each record's key and data.
    ///
    /// # Errors
    /// The first error of `take`.
    pub fn each(&self, mut take: impl FnMut(&[u8], &[u8]) -> io::Result<()>) -> io::Result<()> {
        for (key, id) in &self.by_key {
            take(key, &id.to_bytes())?;
        }
        for (id, guest) in &self.guests {
            take(&guest_key(*id), &guest.to_json()?)?;
        }
        Ok(())
    }
}

/// Who has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    Guest(GuestId),
    /// A domain that is only in a MAC map: its libvirt driver is one that the daemon isn't connected to.
    Unlisted,
}

impl Holder {
    /// A guest reported by two connections, as during a migration, is the same guest. The first connection's report counts.
    fn is_same(self, other: Self) -> bool {
        match (self, other) {
            (Self::Guest(one), Self::Guest(other)) => one.uuid == other.uuid,
            _ => false,
        }
    }
}

/// The guest's id in the snapshot.
pub(super) fn id_of(connection: &Connection, known: &KnownGuest) -> GuestId {
    GuestId { connection: connection.settings.config.id.0, uuid: known.guest.uuid }
}

/// Makes the records for ssh.
pub(super) fn records(input: Input<'_>, addresses: Addresses, pulse: &mut Pulse<'_>) -> SshRecords {
    let guests = guests_for_ssh(input, addresses.behind);
    if guests.is_empty() {
        return SshRecords::default();
    }
    let mut by_key = Vec::new();
    let mut names = DomainNames::default();
    names.add_guests(input, pulse);
    names.add_unlisted(input);
    names.each_unshared(|name, id| {
        if guests.contains_key(&id) {
            by_key.push((name_key(name), id));
        }
    });
    let mut leased = addresses.leased;
    leased.sort_unstable_by_key(|&(address, id)| (octets(address), id));
    for holders in leased.chunk_by(|one, other| one.0 == other.0) {
        let (address, id) = holders[0];
        if holders.iter().all(|(_, other)| other.uuid == id.uuid) {
            by_key.push((address_key(to_ip(address)), id));
        }
    }
    SshRecords { by_key, guests }
}

/// The guests that have host keys, or that only their own host can reach.
fn guests_for_ssh(
    input: Input<'_>,
    behind: Vec<(GuestId, Vec<IpAddr>)>,
) -> BTreeMap<GuestId, SshGuest> {
    let mut behind: BTreeMap<GuestId, Vec<IpAddr>> = behind.into_iter().collect();
    let mut all = BTreeMap::new();
    for (_, connection, known) in guests(input.facts) {
        let id = id_of(connection, known);
        let keys = known.guest.host_keys.as_deref().unwrap_or_default();
        let route = behind.remove(&id).and_then(|addresses| {
            Some(SshRoute { addresses, host: ssh_host(&connection.settings.config.uri)? })
        });
        if !keys.is_empty() || route.is_some() {
            let (name, keys) = (known.guest.name.clone(), keys.to_vec());
            let connection = connection.settings.config.name.clone();
            all.insert(id, SshGuest { name, connection, keys, route });
        }
    }
    all
}

/// The names of all guests, with or without keys, so that a name shared with a guest without keys is noticed.
#[derive(Default)]
struct DomainNames {
    table: Table,
    rows: Vec<(Span, Class, Holder)>,
}

impl DomainNames {
    fn add_guests(&mut self, input: Input<'_>, pulse: &mut Pulse<'_>) {
        let mut suffixes = Suffixes::new(input.naming);
        for (_, connection, known) in guests(input.facts) {
            pulse();
            let name = known.guest.name.as_bytes();
            let holder = Holder::Guest(id_of(connection, known));
            self.add_own(name, holder);
            let mut networks: Vec<Option<&Network>> = vec![None];
            for nic in &known.guest.nics {
                let network = network_of(input, connection, nic);
                let is_known =
                    |other: &&Network| network.is_some_and(|one| std::ptr::eq(*other, one));
                if !networks.iter().flatten().any(is_known) {
                    networks.push(network);
                }
            }
            for network in networks {
                let place = (connection, network);
                let made = suffixes.aliases(&mut self.table, kind::GUEST, name, place);
                let made = made.into_iter().flatten();
                self.rows.extend(made.map(|(key, class)| (key, class, holder)));
            }
        }
    }

    /// Adds the domains in the MAC maps that no connection to this host lists.
    fn add_unlisted(&mut self, input: Input<'_>) {
        let here = guests(input.facts).filter(|(_, connection, _)| connection.settings.here);
        let listed: HashSet<&[u8]> =
            here.map(|(_, _, known)| known.guest.name.as_bytes()).collect();
        let files = &input.files.contents;
        for domain in &files.domains {
            let name = files.text(domain.name);
            if !listed.contains(name) {
                self.add_own(name, Holder::Unlisted);
            }
        }
    }

    fn add_own(&mut self, name: &[u8], holder: Holder) {
        let key = suffix::own_key(&mut self.table, kind::GUEST, name);
        self.rows.extend(key.map(|key| (key, Class::Own, holder)));
    }

    /// Calls `take` with each name that only one guest has. As in a look-up, only names of the lowest [`Class`] present count.
    fn each_unshared(&mut self, mut take: impl FnMut(&[u8], GuestId)) {
        let Self { table, rows } = self;
        // The sort is stable: rows of one name stay in the order of the connections.
        rows.sort_by(|a, b| (table.text(a.0), a.1.order()).cmp(&(table.text(b.0), b.1.order())));
        for of_name in rows.chunk_by(|a, b| table.text(a.0) == table.text(b.0)) {
            let (key, class, first) = of_name[0];
            let mut others = of_name.iter().filter(|row| row.1.order() == class.order());
            if let Holder::Guest(id) = first {
                if others.all(|row| row.2.is_same(first)) {
                    // The key's first byte is its kind.
                    take(table.text(key).get(1..).unwrap_or_default(), id);
                }
            }
        }
    }
}

/// The network of a NIC, if it is known.
fn network_of<'i>(input: Input<'i>, connection: &'i Connection, nic: &Nic) -> Option<&'i Network> {
    match &nic.network {
        Some(name) => connection.networks.iter().find(|one| one.name == *name),
        None if connection.settings.here => network_on(input.facts, bridge_of(nic)?),
        None => None,
    }
}

fn to_ip(address: Address) -> IpAddr {
    match address {
        Address::V4(octets) => octets.into(),
        Address::V6(octets) => octets.into(),
    }
}
