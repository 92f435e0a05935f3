//! What large numbers of guests and leases cost.
//!
//! `cargo bench -p daemon --bench fleet`. Prints what one guest with 3,000 leases and as many names costs, compared to 3,000
//! guests with one lease each. For 50,000 guests on 50 connections, which this program stands in for, it prints the time
//! from a change until it is in the snapshot, the daemon's memory, and its processor time while idle.

mod common;

use std::fs;
use std::io::{BufRead as _, Cursor, Write as _};
use std::net::IpAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use daemon::backend::Backend;
use daemon::config::{Config, Naming};
use daemon::facts::Facts;
use daemon::host::Host;
use daemon::inbox::Outbox;
use daemon::model::{
    Agent, ConnectionId, ConnectionState, Guest, Network, Nic, ReportedAddress, ReportedBy, Update,
};
use daemon::names::{Input, compile};
use daemon::snapshot::write;
use daemon::state::Files;
use daemon::state::watch::Watch;
use guest_names::snapshot::format::{Meta, hash};
use guest_store::snapshot::Info;

use common::{Directories, end, mac, mac_text, pause, print_latency, print_weight, uuid};

const LEASES: usize = 3_000;
const CONNECTIONS: usize = 50;
const GUESTS: usize = 50_000;
const CHANGES: usize = 100;

fn main() {
    if common::run_if_daemon(BACKEND) {
        return;
    }
    one_guest();
    fleet();
}

fn address(number: usize) -> IpAddr {
    let [.., a, b, c] = number.to_be_bytes();
    IpAddr::from([10, a, b, c])
}

fn guest(number: usize, network: &str, addresses: &[IpAddr]) -> Guest {
    let reported =
        |&address: &IpAddr| ReportedAddress { address, source: ReportedBy::Agent, expiry: 0 };
    Guest {
        uuid: uuid(number),
        name: format!("guest-{number}"),
        title: None,
        host_name: Some(format!("host-{number}")),
        agent: if addresses.is_empty() { Agent::Silent } else { Agent::Answered },
        host_keys: None,
        nics: vec![Nic {
            mac: mac(number),
            network: Some(network.into()),
            bridge: Some("virbr0".into()),
            addresses: addresses.iter().map(reported).collect(),
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

/// Compiles the same leases alternately as one guest's, and as those of one guest each.
fn one_guest() {
    let mut worlds = [LeasesOfGuests::new(1), LeasesOfGuests::new(LEASES)];
    for _ in 0..21 {
        worlds.iter_mut().for_each(LeasesOfGuests::compile);
    }
    let medians = worlds.map(|mut world| {
        world.times.sort();
        let median = world.times[world.times.len() / 2].as_secs_f64() * 1e3;
        println!(
            "{LEASES} leases with as many names, {} guests: {median:.1} ms (median of 21), {} entries, {:.1} MiB",
            world.guests,
            world.entries,
            world.size as f64 / f64::from(1 << 20)
        );
        median
    });
    println!("    one guest takes {:.2} of the time of {LEASES} guests", medians[0] / medians[1]);
}

/// The leases, and their guests.
struct LeasesOfGuests {
    directories: Directories,
    guests: usize,
    facts: Facts,
    times: Vec<Duration>,
    /// The snapshot's size in bytes, and its entries.
    size: usize,
    entries: u32,
}

impl LeasesOfGuests {
    fn new(guests: usize) -> Self {
        let directories = Directories::new();
        let state = directories.0.join(format!("state-{guests}"));
        fs::create_dir(&state).unwrap();
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
        Self { directories, guests, facts, times: Vec::new(), size: 0, entries: 0 }
    }

    fn compile(&mut self) {
        let (host, naming) = (Host::default(), Naming::default());
        let (now, start) = (1_800_000_000, Instant::now());
        let state = self.directories.0.join(format!("state-{}", self.guests));
        let files = Files::read(&state).unwrap();
        let input = Input {
            now,
            node: b"",
            files: &files,
            facts: &self.facts,
            host: &host,
            naming: &naming,
        };
        let mut names = compile(input, &mut || ());
        let meta = Meta { state: None, hold: 90, length: 0, compiled: now };
        let mut out = Cursor::new(Vec::new());
        let written = write(&mut out, &mut names, meta, |_| Info::default(), &mut || ());
        self.times.push(start.elapsed());
        (self.size, self.entries) = (out.into_inner().len(), written.unwrap().entries);
    }
}

fn of_fleet(number: usize, addresses: &[IpAddr]) -> Update {
    let connection = ConnectionId((number % CONNECTIONS) as u16);
    Update::Guest(connection, guest(number, "lan", addresses))
}

/// Reports the fleet. Each line on its standard input, a guest's number and an address, changes a guest's address.
const BACKEND: Backend = Backend {
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
    check: |_, _| Err("not supported by this stand-in".into()),
};

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
fn has(directories: &Directories, key: &[u8]) -> bool {
    use std::os::unix::fs::FileExt as _;
    let Ok(file) = fs::File::open(directories.snapshot()) else { return false };
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

fn until(directories: &Directories, watch: &mut Watch, key: &[u8]) {
    while !has(directories, key) {
        pause(watch, Duration::from_secs(60));
    }
}

fn fleet() {
    let directories = Directories::new();
    let connections = (0..CONNECTIONS).map(|number| {
        format!(
            "[[connection]]\nname = \"host{number}\"\nuri = \"qemu+ssh://host{number}/system\"\n"
        )
    });
    fs::write(directories.0.join("config"), connections.collect::<String>()).unwrap();
    let mut watch = directories.watch();
    let start = Instant::now();
    let mut daemon = directories.daemon().stdin(Stdio::piped()).spawn().unwrap();
    until(&directories, &mut watch, format!("gguest-{}", GUESTS - 1).as_bytes());
    println!(
        "{GUESTS} guests over {CONNECTIONS} connections, two addresses each: the first snapshot after {:.1} s",
        start.elapsed().as_secs_f64()
    );
    let mut random = fastrand::Rng::with_seed(1);
    let mut times = Vec::new();
    for change in 0..CHANGES {
        let apart = Instant::now() + Duration::from_millis(random.u64(500..2_000));
        while let Some(left) = apart.checked_duration_since(Instant::now()) {
            pause(&mut watch, left);
        }
        let octets = [172, 16, (change / 250) as u8, (change % 250) as u8];
        let line = format!("{} {}\n", random.usize(..GUESTS), IpAddr::from(octets));
        let start = Instant::now();
        daemon.stdin.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
        until(&directories, &mut watch, &[&b"a"[..], &octets].concat());
        times.push(start.elapsed());
    }
    println!("    a change is answered after");
    print_latency(times);
    print_weight(&directories, &daemon);
    end(&mut daemon);
}
