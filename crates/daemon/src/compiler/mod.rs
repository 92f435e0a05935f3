//! Compiles the state directory and the facts into the snapshot, when that may be done.
//!
//! Look-ups use the snapshot in place of the state files as long as the directory has the time stamp that is recorded in it.
//! So a stamp may only be recorded once any further change would leave a different one: see [`stamp`]. Compilation waits for
//! that if it can.

#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use guest_names::io::Stamp;
use guest_names::snapshot::format::Meta;
use guest_store::replace::ReplacedFile;
use guest_store::snapshot::trust::stamp_of;
use guest_store::snapshot::write::Counts;
use rustix::time::{ClockId, clock_gettime};

use crate::config::Config;
use crate::facts::{EarlierReports, Facts, Millis};
use crate::host::Host;
use crate::names::{self, Input, Pulse};
use crate::outlets::files::Files as Outlets;
use crate::outlets::zones::Zones;
use crate::service::log::Log;
use crate::service::memory;
use crate::snapshot::{self, CompiledFiles};
use crate::state::files::{Files, Unread};
use crate::state::stamp::{self, Clock};
use crate::state::watch::DirectoryChange;

/// How long an update from libvirt waits for the state directory's stamp to settle, and a new file for its final name.
const PATIENCE: Duration = Duration::from_millis(50);

/// How long a change of the state directory waits for that. Stamps of whole seconds take two; one that takes longer is in the
/// future, since the clock was set back or is another machine's.
const LONGEST_WAIT: Duration = Duration::from_secs(3);

/// The pause before another attempt when the process was out of descriptors or memory, or the snapshot couldn't be
/// written.
const RETRY: Duration = Duration::from_secs(2);

/// Compiles when something has changed.
pub struct Compiler {
    directory: PathBuf,
    snapshot: ReplacedFile,
    log: Log,
    /// Reads the clock that the kernel uses for time stamps.
    clock: fn() -> Clock,
    /// [`RETRY`], except in tests.
    retry: Duration,
    files: Files,
    /// Whether files have been read.
    has_read: bool,
    /// The time stamp of the directory for which [`Compiler::files`] is known to be current.
    certified: Option<Stamp>,
    unread: Vec<String>,
    /// See [`names::CompiledNames::limited`].
    limited: Vec<String>,
    host: Host,
    /// When to check the directory, if it may have changed since it was read. This must not delay anything else: with a time
    /// stamp in the future, it may be long after now.
    check_at: Option<Instant>,
    /// Since when the facts have differed from those in the snapshot.
    facts_changed: Option<Instant>,
    /// When the pause after the last attempt ends.
    not_before: Instant,
    /// See [`names::CompiledNames::until`].
    until: Option<i64>,
    undecided: bool,
    published: Option<Published>,
    outlets: Outlets,
    /// Whether one of the outlets' files could not be written.
    outlets_failed: bool,
}

/// The result of a compilation.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    /// How much was written.
    pub written: Counts,
    /// Whether look-ups may take leases from the snapshot.
    pub current: bool,
    /// How long it took.
    pub took: Duration,
}

/// Seconds since the epoch.
#[must_use]
pub fn epoch() -> i64 {
    // No lease ends before 1970.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs().try_into().unwrap_or(i64::MAX)
}

/// The processor time of this thread.
fn on_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// The result of checking the state directory.
enum Look {
    /// Nothing new is known. Check again after this time.
    Wait(Duration),
    /// [`Compiler::files`] is current, and any further change will be noticed.
    Settled,
    /// [`Compiler::files`] is current, but must be checked again after this time.
    Unsettled(Duration),
}

impl Compiler {
    /// A compiler that reads and writes everything when it first runs.
    #[must_use]
    pub fn new(directory: &Path, snapshot: ReplacedFile, log: Log) -> Self {
        let now = Instant::now();
        Self {
            directory: directory.to_owned(),
            outlets: Outlets::new(snapshot.path().parent().unwrap_or(Path::new("/"))),
            outlets_failed: false,
            snapshot,
            log,
            clock: Clock::read,
            files: Files::default(),
            has_read: false,
            certified: None,
            unread: Vec::new(),
            limited: Vec::new(),
            host: Host::default(),
            check_at: Some(now),
            facts_changed: Some(now),
            not_before: now,
            retry: RETRY,
            until: None,
            undecided: false,
            published: None,
        }
    }

    /// Call this when the state directory may have changed.
    pub fn files_changed(&mut self, change: DirectoryChange) {
        let now = Instant::now();
        let at = match change {
            DirectoryChange::Made => now,
            // Compiling before the file has its new name would be in vain, and the pause after it would delay the compilation that
            // counts.
            DirectoryChange::Begun => now + PATIENCE,
        };
        // Files whose writers start one after the other must not add up.
        self.check_at = Some(self.check_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// Call this when the facts from libvirt have changed.
    pub fn facts_changed(&mut self) {
        self.facts_changed = self.facts_changed.or_else(|| Some(Instant::now()));
    }

    /// Sets what the kernel reports about this host's network.
    pub fn set_host(&mut self, host: Host) {
        if self.host != host {
            self.host = host;
            self.facts_changed();
        }
    }

    /// Whether a repeated report of an agent matters.
    #[must_use]
    pub fn is_undecided(&self) -> bool {
        self.undecided
    }

    /// The result of the last compilation.
    #[must_use]
    pub fn published(&self) -> Option<Published> {
        self.published
    }

    /// When there is something to do, if nothing else happens.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        let ends = self.until.map(|until| {
            let left = u64::try_from(until.saturating_sub(epoch())).unwrap_or(0);
            Instant::now() + Duration::from_secs(left.min(1 << 30) + 1)
        });
        ends.into_iter().chain(self.changed()).min()
    }

    /// When to compile or check what has changed, if anything has.
    fn changed(&self) -> Option<Instant> {
        let facts = self.facts_changed.map(|_| self.not_before);
        let files = self.check_at.map(|at| at.max(self.not_before));
        facts.into_iter().chain(files).min()
    }

    /// Does what is due. `pulse` is called again and again if that takes time. Returns whether there is a new snapshot.
    pub fn run(
        &mut self,
        facts: &Facts,
        config: &Config,
        now: Millis,
        pulse: &mut Pulse<'_>,
    ) -> bool {
        if self.until.is_some_and(|until| until < epoch()) {
            self.until = None;
            self.facts_changed();
        }
        if self.changed().is_none_or(|at| Instant::now() < at) {
            return false;
        }
        let (start, start_on_cpu) = (Instant::now(), on_cpu());
        let wait = match self.look(now) {
            Look::Wait(wait) => {
                let at = Instant::now() + wait;
                self.check_at = Some(at);
                // For an update from libvirt, the wait is short.
                if self.facts_changed.is_some() {
                    self.not_before = at;
                }
                return false;
            }
            Look::Settled => None,
            Look::Unsettled(wait) => Some(wait),
        };
        self.check_at = wait.map(|wait| Instant::now() + wait);
        pulse();
        let published = self.publish(facts, config, pulse);
        // Use at most a third of one processor, even if compilations fail. Other threads' work isn't counted.
        let pause = (on_cpu().saturating_sub(start_on_cpu) * 2).max((self.clock)().granularity);
        match published {
            Ok(written) => {
                let took = start.elapsed();
                let current = self.certified.is_some();
                self.published = Some(Published { written, current, took });
                self.facts_changed = None;
                self.not_before = Instant::now() + pause;
                if std::mem::take(&mut self.outlets_failed) {
                    self.facts_changed();
                    self.not_before = Instant::now() + self.retry.max(pause);
                }
                memory::give_back();
                true
            }
            Err(error) => {
                let (path, reason) = (self.snapshot.path().display(), guest_store::reason(&error));
                self.log.error(format!("cannot write {path}: {reason}; trying again"));
                self.facts_changed();
                self.not_before = Instant::now() + self.retry.max(pause);
                false
            }
        }
    }

    /// Reads the state directory again, if it has changed.
    fn look(&mut self, now: Millis) -> Look {
        let before = match self.stamp() {
            Ok(before) => before,
            Err(error) => return self.nothing(&error),
        };
        if self.check_at.is_none() && self.certified == Some(before) {
            return Look::Settled;
        }
        let clock = (self.clock)();
        let fresh = stamp::settles_in(&before, clock);
        if let Some(wait) = fresh {
            if self.may_wait(wait) {
                return Look::Wait(wait);
            }
        }
        let mut files = match self.files.read_again(&self.directory, epoch()) {
            Ok(files) => files,
            Err(error) => return self.nothing(&error),
        };
        if self.has_read {
            files.set_first_seen(&self.files, now);
        }
        let unread = files.unread();
        (self.files, self.has_read) = (files, true);
        self.tell_unread(&unread);
        let same = self.stamp().is_ok_and(|after| after == before);
        let whole = unread.is_empty();
        self.certified = (fresh.is_none() && same && whole).then_some(before);
        match fresh {
            Some(wait) => Look::Unsettled(wait),
            None if !same && self.may_wait(clock.granularity) => Look::Wait(clock.granularity),
            None if !same => Look::Unsettled(clock.granularity),
            None if unread.iter().any(|unread| unread.exhausted) => Look::Unsettled(RETRY),
            None => Look::Settled,
        }
    }

    /// Whether the snapshot may stay as it is for this long. Its stamp shows look-ups that it is out of date, so they only take
    /// longer.
    fn may_wait(&self, wait: Duration) -> bool {
        match self.facts_changed {
            None => wait <= LONGEST_WAIT,
            Some(since) => since.elapsed() + wait <= PATIENCE,
        }
    }

    fn stamp(&self) -> io::Result<Stamp> {
        fs::metadata(&self.directory).map(|metadata| stamp_of(&metadata))
    }

    /// The directory doesn't exist, or can't be read.
    fn nothing(&mut self, error: &io::Error) -> Look {
        let is_missing = error.kind() == io::ErrorKind::NotFound;
        self.files = Files::default();
        self.certified = None;
        let why = format!("{}: {}", self.directory.display(), guest_store::reason(error));
        let unread = if is_missing { Vec::new() } else { vec![why] };
        self.warn(unread);
        Look::Settled
    }

    fn tell_unread(&mut self, unread: &[Unread]) {
        self.warn(unread.iter().map(|one| format!("{}: {}", one.name, one.why)).collect());
    }

    /// Warns once of each new problem.
    fn warn(&mut self, unread: Vec<String>) {
        for one in unread.iter().filter(|one| !self.unread.contains(one)) {
            self.log.warning(format!(
                "cannot read {one}; look-ups read the state files themselves until that can be read"
            ));
        }
        self.unread = unread;
    }

    fn publish(
        &mut self,
        facts: &Facts,
        config: &Config,
        pulse: &mut Pulse<'_>,
    ) -> io::Result<Counts> {
        let compiled = epoch();
        let system = rustix::system::uname();
        let input = Input {
            now: compiled,
            node: system.nodename().to_bytes(),
            files: &self.files,
            facts,
            host: &self.host,
            naming: &config.naming,
        };
        let mut names = names::compile(input, pulse);
        let limited = std::mem::take(&mut names.limited);
        for one in limited.iter().filter(|one| !self.limited.contains(one)) {
            self.log.warning(one);
        }
        self.limited = limited;
        let hold = u32::try_from(config.hold.as_secs()).unwrap_or(u32::MAX);
        let meta = Meta { state: self.certified, hold, length: 0, compiled };
        let state = CompiledFiles {
            files: &self.files,
            directory: &self.directory,
            current: self.certified.is_some(),
            unread: &self.unread,
            zone: &config.naming.zone,
        };
        let zones = Zones::of(&config.naming.zone, &self.files.contents, facts, &self.host);
        let info = |counts| snapshot::info(facts, state, &zones, compiled, counts);
        let write = |file: &fs::File| snapshot::write(file, &mut names, meta, info, pulse);
        let written = self.snapshot.replace(write)?;
        let outlets = self.outlets.update(config.outlets, &names, &zones, compiled, pulse);
        let outlets_until = match outlets {
            Ok(until) => until,
            Err(error) => {
                self.log.error(format!("{error}; trying again"));
                self.outlets_failed = true;
                None
            }
        };
        self.until = [names.until, outlets_until].into_iter().flatten().min();
        self.undecided = names.undecided;
        Ok(written)
    }

    /// Touches the snapshot, to show that the daemon is alive. If the snapshot or the directory has changed, schedules work.
    pub fn beat(&mut self) {
        match self.snapshot.touch() {
            Ok(true) => {}
            Ok(false) => self.facts_changed(),
            Err(error) => {
                let (path, reason) = (self.snapshot.path().display(), guest_store::reason(&error));
                self.log.error(format!("cannot touch {path}: {reason}"));
                self.facts_changed();
            }
        }
        // A mount over the directory, or a rename of a parent, causes no event.
        if self.stamp().ok() != self.certified {
            self.files_changed(DirectoryChange::Made);
        }
    }

    /// Renames the snapshot, so that look-ups no longer find it. The next daemon reads agents' reports from it. The outlets' files
    /// stay during a restart; when the service stops, systemd removes their directory.
    pub fn end(&mut self) {
        if let Err(error) = self.snapshot.set_aside() {
            let (path, reason) = (self.snapshot.path().display(), guest_store::reason(&error));
            self.log.error(format!("cannot rename {path}: {reason}"));
        }
    }

    /// What agents reported to the previous daemon.
    #[must_use]
    pub fn earlier_reports(&self, now: Millis, hold: Duration) -> EarlierReports {
        // A daemon that was killed left its snapshot in place.
        let (left, aside) = (self.snapshot.path(), self.snapshot.old_path());
        let path = if left.exists() { left } else { aside };
        let hold = hold.as_secs().try_into().unwrap_or(i64::MAX);
        let earlier = EarlierReports::read(path, &self.directory, (now, epoch()), hold);
        // It may not exist, and will be replaced when this daemon ends.
        let _ = fs::remove_file(aside);
        earlier
    }
}
