//! Connections to libvirt's own test driver, which runs inside this process (libvirt.org/drvtest.html). Each connection to a
//! file has its own guests. All connections to `test:///default` share one host; only `libvirt_events.rs` uses that.

use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use daemon::backend::Connections as _;
use daemon::libvirt::{Agents, Error, Libvirt, check};
use daemon::model::{
    Agent, ConnectionConfig, ConnectionId, ConnectionState, Guest, Network, ReportedBy, Update,
};

const LONG: Duration = Duration::from_secs(20);

fn config(id: u16, uri: &str) -> ConnectionConfig {
    ConnectionConfig {
        id: ConnectionId(id),
        name: format!("test-{id}"),
        uri: uri.into(),
        agent: false,
        host_keys: false,
        arp: false,
        leases: false,
        refresh: Duration::from_millis(50),
        agent_timeout: Duration::from_secs(5),
        keep_alive: true,
    }
}

fn host() -> String {
    format!("test://{}/tests/host.xml", env!("CARGO_MANIFEST_DIR"))
}

fn start(configs: Vec<ConnectionConfig>) -> (Libvirt, Receiver<Update>) {
    let (send, updates) = mpsc::channel();
    let libvirt = Libvirt::start(configs, move |update| {
        let _ = send.send(update);
    });
    (libvirt.unwrap(), updates)
}

fn next(updates: &Receiver<Update>) -> Update {
    updates.recv_timeout(LONG).unwrap()
}

/// The first networks and guests of a connection, sorted by name.
fn first(updates: &Receiver<Update>) -> (Vec<Network>, Vec<Guest>) {
    assert!(matches!(next(updates), Update::State(_, ConnectionState::Connecting)));
    let up = next(updates);
    assert!(matches!(up, Update::State(_, ConnectionState::Up)), "{up:?}");
    let Update::Networks(_, networks) = next(updates) else { panic!("no networks") };
    let Update::Guests(_, mut guests) = next(updates) else { panic!("no guests") };
    guests.sort_by(|a, b| a.name.cmp(&b.name));
    (networks, guests)
}

#[test]
fn lists_networks_and_running_guests() {
    let (libvirt, updates) = start(vec![config(3, &host())]);
    let (networks, guests) = first(&updates);

    let names: Vec<_> = (networks.iter())
        .map(|one| (one.name.as_str(), one.bridge.as_deref(), one.domain.as_deref()))
        .collect();
    let expected = [("default", Some("virbr0"), Some("lab.example")), ("lan", None, None)];
    assert_eq!(names, expected);

    // The domain that is defined but not running is not among them.
    let names: Vec<_> = guests.iter().map(|guest| guest.name.as_str()).collect();
    assert_eq!(names, ["bridged", "web-vm"]);
    let web = &guests[1];
    assert_eq!(web.title.as_deref(), Some("The web server"));
    assert_eq!(web.agent, Agent::Silent);
    assert_eq!(web.nics.len(), 1);
    assert_eq!(web.nics[0].mac.0, [0x52, 0x54, 0, 0, 0, 1]);
    assert_eq!(web.nics[0].network.as_deref(), Some("default"));
    assert_eq!(web.nics[0].bridge.as_deref(), Some("virbr0"));
    let nics: Vec<_> =
        guests[0].nics.iter().map(|n| (n.network.as_deref(), n.bridge.as_deref())).collect();
    assert_eq!(nics, [(None, Some("br0")), (None, None)]);
    Box::new(libvirt).stop();
    // The keeper has ended and sent nothing else.
    assert_eq!(updates.recv_timeout(LONG), Err(mpsc::RecvTimeoutError::Disconnected));
}

#[test]
fn reads_every_guest_of_many() {
    const GUESTS: usize = 300;
    let domains: String = (0..GUESTS)
        .map(|number| {
            format!(
                "<domain type='test'><name>guest-{number:03}</name><memory>8192</memory>\
                 <os><type>hvm</type></os></domain>"
            )
        })
        .collect();
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("many.xml");
    std::fs::write(&file, format!("<node>{domains}</node>")).unwrap();
    let (_libvirt, updates) = start(vec![config(0, &format!("test://{}", file.display()))]);
    let (_, guests) = first(&updates);
    let names: Vec<_> = guests.into_iter().map(|guest| guest.name).collect();
    assert_eq!(names, (0..GUESTS).map(|n| format!("guest-{n:03}")).collect::<Vec<_>>());
}

#[test]
fn addresses_come_from_the_arp_table() {
    let (_libvirt, updates) = start(vec![ConnectionConfig { arp: true, ..config(0, &host()) }]);
    first(&updates);
    // The test driver reports one address for each NIC, regardless of the source.
    let web = loop {
        if let Update::Guest(_, guest) = next(&updates) {
            if guest.name == "web-vm" {
                break guest;
            }
        }
    };
    let reported = &web.nics[0].addresses;
    assert_eq!(reported.len(), 1);
    assert_eq!(reported[0].address.to_string(), "192.168.122.129");
    assert_eq!((reported[0].source, reported[0].expiry), (ReportedBy::Neighbour, 0));
}

#[test]
fn a_driver_without_leases_causes_one_warning() {
    let (_libvirt, updates) = start(vec![ConnectionConfig { leases: true, ..config(0, &host()) }]);
    let mut warnings = 0;
    loop {
        match next(&updates) {
            Update::Warning(_, text) => {
                assert!(text.contains("leases"), "{text}");
                warnings += 1;
            }
            Update::Guests(..) => break,
            _ => {}
        }
    }
    // One for both networks, and none at the next refreshes.
    assert_eq!(warnings, 1);
    let silence = updates.recv_timeout(Duration::from_millis(300));
    assert_eq!(silence, Err(mpsc::RecvTimeoutError::Timeout));
}

#[test]
fn a_connection_that_fails_is_retried_and_delays_no_other() {
    let (_libvirt, updates) = start(vec![config(0, "test:///nonexistent.xml"), config(1, &host())]);
    let (mut down, mut guests) = (Vec::new(), false);
    while down.len() < 2 || !guests {
        match next(&updates) {
            Update::State(ConnectionId(0), ConnectionState::Down { reason, retry_in }) => {
                assert!(reason.contains("nonexistent.xml"), "{reason}");
                down.push(retry_in);
            }
            Update::Guests(ConnectionId(1), _) => guests = true,
            _ => {}
        }
    }
    assert_eq!(down, [1, 2]);
}

#[test]
fn a_silent_server_delays_no_other_connection() {
    // It accepts the connection and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let uri = format!("qemu+tcp://127.0.0.1:{port}/system");
    let (libvirt, updates) = start(vec![config(0, &uri), config(1, &host())]);
    let _held = silent.accept().unwrap();
    loop {
        if let Update::Guests(id, _) = next(&updates) {
            assert_eq!(id, ConnectionId(1));
            break;
        }
    }
    // Nor does it delay the stop.
    Box::new(libvirt).stop();
    let error = check(&config(0, &uri), Duration::from_millis(100)).unwrap_err();
    assert!(matches!(error, Error::NoAnswer { .. }), "{error}");
}

#[test]
fn check_counts() {
    let report = check(&ConnectionConfig { agent: true, ..config(0, &host()) }, LONG).unwrap();
    assert_eq!((report.guests, report.networks), (2, 2));
    assert_eq!(report.agents, Agents::Yes);
    assert!(report.version >= 6_000_000);
    let text = report.to_string();
    assert!(text.contains("running guests: 2, active networks: 2"), "{text}");
    assert!(text.ends_with("guest agents: available"), "{text}");
}

#[test]
fn a_failed_check_says_why_and_what_to_do() {
    let error = check(&config(0, "test:///nonexistent.xml"), LONG).unwrap_err().to_string();
    assert!(error.contains("nonexistent.xml"), "{error}");
    assert!(error.contains("; check that libvirtd"), "{error}");
    assert_eq!(error.lines().count(), 1);

    let nul = check(&config(0, "test:///\0"), LONG).unwrap_err();
    assert!(matches!(nul, Error::BadUri(_)), "{nul}");
}
