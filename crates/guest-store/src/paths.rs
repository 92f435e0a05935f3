//! Where libvirt, its helper and the daemon keep their files.

/// libvirt's state directory.
pub const STATE_DIRECTORY: &str = match guest_names::io::STATE_DIRECTORY.to_str() {
    Ok(path) => path,
    Err(_) => panic!("it is UTF-8"),
};

/// Where libvirt-nssd writes the snapshot and its other files.
pub const RUNTIME_DIRECTORY: &str = "/run/libvirt-nss";

/// The snapshot. Look-ups reach it through a link: see [`PATH`](guest_names::snapshot::format::PATH).
pub const SNAPSHOT: &str = "/run/libvirt-nss/names.cdb";

/// libvirt-nssd's home directory, with the link that look-ups follow.
pub const DAEMON_HOME: &str = "/var/lib/libvirt-nss";

/// The leases helper's paths in different distributions (Debian and Arch, Fedora, openSUSE).
pub const LEASES_HELPERS: [&str; 4] = [
    "/usr/lib/libvirt/libvirt_leaseshelper",
    "/usr/libexec/libvirt_leaseshelper",
    "/usr/libexec/libvirt/libvirt_leaseshelper",
    "/usr/lib64/libvirt/libvirt_leaseshelper",
];
