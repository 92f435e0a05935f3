//! Look-ups with the snapshot of libvirt-nssd, beside libvirt's modules and beside bare system calls.

use std::ffi::CStr;
use std::fs;
use std::hint::black_box;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use guest_names::snapshot::format::Meta;

use crate::Bench;
use crate::child::{self, Numbers};
use crate::clock::{Turn, take_turns};
use crate::contender::{Kind, OURS, STOCK};
use crate::error::{Context, Error, Result};
use crate::lookups::{self, Question, turn};
use crate::module::Module;
use crate::sandbox::{RUNTIME_DIRECTORY, STATE_DIRECTORY};
use crate::state::{Asked, Scene};
use crate::table::{Table, time, times};

/// The snapshot's path.
const PLACE: &CStr = c"/run/libvirt-nss/names.cdb";

/// How long to wait for the daemon to say that it is ready.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running libvirt-nssd that only knows the state directory.
struct Daemon(Child);

impl Daemon {
    /// Starts it, and waits until its snapshot replaces the state files.
    fn start(bench: &Bench) -> Result<Self> {
        let directory = bench.sandbox.directory("daemon")?;
        let (configuration, socket) = (directory.join("conf.toml"), directory.join("notify"));
        fs::write(&configuration, "connection = []\n").context(configuration.display())?;
        // Removes the snapshot of the previous scene.
        let _ = fs::remove_file(&socket);
        let notified = UnixDatagram::bind(&socket).context(socket.display())?;
        notified.set_read_timeout(Some(PATIENCE)).context(socket.display())?;
        let program = &bench.options.daemon;
        let child = Command::new(program)
            .arg("--config")
            .arg(&configuration)
            .env("NOTIFY_SOCKET", &socket)
            .stderr(Stdio::null())
            .spawn()
            .context(program.display())?;
        let daemon = Self(child);
        let mut message = [0; 4096];
        loop {
            let len = notified.recv(&mut message).context("waiting for libvirt-nssd")?;
            let said = String::from_utf8_lossy(&message[..len]).into_owned();
            if said.lines().any(|line| line == "READY=1") {
                break;
            }
        }
        stands()?;
        Ok(daemon)
    }

    /// The daemon's resident memory, in bytes.
    fn resident(&self) -> Result<f64> {
        let path = format!("/proc/{}/status", self.0.id());
        let status = fs::read_to_string(&path).context(&path)?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()).ok_or("no VmRSS");
        Ok(kib.context(&path)?.parse::<f64>().context(&path)? * 1024.0)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn snapshot_path() -> PathBuf {
    Path::new(RUNTIME_DIRECTORY).join("names.cdb")
}

/// Waits until the snapshot replaces the state files: a change must first be older than the clock's granularity.
fn stands() -> Result<()> {
    let (start, path) = (Instant::now(), snapshot_path());
    loop {
        let bytes = fs::read(&path).context(path.display())?;
        let meta = bytes.get(Meta::START..).and_then(Meta::parse).ok_or("it is not a snapshot");
        let state = meta.context(path.display())?.state;
        let directory = fs::metadata(STATE_DIRECTORY).context(STATE_DIRECTORY)?;
        let now = (directory.mtime(), directory.mtime_nsec());
        if state.is_some_and(|state| (state.seconds, i64::from(state.nanoseconds)) == now) {
            return Ok(());
        }
        if start.elapsed() > PATIENCE {
            return Err(Error::new("the snapshot doesn't replace the state files"));
        }
        thread::yield_now();
    }
}

/// The system calls that every reader of a constant database has to make.
fn bare() {
    const SIZES: [usize; 4] = [8, 64, 256, 64];
    let flags = libc::O_RDONLY | libc::O_CLOEXEC;
    // SAFETY: a C string.
    let fd = unsafe { libc::open(PLACE.as_ptr(), flags) };
    assert!(fd >= 0, "the snapshot can't be opened");
    let mut room = [0u8; 256];
    for (at, size) in SIZES.into_iter().enumerate() {
        // SAFETY: `room` has room for each of the sizes.
        let len = unsafe { libc::pread(fd, room.as_mut_ptr().cast(), size, at as i64 * 512) };
        assert!(len > 0, "the snapshot can't be read");
    }
    stat(c"/var/lib/libvirt/dnsmasq");
    // SAFETY: the descriptor is ours, and isn't used afterwards.
    unsafe { libc::close(fd) };
    black_box(room);
}

fn stat(path: &CStr) {
    let mut status = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: a C string, and room for what is written.
    let done = unsafe { libc::stat(path.as_ptr(), status.as_mut_ptr()) };
    assert_eq!(done, 0, "{path:?} has no status");
}

/// Look-ups at all sizes.
pub(crate) fn measure(bench: &Bench) -> Result<Vec<Table>> {
    let header = [
        "leases, name",
        "libvirt's",
        "ours",
        "times as fast",
        "bare calls",
        "ours to bare",
        "to fewest",
    ];
    let title = "A look-up with the daemon's snapshot, processor time";
    let mut table = Table::new("snapshot", title, &header);
    let mut sizes = Table::new(
        "snapshot-sizes",
        "The daemon and its snapshot, in MiB",
        &["leases", "daemon, resident", "snapshot"],
    );
    let _directories = bench.sandbox.daemons_directories()?;
    // Our times with the fewest leases, in the order of the questions.
    let mut fewest: Vec<f64> = Vec::new();
    for scene in bench.scenes().into_iter().filter(|scene| *scene != Scene::SPREAD) {
        let asked = scene.set()?;
        let daemon = Daemon::start(bench)?;
        let path = snapshot_path();
        let length = fs::metadata(&path).context(path.display())?.len() as f64;
        let mib = |bytes: f64| format!("{:.1}", bytes / f64::from(1 << 20));
        sizes.row([scene.label(), mib(daemon.resident()?), mib(length)]);
        let mut at = 0;
        for kind in Kind::BOTH {
            let questions = questions(kind, &asked)?;
            let numbers = child::run(|| all(bench, kind, &questions))?;
            for (question, took) in questions.iter().zip(numbers.chunks_exact(6)) {
                let &[ours, stock, bare, faster, to_bare, answered] = took else { continue };
                if fewest.len() <= at {
                    fewest.push(ours);
                }
                let has_stock = answered > 0.0;
                let or_none = |text: String| if has_stock { text } else { "-".to_owned() };
                table.row([
                    format!("{}, {}, {}", scene.label(), kind.service(), question.label),
                    or_none(time(stock)),
                    time(ours),
                    or_none(times(faster)),
                    time(bare),
                    times(to_bare),
                    times(ours / fewest[at]),
                ]);
                at += 1;
            }
        }
        drop(daemon);
        fs::remove_file(&path).context(path.display())?;
    }
    Ok(vec![table, sizes])
}

/// The look-ups with one answer or none.
fn questions(kind: Kind, asked: &Asked) -> Result<Vec<Question>> {
    let mut questions = lookups::forward(kind, asked)?;
    questions.extend(lookups::reverse(kind, asked));
    questions
        .retain(|question| question.label.ends_with("4_r") || question.label.starts_with("IPv4"));
    Ok(questions)
}

/// Six numbers for each question: the medians of ours, of libvirt's and of the bare calls, two ratios, and whether
/// libvirt's module has such a look-up.
fn all(bench: &Bench, kind: Kind, questions: &[Question]) -> Numbers {
    let load = |at: usize| Module::load(&bench.contenders[at].path(kind), kind);
    let (ours, stock) = (load(OURS)?, load(STOCK)?);
    let mut numbers = Vec::new();
    for question in questions {
        let by_name = question.label.ends_with("4_r");
        let mut turns: Vec<Turn<'_>> = vec![turn(&ours, question)?, Box::new(bare)];
        if by_name {
            turns.push(turn(&stock, question)?);
        }
        let samples = take_turns(&mut turns, bench.seconds());
        let (stock, faster) =
            if by_name { (samples.median(2), samples.ratio(2, 0)) } else { (0.0, 0.0) };
        let (ours, bare) = (samples.median(0), samples.median(1));
        let answered = f64::from(u8::from(by_name));
        numbers.extend([ours, stock, bare, faster, samples.ratio(0, 1), answered]);
    }
    Ok(numbers)
}
