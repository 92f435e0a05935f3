//! Reading libvirt's XML: what is taken from it, and what is ignored.

use super::*;

fn document(text: &str) -> Document<'_> {
    Document::parse(text).unwrap()
}

fn mac(last: u8) -> Mac {
    Mac([0x52, 0x54, 0, 0, 0, last])
}

/// A running domain as libvirt writes it, with the interfaces and channels of a test.
fn domain(devices: &str) -> String {
    format!(
        "<domain type='kvm' id='7' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
           <name>web-vm</name>
           <uuid>35796588-3a01-41a0-8823-a407c27dc717</uuid>
           <title>The shop's web server &amp; cache</title>
           <metadata><l:o xmlns:l='http://libosinfo.org/'><l:name>no</l:name></l:o></metadata>
           <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>
           <devices><emulator>/usr/bin/qemu-system-x86_64</emulator>{devices}</devices>
           <qemu:commandline><qemu:arg value='-foo'/></qemu:commandline>
         </domain>"
    )
}

/// The one NIC of an `<interface>`.
fn one(interface: &str) -> Option<(Option<String>, Option<String>)> {
    let text = domain(interface);
    let document = document(&text);
    let read = DomainXml::read(&document).unwrap();
    assert!(read.nics.len() <= 1);
    read.nics.first().map(|nic| {
        assert_eq!(nic.mac, mac(1));
        (nic.network.map(Into::into), nic.bridge.map(Into::into))
    })
}

fn some(text: &str) -> Option<String> {
    Some(text.into())
}

#[test]
fn names_and_state() {
    let text = domain("");
    let document = document(&text);
    let read = DomainXml::read(&document).unwrap();
    assert_eq!(read.id, Some("7"));
    assert_eq!(read.name, "web-vm");
    assert_eq!(read.title, Some("The shop's web server & cache"));
    assert!(!read.agent_is_connected);
    assert!(read.nics.is_empty());
}

#[test]
fn a_defined_domain_has_no_id() {
    let document = document("<domain type='kvm'><name>web-vm</name><title/></domain>");
    let read = DomainXml::read(&document).unwrap();
    assert_eq!(read.id, None);
    assert_eq!(read.title, None);
}

#[test]
fn other_documents_are_rejected() {
    assert_eq!(DomainXml::read(&document("<network><name>default</name></network>")), None);
    assert_eq!(DomainXml::read(&document("<domain id='1'><name/></domain>")), None);
    assert_eq!(NetworkXml::read(&document("<domain id='1'><name>a</name></domain>")), None);
}

#[test]
fn a_nic_on_a_network_with_a_bridge() {
    assert_eq!(
        one("<interface type='network'>
               <mac address='52:54:00:00:00:01'/>
               <source network='default' portid='6e3f7b1c-8ae4-4f0a-bb1f-9a4d1a6e0e44' bridge='virbr0'/>
               <target dev='vnet0'/>
               <model type='virtio'/>
               <alias name='net0'/>
               <address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x0'/>
             </interface>"),
        Some((some("default"), some("virbr0")))
    );
}

#[test]
fn a_nic_on_a_macvtap_network_has_no_bridge() {
    assert_eq!(
        one("<interface type='network'>
               <mac address='52:54:00:00:00:01'/>
               <source network='lan' portgroup='office' portid='6e3f7b1c-8ae4-4f0a-bb1f-9a4d1a6e0e44'
                       dev='eth0' mode='bridge'/>
               <target dev='macvtap0'/>
             </interface>"),
        Some((some("lan"), None))
    );
}

#[test]
fn a_network_nic_that_has_another_type_in_a_running_domain() {
    assert_eq!(
        one("<interface type='direct'>
               <mac address='52:54:00:00:00:01'/>
               <source network='lan' portid='6e3f7b1c-8ae4-4f0a-bb1f-9a4d1a6e0e44' dev='eth0' mode='bridge'/>
               <target dev='macvtap0'/>
             </interface>"),
        Some((some("lan"), None))
    );
    assert_eq!(
        one("<interface type='bridge'>
               <mac address='52:54:00:00:00:01'/>
               <source network='lan' portid='6e3f7b1c-8ae4-4f0a-bb1f-9a4d1a6e0e44' bridge='br0'/>
               <target dev='vnet0'/>
             </interface>"),
        Some((some("lan"), some("br0")))
    );
}

#[test]
fn a_nic_on_a_bridge_of_the_host() {
    assert_eq!(
        one("<interface type='bridge'>
               <mac address='52:54:00:00:00:01'/>
               <source bridge='br0'/>
               <target dev='vnet1'/>
             </interface>"),
        Some((None, some("br0")))
    );
}

#[test]
fn a_nic_on_an_open_vswitch() {
    assert_eq!(
        one("<interface type='bridge'>
               <mac address='52:54:00:00:00:01'/>
               <source bridge='ovsbr0'/>
               <vlan><tag id='42'/></vlan>
               <virtualport type='openvswitch'>
                 <parameters interfaceid='09b11c53-8b5c-4eeb-8f00-d84eaa0aaa4f'/>
               </virtualport>
               <target dev='vnet2'/>
             </interface>"),
        Some((None, some("ovsbr0")))
    );
}

#[test]
fn a_macvtap_nic() {
    assert_eq!(
        one("<interface type='direct' trustGuestRxFilters='yes'>
               <mac address='52:54:00:00:00:01'/>
               <source dev='eth0' mode='vepa'/>
               <target dev='macvtap1'/>
             </interface>"),
        Some((None, None))
    );
}

#[test]
fn nics_of_other_types_have_neither() {
    for interface in [
        "<interface type='user'><mac address='52:54:00:00:00:01'/><backend type='passt'/></interface>",
        "<interface type='ethernet'><mac address='52:54:00:00:00:01'/><target dev='tap0'/></interface>",
        "<interface type='hostdev' managed='yes'><mac address='52:54:00:00:00:01'/>
           <source><address type='pci' domain='0x0' bus='0x3' slot='0x0' function='0x2'/></source></interface>",
        "<interface type='vhostuser'><mac address='52:54:00:00:00:01'/>
           <source type='unix' path='/run/vhost1.sock' mode='server'/></interface>",
        "<interface type='vdpa'><mac address='52:54:00:00:00:01'/><source dev='/dev/vhost-vdpa-0'/></interface>",
        "<interface type='mcast'><mac address='52:54:00:00:00:01'/>
           <source address='230.0.0.1' port='5558'/></interface>",
        "<interface type='internal'><mac address='52:54:00:00:00:01'/><source name='lan'/></interface>",
        "<interface type='null'><mac address='52:54:00:00:00:01'/></interface>",
        "<interface type='vds'><mac address='52:54:00:00:00:01'/>
           <source switchid='12345678-1234-1234-1234-123456789abc' portid='6' connectionid='1'/></interface>",
        "<interface><mac address='52:54:00:00:00:01'/><source network='default' bridge='virbr0'/></interface>",
        "<interface type='network'><mac address='52:54:00:00:00:01'/></interface>",
    ] {
        assert_eq!(one(interface), Some((None, None)), "{interface}");
    }
}

#[test]
fn an_interface_without_a_mac_is_skipped() {
    assert_eq!(one("<interface type='bridge'><source bridge='br0'/></interface>"), None);
    assert_eq!(one("<interface type='bridge'><mac/><source bridge='br0'/></interface>"), None);
    assert_eq!(
        one("<interface type='bridge'><mac address='nonsense'/><source bridge='br0'/></interface>"),
        None
    );
}

#[test]
fn nics_stay_in_their_order() {
    let text = domain(
        "<interface type='bridge'><mac address='52:54:00:00:00:02'/><source bridge='br0'/></interface>
         <interface type='network'><mac address='52:54:00:00:00:01'/><source network='lan'/></interface>",
    );
    let document = document(&text);
    let macs: Vec<Mac> =
        DomainXml::read(&document).unwrap().nics.iter().map(|nic| nic.mac).collect();
    assert_eq!(macs, [mac(2), mac(1)]);
}

#[test]
fn the_agents_channel() {
    let connected = |channel: &str| {
        let text = domain(channel);
        let document = document(&text);
        DomainXml::read(&document).unwrap().agent_is_connected
    };
    assert!(connected(
        "<channel type='spicevmc'><target type='virtio' name='com.redhat.spice.0' state='disconnected'/></channel>
         <channel type='unix'>
           <source mode='bind' path='/run/libvirt/qemu/channel/1-web-vm/org.qemu.guest_agent.0'/>
           <target type='virtio' name='org.qemu.guest_agent.0' state='connected'/>
           <alias name='channel0'/>
         </channel>"
    ));
    assert!(!connected(
        "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0' state='disconnected'/></channel>"
    ));
    assert!(!connected(
        "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
    ));
    assert!(!connected(
        "<channel type='unix'><target type='virtio' name='com.redhat.spice.0' state='connected'/></channel>"
    ));
}

#[test]
fn networks() {
    let text = "<network connections='1'>
        <name>default</name>
        <uuid>dd8fe884-6c02-601e-7551-cca97df1c5df</uuid>
        <forward mode='nat'><nat><port start='1024' end='65535'/></nat></forward>
        <bridge name='virbr0' stp='on' delay='0'/>
        <mac address='52:54:00:aa:bb:cc'/>
        <domain name='lab.example' localOnly='yes'/>
        <ip address='192.168.122.1' netmask='255.255.255.0'/>
      </network>";
    let default = NetworkXml {
        name: "default",
        bridge: Some("virbr0"),
        domain: Some("lab.example"),
        domain_is_local: true,
        routed: false,
        subnets: vec!["192.168.122.1/24".parse().unwrap()],
    };
    assert_eq!(NetworkXml::read(&document(text)), Some(default));
    let text = "<network><name>lan</name><forward dev='eth0' mode='bridge'><interface dev='eth0'/></forward></network>";
    let lan = NetworkXml {
        name: "lan",
        bridge: None,
        domain: None,
        domain_is_local: false,
        routed: true,
        subnets: Vec::new(),
    };
    assert_eq!(NetworkXml::read(&document(text)), Some(lan));
}

#[test]
fn subnets() {
    let subnets = |ip: &str| -> Vec<String> {
        let text = format!("<network><name>n</name>{ip}</network>");
        let read = NetworkXml::read(&document(&text)).unwrap().subnets;
        read.iter().map(ToString::to_string).collect()
    };
    let both = "<ip address='10.1.2.1' prefix='20'/><ip family='ipv6' address='2001:db8:1::1' prefix='64'/>";
    assert_eq!(subnets(both), ["10.1.2.1/20", "2001:db8:1::1/64"]);
    // Without a prefix.
    for (address, subnet) in [
        ("10.0.0.1", "10.0.0.1/8"),
        ("172.16.0.1", "172.16.0.1/16"),
        ("192.168.0.1", "192.168.0.1/24"),
        ("fd00::1", "fd00::1/64"),
    ] {
        assert_eq!(subnets(&format!("<ip address='{address}'/>")), [subnet]);
    }
    for odd in ["<ip/>", "<ip address='x'/>", "<ip address='10.0.0.1' netmask='255.0.255.0'/>"] {
        assert_eq!(subnets(odd), [""; 0], "{odd}");
    }
}

/// Whether a guest's address can be reached from beyond its host.
#[test]
fn forward_modes() {
    let routed = |forward: &str| {
        let text = format!("<network><name>n</name>{forward}</network>");
        NetworkXml::read(&document(&text)).unwrap().routed
    };
    for mode in ["route", "open", "bridge", "private", "vepa", "passthrough", "hostdev"] {
        assert!(routed(&format!("<forward mode='{mode}'/>")), "{mode}");
    }
    for forward in ["", "<forward/>", "<forward mode='nat'/>", "<forward mode='none'/>"] {
        assert!(!routed(forward), "{forward:?}");
    }
}
