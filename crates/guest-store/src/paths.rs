//! Where libvirt, its helper and the daemon keep their files.

/// libvirt's state directory. Its `configure` option is `--localstatedir`; every distribution has this.
pub const STATE_DIRECTORY: &str = "/var/lib/libvirt/dnsmasq";

/// Where libvirt-nssd puts the snapshot. Look-ups get there through a link: see
/// [`PATH`](guest_names::snapshot::format::PATH).
pub const SNAPSHOT: &str = "/run/libvirt-nss/names.cdb";

/// The leases helper, where distributions have it (Debian and Arch, Fedora, openSUSE).
pub const LEASES_HELPERS: [&str; 4] = [
    "/usr/lib/libvirt/libvirt_leaseshelper",
    "/usr/libexec/libvirt_leaseshelper",
    "/usr/libexec/libvirt/libvirt_leaseshelper",
    "/usr/lib64/libvirt/libvirt_leaseshelper",
];
