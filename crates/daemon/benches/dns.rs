//! How soon libvirt-nss-dns.service answers with a guest's new address.
//!
//!     cargo bench -p daemon --bench dns -- [CHANGES [GUESTS...]]
//!
//! For 10, 1,000 and 10,000 guests in state files, prints the time from libvirt's rename of a state file until dnsmasq answers with
//! the new address, and the time until libvirt-nssd has written it. dnsmasq runs with the options of the unit. The peer is
//! dnsmasq alone: a single file with the same names, as a script might write it, is renamed into its directory.

mod common;

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use daemon::state::watch::Watch;

use common::{Directories, end, mac_text, pause};

/// How libvirt-nss-dns.service runs dnsmasq.
const UNIT: &str = include_str!("../../../packaging/systemd/libvirt-nss-dns.service");

/// Names in the zone are those of a connection: here libvirt's own stand-in, which has one guest without addresses.
const CONFIG: &str =
    "[outlets]\nhosts = true\n[[connection]]\nname = \"host\"\nuri = \"test:///default\"\n";

/// Guests of a network.
const IN_NETWORK: usize = 250;

/// Longer than any change takes.
const LIMIT: Duration = Duration::from_secs(60);

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse().ok());
    let changes = numbers.next().unwrap_or(200);
    let mut sizes: Vec<usize> = numbers.collect();
    if sizes.is_empty() {
        sizes = vec![10, 1_000, 10_000];
    }
    if Command::new("dnsmasq").arg("--version").stdout(Stdio::null()).status().is_err() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "dnsmasq is not installed");
        return eprintln!("skipped: dnsmasq is not installed (run tests/setup bench)");
    }
    println!(
        "| guests | changes | median | p99 | longest | of it libvirt-nssd: median | p99 | dnsmasq alone: median | ratio |"
    );
    println!("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for guests in sizes {
        let bench = Bench::new(guests);
        let (mut times, mut written) = bench.changes(changes);
        // Each may take seconds.
        let mut alone = bench.alone((20_000 / guests).clamp(changes.min(10), changes));
        let (median, peer) = (at(&mut times, 0.5), at(&mut alone, 0.5));
        println!(
            "| {guests} | {changes} | {median:.1} ms | {:.1} ms | {:.1} ms | {:.1} ms | {:.1} ms | {peer:.1} ms | {:.2}× |",
            at(&mut times, 0.99),
            at(&mut times, 1.0),
            at(&mut written, 0.5),
            at(&mut written, 0.99),
            median / peer
        );
    }
}

/// The quantile `part`, in milliseconds.
fn at(times: &mut [Duration], part: f64) -> f64 {
    times.sort_unstable();
    let place = ((times.len() as f64 * part).ceil() as usize).clamp(1, times.len()) - 1;
    times[place].as_secs_f64() * 1e3
}

/// The first address of a guest, and another for each change.
fn address(number: usize, change: usize) -> Ipv4Addr {
    let [.., high, low] = number.to_be_bytes();
    Ipv4Addr::new(10, change as u8, high, low)
}

/// State files, the daemon and its dnsmasq.
struct Bench {
    directories: Directories,
    guests: usize,
    _daemon: Daemon,
    server: Server,
}

impl Bench {
    fn new(guests: usize) -> Self {
        let directories = Directories::new();
        let root = &directories.0;
        fs::write(root.join("config"), CONFIG).unwrap();
        for network in 0..guests.div_ceil(IN_NETWORK) {
            write_state(root, network, guests, None);
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_libvirt-nssd"));
        for (option, name) in
            [("--config", "config"), ("--state-dir", "state"), ("--snapshot", "run")]
        {
            command.arg(option).arg(root.join(name));
        }
        let mut watch = directories.watch();
        let daemon = Daemon(command.stderr(Stdio::null()).spawn().unwrap());
        while !root.join("run/dns/hosts").exists() {
            pause(&mut watch, LIMIT);
        }
        let server = Server::start(root, &root.join("run"));
        server.await_answer(0, address(0, 0));
        Self { directories, guests, _daemon: daemon, server }
    }

    /// The times until each change is answered, and until the daemon has written it.
    fn changes(&self, changes: usize) -> (Vec<Duration>, Vec<Duration>) {
        let root = &self.directories.0;
        let mut watch = Watch::new(&root.join("run/dns")).unwrap();
        watch.arm().unwrap();
        let mut random = fastrand::Rng::with_seed(1);
        let mut last = Duration::ZERO;
        (1..=changes)
            .map(|change| {
                let guest = change % self.guests;
                // At any point of the kernel's tick, and after the daemon's pause between compilations.
                std::thread::sleep(Duration::from_micros(random.u64(100_000..110_000)) + 2 * last);
                watch.take().unwrap();
                let new = address(guest, change);
                let before = SystemTime::now() - Duration::from_millis(10);
                let start = write_state(root, guest / IN_NETWORK, self.guests, Some((guest, new)));
                while !is_written(root, new, before) {
                    pause(&mut watch, LIMIT);
                }
                let written = start.elapsed();
                last = written;
                self.server.await_answer(guest, new);
                (start.elapsed(), written)
            })
            .unzip()
    }

    /// The times from the rename of a file with all names to dnsmasq's answer.
    fn alone(&self, changes: usize) -> Vec<Duration> {
        let directory = self.directories.0.join("alone");
        fs::create_dir_all(directory.join("dns")).unwrap();
        let run = self.directories.0.join("run");
        fs::copy(run.join("dns-zones"), directory.join("dns-zones")).unwrap();
        let mut text = String::new();
        for file in fs::read_dir(run.join("dns")).unwrap() {
            text += &fs::read_to_string(file.unwrap().path()).unwrap();
        }
        let lines: Vec<&str> = text.lines().filter(|line| !line.contains(" host-0.")).collect();
        let write = |address: Ipv4Addr| {
            let mut lines = lines.clone();
            let changed = format!("{address} host-0.vm.internal");
            lines.push(&changed);
            fs::write(directory.join("new"), lines.join("\n") + "\n").unwrap();
            fs::rename(directory.join("new"), directory.join("dns/hosts")).unwrap();
            Instant::now()
        };
        write(address(0, 0));
        let server = Server::start(&directory, &directory);
        server.await_answer(0, address(0, 0));
        (1..=changes)
            .map(|change| {
                let start = write(address(0, change));
                server.await_answer(0, address(0, change));
                start.elapsed()
            })
            .collect()
    }
}

/// libvirt-nssd, ended when it goes out of scope.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        end(&mut self.0);
    }
}

/// Whether a file of names that was written since `before` has this address.
fn is_written(root: &Path, address: Ipv4Addr, before: SystemTime) -> bool {
    let line = format!("{address} ");
    fs::read_dir(root.join("run/dns")).unwrap().any(|file| {
        let file = file.unwrap();
        let is_new = file.metadata().is_ok_and(|data| data.modified().unwrap() >= before);
        is_new && fs::read_to_string(file.path()).unwrap().lines().any(|one| one.starts_with(&line))
    })
}

/// Writes the leases of a network as libvirt's helper does, with another address for one of its guests. Returns when the file was renamed.
fn write_state(
    root: &Path,
    network: usize,
    guests: usize,
    changed: Option<(usize, Ipv4Addr)>,
) -> Instant {
    let first = network * IN_NETWORK;
    let records: Vec<_> = (first..guests.min(first + IN_NETWORK))
        .map(|number| {
            let address = match changed {
                Some((guest, address)) if guest == number => address,
                _ => address(number, 0),
            };
            serde_json::json!({
                "ip-address": address.to_string(),
                "mac-address": mac_text(number),
                "hostname": format!("host-{number}"),
                "expiry-time": 4_000_000_000u32,
            })
        })
        .collect();
    let path = root.join(format!("state/virbr{network}.status"));
    let new = path.with_extension("new");
    fs::write(&new, serde_json::to_string_pretty(&records).unwrap()).unwrap();
    fs::rename(new, path).unwrap();
    Instant::now()
}

/// dnsmasq on a port of the loopback interface.
struct Server {
    process: Child,
    socket: UdpSocket,
}

impl Server {
    /// As the unit starts it, with the names in `names`; its own files are in `directory`.
    fn start(directory: &Path, names: &Path) -> Self {
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = directory.join("dnsmasq.conf");
        let mut file = fs::File::create(&config).unwrap();
        writeln!(file, "listen-address=127.0.0.1\nport={port}").unwrap();
        let command = UNIT.replace("\\\n", " ");
        let command = command.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
        let text = |path: PathBuf| path.to_str().unwrap().to_owned();
        let arguments = command.split_whitespace().skip(1);
        // Other users can't read the directory.
        let arguments =
            arguments.filter(|one| !one.starts_with("--user=") && !one.starts_with("--group="));
        let arguments = arguments.map(|one| {
            one.replace("/etc/libvirt-nss-dns.conf", &text(config.clone()))
                .replace("/run/libvirt-nss-dns/pid", &text(directory.join("pid")))
                .replace("/run/libvirt-nss/", &text(names.join("")))
        });
        let process = Command::new("dnsmasq")
            .args(arguments)
            .args(["--keep-in-foreground", "--user=root"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(("127.0.0.1", port)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        Self { process, socket }
    }

    /// Sends queries (RFC 1035, section 4) until a guest has this address.
    fn await_answer(&self, guest: usize, address: Ipv4Addr) {
        // One question, no recursion.
        let mut query = vec![0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in format!("host-{guest}.vm.internal").split('.') {
            query.push(label.len() as u8);
            query.extend(label.as_bytes());
        }
        query.extend([0, 0, 1, 0, 1]);
        let mut answer = [0; 512];
        let end = Instant::now() + LIMIT;
        while Instant::now() < end {
            // While the server starts, queries are refused or lost.
            let asked = self.socket.send(&query).and_then(|_| self.socket.recv(&mut answer));
            match asked {
                // The query doesn't contain this address.
                Ok(length)
                    if answer[..length].windows(4).any(|octets| octets == address.octets()) =>
                {
                    return;
                }
                Ok(_) => {}
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        panic!("host-{guest} did not get the address {address}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}
