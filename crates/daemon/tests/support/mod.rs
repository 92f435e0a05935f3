//! A daemon under test, and its snapshot.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use daemon::daemon::Options;
use daemon::model::{Agent, Guest, Nic, ReportedAddress, ReportedBy};
use daemon::state::watch::Watch;
use guest_names::address::Mac;
use guest_names::io::Stamp;
use guest_names::snapshot::format::{Entry, Meta, hash};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use testkit::scratch::Scratch;

/// Long enough for any machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The directories and the configuration of a daemon, removed when the test ends.
pub(crate) struct Directories(Scratch);

impl Directories {
    pub(crate) fn new() -> Self {
        let directories = Self(Scratch::new());
        fs::create_dir(directories.path("run")).unwrap();
        fs::create_dir(directories.path("state")).unwrap();
        directories.write("config", "connection = []\n");
        directories
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn options(&self) -> Options {
        Options {
            config: Some(self.path("config")),
            state_directory: self.path("state"),
            snapshot_directory: self.path("run"),
        }
    }

    /// Watches the snapshot's directory.
    pub(crate) fn watch(&self) -> Watch {
        let mut watch = Watch::new(&self.path("run")).unwrap();
        watch.arm().unwrap();
        watch
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        self.0.write(name, text);
    }

    /// Writes a new file and renames it, as libvirt does.
    pub(crate) fn replace(&self, name: &str, text: &str) {
        self.write("state/new", text);
        fs::rename(self.path("state/new"), self.path("state").join(name)).unwrap();
    }

    pub(crate) fn stamp(&self) -> Stamp {
        guest_store::snapshot::trust::stamp_of(&fs::metadata(self.path("state")).unwrap())
    }

    pub(crate) fn snapshot(&self) -> Option<Snapshot> {
        let path = self.path("run/names.cdb");
        let bytes = fs::read(&path).ok()?;
        Some(Snapshot { bytes, modified: fs::metadata(&path).ok()?.mtime() })
    }
}

pub(crate) fn status(leases: &[(&str, &str)]) -> String {
    let records: Vec<_> = leases
        .iter()
        .map(|(address, name)| {
            serde_json::json!({"ip-address": address, "mac-address": "52:54:00:00:00:01", "hostname": name})
        })
        .collect();
    serde_json::to_string_pretty(&records).unwrap()
}

/// A guest `vm` whose agent reports these addresses on `bridge`, and the host name `inside`.
pub(crate) fn guest(bridge: &str, addresses: &[&str]) -> Guest {
    let reported = |address: &&str| ReportedAddress {
        address: address.parse().unwrap(),
        source: ReportedBy::Agent,
        expiry: 0,
    };
    Guest {
        uuid: [1; 16],
        name: "vm".into(),
        title: None,
        host_name: Some("inside".into()),
        agent: Agent::Answered,
        host_keys: None,
        nics: vec![Nic {
            mac: Mac([0x52, 0x54, 0, 0, 0, 1]),
            network: None,
            bridge: Some(bridge.into()),
            addresses: addresses.iter().map(reported).collect(),
        }],
    }
}

/// Sends a signal to a process: to this one, whose daemon handles it, or to a child that hasn't been waited for.
pub(crate) fn signal(process: u32, signal: i32) {
    // SAFETY: kill(2) has no preconditions.
    assert_eq!(unsafe { libc::kill(process as i32, signal) }, 0);
}

/// The contents of a snapshot.
pub(crate) struct Snapshot {
    pub(crate) bytes: Vec<u8>,
    pub(crate) modified: i64,
}

impl Snapshot {
    pub(crate) fn meta(&self) -> Meta {
        Meta::parse(&self.bytes[Meta::START..]).unwrap()
    }

    fn number(&self, at: usize) -> usize {
        u32::from_le_bytes(self.bytes[at..at + 4].try_into().unwrap()) as usize
    }

    /// The data of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&[u8]> {
        let hash = hash(key.as_bytes());
        let pointer = (hash as usize & 255) * 8;
        let (table, slots) = (self.number(pointer), self.number(pointer + 4));
        for probe in 0..slots {
            let slot = table + ((hash as usize >> 8) + probe) % slots * 8;
            let at = self.number(slot + 4);
            if at == 0 {
                return None;
            }
            let start = at + 8 + self.number(at);
            if self.bytes[at + 8..start] == *key.as_bytes() {
                return Some(&self.bytes[start..start + self.number(at + 4)]);
            }
        }
        None
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    pub(crate) fn entry(&self, key: &str) -> Entry<'_> {
        Entry::parse(self.get(key).unwrap()).unwrap().0
    }

    pub(crate) fn info(&self) -> serde_json::Value {
        serde_json::from_slice(self.get("info").unwrap()).unwrap()
    }
}

/// A running daemon, and its service manager.
pub(crate) struct Running {
    pub(crate) child: Child,
    manager: UnixDatagram,
    log: PathBuf,
}

pub(crate) fn command(directories: &Directories) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_libvirt-nssd"));
    command.arg("--config").arg(directories.path("config"));
    command.arg("--state-dir").arg(directories.path("state"));
    command.arg("--snapshot").arg(directories.path("run"));
    command.env_remove("JOURNAL_STREAM").env_remove("WATCHDOG_USEC");
    command
}

impl Running {
    pub(crate) fn start(directories: &Directories) -> Self {
        Self::start_with(directories, |_| {})
    }

    pub(crate) fn start_with(directories: &Directories, change: impl FnOnce(&mut Command)) -> Self {
        let socket = directories.path("notify");
        let _ = fs::remove_file(&socket);
        let manager = UnixDatagram::bind(&socket).unwrap();
        manager.set_read_timeout(Some(PATIENCE)).unwrap();
        let log = directories.path("log");
        let mut command = command(directories);
        command.env("NOTIFY_SOCKET", &socket).stdin(Stdio::null());
        command.stderr(File::create(&log).unwrap());
        change(&mut command);
        Self { child: command.spawn().unwrap(), manager, log }
    }

    /// The daemon's next message to the service manager.
    pub(crate) fn message(&self) -> String {
        let mut buffer = [0; 4096];
        let length = self
            .manager
            .recv(&mut buffer)
            .unwrap_or_else(|error| panic!("no message: {error}; log: {}", self.log()));
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    /// Waits for a message with this line.
    pub(crate) fn until(&self, line: &str) -> String {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let message = self.message();
            if message.lines().any(|one| one == line) {
                return message;
            }
        }
        panic!("no {line}; log: {}", self.log());
    }

    /// Waits for the first snapshot.
    pub(crate) fn ready(&self) {
        self.until("READY=1");
    }

    /// Waits for a snapshot that satisfies `wanted`. The daemon sends a message with each new one.
    pub(crate) fn snapshot(
        &self,
        directories: &Directories,
        wanted: impl Fn(&Snapshot) -> bool,
    ) -> Snapshot {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(snapshot) = directories.snapshot().filter(&wanted) {
                return snapshot;
            }
            assert!(Instant::now() < end, "no such snapshot; log: {}", self.log());
            self.message();
        }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) fn signal(&self, signal: i32) {
        self::signal(self.child.id(), signal);
    }

    pub(crate) fn end(&mut self, signal: i32) -> ExitStatus {
        self.signal(signal);
        self.child.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Waits for a snapshot that satisfies `wanted`.
pub(crate) fn until(
    directories: &Directories,
    watch: &mut Watch,
    wanted: impl Fn(&Snapshot) -> bool,
) -> Snapshot {
    let end = Instant::now() + PATIENCE;
    loop {
        watch.take().unwrap();
        if let Some(snapshot) = directories.snapshot().filter(&wanted) {
            return snapshot;
        }
        assert!(Instant::now() < end, "no such snapshot");
        let limit = Timespec { tv_sec: 60, tv_nsec: 0 };
        poll(&mut [PollFd::new(&*watch, PollFlags::IN)], Some(&limit)).unwrap();
    }
}
