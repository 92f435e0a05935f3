//! From the state directory and the facts to the snapshot: when that may be done, and doing it.
//!
//! The snapshot may only claim to stand for a state of the directory that can't change without another
//! time stamp: see [`stamp`]. Where that takes a moment, the compilation waits for it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use guest_names::snapshot::format::{Meta, Stamp};
use rustix::time::{ClockId, clock_gettime};

use crate::facts::{Facts, Millis};
use crate::info::{self, State};
use crate::names::{self, Input};
use crate::publish::{Publisher, Written};
use crate::service::log::Log;
use crate::service::memory;
use crate::state::Files;
use crate::state::read::{self, Unread};
use crate::state::stamp::{self, Clock};

/// For how long news from libvirt wait for the state directory's stamp to settle.
const PATIENCE: Duration = Duration::from_millis(50);

/// After how long it is tried again where descriptors or memory were short, or the snapshot couldn't be
/// written.
const RETRY: Duration = Duration::from_secs(2);

/// Compiles when something has changed.
pub struct Compiler {
    directory: PathBuf,
    publisher: Publisher,
    log: Log,
    files: Files,
    /// Any files have been read.
    has_read: bool,
    /// The state of the directory that [`Compiler::files`] is.
    certified: Option<Stamp>,
    unread: Vec<String>,
    /// The directory may be another than what was read.
    files_changed: bool,
    /// Since when the facts are others than those of the snapshot.
    facts_changed: Option<Instant>,
    /// No attempt before that.
    not_before: Instant,
    /// See [`names::Names::until`].
    until: Option<i64>,
    undecided: bool,
    published: Option<Published>,
}

/// What a compilation came to.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    /// How much was written.
    pub written: Written,
    /// Leases count.
    pub current: bool,
    /// How long it took.
    pub took: Duration,
}

/// Seconds since the epoch.
#[must_use]
pub fn epoch() -> i64 {
    // Before 1970 no lease ends.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs().try_into().unwrap_or(i64::MAX)
}

/// For how long this thread has been at work.
fn on_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// What one look at the state directory gave.
enum Look {
    /// Nothing new is known; look again after a while.
    Wait(Duration),
    /// [`Compiler::files`] is what there is, and nothing but another change makes that different.
    Settled,
    /// The same, for a while.
    Unsettled(Duration),
}

impl Compiler {
    /// Nothing is read or written yet; both are due.
    #[must_use]
    pub fn new(directory: &Path, publisher: Publisher, log: Log) -> Self {
        let now = Instant::now();
        Self {
            directory: directory.to_owned(),
            publisher,
            log,
            files: Files::default(),
            has_read: false,
            certified: None,
            unread: Vec::new(),
            files_changed: true,
            facts_changed: Some(now),
            not_before: now,
            until: None,
            undecided: false,
            published: None,
        }
    }

    /// The state directory may have changed.
    pub fn files_changed(&mut self) {
        self.files_changed = true;
    }

    /// What is known from libvirt has changed.
    pub fn facts_changed(&mut self) {
        self.facts_changed = self.facts_changed.or_else(|| Some(Instant::now()));
    }

    /// Whether it matters that an agent says the same again.
    #[must_use]
    pub fn is_undecided(&self) -> bool {
        self.undecided
    }

    /// What came of the last compilation.
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
        let changed =
            (self.files_changed || self.facts_changed.is_some()).then_some(self.not_before);
        ends.into_iter().chain(changed).min()
    }

    /// Does what is due, if it is. `hold` is the snapshot's. Whether there is a new one.
    pub fn run(&mut self, facts: &Facts, hold: Duration, now: Millis) -> bool {
        if self.until.is_some_and(|until| until < epoch()) {
            self.until = None;
            self.facts_changed();
        }
        let changed = self.files_changed || self.facts_changed.is_some();
        if !changed || Instant::now() < self.not_before {
            return false;
        }
        let (start, start_on_cpu) = (Instant::now(), on_cpu());
        let wait = match self.look(now) {
            Look::Wait(wait) => {
                self.not_before = Instant::now() + wait;
                return false;
            }
            Look::Settled => None,
            Look::Unsettled(wait) => Some(wait),
        };
        self.files_changed = wait.is_some();
        match self.publish(facts, hold) {
            Ok(written) => {
                let took = start.elapsed();
                // A third of one processor at most, whatever goes on. Others' work isn't counted.
                let pause =
                    (on_cpu().saturating_sub(start_on_cpu) * 2).max(Clock::read().granularity);
                let current = self.certified.is_some();
                self.published = Some(Published { written, current, took });
                self.facts_changed = None;
                self.not_before = Instant::now() + pause.max(wait.unwrap_or_default());
                memory::give_back();
                true
            }
            Err(error) => {
                let (path, reason) = (self.publisher.path().display(), state_dir::reason(&error));
                self.log.error(format!("cannot write {path}: {reason}; trying again"));
                self.facts_changed();
                self.not_before = Instant::now() + RETRY;
                false
            }
        }
    }

    /// Reads the state directory anew, where it is another.
    fn look(&mut self, now: Millis) -> Look {
        let before = match self.stamp() {
            Ok(before) => before,
            Err(error) => return self.nothing(&error),
        };
        if !self.files_changed && self.certified == Some(before) {
            return Look::Settled;
        }
        let clock = Clock::read();
        let fresh = stamp::settles_in(&before, clock);
        if let Some(wait) = fresh {
            if self.may_wait(wait) {
                return Look::Wait(wait);
            }
        }
        let reading = match read::read(&self.directory) {
            Ok(reading) => reading,
            Err(error) => return self.nothing(&error),
        };
        let mut files = reading.files;
        let since = if self.has_read { Some(&self.files) } else { None };
        files.settle(since, now);
        (self.files, self.has_read) = (files, true);
        self.tell_unread(&reading.unread);
        let same = self.stamp().is_ok_and(|after| after == before);
        let whole = reading.unread.is_empty();
        self.certified = (fresh.is_none() && same && whole).then_some(before);
        match fresh {
            Some(wait) => Look::Unsettled(wait),
            None if !same && self.may_wait(clock.granularity) => Look::Wait(clock.granularity),
            None if !same => Look::Unsettled(clock.granularity),
            None if reading.unread.iter().any(|unread| unread.exhausted) => Look::Unsettled(RETRY),
            None => Look::Settled,
        }
    }

    /// Whether the snapshot can stay as it is for so long. It says of itself that it doesn't stand for the
    /// directory as it is now, so that costs those who read it no more than some time.
    fn may_wait(&self, wait: Duration) -> bool {
        match self.facts_changed {
            None => true,
            Some(since) => since.elapsed() + wait <= PATIENCE,
        }
    }

    fn stamp(&self) -> io::Result<Stamp> {
        fs::metadata(&self.directory).map(|metadata| stamp::of(&metadata))
    }

    /// The directory isn't there, or can't be read.
    fn nothing(&mut self, error: &io::Error) -> Look {
        let is_missing = error.kind() == io::ErrorKind::NotFound;
        self.files = Files::default();
        self.certified = None;
        let why = format!("{}: {}", self.directory.display(), state_dir::reason(error));
        let unread = if is_missing { Vec::new() } else { vec![why] };
        self.warn(unread);
        Look::Settled
    }

    fn tell_unread(&mut self, unread: &[Unread]) {
        self.warn(unread.iter().map(|one| format!("{}: {}", one.name, one.why)).collect());
    }

    /// Once for each new trouble.
    fn warn(&mut self, unread: Vec<String>) {
        for one in unread.iter().filter(|one| !self.unread.contains(one)) {
            self.log.warning(format!(
                "cannot read {one}; look-ups read the state files themselves until that can be read"
            ));
        }
        self.unread = unread;
    }

    fn publish(&mut self, facts: &Facts, hold: Duration) -> io::Result<Written> {
        let compiled = epoch();
        let mut names = names::compile(Input { now: compiled, files: &self.files, facts });
        let hold = u32::try_from(hold.as_secs()).unwrap_or(u32::MAX);
        let meta = Meta { state: self.certified, hold, length: 0, compiled };
        let state = State {
            directory: &self.directory,
            files: &self.files,
            current: self.certified.is_some(),
            unread: &self.unread,
        };
        let written = self
            .publisher
            .publish(&mut names, meta, |written| info::json(facts, state, compiled, written))?;
        (self.until, self.undecided) = (names.until, names.undecided);
        Ok(written)
    }

    /// Gives a sign of life; where the snapshot or the directory are no longer what they were, something is
    /// due.
    pub fn beat(&mut self) {
        match self.publisher.touch() {
            Ok(true) => {}
            Ok(false) => self.facts_changed(),
            Err(error) => {
                let (path, reason) = (self.publisher.path().display(), state_dir::reason(&error));
                self.log.error(format!("cannot touch {path}: {reason}"));
                self.facts_changed();
            }
        }
        // A mount over it, or a rename above it, is told to nobody.
        if self.stamp().ok() != self.certified {
            self.files_changed = true;
        }
    }

    /// Takes the snapshot away.
    pub fn end(&mut self) {
        if let Err(error) = self.publisher.remove() {
            let (path, reason) = (self.publisher.path().display(), state_dir::reason(&error));
            self.log.error(format!("cannot remove {path}: {reason}"));
        }
    }
}
