//! The command line. Help, manual pages and completions are made from this one definition.

mod dns;
mod guests;
mod publish;
mod ssh;
mod system;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

pub(crate) use dns::{Dns, DnsAction};
pub(crate) use guests::{
    Explain, Export, Families, Filter, Format, List, NameKinds, Resolve, Wait, Watch,
};
pub(crate) use publish::{Publish, PublishCommand, PublishStatus};
pub(crate) use ssh::{Ssh, SshBehind, SshConfig, SshEnable, SshKnownHosts, SshProxy, SshSetup};
pub(crate) use system::{Disable, Doctor, Enable, Services};

/// Shows, resolves and explains the names of libvirt guests.
///
/// It reads libvirt's state files, and libvirt-nssd's snapshot where that daemon runs. It needs neither root nor a
/// running libvirtd, and uses the code of the NSS modules libvirt and libvirt_guest, so what it shows is what
/// programs get. A guest has two names: the host name that it sent to DHCP (module libvirt), and the name of its
/// libvirt domain (module libvirt_guest).
///
/// The output of `--json` is described by libvirt-nss.schema.json in the package's documentation.
#[derive(Debug, Parser)]
#[command(
    name = "libvirt-nss",
    version,
    term_width = 80,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Examples:
  libvirt-nss list                     every guest and lease
  libvirt-nss watch                    the same, live
  libvirt-nss resolve web              its addresses, as programs get them
  libvirt-nss explain web              why it resolves, or doesn't
  libvirt-nss wait --port ssh web && ssh web
  libvirt-nss export --format hosts    the names as lines of /etc/hosts
  libvirt-nss doctor                   what is wrong, and what to do about it"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options that every subcommand has.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options for all commands")]
pub(crate) struct Global {
    /// When to use colours; auto: on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,
    /// Read the leases in DIR [default: /var/lib/libvirt/dnsmasq]
    ///
    /// The NSS modules always use the default. libvirt-nssd's snapshot isn't read with this option, as it belongs
    /// to the default directory.
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) state_dir: Option<PathBuf>,
    /// Look at the system below DIR, such as an image or a container, instead of this one
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) root: Option<PathBuf>,
    /// The time to assume, in seconds since the epoch
    #[arg(long, global = true, value_name = "SECONDS", hide = true)]
    pub(crate) now: Option<i64>,
    /// The width to assume, in columns, as if the output were a terminal
    #[arg(long, global = true, value_name = "COLUMNS", hide = true)]
    pub(crate) width: Option<usize>,
}

/// `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    List(List),
    Watch(Watch),
    Resolve(Resolve),
    Wait(Wait),
    Explain(Explain),
    Export(Export),
    Doctor(Doctor),
    Enable(Enable),
    Disable(Disable),
    Ssh(Ssh),
    SshConfig(SshConfig),
    Publish(Publish),
    SshKnownHosts(SshKnownHosts),
    SshBehind(SshBehind),
    SshProxy(SshProxy),
    Dns(Dns),
    Generate(Generate),
}

/// Writes the manual pages and the completions of bash, zsh and fish
#[derive(Debug, Args)]
#[command(hide = true)]
pub(crate) struct Generate {
    /// The directory to write to; it is created if it is missing
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) directory: PathBuf,
}
