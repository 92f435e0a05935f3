//! What agents reported outlives a restart of the daemon, until they are queried again.

mod support;

use std::fs;
use std::slice::from_ref;
use std::sync::Mutex;
use std::thread;

use daemon::backend::{Backend, Connections};
use daemon::daemon::{Options, run};
use daemon::model::{
    Agent, ConnectionId, ConnectionState, Guest, Nic, ReportedAddress, ReportedBy, Update,
};
use daemon::service::log::Log;
use daemon::state::watch::Watch;
use guest_names::address::Mac;
use support::{Place, Snapshot, status, until};

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
    let answers = agent == Agent::Answered;
    let reported = ["10.0.0.9", "10.0.0.10"].into_iter().filter(|_| answers).map(|address| {
        ReportedAddress { address: address.parse().unwrap(), source: ReportedBy::Agent, expiry: 0 }
    });
    Guest {
        uuid: [1; 16],
        name: "vm".into(),
        title: None,
        host_name: answers.then(|| "inside".into()),
        agent,
        host_keys: answers.then(|| ["ssh-rsa KEY".into()].into()),
        nics: vec![Nic {
            mac: Mac([0x52, 0x54, 0, 0, 0, 1]),
            network: None,
            bridge: Some("virbr0".into()),
            addresses: reported.collect(),
        }],
    }
}

/// Runs a daemon, with a libvirt that reports these guests, until its snapshot satisfies `wanted`.
fn run_until(place: &Place, guests: &[Guest], wanted: impl Fn(&Snapshot) -> bool) -> Snapshot {
    *REPORTED.lock().unwrap() = guests.to_vec();
    let mut watch = Watch::new(&place.path("run")).unwrap();
    watch.arm().unwrap();
    let options = Options {
        config: Some(place.path("config")),
        state_directory: place.path("state"),
        snapshot_directory: place.path("run"),
    };
    let daemon = thread::spawn(move || run(&options, BACKEND, Log::new("libvirt-nssd")));
    let snapshot = until(place, &mut watch, wanted);
    // SAFETY: kill(2) has no preconditions; the process is this one, whose daemon handles the signal.
    assert_eq!(unsafe { libc::kill(std::process::id() as i32, libc::SIGTERM) }, 0);
    daemon.join().unwrap().unwrap();
    snapshot
}

/// There is only one test, since signals go to the whole process.
#[test]
fn what_agents_reported_outlives_a_restart() {
    let place = Place::new();
    place.write("config", "hold = 3\n");
    place.replace("virbr0.status", &status(&[("10.0.0.9", "leased")]));
    let keys = ["gvm", "hinside", "hleased", "a\x0a\0\0\x0a", "svm"];
    let has_all = |snapshot: &Snapshot| keys.iter().all(|key| snapshot.has(key));
    let (answered, silent) = (guest(Agent::Answered), guest(Agent::Silent));
    let before = run_until(&place, from_ref(&answered), has_all);
    let entries = |snapshot: &Snapshot| snapshot.get("hinside").unwrap().to_vec();
    // The first snapshot already has them.
    let after = run_until(&place, from_ref(&silent), |_| true);
    assert_eq!(entries(&after), entries(&before));
    assert!(has_all(&after));
    // So has the first one after a daemon that was killed.
    fs::rename(place.path("run/names.cdb.old"), place.path("run/names.cdb")).unwrap();
    place.replace("virbr0.status", &status(&[("10.0.0.9", "leased"), ("10.0.0.8", "new")]));
    let again = run_until(&place, from_ref(&silent), |snapshot| snapshot.has("hnew"));
    assert!(has_all(&again));
    // Until they are too old.
    let old = run_until(&place, from_ref(&silent), |snapshot| !snapshot.has("hinside"));
    assert!(old.has("gvm") && old.has("hleased"));
    // But host keys count as long as the guest runs.
    assert!(old.has("svm"));
    // Reports about a guest that stopped in between are dropped, even if it starts again.
    run_until(&place, &[answered], has_all);
    run_until(&place, &[], |_| true);
    let started = run_until(&place, &[silent], |_| true);
    assert!(started.has("gvm") && !started.has("hinside") && !started.has("svm"));
}
