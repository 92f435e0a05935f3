//! The options and the help of `libvirt-nss dns`.

use clap::{Args, ValueEnum};

/// Gives guests' names to programs without NSS, through this host's resolver
///
/// Static Go programs, programs that use musl, flatpaks and containers don't load NSS modules. enable finds the resolver
/// that this host's programs ask (/etc/resolv.conf), and makes it answer for guests' names: systemd-resolved 261 and newer
/// reads them itself; older ones, NetworkManager's dnsmasq, dnsmasq and unbound ask libvirt-nss-dns.service, a dnsmasq on
/// 127.0.0.153, for the zone vm.internal and the reverse zones of libvirt's networks, and for no other names.
///
/// Guests are found as web.vm.internal and, through systemd-resolved, as web. libvirt-nssd must be running, as it writes
/// the names.
///
/// enable shows what it changes, and undoes everything at once if a step fails. disable undoes it all, byte for byte.
/// status looks up a guest as such programs do and, after networks were added or removed, says whether to run enable
/// again.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  libvirt-nss dns status
  libvirt-nss dns enable --dry-run
  sudo libvirt-nss dns enable")]
pub(crate) struct Dns {
    /// What to do
    #[arg(value_name = "ACTION")]
    pub(crate) action: DnsAction,
    /// Have the resolver ask libvirt-nss-dns.service, even if it could read the names itself
    ///
    /// This is the default with 10,000 or more names and addresses.
    #[arg(long)]
    pub(crate) server: bool,
    /// Show the change without making it
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,
}

/// `dns`: what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DnsAction {
    Enable,
    Disable,
    Status,
}
