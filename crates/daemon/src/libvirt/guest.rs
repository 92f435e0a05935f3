//! What a session knows about a running guest, kept small since there may be ten thousand.

use std::collections::HashSet;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use guest_names::address::Mac;

use super::agent::Answer;
use super::host_keys::HostKeys;
use super::raw::Interface;
use super::xml::DomainXml;
use crate::model::{Agent, Guest, Network, Nic, ReportedAddress, ReportedBy};

/// How many addresses of one guest are kept. A guest may claim any number.
const MOST_ADDRESSES: usize = 256;
/// The longest host name that is kept (RFC 1035, 2.3.4). A guest may report anything.
const LONGEST_HOST_NAME: usize = 255;

/// Names of networks and bridges, each stored once.
#[derive(Default)]
pub(super) struct SharedNames(HashSet<Rc<str>>);

impl SharedNames {
    fn keep(&mut self, name: &str) -> Rc<str> {
        if let Some(kept) = self.0.get(name) {
            return Rc::clone(kept);
        }
        let new: Rc<str> = name.into();
        self.0.insert(Rc::clone(&new));
        new
    }
}

/// What the domain's XML says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Description {
    /// Differs in each run of the domain.
    id: Box<str>,
    name: Box<str>,
    title: Option<Box<str>>,
    /// Whether the agent can be queried.
    pub(super) agent_is_connected: bool,
    nics: Box<[NicDescription]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct NicDescription {
    mac: Mac,
    network: Option<Rc<str>>,
    bridge: Option<Rc<str>>,
}

impl Description {
    /// Copies what matters from the XML.
    pub(super) fn keep(xml: &DomainXml<'_>, names: &mut SharedNames) -> Self {
        let mut keep = |name: Option<&str>| name.map(|name| names.keep(name));
        Self {
            id: xml.id.unwrap_or_default().into(),
            name: xml.name.into(),
            title: xml.title.map(Into::into),
            agent_is_connected: xml.agent_is_connected,
            nics: (xml.nics.iter())
                .map(|nic| NicDescription {
                    mac: nic.mac,
                    network: keep(nic.network),
                    bridge: keep(nic.bridge),
                })
                .collect(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether the two are about different runs of the domain.
    pub(super) fn is_another_run(&self, other: &Self) -> bool {
        self.id != other.id
    }

    pub(super) fn has_other_nics(&self, other: &Self) -> bool {
        self.nics != other.nics
    }

    /// The addresses of those interfaces whose MAC belongs to this guest according to libvirt. All others are ignored, since
    /// the guest may claim anything.
    fn own(&self, interfaces: &[Interface]) -> Addresses {
        (interfaces.iter())
            .filter(|interface| self.nics.iter().any(|nic| nic.mac == interface.mac))
            .flat_map(|interface| {
                interface.addresses.iter().map(|&address| (interface.mac, address))
            })
            .take(MOST_ADDRESSES)
            .collect()
    }
}

type Addresses = Box<[(Mac, IpAddr)]>;

/// What the agent says.
struct AgentReport {
    host_name: Option<Box<str>>,
    addresses: Addresses,
}

/// A running guest, as its sources describe it now. How long reports count after a source falls silent isn't decided here,
/// but by [`crate::facts::KnownGuest`].
pub(super) struct SessionGuest {
    /// From its XML.
    pub(super) description: Description,
    /// The agent's answer to the last query, if it answered and is still connected.
    agent: Option<Box<AgentReport>>,
    /// Whether the agent has ever answered.
    has_answered: bool,
    /// The host keys that the agent has read in this run of the domain. They still count if the agent falls silent.
    host_keys: Option<Arc<[String]>>,
    arp: Addresses,
}

impl SessionGuest {
    /// A guest of which only the XML is known.
    pub(super) fn new(description: Description) -> Self {
        Self { description, agent: None, has_answered: false, host_keys: None, arp: Box::default() }
    }

    /// Whether the agent answered the last query.
    pub(super) fn answers(&self) -> bool {
        self.agent.is_some()
    }

    /// Whether the agent has ever answered.
    pub(super) fn has_answered(&self) -> bool {
        self.has_answered
    }

    /// Whether the agent reports any address that isn't link-local.
    pub(super) fn has_agent_addresses(&self) -> bool {
        let given = |address: &IpAddr| match address {
            IpAddr::V4(v4) => !v4.is_link_local(),
            IpAddr::V6(v6) => !v6.is_unicast_link_local(),
        };
        self.agent.iter().flat_map(|agent| &agent.addresses).any(|(_, address)| given(address))
    }

    /// Whether the agent was able to look, but found no host keys.
    pub(super) fn is_without_host_keys(&self) -> bool {
        self.host_keys.as_ref().is_some_and(|keys| keys.is_empty())
    }

    /// Stores host keys that were read. Returns whether they changed.
    fn set_host_keys(&mut self, read: &HostKeys) -> bool {
        let HostKeys::Read(keys) = read else { return false };
        let changed = self.host_keys.as_deref() != Some(keys);
        if changed {
            self.host_keys = Some(keys.as_slice().into());
        }
        changed
    }

    /// Stores the agent's answer. Returns whether anything changed.
    pub(super) fn set_agent(&mut self, answer: &Answer) -> bool {
        let has_other_keys = self.set_host_keys(&answer.host_keys);
        let report = AgentReport {
            host_name: (answer.host_name.as_deref())
                .filter(|name| name.len() <= LONGEST_HOST_NAME)
                .map(Into::into),
            addresses: self.description.own(&answer.interfaces),
        };
        self.has_answered = true;
        match &mut self.agent {
            Some(before) => {
                let changed =
                    before.host_name != report.host_name || before.addresses != report.addresses;
                **before = report;
                changed || has_other_keys
            }
            None => {
                self.agent = Some(Box::new(report));
                true
            }
        }
    }

    /// The agent no longer answers. Returns whether anything changed.
    pub(super) fn silence(&mut self) -> bool {
        self.agent.take().is_some()
    }

    /// Resets what a new session has yet to query.
    pub(super) fn begin_session(&mut self) {
        self.agent = None;
        self.arp = Box::default();
    }

    /// Stores the addresses that the host's ARP table has now. Returns whether they changed.
    pub(super) fn set_arp(&mut self, interfaces: &[Interface]) -> bool {
        let arp = self.description.own(interfaces);
        let changed = self.arp != arp;
        self.arp = arp;
        changed
    }

    /// The guest as the session reports it. An agent that answers knows all of its guest's addresses, so the ARP table only
    /// counts while the agent is silent.
    pub(super) fn guest(&self, uuid: [u8; 16], networks: &[Network]) -> Guest {
        let agent = self.agent.as_deref();
        let arp: &[_] = if agent.is_some() { &[] } else { &self.arp };
        let addresses = |mac: Mac| {
            let agent = agent.map_or(&[][..], |agent| &agent.addresses);
            let reported = |source| {
                move |&(_, address): &(Mac, IpAddr)| ReportedAddress { address, source, expiry: 0 }
            };
            (agent.iter().filter(|one| one.0 == mac).map(reported(ReportedBy::Agent)))
                .chain(arp.iter().filter(|one| one.0 == mac).map(reported(ReportedBy::Neighbour)))
                .collect()
        };
        let bridge_of = |network: &str| {
            networks.iter().find(|one| one.name == network).and_then(|one| one.bridge.clone())
        };
        Guest {
            uuid,
            name: self.description.name.as_ref().into(),
            title: self.description.title.as_deref().map(Into::into),
            host_name: agent.and_then(|agent| agent.host_name.as_deref()).map(Into::into),
            agent: if agent.is_some() { Agent::Answered } else { Agent::Silent },
            host_keys: self.host_keys.clone(),
            nics: (self.description.nics.iter())
                .map(|nic| Nic {
                    mac: nic.mac,
                    network: nic.network.as_deref().map(Into::into),
                    bridge: (nic.bridge.as_deref().map(Into::into))
                        .or_else(|| nic.network.as_deref().and_then(bridge_of)),
                    addresses: addresses(nic.mac),
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::libvirt::xml::NicXml;

    const OWN: Mac = Mac([0x52, 0x54, 0, 0, 0, 1]);
    const FOREIGN: Mac = Mac([0x52, 0x54, 0, 0, 0, 2]);

    fn known() -> SessionGuest {
        let nics = vec![NicXml { mac: OWN, network: Some("default"), bridge: None }];
        let xml = DomainXml {
            id: Some("7"),
            name: "web-vm",
            title: None,
            agent_is_connected: true,
            nics,
        };
        SessionGuest::new(Description::keep(&xml, &mut SharedNames::default()))
    }

    fn interface(mac: Mac, address: &str) -> Interface {
        Interface { mac, addresses: vec![address.parse().unwrap()] }
    }

    fn answer(interfaces: Vec<Interface>) -> Answer {
        Answer { host_name: Some("web".into()), interfaces, host_keys: HostKeys::NotAsked }
    }

    fn addresses(known: &SessionGuest) -> Vec<(String, ReportedBy)> {
        let guest = known.guest([0; 16], &[]);
        guest.nics[0].addresses.iter().map(|t| (t.address.to_string(), t.source)).collect()
    }

    #[test]
    fn addresses_on_foreign_nics_are_ignored() {
        let mut known = known();
        let said = answer(vec![interface(FOREIGN, "10.0.0.66"), interface(OWN, "10.0.0.5")]);
        assert!(known.set_agent(&said));
        assert_eq!(addresses(&known), [("10.0.0.5".into(), ReportedBy::Agent)]);
        assert!(known.set_arp(&[interface(OWN, "10.0.0.7")]));
        assert!(!known.set_arp(&[interface(OWN, "10.0.0.7"), interface(FOREIGN, "10.0.0.66")]));
    }

    #[test]
    fn a_repeated_answer_changes_nothing() {
        let mut known = known();
        let said = answer(vec![interface(OWN, "10.0.0.5")]);
        assert!(known.set_agent(&said));
        assert!(!known.set_agent(&said));
        assert!(known.set_agent(&answer(Vec::new())));
    }

    #[test]
    fn host_keys_outlive_the_agent() {
        let with = |host_keys| Answer { host_keys, ..answer(Vec::new()) };
        let of =
            |known: &SessionGuest| known.guest([0; 16], &[]).host_keys.map(|keys| keys.to_vec());
        let mut known = known();
        known.set_agent(&with(HostKeys::NotAsked));
        assert_eq!((of(&known), known.is_without_host_keys()), (None, false));
        let one = || HostKeys::Read(vec!["ssh-rsa AAAA".into()]);
        assert!(known.set_agent(&with(one())));
        assert!(!known.set_agent(&with(one())));
        assert!(!known.set_agent(&with(HostKeys::Failed("hung".into()))));
        known.silence();
        known.begin_session();
        assert_eq!(of(&known), Some(vec!["ssh-rsa AAAA".to_owned()]));
        known.set_agent(&with(HostKeys::Read(Vec::new())));
        assert_eq!((of(&known), known.is_without_host_keys()), (Some(Vec::new()), true));
    }

    #[test]
    fn what_a_guest_claims_is_limited() {
        let mut known = known();
        let all =
            (0..=u16::MAX).map(|n| IpAddr::from([10, 0, n.to_be_bytes()[0], n.to_be_bytes()[1]]));
        let interfaces = vec![Interface { mac: OWN, addresses: all.collect() }];
        known.set_agent(&Answer { host_name: Some("x".repeat(256)), ..answer(interfaces) });
        assert_eq!(addresses(&known).len(), MOST_ADDRESSES);
        assert_eq!(known.guest([0; 16], &[]).host_name, None);
    }

    #[test]
    fn the_arp_table_counts_while_the_agent_is_silent() {
        let mut known = known();
        known.set_arp(&[interface(OWN, "10.0.0.7")]);
        assert_eq!(addresses(&known), [("10.0.0.7".into(), ReportedBy::Neighbour)]);
        known.set_agent(&answer(vec![interface(OWN, "10.0.0.5")]));
        assert_eq!(addresses(&known), [("10.0.0.5".into(), ReportedBy::Agent)]);
    }

    #[test]
    fn a_silent_agent_reports_nothing() {
        let mut known = known();
        known.set_agent(&answer(vec![interface(OWN, "10.0.0.5")]));
        assert!(known.silence());
        assert!(!known.silence());
        let guest = known.guest([0; 16], &[]);
        assert_eq!((guest.agent, guest.host_name), (Agent::Silent, None));
        assert!(addresses(&known).is_empty() && known.has_answered());
    }

    #[test]
    fn the_bridge_comes_from_the_network_if_the_domain_has_none() {
        let network = Network {
            name: "default".into(),
            bridge: Some("virbr0".into()),
            domain: None,
            routed: false,
            domain_is_local: false,
            subnets: Vec::new(),
            leases: Vec::new(),
        };
        let guest = known().guest([9; 16], &[network]);
        assert_eq!(guest.nics[0].network.as_deref(), Some("default"));
        assert_eq!(guest.nics[0].bridge.as_deref(), Some("virbr0"));
    }
}
