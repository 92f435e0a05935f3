//! The table `[outlets]`.

use serde::Deserialize;

/// Which files for DNS servers are written beside the snapshot; none by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case", expecting = "a table [outlets]")]
pub struct Outlets {
    /// The hosts(5) files, for dnsmasq.
    pub hosts: bool,
    /// Whether these files include single-label names.
    pub bare_names: bool,
    /// The records for systemd-resolved.
    pub records: bool,
}

impl Outlets {
    /// Whether any file is written.
    #[must_use]
    pub fn any(self) -> bool {
        self.hosts || self.records
    }
}
