//! libvirt-nss-dns.service: where it listens, and the dnsmasq that it runs.

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::process::{Command, Stdio};

use super::SERVER;
use crate::error::Error;
use crate::paths::Paths;

/// Its configuration, in dnsmasq's format (dnsmasq(8)).
pub(crate) const CONFIGURATION: &str = "/etc/libvirt-nss-dns.conf";

/// Where it listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) address: IpAddr,
    pub(crate) port: u16,
}

impl Address {
    /// In systemd-resolved's format.
    pub(crate) fn of_systemd(self) -> String {
        match (self.address, self.port) {
            (address, 53) => address.to_string(),
            (IpAddr::V6(address), port) => format!("[{address}]:{port}"),
            (address, port) => format!("{address}:{port}"),
        }
    }
}

/// In dnsmasq's format; unbound has an @ in place of the #.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.address, self.port)
    }
}

/// Reads where it listens. If there are several addresses, the first on the loopback interface, else the first.
///
/// # Errors
/// The file can't be read, or names no address.
pub(crate) fn read(paths: &Paths) -> Result<Address, Error> {
    let path = paths.below(CONFIGURATION);
    let next = "it comes with the package of libvirt-nssd";
    let text = fs::read_to_string(&path).map_err(Error::file("read", &path, next))?;
    parse(&text).map_err(|why| {
        let next = "see dnsmasq(8), --listen-address and --port";
        Error::file("use", &path, next)(io::Error::other(why))
    })
}

/// The first version of dnsmasq that was tried. Before 2.88 it goes on answering for names that have been removed from its files.
const DNSMASQ: (u32, u32) = (2, 90);

/// Checks that there is a dnsmasq that the service can run.
///
/// # Errors
/// There is none, or it is too old.
pub(crate) fn check_program() -> Result<(), Error> {
    // Where the service manager finds it, too: a user's PATH may not have these.
    let path = env::var_os("PATH").unwrap_or_default();
    let path = [path, "/usr/local/sbin:/usr/sbin:/sbin".into()].join(OsStr::new(":"));
    let output =
        Command::new("dnsmasq").arg("--version").env("PATH", path).stdin(Stdio::null()).output();
    let (major, minor) = DNSMASQ;
    let why = match output {
        Err(error) if error.kind() != io::ErrorKind::NotFound => error.to_string(),
        Err(_) => "it isn't installed".into(),
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            match version(&text) {
                Some(version) if version >= DNSMASQ => return Ok(()),
                Some((major, minor)) => format!("this is {major}.{minor}"),
                None => "'dnsmasq --version' doesn't print its version".into(),
            }
        }
    };
    Err(Error::Refused(format!(
        "{SERVER} needs dnsmasq {major}.{minor} or newer ({why}): install it, and run this again"
    )))
}

/// The version in "Dnsmasq version 2.90  Copyright (c) 2000-2024 Simon Kelley".
fn version(text: &str) -> Option<(u32, u32)> {
    let (major, rest) = text.strip_prefix("Dnsmasq version ")?.split_once('.')?;
    let minor = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn parse(text: &str) -> Result<Address, String> {
    let (mut addresses, mut port) = (Vec::new(), 53);
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let Some((key, value)) = line.split_once('=') else { continue };
        match key.trim() {
            "listen-address" => {
                for one in value.split(',') {
                    let address: Result<IpAddr, _> = one.trim().parse();
                    addresses
                        .push(address.map_err(|_| format!("'{}' is not an address", one.trim()))?);
                }
            }
            "port" => {
                let parsed = value.trim().parse().ok().filter(|&port: &u16| port != 0);
                port = parsed.ok_or_else(|| format!("'{}' is not a port", value.trim()))?;
            }
            _ => {}
        }
    }
    let loopback = addresses.iter().find(|address| address.is_loopback());
    let address = loopback.or(addresses.first()).ok_or("it has no listen-address")?;
    Ok(Address { address: *address, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_dnsmasq() {
        let line = |version: &str| format!("Dnsmasq version {version}  Copyright (c) 2000\n");
        assert_eq!(version(&line("2.90")), Some((2, 90)));
        assert_eq!(version(&line("2.93rc1")), Some((2, 93)));
        assert_eq!(version(&line("3.1-7-gabc")), Some((3, 1)));
        for other in [&line("UNKNOWN"), "", "busybox"] {
            assert_eq!(version(other), None, "{other}");
        }
    }

    #[test]
    fn where_it_listens() {
        let parsed = |text: &str| parse(text).map(|address| address.to_string());
        assert_eq!(parsed("listen-address=127.0.0.153\nport=53\n").unwrap(), "127.0.0.153#53");
        let text =
            "# listen-address=1.2.3.4\nlisten-address = 10.0.0.1, 127.0.0.2 # ours\nport=5354";
        assert_eq!(parsed(text).unwrap(), "127.0.0.2#5354");
        assert_eq!(parsed("listen-address=10.0.0.1").unwrap(), "10.0.0.1#53");
        for bad in ["", "port=53", "listen-address=web", "listen-address=::1\nport=0"] {
            assert!(parsed(bad).is_err(), "{bad}");
        }
        let six = Address { address: "::1".parse().unwrap(), port: 5354 };
        assert_eq!(six.of_systemd(), "[::1]:5354");
        assert_eq!(Address { port: 53, ..six }.of_systemd(), "::1");
    }
}
