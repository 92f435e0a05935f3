//! Which resolver this host's programs ask.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::server::CONFIGURATION;
use super::way::{LINK_MANAGERS, Way};
use crate::error::Error;
use crate::paths::Paths;

const RESOLV_CONF: &str = "/etc/resolv.conf";

/// systemd-resolved's stub (systemd-resolved.service(8)).
const STUBS: [&str; 2] = ["127.0.0.53", "127.0.0.54"];

/// NetworkManager's configuration: this file is read before the directories (NetworkManager.conf(5)).
const NETWORK_MANAGER: &str = "/etc/NetworkManager/NetworkManager.conf";
const NETWORK_MANAGER_DIRECTORIES: [&str; 3] =
    ["/usr/lib/NetworkManager/conf.d", "/run/NetworkManager/conf.d", "/etc/NetworkManager/conf.d"];

/// The versions of systemd-resolved that first have static records, and delegates.
const RECORDS: u32 = 261;
const DELEGATES: u32 = 258;

/// A resolver, and the best way to get guests' names into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resolver {
    /// The name to print, with the version where that matters.
    pub(crate) name: String,
    pub(crate) way: Way,
    /// Other ways that work with it.
    pub(crate) others: &'static [Way],
}

/// Finds the resolver in resolv.conf(5), which is what programs without NSS read.
///
/// # Errors
/// The resolver isn't on this host or isn't supported, or there may be several. The message says what to do.
pub(crate) fn find(paths: &Paths) -> Result<Resolver, Error> {
    let path = paths.below(RESOLV_CONF);
    let refused = |why: String| Err(Error::Refused(why));
    if let Ok(target) = fs::read_link(&path) {
        let target = target.to_string_lossy().into_owned();
        if target.ends_with("systemd/resolve/resolv.conf") {
            return refused(format!(
                "{} bypasses systemd-resolved, so programs without NSS don't ask it: link it to \
                 /run/systemd/resolve/stub-resolv.conf, and run this again",
                path.display()
            ));
        }
        // An image has no /run.
        let stubs = ["systemd/resolve/stub-resolv.conf", "lib/systemd/resolv.conf"];
        if stubs.iter().any(|stub| target.ends_with(stub)) {
            return resolved(paths);
        }
    }
    let text = resolv_conf(paths).map_err(Error::file(
        "read",
        &path,
        "a resolver's package makes it, see resolv.conf(5)",
    ))?;
    let servers: Vec<&str> = name_servers(&text).collect();
    let Some(first) = servers.first() else {
        return refused(format!("{} names no name server", path.display()));
    };
    if STUBS.contains(first) {
        return resolved(paths);
    }
    if !is_here(first) {
        return refused(format!(
            "programs on this host ask the name server {first} ({}), which doesn't run on this host: \
             install systemd-resolved, or have that server ask this host for guests (docs/dns.md)",
            path.display()
        ));
    }
    if network_manager_runs_dnsmasq(paths) && may_run(paths, LINK_MANAGERS[0].service) {
        return Ok(Resolver {
            name: "NetworkManager's dnsmasq".into(),
            way: Way::NetworkManager,
            others: &[],
        });
    }
    let known = [("dnsmasq", Way::Dnsmasq), ("unbound", Way::Unbound)];
    let mut running = known.iter().filter(|(name, _)| is_enabled(paths, name));
    match (running.next(), running.next()) {
        (Some(&(name, way)), None) => {
            let resolver = Resolver { name: name.into(), way, others: &[] };
            reads_its_directory(paths, way)?;
            Ok(resolver)
        }
        (Some(_), Some(_)) => refused(format!(
            "dnsmasq and unbound are both enabled, and one of them is the name server {first}: disable the \
             other, and run this again"
        )),
        _ => refused(format!(
            "the name server {first} on this host is neither systemd-resolved nor dnsmasq nor unbound: have it \
             ask libvirt-nss-dns.service for guests' zones (docs/dns.md)"
        )),
    }
}

/// The name servers after the first one that don't run on this host. musl asks all of them at once and takes the first answer.
pub(crate) fn further_servers(paths: &Paths) -> Vec<String> {
    let text = resolv_conf(paths).unwrap_or_default();
    let further = name_servers(&text).skip(1).filter(|server| !is_here(server));
    further.map(str::to_owned).collect()
}

fn resolv_conf(paths: &Paths) -> io::Result<String> {
    paths.real(RESOLV_CONF).and_then(|real| fs::read_to_string(paths.below(real)))
}

fn is_here(server: &str) -> bool {
    server.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// The addresses that resolv.conf(5) names.
fn name_servers(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next())?
    })
}

fn resolved(paths: &Paths) -> Result<Resolver, Error> {
    let Some(version) = version_of_resolved(paths) else {
        return Err(Error::Refused(
            "resolv.conf names systemd-resolved, but its version can't be determined: see 'resolvectl --version'"
                .into(),
        ));
    };
    let (way, others): (_, &[Way]) = match version {
        RECORDS.. => (Way::Records, &[Way::Delegate]),
        DELEGATES.. => (Way::Delegate, &[]),
        _ => (Way::Link, &[]),
    };
    Ok(Resolver { name: format!("systemd-resolved {version}"), way, others })
}

/// The version in the name of systemd's shared library, which an image has too; else the one that resolvectl prints.
fn version_of_resolved(paths: &Paths) -> Option<u32> {
    let lib = paths.below("/usr/lib");
    let triplets = fs::read_dir(&lib).into_iter().flatten().flatten();
    let triplets = triplets.map(|entry| entry.path().join("systemd"));
    let directories = [lib.join("systemd"), paths.below("/usr/lib64/systemd")];
    let names = directories.into_iter().chain(triplets).flat_map(names_in);
    let version = |name: String| leading_number(name.strip_prefix("libsystemd-shared-")?);
    let found = names.filter_map(version).max();
    found.or_else(|| {
        if !paths.is_this_system() {
            return None;
        }
        let output =
            Command::new("resolvectl").arg("--version").stdin(Stdio::null()).output().ok()?;
        // "systemd 257 (257.1-1)"
        leading_number(String::from_utf8_lossy(&output.stdout).split_whitespace().nth(1)?)
    })
}

fn names_in(directory: PathBuf) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn leading_number(text: &str) -> Option<u32> {
    text.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The last `dns=` in its configuration counts (NetworkManager.conf(5)).
fn network_manager_runs_dnsmasq(paths: &Paths) -> bool {
    let mut files = vec![paths.below(NETWORK_MANAGER)];
    for directory in NETWORK_MANAGER_DIRECTORIES {
        let directory = paths.below(directory);
        let mut names = names_in(directory.clone());
        names.retain(|name| name.ends_with(".conf"));
        names.sort();
        files.extend(names.iter().map(|name| directory.join(name)));
    }
    let texts = files.iter().filter_map(|file| fs::read_to_string(file).ok());
    let settings = texts.flat_map(|text| {
        let dns = |line: &str| Some(line.trim().strip_prefix("dns=")?.trim().to_owned());
        text.lines().filter_map(dns).collect::<Vec<_>>()
    });
    settings.last().as_deref() == Some("dnsmasq")
}

/// Whether the service runs; on another system, whether it is started at boot.
fn is_enabled(paths: &Paths, service: &str) -> bool {
    let link = format!("/etc/systemd/system/multi-user.target.wants/{service}.service");
    if !paths.is_this_system() {
        return paths.below(link).is_symlink();
    }
    is_active(&format!("{service}.service"))
}

/// Whether a service runs. On another system, it may.
pub(crate) fn may_run(paths: &Paths, service: &str) -> bool {
    !paths.is_this_system() || is_active(service)
}

/// Whether a unit of this system runs. Where systemd doesn't run, none does.
pub(crate) fn is_active(unit: &str) -> bool {
    // Its output is taken, as it complains where systemd doesn't run.
    let asked = Command::new("systemctl").args(["is-active", "--quiet", unit]).output();
    asked.is_ok_and(|asked| asked.status.success())
}

/// Checks that the resolver reads the directory that our file goes into, and that dnsmasq leaves
/// an address for our server.
fn reads_its_directory(paths: &Paths, way: Way) -> Result<(), Error> {
    let (files, directory): (&[&str], _) = match way {
        Way::Dnsmasq => (&["/etc/dnsmasq.conf", "/etc/default/dnsmasq"], "/etc/dnsmasq.d"),
        Way::Unbound => (&["/etc/unbound/unbound.conf"], "/etc/unbound/unbound.conf.d"),
        _ => return Ok(()),
    };
    let lines = |file: &&str| {
        let text = fs::read_to_string(paths.below(file)).unwrap_or_default();
        let set = |line: &&str| !line.trim_start().starts_with('#');
        text.lines().filter(set).map(str::to_owned).collect::<Vec<_>>()
    };
    if !files.iter().flat_map(lines).any(|line| line.contains(directory)) {
        let own = paths.below(files[0]);
        return Err(Error::Refused(format!(
            "{} doesn't read the files in {directory}: have it read them ({}), and run this again",
            own.display(),
            if way == Way::Dnsmasq {
                "conf-dir=/etc/dnsmasq.d"
            } else {
                "include-toplevel: \"/etc/unbound/unbound.conf.d/*.conf\""
            }
        )));
    }
    if way == Way::Dnsmasq && takes_every_address(paths) && super::server::read(paths)?.port == 53 {
        return Err(Error::Refused(format!(
            "dnsmasq takes port 53 on every address, so libvirt-nss-dns can't use it: put 'port=5354' into \
             {}, or 'bind-interfaces' into /etc/dnsmasq.conf, and run this again",
            paths.below(CONFIGURATION).display()
        )));
    }
    Ok(())
}

/// Without `--bind-interfaces`, dnsmasq binds the wildcard address (dnsmasq(8)).
fn takes_every_address(paths: &Paths) -> bool {
    let directory = Path::new("/etc/dnsmasq.d");
    let names = names_in(paths.below(directory));
    let own = names.iter().map(|name| paths.below(directory.join(name)));
    let files = own.chain([paths.below("/etc/dnsmasq.conf")]);
    let binds = |text: String| {
        let words = |line: &str| matches!(line.trim(), "bind-interfaces" | "bind-dynamic");
        text.lines().any(words)
    };
    !files.filter_map(|file| fs::read_to_string(file).ok()).any(binds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use testkit::scratch::Scratch;

    /// A system below another root directory, and the resolver that is found there.
    fn found(files: &[(&str, &str)], links: &[(&str, &str)]) -> Result<String, String> {
        let directory = Scratch::new();
        for (path, text) in files {
            let parent = directory.path().join(path);
            fs::create_dir_all(parent.parent().unwrap()).unwrap();
            directory.write(path, text);
        }
        for (path, target) in links {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            symlink(target, path).unwrap();
        }
        let found = find(&Paths::new(Some(directory.path()), None));
        found
            .map(|one| format!("{}: {:?}", one.name, one.way))
            .map_err(|error| error.to_string().replace(&directory.path().display().to_string(), ""))
    }

    const STUB: (&str, &str) = ("etc/resolv.conf", "nameserver 127.0.0.53\noptions edns0\n");
    const LOCAL: (&str, &str) = ("etc/resolv.conf", "# one\nnameserver 127.0.0.1\n");

    #[test]
    fn resolved_by_its_version() {
        let library = |version: &str| {
            format!("usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-{version}.so")
        };
        let with = |version| found(&[STUB, (&library(version), "")], &[]);
        assert_eq!(with("252").unwrap(), "systemd-resolved 252: Link");
        assert_eq!(with("257").unwrap(), "systemd-resolved 257: Link");
        assert_eq!(with("258.1").unwrap(), "systemd-resolved 258: Delegate");
        assert_eq!(with("260~rc1-1.fc44").unwrap(), "systemd-resolved 260: Delegate");
        assert_eq!(with("262").unwrap(), "systemd-resolved 262: Records");
        let fedora = [("usr/lib64/systemd/libsystemd-shared-256.6-1.fc41.so", "")];
        let stub = [("etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf")];
        assert_eq!(found(&fedora, &stub).unwrap(), "systemd-resolved 256: Link");
        assert!(found(&[STUB], &[]).unwrap_err().contains("resolvectl --version"));
        let uplink = [("etc/resolv.conf", "/run/systemd/resolve/resolv.conf")];
        assert!(found(&fedora, &uplink).unwrap_err().contains("bypasses systemd-resolved"));
    }

    #[test]
    fn other_resolvers() {
        let manager = ("etc/NetworkManager/NetworkManager.conf", "[main]\ndns=dnsmasq\n");
        assert_eq!(
            found(&[LOCAL, manager], &[]).unwrap(),
            "NetworkManager's dnsmasq: NetworkManager"
        );
        let later = ("etc/NetworkManager/conf.d/dns.conf", "[main]\ndns=default\n");
        assert!(found(&[LOCAL, manager, later], &[]).is_err());

        let wants = "etc/systemd/system/multi-user.target.wants/";
        let enabled = |name: &str| (format!("{wants}{name}.service"), "/x");
        let (dnsmasq, unbound) = (enabled("dnsmasq"), enabled("unbound"));
        let dnsmasq = (dnsmasq.0.as_str(), dnsmasq.1);
        let unbound = (unbound.0.as_str(), unbound.1);
        let include = (
            "etc/unbound/unbound.conf",
            "include-toplevel: \"/etc/unbound/unbound.conf.d/*.conf\"\n",
        );
        assert_eq!(found(&[LOCAL, include], &[unbound]).unwrap(), "unbound: Unbound");
        let commented = ("etc/unbound/unbound.conf", "# include: /etc/unbound/unbound.conf.d/*\n");
        assert!(found(&[LOCAL, commented], &[unbound]).unwrap_err().contains("include-toplevel"));
        assert!(
            found(&[LOCAL, include], &[unbound, dnsmasq]).unwrap_err().contains("both enabled")
        );

        let ours = ("etc/libvirt-nss-dns.conf", "listen-address=127.0.0.153\nport=53\n");
        let conf = ("etc/dnsmasq.conf", "conf-dir=/etc/dnsmasq.d\nbind-interfaces\n");
        assert_eq!(found(&[LOCAL, ours, conf], &[dnsmasq]).unwrap(), "dnsmasq: Dnsmasq");
        let wildcard = ("etc/dnsmasq.conf", "conf-dir=/etc/dnsmasq.d\n#bind-interfaces\n");
        assert!(found(&[LOCAL, ours, wildcard], &[dnsmasq]).unwrap_err().contains("port=5354"));
        let moved = ("etc/libvirt-nss-dns.conf", "listen-address=127.0.0.153\nport=5354\n");
        assert_eq!(found(&[LOCAL, moved, wildcard], &[dnsmasq]).unwrap(), "dnsmasq: Dnsmasq");
        let none = ("etc/dnsmasq.conf", "bind-interfaces\n");
        assert!(found(&[LOCAL, ours, none], &[dnsmasq]).unwrap_err().contains("conf-dir"));
    }

    #[test]
    fn what_is_refused() {
        assert!(found(&[], &[]).unwrap_err().contains("/etc/resolv.conf"));
        assert!(
            found(&[("etc/resolv.conf", "search lan\n")], &[])
                .unwrap_err()
                .contains("no name server")
        );
        let site = ("etc/resolv.conf", "nameserver 192.168.1.1\n");
        assert!(found(&[site], &[]).unwrap_err().contains("192.168.1.1"));
        assert!(found(&[LOCAL], &[]).unwrap_err().contains("neither systemd-resolved nor dnsmasq"));
    }
}
