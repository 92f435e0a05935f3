//! What the other services of a `hosts` line would answer, as far as that is known without asking them: nothing here
//! goes to the network.

use std::fs;
use std::net::IpAddr;

use guest_names::address::Family;

use super::Question;
use crate::nsswitch::line::Status;
use crate::paths::Paths;
use crate::state::address;
use crate::state::lossy;

/// What a service answers.
pub(crate) struct Reply {
    /// If it isn't `certain`: the status for a name that it doesn't know.
    pub(crate) status: Status,
    pub(crate) certain: bool,
    /// Why, for people.
    pub(crate) why: String,
    /// The addresses in its answer, if they are known here.
    pub(crate) addresses: Vec<IpAddr>,
}

impl Reply {
    fn certainly(status: Status, why: impl Into<String>) -> Self {
        Self { status, certain: true, why: why.into(), addresses: Vec::new() }
    }

    fn perhaps(status: Status, why: impl Into<String>) -> Self {
        Self { status, certain: false, why: why.into(), addresses: Vec::new() }
    }
}

/// What `service` would answer.
pub(crate) fn reply_of(service: &str, question: &Question, paths: &Paths) -> Reply {
    match service {
        "files" => files(question, paths),
        "myhostname" => myhostname(question, paths),
        "mymachines" => Reply::perhaps(
            Status::NotFound,
            "has the containers and machines that systemd-machined has registered",
        ),
        "resolve" => resolve(paths),
        "dns" => Reply::perhaps(Status::NotFound, "asks the name servers of /etc/resolv.conf"),
        "sss" | "ldap" | "nis" | "nisplus" | "hesiod" | "wins" => {
            Reply::perhaps(Status::NotFound, "asks a directory on the network")
        }
        mdns if mdns.starts_with("mdns") => multicast(question),
        _ => Reply::perhaps(Status::NotFound, "isn't a service that this command knows"),
    }
}

/// The name that a service has for an address.
pub(crate) enum Name {
    Is(String),
    /// It certainly has none.
    None(Status),
    /// It can't be asked here.
    Open,
}

/// The name that `service` has for an address.
pub(crate) fn name_of(service: &str, address: IpAddr, paths: &Paths) -> Name {
    match service {
        "files" => {
            let Ok(text) = fs::read(paths.hosts_file()) else { return Name::None(Status::Unavail) };
            let text = lossy(&text);
            let name = text.lines().find_map(|line| {
                let mut words = line.split('#').next()?.split_whitespace();
                let found: IpAddr = words.next()?.parse().ok()?;
                (found == address).then(|| words.next().map(str::to_owned))?
            });
            name.map_or(Name::None(Status::NotFound), Name::Is)
        }
        "resolve" if !paths.resolved_socket().exists() => Name::None(Status::Unavail),
        _ => Name::Open,
    }
}

/// hosts(5).
fn files(question: &Question, paths: &Paths) -> Reply {
    let path = paths.hosts_file();
    let text = match fs::read(&path) {
        Ok(text) => lossy(&text),
        Err(error) => {
            let why = format!("{} can't be read: {}", path.display(), crate::error::reason(&error));
            return Reply::certainly(Status::Unavail, why);
        }
    };
    let wanted = question.name.strip_suffix('.').unwrap_or(&question.name);
    let lines = text.lines().enumerate().filter_map(|(at, line)| {
        let line = line.split('#').next()?;
        let mut words = line.split_whitespace();
        let found: IpAddr = words.next()?.parse().ok()?;
        let family = question.family;
        let fits = family.is_none_or(|family| address::from_std(found).family() == family);
        let named = words.any(|word| word.eq_ignore_ascii_case(wanted));
        (fits && named).then_some((found, at + 1))
    });
    let lines: Vec<(IpAddr, usize)> = lines.collect();
    let path = path.display();
    if lines.is_empty() {
        let family = match question.family {
            None => "",
            Some(Family::V4) => " with an IPv4 address",
            Some(Family::V6) => " with an IPv6 address",
        };
        Reply::certainly(Status::NotFound, format!("{path} doesn't have the name{family}"))
    } else {
        let shown: Vec<String> =
            lines.iter().map(|(found, line)| format!("{found} (line {line})")).collect();
        let why = format!("{path} has it: {}", shown.join(", "));
        let addresses = lines.into_iter().map(|(found, _)| found).collect();
        Reply { addresses, ..Reply::certainly(Status::Success, why) }
    }
}

/// nss-myhostname(8): this host's own name, and localhost, _gateway and _outbound.
fn myhostname(question: &Question, paths: &Paths) -> Reply {
    let name = question.name.strip_suffix('.').unwrap_or(&question.name).to_ascii_lowercase();
    let own = paths.host_name().to_ascii_lowercase();
    let local = name == "localhost" || name.ends_with(".localhost");
    let local =
        local || name == "localhost.localdomain" || name.ends_with(".localhost.localdomain");
    if name == own || local || name == "_gateway" || name == "_outbound" {
        Reply::certainly(Status::Success, "it is a name of this host")
    } else {
        Reply::certainly(Status::NotFound, "only has this host's own name")
    }
}

/// nss-resolve(8): UNAVAIL if systemd-resolved doesn't run.
fn resolve(paths: &Paths) -> Reply {
    let socket = paths.resolved_socket();
    if socket.exists() {
        Reply::perhaps(Status::NotFound, "asks systemd-resolved, which runs")
    } else {
        Reply::certainly(Status::Unavail, "asks systemd-resolved, which doesn't run")
    }
}

/// nss-mdns: names in `.local`, unless /etc/mdns.allow lists others.
fn multicast(question: &Question) -> Reply {
    let name = question.name.strip_suffix('.').unwrap_or(&question.name).to_ascii_lowercase();
    if name.ends_with(".local") {
        Reply::perhaps(Status::NotFound, "asks the hosts of the local network")
    } else {
        Reply::certainly(Status::Unavail, "only has names in .local")
    }
}
