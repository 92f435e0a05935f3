//! How soon a change is in the snapshot, and what the daemon weighs.
//!
//! `cargo bench -p daemon`. Prints, for 1,000 guests, the time from libvirt's rename of a state file until the
//! snapshot that stands for it is in its place; for 10,000 guests with two addresses each the daemon's
//! memory and what it does while nothing happens. The guests are in the state files alone, and then told
//! by libvirt too, whose place this program takes: it runs the daemon's main loop in a process of its own.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use daemon::backend::Backend;
use daemon::daemon::Options;
use daemon::model::{
    Agent, ConnectionId, ConnectionState, Guest, Network, Nic, ReportedBy, Update,
};
use daemon::service::{log::Log, memory};
use daemon::state::watch::Watch;
use guest_names::address::Mac;
use guest_names::snapshot::format::Meta;
use guest_store::snapshot::trust::stamp_of;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Tells this program to be the daemon: how many guests it knows from libvirt.
const GUESTS: &str = "LIBVIRT_NSSD_BENCH_GUESTS";
const PLACE: &str = "LIBVIRT_NSSD_BENCH_PLACE";

const CHANGES: usize = 500;
const BRIDGES: usize = 4;

fn main() {
    if let Ok(place) = std::env::var(PLACE) {
        be_the_daemon(Path::new(&place));
        return;
    }
    for told in [false, true] {
        latency(1_000, told, 50..100);
        latency(1_000, told, 0..20);
    }
    for told in [false, true] {
        weight(10_000, told);
    }
}

fn be_the_daemon(place: &Path) {
    memory::set_up();
    let options = Options {
        config: Some(place.join("config")),
        state_directory: place.join("state"),
        snapshot_directory: place.join("run"),
    };
    let backend = Backend {
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
        check: |_, _| Err("nothing to be tried".into()),
    };
    daemon::daemon::run(&options, backend, Log::new("libvirt-nssd")).unwrap();
}

fn mac(number: usize) -> Mac {
    let [.., a, b, c] = number.to_be_bytes();
    Mac([0x52, 0x54, 0, a, b, c])
}

fn addresses(number: usize) -> [String; 2] {
    let (high, low) = (number / 250, number % 250 + 1);
    [format!("10.{}.{}.{low}", high / 250, high % 250), format!("fd00::{:x}:{low:x}", high + 1)]
}

fn guest(number: usize) -> Guest {
    let told = addresses(number).map(|address| daemon::model::ReportedAddress {
        address: address.parse().unwrap(),
        source: ReportedBy::Agent,
        expiry: 0,
    });
    let bridge = number % BRIDGES;
    let mut uuid = [0; 16];
    uuid[..8].copy_from_slice(&number.to_be_bytes());
    Guest {
        uuid,
        name: format!("guest-{number}"),
        title: None,
        host_name: Some(format!("host-{number}")),
        agent: Agent::Answered,
        host_keys: None,
        nics: vec![Nic {
            mac: mac(number),
            network: Some(format!("net{bridge}")),
            bridge: Some(format!("virbr{bridge}")),
            addresses: told.to_vec(),
        }],
    }
}

/// Directories, gone in the end.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        // As /run is: in memory.
        let base =
            if Path::new("/dev/shm").is_dir() { "/dev/shm".into() } else { std::env::temp_dir() };
        let path = base.join(format!("libvirt-nssd-bench-{}", std::process::id()));
        for name in ["state", "run"] {
            fs::create_dir_all(path.join(name)).unwrap();
        }
        Self(path)
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
        let new = self.0.join("state").join(format!("{name}.new"));
        let mut file = fs::File::create(&new).unwrap();
        file.write_all(serde_json::to_string_pretty(value).unwrap().as_bytes()).unwrap();
        drop(file);
        fs::rename(new, self.0.join("state").join(name)).unwrap();
    }

    fn fill(&self, guests: usize) {
        for bridge in 0..BRIDGES {
            let numbers = (0..guests).filter(|number| number % BRIDGES == bridge);
            let maps: Vec<_> = numbers
                .map(|number| {
                    let mac = String::from_utf8(mac(number).to_text().to_vec()).unwrap();
                    serde_json::json!({"domain": format!("guest-{number}"), "macs": [mac]})
                })
                .collect();
            self.replace(&format!("virbr{bridge}.macs"), &maps.into());
            self.write(bridge, guests, None);
        }
    }

    /// Starts a daemon that knows the guests from libvirt too, or from the files alone.
    fn daemon(&self, guests: usize, told: bool) -> Child {
        let config = if told { "" } else { "connection = []\n" };
        fs::write(self.0.join("config"), config).unwrap();
        let mut command = if told {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.env(PLACE, &self.0).env(GUESTS, guests.to_string()).arg0("libvirt-nssd");
            command
        } else {
            let mut command = Command::new(env!("CARGO_BIN_EXE_libvirt-nssd"));
            for (option, name) in
                [("--config", "config"), ("--state-dir", "state"), ("--snapshot", "run")]
            {
                command.arg(option).arg(self.0.join(name));
            }
            command
        };
        command.stderr(Stdio::null()).spawn().unwrap()
    }

    /// Whether the snapshot stands for the state directory as it is.
    fn is_current(&self) -> bool {
        let Ok(file) = fs::File::open(self.0.join("run/names.cdb")) else { return false };
        let mut meta = [0; Meta::SIZE];
        let read = file.read_exact_at(&mut meta, Meta::START as u64);
        let meta = read.ok().and_then(|()| Meta::parse(&meta));
        let now = stamp_of(&fs::metadata(self.0.join("state")).unwrap());
        meta.is_some_and(|meta| meta.state == Some(now))
    }

    fn wait(&self, watch: &mut Watch) {
        while !self.is_current() {
            pause(watch, Duration::from_secs(60));
            watch.take().unwrap();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn record(number: usize, address: &str, name: &str) -> serde_json::Value {
    let mac = String::from_utf8(mac(number).to_text().to_vec()).unwrap();
    serde_json::json!({
        "ip-address": address,
        "mac-address": mac,
        "hostname": name,
        "client-id": "ff:00:00:00:01:00:01:2c:8d:9e:6a:52:54:00:68:7e:fb",
        "expiry-time": 4_000_000_000u32,
    })
}

fn pause(watch: &Watch, limit: Duration) {
    let limit = Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: limit.subsec_nanos().into() };
    poll(&mut [PollFd::new(watch, PollFlags::IN)], Some(&limit)).unwrap();
}

/// What a scenario is called.
fn name(guests: usize, told: bool) -> String {
    let from = if told { "state files and libvirt" } else { "state files" };
    format!("{guests} guests, two addresses each, from {from}")
}

fn watch_on(place: &Place) -> Watch {
    let mut watch = Watch::new(&place.0.join("run")).unwrap();
    watch.arm().unwrap();
    watch
}

/// `apart`: how long a change comes after the last one is in the snapshot, at random, in milliseconds.
fn latency(guests: usize, told: bool, apart: std::ops::Range<u64>) {
    let place = Place::new();
    place.fill(guests);
    let mut watch = watch_on(&place);
    let mut daemon = place.daemon(guests, told);
    place.wait(&mut watch);
    let mut random = fastrand::Rng::with_seed(1);
    let mut times = Vec::new();
    for change in 0..CHANGES {
        // Changes come when they come: at any point of the kernel's tick.
        pause(&watch, Duration::from_micros(random.u64(apart.start * 1000..apart.end * 1000)));
        watch.take().unwrap();
        place.write(change % BRIDGES, guests, Some(&format!("new-{change}")));
        let start = Instant::now();
        place.wait(&mut watch);
        times.push(start.elapsed());
    }
    end(&mut daemon);
    times.sort();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
    println!("{}: a change {apart:?} ms after the last is in the snapshot", name(guests, told));
    println!(
        "    after {:.1} ms (median), {:.1} ms (p99), {:.1} ms (longest of {CHANGES})",
        at(0.5),
        at(0.99),
        at(1.0)
    );
}

fn end(daemon: &mut Child) {
    // SAFETY: kill(2) has no preconditions; the process is a child that hasn't been waited for.
    unsafe { libc::kill(daemon.id() as i32, libc::SIGTERM) };
    daemon.wait().unwrap();
}

fn weight(guests: usize, told: bool) {
    let place = Place::new();
    place.fill(guests);
    let mut watch = watch_on(&place);
    let mut daemon = place.daemon(guests, told);
    place.wait(&mut watch);
    for change in 0..5 {
        place.write(change % BRIDGES, guests, Some(&format!("new-{change}")));
        place.wait(&mut watch);
    }
    let size = fs::metadata(place.0.join("run/names.cdb")).unwrap().len();
    // It gives memory back after it has published.
    let cpu = |pid: u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        (fields[11].parse::<u64>().unwrap(), fields[12].parse::<u64>().unwrap())
    };
    std::thread::sleep(Duration::from_secs(2));
    let before = cpu(daemon.id());
    // One sign of life is among it.
    std::thread::sleep(Duration::from_secs(35));
    let after = cpu(daemon.id());
    let kib = |file: &str, key: &str| {
        let text = fs::read_to_string(format!("/proc/{}/{file}", daemon.id())).unwrap();
        let line = text.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    };
    println!("{}:", name(guests, told));
    println!("    snapshot {:.1} MiB", size as f64 / f64::from(1 << 20));
    println!(
        "    resident {:.1} MiB, of them private {:.1} MiB; {:.1} MiB at the most",
        kib("smaps_rollup", "Rss:"),
        kib("smaps_rollup", "Private_Dirty:"),
        kib("status", "VmHWM:"),
    );
    println!("    idle for 35 s: {} ticks of CPU time", after.0 + after.1 - before.0 - before.1);
    end(&mut daemon);
}
