//! Every way in which the command fails. A message names the file and the next step.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::nsswitch::line::ParseError;

pub(crate) use guest_store::reason;

/// Why it could not be done.
#[derive(Debug)]
pub(crate) enum Error {
    /// A system call on a file failed.
    File {
        /// As in "cannot `doing` FILE".
        doing: &'static str,
        path: PathBuf,
        source: io::Error,
        /// What to do about it.
        next: Cow<'static, str>,
    },
    /// The output could not be written.
    Output(io::Error),
    /// Out of file descriptors or memory, or the files change faster than they can be read.
    Exhausted,
    /// nsswitch.conf can't be parsed.
    Nsswitch(PathBuf, ParseError),
    /// Why nsswitch.conf isn't changed, and what to do.
    Refused(String),
    /// The file was changed while we worked on it.
    ChangedMeanwhile(PathBuf),
    /// Another program that was needed failed.
    Command { command: String, why: String },
    /// The terminal can't be used for a screen.
    Terminal(io::Error),
    /// Signals can't be waited for.
    Signals(io::Error),
}

impl Error {
    /// Makes the adapter for `map_err` that says what was tried with which file, and what to do.
    pub(crate) fn file(
        doing: &'static str,
        path: &Path,
        next: impl Into<Cow<'static, str>>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        let next = next.into();
        move |source| Self::File { doing, path, source, next }
    }

    /// Whether the reader of our output is gone, which isn't a failure.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// For what is written to standard output.
impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { doing, path, source, next } => {
                let next = match source.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space",
                    _ => next,
                };
                write!(f, "cannot {doing} {}: {}; {next}", path.display(), reason(source))
            }
            Self::Exhausted => f.write_str(
                "out of file descriptors or memory, or the leases keep changing; try again",
            ),
            Self::Nsswitch(path, parse_error) => {
                write!(f, "{} was not changed: {parse_error}, and run this again", path.display())
            }
            Self::Refused(why) => f.write_str(why),
            Self::ChangedMeanwhile(path) => write!(
                f,
                "another program changed {} at the same time, so it was not changed here; run this again",
                path.display()
            ),
            Self::Command { command, why } => write!(f, "'{command}' failed: {why}"),
            Self::Terminal(source) => write!(
                f,
                "cannot use the terminal: {}; without one, run 'libvirt-nss watch | cat'",
                reason(source)
            ),
            Self::Signals(source) => write!(f, "cannot wait for signals: {}", reason(source)),
            Self::Output(source) => write!(f, "cannot write the output: {}", reason(source)),
        }
    }
}
