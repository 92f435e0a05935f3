//! Complete files: their meaning, and errors in them.

use std::fs;

use super::*;
use crate::model::{ConnectionConfig, ConnectionId};
use testkit::configuration;

fn parsed(text: &str) -> Result<Config, String> {
    parse(Path::new("f.toml"), text).map_err(|error| error.to_string())
}

#[test]
fn nothing_is_the_default() {
    let config = parsed("").unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(config.hold, Duration::from_secs(90));
    let [connection] = &config.connections[..] else { panic!("{config:?}") };
    assert_eq!(connection.config.name, "host");
    assert_eq!(connection.config.uri, "qemu:///system");
    assert!(connection.here && !connection.nat && !connection.config.leases);
    assert_eq!(
        read(Some(Path::new("/nonexistent/f"))).unwrap_err().to_string(),
        "cannot read /nonexistent/f: No such file or directory"
    );
}

#[test]
fn every_key() {
    let config = parsed(
        "hold = 30\nrefresh = 10\nzone = \"Lab.Example.\"\nshort-network-aliases = true\n[[connection]]\nname = \"rack1\"\nuri = \"qemu+ssh://root@rack1/system\"\n\
         agent = false\nneighbours = false\nleases = false\nrefresh = 5\nagent-timeout = 2\nnat = true\nsubnets = [\"10.0.0.0/8\", \"fd00::/8\"]\n\
         [[connection]]\nname = \"here\"\nuri = \"qemu:///system\"\nkeep-alive = false\n",
    )
    .unwrap();
    let [rack, here] = &config.connections[..] else { panic!("{config:?}") };
    assert_eq!(config.hold, Duration::from_secs(30));
    let naming = Naming { zone: "lab.example".into(), short_network_aliases: true };
    assert_eq!(config.naming, naming);
    let expected = ConnectionConfig {
        id: ConnectionId(0),
        name: "rack1".into(),
        uri: "qemu+ssh://root@rack1/system".into(),
        agent: false,
        host_keys: false,
        arp: false,
        leases: false,
        refresh: Duration::from_secs(5),
        agent_timeout: Duration::from_secs(2),
        keep_alive: true,
    };
    let subnets = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
    assert_eq!(
        *rack,
        Connection {
            config: expected,
            here: false,
            is_named: true,
            nat: true,
            subnets,
            neighbours: false
        }
    );
    assert_eq!((here.config.id, here.config.refresh), (ConnectionId(1), Duration::from_secs(10)));
    assert!(here.here && !here.config.leases && !here.config.keep_alive && here.neighbours);
    assert_eq!(parsed("connection = []").unwrap().connections, []);
}

#[test]
fn what_is_wrong() {
    let one =
        |line: &str| format!("\n[[connection]]\nname = \"a\"\nuri = \"qemu:///system\"\n{line}\n");
    let cases = [
        (
            "hold = \"long\"".to_owned(),
            "f.toml:1: hold: invalid type: string \"long\", expected a number of seconds",
        ),
        (
            "\nhold = 1\n".into(),
            "f.toml:2: hold: 1 is out of range, expected a number of seconds from 3 to 86400",
        ),
        (
            "hold = -1".into(),
            "f.toml:1: hold: invalid value: integer '-1', expected a number of seconds",
        ),
        (
            "holt = 1".into(),
            "f.toml:1: holt: unknown field 'holt', expected one of 'hold', 'refresh', 'zone', \
             'short-network-aliases', 'connection', 'publish', 'outlets'",
        ),
        ("hold = 9\nhold = 9".into(), "f.toml:2: hold: duplicate key"),
        ("hold".into(), "f.toml:1: key with no value, expected '='"),
        (one("nat = 1"), "f.toml:5: nat: invalid type: integer '1', expected a boolean"),
        (
            one("agent-timeout = 0"),
            "f.toml:5: agent-timeout: 0 is out of range, expected a number of seconds from 1 to 600",
        ),
        (
            one("refresh = 99999"),
            "f.toml:5: refresh: 99999 is out of range, expected a number of seconds from 1 to 86400",
        ),
        (
            one("adress = 1"),
            "f.toml:5: adress: unknown field 'adress', expected one of 'name', 'uri', 'agent', 'host-keys', 'neighbours', \
             'leases', 'refresh', 'agent-timeout', 'nat', 'subnets', 'keep-alive'",
        ),
        (
            "[[connection]]\nuri = \"qemu:///system\"".into(),
            "f.toml:1: connection: missing field 'name'",
        ),
        (
            "[[connection]]\nuri = \"here\"\nname = \"a\"".into(),
            "f.toml:2: uri: \"here\" is not a libvirt URI, expected one such as \"qemu+ssh://root@host/system\"",
        ),
        (
            "[[connection]]\nuri = \"qemu:///system\"\nname = \"a b\"".into(),
            "f.toml:3: name: \"a b\" is not a valid host name, expected one such as \"rack1\": it follows the guests' names",
        ),
        (
            "[[connection]]\nuri = \"qemu:///system\"\nname = \"Local\"".into(),
            "f.toml:3: name: \"Local\" belongs to multicast DNS, where guests' names in it would be asked for; \
             expected another name such as \"host\"",
        ),
        (
            "[[connection]]\nuri = \"qemu:///system\"\nname = \"rack1.local\"".into(),
            "f.toml:3: name: \"rack1.local\" belongs to multicast DNS, where guests' names in it would be asked for; \
             expected another name such as \"host\"",
        ),
        (
            "[[connection]]\nuri = \"qemu:///sys\\u0000tem\"\nname = \"a\"".into(),
            "f.toml:2: uri: \"qemu:///sys\\0tem\" is not a libvirt URI, expected one such as \
             \"qemu+ssh://root@host/system\"",
        ),
        (
            "[[connection]]\nuri = \"kvm:///system\"\nname = \"a\"".into(),
            "f.toml:2: uri: \"kvm:///system\": unknown driver \"kvm\", expected one of bhyve, ch, esx, gsx, \
             hyperv, lxc, openvz, parallels, qemu, test, vbox, vmwarefusion, vmwareplayer, vmwarews, vpx, vz, xen",
        ),
        (
            "[[connection]]\nuri = \"qemu+shh://a/system\"\nname = \"a\"".into(),
            "f.toml:2: uri: \"qemu+shh://a/system\": unknown transport \"shh\", expected one of ext, libssh, \
             libssh2, ssh, tcp, tls, unix",
        ),
        (
            "[[connection]]\nuri = \"qemu+ssh://a/system\"\nname = \"a\"\nkeep-alive = false"
                .into(),
            "f.toml:4: keep-alive: false needs a connection to this host, as only this host shows when \
             something happens; expected true",
        ),
        (
            one("[[connection]]\nname = \"A\"\nuri = \"qemu:///system\""),
            "f.toml:6: name: \"A\" is the name of two connections, expected one of its own",
        ),
        (
            one("subnets = [\"10.0.0.0/8\", \"10.0.0.1\"]"),
            "f.toml:5: subnets: \"10.0.0.1\" is not a subnet, expected one such as \"192.168.1.0/24\" or \
             \"2001:db8::/64\"",
        ),
        (
            "zone = \"\"".into(),
            "f.toml:1: zone: \"\" is not a domain name, expected one such as \"vm.internal\"",
        ),
        (
            "zone = \"vm.local\"".into(),
            "f.toml:1: zone: \"vm.local\" belongs to multicast DNS, expected one such as \"vm.internal\"",
        ),
        (
            "connection = 1".into(),
            "f.toml:1: connection: invalid type: integer '1', expected a sequence",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(parsed(&text).unwrap_err(), expected, "{text}");
    }
    let binary = testkit::scratch::Scratch::new();
    let path = binary.path().join("f");
    fs::write(&path, b"hold = 9\n\xff").unwrap();
    let error = read(Some(&path)).unwrap_err().to_string();
    assert!(error.ends_with("f:2: a byte that is not UTF-8, expected UTF-8"), "{error}");
}

/// The commented file has every key with its default, and so does the manual page.
#[test]
fn what_is_documented() {
    let example = include_str!("../../../../packaging/libvirt-nss.toml");
    let (bare, page) = (configuration::with_every_key(), configuration::manual_page());
    let mut named = Config { has_publish_table: true, ..Config::default() };
    named.connections[0].is_named = true;
    assert_eq!(parsed(&bare).unwrap(), named, "{bare}");
    assert_eq!(parsed(example).unwrap(), Config::default());
    for table in ["", "[[connection]]\n", "[outlets]\n"] {
        let error = parsed(&format!("{table}x = 1")).unwrap_err();
        for key in configuration::expected_keys(&error) {
            assert!(bare.contains(key), "{key} isn't in the commented file");
            let entry = [format!("BI {key} "), format!("B {key}\n")];
            assert!(entry.iter().any(|entry| page.contains(entry)), "{key} isn't in the page");
        }
    }
}
