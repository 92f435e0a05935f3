//! The configuration file. The daemon and the publisher each read their own part of it.

use std::fmt;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::reason;

/// The default path.
pub const PATH: &str = "/etc/libvirt-nss.toml";

/// A range of bytes in the file, and what is wrong there.
pub type Invalid = (Range<usize>, String);

/// Why the configuration can't be used.
#[derive(Debug)]
pub enum Error {
    /// The file can't be read.
    Unreadable(PathBuf, io::Error),
    /// A line is invalid.
    Invalid {
        /// The file.
        path: PathBuf,
        /// The number of the line; the first is 1.
        line: usize,
        /// The key on that line, if there is one.
        key: Option<String>,
        /// What is wrong, and what was expected.
        what: String,
    },
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(path, error) => {
                write!(f, "cannot read {}: {}", path.display(), reason(error))
            }
            Self::Invalid { path, line, key: Some(key), what } => {
                write!(f, "{}:{line}: {key}: {what}", path.display())
            }
            Self::Invalid { path, line, key: None, what } => {
                write!(f, "{}:{line}: {what}", path.display())
            }
        }
    }
}

impl Error {
    /// The error for something wrong at these bytes of `text`, the contents of `path`.
    #[must_use]
    pub fn at(path: &Path, text: &str, (span, what): Invalid) -> Self {
        let (line, key) = line_and_key(text, span.start);
        let what = what.lines().collect::<Vec<_>>().join(", ").replace('`', "'");
        Self::Invalid { path: path.into(), line, key, what }
    }
}

/// Reads the file's text. `None` if `path` is `None` and there is no file at [`PATH`].
///
/// # Errors
/// See [`Error`].
pub fn read(path: Option<&Path>) -> Result<Option<String>, Error> {
    let place = path.unwrap_or(Path::new(PATH));
    let bytes = match fs::read(place) {
        Err(error) if path.is_none() && error.kind() == io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes.map_err(|error| Error::Unreadable(place.into(), error))?,
    };
    String::from_utf8(bytes).map(Some).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let before = &error.as_bytes()[..good];
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        let what = String::from("a byte that is not UTF-8, expected UTF-8");
        Error::Invalid { path: place.into(), line, key: None, what }
    })
}

/// The number of the line with byte `at`, and the key on that line.
fn line_and_key(text: &str, at: usize) -> (usize, Option<String>) {
    let at = at.min(text.len());
    let start =
        text.as_bytes()[..at].iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let line = text[start..].lines().next().unwrap_or("").trim();
    let key = match line.split_once('=') {
        Some((key, _)) => Some(key.trim()),
        None => line.starts_with('[').then(|| line.trim_matches(['[', ']', ' '])),
    };
    let number = 1 + text.as_bytes()[..start].iter().filter(|&&byte| byte == b'\n').count();
    (number, key.filter(|key| !key.is_empty()).map(str::to_owned))
}
