//! Names for programs without NSS: which resolver this host's programs ask, and how to make it ask us for guests' names
//! and for no others.

pub(crate) mod outlets;
pub(crate) mod phase;
pub(crate) mod report;
pub(crate) mod resolver;
pub(crate) mod server;
pub(crate) mod steps;
mod trial;
pub(crate) mod way;
pub(crate) mod zones;

/// The first line of every file that `dns enable` creates. A file without it was made by somebody else.
pub(crate) const MARK: &str =
    "# Made by 'libvirt-nss dns enable'; 'libvirt-nss dns disable' removes it.\n";

/// The daemon that writes the names.
pub(crate) const DAEMON: &str = "libvirt-nssd.service";

/// The DNS server for them.
pub(crate) const SERVER: &str = "libvirt-nss-dns.service";

/// The daemon's configuration.
pub(crate) const CONFIGURATION: &str = "/etc/libvirt-nss.toml";
