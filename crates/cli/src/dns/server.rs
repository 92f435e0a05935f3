//! Where libvirt-nss-dns.service listens.

use std::fmt;
use std::fs;
use std::io;
use std::net::IpAddr;

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
