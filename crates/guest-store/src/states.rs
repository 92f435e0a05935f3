//! The states of leases, and of NICs without a lease. Only this file decides what is "attached", "left behind" or "expired".

use std::collections::{BTreeSet, HashMap, HashSet};

use guest_names::address::Mac;

use crate::contents::{BridgeIndex, Contents, Lease};

/// The state of a guest's address, or of a guest without one. Columns are sorted in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AddressState {
    /// It is current, and a running guest's NIC has it.
    Attached,
    /// It is current, but a destroyed guest left it behind: its host name doesn't resolve to it, since a running guest now has
    /// that name.
    LeftBehind,
    /// It is current, but no NIC that libvirt attached to the network has it. A guest was destroyed, or has a NIC on the bridge
    /// that libvirt doesn't list there (`<interface type='bridge'>`, LXC).
    NoGuest,
    /// It is unknown, since a state file of the bridge can't be read completely.
    Unclear,
    /// A running guest's NIC has no lease.
    NoLease,
    /// The bridge doesn't exist: the network was stopped.
    NoBridge,
    /// It is current, but names don't resolve to it: the guest's agent doesn't report the address, or another guest comes first.
    Denied,
    /// A running guest for which libvirt-nssd knows no address.
    NoAddress,
    /// The lease has ended.
    Expired,
}

impl AddressState {
    /// All states, in order.
    pub const ALL: [Self; 9] = [
        Self::Attached,
        Self::LeftBehind,
        Self::NoGuest,
        Self::Unclear,
        Self::NoLease,
        Self::NoBridge,
        Self::Denied,
        Self::NoAddress,
        Self::Expired,
    ];

    /// The state in words, for display.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Attached => "attached",
            Self::LeftBehind => "left behind",
            Self::NoGuest => "no guest",
            Self::Unclear => "unclear",
            Self::NoLease => "no lease",
            Self::NoBridge => "no bridge",
            Self::Denied => "denied",
            Self::NoAddress => "no address",
            Self::Expired => "expired",
        }
    }

    /// The state as one word, for programs. These words never change.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Attached => "attached",
            Self::LeftBehind => "left-behind",
            Self::NoGuest => "no-guest",
            Self::Unclear => "unclear",
            Self::NoLease => "no-lease",
            Self::NoBridge => "no-bridge",
            Self::Denied => "denied",
            Self::NoAddress => "no-address",
            Self::Expired => "expired",
        }
    }
}

/// The network interfaces that exist.
#[derive(Debug, Clone, Default)]
pub enum Interfaces {
    /// Not known: the state directory is another system's.
    #[default]
    Unknown,
    /// Their names.
    Known(HashSet<Vec<u8>>),
}

impl Interfaces {
    /// Lists `/sys/class/net`, or a directory that replaces it.
    #[must_use]
    pub fn read(directory: &std::path::Path) -> Self {
        use std::os::unix::ffi::OsStringExt as _;
        let Ok(entries) = std::fs::read_dir(directory) else { return Self::Unknown };
        Self::Known(entries.flatten().map(|entry| entry.file_name().into_vec()).collect())
    }

    /// Whether it is known that no interface has this name.
    #[must_use]
    pub fn lacks(&self, name: &[u8]) -> bool {
        matches!(self, Self::Known(names) if !names.contains(name))
    }
}

/// The states of everything in a state directory at one moment.
pub struct States<'c> {
    contents: &'c Contents,
    interfaces: &'c Interfaces,
    /// Seconds since the epoch.
    now: i64,
    /// Host names, in lower case, of running guests' current leases.
    attached_names: HashSet<Vec<u8>>,
    /// NICs with a lease: whether one is current, and which one ended last.
    leased: HashMap<(BridgeIndex, [u8; 6]), NicLeases>,
}

#[derive(Default)]
struct NicLeases {
    is_current: bool,
    /// The index and end of the lease that ended last.
    last: Option<(usize, i64)>,
}

impl<'c> States<'c> {
    /// `now`: seconds since the epoch.
    #[must_use]
    pub fn new(contents: &'c Contents, interfaces: &'c Interfaces, now: i64) -> Self {
        let mut states = Self {
            contents,
            interfaces,
            now,
            attached_names: HashSet::new(),
            leased: HashMap::new(),
        };
        for (at, lease) in contents.leases.iter().enumerate() {
            if contents.domain_of_lease(lease).is_none() {
                continue;
            }
            let is_current = !lease.has_expired(now);
            if is_current && !lease.host_name.is_empty() {
                let name = contents.text(lease.host_name).to_ascii_lowercase();
                states.attached_names.insert(name);
            }
            let Some(mac) = lease.mac else { continue };
            let nic = states.leased.entry((lease.bridge, mac.0)).or_default();
            nic.is_current |= is_current;
            if !is_current && nic.last.is_none_or(|(_, end)| lease.expiry >= end) {
                nic.last = Some((at, lease.expiry));
            }
        }
        states
    }

    /// The state of a lease.
    #[must_use]
    pub fn of_lease(&self, lease: &Lease) -> AddressState {
        let contents = self.contents;
        if lease.has_expired(self.now) {
            AddressState::Expired
        } else if self.has_no_bridge(lease.bridge) {
            AddressState::NoBridge
        } else if contents.domain_of_lease(lease).is_some() {
            AddressState::Attached
        } else if self.has_running_namesake(contents.text(lease.host_name)) {
            AddressState::LeftBehind
        } else if !contents.knows_all_nics(lease.bridge) {
            AddressState::Unclear
        } else {
            AddressState::NoGuest
        }
    }

    /// The state of a running guest's NIC without a current lease. `None` if it has one.
    #[must_use]
    pub fn of_nic(&self, bridge: BridgeIndex, mac: Mac) -> Option<AddressState> {
        let nic = self.leased.get(&(bridge, mac.0));
        if nic.is_some_and(|nic| nic.is_current) {
            None
        } else if !self.contents.knows_all_leases(bridge) {
            Some(AddressState::Unclear)
        } else if nic.is_some_and(|nic| nic.last.is_some()) {
            Some(AddressState::Expired)
        } else if self.has_no_bridge(bridge) {
            Some(AddressState::NoBridge)
        } else {
            Some(AddressState::NoLease)
        }
    }

    /// For each NIC whose state by [`of_nic`](Self::of_nic) is `Expired`, the lease that ended last. Indices into
    /// [`Contents::leases`].
    #[must_use]
    pub fn ended_last(&self) -> BTreeSet<usize> {
        let ended = self.leased.iter().filter(|((bridge, _), nic)| {
            !nic.is_current && self.contents.knows_all_leases(*bridge)
        });
        ended.filter_map(|(_, nic)| Some(nic.last?.0)).collect()
    }

    /// Whether it is known that the bridge doesn't exist.
    #[must_use]
    pub fn has_no_bridge(&self, bridge: BridgeIndex) -> bool {
        self.interfaces.lacks(self.contents.bridge(bridge).as_bytes())
    }

    /// Whether a running guest has a current lease with this host name.
    fn has_running_namesake(&self, name: &[u8]) -> bool {
        !name.is_empty() && self.attached_names.contains(&name.to_ascii_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use testkit::scratch::Scratch;

    const NOW: i64 = 1_700_000_000;

    fn lease(mac: u8, address: &str, name: &str, expiry: i64) -> String {
        format!(
            r#"{{"ip-address": "{address}", "mac-address": "52:54:00:00:00:{mac:02x}",
            "hostname": "{name}", "expiry-time": {expiry}}}"#
        )
    }

    /// The states, as words, of the leases, and of the NICs on virbr0 without a current lease.
    fn words(
        status: &str,
        macs: Option<&str>,
        interfaces: &Interfaces,
    ) -> (Vec<String>, Vec<String>) {
        let scratch = Scratch::new();
        fs::write(scratch.join("virbr0.status"), status).unwrap();
        if let Some(macs) = macs {
            fs::write(scratch.join("virbr0.macs"), macs).unwrap();
        }
        let contents = Contents::read(&scratch.join("")).unwrap();
        let states = States::new(&contents, interfaces, NOW);
        let leases = contents.leases.iter().map(|lease| states.of_lease(lease).word().to_owned());
        let nics = contents.nics().filter_map(|(domain, mac)| states.of_nic(domain.bridge, mac));
        (leases.collect(), nics.map(|state| state.word().to_owned()).collect())
    }

    const MACS: &str = r#"[{"domain": "web-vm", "macs": ["52:54:00:00:00:01", "52:54:00:00:00:05"]},
        {"domain": "late-vm", "macs": ["52:54:00:00:00:03"]}]"#;

    #[test]
    fn each_state() {
        let status = format!(
            "[{},{},{},{},{}]",
            lease(1, "10.0.0.1", "web", NOW),
            lease(2, "10.0.0.2", "WEB", 0),
            lease(6, "10.0.0.6", "lone", NOW + 5),
            lease(3, "10.0.0.3", "late", NOW - 1),
            r#"{"ip-address": "10.0.0.9"}"#,
        );
        let unknown = Interfaces::Unknown;
        let (leases, nics) = words(&status, Some(MACS), &unknown);
        assert_eq!(leases, ["attached", "left-behind", "no-guest", "expired", "no-guest"]);
        assert_eq!(nics, ["no-lease", "expired"]);
        let (leases, _) = words(&status, None, &unknown);
        assert_eq!(leases, ["unclear", "unclear", "unclear", "expired", "unclear"]);
        // Records read from a damaged map count. Any other MAC may be in the part that wasn't read.
        let (leases, _) = words(&status, Some(&MACS.replace("late-vm\",", "late-vm\"")), &unknown);
        assert_eq!(leases, ["attached", "left-behind", "unclear", "expired", "unclear"]);
        let (_, nics) = words(&status.replace("\"10.0.0.3\"", "5"), Some(MACS), &unknown);
        assert_eq!(nics, ["unclear", "unclear"]);
    }

    #[test]
    fn a_stopped_network() {
        let status = format!("[{}]", lease(1, "10.0.0.1", "web", 0));
        let known = |name: &str| Interfaces::Known([name.as_bytes().to_vec()].into());
        let (leases, nics) = words(&status, Some(MACS), &known("virbr1"));
        assert_eq!((leases, nics), (vec!["no-bridge".into()], vec!["no-bridge".into(); 2]));
        // For a NIC that had a lease, "expired" says more.
        let ended = status.replace(": 0", ": 5");
        let (leases, nics) = words(&ended, Some(MACS), &known("virbr1"));
        assert_eq!(
            (leases, nics.as_slice()),
            (
                vec!["expired".into()],
                &["expired".into(), "no-bridge".into(), "no-bridge".into()][..]
            )
        );
        let (leases, _) = words(&status, Some(MACS), &known("virbr0"));
        assert_eq!(leases, ["attached"]);
    }
}
