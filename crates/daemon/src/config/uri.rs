//! Connection URIs of libvirt (<https://libvirt.org/uri.html>).

/// libvirt's drivers of guests (<https://libvirt.org/drivers.html>) and the transports to them
/// (<https://libvirt.org/uri.html>), as they are written in URIs.
const DRIVERS: [&str; 15] = [
    "bhyve",
    "ch",
    "esx",
    "gsx",
    "hyperv",
    "lxc",
    "openvz",
    "qemu",
    "test",
    "vbox",
    "vmwareplayer",
    "vmwarews",
    "vpx",
    "vz",
    "xen",
];
const TRANSPORTS: [&str; 7] = ["ext", "libssh", "libssh2", "ssh", "tcp", "tls", "unix"];

/// Whether libvirt could make sense of it, as far as that can be said without asking.
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

/// Whether the URI leads to libvirt on this host: no transport but a local socket, no host, and no socket
/// of one's own, which may be another host's (<https://libvirt.org/uri.html>).
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

/// libvirtd's, and those of the daemons that it has been split into.
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
}
