//! The network daemon behind a connection is restarted or missing, while the connection itself is alive.

#[path = "support/server.rs"]
mod server;

use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use daemon::libvirt::Libvirt;
use daemon::model::{ConnectionConfig, ConnectionId, ConnectionState, Update};
use server::{Server, World};

const LONG: Duration = Duration::from_secs(30);
const DOMAIN: &str = "<domain type='kvm' id='1'><name>vm</name></domain>";

fn start(server: &Server) -> (Libvirt, Receiver<Update>) {
    let (send, updates) = mpsc::channel();
    let config = ConnectionConfig {
        id: ConnectionId(0),
        name: "host".into(),
        uri: server.uri.clone(),
        agent: false,
        host_keys: false,
        arp: false,
        leases: false,
        refresh: Duration::from_millis(100),
        agent_timeout: Duration::from_secs(5),
        keep_alive: true,
    };
    let libvirt = Libvirt::start(vec![config], move |update| {
        let _ = send.send(update);
    });
    (libvirt.unwrap(), updates)
}

/// Waits for an update for which `wanted` returns something.
fn until<T>(updates: &Receiver<Update>, wanted: impl Fn(Update) -> Option<T>) -> T {
    loop {
        if let Some(found) = wanted(updates.recv_timeout(LONG).expect("no such update")) {
            return found;
        }
    }
}

fn networks(update: Update) -> Option<Vec<String>> {
    match update {
        Update::Networks(_, networks) => Some(networks.into_iter().map(|one| one.name).collect()),
        _ => None,
    }
}

fn reason(update: Update) -> Option<String> {
    match update {
        Update::State(_, ConnectionState::Down { reason, .. }) => Some(reason),
        _ => None,
    }
}

fn warning(update: Update) -> Option<String> {
    match update {
        Update::Warning(_, text) => Some(text),
        _ => None,
    }
}

#[test]
fn a_restarted_network_daemon_is_reached_by_a_new_connection() {
    let server = Server::start(World {
        domain: DOMAIN.into(),
        networks: vec!["before"],
        ..World::default()
    });
    let (_libvirt, updates) = start(&server);
    assert_eq!(until(&updates, networks), ["before"]);
    server.change(|world| {
        world.network_daemon += 1;
        world.networks = vec!["after"];
    });
    let reason = until(&updates, reason);
    assert!(reason.contains("cannot list the networks"), "{reason}");
    assert!(reason.contains("client socket is closed"), "{reason}");
    assert_eq!(until(&updates, networks), ["after"]);
}

#[test]
fn without_a_network_daemon_guests_are_reported_and_networks_retried() {
    let server = Server::start(World {
        domain: DOMAIN.into(),
        networks: vec!["default"],
        has_no_network_daemon: true,
        ..World::default()
    });
    let (_libvirt, updates) = start(&server);
    let warning = until(&updates, warning);
    assert!(warning.contains("cannot list the networks"), "{warning}");
    let guests = until(&updates, |update| match update {
        Update::Guests(_, guests) => Some(guests),
        _ => None,
    });
    assert_eq!(guests[0].name, "vm");
    server.change(|world| world.has_no_network_daemon = false);
    let default = |update| networks(update).filter(|networks| networks == &["default"]);
    until(&updates, default);
}
