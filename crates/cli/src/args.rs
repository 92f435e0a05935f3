//! The command line. Help, manual pages and completions are made from this one definition.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::TypedValueParser as _;
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

use crate::pattern::Pattern;

/// Shows, resolves and explains the names of libvirt guests.
///
/// It reads libvirt's state files, and the snapshot of libvirt-nssd where that runs, with the code of the
/// NSS modules libvirt and libvirt_guest, and needs neither root nor a running libvirtd. A guest has two
/// names: the host name that it told DHCP (the module libvirt), and its libvirt domain's name (the module
/// libvirt_guest).
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
    /// Colours: where the output is a terminal and NO_COLOR isn't set, or as said here
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,
    /// Read the leases here [default: /var/lib/libvirt/dnsmasq]
    ///
    /// The NSS modules don't know this option: what they do is what is done without it. libvirt-nssd's
    /// snapshot isn't read then, as it belongs to the system's own directory.
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) state_dir: Option<PathBuf>,
    /// Look at the system below DIR, an image's or a container's, instead of at this one
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) root: Option<PathBuf>,
    /// The time to go by, in seconds since the epoch
    #[arg(long, global = true, value_name = "SECONDS", hide = true)]
    pub(crate) now: Option<i64>,
    /// The width to go by, in columns, as if the output were a terminal
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
    SshKnownHosts(SshKnownHosts),
    SshBehind(SshBehind),
    SshProxy(SshProxy),
    Generate(Generate),
}

/// Lists every guest and lease
///
/// What `virsh net-dhcp-leases` and `virsh domifaddr --source lease` show, for all networks at once and
/// for every user: running guests with their addresses, and whatever else holds a lease.
///
/// STATE is one of: attached (a running guest has it), left behind (a destroyed guest had it, and a running
/// one has its host name now), no guest (no NIC that libvirt attached to the network has it: its guest was
/// destroyed, or is on the bridge in another way, as LXC containers are), no lease (a running guest's NIC
/// without one), expired (with --all, or where a running guest has no other), no bridge (the network was
/// stopped), unclear (a state file of the bridge can't be read, or not all of it).
///
/// Where libvirt-nssd runs, the guests that only it knows are there too: those on bridges, with static
/// addresses and on other hosts. SOURCE then says where an address is known from: file (a lease in
/// libvirt's state files), lease (libvirt's API), agent (the guest's agent), arp (the ARP table of the
/// guest's host), and libvirt for a guest without one; VIA is the daemon's connection to the guest's
/// libvirt. Two more states: no address (a running guest of which none is known), denied (a lease that
/// doesn't resolve, as the guest's agent doesn't report its address, or another guest has its names).
///
/// RESOLVES says by which of its names the guest is found at the address: host, domain, both, or no.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  libvirt-nss list 'web*'
  libvirt-nss list -4 --network default
  libvirt-nss list --domain 'web-*' --all
  libvirt-nss list --json | jq -r '.[] | select(.state == \"attached\").address'
  libvirt-nss list --plain | cut -f 1,5")]
pub(crate) struct List {
    /// Only what has this name or address: a domain, a host name with or without its domain, an address
    #[arg(value_hint = ValueHint::Hostname)]
    pub(crate) pattern: Option<Pattern>,
    #[command(flatten)]
    pub(crate) families: Families,
    /// Expired leases too
    #[arg(long, short)]
    pub(crate) all: bool,
    /// A JSON array; null stands for what isn't known, and expiry 0 for a lease that never ends
    #[arg(long, conflicts_with = "plain")]
    pub(crate) json: bool,
    /// A line for each, for scripts: fields with tabs between them, no heading, never cut
    ///
    /// The fields are: domain, host name, bridge, network, address, MAC, expiry (seconds since the
    /// epoch, 0 never), state (the words above with a hyphen: attached, left-behind, no-guest, ...),
    /// network's DNS domain, DHCP client id, source (file, lease, agent, arp or libvirt), libvirt-nssd's
    /// connection (of what only that knows), by which names it resolves (host, domain, both or no), further host
    /// names that the guest's agent reports (with commas between them). `-` stands for what isn't known. New fields may come at the end.
    /// Backslash, tab and newline in a name are \\, \t and \n, and a name that is a lone dash is \-.
    #[arg(long)]
    pub(crate) plain: bool,
    #[command(flatten)]
    pub(crate) filter: Filter,
}

/// Shows the list, live
///
/// On a terminal it fills the screen; ? tells the keys that sort and filter it. In a pipe it prints what
/// is there (is), and then a line for each change: time, what happened (new, gone, renewed, renamed, or the
/// state that a lease has now), and the fields of 'list --plain', with tabs between them. A change of
/// the leases or of libvirt-nssd's snapshot wakes it (inotify); it never polls.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  libvirt-nss watch
  libvirt-nss watch --network default | tee -a leases.log")]
pub(crate) struct Watch {
    /// Expired leases too
    #[arg(long, short)]
    pub(crate) all: bool,
    /// A JSON object a line for each change, also on a terminal
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) filter: Filter,
}

/// Which guests and leases to show.
#[derive(Debug, Args)]
#[command(next_help_heading = "Filters (* and ? as in the shell, in any case)")]
pub(crate) struct Filter {
    /// Only this network, or this bridge
    #[arg(long, short, value_name = "PATTERN")]
    pub(crate) network: Option<Pattern>,
    /// Only guests with this libvirt domain name
    #[arg(long, short, value_name = "PATTERN")]
    pub(crate) domain: Option<Pattern>,
    /// Only this host name
    #[arg(long, value_name = "PATTERN")]
    pub(crate) name: Option<Pattern>,
    /// Only this MAC
    #[arg(long, short, value_name = "PATTERN")]
    pub(crate) mac: Option<Pattern>,
}

/// Which names of guests count.
#[derive(Debug, Clone, Copy, Args)]
#[group(multiple = false)]
pub(crate) struct Names {
    /// Only by libvirt domain name, as the module libvirt_guest
    #[arg(long, short)]
    pub(crate) guest: bool,
    /// Only by host name, as the module libvirt
    #[arg(long, short = 'H')]
    pub(crate) host: bool,
}

/// Which addresses count.
#[derive(Debug, Clone, Copy, Args)]
#[group(multiple = false)]
pub(crate) struct Families {
    /// Only IPv4
    #[arg(short = '4', long)]
    pub(crate) ipv4: bool,
    /// Only IPv6
    #[arg(short = '6', long)]
    pub(crate) ipv6: bool,
}

/// Prints a guest's addresses
///
/// They come as the modules give them, one a line: first by host name, then, where no guest has that, by
/// domain name. An IPv6 link-local address has its bridge behind it (fe80::1%virbr0).
///
/// The exit status is 2 where no guest has the name, or none of its addresses is of the family, as with
/// getent(1).
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  libvirt-nss resolve web
  libvirt-nss resolve -6 --guest web-vm
  libvirt-nss resolve --reverse 192.168.122.7")]
pub(crate) struct Resolve {
    /// The name; name.domain where the network has that DNS domain
    #[arg(
        required_unless_present = "reverse",
        conflicts_with = "reverse",
        value_hint = ValueHint::Hostname,
        value_parser = clap::builder::NonEmptyStringValueParser::new().map(OsString::from)
    )]
    pub(crate) name: Option<OsString>,
    /// Print the name of the guest that has this address
    #[arg(long, short, value_name = "ADDRESS")]
    pub(crate) reverse: Option<IpAddr>,
    #[command(flatten)]
    pub(crate) families: Families,
    #[command(flatten)]
    pub(crate) names: Names,
    /// A JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Waits until guests have addresses, and prints them
///
/// It returns as soon as the NSS modules answer for each name and, with --port, something there takes
/// connections; then it prints the addresses, in the order of the names. A change of the leases or of
/// libvirt-nssd's snapshot wakes it (inotify); it never polls. A name that no guest has is reported at once,
/// as it may be misspelt, and waited for all the same.
///
/// A guest that was restarted has its old lease from the start: --port tells when it is up.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 ready, 5 timed out without an address, 6 timed out waiting for \
the port.

Examples:
  virsh start web && libvirt-nss wait --port ssh web && ssh web
  libvirt-nss wait --timeout 2m web db && ansible-playbook site.yml"
)]
pub(crate) struct Wait {
    /// The guests
    #[arg(required = true, value_name = "NAME", value_hint = ValueHint::Hostname)]
    pub(crate) names_of_guests: Vec<OsString>,
    /// Give up after this time: 90, 90s, 5m, 2h [default: never]
    #[arg(long, short, value_name = "TIME", value_parser = crate::output::duration::parse)]
    pub(crate) timeout: Option<Duration>,
    /// Wait until this TCP port, or service of services(5), takes connections too
    #[arg(long, short, value_parser = crate::waiting::port::parse)]
    pub(crate) port: Option<u16>,
    #[command(flatten)]
    pub(crate) families: Families,
    #[command(flatten)]
    pub(crate) names: Names,
    /// A JSON array of names and addresses
    #[arg(long)]
    pub(crate) json: bool,
    /// Say on standard error what is waited for, a line for each change
    #[arg(long, short)]
    pub(crate) verbose: bool,
}

/// Says what a name resolves to, and why it does or doesn't
///
/// First what programs get from getaddrinfo(3), why, and what to do next. With --verbose the whole way of the
/// look-up follows: the hosts line of nsswitch.conf and what each service on it does with the name;
/// libvirt-nssd's snapshot and each file that libvirt and libvirt_guest read; each record that was
/// considered, where it is in the file, where it is known from, and why it was taken or skipped.
///
/// For an address it explains the reverse look-up. The network isn't asked.
///
/// The exit status is 0 where libvirt or libvirt_guest answers, else 2.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  libvirt-nss explain web
  libvirt-nss explain -6 web --verbose
  libvirt-nss explain 192.168.122.7")]
pub(crate) struct Explain {
    /// The name, or an address
    #[arg(
        value_hint = ValueHint::Hostname,
        value_parser = clap::builder::NonEmptyStringValueParser::new().map(OsString::from)
    )]
    pub(crate) name: OsString,
    #[command(flatten)]
    pub(crate) families: Families,
    /// Show the whole way of the look-up
    #[arg(long, short)]
    pub(crate) verbose: bool,
    /// Show the records of other names too; implies --verbose
    #[arg(long, short)]
    pub(crate) all: bool,
    /// A JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Writes the names that resolve in other programs' formats
///
/// hosts: lines of hosts(5). ansible: the JSON of an inventory script, with a group for each network
/// (network_NAME), and the addresses in ansible_host and libvirt_addresses. prometheus: targets for
/// file-based or HTTP service discovery, with the labels name, host_name, network and bridge. json: the rows
/// of 'list --json' that resolve.
///
/// Link-local addresses, expired leases and whatever no look-up finds are left out.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  libvirt-nss export --format hosts --network default
  libvirt-nss export --format ansible >inventory.json
  libvirt-nss export --format prometheus --port 9100 >targets.json")]
pub(crate) struct Export {
    /// The format
    #[arg(long, short, value_name = "FORMAT")]
    pub(crate) format: Format,
    /// The port of Prometheus' targets: a number, or a service of services(5)
    #[arg(long, short, value_parser = crate::waiting::port::parse)]
    pub(crate) port: Option<u16>,
    #[command(flatten)]
    pub(crate) filter: Filter,
}

/// `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Hosts,
    Ansible,
    Prometheus,
    Json,
}

/// Checks everything that guests' names depend on
///
/// Each finding comes with what to do about it: the modules, the hosts line and what in it hides ours, nscd,
/// the leases helper, the state directory and its files, libvirt-nssd with its snapshot and connections,
/// guests that share a host name or a client id, guests without a lease or an address, leases that hide
/// a guest, and files that a crash left.
///
/// The exit status is 0 where all is well, 3 with warnings, 4 with errors.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  libvirt-nss doctor
  sudo libvirt-nss doctor --fix")]
pub(crate) struct Doctor {
    /// Show what can be done safely, ask, and do it
    #[arg(long, conflicts_with = "json")]
    pub(crate) fix: bool,
    /// Do it without asking
    #[arg(long, short, requires = "fix")]
    pub(crate) yes: bool,
    /// A JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Puts libvirt and libvirt_guest on the hosts line of nsswitch.conf
///
/// These services go directly before the first service that is dns or resolve, or that can end a look-up without
/// an answer, as mdns4_minimal [NOTFOUND=return] does; where there is none, to the end. What is there
/// already stays where it is, if it is asked there. Nothing else in the file changes, nor its owner, mode
/// and SELinux label; a copy of the file as it was is kept beside it. Where authselect(8) makes the file, it
/// is asked to do it. Done twice, it changes nothing the second time.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  libvirt-nss enable --dry-run
  sudo libvirt-nss enable
  sudo libvirt-nss enable --guest --authoritative")]
pub(crate) struct Enable {
    #[command(flatten)]
    pub(crate) services: Services,
    /// Add [UNAVAIL=return]: a guest's name is asked of nobody behind these services
    ///
    /// Without it the name of a guest that has no IPv6 address is asked of the DNS for one, where it may
    /// be another host's.
    #[arg(long)]
    pub(crate) authoritative: bool,
    /// Show the change and make none
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,
}

/// Takes libvirt and libvirt_guest off the hosts line of nsswitch.conf
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sudo libvirt-nss disable
  sudo libvirt-nss disable --authoritative     leaves the services")]
pub(crate) struct Disable {
    #[command(flatten)]
    pub(crate) services: Services,
    /// Take [UNAVAIL=return] off only, and leave the services
    #[arg(long)]
    pub(crate) authoritative: bool,
    /// Undo what enable did, and no more
    ///
    /// Where nothing was changed since, the file is byte for byte what it was before. Else the services
    /// that enable added are taken off, and those that were there before stay.
    #[arg(long, conflicts_with_all = ["authoritative", "guest", "host"])]
    pub(crate) restore: bool,
    /// Show the change and make none
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,
}

/// Which of our services.
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

/// Connects to a guest by ssh, and starts it first if need be
///
/// It waits until the guest's SSH server takes connections, with one line on the terminal, and becomes ssh(1), whose exit
/// status is then its own. A guest that is shut off is started with --start, or after a question on the terminal (virsh(1)
/// does it). ssh knows the host key of the guest without a question, and goes through the guest's host where only that
/// reaches it. What stands after -- is for ssh.
///
/// `libvirt-nss ssh enable` turns the last two on for every ssh on this machine, and for what uses it: scp, sftp, rsync,
/// git, ansible. It needs libvirt-nssd, and the QEMU guest agent in the guests: their keys come from there. Guests without,
/// and all other hosts, are connected to as before.
///
/// A guest that is called enable, disable or status is reached as USER@enable.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    disable_help_subcommand = true,
    after_help = "Exit status: ssh's, once it runs; before that 2 no such guest, 5 and 6 as 'wait'.

Examples:
  libvirt-nss ssh root@web
  libvirt-nss ssh --start web -- uptime
  sudo libvirt-nss ssh enable && ssh root@web"
)]
pub(crate) struct Ssh {
    #[command(subcommand)]
    pub(crate) setup: Option<SshSetup>,
    /// Start the guest without a question if it is shut off
    #[arg(long)]
    pub(crate) start: bool,
    /// Give up after this time: 90, 90s, 5m, 2h [default: never]
    #[arg(long, short, value_name = "TIME", value_parser = crate::output::duration::parse)]
    pub(crate) timeout: Option<Duration>,
    /// The guest, and who logs in there
    #[arg(required = true, value_name = "[USER@]NAME", value_hint = ValueHint::Hostname)]
    pub(crate) destination: Option<OsString>,
    /// Options of ssh and a command
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

/// Has every ssh know guests' host keys, and the way to guests behind other hosts
///
/// It links /etc/ssh/ssh_config.d/20-libvirt-nss.conf to a file of the package. ssh then runs libvirt-nss for each connection,
/// which prints the host keys of guests and nothing for all other hosts. Where libvirt-nssd has connections by ssh, guests on
/// NAT networks of those hosts are reached through their host; for that ssh also runs libvirt-nss for each name without a dot.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  sudo libvirt-nss ssh enable
  libvirt-nss ssh enable --print >>~/.ssh/config")]
pub(crate) struct SshEnable {
    /// With the way to guests behind other hosts, whatever connections there are
    #[arg(long, overrides_with = "no_proxy")]
    pub(crate) proxy: bool,
    /// Host keys only
    #[arg(long, overrides_with = "proxy")]
    pub(crate) no_proxy: bool,
    /// Change nothing; print the lines, for ~/.ssh/config
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
/// The exit status is 0 where it does, and 3 where it isn't enabled or something is in the way.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  libvirt-nss ssh status")]
pub(crate) struct SshStatus {}

/// Prints guests as Host blocks of ssh_config(5)
///
/// For programs that read such a file and nothing else, neither ssh's own configuration nor nsswitch.conf. They are the running
/// guests by domain name, as of now.
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

/// What ssh's Match exec calls: succeeds where only the host of the guest NAME reaches it
#[derive(Debug, Args)]
#[command(hide = true, disable_help_flag = true)]
pub(crate) struct SshBehind {
    /// The guest
    #[arg(allow_hyphen_values = true)]
    pub(crate) name: OsString,
}

/// What ssh's ProxyCommand calls: connects standard input and output with PORT of the guest NAME, through its host
#[derive(Debug, Args)]
#[command(hide = true, disable_help_flag = true)]
pub(crate) struct SshProxy {
    /// The guest
    #[arg(allow_hyphen_values = true)]
    pub(crate) name: OsString,
    /// The port
    pub(crate) port: u16,
}

/// Writes the manual pages and the completions of bash, zsh and fish
#[derive(Debug, Args)]
#[command(hide = true)]
pub(crate) struct Generate {
    /// Where to; it is made where it is missing
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) directory: PathBuf,
}
