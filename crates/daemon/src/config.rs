//! The configuration, `/etc/libvirt-nss.toml`. Without the file everything is as [`Config::default`] has it.

use std::fmt;
use std::fs;
use std::io;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::time::Duration;

use guest_names::name::is_host_name;
use ipnet::IpNet;
use serde::{Deserialize, Deserializer, de};
use toml::Spanned;

use crate::model::{ConnectionConfig, ConnectionId};

/// Where it is by default.
pub const PATH: &str = "/etc/libvirt-nss.toml";

/// What the file says, and the defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How long information is trusted without its source: see [`crate::facts::Known`].
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

/// A connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// What its session needs.
    pub config: ConnectionConfig,
    /// It leads to libvirt on this host, whose state files and bridges are at hand.
    pub here: bool,
    /// The configuration names it, so that its name may follow its guests'.
    pub is_named: bool,
    /// Addresses on networks that mean nothing beyond their host count too.
    pub nat: bool,
    /// Where no subnet of a guest's network is known, its agent may only report addresses in these; any
    /// address if there are none.
    pub subnets: Vec<IpNet>,
    /// The neighbour table of this host counts.
    pub neighbours: bool,
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
const AGENT_TIMEOUT: u64 = 5;
const AGENT_TIMEOUT_RANGE: RangeInclusive<u64> = 1..=600;

/// libvirt's drivers of guests (<https://libvirt.org/drivers.html>) and the transports to them
/// (<https://libvirt.org/uri.html>), as they are written in URIs.
const DRIVERS: [&str; 15] = [
    "bhyve",
    "ch",
    "esx",
    "gsx",
    "hyperv",
    "lxc",
    "openvz",
    "qemu",
    "test",
    "vbox",
    "vmwareplayer",
    "vmwarews",
    "vpx",
    "vz",
    "xen",
];
const TRANSPORTS: [&str; 7] = ["ext", "libssh", "libssh2", "ssh", "tcp", "tls", "unix"];

/// A number of seconds in the file, whose range is checked later.
#[derive(Clone, Copy)]
struct Seconds(u64);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Seconds;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of seconds")
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Seconds, E> {
                let wrong = || E::invalid_value(de::Unexpected::Signed(value), &self);
                u64::try_from(value).map(Seconds).map_err(|_| wrong())
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Seconds, E> {
                Ok(Seconds(value))
            }
        }
        deserializer.deserialize_u64(Visitor)
    }
}

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

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a table [[connection]]")]
struct ConnectionKeys {
    name: Spanned<String>,
    uri: Spanned<String>,
    agent: Option<bool>,
    neighbours: Option<bool>,
    leases: Option<bool>,
    refresh: Option<Spanned<Seconds>>,
    agent_timeout: Option<Spanned<Seconds>>,
    nat: Option<bool>,
    subnets: Option<Vec<Spanned<String>>>,
    keep_alive: Option<Spanned<bool>>,
}

/// What is wrong at which bytes of the file.
type Wrong = (Range<usize>, String);

impl Keys {
    fn check(self) -> Result<Config, Wrong> {
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

/// The connection that there is without any in the file.
fn host(refresh: Duration) -> Connection {
    Connection {
        config: ConnectionConfig {
            id: ConnectionId(0),
            name: "host".into(),
            uri: "qemu:///system".into(),
            agent: true,
            arp: false,
            leases: false,
            refresh,
            agent_timeout: Duration::from_secs(AGENT_TIMEOUT),
            keep_alive: true,
        },
        here: true,
        is_named: false,
        nat: false,
        subnets: Vec::new(),
        neighbours: true,
    }
}

impl ConnectionKeys {
    fn check(self, place: usize, refresh: Duration) -> Result<Connection, Wrong> {
        let name = self.name.get_ref();
        if !is_host_name(name.as_bytes()) {
            let text = format!(
                "\"{}\" is not a valid host name, expected one such as \"rack1\": it follows the guests' names",
                name.escape_debug()
            );
            return Err((self.name.span(), text));
        }
        if name.eq_ignore_ascii_case("local") {
            let text = "\"local\" belongs to multicast DNS, where guests' names in it would be asked for; \
                        expected another name such as \"host\"";
            return Err((self.name.span(), text.into()));
        }
        let uri = self.uri.get_ref();
        check_uri(uri).map_err(|text| (self.uri.span(), text))?;
        let id = u16::try_from(place).map_err(|_| {
            (self.name.span(), String::from("too many connections, expected at most 65536"))
        })?;
        let here = is_here(uri);
        let refresh = match &self.refresh {
            None => refresh,
            own => seconds(own.as_ref(), REFRESH, REFRESH_RANGE)?,
        };
        let agent_timeout =
            seconds(self.agent_timeout.as_ref(), AGENT_TIMEOUT, AGENT_TIMEOUT_RANGE)?;
        let subnets = self.subnets.unwrap_or_default();
        let subnets = subnets.iter().map(subnet).collect::<Result<Vec<IpNet>, Wrong>>()?;
        let neighbours = self.neighbours.unwrap_or(true);
        let keep_alive = self.keep_alive.as_ref().is_none_or(|keep_alive| *keep_alive.get_ref());
        if let (false, false, Some(keep_alive)) = (keep_alive, here, &self.keep_alive) {
            let text = "false needs a connection to this host, as only this host shows when something happens; \
                        expected true";
            return Err((keep_alive.span(), text.into()));
        }
        Ok(Connection {
            config: ConnectionConfig {
                id: ConnectionId(id),
                name: self.name.into_inner(),
                uri: self.uri.into_inner(),
                agent: self.agent.unwrap_or(true),
                arp: neighbours && !here,
                leases: self.leases.unwrap_or(!here),
                refresh,
                agent_timeout,
                keep_alive,
            },
            here,
            is_named: true,
            nat: self.nat.unwrap_or(false),
            subnets,
            neighbours: neighbours && here,
        })
    }
}

fn zone(given: &Spanned<String>) -> Result<String, Wrong> {
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

fn subnet(given: &Spanned<String>) -> Result<IpNet, Wrong> {
    given.get_ref().parse().map_err(|_| {
        let text = format!(
            "\"{}\" is not a subnet, expected one such as \"192.168.1.0/24\" or \"2001:db8::/64\"",
            given.get_ref().escape_debug()
        );
        (given.span(), text)
    })
}

fn seconds(
    given: Option<&Spanned<Seconds>>,
    default: u64,
    range: RangeInclusive<u64>,
) -> Result<Duration, Wrong> {
    let Some(given) = given else { return Ok(Duration::from_secs(default)) };
    let Seconds(seconds) = *given.get_ref();
    if range.contains(&seconds) {
        return Ok(Duration::from_secs(seconds));
    }
    let (least, most) = (range.start(), range.end());
    let text =
        format!("{seconds} is out of range, expected a number of seconds from {least} to {most}");
    Err((given.span(), text))
}

/// Whether libvirt could make sense of it, as far as that can be said without asking.
fn check_uri(uri: &str) -> Result<(), String> {
    let shown = uri.escape_debug();
    let scheme = uri.split_once(":/").map(|(scheme, _)| scheme);
    let (Some(scheme), false) =
        (scheme, uri.contains(|c: char| c.is_whitespace() || c.is_control()))
    else {
        return Err(format!(
            "\"{shown}\" is not a libvirt URI, expected one such as \"qemu+ssh://root@host/system\""
        ));
    };
    let (driver, transport) = match scheme.split_once('+') {
        Some((driver, transport)) => (driver, Some(transport)),
        None => (scheme, None),
    };
    let unknown = |kind: &str, word: &str, known: &[&str]| {
        Err(format!(
            "\"{shown}\": unknown {kind} \"{}\", expected one of {}",
            word.escape_debug(),
            known.join(", ")
        ))
    };
    if !DRIVERS.contains(&driver) {
        return unknown("driver", driver, &DRIVERS);
    }
    match transport {
        Some(transport) if !TRANSPORTS.contains(&transport) => {
            unknown("transport", transport, &TRANSPORTS)
        }
        _ => Ok(()),
    }
}

/// Whether the URI leads to libvirt on this host: no transport but a local socket, no host, and no socket
/// of one's own, which may be another host's (<https://libvirt.org/uri.html>).
#[must_use]
pub fn is_here(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else { return false };
    let local = scheme.split_once('+').is_none_or(|(_, transport)| transport == "unix");
    let (path, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let host = path.strip_prefix("//").map_or("", |path| path.split('/').next().unwrap_or(path));
    let own_socket = parameters.split(['&', ';']).any(|parameter| {
        let socket = parameter.strip_prefix("socket=");
        socket.is_some_and(|path| !is_standard_socket(path))
    });
    local && host.is_empty() && !own_socket
}

/// libvirtd's, and those of the daemons that it has been split into.
fn is_standard_socket(path: &str) -> bool {
    let name = path.strip_prefix("/var").unwrap_or(path).strip_prefix("/run/libvirt/");
    let name = name.map(|name| name.strip_suffix("-ro").unwrap_or(name));
    name.is_some_and(|name| !name.contains('/') && name.ends_with("-sock"))
}

/// Why there is no configuration.
#[derive(Debug)]
pub enum Error {
    /// The file can't be read.
    Unreadable(PathBuf, io::Error),
    /// It says something that makes no sense.
    Wrong {
        /// The file.
        path: PathBuf,
        /// The line, from 1 on.
        line: usize,
        /// The key that it is about, where there is one.
        key: Option<String>,
        /// What is wrong, and what is expected.
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
            Self::Wrong { path, line, key: Some(key), what } => {
                write!(f, "{}:{line}: {key}: {what}", path.display())
            }
            Self::Wrong { path, line, key: None, what } => {
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
    let place = path.unwrap_or(Path::new(PATH));
    match fs::read(place) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => parse(place, &text),
            Err(error) => {
                let good = error.utf8_error().valid_up_to();
                let before = &error.as_bytes()[..good];
                let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
                let what = String::from("a byte that is not UTF-8, expected UTF-8");
                Err(Error::Wrong { path: place.into(), line, key: None, what })
            }
        },
        Err(error) if path.is_none() && error.kind() == io::ErrorKind::NotFound => {
            Ok(Config::default())
        }
        Err(error) => Err(Error::Unreadable(place.into(), error)),
    }
}

/// Makes sense of the file's text.
///
/// # Errors
/// See [`Error`].
pub fn parse(path: &Path, text: &str) -> Result<Config, Error> {
    let keys = toml::from_str::<Keys>(text).map_err(|error| {
        // Only what lies outside of the file has no place in it.
        (error.span().unwrap_or(0..0), error.message().to_owned())
    });
    keys.and_then(Keys::check).map_err(|(span, what)| {
        let (line, key) = place(text, span.start);
        let what = what.lines().collect::<Vec<_>>().join(", ").replace('`', "'");
        Error::Wrong { path: path.into(), line, key, what }
    })
}

/// The number of the line that byte `at` is in, from 1 on, and the key of that line.
fn place(text: &str, at: usize) -> (usize, Option<String>) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Config, String> {
        parse(Path::new("f.toml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_is_the_default() {
        let config = parsed("").unwrap();
        assert_eq!(config, Config::default());
        assert_eq!(config.hold, Duration::from_secs(90));
        let [connection] = &config.connections[..] else { panic!("{config:?}") };
        assert_eq!(connection.config.name, "host");
        assert_eq!(connection.config.uri, "qemu:///system");
        assert!(connection.here && !connection.nat && !connection.config.leases);
        assert_eq!(
            read(Some(Path::new("/nonexistent/f"))).unwrap_err().to_string(),
            "cannot read /nonexistent/f: No such file or directory"
        );
    }

    #[test]
    fn every_key() {
        let config = parsed(
            "hold = 30\nrefresh = 10\nzone = \"Lab.Example.\"\nshort-network-aliases = true\n[[connection]]\nname = \"rack1\"\nuri = \"qemu+ssh://root@rack1/system\"\n\
             agent = false\nneighbours = false\nleases = false\nrefresh = 5\nagent-timeout = 2\nnat = true\nsubnets = [\"10.0.0.0/8\", \"fd00::/8\"]\n\
             [[connection]]\nname = \"here\"\nuri = \"qemu:///system\"\nkeep-alive = false\n",
        )
        .unwrap();
        let [rack, here] = &config.connections[..] else { panic!("{config:?}") };
        assert_eq!(config.hold, Duration::from_secs(30));
        let naming = Naming { zone: "lab.example".into(), short_network_aliases: true };
        assert_eq!(config.naming, naming);
        let expected = ConnectionConfig {
            id: ConnectionId(0),
            name: "rack1".into(),
            uri: "qemu+ssh://root@rack1/system".into(),
            agent: false,
            arp: false,
            leases: false,
            refresh: Duration::from_secs(5),
            agent_timeout: Duration::from_secs(2),
            keep_alive: true,
        };
        let subnets = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        assert_eq!(
            *rack,
            Connection {
                config: expected,
                here: false,
                is_named: true,
                nat: true,
                subnets,
                neighbours: false
            }
        );
        assert_eq!(
            (here.config.id, here.config.refresh),
            (ConnectionId(1), Duration::from_secs(10))
        );
        assert!(here.here && !here.config.leases && !here.config.keep_alive && here.neighbours);
        assert_eq!(parsed("connection = []").unwrap().connections, []);
    }

    #[test]
    fn what_is_wrong() {
        let one = |line: &str| {
            format!("\n[[connection]]\nname = \"a\"\nuri = \"qemu:///system\"\n{line}\n")
        };
        let cases = [
            (
                "hold = \"long\"".to_owned(),
                "f.toml:1: hold: invalid type: string \"long\", expected a number of seconds",
            ),
            (
                "\nhold = 1\n".into(),
                "f.toml:2: hold: 1 is out of range, expected a number of seconds from 3 to 86400",
            ),
            (
                "hold = -1".into(),
                "f.toml:1: hold: invalid value: integer '-1', expected a number of seconds",
            ),
            (
                "holt = 1".into(),
                "f.toml:1: holt: unknown field 'holt', expected one of 'hold', 'refresh', 'zone', \
                 'short-network-aliases', 'connection'",
            ),
            ("hold = 9\nhold = 9".into(), "f.toml:2: hold: duplicate key"),
            ("hold".into(), "f.toml:1: key with no value, expected '='"),
            (one("nat = 1"), "f.toml:5: nat: invalid type: integer '1', expected a boolean"),
            (
                one("agent-timeout = 0"),
                "f.toml:5: agent-timeout: 0 is out of range, expected a number of seconds from 1 to 600",
            ),
            (
                one("refresh = 99999"),
                "f.toml:5: refresh: 99999 is out of range, expected a number of seconds from 1 to 86400",
            ),
            (
                one("adress = 1"),
                "f.toml:5: adress: unknown field 'adress', expected one of 'name', 'uri', 'agent', 'neighbours', \
                 'leases', 'refresh', 'agent-timeout', 'nat', 'subnets', 'keep-alive'",
            ),
            (
                "[[connection]]\nuri = \"qemu:///system\"".into(),
                "f.toml:1: connection: missing field 'name'",
            ),
            (
                "[[connection]]\nuri = \"here\"\nname = \"a\"".into(),
                "f.toml:2: uri: \"here\" is not a libvirt URI, expected one such as \"qemu+ssh://root@host/system\"",
            ),
            (
                "[[connection]]\nuri = \"qemu:///system\"\nname = \"a b\"".into(),
                "f.toml:3: name: \"a b\" is not a valid host name, expected one such as \"rack1\": it follows the guests' names",
            ),
            (
                "[[connection]]\nuri = \"qemu:///system\"\nname = \"Local\"".into(),
                "f.toml:3: name: \"local\" belongs to multicast DNS, where guests' names in it would be asked for; \
                 expected another name such as \"host\"",
            ),
            (
                "[[connection]]\nuri = \"qemu:///sys\\u0000tem\"\nname = \"a\"".into(),
                "f.toml:2: uri: \"qemu:///sys\\0tem\" is not a libvirt URI, expected one such as \
                 \"qemu+ssh://root@host/system\"",
            ),
            (
                "[[connection]]\nuri = \"kvm:///system\"\nname = \"a\"".into(),
                "f.toml:2: uri: \"kvm:///system\": unknown driver \"kvm\", expected one of bhyve, ch, esx, gsx, \
                 hyperv, lxc, openvz, qemu, test, vbox, vmwareplayer, vmwarews, vpx, vz, xen",
            ),
            (
                "[[connection]]\nuri = \"qemu+shh://a/system\"\nname = \"a\"".into(),
                "f.toml:2: uri: \"qemu+shh://a/system\": unknown transport \"shh\", expected one of ext, libssh, \
                 libssh2, ssh, tcp, tls, unix",
            ),
            (
                "[[connection]]\nuri = \"qemu+ssh://a/system\"\nname = \"a\"\nkeep-alive = false"
                    .into(),
                "f.toml:4: keep-alive: false needs a connection to this host, as only this host shows when \
                 something happens; expected true",
            ),
            (
                one("[[connection]]\nname = \"A\"\nuri = \"qemu:///system\""),
                "f.toml:6: name: \"A\" is the name of two connections, expected one of its own",
            ),
            (
                one("subnets = [\"10.0.0.0/8\", \"10.0.0.1\"]"),
                "f.toml:5: subnets: \"10.0.0.1\" is not a subnet, expected one such as \"192.168.1.0/24\" or \
                 \"2001:db8::/64\"",
            ),
            (
                "zone = \"\"".into(),
                "f.toml:1: zone: \"\" is not a domain name, expected one such as \"vm.internal\"",
            ),
            (
                "zone = \"vm.local\"".into(),
                "f.toml:1: zone: \"vm.local\" belongs to multicast DNS, expected one such as \"vm.internal\"",
            ),
            (
                "connection = 1".into(),
                "f.toml:1: connection: invalid type: integer '1', expected a sequence",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(parsed(&text).unwrap_err(), expected, "{text}");
        }
        let binary = testkit::scratch::Scratch::new();
        let path = binary.path().join("f");
        fs::write(&path, b"hold = 9\n\xff").unwrap();
        let error = read(Some(&path)).unwrap_err().to_string();
        assert!(error.ends_with("f:2: a byte that is not UTF-8, expected UTF-8"), "{error}");
    }

    /// The commented file has every key, with its default; so has the manual page.
    #[test]
    fn what_is_documented() {
        let example = include_str!("../../../packaging/libvirt-nss.toml");
        let bare: String = example
            .lines()
            .filter_map(|line| line.strip_prefix('#'))
            .filter(|line| !line.starts_with(' ') && !line.is_empty())
            .map(|line| format!("{line}\n"))
            .collect();
        let mut named = Config::default();
        named.connections[0].is_named = true;
        assert_eq!(parsed(&bare).unwrap(), named, "{bare}");
        assert_eq!(parsed(example).unwrap(), Config::default());
        let page = include_str!("../../../packaging/man/libvirt-nss.toml.5").replace('\\', "");
        for table in ["", "[[connection]]\n"] {
            let error = parsed(&format!("{table}x = 1")).unwrap_err();
            let keys = error.split_once("expected one of ").unwrap().1;
            for key in keys.split(", ").map(|key| key.trim_matches('\'')) {
                assert!(bare.contains(key), "{key} isn't in the commented file");
                let entry = [format!("BI {key} "), format!("B {key}\n")];
                assert!(entry.iter().any(|entry| page.contains(entry)), "{key} isn't in the page");
            }
        }
    }

    #[test]
    fn which_uris_are_here() {
        for uri in [
            "qemu:///system",
            "qemu:/system",
            "qemu+unix:///system",
            "lxc:///",
            "qemu:///system?no_verify=1",
            "qemu+unix:///system?socket=/run/libvirt/virtqemud-sock",
            "qemu:///system?socket=/var/run/libvirt/libvirt-sock-ro",
        ] {
            assert!(is_here(uri), "{uri}");
        }
        for uri in [
            "qemu+ssh://root@host/system",
            "qemu+ssh:///system",
            "qemu+tls://host/system",
            "qemu://host/system",
            "qemu+tcp://127.0.0.1:16510/system",
            "qemu+unix:///system?socket=/tmp/other",
            "qemu:///system?socket=/run/libvirt/other/libvirt-sock",
            "nothing",
        ] {
            assert!(!is_here(uri), "{uri}");
        }
    }
}
