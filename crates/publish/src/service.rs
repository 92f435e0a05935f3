//! The service: follows the snapshot, publishes changes, and reports its status.

use std::fmt;
use std::io::{self, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use guest_store::paths;
use guest_store::publish_status::{
    ConflictStatus, FailureStatus, LISTED_MAX, PublishStatus, ZoneStatus,
};
use guest_store::replace::ReplacedFile;
use guest_store::snapshot::{FILE_NAME, Snapshot};
use guest_store::watch::DirectoryWatch;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use service::log::{Log, count};
use service::notify::Manager;
use service::signals::{ServiceRequest, Signals};

use crate::client::Client;
use crate::failure::About;
use crate::journal::Store;
use crate::publisher::{Event, Plan, Publisher, ZoneView};
use crate::select::{Selected, select};
use crate::settings::{self, Settings, Signing, is_publisher_name};
use crate::signer::Signer;
use crate::zone::Conflict;

/// The key: its name among the service's credentials, and its path without those, such as for `--prune`.
const KEY: [&str; 2] = ["publish.key", "/etc/libvirt-nss-publish.key"];

/// The same of the Kerberos keytab.
const KEYTAB: [&str; 2] = ["publish.keytab", "/etc/libvirt-nss-publish.keytab"];

/// The variable with the place of Kerberos tickets.
const TICKETS: &str = "KRB5CCNAME";

/// Where the service's files are.
#[derive(Clone, Debug)]
pub struct Directories {
    /// The configuration; `None`: the default file, if it exists.
    pub config: Option<PathBuf>,
    /// The snapshot's directory.
    pub snapshot: PathBuf,
    /// The journal's directory.
    pub journal: PathBuf,
    /// The status file.
    pub status: PathBuf,
}

/// Why the service can't run.
#[derive(Debug)]
pub enum Error {
    /// The configuration is invalid, or has no table `[publish]`. Holds the message.
    Configuration(String),
    /// Anything else. Holds the message.
    System(String),
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration(text) | Self::System(text) => f.write_str(text),
        }
    }
}

fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
    |error| Error::System(format!("{}: {}", what.into(), guest_store::reason(&error)))
}

/// The configuration, evaluated for this host.
#[derive(Clone, Debug)]
pub struct Configured {
    /// The table `[publish]`.
    pub settings: Settings,
    /// How to reach the server.
    pub client: Client,
    /// What to publish where.
    pub plan: Plan,
    /// The client's signer, with the path that the administrator knows in place of that of a credential.
    shown_signer: Signer,
}

impl Configured {
    /// Reads the configuration.
    ///
    /// # Errors
    /// It is invalid, it has no table `[publish]`, or this host has no unique name.
    pub fn read(path: Option<&Path>) -> Result<Self, Error> {
        let settings =
            settings::read(path).map_err(|error| Error::Configuration(error.to_string()))?;
        let Some(settings) = settings else {
            let path = path.unwrap_or(Path::new(guest_store::config_file::PATH)).display();
            let text =
                format!("nothing to do: {path} has no table [publish]; see libvirt-nss.toml(5)");
            return Err(Error::Configuration(text));
        };
        let node = || rustix::system::uname().nodename().to_string_lossy().to_ascii_lowercase();
        let host = settings.host.clone().unwrap_or_else(node);
        if !is_publisher_name(&host) {
            let text = format!(
                "this host's name is \"{}\", which is not unique; set 'host' in the table [publish]",
                host.escape_debug()
            );
            return Err(Error::Configuration(text));
        }
        let (signer, shown_signer) = signers(&settings.signing);
        let client = Client {
            server: settings.server.clone(),
            port: settings.port,
            signer,
            ttl: settings.ttl,
        };
        let plan = Plan {
            host,
            server: format!("{}#{}", settings.server, settings.port),
            zone: settings.zone.clone(),
            reverse_zones: settings.reverse_zones.clone(),
            retry: settings.retry,
        };
        Ok(Self { settings, client, plan, shown_signer })
    }
}

/// The signer, and the signer as the administrator knows it.
fn signers(signing: &Signing) -> (Signer, Signer) {
    let both = |signer: Signer| (signer.clone(), signer);
    let tickets = std::env::var_os(TICKETS).map(|place| place.to_string_lossy().into_owned());
    match (signing, tickets) {
        (Signing::Key(path), _) => both(Signer::Key(path.clone())),
        (Signing::Credential, _) => (Signer::Key(credential(KEY)), Signer::Key(KEY[1].into())),
        (Signing::Gss, Some(place)) => both(Signer::Tickets(place)),
        (Signing::Gss, None) => {
            (Signer::Keytab(credential(KEYTAB)), Signer::Keytab(KEYTAB[1].into()))
        }
    }
}

/// What the unit has as a credential for a file that doesn't exist. systemd 252 can't have an empty one.
const NO_FILE: &[u8] = b"-";

/// The path of a service's credential (systemd.exec(5)), or the other path.
fn credential([name, path]: [&str; 2]) -> PathBuf {
    let directory = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let file = directory.map(|directory| directory.join(name));
    let is_meant = |file: &PathBuf| std::fs::read(file).is_ok_and(|bytes| bytes != NO_FILE);
    file.filter(is_meant).unwrap_or_else(|| path.into())
}

/// Runs the service until a signal ends it.
///
/// # Errors
/// See [`Error`].
pub fn run(directories: &Directories, log: Log) -> Result<(), Error> {
    let mut signals = Signals::new().map_err(system("cannot handle signals"))?;
    let manager = Manager::new(log);
    let store = Store::new(&directories.journal);
    let mut running = Running::new(directories, &store, log)?;
    let changes = WatchFlags::MOVED_TO | WatchFlags::DELETE;
    let mut watch = DirectoryWatch::new(&directories.snapshot, changes, CreateFlags::NONBLOCK)
        .and_then(|mut watch| watch.arm().map(|()| watch).map_err(Into::into))
        .map_err(system(format!("cannot watch {}", directories.snapshot.display())))?;
    let mut status = ReplacedFile::new(&directories.status);
    let mut is_ready = false;
    loop {
        let until = running.publish()?;
        running
            .report(&mut status)
            .map_err(system(format!("cannot write {}", directories.status.display())))?;
        let text = running.text();
        if is_ready {
            manager.status(&text);
        } else {
            manager.ready(&text);
            is_ready = true;
        }
        wait(&watch, &signals, until).map_err(system("cannot wait for events"))?;
        match signals.take() {
            Some(ServiceRequest::Stop) => break,
            Some(ServiceRequest::Reload) => {
                manager.reloading();
                match Running::new(directories, &store, log) {
                    Ok(new) => {
                        running = new;
                        log.info("the configuration was read again");
                    }
                    Err(error) => log.error(format!("keeping the old configuration: {error}")),
                }
                is_ready = false;
            }
            None => {}
        }
        drain(&mut watch).map_err(system("cannot read events"))?;
    }
    manager.stopping();
    // The status only exists while the service runs.
    status.remove().map_err(system("cannot remove the status file"))
}

struct Running<'d> {
    directories: &'d Directories,
    log: Log,
    configured: Configured,
    publisher: Publisher,
    /// What was selected from the last snapshot that counted.
    selected: Option<Selected>,
    /// Why the current snapshot doesn't count.
    stale: Option<String>,
    /// The status that was last written.
    reported: PublishStatus,
}

impl<'d> Running<'d> {
    fn new(directories: &'d Directories, store: &Store, log: Log) -> Result<Self, Error> {
        let configured = Configured::read(directories.config.as_deref())?;
        let journal = match store.read() {
            Ok(journal) => journal,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                let aside = store.set_aside().map_err(system("cannot rename the journal"))?;
                log.error(format!(
                    "the journal is damaged ({error}); it is now {}. Published names that are no longer wanted may stay; \
                     to remove all names of this host: libvirt-nss-publish --prune {}",
                    aside.display(),
                    configured.plan.host
                ));
                None
            }
            Err(error) => {
                return Err(system(format!("cannot read {}", store.path().display()))(error));
            }
        };
        if let Some(journal) = journal.as_ref().filter(|one| one.server != configured.plan.server) {
            log.warning(format!(
                "the server has changed from {} to {}; this host's names stay on {}",
                journal.server, configured.plan.server, journal.server
            ));
        }
        let publisher = Publisher::new(configured.plan.clone(), store.clone(), journal);
        let reported = PublishStatus::default();
        let (selected, stale) = (None, None);
        Ok(Self { directories, log, configured, publisher, selected, stale, reported })
    }

    /// Reads the snapshot and publishes changes. Returns when to call it again, if nothing else happens.
    fn publish(&mut self) -> Result<Option<Instant>, Error> {
        let now = Instant::now();
        let mut until = self.read(now);
        if let Some(selected) = &self.selected {
            let mut client = self.configured.client.clone();
            let events = self.publisher.publish(selected, &mut client, now);
            let events = events.map_err(system("cannot write the journal"))?;
            for event in events {
                self.log(event);
            }
            let due = self.publisher.due();
            until = until.into_iter().chain(due).min();
        }
        Ok(until)
    }

    /// Reads the snapshot. While none counts, names stay published, since the guests may well be running.
    fn read(&mut self, now: Instant) -> Option<Instant> {
        let path = self.directories.snapshot.join(FILE_NAME);
        let snapshot = Snapshot::read(&path, Path::new(paths::STATE_DIRECTORY));
        let time = seconds(SystemTime::now());
        let after = |second: i64| {
            let pause = u64::try_from(second.saturating_sub(time)).unwrap_or(0);
            Some(now + Duration::from_secs(pause + 1))
        };
        let (stale, until) = match snapshot {
            Err(unusable) => (Some(unusable.to_string()), None),
            Ok(None) => (Some(String::from("libvirt-nssd does not run")), None),
            Ok(Some(snapshot)) => {
                let holds = snapshot.modified.saturating_add(snapshot.meta.hold.into());
                if snapshot.standing(time).reports {
                    self.selected = Some(self.select(&snapshot, time));
                    let lease = self.selected.as_ref().and_then(|selected| selected.until);
                    (None, after(lease.map_or(holds, |lease| lease.min(holds))))
                } else {
                    let text = "libvirt-nssd has stopped updating its snapshot";
                    // When the daemon touches the snapshot again, no event reports it.
                    (Some(String::from(text)), after(time + 10))
                }
            }
        };
        if stale != self.stale {
            match &stale {
                Some(why) => self.log.warning(format!("{why}; published names stay as they are")),
                None => self.log.info("the snapshot of libvirt-nssd is current again"),
            }
            self.stale = stale;
        }
        until
    }

    fn select(&self, snapshot: &Snapshot, now: i64) -> Selected {
        let records = snapshot.records().map(|record| {
            (record.key, record.entries.into_iter().map(|(_, entry)| entry).collect())
        });
        let connections = &snapshot.info.connections;
        select(records, connections, &self.configured.settings, self.publisher.held(), now)
    }

    fn log(&self, event: Event) {
        match event {
            Event::Changed { zone, names } => {
                self.log.info(format!("{zone}: updated {}", count(names, "name")));
            }
            Event::Recovered { zone } => self.log.info(format!("{zone}: can be updated again")),
            Event::Failed { zone, failure } => {
                let about = self.about(&zone);
                let (what, next) = (failure.what(about), failure.next_step(about));
                self.log.error(format!("{zone}: {what}; next step: {next}"));
            }
            Event::Conflict { name, conflict } => {
                let what = conflict_text(&name, &conflict);
                let host = match conflict {
                    Conflict::Host(host) => format!(
                        "rename one of the two guests or, if {host} is gone: libvirt-nss-publish --prune {host}"
                    ),
                    Conflict::Foreign => String::from("rename the guest, or remove those records"),
                };
                self.log.warning(format!("{what}, so it is not published; next step: {host}"));
            }
        }
    }

    fn about<'a>(&'a self, zone: &'a str) -> About<'a> {
        let Configured { settings, shown_signer, .. } = &self.configured;
        About { server: &settings.server, zone, signer: shown_signer }
    }

    /// The service's status line.
    fn text(&self) -> String {
        let names = self.publisher.zones().map(|zone| zone.published).next().unwrap_or(0);
        let mut text =
            format!("{} published in {}", count(names, "name"), self.configured.plan.zone);
        let conflicts: usize = self.publisher.zones().map(|zone| zone.conflicts.len()).sum();
        if conflicts > 0 {
            text += &format!(", {}", count(conflicts, "conflict"));
        }
        if let Some(failed) = self.publisher.zones().find_map(|zone| zone.failure) {
            text += &format!(", failing: {}", failed.failure);
        }
        text
    }

    fn report(&mut self, file: &mut ReplacedFile) -> io::Result<()> {
        let Plan { host, server, .. } = &self.configured.plan;
        let selected = self.selected.as_ref();
        let left_out = selected.map_or(&[][..], |selected| &selected.left_out);
        let status = PublishStatus {
            written: self.reported.written,
            version: env!("CARGO_PKG_VERSION").into(),
            host: host.clone(),
            server: server.clone(),
            stale: self.stale.clone(),
            zones: self.publisher.zones().map(|zone| self.zone_status(zone)).collect(),
            left_out: left_out.iter().take(LISTED_MAX).cloned().collect(),
            left_out_count: left_out.len(),
        };
        if status == self.reported {
            return Ok(());
        }
        let status = PublishStatus { written: seconds(SystemTime::now()), ..status };
        file.replace(|mut file| {
            serde_json::to_writer_pretty(file, &status)?;
            file.write_all(b"\n")
        })?;
        self.reported = status;
        Ok(())
    }

    fn zone_status(&self, zone: ZoneView<'_>) -> ZoneStatus {
        let about = self.about(zone.name);
        let failure = zone.failure.map(|failed| FailureStatus {
            code: failed.failure.code().into(),
            what: failed.failure.what(about),
            next_step: failed.failure.next_step(about),
            since: seconds(time_of(failed.since)),
            retry: zone.retry.map_or(0, |retry| seconds(time_of(retry))),
        });
        let conflicts = zone.conflicts.iter().take(LISTED_MAX).map(|(name, conflict)| {
            let host = match conflict {
                Conflict::Host(host) => Some(host.clone()),
                Conflict::Foreign => None,
            };
            ConflictStatus { name: name.clone(), host }
        });
        ZoneStatus {
            name: zone.name.into(),
            published: zone.published,
            failure,
            conflicts: conflicts.collect(),
            conflict_count: zone.conflicts.len(),
        }
    }
}

fn conflict_text(name: &str, conflict: &Conflict) -> String {
    match conflict {
        Conflict::Host(host) => format!("{name} belongs to a guest of {host}"),
        Conflict::Foreign => {
            format!("{name} has records that were not created by libvirt-nss-publish")
        }
    }
}

/// The system time of an instant, accurate to a second.
fn time_of(instant: Instant) -> SystemTime {
    let (now, time) = (Instant::now(), SystemTime::now());
    match instant.checked_duration_since(now) {
        Some(ahead) => time + ahead,
        None => time - now.duration_since(instant),
    }
}

/// Seconds since the epoch, rounded, so that the same instant always gives the same number.
fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default() + Duration::from_millis(500);
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn wait(watch: &DirectoryWatch, signals: &Signals, until: Option<Instant>) -> io::Result<()> {
    let left = until.map(|until| until.saturating_duration_since(Instant::now()));
    let left = left.map(Timespec::try_from).transpose().map_err(|_| Errno::INVAL)?;
    let mut fds =
        [watch.as_fd(), signals.as_fd()].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
    match poll(&mut fds, left.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Reads all events, and renews the watch if the directory was created or removed.
fn drain(watch: &mut DirectoryWatch) -> io::Result<()> {
    let mut buffer = [const { MaybeUninit::uninit() }; 4096];
    let gone = ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::IGNORED;
    let (mut any, mut lost) = (false, false);
    let mut reader = Reader::new(&*watch, &mut buffer);
    loop {
        match reader.next() {
            Ok(event) => {
                any = true;
                lost |= watch.is_armed_by(event.wd()) && event.events().intersects(gone);
            }
            Err(Errno::AGAIN) => break,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    if lost {
        watch.disarm();
    }
    if any {
        watch.arm()?;
    }
    Ok(())
}
