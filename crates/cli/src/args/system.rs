//! The options and the help of the commands that check this system and change its nsswitch.conf.

use clap::Args;

/// Checks everything that guests' names depend on
///
/// It says what to do about each problem. It checks the modules, the hosts line and the order of its services, one real
/// look-up, nscd, the leases helper, the state directory and its files, libvirt-nssd with its snapshot and connections,
/// guests that share a host name or a client id, guests without a lease or an address, leases that hide a guest, the
/// names for DNS, libvirt-nss-publish, the host keys for ssh, and files that a crash left behind.
///
/// The exit status is 0 if there are no problems, 3 with warnings, and 4 with errors.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  libvirt-nss doctor
  sudo libvirt-nss doctor --fix")]
pub(crate) struct Doctor {
    /// Show what can be fixed safely, ask, and fix it
    #[arg(long, conflicts_with = "json")]
    pub(crate) fix: bool,
    /// Fix it without asking
    #[arg(long, short, requires = "fix")]
    pub(crate) yes: bool,
    /// Print a JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Puts libvirt and libvirt_guest on the hosts line of nsswitch.conf
///
/// They go directly before dns, resolve, or the first service that can end a look-up without an answer, such as
/// mdns4_minimal [NOTFOUND=return]; if there is none, to the end of the line. A service that is already on the line and
/// is reached stays where it is. Nothing else in the file changes, nor do its owner, mode and SELinux label, and a backup is
/// kept beside it. If authselect(8) manages the file, enable asks it to make the change. Running it again changes nothing.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  libvirt-nss enable --dry-run
  sudo libvirt-nss enable
  sudo libvirt-nss enable --guest --authoritative")]
pub(crate) struct Enable {
    #[command(flatten)]
    pub(crate) services: Services,
    /// Add [UNAVAIL=return], so that no later service is asked for the name of a guest
    ///
    /// Without it, the DNS is asked for the IPv6 address of a guest that has none, and may return that of another host.
    #[arg(long)]
    pub(crate) authoritative: bool,
    /// Show the change without making it
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,
}

/// Removes libvirt and libvirt_guest from the hosts line of nsswitch.conf
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sudo libvirt-nss disable
  sudo libvirt-nss disable --authoritative     keeps the services")]
pub(crate) struct Disable {
    #[command(flatten)]
    pub(crate) services: Services,
    /// Remove [UNAVAIL=return] only, and keep the services
    #[arg(long)]
    pub(crate) authoritative: bool,
    /// Undo what enable did, and nothing more
    ///
    /// If nothing else has changed since, the file is byte for byte what it was before. Otherwise the services that
    /// enable added are removed, and those that were there before stay.
    #[arg(long, conflicts_with_all = ["authoritative", "guest", "host"])]
    pub(crate) restore: bool,
    /// Show the change without making it
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,
}

/// Which of the two services.
#[derive(Debug, Clone, Copy, Args)]
#[group(multiple = false)]
pub(crate) struct Services {
    /// Only libvirt_guest, the names of libvirt domains
    #[arg(long, short)]
    pub(crate) guest: bool,
    /// Only libvirt, the host names that guests chose
    #[arg(long, short = 'H')]
    pub(crate) host: bool,
}
