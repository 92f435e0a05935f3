//! What the benchmarks share: a daemon with its own directories, its latency, and its memory and processor time.

// Not every benchmark uses all of it.
#![allow(dead_code)]

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use daemon::backend::Backend;
use daemon::daemon::Options;
use daemon::service::{log::Log, memory};
use daemon::state::watch::Watch;
use guest_names::address::Mac;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// If set, the benchmark runs as the daemon, with these directories.
const DIRECTORIES: &str = "LIBVIRT_NSSD_BENCH_DIRECTORIES";

/// How long the idle daemon is observed. It touches the snapshot once in that time.
const IDLE: Duration = Duration::from_secs(35);

/// Directories in memory, like /run, removed at the end.
pub(crate) struct Directories(pub(crate) PathBuf);

impl Directories {
    pub(crate) fn new() -> Self {
        let base =
            if Path::new("/dev/shm").is_dir() { "/dev/shm".into() } else { std::env::temp_dir() };
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = base.join(format!("libvirt-nssd-bench-{}-{count}", std::process::id()));
        for name in ["state", "run"] {
            fs::create_dir_all(path.join(name)).unwrap();
        }
        Self(path)
    }

    pub(crate) fn snapshot(&self) -> PathBuf {
        self.0.join("run/names.cdb")
    }

    /// A watch on the snapshot's directory.
    pub(crate) fn watch(&self) -> Watch {
        let mut watch = Watch::new(&self.0.join("run")).unwrap();
        watch.arm().unwrap();
        watch
    }

    /// This program again, which must call [`run_if_daemon`].
    pub(crate) fn daemon(&self) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env(DIRECTORIES, &self.0).arg0("libvirt-nssd").stderr(Stdio::null());
        command
    }
}

impl Drop for Directories {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs the daemon's main loop if this process is the daemon. Returns whether it was.
pub(crate) fn run_if_daemon(backend: Backend) -> bool {
    let Ok(directories) = std::env::var(DIRECTORIES) else { return false };
    let directories = Path::new(&directories);
    memory::set_up();
    let options = Options {
        config: Some(directories.join("config")),
        state_directory: directories.join("state"),
        snapshot_directory: directories.join("run"),
    };
    daemon::daemon::run(&options, backend, Log::new("libvirt-nssd")).unwrap();
    true
}

pub(crate) fn mac(number: usize) -> Mac {
    let [.., a, b, c] = number.to_be_bytes();
    Mac([0x52, 0x54, 0, a, b, c])
}

pub(crate) fn mac_text(number: usize) -> String {
    String::from_utf8(mac(number).to_text().to_vec()).unwrap()
}

pub(crate) fn uuid(number: usize) -> [u8; 16] {
    let mut uuid = [0; 16];
    uuid[..8].copy_from_slice(&number.to_be_bytes());
    uuid
}

/// Waits until something happens in the snapshot's directory, but no longer than `limit`.
pub(crate) fn pause(watch: &mut Watch, limit: Duration) {
    let limit = Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: limit.subsec_nanos().into() };
    poll(&mut [PollFd::new(&*watch, PollFlags::IN)], Some(&limit)).unwrap();
    watch.take().unwrap();
}

/// Prints how long changes took.
pub(crate) fn print_latency(mut times: Vec<Duration>) {
    times.sort();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
    println!(
        "    {:.1} ms (p50), {:.1} ms (p99), {:.1} ms (longest of {})",
        at(0.5),
        at(0.99),
        at(1.0),
        times.len()
    );
}

/// Prints the size of the snapshot, the daemon's memory, and its processor time while idle.
pub(crate) fn print_weight(directories: &Directories, daemon: &Child) {
    // The daemon releases memory a while after it has published.
    std::thread::sleep(Duration::from_secs(3));
    let before = ticks(daemon);
    std::thread::sleep(IDLE);
    let idle = ticks(daemon) - before;
    let mib = |file: &str, key: &str| {
        let text = fs::read_to_string(format!("/proc/{}/{file}", daemon.id())).unwrap();
        let line = text.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    };
    let size = fs::metadata(directories.snapshot()).unwrap().len();
    println!("    snapshot {:.1} MiB", size as f64 / f64::from(1 << 20));
    println!(
        "    resident {:.1} MiB, of which private {:.1} MiB; at most {:.1} MiB",
        mib("smaps_rollup", "Rss:"),
        mib("smaps_rollup", "Private_Dirty:"),
        mib("status", "VmHWM:"),
    );
    println!("    idle for {} s: {idle} ticks of processor time, 10 ms each", IDLE.as_secs());
}

/// The processor time that the daemon has used (proc_pid_stat(5)).
fn ticks(daemon: &Child) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", daemon.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

pub(crate) fn end(daemon: &mut Child) {
    // SAFETY: kill(2) has no preconditions; the process is a child that hasn't been waited for.
    unsafe { libc::kill(daemon.id() as i32, libc::SIGTERM) };
    daemon.wait().unwrap();
}
