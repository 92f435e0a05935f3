//! How soon a change is in the snapshot, and how much memory and processor time the daemon uses.
//!
//! `cargo bench -p daemon`. Prints, for 1,000 guests, the time from libvirt's rename of a state file until the snapshot with
//! the change is in place; and for 10,000 guests with two addresses each, the daemon's memory and its processor time while
//! idle. The guests are first only in the state files, then also reported by libvirt, which this program stands in for: it
//! runs the daemon's main loop in another process.

mod common;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use daemon::backend::Backend;
use daemon::model::{
    Agent, ConnectionId, ConnectionState, Guest, Network, Nic, ReportedBy, Update,
};
use daemon::state::watch::Watch;
use guest_names::snapshot::format::Meta;
use guest_store::snapshot::trust::stamp_of;

use common::{Directories, end, mac, mac_text, pause, print_latency, print_weight, uuid};

/// How many guests libvirt reports.
const GUESTS: &str = "LIBVIRT_NSSD_BENCH_GUESTS";

const CHANGES: usize = 500;
const BRIDGES: usize = 4;

fn main() {
    if common::run_if_daemon(BACKEND) {
        return;
    }
    for reported in [false, true] {
        latency(1_000, reported, 50..100);
        latency(1_000, reported, 0..20);
    }
    for reported in [false, true] {
        weight(10_000, reported);
    }
}

/// Reports guests; how many is in the environment.
const BACKEND: Backend = Backend {
    start: |_, outbox| {
        let guests = std::env::var(GUESTS).map_err(|error| error.to_string())?;
        let guests: usize = guests.parse().map_err(|_| String::from("no number"))?;
        let id = ConnectionId(0);
        outbox.put(Update::State(id, ConnectionState::Up));
        let networks = (0..BRIDGES).map(|at| Network {
            name: format!("net{at}"),
            bridge: Some(format!("virbr{at}")),
            domain: Some(format!("net{at}.example")),
            routed: false,
            domain_is_local: false,
            subnets: Vec::new(),
            leases: Vec::new(),
        });
        outbox.put(Update::Networks(id, networks.collect()));
        outbox.put(Update::Guests(id, (0..guests).map(guest).collect()));
        Ok(Box::new(()))
    },
    check: |_, _| Err("not supported by this stand-in".into()),
};

fn addresses(number: usize) -> [String; 2] {
    let (high, low) = (number / 250, number % 250 + 1);
    [format!("10.{}.{}.{low}", high / 250, high % 250), format!("fd00::{:x}:{low:x}", high + 1)]
}

fn guest(number: usize) -> Guest {
    let reported = addresses(number).map(|address| daemon::model::ReportedAddress {
        address: address.parse().unwrap(),
        source: ReportedBy::Agent,
        expiry: 0,
    });
    let bridge = number % BRIDGES;
    Guest {
        uuid: uuid(number),
        name: format!("guest-{number}"),
        title: None,
        host_name: Some(format!("host-{number}")),
        agent: Agent::Answered,
        host_keys: None,
        nics: vec![Nic {
            mac: mac(number),
            network: Some(format!("net{bridge}")),
            bridge: Some(format!("virbr{bridge}")),
            addresses: reported.to_vec(),
        }],
    }
}

/// The state files of a host, and its daemon.
struct Scene(Directories);

impl Scene {
    fn new() -> Self {
        Self(Directories::new())
    }

    fn state(&self) -> PathBuf {
        self.0.0.join("state")
    }

    fn write(&self, bridge: usize, guests: usize, extra: Option<&str>) {
        let numbers = (0..guests).filter(|number| number % BRIDGES == bridge);
        let mut records: Vec<_> = numbers
            .flat_map(|number| addresses(number).map(|address| (number, address)))
            .map(|(number, address)| record(number, &address, &format!("host-{number}")))
            .collect();
        records.extend(extra.map(|name| record(guests, "10.255.0.1", name)));
        self.replace(&format!("virbr{bridge}.status"), &serde_json::Value::from(records));
    }

    fn replace(&self, name: &str, value: &serde_json::Value) {
        let new = self.state().join(format!("{name}.new"));
        let mut file = fs::File::create(&new).unwrap();
        file.write_all(serde_json::to_string_pretty(value).unwrap().as_bytes()).unwrap();
        drop(file);
        fs::rename(new, self.state().join(name)).unwrap();
    }

    fn fill(&self, guests: usize) {
        for bridge in 0..BRIDGES {
            let numbers = (0..guests).filter(|number| number % BRIDGES == bridge);
            let maps: Vec<_> = numbers
                .map(|number| {
                    let mac = mac_text(number);
                    serde_json::json!({"domain": format!("guest-{number}"), "macs": [mac]})
                })
                .collect();
            self.replace(&format!("virbr{bridge}.macs"), &maps.into());
            self.write(bridge, guests, None);
        }
    }

    /// Starts a daemon that knows the guests from the files and, if `reported`, from libvirt.
    fn daemon(&self, guests: usize, reported: bool) -> Child {
        let config = if reported { "" } else { "connection = []\n" };
        fs::write(self.0.0.join("config"), config).unwrap();
        let mut command = if reported {
            let mut command = self.0.daemon();
            command.env(GUESTS, guests.to_string());
            command
        } else {
            let mut command = Command::new(env!("CARGO_BIN_EXE_libvirt-nssd"));
            for (option, name) in
                [("--config", "config"), ("--state-dir", "state"), ("--snapshot", "run")]
            {
                command.arg(option).arg(self.0.0.join(name));
            }
            command
        };
        command.stderr(Stdio::null()).spawn().unwrap()
    }

    /// Whether the snapshot was compiled from the current state directory.
    fn is_current(&self) -> bool {
        let Ok(file) = fs::File::open(self.0.snapshot()) else { return false };
        let mut meta = [0; Meta::SIZE];
        let read = file.read_exact_at(&mut meta, Meta::START as u64);
        let meta = read.ok().and_then(|()| Meta::parse(&meta));
        let now = stamp_of(&fs::metadata(self.state()).unwrap());
        meta.is_some_and(|meta| meta.state == Some(now))
    }

    fn wait(&self, watch: &mut Watch) {
        while !self.is_current() {
            pause(watch, Duration::from_secs(60));
        }
    }
}

fn record(number: usize, address: &str, name: &str) -> serde_json::Value {
    let mac = mac_text(number);
    serde_json::json!({
        "ip-address": address,
        "mac-address": mac,
        "hostname": name,
        "client-id": "ff:00:00:00:01:00:01:2c:8d:9e:6a:52:54:00:68:7e:fb",
        "expiry-time": 4_000_000_000u32,
    })
}

/// The name of a scenario.
fn name(guests: usize, reported: bool) -> String {
    let from = if reported { "state files and libvirt" } else { "state files" };
    format!("{guests} guests, two addresses each, from {from}")
}

/// `apart`: the range of random pauses between a change's arrival in the snapshot and the next change, in milliseconds.
fn latency(guests: usize, reported: bool, apart: std::ops::Range<u64>) {
    let scene = Scene::new();
    scene.fill(guests);
    let mut watch = scene.0.watch();
    let mut daemon = scene.daemon(guests, reported);
    scene.wait(&mut watch);
    let mut random = fastrand::Rng::with_seed(1);
    let mut times = Vec::new();
    for change in 0..CHANGES {
        // So that changes come at any point of the kernel's tick.
        let wait = random.u64(apart.start * 1000..apart.end * 1000);
        std::thread::sleep(Duration::from_micros(wait));
        scene.write(change % BRIDGES, guests, Some(&format!("new-{change}")));
        let start = Instant::now();
        scene.wait(&mut watch);
        times.push(start.elapsed());
    }
    end(&mut daemon);
    println!(
        "{}: a change {apart:?} ms after the last is in the snapshot after",
        name(guests, reported)
    );
    print_latency(times);
}

fn weight(guests: usize, reported: bool) {
    let scene = Scene::new();
    scene.fill(guests);
    let mut watch = scene.0.watch();
    let mut daemon = scene.daemon(guests, reported);
    scene.wait(&mut watch);
    for change in 0..5 {
        scene.write(change % BRIDGES, guests, Some(&format!("new-{change}")));
        scene.wait(&mut watch);
    }
    println!("{}:", name(guests, reported));
    print_weight(&scene.0, &daemon);
    end(&mut daemon);
}
