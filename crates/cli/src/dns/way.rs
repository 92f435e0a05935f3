//! The ways in which a resolver gets guests' names, and the files of each. Each way was tested with its resolvers: it
//! works, and they ask us for no other name (docs/dns.md).

use super::MARK;
use super::outlets::Outlet;
use super::server::Address;

/// A service that configures interfaces, and what keeps it from configuring our link.
#[derive(Debug)]
pub(crate) struct LinkManager {
    pub(crate) service: &'static str,
    /// The file that tells it so. Its directory exists where the service is installed.
    pub(crate) path: &'static str,
    content: &'static str,
    /// The command that has it read the file.
    pub(crate) reload: &'static str,
}

/// See NetworkManager.conf(5) and systemd.network(5), of which the first file in alphabetical order that matches counts.
pub(crate) const LINK_MANAGERS: [LinkManager; 2] = [
    LinkManager {
        service: "NetworkManager.service",
        path: "/etc/NetworkManager/conf.d/libvirt-nss-dns.conf",
        content: "[device-libvirt-nss-dns]\nmatch-device=interface-name:vmdns*\nmanaged=0\n",
        reload: "systemctl try-reload-or-restart NetworkManager.service",
    },
    LinkManager {
        service: "systemd-networkd.service",
        path: "/etc/systemd/network/00-libvirt-nss-dns.network",
        content: "[Match]\nName=vmdns*\n\n[Link]\nUnmanaged=yes\n",
        reload: "networkctl reload",
    },
];

/// How the resolver gets the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// systemd-resolved 261 and newer read the names themselves.
    Records,
    /// systemd-resolved 258 and newer delegate the zones to a server.
    Delegate,
    /// Older versions of systemd-resolved route zones by link only, so there is a link for our server.
    Link,
    /// The dnsmasq that NetworkManager runs.
    NetworkManager,
    /// A dnsmasq that runs as a service of its own.
    Dnsmasq,
    Unbound,
}

/// The content of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    Text(String),
    /// A symbolic link to this path.
    Link(&'static str),
}

/// What the files need to say so that the resolver asks us for names in these zones only.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Route<'r> {
    /// Where libvirt-nss-dns.service listens.
    pub(crate) server: Address,
    /// The first is the zone in which every guest has a name.
    pub(crate) zones: &'r [String],
}

impl Way {
    pub(crate) const ALL: [Self; 6] = [
        Self::Records,
        Self::Delegate,
        Self::Link,
        Self::NetworkManager,
        Self::Dnsmasq,
        Self::Unbound,
    ];

    /// A description to print.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Records => "systemd-resolved reads the names itself (static records)",
            Self::Delegate => "systemd-resolved delegates the zones to libvirt-nss-dns",
            Self::Link => {
                "systemd-resolved asks libvirt-nss-dns for the zones, through a link of its own"
            }
            Self::NetworkManager => "NetworkManager's dnsmasq asks libvirt-nss-dns for the zones",
            Self::Dnsmasq => "dnsmasq asks libvirt-nss-dns for the zones",
            Self::Unbound => "unbound asks libvirt-nss-dns for the zones",
        }
    }

    pub(crate) fn outlet(self) -> Outlet {
        match self {
            Self::Records => Outlet::Records,
            _ => Outlet::Hosts,
        }
    }

    /// The way's files. The first is always written.
    pub(crate) fn paths(self) -> &'static [&'static str] {
        match self {
            Self::Records => &["/etc/systemd/resolve/static.d/libvirt-nss.rr"],
            Self::Delegate => &["/etc/systemd/dns-delegate.d/libvirt-nss.dns-delegate"],
            Self::Link => &[
                "/etc/systemd/system/libvirt-nss-dns-link.service",
                LINK_MANAGERS[0].path,
                LINK_MANAGERS[1].path,
            ],
            Self::NetworkManager => &["/etc/NetworkManager/dnsmasq.d/libvirt-nss.conf"],
            Self::Dnsmasq => &["/etc/dnsmasq.d/libvirt-nss.conf"],
            Self::Unbound => &["/etc/unbound/unbound.conf.d/libvirt-nss.conf"],
        }
    }

    /// How many of the zones the resolver takes. The last ones are reverse zones, of which a subnet needs up to 128.
    pub(crate) fn takes(self, zones: &[String]) -> usize {
        // LINK_SEARCH_DOMAINS_MAX and DELEGATE_SEARCH_DOMAINS_MAX of systemd-resolved.
        let most = match self {
            Self::Link => 256,
            Self::Delegate => 1024,
            _ => usize::MAX,
        };
        zones.len().min(most)
    }

    /// The contents of the files, in the order of [`paths`](Self::paths).
    pub(crate) fn contents(self, route: &Route<'_>) -> Vec<Content> {
        let text = |text: String| Content::Text(format!("{MARK}{text}"));
        let route = &Route { zones: &route.zones[..self.takes(route.zones)], ..*route };
        match self {
            Self::Records => vec![Content::Link(Outlet::Records.file())],
            Self::Delegate => vec![text(delegate(route))],
            Self::Link => {
                let others = LINK_MANAGERS.iter().map(|manager| manager.content.to_owned());
                std::iter::once(link(route)).chain(others).map(text).collect()
            }
            Self::NetworkManager | Self::Dnsmasq => vec![text(dnsmasq(route))],
            Self::Unbound => vec![text(unbound(route))],
        }
    }

    /// The service that reads the files.
    pub(crate) fn service(self) -> &'static str {
        match self {
            Self::Records | Self::Delegate | Self::Link => "systemd-resolved.service",
            Self::NetworkManager => LINK_MANAGERS[0].service,
            Self::Dnsmasq => "dnsmasq.service",
            Self::Unbound => "unbound.service",
        }
    }

    /// The commands to run after the files have been written.
    pub(crate) fn start(self) -> &'static [&'static str] {
        match self {
            Self::Records => &[],
            Self::Link => &[
                LINK_MANAGERS[0].reload,
                LINK_MANAGERS[1].reload,
                "systemctl daemon-reload",
                "systemctl enable --quiet libvirt-nss-dns-link.service",
                "systemctl restart libvirt-nss-dns-link.service",
            ],
            _ => self.settle(),
        }
    }

    /// The commands to run before the files are removed.
    pub(crate) fn stop(self) -> &'static [&'static str] {
        match self {
            Self::Link => &["systemctl disable --quiet --now libvirt-nss-dns-link.service"],
            _ => &[],
        }
    }

    /// The commands to run after the files have been removed.
    pub(crate) fn settle(self) -> &'static [&'static str] {
        match self {
            Self::Records => &[],
            Self::Delegate => &["systemctl reload systemd-resolved.service"],
            Self::Link => {
                &["systemctl daemon-reload", LINK_MANAGERS[0].reload, LINK_MANAGERS[1].reload]
            }
            Self::NetworkManager => &["nmcli general reload dns-full"],
            Self::Dnsmasq => &["systemctl restart dnsmasq.service"],
            Self::Unbound => &["systemctl restart unbound.service"],
        }
    }
}

/// The zones in systemd-resolved's format: single-label names are also looked up in the first one; the others are for
/// routing only.
fn domains(zones: &[String]) -> String {
    let domain = |(at, zone): (usize, &String)| {
        if at == 0 { zone.clone() } else { format!("~{zone}") }
    };
    zones.iter().enumerate().map(domain).collect::<Vec<_>>().join(" ")
}

/// See systemd.dns-delegate(5).
fn delegate(route: &Route<'_>) -> String {
    let (server, domains) = (route.server.of_systemd(), domains(route.zones));
    format!("[Delegate]\nDNS={server}\nDomains={domains}\n")
}

/// A pair of interfaces that is connected to nothing, with an address (RFC 5737), since systemd-resolved doesn't use a
/// link without one. Without `default-route no`, its search domain would make systemd-resolved send all names there.
fn link(route: &Route<'_>) -> String {
    let (server, domains) = (route.server.of_systemd(), domains(route.zones));
    format!(
        "[Unit]
Description=Link that leads look-ups of libvirt guests to libvirt-nss-dns
Documentation=man:libvirt-nss-dns(1)
After=systemd-resolved.service
Wants=systemd-resolved.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStartPre=-ip link delete vmdns0
ExecStart=ip link add vmdns0 type veth peer name vmdns1
ExecStart=ip link set vmdns0 addrgenmode none
ExecStart=ip link set vmdns1 addrgenmode none
ExecStart=ip address add 192.0.2.1/32 dev vmdns0
ExecStart=ip link set vmdns1 up
ExecStart=ip link set vmdns0 up
ExecStart=resolvectl default-route vmdns0 no
ExecStart=resolvectl llmnr vmdns0 no
ExecStart=resolvectl mdns vmdns0 no
ExecStart=resolvectl dnsovertls vmdns0 no
ExecStart=resolvectl dnssec vmdns0 no
ExecStart=resolvectl dns vmdns0 {server}
ExecStart=resolvectl domain vmdns0 {domains}
ExecStop=ip link delete vmdns0

[Install]
WantedBy=multi-user.target
"
    )
}

/// See dnsmasq(8). `rebind-domain-ok` matters with stop-dns-rebind, and does no harm without it.
fn dnsmasq(route: &Route<'_>) -> String {
    let lines = route.zones.iter().map(|zone| format!("server=/{zone}/{}\n", route.server));
    let rebind = route.zones.iter().filter(|zone| !zone.ends_with(".arpa"));
    lines.chain(rebind.map(|zone| format!("rebind-domain-ok=/{zone}/\n"))).collect()
}

/// See unbound.conf(5). Otherwise unbound itself answers for private reverse zones, and drops private addresses if it
/// is configured with `private-address`.
fn unbound(route: &Route<'_>) -> String {
    let mut text = String::from("server:\n    do-not-query-localhost: no\n");
    for zone in route.zones {
        text += &format!("    domain-insecure: \"{zone}\"\n");
        text += &format!("    local-zone: \"{zone}.\" transparent\n");
        if !zone.ends_with(".arpa") {
            text += &format!("    private-domain: \"{zone}\"\n");
        }
    }
    let Address { address, port } = route.server;
    for zone in route.zones {
        text += &format!("stub-zone:\n    name: \"{zone}\"\n    stub-addr: {address}@{port}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(way: Way) -> String {
        text_with(way, &["vm.internal".to_owned(), "122.168.192.in-addr.arpa".to_owned()])
    }

    fn text_with(way: Way, zones: &[String]) -> String {
        let server = Address { address: "127.0.0.153".parse().unwrap(), port: 5354 };
        let contents = way.contents(&Route { server, zones });
        assert_eq!(contents.len(), way.paths().len());
        match &contents[0] {
            Content::Text(text) => text.strip_prefix(MARK).unwrap().to_owned(),
            Content::Link(to) => (*to).to_owned(),
        }
    }

    #[test]
    fn zones_that_are_too_many() {
        let name = |number: u32| format!("{number}.0.0.10.in-addr.arpa");
        let zones: Vec<String> = (0..2000).map(name).collect();
        for (way, most) in [(Way::Link, 256), (Way::Delegate, 1024), (Way::Unbound, 2000)] {
            assert_eq!(way.takes(&zones), most);
            assert_eq!(way.takes(&zones[..3]), 3);
            let text = text_with(way, &zones);
            let has = |number| text.contains(&name(number));
            assert!(has(most as u32 - 1) && !has(most as u32), "{way:?}");
        }
    }

    #[test]
    fn what_each_resolver_is_given() {
        assert_eq!(text(Way::Records), "/run/libvirt-nss/names.rr");
        assert_eq!(
            text(Way::Delegate),
            "[Delegate]\nDNS=127.0.0.153:5354\nDomains=vm.internal ~122.168.192.in-addr.arpa\n"
        );
        assert_eq!(
            text(Way::Dnsmasq),
            "server=/vm.internal/127.0.0.153#5354\n\
             server=/122.168.192.in-addr.arpa/127.0.0.153#5354\n\
             rebind-domain-ok=/vm.internal/\n"
        );
        assert_eq!(text(Way::Dnsmasq), text(Way::NetworkManager));
        let link = text(Way::Link);
        assert!(link.contains("domain vmdns0 vm.internal ~122.168.192.in-addr.arpa\n"), "{link}");
        assert!(link.find("default-route vmdns0 no") < link.find("domain vmdns0"), "{link}");
        // Our zones aren't signed.
        assert!(link.contains("dnssec vmdns0 no"), "{link}");
        let unbound = text(Way::Unbound);
        assert!(
            unbound.contains("name: \"vm.internal\"\n    stub-addr: 127.0.0.153@5354\n"),
            "{unbound}"
        );
    }
}
