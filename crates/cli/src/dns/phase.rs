//! Changes to files and to the services that read them, made together and undone if any part fails.

use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use guest_store::watch::DirectoryWatch;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{CreateFlags, Reader, WatchFlags};
use rustix::io::Errno;

use super::way::Content;
use crate::commands::switch::show;
use crate::context::Context;
use crate::error::Error;
use crate::nsswitch::replace::{self, NewVersion};
use crate::signals::Interrupts;

/// The content of a file before and after the change; `None` if it doesn't exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) path: PathBuf,
    pub(crate) before: Option<Content>,
    pub(crate) after: Option<Content>,
}

/// One step of the change.
#[derive(Debug, Clone, Default)]
pub(crate) struct Phase {
    /// Commands that run before the files are changed.
    pub(crate) stop: Vec<&'static str>,
    pub(crate) changes: Vec<Change>,
    /// Commands that run after the files have been changed.
    pub(crate) start: Vec<&'static str>,
    /// The file that exists once the commands have taken effect.
    pub(crate) until: Option<PathBuf>,
    /// Commands that undo `start`, run before the files are restored.
    pub(crate) unstart: Vec<&'static str>,
    /// Commands that run once the files are restored.
    pub(crate) settle: Vec<&'static str>,
}

/// How long to wait for a service to write its file.
const PATIENCE: Duration = Duration::from_secs(10);

impl Change {
    /// Reads the present content.
    ///
    /// # Errors
    /// The file can't be read.
    pub(crate) fn read(path: PathBuf, after: Option<Content>) -> Result<Self, Error> {
        let before = match fs::symlink_metadata(&path) {
            Err(error) if is_missing(&error) => None,
            Ok(status) if status.is_symlink() => {
                let target = fs::read_link(&path).map_err(Error::file("read", &path, ROOT))?;
                let ours = [super::outlets::Outlet::Records.file()];
                match ours.iter().find(|ours| target == Path::new(ours)) {
                    Some(ours) => Some(Content::Link(ours)),
                    None => {
                        return Err(Error::Refused(format!(
                            "{} is a link to {}, which this command didn't make: remove it, and run this again",
                            path.display(),
                            target.display()
                        )));
                    }
                }
            }
            _ => Some(Content::Text(read_text(&path)?)),
        };
        Ok(Self { path, before, after })
    }

    pub(crate) fn is_none(&self) -> bool {
        self.before == self.after
    }

    fn show(&self, context: &Context) -> Result<(), Error> {
        let text = |content: &Option<Content>| match content {
            None => Vec::new(),
            Some(Content::Text(text)) => text.clone().into_bytes(),
            Some(Content::Link(target)) => format!("(a link to {target})\n").into_bytes(),
        };
        show(&self.path, &text(&self.before), &text(&self.after), context)
    }

    /// Makes the change, if the file still has its former content.
    fn apply(&self) -> Result<(), Error> {
        if self.is_none() {
            return Ok(());
        }
        if Self::read(self.path.clone(), None)?.before != self.before {
            return Err(Error::ChangedMeanwhile(self.path.clone()));
        }
        match (&self.before, &self.after) {
            (Some(Content::Text(before)), Some(Content::Text(after))) => {
                let new = NewVersion::reserve(&self.path)?;
                new.put(&self.path, before.as_bytes(), after.as_bytes())
            }
            (_, None) => {
                replace::remove(&self.path)?;
                remove_empty(&self.path);
                Ok(())
            }
            (_, Some(after)) => {
                let made = self.create(after);
                if made.is_err() {
                    remove_empty(&self.path);
                }
                made
            }
        }
    }

    fn create(&self, content: &Content) -> Result<(), Error> {
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(directory).map_err(Error::file("make", directory, ROOT))?;
        replace::remove(&self.path)?;
        match content {
            Content::Text(text) => replace::create(&self.path, text.as_bytes()),
            Content::Link(target) => {
                symlink(target, &self.path).map_err(Error::file("write", &self.path, ROOT))
            }
        }
    }

    fn reversed(&self) -> Self {
        let Self { path, before, after } = self.clone();
        Self { path, before: after, after: before }
    }
}

/// Reads a file of text.
///
/// # Errors
/// It can't be read, or isn't UTF-8.
pub(crate) fn read_text(path: &Path) -> Result<String, Error> {
    String::from_utf8(replace::read(path)?).map_err(|_| {
        let next = "it is not UTF-8; see what it is";
        Error::file("read", path, next)(io::ErrorKind::InvalidData.into())
    })
}

const ROOT: &str = "run this as root (sudo), or with --dry-run to see the change";

/// Removes directories that are now empty: systemd creates none of these, so they were made for the file.
fn remove_empty(file: &Path) {
    let ours = ["static.d", "resolve", "dns-delegate.d"];
    let directories = file.ancestors().skip(1);
    let named =
        |path: &&Path| path.file_name().is_some_and(|name| ours.iter().any(|one| name == *one));
    for directory in directories.take_while(named) {
        match fs::remove_dir(directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                // It isn't empty, so somebody else uses it.
                return;
            }
            _ => {}
        }
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

impl Phase {
    /// Whether any file changes.
    pub(crate) fn has_changes(&self) -> bool {
        self.changes.iter().any(|change| !change.is_none())
    }

    fn commands(&self) -> impl Iterator<Item = &'static str> {
        self.stop.iter().chain(&self.start).copied()
    }

    /// Prints the change of each file, and the commands.
    ///
    /// # Errors
    /// The output can't be written.
    pub(crate) fn show(&self, context: &Context) -> Result<(), Error> {
        for change in self.changes.iter().filter(|change| !change.is_none()) {
            change.show(context)?;
        }
        let word = if context.paths.is_this_system() { "this runs" } else { "on that system, run" };
        for command in self.commands() {
            context.print(&format!("{word}: {command}"))?;
        }
        Ok(())
    }

    /// Makes the changes and runs the commands. Below another root directory, only the files are changed. `begun` becomes
    /// true once something was changed.
    fn apply(&self, context: &Context, stop: &Interrupts, begun: &mut bool) -> Result<(), Error> {
        let run = |commands: &[&'static str], begun: &mut bool| {
            for command in commands.iter().filter(|_| context.paths.is_this_system()) {
                check(stop)?;
                *begun = true;
                run(command)?;
            }
            Ok::<(), Error>(())
        };
        run(&self.stop, begun)?;
        for change in self.changes.iter().filter(|change| !change.is_none()) {
            check(stop)?;
            change.apply()?;
            *begun = true;
        }
        run(&self.start, begun)?;
        match &self.until {
            Some(path) if context.paths.is_this_system() => wait_for(path, stop),
            _ => Ok(()),
        }
    }

    /// Undoes whatever part of it was done.
    fn revert(&self, context: &Context) {
        let run_all = |commands: &[&'static str]| {
            for command in commands.iter().filter(|_| context.paths.is_this_system()) {
                if let Err(error) = run(command) {
                    context.warn(&error.to_string());
                }
            }
        };
        run_all(&self.unstart);
        for change in self.changes.iter().rev() {
            let undone = Change::read(change.path.clone(), None).and_then(|now| {
                if now.before == change.after { change.reversed().apply() } else { Ok(()) }
            });
            if let Err(error) = undone {
                context.warn(&error.to_string());
            }
        }
        run_all(&self.settle);
    }
}

/// Applies all phases, or none.
///
/// # Errors
/// Why a phase failed, or that the user interrupted it. Whatever could not be undone has been reported.
pub(crate) fn apply(phases: &[Phase], context: &Context) -> Result<(), Error> {
    let stop = Interrupts::catch()?;
    for (at, phase) in phases.iter().enumerate() {
        let mut begun = false;
        if let Err(error) = phase.apply(context, &stop, &mut begun) {
            for done in phases[..at + usize::from(begun)].iter().rev() {
                done.revert(context);
            }
            // The command that ran has failed by the same signal.
            return Err(if stop.came() { interrupted() } else { error });
        }
    }
    Ok(())
}

fn check(stop: &Interrupts) -> Result<(), Error> {
    if stop.came() { Err(interrupted()) } else { Ok(()) }
}

fn interrupted() -> Error {
    Error::Refused("interrupted: what had been done was undone".into())
}

/// Runs a command, given as words separated by blanks.
fn run(command: &str) -> Result<(), Error> {
    let mut words = command.split(' ');
    let failed = |why: String| Error::Command { command: command.into(), why };
    let output = Command::new(words.next().unwrap_or_default())
        .args(words)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
    let mut why = if said.is_empty() { output.status.to_string() } else { said };
    if let Some(unit) = command.split(' ').find(|word| word.ends_with(".service")) {
        for line in log(unit) {
            why = format!("{why}; {line}");
        }
        why += &format!("; see 'systemctl status {unit}'");
    }
    Err(failed(why))
}

/// The last lines that a unit's programs wrote to the journal, such as why they can't start. Empty without a journal.
fn log(unit: &str) -> Vec<String> {
    let journal = |options: &[&str]| {
        let mut command = Command::new("journalctl");
        command.args(options).stdin(Stdio::null()).output().ok()
    };
    // systemctl returns before all of it is there.
    let _ = journal(&["--sync"]);
    let unit = format!("_SYSTEMD_UNIT={unit}");
    let options = ["--quiet", "--since=-10s", "--lines=3", "--output=cat", &unit];
    let output = journal(&options).map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).lines().map(str::to_owned).collect()
}

/// Waits until the daemon has written a file.
fn wait_for(path: &Path, stop: &Interrupts) -> Result<(), Error> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let watched = (|| -> io::Result<bool> {
        let came = WatchFlags::MOVED_TO | WatchFlags::CREATE;
        let mut place = DirectoryWatch::new(directory, came, CreateFlags::NONBLOCK)?;
        let end = Instant::now() + PATIENCE;
        loop {
            place.arm()?;
            if path.exists() {
                return Ok(true);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || stop.came() {
                return Ok(false);
            }
            let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
            match poll(&mut [PollFd::new(&place, PollFlags::IN)], Some(&timeout)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            // Whatever the event was, the file is checked again.
            let mut buffer = [const { MaybeUninit::uninit() }; 4096];
            let mut events = Reader::new(&place, &mut buffer);
            while events.next().is_ok() {}
        }
    })();
    let next = "see 'systemctl status libvirt-nssd' and 'libvirt-nssd --check'";
    check(stop)?;
    match watched {
        Ok(true) => Ok(()),
        Ok(false) => {
            Err(Error::file("use", path, next)(io::Error::other("libvirt-nssd has not written it")))
        }
        Err(error) => Err(Error::file("watch", directory, next)(error)),
    }
}
