//! What ssh calls a host: `web`, `[web]:2222`, `192.168.122.10`, `[fd00::1]:2222`.

use std::net::IpAddr;

/// A host without its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target<'t> {
    /// A name, without one trailing dot.
    Name(&'t [u8]),
    /// An address. Never a link-local one, since another link may have the same address.
    Address(IpAddr),
}

impl<'t> Target<'t> {
    /// Parses what ssh puts in place of %H; with a port, it has the form that known_hosts uses. `None` for anything
    /// that could be more than one name in a known_hosts line (sshd(8)) or on a command line.
    pub(crate) fn with_port(text: &'t [u8]) -> Option<Self> {
        let Some(bracketed) = text.strip_prefix(b"[") else { return Self::parse(text) };
        let end = bracketed.iter().position(|&byte| byte == b']')?;
        let (host, port) = bracketed.split_at(end);
        match port {
            b"]" => {}
            [b']', b':', digits @ ..] => {
                let is_port = (1..=5).contains(&digits.len());
                (is_port && digits.iter().all(u8::is_ascii_digit)).then_some(())?;
            }
            _ => return None,
        }
        Self::parse(host)
    }

    /// Parses a host.
    pub(crate) fn parse(text: &'t [u8]) -> Option<Self> {
        if let Ok(address) = std::str::from_utf8(text).unwrap_or_default().parse::<IpAddr>() {
            let is_link_local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
            return (!is_link_local).then_some(Self::Address(address));
        }
        let name = text.strip_suffix(b".").unwrap_or(text);
        is_plain(name).then_some(Self::Name(name))
    }
}

/// Whether a name has no special meaning to a shell, to ssh and in known_hosts.
pub(crate) fn is_plain(name: &[u8]) -> bool {
    let may_be_in = |&byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+') || byte >= 0x80
    };
    (1..=255).contains(&name.len()) && name[0] != b'-' && name.iter().all(may_be_in)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for text in ["web", "web.", "[web]:2222", "[web.]:1", "[web]"] {
            assert_eq!(Target::with_port(text.as_bytes()), Some(Target::Name(b"web")), "{text}");
        }
        let name = Target::Name(b"web-1.vm.internal");
        assert_eq!(Target::with_port(b"web-1.vm.internal."), Some(name));
        assert_eq!(
            Target::parse("b\u{fc}ro".as_bytes()),
            Some(Target::Name("b\u{fc}ro".as_bytes()))
        );
        for text in ["10.0.0.1", "[10.0.0.1]:22", "fd00::1", "[fd00::1]:65535"] {
            let host = text.trim_start_matches('[').split(']').next().unwrap();
            let address = Target::Address(host.parse().unwrap());
            assert_eq!(Target::with_port(text.as_bytes()), Some(address), "{text}");
        }
    }

    #[test]
    fn what_is_more_than_a_host() {
        for text in [
            "",
            ".",
            "[]:22",
            "-web",
            "-oProxyCommand=x",
            "web,db",
            "we*",
            "we?",
            "!web",
            "we b",
            "web\n",
            "web\tx",
            "|1|a|b",
            "@revoked",
            "#web",
            "$(id)",
            "`id`",
            "a;b",
            "a'b",
            "a\"b",
            "a\\b",
            "a/b",
            "a&b",
            "a%h",
            "[web",
            "[web]2222",
            "[web]:",
            "[web]:x",
            "[web]:123456",
            "[web]:22 x",
            "[[web]]:22",
            "fe80::1",
            "fe80::1%virbr0",
            "[fe80::1]:22",
        ] {
            assert_eq!(Target::with_port(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Target::parse(b"[web]:22"), None);
        assert_eq!(Target::parse(&[b'x'; 256]), None);
    }
}
