//! libvirt's connection URIs (<https://libvirt.org/uri.html>).

use guest_store::snapshot::ssh::{HostKeyCheck, SshHost};

/// libvirt's hypervisor drivers (<https://libvirt.org/drivers.html>) and transports (<https://libvirt.org/uri.html>), as they
/// are written in URIs.
const DRIVERS: [&str; 17] = [
    "bhyve",
    "ch",
    "esx",
    "gsx",
    "hyperv",
    "lxc",
    "openvz",
    "parallels",
    "qemu",
    "test",
    "vbox",
    "vmwarefusion",
    "vmwareplayer",
    "vmwarews",
    "vpx",
    "vz",
    "xen",
];
const TRANSPORTS: [&str; 7] = ["ext", "libssh", "libssh2", "ssh", "tcp", "tls", "unix"];

/// Checks whether libvirt could accept the URI, as far as that can be told without asking it.
pub(super) fn check_uri(uri: &str) -> Result<(), String> {
    let shown = uri.escape_debug();
    let scheme = uri.split_once(":/").map(|(scheme, _)| scheme);
    let (Some(scheme), false) =
        (scheme, uri.contains(|c: char| c.is_whitespace() || c.is_control()))
    else {
        return Err(format!(
            "\"{shown}\" is not a libvirt URI, expected one such as \"qemu+ssh://root@host/system\""
        ));
    };
    let (driver, transport) = match scheme.split_once('+') {
        Some((driver, transport)) => (driver, Some(transport)),
        None => (scheme, None),
    };
    let unknown = |kind: &str, word: &str, known: &[&str]| {
        Err(format!(
            "\"{shown}\": unknown {kind} \"{}\", expected one of {}",
            word.escape_debug(),
            known.join(", ")
        ))
    };
    if !DRIVERS.contains(&driver) {
        return unknown("driver", driver, &DRIVERS);
    }
    match transport {
        Some(transport) if !TRANSPORTS.contains(&transport) => {
            unknown("transport", transport, &TRANSPORTS)
        }
        _ => Ok(()),
    }
}

/// Whether the URI is for libvirt on this host: no transport but a local socket, no host, and no custom socket, which may lead
/// to another host (<https://libvirt.org/uri.html>).
#[must_use]
pub fn is_here(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else { return false };
    let local = scheme.split_once('+').is_none_or(|(_, transport)| transport == "unix");
    let (path, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let host = path.strip_prefix("//").map_or("", |path| path.split('/').next().unwrap_or(path));
    let own_socket = parameters.split(['&', ';']).any(|parameter| {
        let socket = parameter.strip_prefix("socket=");
        socket.is_some_and(|path| !is_standard_socket(path))
    });
    local && host.is_empty() && !own_socket
}

/// The host that the URI reaches through ssh, and how to log in there; `None` for other transports. Parameters for libvirt
/// itself (`netcat`, `proxy`, `socket`) and for running ssh without a terminal (`no_tty`, `command`) are ignored.
#[must_use]
pub fn ssh_host(uri: &str) -> Option<SshHost> {
    let (scheme, rest) = uri.split_once("://")?;
    let is_ssh = match scheme.split_once('+')?.1 {
        "ssh" => true,
        "libssh" | "libssh2" => false,
        _ => return None,
    };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = rest.split('/').next().unwrap_or(rest);
    let (user, place) = match authority.rsplit_once('@') {
        Some((user, place)) => (Some(decoded(user)?), place),
        None => (None, authority),
    };
    let (host, port) = match place.strip_prefix('[').and_then(|place| place.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port.strip_prefix(':')?)),
        None => match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    let port = port.filter(|port| !port.is_empty()).map(|port| port.parse().ok());
    let mut ssh = SshHost {
        host: decoded(host).filter(|host| !host.is_empty())?,
        user: user.filter(|user| !user.is_empty()),
        port: match port {
            Some(port) => Some(port?),
            None => None,
        },
        ..SshHost::default()
    };
    let parameters = query.split(['&', ';']).filter_map(|parameter| parameter.split_once('='));
    for (name, value) in parameters {
        let value = decoded(value)?;
        match (name, value.as_str(), is_ssh) {
            ("keyfile", ..) => ssh.key_file = Some(value),
            ("no_verify", "0", _) => {}
            ("no_verify", _, true) | ("known_hosts_verify", "ignore", false) => {
                ssh.host_key_check = Some(HostKeyCheck::No);
            }
            ("known_hosts_verify", "auto", false) => {
                ssh.host_key_check = Some(HostKeyCheck::AcceptNew);
            }
            ("known_hosts", _, false) => ssh.known_hosts = Some(value),
            ("sshauth", methods, false) => ssh.authentications = Some(authentications(methods)),
            _ => {}
        }
    }
    Some(ssh)
}

/// libvirt's `sshauth` as PreferredAuthentications of ssh_config(5).
fn authentications(methods: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    for method in methods.split(',') {
        let name = match method {
            "privkey" | "agent" => "publickey",
            other => other,
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(",")
}

/// Decodes %XX (RFC 3986, 2.1); `None` if the result isn't UTF-8.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut pieces = text.split('%');
    bytes.extend_from_slice(pieces.next()?.as_bytes());
    for piece in pieces {
        let (hex, rest) = piece.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(hex, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

/// Whether the socket is that of libvirtd or of one of the daemons that replace it.
fn is_standard_socket(path: &str) -> bool {
    let name = path.strip_prefix("/var").unwrap_or(path).strip_prefix("/run/libvirt/");
    let name = name.map(|name| name.strip_suffix("-ro").unwrap_or(name));
    name.is_some_and(|name| !name.contains('/') && name.ends_with("-sock"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_uris_are_here() {
        for uri in [
            "qemu:///system",
            "qemu:/system",
            "qemu+unix:///system",
            "lxc:///",
            "qemu:///system?no_verify=1",
            "qemu+unix:///system?socket=/run/libvirt/virtqemud-sock",
            "qemu:///system?socket=/var/run/libvirt/libvirt-sock-ro",
        ] {
            assert!(is_here(uri), "{uri}");
        }
        for uri in [
            "qemu+ssh://root@host/system",
            "qemu+ssh:///system",
            "qemu+tls://host/system",
            "qemu://host/system",
            "qemu+tcp://127.0.0.1:16510/system",
            "qemu+unix:///system?socket=/tmp/other",
            "qemu:///system?socket=/run/libvirt/other/libvirt-sock",
            "nothing",
        ] {
            assert!(!is_here(uri), "{uri}");
        }
    }

    fn host(host: &str) -> SshHost {
        SshHost { host: host.into(), ..SshHost::default() }
    }

    #[test]
    fn the_way_by_ssh() {
        for uri in [
            "qemu+ssh://rack1/system",
            "qemu+ssh://rack1:/system?no_verify=0",
            "xen+libssh://rack1/",
        ] {
            assert_eq!(ssh_host(uri), Some(host("rack1")), "{uri}");
        }
        let all = SshHost {
            user: Some("adm@example".into()),
            port: Some(2222),
            key_file: Some("/etc/keys/rack 1".into()),
            host_key_check: Some(HostKeyCheck::No),
            ..host("2001:db8::1")
        };
        let uri = "qemu+ssh://adm%40example@[2001:db8::1]:2222/system?keyfile=/etc/keys/rack%201&no_verify=1&no_tty=1";
        assert_eq!(ssh_host(uri), Some(all));
        let by_library = SshHost {
            known_hosts: Some("/k".into()),
            host_key_check: Some(HostKeyCheck::AcceptNew),
            authentications: Some("publickey,password".into()),
            ..host("rack1")
        };
        let uri = "qemu+libssh2://rack1/system?known_hosts=/k;known_hosts_verify=auto;sshauth=privkey,agent,password";
        assert_eq!(ssh_host(uri), Some(by_library));
        // This parameter is for other transports.
        assert_eq!(
            ssh_host("qemu+ssh://rack1/system?known_hosts=/k&sshauth=agent"),
            Some(host("rack1"))
        );
        for uri in [
            "qemu:///system",
            "qemu+tcp://rack1/system",
            "qemu+ssh:///system",
            "qemu+ssh://root@/system",
            "qemu+ssh://rack1:x/system",
            "qemu+ssh://rack1:99999/system",
            "qemu+ssh://[::1/system",
            "qemu+ssh://rack%zz/system",
            "nothing",
        ] {
            assert_eq!(ssh_host(uri), None, "{uri}");
        }
    }
}
