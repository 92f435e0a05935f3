//! Checks the leases helper that dnsmasq runs.

use std::fs;
use std::path::PathBuf;

use super::{Finding, Level, System};

const CHECK: &str = "leases-helper";

/// Only our helper contains this.
const MARK: &[u8] = b"(libvirt-nss)";

pub(super) fn check(system: &System<'_>) -> Vec<Finding> {
    let found: Vec<PathBuf> =
        system.paths.leases_helpers().into_iter().filter(|path| path.is_file()).collect();
    if found.is_empty() {
        let text =
            "there is no libvirt_leaseshelper, so libvirt hands out no addresses on this host";
        return vec![Finding::new(CHECK, Level::Note, text)];
    }
    found
        .into_iter()
        .map(|path| {
            let shown = path.display();
            match fs::read(&path) {
                Err(error) => Finding::new(
                    CHECK,
                    Level::Warning,
                    format!("{shown} can't be read: {}", crate::error::reason(&error)),
                )
                .remedy("check its mode; 0755 is usual"),
                Ok(bytes) if bytes.windows(MARK.len()).any(|window| window == MARK) => {
                    Finding::ok(CHECK, format!("{shown} is that of libvirt-nss"))
                }
                Ok(_) => Finding::new(
                    CHECK,
                    Level::Note,
                    format!(
                        "{shown} is libvirt's own: NAME.DOMAIN doesn't resolve, and a damaged list \
                         of leases is overwritten"
                    ),
                )
                .remedy(
                    "install the leases helper of libvirt-nss (package libvirt-nss-leaseshelper)",
                ),
            }
        })
        .collect()
}
