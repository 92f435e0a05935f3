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
    /// What was found out could not be printed.
    Output(io::Error),
    /// Out of file descriptors or of memory, or the files change faster than they can be read.
    Exhausted,
    /// What is wrong with nsswitch.conf.
    Nsswitch(PathBuf, ParseError),
    /// Why nsswitch.conf isn't touched, and what to do.
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

    /// Whether nobody reads our output any more, which is no failure.
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
                write!(f, "cannot {doing} {}: {}; {next}", path.display(), reason(source))
            }
            Self::Exhausted => f.write_str(
                "out of file descriptors or of memory, or the leases change all the time; try again",
            ),
            Self::Nsswitch(path, parse_error) => {
                write!(f, "{} stays as it is: {parse_error}, and run this again", path.display())
            }
            Self::Refused(why) => f.write_str(why),
            Self::ChangedMeanwhile(path) => write!(
                f,
                "{} was changed by someone else at this moment, and stays as it is; run this again",
                path.display()
            ),
            Self::Command { command, why } => write!(f, "'{command}' failed: {why}"),
            Self::Terminal(source) => write!(
                f,
                "cannot use the terminal: {}; in a pipe it isn't needed: 'libvirt-nss watch | cat'",
                reason(source)
            ),
            Self::Signals(source) => write!(f, "cannot wait for signals: {}", reason(source)),
            Self::Output(source) => write!(f, "cannot write the output: {}", reason(source)),
        }
    }
}
