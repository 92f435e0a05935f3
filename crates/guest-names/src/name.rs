//! Host names and domain names: which are valid, and when two are the same.

use crate::address::hex;
use crate::text::TEXT_MAX;

/// Which of a guest's names is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameKind {
    /// The host name that the guest gave to DHCP: the module `libvirt`.
    HostName,
    /// The name of its libvirt domain: the module `libvirt_guest`.
    Domain,
}

impl NameKind {
    /// The name, ready to be compared. `None` if no guest can have it.
    #[must_use]
    pub fn wanted(self, name: &[u8]) -> Option<Wanted<'_>> {
        match self {
            Self::HostName => Wanted::host(name),
            Self::Domain => Wanted::domain(name),
        }
    }
}

/// The name that is looked up, ready to be compared.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    raw: &'a [u8],
    /// Without one trailing dot.
    name: &'a [u8],
}

/// How a name from a state file matches the wanted name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit {
    /// The case is the same too.
    pub exact: bool,
    /// How many bytes of the wanted name are left, which must be the domain of the lease's network. 0: the whole name
    /// matches.
    rest: u8,
}

impl Fit {
    /// A placeholder.
    pub(crate) const INEXACT: Self = Self { exact: false, rest: 0 };

    /// The whole name matches, in any network.
    #[must_use]
    pub fn is_whole(self) -> bool {
        self.rest == 0
    }
}

impl<'a> Wanted<'a> {
    /// A guest's host name. `None` if it isn't a [host name that a guest may have](is_host_name).
    #[must_use]
    pub fn host(raw: &'a [u8]) -> Option<Self> {
        let wanted = Self::domain(raw)?;
        is_host_name(wanted.name).then_some(wanted)
    }

    /// The name of a libvirt domain, which may be anything that libvirt allows, including spaces and UTF-8.
    /// `None` for the empty name, one that is longer than libvirt can keep, and `localhost`.
    #[must_use]
    pub fn domain(raw: &'a [u8]) -> Option<Self> {
        let name = without_trailing_dot(raw);
        let possible = !name.is_empty() && name.len() <= TEXT_MAX && !is_localhost(name);
        possible.then_some(Self { raw, name })
    }

    /// The name in an answer: as it was asked for, without one trailing dot.
    #[must_use]
    pub fn canonical(&self) -> &'a [u8] {
        self.name
    }

    /// What comes before the first dot: every name that matches begins with it, in either case.
    #[must_use]
    pub fn first_label(&self) -> &'a [u8] {
        self.name.split(|&byte| byte == b'.').next().unwrap_or(self.name)
    }

    /// Whether it has no dot: then no longer and no shorter name matches.
    #[must_use]
    pub fn is_one_label(&self) -> bool {
        self.first_label() == self.raw
    }

    /// How `name` matches, if it does.
    #[must_use]
    pub fn fit(&self, name: &[u8]) -> Option<Fit> {
        if name.is_empty() {
            return None;
        }
        if name == self.raw {
            return Some(Fit { exact: true, rest: 0 });
        }
        let (head, tail) = self.name.split_at_checked(name.len())?;
        let rest = match tail {
            [] => tail,
            [b'.', rest @ ..] if !rest.is_empty() => rest,
            _ => return None,
        };
        same(head, name).then_some(Fit { exact: head == name, rest: rest.len() as u8 })
    }

    /// Whether a name that matches so does in a network of this `domain`.
    #[must_use]
    pub fn fits_in(&self, fit: Fit, domain: &[u8]) -> bool {
        let rest = self.name.len().checked_sub(fit.rest.into()).and_then(|at| self.name.get(at..));
        fit.is_whole() || rest.is_some_and(|rest| same(without_trailing_dot(domain), rest))
    }
}

/// The longest host name, in bytes: RFC 1035, 2.3.4, less what the wire format adds.
pub const HOST_NAME_MAX: usize = 253;

/// Whether a guest may have this host name: it is valid (RFC 952, RFC 1123, and the underscore that dnsmasq accepts), not
/// reserved, and not an address to `inet_aton`.
#[must_use]
pub fn is_host_name(name: &[u8]) -> bool {
    let labels_are_good = name.split(|&byte| byte == b'.').all(is_label);
    name.len() <= HOST_NAME_MAX
        && labels_are_good
        && !is_inet_aton_address(name)
        && !is_reserved(name)
}

fn is_label(label: &[u8]) -> bool {
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    match label {
        [] => false,
        [b'-', ..] | [.., b'-'] => false,
        _ => label.len() <= 63 && label.iter().all(inner),
    }
}

/// Whether inet_aton(3) accepts the name as an IPv4 address: up to four numbers, decimal, octal or hexadecimal, of which the
/// last fills the remaining octets.
fn is_inet_aton_address(name: &[u8]) -> bool {
    if !name.first().is_some_and(u8::is_ascii_digit) {
        return false;
    }
    // The largest value of the next number, if it is the last one.
    let mut limit = u64::from(u32::MAX);
    let mut parts = name.split(|&byte| byte == b'.').peekable();
    while let Some(part) = parts.next() {
        let is_last = parts.peek().is_none();
        let most = if is_last { limit } else { 0xff };
        if limit == 0 || c_number(part).is_none_or(|value| value > most) {
            return false;
        }
        limit >>= 8;
    }
    true
}

/// A number as C writes it: decimal, octal with a leading 0, hexadecimal with a leading 0x.
fn c_number(text: &[u8]) -> Option<u64> {
    let (digits, radix) = match text {
        [b'0', b'x' | b'X', digits @ ..] => (digits, 16),
        [b'0', ..] => (text, 8),
        _ => (text, 10),
    };
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |value, &byte| {
        let digit = hex(byte).filter(|&digit| digit < radix)?;
        Some(value.saturating_mul(radix.into()).saturating_add(digit.into()))
    })
}

/// Names that no guest may have, as one text. Programs look up the first two to configure themselves (web proxies, RFC 5214
/// tunnels), also with a domain after them; systemd gives the others to the host itself.
const RESERVED: &[u8] = b"wpad,isatap,_gateway,_outbound,_localdnsstub,_localdnsproxy";

fn is_reserved(name: &[u8]) -> bool {
    let first = name.split(|&byte| byte == b'.').next().unwrap_or(name);
    is_localhost(name) || RESERVED.split(|&byte| byte == b',').any(|word| same(word, first))
}

/// Whether `name` is the host's own: its node name, or the first label of that.
#[must_use]
pub fn is_node_name(name: &[u8], node: &[u8]) -> bool {
    let label = node.split(|&byte| byte == b'.').next().unwrap_or(node);
    let name = without_trailing_dot(name);
    same(name, node) || same(name, label)
}

/// RFC 6761, 6.3: `localhost` and all names below it are the host itself. To systemd (`is_localhost` in
/// basic/hostname-util.c), so are `localhost.localdomain` and all names below that.
fn is_localhost(name: &[u8]) -> bool {
    let mut labels = name.rsplit(|&byte| byte == b'.');
    let mut last = labels.next().unwrap_or(name);
    if same(last, b"localdomain") {
        last = labels.next().unwrap_or(name);
    }
    same(last, b"localhost")
}

/// Compares as RFC 4343 says: without regard to the case of ASCII letters.
#[inline(never)] // 1.8 KB less code
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    // Byte by byte: core's own comparison of slices is for long ones, and is a lot of code.
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.eq_ignore_ascii_case(b))
}

pub(crate) fn without_trailing_dot(name: &[u8]) -> &[u8] {
    name.strip_suffix(b".").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names() {
        for good in [
            "web",
            "web-1",
            "a",
            "web_vm",
            "_dmarc.x",
            "a.b.c",
            "1and1",
            "9p",
            "0xfg",
            "xn--bcher-kva",
            "ubuntu20.04",
            "v1.2",
            "300.300",
            "a.1",
            "1.2.3.4.5",
            "08",
            "wpad2",
            "my-isatap",
            "localdomain",
            "web.localdomain",
            "localhost.localdomain.example",
        ] {
            assert!(is_host_name(good.as_bytes()), "{good}");
        }
        let long = "a".repeat(64);
        for bad in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "-a",
            "a-",
            "a b",
            "a/b",
            "1234",
            "1.2.3.4",
            "0x7f",
            "0x7f.1",
            "010",
            "WPAD",
            "wpad.lab.example",
            "isatap",
            "_gateway",
            "_localdnsproxy",
            "ä",
            &long,
            "localhost",
            "LocalHost",
            "a.localhost",
            "localhost.localdomain",
            "a.localhost.LocalDomain",
        ] {
            assert!(!is_host_name(bad.as_bytes()), "{bad}");
        }
        assert!(is_host_name(&long.as_bytes()[..63]));
    }

    #[test]
    fn the_hosts_own_name() {
        assert!(is_node_name(b"Host", b"host.lab.example"));
        assert!(is_node_name(b"host.LAB.example.", b"host.lab.example"));
        assert!(!is_node_name(b"host.lab", b"host.lab.example"));
        assert!(!is_node_name(b"host2", b"host"));
    }

    #[test]
    fn wanted_names() {
        assert!(Wanted::host(b"web.").is_some());
        assert!(Wanted::host(b"web..").is_none());
        assert!(Wanted::host(b"").is_none());
        assert!(Wanted::host(b".").is_none());
        assert!(Wanted::host(b"my vm").is_none());
        assert_eq!(Wanted::domain(b"my vm.").unwrap().canonical(), b"my vm");
        assert!(Wanted::domain(b"localhost").is_none());
        assert!(Wanted::domain(&[b'a'; 257]).is_none());
    }

    #[test]
    fn fits() {
        let web = Wanted::host(b"Web.lab.example.").unwrap();
        assert_eq!(web.first_label(), b"Web");
        assert_eq!(web.fit(b"web.lab.example"), Some(Fit { exact: false, rest: 0 }));
        assert_eq!(web.fit(b"Web.lab.example"), Some(Fit { exact: true, rest: 0 }));
        assert_eq!(web.fit(b"Web.lab.example."), Some(Fit { exact: true, rest: 0 }));
        let within = web.fit(b"web").unwrap();
        assert!(!within.exact);
        assert!(web.fits_in(within, b"LAB.example."));
        assert!(web.fits_in(within, b"lab.example"));
        assert!(!web.fits_in(within, b"lab") && !web.fits_in(within, b""));
        let within = web.fit(b"Web.lab").unwrap();
        assert!(within.exact && web.fits_in(within, b"Example"));
        for other in ["", "we", "webb", "web.", "x", "web.lab.example.com"] {
            assert_eq!(web.fit(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn a_domain_whose_own_name_ends_in_a_dot() {
        let wanted = Wanted::domain(b"vm.").unwrap();
        assert_eq!(wanted.fit(b"vm."), Some(Fit { exact: true, rest: 0 }));
        assert_eq!(wanted.fit(b"vm"), Some(Fit { exact: true, rest: 0 }));
    }
}
