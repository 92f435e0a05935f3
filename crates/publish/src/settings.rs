//! The table `[publish]` of the configuration. libvirt-nssd doesn't read it.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use guest_names::name::is_host_name;
use guest_store::config_file::{self, Error, Invalid};
use serde::Deserialize;
use toml::Spanned;

use crate::record::{can_be_owned, canonical};

/// The port of DNS.
const PORT: u16 = 53;

/// The default TTL in seconds.
const TTL: u32 = 60;
const TTL_RANGE: RangeInclusive<i64> = 1..=86_400;
const RETRY: u64 = 60;
const RETRY_RANGE: RangeInclusive<i64> = 1..=86_400;

/// The publisher's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The zones' primary server: a host name or an address.
    pub server: String,
    /// Its port.
    pub port: u16,
    /// The forward zone, canonical.
    pub zone: String,
    /// The reverse zones, canonical.
    pub reverse_zones: Vec<String>,
    /// How messages are signed.
    pub signing: Signing,
    /// The libvirt networks or bridges whose addresses are published; `None`: those that others can reach.
    pub networks: Option<Vec<String>>,
    /// The connections whose guests are published; `None`: those to this host.
    pub connections: Option<Vec<String>>,
    /// Whether host names, which guests choose, are published, too.
    pub host_names: bool,
    /// The records' TTL in seconds.
    pub ttl: u32,
    /// This host's name in ownership records; `None`: its node name.
    pub host: Option<String>,
    /// The longest time between two attempts.
    pub retry: Duration,
}

/// How messages are signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signing {
    /// With the key that the service gets from systemd.
    Credential,
    /// With the key in this file.
    Key(PathBuf),
    /// With Kerberos.
    Gss,
}

/// The table's keys.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a table [publish]")]
struct PublishKeys {
    server: Spanned<String>,
    port: Option<Spanned<i64>>,
    zone: Spanned<String>,
    reverse_zones: Option<Vec<Spanned<String>>>,
    key: Option<Spanned<PathBuf>>,
    gss: Option<bool>,
    networks: Option<Vec<String>>,
    connections: Option<Vec<String>>,
    host_names: Option<bool>,
    ttl: Option<Spanned<i64>>,
    host: Option<Spanned<String>>,
    retry: Option<Spanned<i64>>,
}

impl PublishKeys {
    /// Checks what the types don't. An error says what is wrong, and what is expected.
    fn check(self) -> Result<Settings, Invalid> {
        let server = self.server.get_ref();
        if server.parse::<IpAddr>().is_err() && !is_host_name(server.as_bytes()) {
            let text =
                "is not a host name or an address, expected one such as \"ns1.site.example\"";
            return Err(quoted(&self.server, text));
        }
        let reverse_zones = self.reverse_zones.unwrap_or_default();
        let signing = match (self.key, self.gss.unwrap_or(false)) {
            (None, false) => Signing::Credential,
            (None, true) => Signing::Gss,
            (Some(key), true) => {
                let text = "can't be combined with 'gss = true', expected only one of them";
                return Err((key.span(), text.into()));
            }
            (Some(key), false) if !key.get_ref().is_absolute() => {
                let text = "is not an absolute path, expected one such as \"/etc/libvirt-nss-publish.key\"";
                let shown = key.get_ref().display();
                return Err((key.span(), format!("\"{shown}\" {text}")));
            }
            (Some(key), false) => Signing::Key(key.into_inner()),
        };
        let host = self.host.map(host).transpose()?;
        let port = number(self.port.as_ref(), PORT.into(), &(1..=i64::from(u16::MAX)), "")?;
        Ok(Settings {
            server: self.server.get_ref().clone(),
            port: u16::try_from(port).unwrap_or(PORT),
            zone: zone(&self.zone)?,
            reverse_zones: reverse_zones.iter().map(reverse_zone).collect::<Result<_, _>>()?,
            signing,
            networks: self.networks,
            connections: self.connections,
            host_names: self.host_names.unwrap_or(false),
            ttl: number(self.ttl.as_ref(), TTL.into(), &TTL_RANGE, " of seconds")? as u32,
            host,
            retry: Duration::from_secs(number(
                self.retry.as_ref(),
                RETRY as i64,
                &RETRY_RANGE,
                " of seconds",
            )? as u64),
        })
    }
}

fn quoted(given: &Spanned<String>, text: &str) -> Invalid {
    (given.span(), format!("\"{}\" {text}", given.get_ref().escape_debug()))
}

fn zone(given: &Spanned<String>) -> Result<String, Invalid> {
    let zone = canonical(given.get_ref());
    if is_host_name(zone.as_bytes()) && can_be_owned(&zone) {
        return Ok(zone);
    }
    Err(quoted(given, "is not a domain name, expected one such as \"site.example\""))
}

fn reverse_zone(given: &Spanned<String>) -> Result<String, Invalid> {
    let zone = canonical(given.get_ref());
    let in_arpa = [".in-addr.arpa", ".ip6.arpa"].iter().any(|end| zone.ends_with(end));
    if in_arpa && is_host_name(zone.as_bytes()) && can_be_owned(&zone) {
        return Ok(zone);
    }
    let text = "is not a reverse zone, expected one such as \"2.0.192.in-addr.arpa\" or \
                \"8.b.d.0.1.0.0.2.ip6.arpa\"";
    Err(quoted(given, text))
}

fn host(given: Spanned<String>) -> Result<String, Invalid> {
    let host = canonical(given.get_ref());
    if is_publisher_name(&host) {
        return Ok(host);
    }
    Err(quoted(&given, "is not a unique host name, expected one such as \"rack1\""))
}

/// Whether the name can identify a host: it is a valid host name, and not `localhost`.
#[must_use]
pub fn is_publisher_name(name: &str) -> bool {
    is_host_name(name.as_bytes()) && name != "localhost" && !name.starts_with("localhost.")
}

fn number(
    given: Option<&Spanned<i64>>,
    default: i64,
    range: &RangeInclusive<i64>,
    of: &str,
) -> Result<i64, Invalid> {
    let Some(given) = given else { return Ok(default) };
    let number = *given.get_ref();
    if range.contains(&number) {
        return Ok(number);
    }
    let (least, most) = (range.start(), range.end());
    let text = format!("{number} is out of range, expected a number{of} from {least} to {most}");
    Err((given.span(), text))
}

/// Reads the table from the configuration at `path` or, by default, at [`config_file::PATH`]. `None` if there is no such
/// table.
///
/// # Errors
/// See [`Error`].
pub fn read(path: Option<&Path>) -> Result<Option<Settings>, Error> {
    let place = path.unwrap_or(Path::new(config_file::PATH));
    match config_file::read(path)? {
        Some(text) => parse(place, &text),
        None => Ok(None),
    }
}

fn parse(path: &Path, text: &str) -> Result<Option<Settings>, Error> {
    /// libvirt-nssd reads the other tables.
    #[derive(Deserialize)]
    struct File {
        publish: Option<PublishKeys>,
    }
    let file = toml::from_str::<File>(text)
        .map_err(|error| (error.span().unwrap_or(0..0), error.message().to_owned()));
    let settings = file.and_then(|file| file.publish.map(PublishKeys::check).transpose());
    settings.map_err(|wrong| Error::at(path, text, wrong))
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::configuration;

    fn parsed(text: &str) -> Result<Option<Settings>, String> {
        parse(Path::new("f.toml"), text).map_err(|error| error.to_string())
    }

    const LEAST: &str = "[publish]\nserver = \"ns1\"\nzone = \"site.example\"\n";

    #[test]
    fn minimal_and_complete_tables() {
        assert_eq!(parsed("hold = 9\n[[connection]]\nname = \"a\""), Ok(None));
        let least = Settings {
            server: "ns1".into(),
            port: 53,
            zone: "site.example".into(),
            reverse_zones: Vec::new(),
            signing: Signing::Credential,
            networks: None,
            connections: None,
            host_names: false,
            ttl: 60,
            host: None,
            retry: Duration::from_secs(60),
        };
        assert_eq!(parsed(LEAST), Ok(Some(least)));
        let most = "[publish]\nserver = \"192.0.2.1\"\nport = 5353\nzone = \"VM.Site.Example.\"\n\
                    reverse-zones = [\"2.0.192.in-addr.arpa\", \"8.b.d.0.1.0.0.2.IP6.ARPA.\"]\nkey = \"/k\"\n\
                    networks = [\"default\"]\nconnections = [\"rack1\"]\nhost-names = true\nttl = 5\n\
                    host = \"Alpha\"\nretry = 2\n";
        let expected = Settings {
            server: "192.0.2.1".into(),
            port: 5353,
            zone: "vm.site.example".into(),
            reverse_zones: vec!["2.0.192.in-addr.arpa".into(), "8.b.d.0.1.0.0.2.ip6.arpa".into()],
            signing: Signing::Key("/k".into()),
            networks: Some(vec!["default".into()]),
            connections: Some(vec!["rack1".into()]),
            host_names: true,
            ttl: 5,
            host: Some("alpha".into()),
            retry: Duration::from_secs(2),
        };
        assert_eq!(parsed(most), Ok(Some(expected)));
        let gss = parsed(&format!("{LEAST}gss = true")).unwrap().unwrap();
        assert_eq!(gss.signing, Signing::Gss);
    }

    #[test]
    fn invalid_tables() {
        let more = |line: &str| format!("{LEAST}{line}");
        let cases = [
            (
                "[publish]\nzone = \"site.example\"".to_owned(),
                "f.toml:1: publish: missing field 'server'",
            ),
            (
                "[publish]\nserver = \"a b\"\nzone = \"site.example\"".into(),
                "f.toml:2: server: \"a b\" is not a host name or an address, expected one such as \"ns1.site.example\"",
            ),
            (
                "[publish]\nserver = \"a\"\nzone = \"site example\"".into(),
                "f.toml:3: zone: \"site example\" is not a domain name, expected one such as \"site.example\"",
            ),
            (
                more("reverse-zones = [\"192.0.2.0/24\"]"),
                "f.toml:4: reverse-zones: \"192.0.2.0/24\" is not a reverse zone, expected one such as \
                 \"2.0.192.in-addr.arpa\" or \"8.b.d.0.1.0.0.2.ip6.arpa\"",
            ),
            (
                more("port = 0"),
                "f.toml:4: port: 0 is out of range, expected a number from 1 to 65535",
            ),
            (
                more("ttl = 0"),
                "f.toml:4: ttl: 0 is out of range, expected a number of seconds from 1 to 86400",
            ),
            (
                more("key = \"key\""),
                "f.toml:4: key: \"key\" is not an absolute path, expected one such as \
                 \"/etc/libvirt-nss-publish.key\"",
            ),
            (
                more("gss = true\nkey = \"/k\""),
                "f.toml:5: key: can't be combined with 'gss = true', expected only one of them",
            ),
            (
                more("host = \"localhost\""),
                "f.toml:4: host: \"localhost\" is not a unique host name, expected one such as \"rack1\"",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(parsed(&text).unwrap_err(), expected, "{text}");
        }
        let unknown = parsed(&more("sever = 1")).unwrap_err();
        assert!(
            unknown.starts_with("f.toml:4: sever: unknown field 'sever', expected one of 'server'")
        );
    }

    /// The commented file has every key, and so does the manual page.
    #[test]
    fn what_is_documented() {
        let (bare, page) = (configuration::with_every_key(), configuration::manual_page());
        let settings = parsed(&bare);
        assert!(matches!(settings, Ok(Some(_))), "{settings:?}");
        let error = parsed("[publish]\nx = 1").unwrap_err();
        for key in configuration::expected_keys(&error) {
            assert!(bare.contains(key), "{key} isn't in the commented file");
            assert!(page.contains(&format!("BI {key} ")), "{key} isn't in the page");
        }
    }
}
