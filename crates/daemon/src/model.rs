//! What libvirt reports, as values: guests, their NICs and networks, by connection.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use guest_names::address::Mac;
use ipnet::IpNet;

/// How many addresses are taken from one guest, not counting leases in this host's state files.
pub const GUEST_ADDRESSES: usize = 64;

/// A connection's index in the configuration. The names of the first connection win.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u16);

/// Who reports an address: the sources of virDomainInterfaceAddresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReportedBy {
    /// One of libvirt's DHCP servers. Also for virNetworkGetDHCPLeases.
    Lease,
    /// The guest's agent.
    Agent,
    /// The neighbour table of the guest's host (ARP, neighbour discovery).
    Neighbour,
}

/// An address that a guest's NIC is reported to have. Unchecked: [`crate::names::trust`] decides whether it is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedAddress {
    /// The address, without a scope.
    pub address: IpAddr,
    /// Who reports it.
    pub source: ReportedBy,
    /// Seconds since the epoch; 0 where no end was reported.
    pub expiry: i64,
}

/// A NIC that libvirt gave a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nic {
    /// Its MAC address as libvirt has it, which the guest can't choose.
    pub mac: Mac,
    /// Its libvirt network, for `<interface type='network'>`.
    pub network: Option<String>,
    /// Its bridge on the guest's host, from the domain's or the network's XML. A macvtap NIC has none.
    pub bridge: Option<String>,
    /// The addresses it is reported to have.
    pub addresses: Vec<ReportedAddress>,
}

/// Whether a guest's agent answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agent {
    /// It isn't connected, didn't answer, or isn't queried.
    Silent,
    /// Its addresses in [`Guest::nics`] are all that the guest has.
    Answered,
}

/// A running guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    /// Its UUID in libvirt.
    pub uuid: [u8; 16],
    /// The name of the domain.
    pub name: String,
    /// Its title, for display.
    pub title: Option<String>,
    /// The host name that the agent reports (guest-get-host-name); unchecked.
    pub host_name: Option<String>,
    /// Whether the agent answers.
    pub agent: Agent,
    /// Its SSH server's public keys, each `TYPE BASE64`, as read by its agent; `None` if that hasn't been tried yet.
    pub host_keys: Option<Arc<[String]>>,
    /// Its NICs.
    pub nics: Vec<Nic>,
}

/// An active libvirt network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// Its bridge, on the host of the connection.
    pub bridge: Option<String>,
    /// `<domain name='...'/>`.
    pub domain: Option<String>,
    /// `<domain localOnly='yes'/>`: libvirt's own dnsmasq answers for the whole domain.
    pub domain_is_local: bool,
    /// Whether other machines can reach its addresses: its forward mode is route, open, bridge or the like, so it is neither NAT
    /// nor isolated.
    pub routed: bool,
    /// Its subnets, each as the gateway's address and the prefix length (`<ip>`). Empty if libvirt assigns no addresses.
    pub subnets: Vec<IpNet>,
    /// virNetworkGetDHCPLeases; empty if not queried.
    pub leases: Vec<NetworkLease>,
}

/// A DHCP lease of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkLease {
    /// The NIC's MAC address.
    pub mac: Option<Mac>,
    /// The address.
    pub address: IpAddr,
    /// The host name that the guest sent; unchecked.
    pub host_name: Option<String>,
    /// Seconds since the epoch; 0: never.
    pub expiry: i64,
}

/// The state of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// It is being opened.
    Connecting,
    /// It is open.
    Up,
    /// It isn't.
    Down {
        /// Why: libvirt's message.
        reason: String,
        /// Seconds until the next try.
        retry_in: u64,
    },
    /// It was closed because no guest runs, and is reopened when one starts ([`ConnectionConfig::keep_alive`]).
    Idle,
}

/// What a connection reports to the daemon's main loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// The state of the connection.
    State(ConnectionId, ConnectionState),
    /// All current networks.
    Networks(ConnectionId, Vec<Network>),
    /// All running guests. Guests that are not in it have stopped.
    Guests(ConnectionId, Vec<Guest>),
    /// One guest started or changed.
    Guest(ConnectionId, Guest),
    /// Something optional doesn't work; a log message.
    Warning(ConnectionId, String),
    /// Guest agents can be queried, or why not: one line.
    Agents(ConnectionId, Result<(), String>),
    /// One guest has stopped.
    Gone(ConnectionId, [u8; 16]),
}

/// The configuration of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionConfig {
    /// Its index.
    pub id: ConnectionId,
    /// Its name, which is also a suffix of its guests' names.
    pub name: String,
    /// libvirt's connection URI.
    pub uri: String,
    /// Whether to query guest agents, which needs a read-write connection.
    pub agent: bool,
    /// Whether guest agents read their SSH servers' public keys.
    pub host_keys: bool,
    /// Whether to query the host's ARP table (virDomainInterfaceAddresses, source ARP). Not needed if this host's own neighbour
    /// table is read.
    pub arp: bool,
    /// Whether to query DHCP leases through the API. Not needed if this host's own state files are read.
    pub leases: bool,
    /// How often to query what has no event.
    pub refresh: Duration,
    /// How long an agent may take to answer.
    pub agent_timeout: Duration,
    /// Whether to stay connected while no guest runs, which keeps libvirt's daemon from exiting on its timeout.
    pub keep_alive: bool,
}

impl ConnectionConfig {
    /// The URI without its parameters, which may be secret.
    #[must_use]
    pub fn uri_without_parameters(&self) -> &str {
        self.uri.split('?').next().unwrap_or(&self.uri)
    }
}
