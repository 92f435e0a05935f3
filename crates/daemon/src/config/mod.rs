//! The configuration, `/etc/libvirt-nss.toml`. Without the file everything is as [`Config::default`] has it.
//!
//! Each table of the file has a file of its own here: its keys, their defaults and what is valid.

mod connection;
#[cfg(test)]
mod tests;
mod uri;
mod values;

use std::fmt;
use std::fs;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use guest_names::name::is_host_name;
use serde::Deserialize;
use toml::Spanned;

use connection::{ConnectionKeys, host};
use values::{Invalid, Seconds, seconds};

pub use connection::Connection;
pub use uri::{is_here, ssh_host};

/// Where it is by default.
pub const PATH: &str = "/etc/libvirt-nss.toml";

/// The configuration: what the file says, and the defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How long information is trusted without its source; see [`crate::facts`].
    pub hold: Duration,
    /// What may follow a guest's name.
    pub naming: Naming,
    /// The connections, in the order in which their names win.
    pub connections: Vec<Connection>,
}

/// What may follow a guest's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naming {
    /// The zone that every guest has a name in, without a dot before or after it.
    pub zone: String,
    /// `NAME.NETWORK` counts, and not just `NAME.NETWORK.ZONE`.
    pub short_network_aliases: bool,
}

impl Default for Naming {
    fn default() -> Self {
        Self { zone: ZONE.into(), short_network_aliases: false }
    }
}

impl Default for Config {
    fn default() -> Self {
        let connections = vec![host(Duration::from_secs(REFRESH))];
        Self { hold: Duration::from_secs(HOLD), naming: Naming::default(), connections }
    }
}

/// The top-level domain "internal" is reserved for private use (ICANN, 2024).
const ZONE: &str = "vm.internal";

impl Config {
    /// The directories in which libvirt's drivers on this host keep a file for each guest that runs, of the connections
    /// that are closed while none does.
    #[must_use]
    pub fn status_directories(&self) -> Vec<PathBuf> {
        let idle = self.connections.iter().filter(|connection| !connection.config.keep_alive);
        let drivers = idle.filter_map(|connection| connection.config.uri.split(['+', ':']).next());
        let directory = |driver: &str| match driver {
            "xen" => PathBuf::from("/run/libvirt/libxl"),
            driver => Path::new("/run/libvirt").join(driver),
        };
        drivers.map(directory).collect()
    }
}

/// Seconds.
const HOLD: u64 = 90;
const HOLD_RANGE: RangeInclusive<u64> = 3..=86_400;
const REFRESH: u64 = 30;
const REFRESH_RANGE: RangeInclusive<u64> = 1..=86_400;

/// The file's keys.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a table")]
struct Keys {
    hold: Option<Spanned<Seconds>>,
    refresh: Option<Spanned<Seconds>>,
    zone: Option<Spanned<String>>,
    short_network_aliases: Option<bool>,
    connection: Option<Vec<ConnectionKeys>>,
}

impl Keys {
    fn check(self) -> Result<Config, Invalid> {
        let hold = seconds(self.hold.as_ref(), HOLD, HOLD_RANGE)?;
        let refresh = seconds(self.refresh.as_ref(), REFRESH, REFRESH_RANGE)?;
        let mut connections: Vec<Connection> = Vec::new();
        match self.connection {
            None => connections.push(host(refresh)),
            Some(all) => {
                for (place, keys) in all.into_iter().enumerate() {
                    let span = keys.name.span();
                    let connection = keys.check(place, refresh)?;
                    let name = &connection.config.name;
                    if connections.iter().any(|one| one.config.name.eq_ignore_ascii_case(name)) {
                        let text = format!(
                            "\"{name}\" is the name of two connections, expected one of its own"
                        );
                        return Err((span, text));
                    }
                    connections.push(connection);
                }
            }
        }
        let zone = self.zone.as_ref().map_or(Ok(ZONE.into()), zone)?;
        let short_network_aliases = self.short_network_aliases.unwrap_or(false);
        let naming = Naming { zone, short_network_aliases };
        Ok(Config { hold, naming, connections })
    }
}

fn zone(given: &Spanned<String>) -> Result<String, Invalid> {
    let zone = given.get_ref().trim_end_matches('.').to_ascii_lowercase();
    let last = zone.rsplit('.').next().unwrap_or("");
    let why = match last {
        _ if !is_host_name(zone.as_bytes()) => "is not a domain name",
        "local" => "belongs to multicast DNS",
        _ => return Ok(zone),
    };
    let given_zone = given.get_ref().escape_debug();
    Err((given.span(), format!("\"{given_zone}\" {why}, expected one such as \"{ZONE}\"")))
}

/// Why there is no configuration.
#[derive(Debug)]
pub enum Error {
    /// The file can't be read.
    Unreadable(PathBuf, io::Error),
    /// It has an invalid line.
    Invalid {
        /// The file.
        path: PathBuf,
        /// The number of the line; the first is 1.
        line: usize,
        /// The key on it, if there is one.
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
                write!(f, "cannot read {}: {}", path.display(), guest_store::reason(error))
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

/// Reads the configuration: of `path` or, where that is `None`, of [`PATH`], which need not exist.
///
/// # Errors
/// See [`Error`].
pub fn read(path: Option<&Path>) -> Result<Config, Error> {
    let file = path.unwrap_or(Path::new(PATH));
    match fs::read(file) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => parse(file, &text),
            Err(error) => {
                let good = error.utf8_error().valid_up_to();
                let before = &error.as_bytes()[..good];
                let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
                let what = String::from("a byte that is not UTF-8, expected UTF-8");
                Err(Error::Invalid { path: file.into(), line, key: None, what })
            }
        },
        Err(error) if path.is_none() && error.kind() == io::ErrorKind::NotFound => {
            Ok(Config::default())
        }
        Err(error) => Err(Error::Unreadable(file.into(), error)),
    }
}

/// Parses the text of the file at `path`.
///
/// # Errors
/// See [`Error`].
pub fn parse(path: &Path, text: &str) -> Result<Config, Error> {
    let keys = toml::from_str::<Keys>(text).map_err(|error| {
        // Errors about the file as a whole have no span.
        (error.span().unwrap_or(0..0), error.message().to_owned())
    });
    keys.and_then(Keys::check).map_err(|(span, what)| {
        let (line, key) = line_and_key(text, span.start);
        let what = what.lines().collect::<Vec<_>>().join(", ").replace('`', "'");
        Error::Invalid { path: path.into(), line, key, what }
    })
}

/// The number of the line that byte `at` is in, and the key of that line.
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
