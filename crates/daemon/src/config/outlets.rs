//! The table `[outlets]`.

use serde::Deserialize;

/// Which files for programs that serve DNS are written beside the snapshot. None is, unless it says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case", expecting = "a table [outlets]")]
pub struct Outlets {
    /// The file of hosts(5), for dnsmasq.
    pub hosts: bool,
    /// Names of one label in that file too.
    pub bare_names: bool,
    /// The records for systemd-resolved.
    pub records: bool,
}

impl Outlets {
    /// Whether any is written.
    #[must_use]
    pub fn any(self) -> bool {
        self.hosts || self.records
    }
}
