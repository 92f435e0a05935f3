//! What libvirt reports: guests, their NICs, networks, by connection. Only values.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use guest_names::address::Mac;
use ipnet::IpNet;

/// A connection, by its place in the configuration: the first one's names win.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u16);

/// Where an address is known from: the sources of virDomainInterfaceAddresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReportedBy {
    /// A DHCP server of libvirt's; virNetworkGetDHCPLeases too.
    Lease,
    /// The guest's agent.
    Agent,
    /// The neighbour table of the guest's host (ARP, neighbour discovery).
    Neighbour,
}

/// An address that a guest's NIC is said to have. Raw: what is not to be believed is dropped by
/// [`crate::names::trust`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedAddress {
    /// The address, without a scope.
    pub address: IpAddr,
    /// Who said so.
    pub source: ReportedBy,
    /// Seconds since the epoch; 0 where no end was reported.
    pub expiry: i64,
}

/// A NIC that libvirt gave to a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nic {
    /// Its MAC, in libvirt's words and not the guest's.
    pub mac: Mac,
    /// The libvirt network that it is on, for `<interface type='network'>`.
    pub network: Option<String>,
    /// The bridge of the guest's host that it is on, from the domain's or the network's XML. macvtap has
    /// none.
    pub bridge: Option<String>,
    /// What it is said to have.
    pub addresses: Vec<ReportedAddress>,
}

/// What the agent of a guest has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agent {
    /// It isn't connected, didn't answer, or isn't asked.
    Silent,
    /// Its addresses in [`Guest::nics`] are all that the guest has.
    Answered,
}

/// A running guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    /// What libvirt knows it by.
    pub uuid: [u8; 16],
    /// The name of the domain.
    pub name: String,
    /// Its title, for people.
    pub title: Option<String>,
    /// What the agent calls the host (guest-get-host-name); unchecked.
    pub host_name: Option<String>,
    /// Whether the agent answers.
    pub agent: Agent,
    /// Its SSH server's public keys, each `TYPE BASE64`, as its agent read them; `None` where that hasn't been tried yet.
    pub host_keys: Option<Arc<[String]>>,
    /// Its NICs.
    pub nics: Vec<Nic>,
}

/// A libvirt network that is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// libvirt's name of it.
    pub name: String,
    /// Its bridge, on the host of the connection.
    pub bridge: Option<String>,
    /// `<domain name='...'/>`.
    pub domain: Option<String>,
    /// `<domain localOnly='yes'/>`: libvirt's own dnsmasq answers for the whole domain.
    pub domain_is_local: bool,
    /// Addresses on it mean something beyond its host: its forward mode is route, open, bridge or the
    /// like, and not nat, and it isn't isolated.
    pub routed: bool,
    /// Its subnets, each as the gateway's address and the length of the prefix (`<ip>`). None where libvirt
    /// gives it no addresses.
    pub subnets: Vec<IpNet>,
    /// virNetworkGetDHCPLeases; empty where not asked for.
    pub leases: Vec<NetworkLease>,
}

/// A DHCP lease of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkLease {
    /// The NIC.
    pub mac: Option<Mac>,
    /// The address.
    pub address: IpAddr,
    /// What the guest called itself; unchecked.
    pub host_name: Option<String>,
    /// Seconds since the epoch; 0: never.
    pub expiry: i64,
}

/// How a connection does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// It is being opened.
    Connecting,
    /// It is open.
    Up,
    /// It isn't.
    Down {
        /// Why, in libvirt's words.
        reason: String,
        /// Seconds until the next try.
        retry_in: u64,
    },
    /// It was closed as no guest runs, and is opened when one starts ([`ConnectionConfig::keep_alive`]).
    Idle,
}

/// What a connection reports to the daemon's main loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// How it does.
    State(ConnectionId, ConnectionState),
    /// All networks as of now.
    Networks(ConnectionId, Vec<Network>),
    /// All running guests as of now; guests that are not in it are gone.
    Guests(ConnectionId, Vec<Guest>),
    /// One guest started or changed.
    Guest(ConnectionId, Guest),
    /// Something doesn't work that the connection lives without; one line for the log.
    Warning(ConnectionId, String),
    /// Guest agents can be asked, or why not: one line.
    Agents(ConnectionId, Result<(), String>),
    /// One guest has stopped.
    Gone(ConnectionId, [u8; 16]),
}

/// What the configuration says of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionConfig {
    /// Its place.
    pub id: ConnectionId,
    /// What may follow its guests' names.
    pub name: String,
    /// libvirt's connection URI.
    pub uri: String,
    /// Ask guest agents, which needs a connection that may write.
    pub agent: bool,
    /// Have guest agents read the public keys of SSH servers.
    pub host_keys: bool,
    /// Ask the host's ARP table (virDomainInterfaceAddresses, source ARP): not where this host's own neighbour
    /// table is read.
    pub arp: bool,
    /// Ask for DHCP leases by API: not where the host's own state files are read.
    pub leases: bool,
    /// How often what has no event is asked again.
    pub refresh: Duration,
    /// How long one agent may take for one answer.
    pub agent_timeout: Duration,
    /// Stay connected while no guest runs, which keeps libvirt's daemon from ending by its timeout.
    pub keep_alive: bool,
}

impl ConnectionConfig {
    /// The URI without its parameters, which may be secret.
    #[must_use]
    pub fn uri_without_parameters(&self) -> &str {
        self.uri.split('?').next().unwrap_or(&self.uri)
    }
}
