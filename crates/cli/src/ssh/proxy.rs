//! `ssh-proxy`: connects to a guest through the guest's host.
//!
//! The snapshot is the daemon's, so nothing in it is executed: every value is checked before it is passed to ssh, each
//! as an argument of its own.

use std::env;
use std::ffi::{OsStr, OsString};
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use guest_store::snapshot::ssh::{HostKeyCheck, SshHost};

use super::target::{Target, is_plain};
use crate::error::Error;
use crate::paths::Paths;
use crate::state::lossy;

/// The names of the guests that this chain of ssh processes goes through, separated by blanks. A host may itself be a
/// guest behind another host, and by mistake two may be behind each other.
const CHAIN: &str = "LIBVIRT_NSS_SSH_CHAIN";

/// The route to a guest that only its host can reach.
#[derive(Debug)]
pub(crate) struct Route {
    /// The name as requested.
    name: String,
    /// Its address on its host.
    address: IpAddr,
    host: SshHost,
}

/// Why there is no route through a host.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoRoute {
    /// No guest can have this name.
    NotAName,
    /// No guest with this name has to be reached through its host.
    NotBehind,
    /// The route in the snapshot is malformed.
    Malformed,
    /// This chain of ssh processes already goes through the guest.
    Loop,
}

impl Route {
    /// Finds the route to a guest by name.
    ///
    /// # Errors
    /// See [`NoRoute`].
    pub(crate) fn find(name: &OsStr, paths: &Paths, now: i64) -> Result<Self, NoRoute> {
        let Some(target @ Target::Name(plain)) = Target::parse(name.as_bytes()) else {
            return Err(NoRoute::NotAName);
        };
        let plain = lossy(plain);
        let chain = env::var(CHAIN).unwrap_or_default();
        if chain.split(' ').any(|earlier| earlier.eq_ignore_ascii_case(&plain)) {
            return Err(NoRoute::Loop);
        }
        let guest = super::guest(paths, &target, now).ok_or(NoRoute::NotBehind)?;
        let address = super::address_behind(&guest).ok_or(NoRoute::NotBehind)?;
        let host = guest.route.ok_or(NoRoute::NotBehind)?.host;
        if host.host.eq_ignore_ascii_case(&plain) {
            // The host itself has the name of one of its guests.
            return Err(NoRoute::NotBehind);
        }
        if !is_well_formed(&host) {
            return Err(NoRoute::Malformed);
        }
        Ok(Self { name: plain, address, host })
    }

    /// The ssh command that connects to a port of the guest.
    fn command(&self, port: u16) -> Command {
        let mut command = Command::new("ssh");
        command.args(arguments(&self.host, self.address, port));
        let mut chain = env::var_os(CHAIN).unwrap_or_default();
        if !chain.is_empty() {
            chain.push(" ");
        }
        chain.push(&self.name);
        command.env(CHAIN, chain);
        command
    }
}

/// Connects standard input and output to a port of the guest. Returns only on failure.
///
/// # Errors
/// There is no route, or ssh can't be started.
pub(crate) fn run(name: &OsStr, port: u16, paths: &Paths, now: i64) -> Result<(), Error> {
    let route = Route::find(name, paths, now).map_err(|why| refused(name, &why))?;
    let source = route.command(port).exec();
    Err(Error::Command { command: "ssh".into(), why: crate::error::reason(&source) })
}

fn refused(name: &OsStr, why: &NoRoute) -> Error {
    let name = lossy(name.as_bytes());
    Error::Refused(match why {
        NoRoute::NotAName => format!("'{name}' cannot be the name of a guest"),
        NoRoute::NotBehind => format!(
            "no guest called '{name}' is behind another host; see 'libvirt-nss explain {name}'"
        ),
        NoRoute::Malformed => format!(
            "the way to '{name}' can't be used: its host, user or key file is malformed; see the URI of its \
             connection in /etc/libvirt-nss.toml"
        ),
        NoRoute::Loop => format!("the way to '{name}' leads through '{name}' itself"),
    })
}

/// Whether each part is well-formed. The parts come from the snapshot, whose writer isn't trusted here.
fn is_well_formed(host: &SshHost) -> bool {
    let SshHost { host, user, key_file, known_hosts, authentications, .. } = host;
    let is_host = host.parse::<IpAddr>().is_ok() || is_plain(host.as_bytes());
    let has_quote =
        |path: &String| path.contains(|c: char| c.is_control() || c == '"' || c == '\\');
    let is_path = |path: &String| path.starts_with('/') && !has_quote(path);
    // ssh takes whatever follows the last @ as the host.
    let is_user = |user: &String| user.split('@').all(|part| is_plain(part.as_bytes()));
    let is_list =
        |list: &String| list.bytes().all(|byte| byte.is_ascii_lowercase() || b"-,".contains(&byte));
    is_host
        && user.as_ref().is_none_or(is_user)
        && [key_file, known_hosts].into_iter().flatten().all(is_path)
        && authentications.as_ref().is_none_or(is_list)
}

/// ssh's arguments.
fn arguments(host: &SshHost, address: IpAddr, port: u16) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["-W".into()];
    arguments.push(match address {
        IpAddr::V4(v4) => format!("{v4}:{port}").into(),
        IpAddr::V6(v6) => format!("[{v6}]:{port}").into(),
    });
    let mut option = |name: &str, value: &str| {
        arguments.extend([OsString::from(name), OsString::from(value)]);
    };
    if let Some(port) = host.port {
        option("-p", &port.to_string());
    }
    if let Some(user) = &host.user {
        option("-l", user);
    }
    if let Some(key_file) = &host.key_file {
        option("-i", &escaped(key_file));
    }
    if let Some(known_hosts) = &host.known_hosts {
        option("-o", &format!("UserKnownHostsFile=\"{}\"", escaped(known_hosts)));
    }
    match host.host_key_check {
        Some(HostKeyCheck::AcceptNew) => option("-o", "StrictHostKeyChecking=accept-new"),
        Some(HostKeyCheck::No) => option("-o", "StrictHostKeyChecking=no"),
        None => {}
    }
    if let Some(authentications) = &host.authentications {
        option("-o", &format!("PreferredAuthentications={authentications}"));
    }
    arguments.extend(["--".into(), OsString::from(&host.host)]);
    arguments
}

/// Escapes a path for ssh, which expands %h and the like in it.
fn escaped(path: &str) -> String {
    path.replace('%', "%%")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> SshHost {
        SshHost { host: "rack1".into(), ..SshHost::default() }
    }

    fn line(host: &SshHost, address: &str) -> String {
        assert!(is_well_formed(host), "{host:?}");
        let arguments = arguments(host, address.parse().unwrap(), 22);
        let arguments: Vec<_> = arguments.iter().map(|one| one.to_str().unwrap()).collect();
        arguments.join(" ")
    }

    #[test]
    fn the_connections_own_options() {
        assert_eq!(line(&host(), "10.0.0.1"), "-W 10.0.0.1:22 -- rack1");
        let all = SshHost {
            host: "2001:db8::1".into(),
            user: Some("adm@example".into()),
            port: Some(2222),
            key_file: Some("/etc/ssh/50%".into()),
            known_hosts: Some("/etc/ssh/known hosts".into()),
            host_key_check: Some(HostKeyCheck::No),
            authentications: Some("publickey,password".into()),
        };
        let expected = "-W [fd00::1]:22 -p 2222 -l adm@example -i /etc/ssh/50%% \
                        -o UserKnownHostsFile=\"/etc/ssh/known hosts\" -o StrictHostKeyChecking=no \
                        -o PreferredAuthentications=publickey,password -- 2001:db8::1";
        assert_eq!(line(&all, "fd00::1"), expected);
    }

    #[test]
    fn what_is_not_handed_on() {
        for bad in ["", "-oProxyCommand=id", "a b", "a;b", "$(id)", "a@b", "host:22"] {
            assert!(!is_well_formed(&SshHost { host: bad.into(), ..host() }), "{bad}");
        }
        for bad in ["", "-x", "a b", "a@", "@", "`id`"] {
            assert!(!is_well_formed(&SshHost { user: Some(bad.into()), ..host() }), "{bad}");
        }
        for bad in ["id", "~/id", "/id\n", "/i\"d", "/i\\d"] {
            assert!(!is_well_formed(&SshHost { key_file: Some(bad.into()), ..host() }), "{bad}");
        }
        let bad = SshHost { authentications: Some("publickey -oX".into()), ..host() };
        assert!(!is_well_formed(&bad));
    }
}
