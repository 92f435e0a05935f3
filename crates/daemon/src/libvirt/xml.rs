//! The parts of libvirt's XML that the daemon needs (<https://libvirt.org/formatdomain.html>, `formatnetwork.html`).

use std::net::IpAddr;

use guest_names::address::Mac;
use ipnet::{IpNet, ip_mask_to_prefix};
use roxmltree::{Document, Node};

/// The guest agent's channel.
const AGENT_CHANNEL: &str = "org.qemu.guest_agent.0";

/// What the daemon needs from a domain's XML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DomainXml<'a> {
    /// The id of this run of the domain; `None` if it isn't running.
    pub(super) id: Option<&'a str>,
    /// `<name>`.
    pub(super) name: &'a str,
    /// `<title>`, unless it is empty.
    pub(super) title: Option<&'a str>,
    /// Whether the agent has opened its end of the channel.
    pub(super) agent_is_connected: bool,
    /// Interfaces with a MAC, in the XML's order.
    pub(super) nics: Vec<NicXml<'a>>,
}

/// An `<interface>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NicXml<'a> {
    /// `<mac address=>`.
    pub(super) mac: Mac,
    /// `<source network=>`: of type `network`, and of the types that replace it in a running domain's XML
    /// (virDomainActualNetDefFormat in conf/domain_conf.c): `bridge` for a bridge that the host manages, `direct` for macvtap.
    pub(super) network: Option<&'a str>,
    /// `<source bridge=>`: of type `bridge` and, in a running domain, also of type `network` if the network has a bridge.
    pub(super) bridge: Option<&'a str>,
}

impl<'a> DomainXml<'a> {
    /// Reads a parsed `<domain>`. `None` if it is something else or has no name.
    pub(super) fn read(document: &'a Document<'_>) -> Option<Self> {
        let domain = document.root_element();
        if !domain.has_tag_name("domain") {
            return None;
        }
        let devices = child(domain, "devices");
        Some(Self {
            id: domain.attribute("id"),
            name: child(domain, "name").and_then(|name| name.text())?,
            title: child(domain, "title").and_then(|title| title.text()),
            agent_is_connected: children(devices, "channel").any(is_connected_agent),
            nics: children(devices, "interface").filter_map(nic).collect(),
        })
    }
}

fn is_connected_agent(channel: Node<'_, '_>) -> bool {
    child(channel, "target").is_some_and(|target| {
        target.attribute("name") == Some(AGENT_CHANNEL)
            && target.attribute("state") == Some("connected")
    })
}

fn nic<'a>(interface: Node<'a, '_>) -> Option<NicXml<'a>> {
    let mac = Mac::parse(child(interface, "mac")?.attribute("address")?.as_bytes())?;
    let source = child(interface, "source");
    let of = |kinds: &[&str], name: &str| {
        source
            .filter(|_| interface.attribute("type").is_some_and(|kind| kinds.contains(&kind)))
            .and_then(|source| source.attribute(name))
            .filter(|value| !value.is_empty())
    };
    Some(NicXml {
        mac,
        network: of(&["network", "bridge", "direct"], "network"),
        bridge: of(&["network", "bridge"], "bridge"),
    })
}

/// What the daemon needs from a network's XML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NetworkXml<'a> {
    /// `<name>`.
    pub(super) name: &'a str,
    /// `<bridge name=>`; macvtap and SR-IOV networks have none.
    pub(super) bridge: Option<&'a str>,
    /// `<domain name=>`.
    pub(super) domain: Option<&'a str>,
    /// `<domain localOnly='yes'>`.
    pub(super) domain_is_local: bool,
    /// Whether there is a `<forward>` whose mode leaves guests' addresses as they are: any mode but `nat`, the default. A
    /// network without `<forward>` is isolated.
    pub(super) routed: bool,
    /// The `<ip>` elements: the host's address, which is the gateway, and the prefix length.
    pub(super) subnets: Vec<IpNet>,
}

impl<'a> NetworkXml<'a> {
    /// Reads a parsed `<network>`. `None` if it is something else or has no name.
    pub(super) fn read(document: &'a Document<'_>) -> Option<Self> {
        let network = document.root_element();
        if !network.has_tag_name("network") {
            return None;
        }
        let named = |tag| {
            child(network, tag)
                .and_then(|node: Node<'a, '_>| node.attribute("name"))
                .filter(|name| !name.is_empty())
        };
        let forward = child(network, "forward");
        let mode = forward.map(|forward| forward.attribute("mode").unwrap_or("nat"));
        Some(Self {
            name: child(network, "name").and_then(|name| name.text())?,
            bridge: named("bridge"),
            domain: named("domain"),
            domain_is_local: child(network, "domain")
                .is_some_and(|domain| domain.attribute("localOnly") == Some("yes")),
            routed: mode.is_some_and(|mode| !["nat", "none"].contains(&mode)),
            subnets: children(Some(network), "ip").filter_map(subnet).collect(),
        })
    }
}

/// Without netmask and prefix, the prefix length is that of the address's class, or 64 for IPv6
/// (virSocketAddrGetIPPrefix in util/virsocketaddr.c).
fn subnet(ip: Node<'_, '_>) -> Option<IpNet> {
    let address: IpAddr = ip.attribute("address")?.parse().ok()?;
    let prefix = match (ip.attribute("prefix"), ip.attribute("netmask"), address) {
        (Some(prefix), ..) => prefix.parse().ok()?,
        (None, Some(netmask), _) => ip_mask_to_prefix(netmask.parse().ok()?).ok()?,
        (None, None, IpAddr::V6(_)) => 64,
        (None, None, IpAddr::V4(v4)) => match v4.octets()[0] {
            ..128 => 8,
            128..192 => 16,
            192.. => 24,
        },
    };
    IpNet::new(address, prefix).ok()
}

fn child<'a, 'input>(node: Node<'a, 'input>, tag: &str) -> Option<Node<'a, 'input>> {
    node.children().find(|child| child.has_tag_name(tag))
}

fn children<'a, 'input>(
    node: Option<Node<'a, 'input>>,
    tag: &'static str,
) -> impl Iterator<Item = Node<'a, 'input>> {
    node.into_iter().flat_map(|node| node.children()).filter(move |child| child.has_tag_name(tag))
}

#[cfg(test)]
mod tests;
