//! A simple model of a module's answers: libvirt's module without any rule, ours with all rules. Each rule is a separate
//! condition, so the model also shows which rules make the difference in a case.

use std::ffi::CString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use abi::{Kind, Query};
use libc::{AF_INET, AF_INET6, AF_UNSPEC};

use crate::peer::{Ask, NODE_NAME};
use crate::rules::{Rule, Rules};
use crate::stock::Version;
use crate::world::{Bridge, Damage, Expiry, Extra, Lease, MacMap, World};

/// A predicted answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prediction {
    /// A name and addresses. Those of one group may come in any order, as their leases end in the same second.
    Found {
        /// The canonical name.
        name: String,
        /// Groups of addresses, in order.
        groups: Vec<Vec<IpAddr>>,
    },
    /// `STATUS ERRNO H_ERRNO`.
    Not(&'static str),
}

const UNKNOWN: Prediction = Prediction::Not("NOTFOUND ESRCH HOST_NOT_FOUND");
const NO_DATA: Prediction = Prediction::Not("UNAVAIL ENXIO NO_DATA");
/// The answer of libvirt's module when it gives up.
const GIVES_UP: Prediction = Prediction::Not("UNAVAIL - NO_RECOVERY");

impl Prediction {
    /// Whether an outcome, as text, matches the prediction.
    #[must_use]
    pub fn is(&self, outcome: &str) -> bool {
        let (name, groups) = match self {
            Prediction::Not(text) => return outcome == *text,
            Prediction::Found { name, groups } => (name, groups),
        };
        let Some(rest) = outcome.strip_prefix(&format!("{}:", name.as_bytes().escape_ascii()))
        else {
            return false;
        };
        let mut found = rest.split_whitespace();
        for group in groups {
            let mut wanted: Vec<String> = group.iter().map(ToString::to_string).collect();
            let mut next: Vec<&str> = found.by_ref().take(wanted.len()).collect();
            wanted.sort();
            next.sort_unstable();
            if next != wanted {
                return false;
            }
        }
        found.next().is_none()
    }

    fn sorted(mut self) -> Prediction {
        if let Prediction::Found { groups, .. } = &mut self {
            groups.iter_mut().for_each(|group| group.sort());
        }
        self
    }
}

/// A state directory, a module and a call.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'w> {
    /// The files, bridges in the order in which the directory is listed.
    pub world: &'w World,
    /// Which module.
    pub kind: Kind,
    /// The call: by name, with a family or without.
    pub ask: &'w Ask,
    /// Seconds since 1970, as the module reads them.
    pub now: i64,
    /// The version of libvirt's modules.
    pub version: Version,
}

impl Situation<'_> {
    /// The rules that together turn libvirt's answer into ours, without any that isn't needed;
    /// none if the modules agree.
    #[must_use]
    pub fn needed(&self) -> Vec<Rule> {
        let ours = self.predict(Rules::all());
        let mut rules = if self.predict(Rules::NONE) == ours { Rules::NONE } else { Rules::all() };
        for rule in Rule::ALL {
            if self.predict(rules.without(rule)) == ours {
                rules = rules.without(rule);
            }
        }
        Rule::ALL.into_iter().filter(|&rule| rules.has(rule)).collect()
    }

    /// The answer of a module with these rules.
    ///
    /// # Panics
    ///
    /// If the call isn't by name.
    #[must_use]
    pub fn predict(&self, rules: Rules) -> Prediction {
        let (name, family) = match &self.ask.query {
            Query::Name(name) => (name, AF_INET),
            Query::Name2(name, family) | Query::Name3(name, family) => (name, *family),
            Query::Name4(name) => (name, AF_UNSPEC),
            other => panic!("{other} is not by name"),
        };
        if ![AF_INET, AF_INET6, AF_UNSPEC].contains(&family) {
            return Prediction::Not(if rules.has(Rule::OtherFamilies) {
                "UNAVAIL EAFNOSUPPORT NO_DATA"
            } else {
                "UNAVAIL EAFNOSUPPORT NO_RECOVERY"
            });
        }
        let name = String::from_utf8_lossy(name);
        let name = match name.strip_suffix('.') {
            Some(rest) if rules.has(Rule::TrailingDot) => rest,
            _ => &name,
        };
        if rules.has(Rule::HostNames) && !is_valid(name, self.kind)
            || rules.has(Rule::Reserved) && self.kind == Kind::Host && is_reserved(name)
        {
            return UNKNOWN;
        }
        let mut found = match self.kind {
            Kind::Host => self.host(name, rules),
            Kind::Guest => self.guest(name, rules),
        };
        if let Ok(candidates) = &mut found {
            if rules.has(Rule::Clients) {
                keep_freshest_clients(candidates);
            }
            if rules.has(Rule::LinkLocal) {
                keep_link_local_as_last_resort(candidates);
            }
            found = family_of(std::mem::take(candidates), &self.ask.query, family, rules);
        }
        match found {
            Err(prediction) => prediction,
            // A guest's leases on several bridges come in the order of the `.macs` files in our module, of the
            // `.status` files in libvirt's.
            Ok(candidates) if self.kind == Kind::Guest => {
                self.answer(name, candidates, rules).sorted()
            }
            Ok(candidates) => self.answer(name, candidates, rules),
        }
    }

    /// The bridges whose files are read. A bridge's name has at most 15 bytes.
    fn bridges(&self, rules: Rules) -> impl Iterator<Item = &Bridge> {
        let all = self.world.bridges.iter();
        all.filter(move |bridge| !rules.has(Rule::BridgeNames) || bridge.name.len() <= 15)
    }

    /// The leases of a host name.
    fn host(&self, name: &str, rules: Rules) -> Result<Vec<Candidate<'_>>, Prediction> {
        let mut found = self.leases(rules, |_, lease| {
            let Some(hostname) = &lease.hostname else { return false };
            let whole = same(name, hostname);
            let with_domain = lease.domain.as_ref().is_some_and(|domain| {
                let domain = domain.strip_suffix('.').unwrap_or(domain);
                rules.has(Rule::NetworkDomain) && same(name, &format!("{hostname}.{domain}"))
            });
            whole || with_domain
        })?;
        if found.is_empty() {
            return Err(UNKNOWN);
        }
        if rules.has(Rule::LeftBehind) && found.iter().any(|candidate| candidate.attached) {
            found.retain(|candidate| candidate.attached);
        }
        Ok(found)
    }

    /// The leases of a domain's NICs.
    fn guest(&self, name: &str, rules: Rules) -> Result<Vec<Candidate<'_>>, Prediction> {
        for file in self.bridges(rules).filter_map(|bridge| bridge.macs.as_ref()) {
            let empty_is_good = self.version > Version::V9_0 && file.damage == Damage::Empty;
            let damaged = file.damage != Damage::None && !empty_is_good;
            // Escaped characters don't matter.
            let is_utf8 = |map: &MacMap| !map.style.escaped && !map.domain.is_ascii();
            let whole = file.whole_records();
            let refused = self.version == Version::V11_3 && whole.iter().any(is_utf8);
            if damaged && !rules.has(Rule::Files) || refused && !rules.has(Rule::Utf8) {
                return Err(GIVES_UP);
            }
        }
        let mut nics: Vec<Nic<'_>> = Vec::new();
        let (mut known, mut known_exactly) = (false, false);
        for bridge in self.bridges(rules) {
            for map in bridge.macs.as_ref().map_or(&[][..], |file| file.whole_records()) {
                let exact = name.starts_with(&map.domain);
                let rest = match rest_after(name, &map.domain) {
                    Some("") => None,
                    Some(rest) if rules.has(Rule::NetworkDomain) => rest.strip_prefix('.'),
                    _ => continue,
                };
                known |= rest.is_none();
                known_exactly |= rest.is_none() && exact;
                let (bridge, macs) = (bridge.name.as_str(), map.macs.iter());
                nics.extend(macs.map(|mac| Nic { bridge, mac, network_domain: rest, exact }));
            }
        }
        if known_exactly && rules.has(Rule::ExactCase) {
            nics.retain(|nic| nic.exact);
        }
        let nothing = match known {
            false if rules.has(Rule::UnknownGuest) => UNKNOWN,
            true if rules.has(Rule::IdleGuest) => NO_DATA,
            true if !nics.is_empty() => UNKNOWN,
            _ => GIVES_UP,
        };
        if nics.is_empty() {
            return Err(nothing);
        }
        let found = self.leases(rules, |bridge, lease| {
            let Some(mac) = &lease.mac else { return false };
            nics.iter().any(|nic| {
                let here = nic.bridge == bridge || !rules.has(Rule::Bridge);
                let domain = lease.domain.as_ref().map(|it| it.strip_suffix('.').unwrap_or(it));
                let network = nic
                    .network_domain
                    .is_none_or(|rest| domain.is_some_and(|domain| same(domain, rest)));
                let its =
                    if rules.has(Rule::Macs) { same_mac(nic.mac, mac) } else { nic.mac == mac };
                here && network && its
            })
        })?;
        if found.is_empty() { Err(nothing) } else { Ok(found) }
    }

    /// The leases that haven't ended and that `wanted` accepts.
    fn leases(
        &self,
        rules: Rules,
        wanted: impl Fn(&str, &Lease) -> bool,
    ) -> Result<Vec<Candidate<'_>>, Prediction> {
        let mut found = Vec::new();
        for bridge in self.bridges(rules) {
            let Some(file) = &bridge.leases else { continue };
            // libvirt's module treats an empty file as one without leases.
            if !rules.has(Rule::Files) && !matches!(file.damage, Damage::None | Damage::Empty) {
                return Err(GIVES_UP);
            }
            for (order, lease) in file.whole_records().iter().enumerate() {
                let odd_key =
                    matches!(lease.extra, Some(Extra::Integer | Extra::Array | Extra::Object));
                let yajl = self.version == Version::V9_0;
                let no_expiry = matches!(lease.expiry, Expiry::Absent | Expiry::Null);
                let wanted = wanted(&bridge.name, lease);
                if (yajl && odd_key && !rules.has(Rule::Keys))
                    || (yajl && lease.mac.is_none() && !rules.has(Rule::NoMac))
                    || (!yajl && wanted && no_expiry && !rules.has(Rule::NoExpiry))
                {
                    return Err(GIVES_UP);
                }
                let Some(expiry) = self.expiry(lease.expiry, rules) else { continue };
                if !wanted || has_ended(expiry, self.now, rules) {
                    continue;
                }
                let Some(ip) = address(&lease.ip, rules) else {
                    if rules.has(Rule::Records) || rules.has(Rule::AddressText) && aton(&lease.ip) {
                        continue;
                    }
                    return Err(GIVES_UP);
                };
                found.push(Candidate {
                    ip,
                    expiry,
                    attached: self.attached(&bridge.name, lease),
                    bridge: &bridge.name,
                    order,
                    lease,
                });
            }
        }
        Ok(found)
    }

    /// Seconds since 1970, 0 for never; `None` for a record with a wrong value. With yajl such a value is ignored, and
    /// json-c converts it.
    fn expiry(&self, expiry: Expiry, rules: Rules) -> Option<i64> {
        match expiry {
            Expiry::At(time) => Some(time),
            Expiry::Absent => Some(0),
            Expiry::Text(_) | Expiry::Null if rules.has(Rule::Records) => None,
            Expiry::Text(time) if self.version > Version::V9_0 => Some(time),
            Expiry::Text(_) | Expiry::Null => Some(0),
        }
    }

    /// Whether a lease's NIC is in its bridge's MAC map.
    fn attached(&self, bridge: &str, lease: &Lease) -> bool {
        let Some(mac) = &lease.mac else { return false };
        let files = self.world.bridges.iter().filter(|other| other.name == bridge);
        files
            .filter_map(|bridge| bridge.macs.as_ref())
            .flat_map(|file| file.whole_records())
            .any(|map| map.macs.iter().any(|nic| same_mac(nic, mac)))
    }

    fn answer(&self, name: &str, mut found: Vec<Candidate<'_>>, rules: Rules) -> Prediction {
        // Latest first, never-ending ones (0) last.
        let rank = |candidate: &Candidate<'_>| candidate.expiry;
        // Stable: leases that end in the same second stay in the order of the files.
        if rules.has(Rule::Duplicates) {
            found.sort_by_key(|candidate| std::cmp::Reverse(rank(candidate)));
        }
        let mut once: Vec<Candidate<'_>> = Vec::new();
        for candidate in found {
            if !once.iter().any(|other| other.ip == candidate.ip) {
                once.push(candidate);
            }
        }
        once.sort_by_key(|candidate| std::cmp::Reverse(rank(candidate)));

        if self.ask.length < self.need(name, &once, rules) {
            return Prediction::Not(if rules.has(Rule::LargerBuffer) {
                "TRYAGAIN ERANGE NETDB_INTERNAL"
            } else {
                "TRYAGAIN ENOMEM TRY_AGAIN"
            });
        }
        let groups = once
            .chunk_by(|one, other| rank(one) == rank(other))
            .map(|group| group.iter().map(|candidate| candidate.ip).collect())
            .collect();
        Prediction::Found { name: name.to_owned(), groups }
    }

    /// The size of the answer in an aligned buffer, in bytes.
    fn need(&self, name: &str, addresses: &[Candidate<'_>], rules: Rules) -> usize {
        const POINTER: usize = size_of::<*const u8>();
        let padded = |bytes: usize| {
            if rules.has(Rule::Room) { bytes } else { bytes.next_multiple_of(POINTER) }
        };
        let name = padded(name.len() + 1);
        if let Query::Name4(_) = self.ask.query {
            return name + addresses.len() * size_of::<abi::c::AddrTuple>();
        }
        let octets: usize =
            addresses.iter().map(|one| padded(if one.ip.is_ipv4() { 4 } else { 16 })).sum();
        name + octets + (addresses.len() + 2) * POINTER
    }
}

/// A NIC of the requested guest.
struct Nic<'w> {
    bridge: &'w str,
    mac: &'w str,
    /// What follows the domain's name in the requested name: the lease must have this network domain.
    network_domain: Option<&'w str>,
    /// The name matches in case too.
    exact: bool,
}

/// A lease that answers.
#[derive(Clone, Copy, Debug)]
struct Candidate<'w> {
    ip: IpAddr,
    expiry: i64,
    attached: bool,
    bridge: &'w str,
    /// Its position in the file.
    order: usize,
    lease: &'w Lease,
}

impl Candidate<'_> {
    /// Whether both leases belong to one NIC and are of one family.
    fn shares_nic_with(&self, other: &Candidate<'_>) -> bool {
        let macs = self.lease.mac.as_ref().zip(other.lease.mac.as_ref());
        self.bridge == other.bridge
            && self.ip.is_ipv4() == other.ip.is_ipv4()
            && macs.is_some_and(|(one, other)| same_mac(one, other))
    }
}

/// Of a NIC's leases, drops those with another client id than the last one in the file. A lease without a client id may
/// belong to any client.
fn keep_freshest_clients(candidates: &mut Vec<Candidate<'_>>) {
    let all = candidates.clone();
    candidates.retain(|candidate| {
        let same_nic = all.iter().filter(|other| candidate.shares_nic_with(other));
        let freshest = same_nic.max_by_key(|other| other.order);
        let clients = freshest.and_then(|other| other.lease.client.as_ref());
        clients.zip(candidate.lease.client.as_ref()).is_none_or(|(one, other)| one == other)
    });
}

/// Drops link-local addresses. Beside others they are a last resort, and alone they are of no use here either: no
/// bridge of a generated directory exists, so their scope is unknown.
fn keep_link_local_as_last_resort(candidates: &mut Vec<Candidate<'_>>) {
    candidates.retain(|candidate| match candidate.ip {
        IpAddr::V4(_) => true,
        IpAddr::V6(ip) => ip.segments()[0] & 0xffc0 != 0xfe80,
    });
}

fn family_of<'w>(
    found: Vec<Candidate<'w>>,
    query: &Query,
    family: i32,
    rules: Rules,
) -> Result<Vec<Candidate<'w>>, Prediction> {
    let of = |v4: bool| -> Vec<Candidate<'w>> {
        found.iter().copied().filter(|candidate| candidate.ip.is_ipv4() == v4).collect()
    };
    let chosen = match (query, family) {
        (Query::Name4(_), _) => found,
        (_, AF_INET6) => of(false),
        (_, AF_UNSPEC) if rules.has(Rule::AnyFamily) && of(true).is_empty() => of(false),
        _ => of(true),
    };
    if chosen.is_empty() { Err(NO_DATA) } else { Ok(chosen) }
}

/// libvirt's module takes a negative time to be in the far future.
fn has_ended(expiry: i64, now: i64, rules: Rules) -> bool {
    expiry != 0 && expiry < now && (expiry > 0 || rules.has(Rule::Before1970))
}

/// Parses an address; without rule 24, anything that getaddrinfo accepts.
fn address(text: &str, rules: Rules) -> Option<IpAddr> {
    if let Ok(ip) = text.parse() {
        return Some(ip);
    }
    if rules.has(Rule::AddressText) {
        return None;
    }
    if let Some((v6, _scope)) = text.split_once('%') {
        return v6.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    }
    let parts: Vec<u32> = text.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let number = match *parts.as_slice() {
        [whole] => whole,
        [a, rest] => a << 24 | rest,
        [a, b, rest] => a << 24 | b << 16 | rest,
        _ => return None,
    };
    Some(IpAddr::V4(Ipv4Addr::from(number)))
}

/// Whether a text is an address only without rule 24.
fn aton(text: &str) -> bool {
    address(text, Rules::NONE).is_some() && address(text, Rules::all()).is_none()
}

/// RFC 952 and 1123 for hosts, with underscores; anything but `localhost` for domains.
fn is_valid(name: &str, kind: Kind) -> bool {
    let labels: Vec<&str> = name.split('.').collect();
    let last = labels.last().copied().unwrap_or_default();
    let local = same(last, "localhost") || same(name, "localhost.localdomain");
    let label = |label: &&str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    match kind {
        _ if local || name.is_empty() => false,
        Kind::Guest => name.len() <= 255,
        Kind::Host => name.len() <= 253 && labels.iter().all(label) && !is_inet_aton(name),
    }
}

/// Whether the C library accepts a text as an IPv4 address.
fn is_inet_aton(text: &str) -> bool {
    unsafe extern "C" {
        fn inet_aton(text: *const libc::c_char, address: *mut libc::in_addr) -> libc::c_int;
    }
    let Ok(text) = CString::new(text) else { return false };
    let mut address = libc::in_addr { s_addr: 0 };
    // SAFETY: a C string, and room for the address.
    unsafe { inet_aton(text.as_ptr(), &raw mut address) != 0 }
}

/// Names that programs look up to configure themselves, those that systemd gives to the host, and the node name of
/// the serving process.
fn is_reserved(name: &str) -> bool {
    let first = name.split('.').next().unwrap_or(name);
    let names = ["wpad", "isatap", "_gateway", "_outbound", "_localdnsstub", "_localdnsproxy"];
    let node = NODE_NAME.split('.').next().unwrap_or(NODE_NAME);
    names.iter().any(|reserved| same(first, reserved)) || same(name, node) || same(name, NODE_NAME)
}

/// What follows `start` in a name that begins with it, in either case.
fn rest_after<'n>(name: &'n str, start: &str) -> Option<&'n str> {
    let (head, rest) = name.split_at_checked(start.len())?;
    let fits = same(head, start) && (rest.is_empty() || rest.len() > 1 && rest.starts_with('.'));
    fits.then_some(rest)
}

fn same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// Six pairs of digits between colons, after an optional hardware type.
fn same_mac(one: &str, other: &str) -> bool {
    let octets = |mac: &str| -> Option<Vec<u8>> {
        let mac = mac.split_once('-').map_or(mac, |(_, mac)| mac);
        mac.split(':').map(|pair| u8::from_str_radix(pair, 16).ok()).collect()
    };
    octets(one).is_some() && octets(one) == octets(other)
}
