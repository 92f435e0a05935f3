//! Events of libvirt's test driver. All connections of a process to `test:///default` share one host, and this file changes
//! it from outside; so there is only one test.

use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use daemon::backend::Connections as _;
use daemon::libvirt::Libvirt;
use daemon::model::{ConnectionConfig, ConnectionId, ConnectionState, Guest, Update};
use virt::connect::Connect;

const LONG: Duration = Duration::from_secs(20);
const HOST: ConnectionId = ConnectionId(0);

fn start() -> (Libvirt, Receiver<Update>) {
    let (send, updates) = mpsc::channel();
    let config = ConnectionConfig {
        id: HOST,
        name: "here".into(),
        uri: "test:///default".into(),
        agent: true,
        host_keys: true,
        arp: false,
        leases: false,
        // So that everything in this test comes from events.
        refresh: Duration::from_secs(3600),
        agent_timeout: Duration::from_secs(5),
        keep_alive: true,
    };
    let libvirt = Libvirt::start(vec![config], move |update| {
        let _ = send.send(update);
    });
    (libvirt.unwrap(), updates)
}

/// The next update, except for those about whether agents can be queried, which come at any time.
fn next(updates: &Receiver<Update>) -> Update {
    loop {
        match updates.recv_timeout(LONG).unwrap() {
            Update::Agents(HOST, outcome) => assert_eq!(outcome, Ok(())),
            update => return update,
        }
    }
}

fn guest(updates: &Receiver<Update>) -> Guest {
    match next(updates) {
        Update::Guest(HOST, guest) => guest,
        other => panic!("{other:?}"),
    }
}

fn nothing_more(updates: &Receiver<Update>) {
    loop {
        match updates.recv_timeout(Duration::from_millis(200)) {
            // May come at any time.
            Ok(Update::Agents(..)) => {}
            update => break assert_eq!(update, Err(mpsc::RecvTimeoutError::Timeout)),
        }
    }
}

const NEW: &str = "<domain type='test'>
    <name>new</name>
    <uuid>00112233-4455-6677-8899-aabbccddeeff</uuid>
    <memory>8192</memory>
    <os><type>hvm</type></os>
    <devices>
      <interface type='bridge'><mac address='52:54:00:00:00:09'/><source bridge='br0'/></interface>
      <interface type='network'><mac address='52:54:00:00:00:0a'/><source network='default'/></interface>
    </devices>
  </domain>";

fn second_network(domain: &str) -> String {
    format!(
        "<network>
           <name>second</name>
           <bridge name='virbr7'/>
           <domain name='{domain}'/>
           <ip address='10.7.0.1' netmask='255.255.255.0'/>
         </network>"
    )
}

#[test]
fn guests_and_networks_are_followed_as_they_come_and_go() {
    let (libvirt, updates) = start();
    assert_eq!(next(&updates), Update::State(HOST, ConnectionState::Connecting));
    assert_eq!(next(&updates), Update::State(HOST, ConnectionState::Up));
    assert!(matches!(next(&updates), Update::Networks(HOST, networks) if networks.len() == 1));
    let Update::Guests(HOST, guests) = next(&updates) else { panic!("no guests") };
    assert_eq!(guests.len(), 1);
    assert_eq!(guests[0].name, "test");

    let outside = Connect::open(Some("test:///default")).unwrap();

    // A guest starts.
    let new = outside.create_domain_xml(NEW, 0).unwrap();
    let started = guest(&updates);
    assert_eq!(started.name, "new");
    assert_eq!(started.uuid[..4], [0x00, 0x11, 0x22, 0x33]);
    assert_eq!(started.nics[0].bridge.as_deref(), Some("br0"));
    assert_eq!(started.nics[1].bridge.as_deref(), Some("virbr0"));

    // Events that don't change the guest cause no update.
    new.suspend().unwrap();
    new.resume().unwrap();
    nothing_more(&updates);

    // A network starts.
    let network = outside.create_network_xml(&second_network("first.example")).unwrap();
    let Update::Networks(HOST, networks) = next(&updates) else { panic!("no networks") };
    let names: Vec<_> =
        networks.iter().map(|one| (one.name.as_str(), one.domain.as_deref())).collect();
    assert_eq!(names, [("default", None), ("second", Some("first.example"))]);
    // The bridges of all guests may have changed.
    assert!(matches!(next(&updates), Update::Guests(HOST, guests) if guests.len() == 2));

    // The title changes.
    new.set_metadata(1, Some("The new one"), None, None, 1).unwrap();
    assert_eq!(guest(&updates).title.as_deref(), Some("The new one"));

    // The guest stops, and so does the network.
    new.destroy().unwrap();
    assert_eq!(next(&updates), Update::Gone(HOST, started.uuid));
    network.destroy().unwrap();
    assert!(matches!(next(&updates), Update::Networks(HOST, networks) if networks.len() == 1));
    assert!(matches!(next(&updates), Update::Guests(HOST, guests) if guests.len() == 1));
    nothing_more(&updates);

    // A domain that is defined, started, stopped and undefined.
    let defined = outside.define_domain_xml(NEW).unwrap();
    nothing_more(&updates);
    defined.create().unwrap();
    assert_eq!(guest(&updates).name, "new");
    defined.shutdown().unwrap();
    assert_eq!(next(&updates), Update::Gone(HOST, started.uuid));
    defined.undefine().unwrap();
    nothing_more(&updates);

    Box::new(libvirt).stop();
    assert_eq!(updates.recv_timeout(LONG), Err(mpsc::RecvTimeoutError::Disconnected));

    // Everything can be started again, as on a reload of the configuration.
    let (again, updates) = start();
    assert_eq!(next(&updates), Update::State(HOST, ConnectionState::Connecting));
    assert_eq!(next(&updates), Update::State(HOST, ConnectionState::Up));
    Box::new(again).stop();
}
