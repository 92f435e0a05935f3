//! What large numbers cost.
//!
//! `cargo bench -p daemon --bench fleet`. Prints what one guest with 3,000 leases under as many names costs beside 3,000
//! guests with one lease each; and for 50,000 guests over 50 connections, whose place this program takes, the time from
//! a change until it is answered, the daemon's memory, and what it does while nothing happens.

use std::fs;
use std::io::{BufRead as _, Cursor, Write as _};
use std::net::IpAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use daemon::backend::Backend;
use daemon::config::{Config, Naming};
use daemon::daemon::Options;
use daemon::facts::Facts;
use daemon::host::Host;
use daemon::inbox::Outbox;
use daemon::model::{
    Agent, ConnectionId, ConnectionState, Guest, Network, Nic, ReportedAddress, ReportedBy, Update,
};
use daemon::names::{Input, compile};
use daemon::service::{log::Log, memory};
use daemon::snapshot::write;
use daemon::state::Files;
use daemon::state::watch::Watch;
use guest_names::address::Mac;
use guest_names::snapshot::format::{Meta, hash};
use guest_store::snapshot::Info;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Tells this program to be the daemon, and where.
const PLACE: &str = "LIBVIRT_NSSD_BENCH_PLACE";

const LEASES: usize = 3_000;
const CONNECTIONS: usize = 50;
const GUESTS: usize = 50_000;
const CHANGES: usize = 100;

fn main() {
    if let Ok(place) = std::env::var(PLACE) {
        be_the_daemon(Path::new(&place));
        return;
    }
    one_guest();
    fleet();
}

/// Directories in memory, as /run is, gone in the end.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        let base =
            if Path::new("/dev/shm").is_dir() { "/dev/shm".into() } else { std::env::temp_dir() };
        let path = base.join(format!("libvirt-nssd-fleet-{}", std::process::id()));
        for name in ["state", "run"] {
            fs::create_dir_all(path.join(name)).unwrap();
        }
        Self(path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn mac(number: usize) -> Mac {
    let [.., a, b, c] = number.to_be_bytes();
    Mac([0x52, 0x54, 0, a, b, c])
}

fn mac_text(number: usize) -> String {
    String::from_utf8(mac(number).to_text().to_vec()).unwrap()
}

fn address(number: usize) -> IpAddr {
    let [.., a, b, c] = number.to_be_bytes();
    IpAddr::from([10, a, b, c])
}

fn guest(number: usize, network: &str, addresses: &[IpAddr]) -> Guest {
    let told =
        |&address: &IpAddr| ReportedAddress { address, source: ReportedBy::Agent, expiry: 0 };
    let mut uuid = [0; 16];
    uuid[..8].copy_from_slice(&number.to_be_bytes());
    Guest {
        uuid,
        name: format!("guest-{number}"),
        title: None,
        host_name: Some(format!("host-{number}")),
        agent: if addresses.is_empty() { Agent::Silent } else { Agent::Answered },
        host_keys: None,
        nics: vec![Nic {
            mac: mac(number),
            network: Some(network.into()),
            bridge: Some("virbr0".into()),
            addresses: addresses.iter().map(told).collect(),
        }],
    }
}

fn network(name: &str) -> Network {
    Network {
        name: name.into(),
        bridge: Some("virbr0".into()),
        domain: Some(format!("{name}.example")),
        routed: true,
        domain_is_local: false,
        subnets: Vec::new(),
        leases: Vec::new(),
    }
}

/// Compiles the same leases as those of one guest, and as those of as many guests.
fn one_guest() {
    for guests in [1, LEASES] {
        let place = Place::new();
        let state = place.0.join("state");
        let records = (0..LEASES).map(|number| {
            serde_json::json!({
                "ip-address": address(number).to_string(),
                "mac-address": mac_text(number % guests),
                "hostname": format!("host-{number}"),
                "expiry-time": 4_000_000_000u32,
            })
        });
        let records: Vec<_> = records.collect();
        let maps = (0..guests).map(|number| {
            serde_json::json!({"domain": format!("guest-{number}"), "macs": [mac_text(number)]})
        });
        let maps: Vec<_> = maps.collect();
        fs::write(state.join("virbr0.status"), serde_json::to_vec(&records).unwrap()).unwrap();
        fs::write(state.join("virbr0.macs"), serde_json::to_vec(&maps).unwrap()).unwrap();
        let mut facts = Facts::new(&Config::default().connections, Facts::default(), 0, 0);
        facts.apply(Update::Networks(ConnectionId(0), vec![network("default")]), 0, 0);
        let known = (0..guests).map(|number| guest(number, "default", &[])).collect();
        facts.apply(Update::Guests(ConnectionId(0), known), 0, 0);
        let (host, naming) = (Host::default(), Naming::default());
        let mut times = Vec::new();
        let (mut size, mut entries) = (0, 0);
        for _ in 0..20 {
            let start = Instant::now();
            let files = Files::read(&state).unwrap();
            let now = 1_800_000_000;
            let input = Input {
                now,
                node: b"",
                files: &files,
                facts: &facts,
                host: &host,
                naming: &naming,
            };
            let mut names = compile(input, &mut || ());
            let meta = Meta { state: None, hold: 90, length: 0, compiled: now };
            let mut out = Cursor::new(Vec::new());
            let written = write(&mut out, &mut names, meta, |_| Info::default(), &mut || ());
            times.push(start.elapsed());
            (size, entries) = (out.into_inner().len(), written.unwrap().entries);
        }
        times.sort();
        println!(
            "{LEASES} leases under as many names, of {guests} guests: {:.1} ms (median of 20), {entries} entries, {:.1} MiB",
            times[10].as_secs_f64() * 1e3,
            size as f64 / f64::from(1 << 20)
        );
    }
}

fn of_fleet(number: usize, addresses: &[IpAddr]) -> Update {
    let connection = ConnectionId((number % CONNECTIONS) as u16);
    Update::Guest(connection, guest(number, "lan", addresses))
}

/// Knows the fleet, and for each line on its input one guest has another address: its number, and the address.
fn be_the_daemon(place: &Path) {
    memory::set_up();
    let options = Options {
        config: Some(place.join("config")),
        state_directory: place.join("state"),
        snapshot_directory: place.join("run"),
    };
    let backend = Backend {
        start: |connections, outbox| {
            for connection in connections {
                let id = connection.id;
                outbox.put(Update::State(id, ConnectionState::Up));
                outbox.put(Update::Networks(id, vec![network("lan")]));
                let numbers = (usize::from(id.0)..GUESTS).step_by(CONNECTIONS);
                let addresses = |number| [address(number), v6(number)];
                let guests = numbers.map(|number| guest(number, "lan", &addresses(number)));
                outbox.put(Update::Guests(id, guests.collect()));
            }
            std::thread::spawn(move || change(&outbox));
            Ok(Box::new(()))
        },
        check: |_, _| Err("nothing to be tried".into()),
    };
    daemon::daemon::run(&options, backend, Log::new("libvirt-nssd")).unwrap();
}

fn v6(number: usize) -> IpAddr {
    let mut octets = [0; 16];
    octets[0] = 0xfd;
    octets[8..].copy_from_slice(&number.to_be_bytes());
    IpAddr::from(octets)
}

fn change(outbox: &Outbox) {
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let (number, address) = line.split_once(' ').unwrap();
        let number = number.parse().unwrap();
        outbox.put(of_fleet(number, &[address.parse().unwrap(), v6(number)]));
    }
}

/// Whether the snapshot has the key.
fn has(place: &Place, key: &[u8]) -> bool {
    use std::os::unix::fs::FileExt as _;
    let Ok(file) = fs::File::open(place.0.join("run/names.cdb")) else { return false };
    let pair = |at: u64| {
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes, at).unwrap();
        let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        (number(0), number(4))
    };
    let hash = hash(key);
    let (table, slots) = pair(u64::from(hash & 0xff) * 8);
    let first = (hash >> 8).checked_rem(slots).unwrap_or(0);
    for at in 0..slots {
        let slot = (first + at) % slots;
        let (other, record) = pair(u64::from(table) + u64::from(slot) * 8);
        if record == 0 {
            return false;
        }
        let mut found = vec![0; key.len()];
        let start = u64::from(record) + 8;
        if other == hash && file.read_exact_at(&mut found, start).is_ok() && found == key {
            return true;
        }
    }
    false
}

fn pause(watch: &Watch, limit: Duration) {
    let limit = Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: limit.subsec_nanos().into() };
    poll(&mut [PollFd::new(watch, PollFlags::IN)], Some(&limit)).unwrap();
}

fn until(place: &Place, watch: &mut Watch, key: &[u8]) {
    while !has(place, key) {
        pause(watch, Duration::from_secs(60));
        watch.take().unwrap();
    }
}

fn fleet() {
    let place = Place::new();
    let connections = (0..CONNECTIONS).map(|number| {
        format!(
            "[[connection]]\nname = \"host{number}\"\nuri = \"qemu+ssh://host{number}/system\"\n"
        )
    });
    fs::write(place.0.join("config"), connections.collect::<String>()).unwrap();
    let mut watch = Watch::new(&place.0.join("run")).unwrap();
    watch.arm().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(PLACE, &place.0).arg0("libvirt-nssd").stdin(Stdio::piped()).stderr(Stdio::null());
    let start = Instant::now();
    let mut daemon = command.spawn().unwrap();
    until(&place, &mut watch, format!("gguest-{}", GUESTS - 1).as_bytes());
    println!(
        "{GUESTS} guests over {CONNECTIONS} connections, two addresses each: the first snapshot after {:.1} s",
        start.elapsed().as_secs_f64()
    );
    let mut random = fastrand::Rng::with_seed(1);
    let mut times = Vec::new();
    for change in 0..CHANGES {
        let apart = Instant::now() + Duration::from_millis(random.u64(500..2_000));
        while let Some(left) = apart.checked_duration_since(Instant::now()) {
            pause(&watch, left);
            watch.take().unwrap();
        }
        let octets = [172, 16, (change / 250) as u8, (change % 250) as u8];
        let line = format!("{} {}\n", random.usize(..GUESTS), IpAddr::from(octets));
        let start = Instant::now();
        daemon.stdin.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
        until(&place, &mut watch, &[&b"a"[..], &octets].concat());
        times.push(start.elapsed());
    }
    times.sort();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
    println!(
        "    a change is answered after {:.0} ms (median), {:.0} ms (p99), {:.0} ms (longest of {CHANGES})",
        at(0.5),
        at(0.99),
        at(1.0)
    );
    weigh(&place, &daemon);
    // SAFETY: kill(2) has no preconditions; the process is a child that hasn't been waited for.
    unsafe { libc::kill(daemon.id() as i32, libc::SIGTERM) };
    daemon.wait().unwrap();
}

fn weigh(place: &Place, daemon: &Child) {
    let cpu = || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", daemon.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    // It gives memory back after it has published.
    std::thread::sleep(Duration::from_secs(3));
    let before = cpu();
    // One sign of life is among it.
    std::thread::sleep(Duration::from_secs(35));
    let idle = cpu() - before;
    let mib = |key: &str| {
        let text = fs::read_to_string(format!("/proc/{}/status", daemon.id())).unwrap();
        let line = text.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    };
    let size = fs::metadata(place.0.join("run/names.cdb")).unwrap().len();
    println!("    snapshot {:.1} MiB", size as f64 / f64::from(1 << 20));
    println!("    resident {:.1} MiB, {:.1} MiB at the most", mib("VmRSS:"), mib("VmHWM:"));
    println!("    idle for 35 s: {idle} ticks of CPU time");
}
