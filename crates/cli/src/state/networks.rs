//! Which libvirt network a bridge belongs to.
//!
//! The state files are named after the bridge and don't contain the network. It is known from:
//! - `NETWORK.conf`, dnsmasq's configuration, which is certain but readable for root alone;
//! - `NETWORK.hostsfile`, the network's reservations, which everyone can read: a bridge with a reserved MAC or address
//!   is the network's;
//! - exclusion: if one bridge and one network are left, they belong together.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use guest_store::contents::{BridgeIndex, Contents};

use super::{MacAddress, address, lossy};

/// A libvirt network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Network {
    pub(crate) name: String,
    /// Its DNS domain, if it has one that can be read.
    pub(crate) domain: Option<String>,
}

/// The networks by bridge.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Networks(BTreeMap<String, Network>);

/// What the files of one network contain.
struct Candidate {
    network: Network,
    bridge: Option<String>,
    /// First words and addresses of its reservations.
    reserved: BTreeSet<String>,
}

impl Networks {
    /// Reads what can be read beside the state files.
    pub(crate) fn read(contents: &Contents) -> Self {
        let mut candidates: BTreeMap<String, Candidate> = BTreeMap::new();
        for file_name in &contents.names {
            let Some((name, suffix)) = network_and_suffix(file_name.as_bytes()) else { continue };
            let candidate = candidates.entry(name.clone()).or_insert_with(|| Candidate {
                network: Network { name, domain: None },
                bridge: None,
                reserved: BTreeSet::new(),
            });
            // Only root may read the configuration; for others it might as well be missing.
            let bytes = fs::read(contents.directory.join(file_name)).unwrap_or_default();
            match suffix {
                ".conf" => read_configuration(&lossy(&bytes), candidate),
                ".hostsfile" => read_reservations(&lossy(&bytes), candidate),
                _ => {}
            }
        }
        Self::sort_out(contents, candidates.into_values().collect())
    }

    fn sort_out(contents: &Contents, mut candidates: Vec<Candidate>) -> Self {
        let mut networks = Self::default();
        let mut bridges: BTreeMap<BridgeIndex, String> =
            contents.bridges().map(|bridge| (bridge, contents.bridge_name(bridge))).collect();
        candidates.retain(|candidate| match &candidate.bridge {
            Some(bridge) => {
                bridges.retain(|_, name| name != bridge);
                networks.0.insert(bridge.clone(), candidate.network.clone());
                false
            }
            None => true,
        });
        // On which bridges each network's reservations appear.
        let mut met = vec![BTreeSet::new(); candidates.len()];
        let mut reserving: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (at, candidate) in candidates.iter().enumerate() {
            for reserved in &candidate.reserved {
                reserving.entry(reserved).or_default().push(at);
            }
        }
        if !reserving.is_empty() {
            let mut meet = |bridge: BridgeIndex, what: String| {
                let holders = reserving.get(what.as_str()).into_iter().flatten();
                holders.filter(|_| bridges.contains_key(&bridge)).for_each(|&at| {
                    met[at].insert(bridge);
                });
            };
            for (domain, mac) in contents.nics() {
                meet(domain.bridge, MacAddress::from(mac).to_string());
            }
            for lease in &contents.leases {
                meet(lease.bridge, address::to_std(lease.address).to_string());
                if let Some(mac) = lease.mac {
                    meet(lease.bridge, MacAddress::from(mac).to_string());
                }
            }
        }
        let mut left = Vec::new();
        for (candidate, met) in candidates.into_iter().zip(met) {
            // A network's reservations on two bridges prove nothing.
            let only = met.first().filter(|_| met.len() == 1);
            match only.and_then(|bridge| bridges.remove(bridge)) {
                Some(bridge) => drop(networks.0.insert(bridge, candidate.network)),
                None => left.push(candidate),
            }
        }
        if let ([candidate], [bridge]) =
            (left.as_slice(), bridges.into_values().collect::<Vec<_>>().as_slice())
        {
            networks.0.insert(bridge.clone(), candidate.network.clone());
        }
        networks
    }

    /// The bridge's network, if it is known.
    pub(crate) fn of(&self, bridge: &str) -> Option<&Network> {
        self.0.get(bridge)
    }
}

fn network_and_suffix(file_name: &[u8]) -> Option<(String, &'static str)> {
    [".conf", ".hostsfile", ".addnhosts"].into_iter().find_map(|suffix| {
        let stem = file_name.strip_suffix(suffix.as_bytes())?;
        (!stem.is_empty()).then(|| (lossy(stem), suffix))
    })
}

/// dnsmasq(8): `option=value` lines, as libvirt writes them.
fn read_configuration(text: &str, candidate: &mut Candidate) {
    for line in text.lines() {
        match line.split_once('=') {
            Some(("interface", bridge)) => candidate.bridge = Some(bridge.trim().to_owned()),
            Some(("domain", domain)) => {
                let domain = domain.split(',').next().unwrap_or(domain).trim();
                candidate.network.domain = Some(domain.to_owned());
            }
            _ => {}
        }
    }
}

/// dnsmasq(8), `--dhcp-hostsfile`: fields with commas between them, one of them a MAC or an address.
fn read_reservations(text: &str, candidate: &mut Candidate) {
    for field in text.lines().flat_map(|line| line.split(',')) {
        let field = field.trim().trim_matches(['[', ']']);
        if field.contains([':', '.']) {
            candidate.reserved.insert(field.to_ascii_lowercase());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::scratch::Scratch;

    fn networks(directory: &Scratch) -> Networks {
        Networks::read(&Contents::read(directory.path()).unwrap())
    }

    fn name<'n>(networks: &'n Networks, bridge: &str) -> Option<&'n str> {
        networks.of(bridge).map(|network| network.name.as_str())
    }

    #[test]
    fn by_configuration() {
        let directory = Scratch::new();
        directory.write("virbr7.macs", "[\n\n]\n");
        directory.write("virbr8.macs", "[\n\n]\n");
        directory.write(
            "lab.conf",
            "##WARNING\nstrict-order\ndomain=lab.example,192.168.7.0/24\nexcept-interface=lo\ninterface=virbr7\n",
        );
        directory.write("other.conf", "interface=virbr8\n");
        let networks = networks(&directory);
        let lab = networks.of("virbr7").unwrap();
        assert_eq!((lab.name.as_str(), lab.domain.as_deref()), ("lab", Some("lab.example")));
        assert_eq!(networks.of("virbr8").unwrap().domain, None);
        assert_eq!(networks.of("virbr9"), None);
    }

    #[test]
    fn by_reservations() {
        let directory = Scratch::new();
        for bridge in ["virbr0", "virbr1", "virbr2", "virbr3"] {
            directory.write(format!("{bridge}.status"), "");
        }
        directory.write("virbr1.macs", r#"[{"domain": "web", "macs": ["52:54:00:00:00:01"]}]"#);
        directory.write("virbr2.status", r#"[{"ip-address": "fd00::5"}]"#);
        directory.write("lab.hostsfile", "52:54:00:00:00:01,10.0.0.2,web\n");
        directory.write("six.hostsfile", "id:00:03,six,[fd00::5]\n");
        directory.write("default.addnhosts", "");
        directory.write("more.addnhosts", "");
        let networks = networks(&directory);
        assert_eq!(name(&networks, "virbr1"), Some("lab"));
        assert_eq!(name(&networks, "virbr2"), Some("six"));
        // Two networks are left for two bridges.
        assert_eq!(name(&networks, "virbr0"), None);
        assert_eq!(name(&networks, "virbr3"), None);
    }

    #[test]
    fn the_last_one_left() {
        let directory = Scratch::new();
        directory.write("virbr0.status", "");
        directory.write("virbr0.macs", "[\n\n]\n");
        directory.write("default.addnhosts", "");
        directory.write("default.hostsfile", "");
        assert_eq!(name(&networks(&directory), "virbr0"), Some("default"));
        directory.write("old.status", "");
        assert_eq!(name(&networks(&directory), "virbr0"), None);
    }

    #[test]
    fn a_reservation_on_two_bridges_proves_nothing() {
        let directory = Scratch::new();
        for bridge in ["virbr0", "virbr1"] {
            let macs = r#"[{"domain": "web", "macs": ["52:54:00:00:00:01"]}]"#;
            directory.write(format!("{bridge}.macs"), macs);
        }
        directory.write("lab.hostsfile", "52:54:00:00:00:01,10.0.0.2,web\n");
        assert_eq!(networks(&directory), Networks::default());
    }
}
