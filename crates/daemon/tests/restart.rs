//! What agents reported outlives a restart of the daemon, until they are queried again.

mod support;

use std::fs;
use std::slice::from_ref;
use std::sync::Mutex;
use std::thread;

use daemon::backend::{Backend, Connections};
use daemon::daemon::run;
use daemon::model::{Agent, ConnectionId, ConnectionState, Guest, Update};
use daemon::service::log::Log;
use support::{Directories, Snapshot, status, until};

/// What libvirt reports to the next daemon.
static REPORTED: Mutex<Vec<Guest>> = Mutex::new(Vec::new());

const BACKEND: Backend = Backend {
    start: |_, outbox| {
        let id = ConnectionId(0);
        outbox.put(Update::State(id, ConnectionState::Up));
        outbox.put(Update::Guests(id, REPORTED.lock().unwrap().clone()));
        Ok(Box::new(Fake))
    },
    check: |_, _| Err("not supported by this stand-in".into()),
};

struct Fake;

impl Connections for Fake {
    fn wake(&self) {}

    fn stop(self: Box<Self>) {}
}

/// A guest with a lease, and another address that only its agent reports.
fn guest(agent: Agent) -> Guest {
    if agent == Agent::Answered {
        let host_keys = Some(["ssh-rsa KEY".into()].into());
        return Guest { host_keys, ..support::guest("virbr0", &["10.0.0.9", "10.0.0.10"]) };
    }
    Guest { agent, host_name: None, ..support::guest("virbr0", &[]) }
}

/// Runs a daemon, with a libvirt that reports these guests, until its snapshot satisfies `wanted`.
fn run_until(
    directories: &Directories,
    guests: &[Guest],
    wanted: impl Fn(&Snapshot) -> bool,
) -> Snapshot {
    *REPORTED.lock().unwrap() = guests.to_vec();
    let mut watch = directories.watch();
    let options = directories.options();
    let daemon = thread::spawn(move || run(&options, BACKEND, Log::new("libvirt-nssd")));
    let snapshot = until(directories, &mut watch, wanted);
    support::signal(std::process::id(), libc::SIGTERM);
    daemon.join().unwrap().unwrap();
    snapshot
}

/// There is only one test, since signals go to the whole process.
#[test]
fn what_agents_reported_outlives_a_restart() {
    let directories = Directories::new();
    directories.write("config", "hold = 3\n");
    directories.replace("virbr0.status", &status(&[("10.0.0.9", "leased")]));
    let keys = ["gvm", "hinside", "hleased", "a\x0a\0\0\x0a", "svm"];
    let has_all = |snapshot: &Snapshot| keys.iter().all(|key| snapshot.has(key));
    let (answered, silent) = (guest(Agent::Answered), guest(Agent::Silent));
    let before = run_until(&directories, from_ref(&answered), has_all);
    let entries = |snapshot: &Snapshot| snapshot.get("hinside").unwrap().to_vec();
    // The first snapshot already has them.
    let after = run_until(&directories, from_ref(&silent), |_| true);
    assert_eq!(entries(&after), entries(&before));
    assert!(has_all(&after));
    // So has the first one after a daemon that was killed.
    fs::rename(directories.path("run/names.cdb.old"), directories.path("run/names.cdb")).unwrap();
    directories.replace("virbr0.status", &status(&[("10.0.0.9", "leased"), ("10.0.0.8", "new")]));
    let again = run_until(&directories, from_ref(&silent), |snapshot| snapshot.has("hnew"));
    assert!(has_all(&again));
    // Until they are too old.
    let old = run_until(&directories, from_ref(&silent), |snapshot| !snapshot.has("hinside"));
    assert!(old.has("gvm") && old.has("hleased"));
    // But host keys count as long as the guest runs.
    assert!(old.has("svm"));
    // Reports about a guest that stopped in between are dropped, even if it starts again.
    run_until(&directories, &[answered], has_all);
    run_until(&directories, &[], |_| true);
    let started = run_until(&directories, &[silent], |_| true);
    assert!(started.has("gvm") && !started.has("hinside") && !started.has("svm"));
}
