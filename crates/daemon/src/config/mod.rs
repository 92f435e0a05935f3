//! The configuration, `/etc/libvirt-nss.toml`. Without the file, it is [`Config::default`].
//!
//! Each table of the file has its own module, with its keys, their defaults and their valid values.

mod connection;
mod outlets;
#[cfg(test)]
mod tests;
mod uri;
mod values;

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use guest_names::name::is_host_name;
use guest_store::config_file::{self, Invalid};
use serde::Deserialize;
use serde::de::IgnoredAny;
use toml::Spanned;

use connection::{ConnectionKeys, host};
use values::{Seconds, is_of_multicast_dns, seconds};

pub use connection::Connection;
pub use guest_store::config_file::{Error, PATH};
pub use outlets::Outlets;
pub use uri::{is_here, ssh_host};

/// The configuration: what the file says, and the defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How long information is trusted after its source falls silent; see [`crate::facts`].
    pub hold: Duration,
    /// The suffixes of guests' names.
    pub naming: Naming,
    /// The connections, in order of precedence.
    pub connections: Vec<Connection>,
    /// Which files for DNS servers are written beside the snapshot.
    pub outlets: Outlets,
    /// Whether there is a table `[publish]`, of which the daemon knows nothing else.
    pub has_publish_table: bool,
}

/// The suffixes of guests' names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naming {
    /// The zone in which every guest has a name, without a leading or trailing dot.
    pub zone: String,
    /// Whether `NAME.NETWORK` is an alias, and not just `NAME.NETWORK.ZONE`.
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
        let (hold, naming) = (Duration::from_secs(HOLD), Naming::default());
        Self { hold, naming, connections, outlets: Outlets::default(), has_publish_table: false }
    }
}

/// The top-level domain "internal" is reserved for private use (ICANN, 2024).
const ZONE: &str = "vm.internal";

impl Config {
    /// The directories in which libvirt's drivers on this host keep a file for each running guest. Only for connections that are
    /// closed while no guest runs.
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
    /// libvirt-nss-publish reads and checks it.
    publish: Option<IgnoredAny>,
    outlets: Option<Outlets>,
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
        let outlets = self.outlets.unwrap_or_default();
        let has_publish_table = self.publish.is_some();
        Ok(Config { hold, naming, connections, outlets, has_publish_table })
    }
}

fn zone(given: &Spanned<String>) -> Result<String, Invalid> {
    let zone = given.get_ref().trim_end_matches('.').to_ascii_lowercase();
    let why = if !is_host_name(zone.as_bytes()) {
        "is not a domain name"
    } else if is_of_multicast_dns(&zone) {
        "belongs to multicast DNS"
    } else {
        return Ok(zone);
    };
    let given_zone = given.get_ref().escape_debug();
    Err((given.span(), format!("\"{given_zone}\" {why}, expected one such as \"{ZONE}\"")))
}

/// Reads the configuration from `path` or, if that is `None`, from [`PATH`], which need not exist.
///
/// # Errors
/// See [`Error`].
pub fn read(path: Option<&Path>) -> Result<Config, Error> {
    match config_file::read(path)? {
        Some(text) => parse(path.unwrap_or(Path::new(PATH)), &text),
        None => Ok(Config::default()),
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
    keys.and_then(Keys::check).map_err(|invalid| Error::at(path, text, invalid))
}
