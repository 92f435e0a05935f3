//! What is known of a running guest, kept small: there may be ten thousand.

use std::collections::HashSet;
use std::mem;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use guest_names::address::Mac;

use super::agent::Answer;
use super::raw::Interface;
use super::xml::DomainXml;
use crate::model::{Agent, Guest, Network, Nic, Source, Told};

/// So many addresses of one guest are kept. A guest may claim any number.
const MOST_ADDRESSES: usize = 256;
/// No host name is longer (RFC 1035, 2.3.4). A guest may call itself anything.
const LONGEST_HOST_NAME: usize = 255;

/// Names of networks and bridges, each kept once.
#[derive(Default)]
pub(super) struct Names(HashSet<Rc<str>>);

impl Names {
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
    /// libvirt gives each run of a domain another one.
    id: Box<str>,
    name: Box<str>,
    title: Option<Box<str>>,
    /// Whether the agent can be asked.
    pub(super) agent_is_connected: bool,
    nics: Box<[KnownNic]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct KnownNic {
    mac: Mac,
    network: Option<Rc<str>>,
    bridge: Option<Rc<str>>,
}

impl Description {
    /// Keeps what was read.
    pub(super) fn keep(xml: &DomainXml<'_>, names: &mut Names) -> Self {
        let mut keep = |name: Option<&str>| name.map(|name| names.keep(name));
        Self {
            id: xml.id.unwrap_or_default().into(),
            name: xml.name.into(),
            title: xml.title.map(Into::into),
            agent_is_connected: xml.agent_is_connected,
            nics: (xml.nics.iter())
                .map(|nic| KnownNic {
                    mac: nic.mac,
                    network: keep(nic.network),
                    bridge: keep(nic.bridge),
                })
                .collect(),
        }
    }

    /// The domain's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether the domain was started anew.
    pub(super) fn is_another_run(&self, other: &Self) -> bool {
        self.id != other.id
    }

    /// Whether it has other NICs than `other`.
    pub(super) fn has_other_nics(&self, other: &Self) -> bool {
        self.nics != other.nics
    }

    /// The addresses of those interfaces whose MAC libvirt gave to this guest. Nothing else that is said of
    /// the guest counts: it may say anything.
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

/// What the agent said last.
struct Said {
    host_name: Option<Box<str>>,
    addresses: Addresses,
    /// Since when it has not answered, unless it does.
    silent_since: Option<Instant>,
}

/// A running guest.
pub(super) struct Known {
    /// From its XML.
    pub(super) description: Description,
    said: Option<Box<Said>>,
    /// Whether the agent answered when it was last asked, and is still connected.
    answers: bool,
    arp: Addresses,
}

impl Known {
    /// A guest of which only its XML is known.
    pub(super) fn new(description: Description) -> Self {
        Self { description, said: None, answers: false, arp: Box::default() }
    }

    /// Whether the agent answered when it was last asked.
    pub(super) fn answers(&self) -> bool {
        self.answers
    }

    /// Whether the agent has ever answered.
    pub(super) fn has_answered(&self) -> bool {
        self.said.is_some()
    }

    /// Whether the agent has told addresses, but for those that a NIC gives itself.
    pub(super) fn has_said_addresses(&self) -> bool {
        let given = |address: &IpAddr| match address {
            IpAddr::V4(v4) => !v4.is_link_local(),
            IpAddr::V6(v6) => !v6.is_unicast_link_local(),
        };
        self.said.iter().flat_map(|said| &said.addresses).any(|(_, address)| given(address))
    }

    /// Takes what the agent says now. True if something changed.
    pub(super) fn hear(&mut self, answer: &Answer) -> bool {
        let said = Said {
            host_name: (answer.host_name.as_deref())
                .filter(|name| name.len() <= LONGEST_HOST_NAME)
                .map(Into::into),
            addresses: self.description.own(&answer.interfaces),
            silent_since: None,
        };
        let changed = !self.answers
            || self.said.as_ref().is_none_or(|before| {
                before.host_name != said.host_name || before.addresses != said.addresses
            });
        self.answers = true;
        match &mut self.said {
            Some(before) => **before = said,
            None => self.said = Some(Box::new(said)),
        }
        changed
    }

    /// The agent doesn't answer any more. What it said last is kept for a while (see [`Known::forget`]): an
    /// agent that is restarted takes no address from its guest. True if something changed.
    pub(super) fn silence(&mut self, now: Instant) -> bool {
        let changed = mem::replace(&mut self.answers, false);
        if let Some(said) = self.said.as_mut().filter(|_| changed) {
            said.silent_since = Some(now);
        }
        changed
    }

    /// When to forget what a silent agent said, where it said something.
    pub(super) fn holds_until(&self, hold: Duration) -> Option<Instant> {
        Some(self.said.as_ref()?.silent_since? + hold)
    }

    /// Forgets what the agent said if it has been silent for `hold`. True if something changed.
    pub(super) fn forget(&mut self, hold: Duration, now: Instant) -> bool {
        let over = self.holds_until(hold).is_some_and(|until| until <= now);
        if over {
            self.said = None;
        }
        over
    }

    /// Forgets all but the XML.
    pub(super) fn clear(&mut self) {
        self.said = None;
        self.answers = false;
        self.arp = Box::default();
    }

    /// Takes what the host's ARP table has now. True if something changed.
    pub(super) fn set_arp(&mut self, interfaces: &[Interface]) -> bool {
        let arp = self.description.own(interfaces);
        let changed = self.arp != arp;
        self.arp = arp;
        changed
    }

    /// The guest as others are told of it. An agent that answers knows all of its guest's addresses, so the
    /// ARP table counts only without.
    pub(super) fn guest(&self, uuid: [u8; 16], networks: &[Network]) -> Guest {
        let said = self.said.as_deref();
        let arp: &[_] = if self.answers { &[] } else { &self.arp };
        let addresses = |mac: Mac| {
            let agent = said.map_or(&[][..], |said| &said.addresses);
            let told =
                |source| move |&(_, address): &(Mac, IpAddr)| Told { address, source, expiry: 0 };
            (agent.iter().filter(|one| one.0 == mac).map(told(Source::Agent)))
                .chain(arp.iter().filter(|one| one.0 == mac).map(told(Source::Arp)))
                .collect()
        };
        let bridge_of = |network: &str| {
            networks.iter().find(|one| one.name == network).and_then(|one| one.bridge.clone())
        };
        Guest {
            uuid,
            name: self.description.name.as_ref().into(),
            title: self.description.title.as_deref().map(Into::into),
            host_name: said.and_then(|said| said.host_name.as_deref()).map(Into::into),
            agent: if self.answers { Agent::Answered } else { Agent::Silent },
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
    const HOLD: Duration = Duration::from_secs(90);

    fn known() -> Known {
        let nics = vec![NicXml { mac: OWN, network: Some("default"), bridge: None }];
        let xml = DomainXml {
            id: Some("7"),
            name: "web-vm",
            title: None,
            agent_is_connected: true,
            nics,
        };
        Known::new(Description::keep(&xml, &mut Names::default()))
    }

    fn interface(mac: Mac, address: &str) -> Interface {
        Interface { mac, addresses: vec![address.parse().unwrap()] }
    }

    fn answer(interfaces: Vec<Interface>) -> Answer {
        Answer { host_name: Some("web".into()), interfaces }
    }

    fn addresses(known: &Known) -> Vec<(String, Source)> {
        let guest = known.guest([0; 16], &[]);
        guest.nics[0].addresses.iter().map(|t| (t.address.to_string(), t.source)).collect()
    }

    #[test]
    fn an_address_on_a_nic_that_is_not_the_guests_does_not_count() {
        let mut known = known();
        let said = answer(vec![interface(FOREIGN, "10.0.0.66"), interface(OWN, "10.0.0.5")]);
        assert!(known.hear(&said));
        assert_eq!(addresses(&known), [("10.0.0.5".into(), Source::Agent)]);
        assert!(known.set_arp(&[interface(OWN, "10.0.0.7")]));
        assert!(!known.set_arp(&[interface(OWN, "10.0.0.7"), interface(FOREIGN, "10.0.0.66")]));
    }

    #[test]
    fn saying_the_same_again_changes_nothing() {
        let mut known = known();
        let said = answer(vec![interface(OWN, "10.0.0.5")]);
        assert!(known.hear(&said));
        assert!(!known.hear(&said));
        assert!(known.hear(&answer(Vec::new())));
    }

    #[test]
    fn what_a_guest_claims_has_a_limit() {
        let mut known = known();
        let all =
            (0..=u16::MAX).map(|n| IpAddr::from([10, 0, n.to_be_bytes()[0], n.to_be_bytes()[1]]));
        let interfaces = vec![Interface { mac: OWN, addresses: all.collect() }];
        known.hear(&Answer { host_name: Some("x".repeat(256)), interfaces });
        assert_eq!(addresses(&known).len(), MOST_ADDRESSES);
        assert_eq!(known.guest([0; 16], &[]).host_name, None);
    }

    #[test]
    fn arp_counts_where_the_agent_is_silent() {
        let mut known = known();
        known.set_arp(&[interface(OWN, "10.0.0.7")]);
        assert_eq!(addresses(&known), [("10.0.0.7".into(), Source::Arp)]);
        known.hear(&answer(vec![interface(OWN, "10.0.0.5")]));
        assert_eq!(addresses(&known), [("10.0.0.5".into(), Source::Agent)]);
    }

    #[test]
    fn what_a_silent_agent_said_holds_for_a_while() {
        let (mut known, start) = (known(), Instant::now());
        known.hear(&answer(vec![interface(OWN, "10.0.0.5")]));
        assert_eq!(known.holds_until(HOLD), None, "it answers");
        assert!(known.silence(start));
        assert!(!known.silence(start + HOLD / 3));
        let guest = known.guest([0; 16], &[]);
        assert_eq!(guest.agent, Agent::Silent);
        assert_eq!(guest.host_name.as_deref(), Some("web"));
        assert_eq!(known.holds_until(HOLD), Some(start + HOLD));
        assert!(!known.forget(HOLD, start + HOLD / 2));
        assert!(known.forget(HOLD, start + HOLD));
        assert!(addresses(&known).is_empty());
        assert_eq!(known.guest([0; 16], &[]).host_name, None);
    }

    #[test]
    fn the_bridge_comes_from_the_network_where_the_domain_does_not_tell_it() {
        let network = Network {
            name: "default".into(),
            bridge: Some("virbr0".into()),
            domain: None,
            routed: false,
            leases: Vec::new(),
        };
        let guest = known().guest([9; 16], &[network]);
        assert_eq!(guest.nics[0].network.as_deref(), Some("default"));
        assert_eq!(guest.nics[0].bridge.as_deref(), Some("virbr0"));
    }
}
