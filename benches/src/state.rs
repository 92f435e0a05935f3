//! Generated state directories, laid out as libvirt's helper and libvirtd write them.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{Context, Result};
use crate::sandbox::STATE_DIRECTORY;

/// The size of a state directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scene {
    /// The leases of all networks together. Every second guest has two, IPv4 and IPv6; the others have one.
    pub(crate) leases: usize,
    pub(crate) networks: usize,
}

impl Scene {
    pub(crate) const ALL: [Self; 6] = [
        Self { leases: 5, networks: 1 },
        Self { leases: 250, networks: 1 },
        Self { leases: 250, networks: 5 },
        Self { leases: 2500, networks: 10 },
        Self { leases: 10_000, networks: 40 },
        Self { leases: 50_000, networks: 40 },
    ];

    pub(crate) const SMALLEST: Self = Self::ALL[0];
    pub(crate) const USUAL: Self = Self::ALL[1];
    /// The usual number, in more files.
    pub(crate) const SPREAD: Self = Self::ALL[2];
    pub(crate) const MANY: Self = Self::ALL[3];
    pub(crate) const LARGEST: Self = Self::ALL[5];

    /// Its label in a table.
    pub(crate) fn label(&self) -> String {
        let networks = if self.networks == 1 { "1 network" } else { "networks" };
        match self.networks {
            1 => format!("{} in {networks}", thousands(self.leases)),
            count => format!("{} in {count} {networks}", thousands(self.leases)),
        }
    }
}

/// Formats a number with a comma before every three digits.
pub(crate) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A running guest with one NIC.
#[derive(Clone, Debug)]
pub(crate) struct Guest {
    /// Its host name.
    pub(crate) host: String,
    /// The name of its libvirt domain.
    pub(crate) domain: String,
    pub(crate) bridge: String,
    mac: String,
    pub(crate) v4: Ipv4Addr,
    pub(crate) v6: Option<Ipv6Addr>,
}

/// The guests to look up: those in the middle of the middle network.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// With only an IPv4 address.
    pub(crate) single: Guest,
    /// With both.
    pub(crate) dual: Guest,
}

/// A name that no guest has, like most names that a host looks up.
pub(crate) const UNKNOWN_NAME: &str = "www.example.org";
/// An address that no guest has (RFC 5737).
pub(crate) const UNKNOWN_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 17);

impl Guest {
    fn new(network: usize, number: usize, has_v6: bool) -> Self {
        let (high, low) = (number / 250, number % 250 + 2);
        let host = (low + high * 256) as u16;
        let (network_octet, high) = (network as u8, high as u8);
        Self {
            host: format!("node-{network:02}{number:04}"),
            domain: format!("vm-{network:02}{number:04}"),
            bridge: format!("virbr{network}"),
            mac: format!("52:54:00:{network_octet:02x}:{:02x}:{:02x}", host >> 8, host & 0xff),
            v4: Ipv4Addr::new(10, 100 + network_octet, high, low as u8),
            v6: has_v6.then(|| Ipv6Addr::new(0xfd00, network as u16, 0, 0, 0, 0, 1, host)),
        }
    }

    /// Its records in the bridge's `.status` file.
    fn leases(&self, expiry: u64, into: &mut Vec<String>) {
        let Self { host, mac, v4, .. } = self;
        let duid = format!("00:01:00:01:2c:4e:91:a7:{mac}");
        into.push(format!(
            "  {{\n    \"ip-address\": \"{v4}\",\n    \"mac-address\": \"{mac}\",\n    \
             \"hostname\": \"{host}\",\n    \"client-id\": \"ff:{}:{duid}\",\n    \
             \"expiry-time\": {expiry}\n  }}",
            &mac[6..]
        ));
        if let Some(v6) = self.v6 {
            into.push(format!(
                "  {{\n    \"iaid\": \"{}\",\n    \"ip-address\": \"{v6}\",\n    \
                 \"mac-address\": \"{mac}\",\n    \"hostname\": \"{host}\",\n    \
                 \"client-id\": \"{duid}\",\n    \
                 \"server-duid\": \"00:01:00:01:2c:4e:8f:03:52:54:00:4a:11:c3\",\n    \
                 \"expiry-time\": {expiry}\n  }}",
                u32::from(*v4) & 0x00ff_ffff
            ));
        }
    }

    /// Its record in the bridge's `.macs` file.
    fn mac_map(&self) -> String {
        let Self { domain, mac, .. } = self;
        format!(
            "  {{\n    \"domain\": \"{domain}\",\n    \"macs\": [\n      \"{mac}\"\n    ]\n  }}"
        )
    }
}

/// Guests with this many leases among them.
fn guests(network: usize, leases: usize) -> Vec<Guest> {
    let (mut guests, mut count) = (Vec::new(), 0);
    while count < leases {
        let has_v6 = guests.len() % 2 == 1 && count + 2 <= leases;
        count += if has_v6 { 2 } else { 1 };
        guests.push(Guest::new(network, guests.len(), has_v6));
    }
    guests
}

fn array(records: &[String]) -> String {
    format!("[\n{}\n]\n", records.join(",\n"))
}

impl Scene {
    /// Replaces the contents of the state directory.
    pub(crate) fn set(&self) -> Result<Asked> {
        self.write(Path::new(STATE_DIRECTORY))
    }

    fn write(&self, directory: &Path) -> Result<Asked> {
        for entry in fs::read_dir(directory).context(directory.display())? {
            let path = entry.context(directory.display())?.path();
            fs::remove_file(&path).context(path.display())?;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock")?.as_secs();
        let mut asked = None;
        for network in 0..self.networks {
            let guests = guests(network, self.leases / self.networks);
            let mut leases = Vec::new();
            for (at, guest) in guests.iter().enumerate() {
                // No lease ends during the measurement.
                guest.leases(now + 86_400 + (at * 7 % 1800) as u64, &mut leases);
            }
            let maps: Vec<String> = guests.iter().map(Guest::mac_map).collect();
            let mut name = String::new();
            for (suffix, contents) in [(".status", array(&leases)), (".macs", array(&maps))] {
                name.clear();
                write!(name, "virbr{network}{suffix}").context("a file's name")?;
                let path = directory.join(&name);
                fs::write(&path, contents).context(path.display())?;
            }
            // The other files of each network, which no module reads.
            for suffix in ["conf", "hostsfile", "addnhosts"] {
                let path = directory.join(format!("network{network}.{suffix}"));
                fs::write(&path, "").context(path.display())?;
            }
            if network == self.networks / 2 {
                let middle = guests.len() / 2;
                let near = |has_v6: bool| {
                    let (_, behind) = guests.split_at(middle.saturating_sub(1));
                    behind.iter().find(|guest| guest.v6.is_some() == has_v6).cloned()
                };
                asked = near(false).zip(near(true));
            }
        }
        let (single, dual) = asked.ok_or("too few guests").context(self.label())?;
        Ok(Asked { single, dual })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_leases_as_the_scene_says() {
        for scene in Scene::ALL {
            let each = guests(3, scene.leases / scene.networks);
            let leases: usize = each.iter().map(|guest| 1 + usize::from(guest.v6.is_some())).sum();
            assert_eq!(leases * scene.networks, scene.leases);
            let mut macs: Vec<&String> = each.iter().map(|guest| &guest.mac).collect();
            macs.sort();
            macs.dedup();
            assert_eq!(macs.len(), each.len());
        }
    }

    #[test]
    fn labels() {
        assert_eq!(Scene::LARGEST.label(), "50,000 in 40 networks");
        assert_eq!(Scene::SMALLEST.label(), "5 in 1 network");
        assert_eq!(thousands(1_234_567), "1,234,567");
    }
}
