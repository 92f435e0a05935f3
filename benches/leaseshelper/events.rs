//! The cost of an event in our helper and in libvirt's: `cargo bench -p leaseshelper`. Needs root and libvirt's helper.
//!
//! The two take turns, so that both run under the same load. Prints tables for docs/benchmarks.md, and fails if ours
//! takes more than a fifth of the processor time or memory of libvirt's.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use leaseshelper::lease::Lease;
use leaseshelper::leases::Leases;
use leaseshelper::record::LeaseRecord;

#[path = "../../crates/leaseshelper/tests/suite/world.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod world;

use world::{Call, OURS, Stock, World};

/// Pairs of events for each row of the first table.
const PAIRS: usize = 100;
/// The largest fraction of libvirt's cost that ours may have.
const LIMIT: f64 = 0.2;

/// The cost of one run of a helper.
struct Cost {
    /// Elapsed time, in milliseconds.
    wall: f64,
    /// Processor time, in milliseconds.
    cpu: f64,
    /// Peak memory, in KiB.
    memory: f64,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, mode, stock, leases] = &arguments[..] {
        assert_eq!(mode, TAKE_TURNS);
        take_turns(Path::new(stock), leases.parse().expect("a number"));
        return ExitCode::SUCCESS;
    }
    // Without root or libvirt's helper there is nothing to compare.
    let (Some(world), Some(stock)) = (World::new(), Stock::find()) else {
        return ExitCode::SUCCESS;
    };
    let stock = stock.program;
    let disk = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("leaseshelper-bench");
    std::fs::create_dir_all(&disk).expect("a directory on the disk");

    println!("One event, median of {PAIRS} pairs (a renewal somewhere in the list):\n");
    println!("| leases | on | helper | time | processor time | memory |");
    println!("|---|---|---|---|---|---|");
    let mut fits = true;
    for on in ["tmpfs", "disk"] {
        if on == "disk" {
            world::mount(disk.to_str(), world::STATE, libc::MS_BIND, None);
        }
        for leases in [10, 1000] {
            fits &= one_event(&world, &stock, on, leases);
        }
    }
    println!("\nA thousand guests boot, on the disk:\n");
    println!("| networks | helper | time until all leases are written | events per second |");
    println!("|---|---|---|---|");
    for networks in [1, 10] {
        for (name, program) in [("libvirt's", stock.as_path()), ("ours", OURS.as_ref())] {
            let took = boot(&world, program, networks);
            println!(
                "| {networks} | {name} | {:.2} s | {:.0} |",
                took.as_secs_f64(),
                1000.0 / took.as_secs_f64()
            );
        }
    }
    std::fs::remove_dir_all(&disk).expect("the directory on the disk");
    if fits {
        return ExitCode::SUCCESS;
    }
    eprintln!("above {LIMIT} of what libvirt's helper takes; see the table");
    ExitCode::FAILURE
}

/// Prints a row for each helper, and one with the ratios. Returns whether these are within the limit.
fn one_event(world: &World, stock: &Path, on: &str, leases: usize) -> bool {
    let leases_of_guests: Vec<Lease> = (0..leases)
        .map(|i| {
            let call = Call::add("", i);
            let argument = |at: usize| String::from_utf8_lossy(&call.arguments[at]).into_owned();
            Lease {
                ip_address: argument(2),
                mac_address: argument(1),
                hostname: Some(argument(3)),
                client_id: Some(CLIENT_ID.into()),
                expiry_time: 1_900_000_000,
                ..Lease::default()
            }
        })
        .collect();
    let records = leases_of_guests.iter().map(LeaseRecord::new).collect();
    let list: String = Leases { records, damage: None }.text().collect();
    for bridge in BRIDGES {
        world.write_list(bridge, &list);
    }
    // The kernel counts a parent's memory at the time of the fork as the program's, so the parent must be small.
    let output = Command::new(std::env::current_exe().expect("a path"))
        .args([TAKE_TURNS.as_ref(), stock.as_os_str(), leases.to_string().as_ref()])
        .stderr(Stdio::inherit())
        .output()
        .expect("this program starts");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let mut costs = [Vec::new(), Vec::new()];
    for (i, line) in text.lines().enumerate() {
        let mut numbers = line.split(' ').map(|number| number.parse().expect("a number"));
        let mut next = || numbers.next().expect("three numbers");
        costs[i % 2].push(Cost { wall: next(), cpu: next(), memory: next() });
    }
    assert_eq!(world.list("stock0"), world.list("ours0"), "the helpers disagree");
    let [theirs, ours] = costs.map(|costs| medians(&costs));
    for (name, cost) in [("libvirt's", &theirs), ("ours", &ours)] {
        println!(
            "| {leases} | {on} | {name} | {:.2} ms | {:.2} ms | {:.0} KiB |",
            cost.wall, cost.cpu, cost.memory
        );
    }
    let ratios = [ours.wall / theirs.wall, ours.cpu / theirs.cpu, ours.memory / theirs.memory];
    println!(
        "| {leases} | {on} | ratio | {:.3} | {:.3} | {:.3} |",
        ratios[0], ratios[1], ratios[2]
    );
    ratios[1..].iter().all(|ratio| *ratio <= LIMIT)
}

/// Runs each helper in turn on a bridge of its own and prints what each run cost.
fn take_turns(stock: &Path, leases: usize) {
    for i in 0..PAIRS {
        for (program, bridge) in [stock, OURS.as_ref()].into_iter().zip(BRIDGES) {
            let call = Call::add(bridge, i * 7 % leases).with("DNSMASQ_CLIENT_ID", CLIENT_ID);
            let cost = run(&mut call.command(program));
            println!("{} {} {}", cost.wall, cost.cpu, cost.memory);
        }
    }
}

/// The argument that makes this program the small parent that runs the helpers in turn.
const TAKE_TURNS: &str = "take-turns";

const BRIDGES: [&str; 2] = ["stock0", "ours0"];

const CLIENT_ID: &str = "ff:56:50:4d:98:00:02:00:00:ab:11:5e:91:52:54:00:aa:bb:cc";

/// 1,000 guests get their first lease, on this many networks at once; each network's dnsmasq runs one helper at a time.
fn boot(world: &World, program: &Path, networks: usize) -> Duration {
    let guests = 1000 / networks;
    for network in 0..networks {
        world.write_list(&format!("boot{network}"), "");
    }
    let start = Instant::now();
    thread::scope(|scope| {
        for network in 0..networks {
            // The thread shares this thread's world.
            scope.spawn(move || {
                for guest in 0..guests {
                    let call = Call::add(&format!("boot{network}"), guest)
                        .with("DNSMASQ_CLIENT_ID", CLIENT_ID);
                    assert!(call.command(program).status().expect("the helper starts").success());
                }
            });
        }
    });
    let took = start.elapsed();
    for network in 0..networks {
        assert_eq!(world.addresses(&format!("boot{network}")).len(), guests);
    }
    took
}

#[expect(clippy::zombie_processes, reason = "wait4 waits for it")]
fn run(command: &mut Command) -> Cost {
    let start = Instant::now();
    let child = command.stdout(Stdio::null()).spawn().expect("the helper starts");
    let mut status = 0;
    // SAFETY: rusage is a C struct of integers, for which all zeros are valid.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the child is this program's own and nobody else waits for it; both pointers are to locals.
    let waited = unsafe { libc::wait4(child.id() as _, &raw mut status, 0, &raw mut usage) };
    let wall = start.elapsed().as_secs_f64() * 1000.0;
    assert!(waited != -1 && status == 0, "status {status}: {}", io::Error::last_os_error());
    let milliseconds =
        |time: libc::timeval| time.tv_sec as f64 * 1000.0 + time.tv_usec as f64 / 1000.0;
    let cpu = milliseconds(usage.ru_utime) + milliseconds(usage.ru_stime);
    Cost { wall, cpu, memory: usage.ru_maxrss as f64 }
}

fn medians(costs: &[Cost]) -> Cost {
    let median = |of: fn(&Cost) -> f64| {
        let mut values: Vec<f64> = costs.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Cost {
        wall: median(|cost| cost.wall),
        cpu: median(|cost| cost.cpu),
        memory: median(|cost| cost.memory),
    }
}
