//! The main loop: one thread that waits for events from the state directory, libvirt and the kernel, for signals, and for the
//! next time when something is due.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use guest_store::paths::{DAEMON_HOME, RUNTIME_DIRECTORY};
use guest_store::replace::ReplacedFile;
use guest_store::snapshot::FILE_NAME;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::backend::{Backend, Connections};
use crate::compiler::{Compiler, epoch};
use crate::config::{self, Config};
use crate::facts::{Change, Facts, Millis};
use crate::host;
use crate::inbox::Inbox;
use crate::model::{ConnectionState, Update};
use crate::neighbours::Neighbours;
use crate::service::clock::ClockJumps;
use crate::service::link::Link;
use crate::service::lock::{self, Lock};
use crate::service::log::{Log, count};
use crate::service::notify::Manager;
use crate::service::signals::{ServiceRequest, Signals};
use crate::starts::Starts;
use crate::state::watch::{DirectoryChange, Watch};

/// How long the first snapshot waits for all connections, so that guests' names are there once the service has started. Until
/// then, look-ups use the snapshot of a daemon that was killed.
const FIRST: Duration = Duration::from_secs(2);

/// The command line's options.
#[derive(Clone, Debug)]
pub struct Options {
    /// The configuration file; see [`config::read`].
    pub config: Option<PathBuf>,
    /// libvirt's state directory, with the leases.
    pub state_directory: PathBuf,
    /// The directory for the snapshot.
    pub snapshot_directory: PathBuf,
}

/// Why the daemon can't run.
#[derive(Debug)]
pub enum Error {
    /// The configuration is invalid.
    Config(config::Error),
    /// Another daemon is running, or the lock can't be taken.
    Lock(lock::Error),
    /// The connections to libvirt can't be started.
    Connections(String),
    /// A system call failed.
    System {
        /// As in "cannot `doing`".
        doing: &'static str,
        /// The system's error.
        source: io::Error,
    },
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Lock(error) => error.fmt(f),
            Self::Connections(reason) => f.write_str(reason),
            Self::System { doing, source } => {
                write!(f, "cannot {doing}: {}", guest_store::reason(source))
            }
        }
    }
}

impl Error {
    fn system(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { doing, source }
    }
}

/// Runs the daemon until a signal ends it.
///
/// # Errors
/// See [`Error`]. Then there is no snapshot.
pub fn run(options: &Options, backend: Backend, log: Log) -> Result<(), Error> {
    let mut signals = Signals::new().map_err(Error::system("wait for signals"))?;
    let config = config::read(options.config.as_deref()).map_err(Error::Config)?;
    let lock = Lock::take(&options.snapshot_directory).map_err(Error::Lock)?;
    let link = link(options, log);
    let mut daemon = Daemon::new(options, config, backend, log)?;
    let outcome = daemon.run(&mut signals);
    daemon.manager.stopping();
    // Look-ups don't use the snapshot of a daemon that has ended; closing connections may take time.
    daemon.compiler.end();
    drop(link);
    if let Some(connections) = daemon.connections.take() {
        connections.stop();
    }
    drop(lock);
    outcome
}

/// Creates the link through which look-ups find the snapshot, unless the snapshot is in a non-default directory.
fn link(options: &Options, log: Log) -> Option<Link> {
    if options.snapshot_directory != Path::new(RUNTIME_DIRECTORY) {
        return None;
    }
    let made = Link::make(Path::new(DAEMON_HOME), &options.snapshot_directory);
    made.map_err(|error| {
        log.error(format!(
            "cannot make the link {DAEMON_HOME}/run: {}; look-ups don't find the snapshot without it: {DAEMON_HOME} must be a \
             directory of this user's",
            guest_store::reason(&error)
        ));
    })
    .ok()
}

struct Daemon<'o> {
    options: &'o Options,
    config: Config,
    backend: Backend,
    log: Log,
    manager: Manager,
    watch: Watch,
    starts: Starts,
    host: host::Watch,
    inbox: Inbox,
    connections: Option<Box<dyn Connections>>,
    neighbours: Neighbours,
    jumps: ClockJumps,
    facts: Facts,
    compiler: Compiler,
    /// Time zero of [`Millis`].
    start: Instant,
    /// Whether the service manager has been notified of the first snapshot, or of the one after a reload.
    is_ready: bool,
    /// Until when the first snapshot waits for connections.
    patience: Instant,
    beat: Instant,
    alive: Instant,
    /// Why the directory can't be watched, as it was logged.
    unwatched: Option<String>,
}

impl<'o> Daemon<'o> {
    fn new(
        options: &'o Options,
        config: Config,
        backend: Backend,
        log: Log,
    ) -> Result<Self, Error> {
        let now = Instant::now();
        let watch =
            Watch::new(&options.state_directory).map_err(Error::system("watch directories"))?;
        let inbox = Inbox::new().map_err(Error::system("make an event descriptor"))?;
        let jumps = ClockJumps::new().map_err(Error::system("make a timer"))?;
        let starts = Starts::new(&[]).map_err(Error::system("watch directories"))?;
        let snapshot = ReplacedFile::new(&options.snapshot_directory.join(FILE_NAME));
        let mut daemon = Self {
            options,
            backend,
            log,
            manager: Manager::new(log),
            watch,
            starts,
            host: host::Watch::new(log),
            inbox,
            connections: None,
            neighbours: Neighbours::new(log),
            jumps,
            facts: Facts::default(),
            compiler: Compiler::new(&options.state_directory, snapshot, log),
            start: now,
            is_ready: false,
            patience: now + FIRST,
            beat: now,
            alive: now,
            unwatched: None,
            config: Config { connections: Vec::new(), ..config.clone() },
        };
        daemon.arm();
        if !options.state_directory.exists() {
            let directory = options.state_directory.display();
            log.warning(format!(
                "{directory} does not exist, so there are no leases; libvirt creates it with its first network"
            ));
        }
        daemon.facts.earlier = daemon.compiler.earlier_reports(daemon.now(), config.hold);
        daemon.connect(config).map_err(Error::Connections)?;
        Ok(daemon)
    }

    /// Milliseconds of [`Instant`].
    fn now(&self) -> Millis {
        self.start.elapsed().as_millis().try_into().unwrap_or(Millis::MAX)
    }

    fn hold(&self) -> Millis {
        self.config.hold.as_millis().try_into().unwrap_or(Millis::MAX)
    }

    /// Watches the state directory, so that no change is missed from now on.
    fn arm(&mut self) {
        let unwatched = self.watch.arm().err().map(|error| guest_store::reason(&error));
        if let (Some(reason), true) = (&unwatched, self.unwatched != unwatched) {
            self.log.warning(format!(
                "cannot watch {}: {reason}; changes are seen late, and look-ups read the files until then",
                self.options.state_directory.display()
            ));
        }
        self.unwatched = unwatched;
    }

    /// Applies another configuration.
    ///
    /// # Errors
    /// Why that failed. Then nothing has changed.
    fn connect(&mut self, config: Config) -> Result<(), String> {
        let starts = Starts::new(&config.status_directories()).map_err(|error| {
            format!("cannot watch directories: {}", guest_store::reason(&error))
        })?;
        let configs: Vec<_> =
            config.connections.iter().map(|connection| connection.config.clone()).collect();
        let outbox = self.inbox.open();
        let connections = match configs.is_empty() {
            true => None,
            false => Some((self.backend.start)(configs, outbox.clone())?),
        };
        // Nothing can fail from here on.
        if let Some(old) = std::mem::replace(&mut self.connections, connections) {
            old.stop();
        }
        self.inbox.switch_to(&outbox);
        self.starts = starts;
        let before = std::mem::take(&mut self.facts);
        self.facts = Facts::new(&config.connections, before, self.now(), epoch());
        self.config = config;
        self.compiler.facts_changed();
        Ok(())
    }

    fn wake(&self) {
        if let Some(connections) = &self.connections {
            connections.wake();
        }
    }

    fn run(&mut self, signals: &mut Signals) -> Result<(), Error> {
        loop {
            self.wait(signals)?;
            match signals.take() {
                Some(ServiceRequest::Stop) => {
                    self.log.info("stopping");
                    return Ok(());
                }
                Some(ServiceRequest::Reload) => self.reload(),
                None => {}
            }
            if let Some(change) =
                self.watch.take().map_err(Error::system("read inotify's events"))?
            {
                self.arm();
                self.compiler.files_changed(change);
                if change == DirectoryChange::Made {
                    self.wake();
                }
            }
            if self.starts.take().map_err(Error::system("read inotify's events"))? {
                self.wake();
            }
            if self.jumps.take().map_err(Error::system("read a timer"))? {
                self.beat = Instant::now();
            }
            if let Some(host) = self.host.take() {
                self.compiler.set_host(host);
            }
            self.take_updates();
            self.take_neighbours();
            self.act();
        }
    }

    /// Waits until something happens or is due.
    fn wait(&self, signals: &Signals) -> Result<(), Error> {
        let timeout = self.due().map(|due| {
            let left = due.saturating_duration_since(Instant::now());
            Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() }
        });
        let fds = [
            PollFd::new(signals, PollFlags::IN),
            PollFd::new(&self.watch, PollFlags::IN),
            PollFd::new(&self.inbox, PollFlags::IN),
            PollFd::new(&self.jumps, PollFlags::IN),
        ];
        let kernel = self.neighbours.fd().into_iter().chain(self.host.fd());
        let others = kernel.chain(self.starts.fds());
        let mut fds: Vec<_> = fds
            .into_iter()
            .chain(others.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)))
            .collect();
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(Error::system("wait")(errno.into())),
        }
    }

    fn due(&self) -> Option<Instant> {
        let compile = if self.is_patient() { Some(self.patience) } else { self.compiler.due() };
        let expiry = self
            .facts
            .next_expiry(self.hold())
            .map(|expiry| self.start + Duration::from_millis(u64::try_from(expiry).unwrap_or(0)));
        let beat = self.compiler.published().map(|_| self.beat);
        let alive = self.manager.watchdog.map(|_| self.alive);
        [compile, expiry, beat, alive, self.host.due()].into_iter().flatten().min()
    }

    /// Whether the first snapshot still waits for connections.
    fn is_patient(&self) -> bool {
        self.compiler.published().is_none()
            && !self.facts.are_listed()
            && Instant::now() < self.patience
    }

    fn take_updates(&mut self) {
        let updates: Vec<_> = self.inbox.take().collect();
        for update in updates {
            self.log(&update);
            let change = self.facts.apply(update, self.now(), epoch());
            let matters = match change {
                Change::None => false,
                Change::Repeated => self.compiler.is_undecided(),
                Change::Facts => true,
            };
            if matters {
                self.compiler.facts_changed();
            }
        }
    }

    fn take_neighbours(&mut self) {
        let (now, hold) = (self.now(), self.hold());
        match self.neighbours.run(&mut self.facts, now, hold) {
            Ok(Change::None) => {}
            Ok(_) => self.compiler.facts_changed(),
            Err(error) => self.log.error(format!(
                "cannot read the kernel's neighbour table any more: {}; restart the daemon",
                guest_store::reason(&error)
            )),
        }
    }

    /// Logs an update that the administrator should know of.
    fn log(&self, update: &Update) {
        let (Update::State(id, _) | Update::Warning(id, _)) = update else { return };
        let Some(connection) = self.facts.connections.get(usize::from(id.0)) else { return };
        let (name, uri) = (&connection.settings.config.name, &connection.settings.config.uri);
        let state = match update {
            Update::State(_, state) => state,
            Update::Warning(_, warning) => return self.log.warning(format!("{name}: {warning}")),
            _ => return,
        };
        match state {
            ConnectionState::Connecting => {}
            ConnectionState::Idle => {
                self.log.info(format!("{name}: disconnected from {uri} until a guest starts"));
            }
            ConnectionState::Up => self.log.info(format!("{name}: connected to {uri}")),
            ConnectionState::Down { reason, retry_in } => {
                let is_new = !matches!(&connection.state, ConnectionState::Down { reason: old, .. } if old == reason);
                if is_new {
                    self.log.warning(format!("{name}: {uri}: {reason}; next try in {retry_in} s"));
                }
            }
        }
    }

    fn act(&mut self) {
        let now = Instant::now();
        self.manager.alive_if_due(&mut self.alive);
        if self.facts.expire(self.now(), self.hold()) {
            self.compiler.facts_changed();
        }
        if self.compiler.published().is_some() && now >= self.beat {
            self.arm();
            self.compiler.beat();
            self.beat = now + self.config.hold / 3;
        }
        if self.is_patient() {
            return;
        }
        let first = self.compiler.published().is_none();
        let (millis, manager, alive) = (self.now(), &self.manager, &mut self.alive);
        let mut pulse = || manager.alive_if_due(alive);
        if self.compiler.run(&self.facts, &self.config, millis, &mut pulse) {
            if first {
                self.beat = now + self.config.hold / 3;
            }
            let status = self.status();
            if self.is_ready {
                self.manager.status(&status);
            } else {
                self.log.info(format!("ready: {status}"));
                self.manager.ready(&status);
                self.is_ready = true;
            }
        }
    }

    /// For `systemctl status`.
    fn status(&self) -> String {
        let Some(published) = self.compiler.published() else { return String::from("starting") };
        let guests: usize =
            self.facts.connections.iter().map(|connection| connection.guests.len()).sum();
        let up = |connection: &&crate::facts::Connection| {
            matches!(connection.state, ConnectionState::Up | ConnectionState::Idle)
        };
        let connected = self.facts.connections.iter().filter(up).count();
        format!(
            "{} names and addresses; {} over {connected} of {}{}",
            published.written.keys,
            count(guests, "guest"),
            count(self.facts.connections.len(), "connection"),
            if published.current { "" } else { "; leases are read from the state files" }
        )
    }

    fn reload(&mut self) {
        self.manager.reloading();
        let config = config::read(self.options.config.as_deref());
        let reloaded = config.map_err(|error| error.to_string());
        match reloaded.and_then(|config| self.connect(config)) {
            Ok(()) => {
                self.log.info("the configuration was read again");
                self.beat = Instant::now();
                // With the next snapshot.
                self.is_ready = false;
            }
            Err(reason) => {
                self.log.error(format!("{reason}; the configuration stays as it was"));
                self.manager.ready(&self.status());
            }
        }
    }
}
