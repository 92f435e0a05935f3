//! The main loop with a stand-in for libvirt: what that reports gets into the snapshot, and out of it again.

mod support;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use daemon::backend::{Backend, Connections};
use daemon::daemon::run;
use daemon::inbox::Outbox;
use daemon::model::{ConnectionConfig, ConnectionId, ConnectionState, Guest, Update};
use daemon::service::log::Log;
use guest_names::snapshot::format::flags;
use support::{Directories, exists, status, until};

/// For each start, the connections and where to send updates.
static STARTS: Mutex<Vec<(Vec<ConnectionConfig>, Outbox)>> = Mutex::new(Vec::new());
static STOPS: AtomicUsize = AtomicUsize::new(0);

const BACKEND: Backend = Backend {
    start: |connections, outbox| {
        if connections.iter().any(|connection| connection.name == "refused") {
            return Err("cannot start a thread: no".into());
        }
        STARTS.lock().unwrap().push((connections, outbox));
        Ok(Box::new(Fake))
    },
    check: |_, _| Err("not supported by this stand-in".into()),
};

struct Fake;

impl Connections for Fake {
    fn wake(&self) {}

    fn stop(self: Box<Self>) {
        STOPS.fetch_add(1, Ordering::SeqCst);
    }
}

fn outbox(start: usize) -> Outbox {
    STARTS.lock().unwrap()[start].1.clone()
}

fn guest(name: &str, address: &str) -> Guest {
    let title = Some("The title".into());
    Guest { name: name.into(), title, ..support::guest("br0", &[address]) }
}

fn signal(signal: i32) {
    support::signal(std::process::id(), signal);
}

/// There is only one test, since signals go to the whole process.
#[test]
fn reports_reach_the_snapshot() {
    let directories = Directories::new();
    directories.write("config", "hold = 3\n");
    directories.replace("virbr0.status", &status(&[("10.0.0.9", "leased")]));
    let mut watch = directories.watch();
    let options = directories.options();
    let daemon = thread::spawn(move || run(&options, BACKEND, Log::new("libvirt-nssd")));
    let id = ConnectionId(0);

    // The first snapshot waits for a connection that hasn't reported yet, but not for ever.
    let snapshot = until(&directories, &mut watch, |_| true);
    assert!(snapshot.has("hleased") && snapshot.has("hleased.host.vm.internal"));
    assert_eq!(snapshot.info()["connections"][0]["state"], "connecting");
    let first = outbox(0);
    first.put(Update::State(id, ConnectionState::Up));
    first.put(Update::Guests(id, vec![guest("vm", "10.0.0.1")]));
    let snapshot = until(&directories, &mut watch, |snapshot| snapshot.has("gvm"));
    assert_eq!(snapshot.entry("gvm").flags, flags::REPORTED | flags::ATTACHED);
    assert_eq!(snapshot.entry("hinside").name, b"inside");
    assert!(snapshot.has("gvm.vm.internal") && snapshot.has("hleased"));
    let connection = &snapshot.info()["connections"][0];
    assert_eq!(connection["state"], "up");
    assert_eq!(connection["guests"], 1);
    assert_eq!(connection["titles"]["vm"], "The title");
    assert_eq!(connection["addresses"]["agent"], 1);
    assert_eq!(snapshot.meta().hold, 3);
    first.put(Update::Guest(id, guest("renamed", "10.0.0.2")));
    until(&directories, &mut watch, |snapshot| snapshot.has("grenamed") && !snapshot.has("gvm"));

    // A connection that is down keeps its guests for a while.
    let down = ConnectionState::Down { reason: "Connection reset by peer".into(), retry_in: 4 };
    let start = Instant::now();
    first.put(Update::State(id, down));
    let snapshot = until(&directories, &mut watch, |snapshot| {
        snapshot.info()["connections"][0]["state"] == "down"
    });
    assert!(snapshot.has("grenamed"));
    assert_eq!(snapshot.info()["connections"][0]["reason"], "Connection reset by peer");
    until(&directories, &mut watch, |snapshot| !snapshot.has("grenamed"));
    // The daemon counts whole milliseconds.
    assert!(start.elapsed() + Duration::from_millis(1) >= Duration::from_secs(3));

    // If the backend can't be started with a new configuration, nothing changes.
    directories.write("config", "[[connection]]\nname = \"refused\"\nuri = \"qemu:///system\"\n");
    signal(libc::SIGHUP);
    first.put(Update::Guests(id, vec![guest("still", "10.0.0.5")]));
    first.put(Update::State(id, ConnectionState::Up));
    let snapshot = until(&directories, &mut watch, |snapshot| snapshot.has("gstill"));
    assert_eq!(snapshot.info()["connections"][0]["name"], "host");
    assert_eq!(STOPS.load(Ordering::SeqCst), 0);

    // With another configuration, updates from the old connections are dropped.
    directories.write(
        "config",
        "[[connection]]\nname = \"again\"\nuri = \"qemu:///system\"\nagent = false\n",
    );
    signal(libc::SIGHUP);
    until(&directories, &mut watch, |snapshot| snapshot.has("hleased.again"));
    assert_eq!(STOPS.load(Ordering::SeqCst), 1);
    let second = {
        let starts = STARTS.lock().unwrap();
        assert_eq!((starts.len(), starts[1].0[0].agent), (2, false));
        starts[1].1.clone()
    };
    first.put(Update::Guests(id, vec![guest("late", "10.0.0.3")]));
    second.put(Update::State(id, ConnectionState::Up));
    second.put(Update::Guests(id, vec![guest("new", "10.0.0.4")]));
    let snapshot = until(&directories, &mut watch, |snapshot| snapshot.has("gnew.again"));
    assert!(!snapshot.has("glate") && !snapshot.has("hleased.host.vm.internal"));
    second.put(Update::Gone(id, [1; 16]));
    until(&directories, &mut watch, |snapshot| !snapshot.has("gnew"));

    signal(libc::SIGTERM);
    daemon.join().unwrap().unwrap();
    assert_eq!(STOPS.load(Ordering::SeqCst), 2);
    assert!(!exists(&directories.path("run/names.cdb")));
}
