//! The main loop with a stand-in for libvirt: what that reports gets into the snapshot, and out of it again.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{LazyLock, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use daemon::backend::{Backend, Connections};
use daemon::daemon::run;
use daemon::inbox::Outbox;
use daemon::model::{ConnectionConfig, ConnectionId, ConnectionState, Guest, Update};
use daemon::service::log::Log;
use guest_names::snapshot::format::flags;
use support::{Directories, exists, status, until};

/// The connections that the daemon starts, and where to send their updates.
type Start = (Vec<ConnectionConfig>, Outbox);

static STARTS: LazyLock<(Sender<Start>, Mutex<Receiver<Start>>)> = LazyLock::new(|| {
    let (sender, receiver) = channel();
    (sender, Mutex::new(receiver))
});
/// The shortest that can be configured.
const HOLD: Duration = Duration::from_secs(3);
static STOPS: AtomicUsize = AtomicUsize::new(0);

const BACKEND: Backend = Backend {
    start: |connections, outbox| {
        let is_refused = connections.iter().any(|connection| connection.name == "refused");
        STARTS.0.send((connections, outbox)).unwrap();
        if is_refused {
            return Err("cannot start a thread: no".into());
        }
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

/// Waits for the next start.
fn next_start() -> Start {
    STARTS.1.lock().unwrap().recv_timeout(support::PATIENCE).expect("no start")
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
    directories.write("config", &format!("hold = {}\n", HOLD.as_secs()));
    directories.replace("virbr0.status", &status(&[("10.0.0.9", "leased")]));
    let mut watch = directories.watch();
    let options = directories.options();
    let daemon = thread::spawn(move || run(&options, BACKEND, Log::new("libvirt-nssd")));
    let id = ConnectionId(0);

    // The first snapshot waits for a connection that hasn't reported yet, but not for ever.
    let snapshot = until(&directories, &mut watch, |_| true);
    assert!(snapshot.has("hleased") && snapshot.has("hleased.host.vm.internal"));
    assert_eq!(snapshot.info()["connections"][0]["state"], "connecting");
    let (_, first) = next_start();
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
    assert_eq!(u64::from(snapshot.meta().hold), HOLD.as_secs());
    first.put(Update::Guest(id, guest("renamed", "10.0.0.2")));
    until(&directories, &mut watch, |snapshot| snapshot.has("grenamed") && !snapshot.has("gvm"));

    // A connection that is down keeps its guests for a while.
    let down = ConnectionState::Down { reason: "Connection reset by peer".into(), retry_in: 4 };
    let start = Instant::now();
    first.put(Update::State(id, down));
    let snapshot = until(&directories, &mut watch, |snapshot| {
        snapshot.info()["connections"][0]["state"] == "down"
    });
    // On a machine that stalls, the while may have passed.
    assert!(snapshot.has("grenamed") || start.elapsed() >= HOLD);
    assert_eq!(snapshot.info()["connections"][0]["reason"], "Connection reset by peer");
    until(&directories, &mut watch, |snapshot| !snapshot.has("grenamed"));
    // The daemon counts whole milliseconds.
    assert!(start.elapsed() + Duration::from_millis(1) >= HOLD);

    // If the backend can't be started with a new configuration, nothing changes.
    directories.write("config", "[[connection]]\nname = \"refused\"\nuri = \"qemu:///system\"\n");
    signal(libc::SIGHUP);
    assert_eq!(next_start().0[0].name, "refused");
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
    let (connections, second) = next_start();
    assert_eq!((connections[0].name.as_str(), connections[0].agent), ("again", false));
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
