//! Host names and domain names: which are taken, and when two are the same.

use crate::text::TEXT_MAX;

/// A name as it is asked for, ready to be compared.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    raw: &'a [u8],
    /// Without one trailing dot.
    name: &'a [u8],
}

/// How a name out of a state file answers to the name that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit {
    /// It has the same case too.
    pub exact: bool,
    /// How many bytes of the wanted name it leaves over: the name fits where the lease's network has them
    /// as its domain. 0: it is the whole of it.
    rest: u8,
}

impl Fit {
    /// The whole name in another case.
    pub const INEXACT: Self = Self { exact: false, rest: 0 };

    /// It is the whole name, in whatever network.
    #[must_use]
    pub fn is_whole(self) -> bool {
        self.rest == 0
    }
}

impl<'a> Wanted<'a> {
    /// The name of a guest's host. `None` for what is no host name, and for `localhost`: no guest may
    /// answer to that.
    #[must_use]
    pub fn host(raw: &'a [u8]) -> Option<Self> {
        let wanted = Self::domain(raw)?;
        is_host_name(wanted.name).then_some(wanted)
    }

    /// The name of a libvirt domain, which may be anything that libvirt allows, spaces and UTF-8 among
    /// it. `None` for the empty name, one that is longer than libvirt can keep, and `localhost`.
    #[must_use]
    pub fn domain(raw: &'a [u8]) -> Option<Self> {
        let name = without_trailing_dot(raw);
        let possible = !name.is_empty() && name.len() <= TEXT_MAX && !is_localhost(name);
        possible.then_some(Self { raw, name })
    }

    /// What the caller's answer calls the host: the name as asked for, without one trailing dot.
    #[must_use]
    pub fn canonical(&self) -> &'a [u8] {
        self.name
    }

    /// What stands before the first dot: every name that fits begins with it, in either case.
    #[must_use]
    pub fn first_label(&self) -> &'a [u8] {
        self.name.split(|&byte| byte == b'.').next().unwrap_or(self.name)
    }

    /// Whether it has no dot: no longer and no shorter name fits then.
    #[must_use]
    pub fn is_one_label(&self) -> bool {
        self.first_label() == self.raw
    }

    /// How `name` fits, if it does.
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

    /// Whether a name that fits so does in a network of this `domain`.
    #[must_use]
    pub fn fits_in(&self, fit: Fit, domain: &[u8]) -> bool {
        let rest = self.name.len().checked_sub(fit.rest.into()).and_then(|at| self.name.get(at..));
        fit.is_whole() || rest.is_some_and(|rest| same(without_trailing_dot(domain), rest))
    }
}

/// Whether a guest's own name for itself may be given to anyone: a host name (RFC 952, RFC 1123, and
/// the underscore that dnsmasq lets through), not `localhost`, and nothing that reads as an address.
#[must_use]
pub fn is_host_name(name: &[u8]) -> bool {
    let labels_are_good = name.split(|&byte| byte == b'.').all(is_label);
    let last = last_label(name);
    name.len() <= 253 && labels_are_good && !reads_as_number(last) && !is_localhost(name)
}

fn is_label(label: &[u8]) -> bool {
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    match label {
        [] => false,
        [b'-', ..] | [.., b'-'] => false,
        _ => label.len() <= 63 && label.iter().all(inner),
    }
}

/// A last label that `inet_aton` takes for a number makes the whole an IPv4 address.
fn reads_as_number(label: &[u8]) -> bool {
    match label {
        [b'0', b'x' | b'X', digits @ ..] => digits.iter().all(u8::is_ascii_hexdigit),
        _ => label.iter().all(u8::is_ascii_digit),
    }
}

/// RFC 6761, 6.3: `localhost` and all below it are the host itself.
fn is_localhost(name: &[u8]) -> bool {
    const LOCALHOST: &[u8] = b"localhost";
    const LOCALDOMAIN: &[u8] = b"localhost.localdomain";
    let last = last_label(name);
    same(last, LOCALHOST) || same(name, LOCALDOMAIN)
}

fn last_label(name: &[u8]) -> &[u8] {
    name.rsplit(|&byte| byte == b'.').next().unwrap_or(name)
}

/// RFC 4343: the case of ASCII letters doesn't count.
#[inline(never)]
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    // Byte by byte: core's own comparison of slices is made for long ones, and is a lot of code.
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
            "a.1",
            "0x7f",
            "a.0x",
            "ä",
            &long,
            "localhost",
            "LocalHost",
            "a.localhost",
            "localhost.localdomain",
        ] {
            assert!(!is_host_name(bad.as_bytes()), "{bad}");
        }
        assert!(is_host_name(&long.as_bytes()[..63]));
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
