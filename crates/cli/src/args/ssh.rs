//! The options and the help of `libvirt-nss ssh` and `ssh-config`, and of the commands that ssh itself runs.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, Subcommand, ValueHint};

/// Connects to a guest over ssh, and starts it first if need be
///
/// It waits until the guest's SSH server accepts connections, with one line on the terminal, and then becomes ssh(1), whose
/// exit status is its own. A guest that is shut off is started with --start, or after a question on the terminal, through
/// virsh(1). ssh knows the host key of the guest without asking, and goes through the guest's host if only that can reach
/// it. Arguments after -- are passed to ssh.
///
/// `libvirt-nss ssh enable` makes host keys and the route through hosts work for every ssh on this machine, and for what
/// uses it: scp, sftp, rsync, git, ansible. It needs libvirt-nssd, and the QEMU guest agent in the guests, which reads
/// their keys. For guests without it, and for all other hosts, nothing changes.
///
/// A guest that is called enable, disable or status is reached as USER@enable.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    disable_help_subcommand = true,
    after_help = "Exit status: ssh's, once it runs; before that, 2 if no guest has the name, 5 and 6 as for 'wait'.

Examples:
  libvirt-nss ssh root@web
  libvirt-nss ssh --start web -- uptime
  sudo libvirt-nss ssh enable && ssh root@web"
)]
pub(crate) struct Ssh {
    #[command(subcommand)]
    pub(crate) setup: Option<SshSetup>,
    /// Start the guest without asking if it is shut off
    #[arg(long)]
    pub(crate) start: bool,
    /// Give up after this time: 90, 90s, 5m, 2h [default: never]
    #[arg(long, short, value_name = "TIME", value_parser = crate::output::duration::parse)]
    pub(crate) timeout: Option<Duration>,
    /// The guest, and the user to log in as
    #[arg(required = true, value_name = "[USER@]NAME", value_hint = ValueHint::Hostname)]
    pub(crate) destination: Option<OsString>,
    /// Options for ssh, and a command to run
    #[arg(last = true, value_name = "ARGS")]
    pub(crate) arguments: Vec<OsString>,
}

/// What `ssh` does without connecting.
#[derive(Debug, Subcommand)]
pub(crate) enum SshSetup {
    Enable(SshEnable),
    Disable(SshDisable),
    Status(SshStatus),
}

/// Makes every ssh know guests' host keys, and the route to guests behind other hosts
///
/// It links /etc/ssh/ssh_config.d/20-libvirt-nss.conf to a file of the package. For each connection, ssh then runs
/// libvirt-nss, which prints the host keys of guests and nothing for all other hosts. If libvirt-nssd has connections over
/// ssh, guests on NAT networks of those hosts are reached through their host; for that, ssh also runs libvirt-nss for each
/// name without a dot or in vm.internal.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sudo libvirt-nss ssh enable
  libvirt-nss ssh enable --print >>~/.ssh/config")]
pub(crate) struct SshEnable {
    /// Include the route to guests behind other hosts, whatever connections there are
    #[arg(long, overrides_with = "no_proxy")]
    pub(crate) proxy: bool,
    /// Host keys only
    #[arg(long, overrides_with = "proxy")]
    pub(crate) no_proxy: bool,
    /// Print the lines, for ~/.ssh/config, and change nothing
    #[arg(long)]
    pub(crate) print: bool,
}

/// Undoes `ssh enable`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sudo libvirt-nss ssh disable")]
pub(crate) struct SshDisable {}

/// Says whether ssh knows guests' host keys, and of which guests
///
/// The exit status is 0 if it does, and 3 if it isn't enabled or something prevents it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  libvirt-nss ssh status")]
pub(crate) struct SshStatus {}

/// Prints guests as Host blocks of ssh_config(5)
///
/// For programs that read such a file, but neither ssh's own configuration nor nsswitch.conf. It lists the guests that are
/// running now, by domain name.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  libvirt-nss ssh-config >guests.conf")]
pub(crate) struct SshConfig {}

/// What ssh's KnownHostsCommand calls: prints the host keys of a guest, and nothing for any other host
#[derive(Debug, Args)]
#[command(hide = true, disable_help_flag = true)]
pub(crate) struct SshKnownHosts {
    /// %I %H %t %K of ssh_config(5)
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    pub(crate) arguments: Vec<OsString>,
}

/// What ssh's Match exec calls: succeeds if only its host can reach the guest NAME
#[derive(Debug, Args)]
#[command(hide = true, disable_help_flag = true)]
pub(crate) struct SshBehind {
    /// The guest
    #[arg(allow_hyphen_values = true)]
    pub(crate) name: OsString,
}

/// What ssh's ProxyCommand calls: connects standard input and output to PORT of the guest NAME, through its host
#[derive(Debug, Args)]
#[command(hide = true, disable_help_flag = true)]
pub(crate) struct SshProxy {
    /// The guest
    #[arg(allow_hyphen_values = true)]
    pub(crate) name: OsString,
    /// The port
    pub(crate) port: u16,
}
