//! The options and the help of the commands that show guests and look up their names.

use std::ffi::OsString;
use std::net::IpAddr;
use std::time::Duration;

use clap::builder::TypedValueParser as _;
use clap::{Args, ValueEnum, ValueHint};

use crate::pattern::Pattern;

/// Lists every guest and lease
///
/// It shows what `virsh net-dhcp-leases` and `virsh domifaddr --source lease` show, but for all networks at once and
/// to every user: running guests with their addresses, and all other leases.
///
/// STATE is one of: attached (a running guest has the lease), left behind (a destroyed guest had it, and a running
/// guest uses the host name now), no guest (no NIC that libvirt attached to the network has it: the guest was
/// destroyed, or it is on the bridge in another way, like an LXC container), no lease (the NIC of a running guest
/// has none), expired (shown with --all, or where a running guest has no other lease), no bridge (the network was
/// stopped), unclear (a state file of the bridge can't be read completely).
///
/// Where libvirt-nssd runs, guests that only it knows are listed too: those on bridges, with static addresses or on
/// other hosts. SOURCE then says where an address is known from: file (a lease in libvirt's state files), lease
/// (libvirt's API), agent (the guest agent), arp (the ARP table of the guest's host), or libvirt for a guest without
/// an address. VIA is the daemon's connection to the guest's libvirt. There are two more states: no address (the
/// guest runs, but no address is known) and denied (the lease doesn't resolve, because the guest agent doesn't report
/// its address or another guest has its names).
///
/// RESOLVES says which of the guest's names find the address: host, domain, both or no.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  libvirt-nss list 'web*'
  libvirt-nss list -4 --network default
  libvirt-nss list --domain 'web-*' --all
  libvirt-nss list --json | jq -r '.[] | select(.state == \"attached\").address'
  libvirt-nss list --plain | cut -f 1,5")]
pub(crate) struct List {
    /// Only rows with this domain name, host name (with or without its DNS domain) or address
    #[arg(value_hint = ValueHint::Hostname)]
    pub(crate) pattern: Option<Pattern>,
    #[command(flatten)]
    pub(crate) families: Families,
    /// Show expired leases too
    #[arg(long, short)]
    pub(crate) all: bool,
    /// Print a JSON array; unknown values are null, and expiry 0 is a lease that never ends
    #[arg(long, conflicts_with = "plain")]
    pub(crate) json: bool,
    /// Print a line per row for scripts: fields separated by tabs, no heading, nothing cut off
    ///
    /// The fields are: domain, host name, bridge, network, address, MAC, expiry (seconds since the epoch, 0 for
    /// never), state (the words above with hyphens: attached, left-behind, no-guest, ...), the network's DNS domain,
    /// DHCP client id, source (file, lease, agent, arp or libvirt), libvirt-nssd's connection (of guests that only it
    /// knows), which names resolve (host, domain, both or no), and further host names that the guest agent reports,
    /// separated by commas. An unknown value is `-`. Later versions may add fields at the end. Backslash, tab and
    /// newline in a name are written \\, \t and \n; a name that is a single dash is written \-.
    #[arg(long)]
    pub(crate) plain: bool,
    #[command(flatten)]
    pub(crate) filter: Filter,
}

/// Shows the list, live
///
/// On a terminal it fills the screen: Enter explains the selected row, and ? lists the keys. In a pipe it prints a line
/// for each row ("is"), and then a line for each change: the time, what happened (new, gone, renewed, renamed, or the
/// new state of a lease), and the fields of `list --plain`, separated by tabs. It waits for changes of the leases and of
/// libvirt-nssd's snapshot with inotify(7) and never polls.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  libvirt-nss watch
  libvirt-nss watch --network default | tee -a leases.log")]
pub(crate) struct Watch {
    /// Show expired leases too
    #[arg(long, short)]
    pub(crate) all: bool,
    /// Print a JSON object per line for each change, on a terminal too
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) filter: Filter,
}

/// Which guests and leases to show.
#[derive(Debug, Args)]
#[command(next_help_heading = "Filters (* and ? are wildcards; case is ignored)")]
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

/// Which kind of name to use.
#[derive(Debug, Clone, Copy, Args)]
#[group(multiple = false)]
pub(crate) struct NameKinds {
    /// Use libvirt domain names only, like the module libvirt_guest
    #[arg(long, short)]
    pub(crate) guest: bool,
    /// Use host names only, like the module libvirt
    #[arg(long, short = 'H')]
    pub(crate) host: bool,
}

/// Which addresses to use.
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
/// It prints them as the modules return them, one per line. The name is looked up as a host name first and, if no
/// guest has it, as a domain name. An IPv6 link-local address is followed by its bridge (fe80::1%virbr0).
///
/// Like getent(1), it exits with status 2 if no guest has the name, or has no address of the requested family.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  libvirt-nss resolve web
  libvirt-nss resolve -6 --guest web-vm
  libvirt-nss resolve --reverse 192.168.122.7")]
pub(crate) struct Resolve {
    /// The guest's host name or domain name; NAME.DOMAIN with the DNS domain of its network
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
    pub(crate) names: NameKinds,
    /// Print a JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Waits until guests have addresses, and prints them
///
/// It returns as soon as the NSS modules answer for every name and, with --port, the guests accept connections there.
/// Then it prints the addresses in the order of the names. It waits for changes of the leases and of libvirt-nssd's
/// snapshot with inotify(7) and never polls. A name that no guest has is reported at once, as it may be misspelt, but
/// waited for all the same.
///
/// A restarted guest still has its old lease, so use --port to wait until it is up.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 if they are ready, 5 if it timed out waiting for an address, 6 if it timed out waiting \
for the port.

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
    /// Also wait until this TCP port accepts connections: a number, or a name of services(5)
    #[arg(long, short, value_parser = crate::waiting::port::parse)]
    pub(crate) port: Option<u16>,
    #[command(flatten)]
    pub(crate) families: Families,
    #[command(flatten)]
    pub(crate) names: NameKinds,
    /// Print a JSON array of names and addresses
    #[arg(long)]
    pub(crate) json: bool,
    /// Print what it waits for to standard error, a line for each change
    #[arg(long, short)]
    pub(crate) verbose: bool,
}

/// Says what a name resolves to and why, or why not and what to do
///
/// It says what programs get from getaddrinfo(3), why, and what to do next. With --verbose it shows the whole look-up:
/// the hosts line of nsswitch.conf and what each service on it does with the name; libvirt-nssd's snapshot and each file
/// that libvirt and libvirt_guest read; and each record in them with its position and why it was taken or skipped.
///
/// For an address it explains the reverse look-up. It sends nothing to the network, so it can't say what the DNS knows.
///
/// The exit status is 0 if libvirt or libvirt_guest answers, and 2 otherwise.
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
    /// Show every step of the look-up
    #[arg(long, short)]
    pub(crate) verbose: bool,
    /// Show the records of other names too; implies --verbose
    #[arg(long, short)]
    pub(crate) all: bool,
    /// Print a JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Prints the names that resolve, in the formats of other programs
///
/// hosts: lines of hosts(5). ansible: the JSON of an inventory script, with a group for each network (network_NAME) and
/// the addresses in ansible_host and libvirt_addresses. prometheus: targets for file-based or HTTP service discovery,
/// with the labels name, host_name, network and bridge. json: the rows of `list --json` that resolve.
///
/// It leaves out link-local addresses, expired leases and everything else that doesn't resolve.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  libvirt-nss export --format hosts --network default
  libvirt-nss export --format ansible >inventory.json
  libvirt-nss export --format prometheus --port 9100 >targets.json")]
pub(crate) struct Export {
    /// The format
    #[arg(long, short, value_name = "FORMAT")]
    pub(crate) format: Format,
    /// The port of the Prometheus targets: a number, or a name of services(5)
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
