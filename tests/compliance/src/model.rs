//! A model of a module's answers. With all rules it is ours: testkit's reference of a look-up. Without a rule it is that
//! reference over what libvirt's module reads of the files, as far as the rule concerns it; and libvirt's module gives up
//! where it can't read something. Each rule is a separate condition, so the model also shows which rules make the
//! difference in a case.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv6Addr};

use abi::{Kind, Query};
use guest_names::address::{Address, Family, Mac};
use guest_names::bridge::Bridge;
use guest_names::name::NameKind;
use libc::{AF_INET, AF_INET6, AF_UNSPEC};
use testkit::look_up::ip;
use testkit::reference::{Guest, HostState, Lease, Reference};

use crate::peer::{Ask, NODE_NAME};
use crate::rules::{Rule, Rules};
use crate::stock::Version;
use crate::world::{self, Damage, Expiry, Extra, World};

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
        let mut look_up = LookUp::new(*self, rules, name);
        if look_up.is_refused() {
            return UNKNOWN;
        }
        let Ok(()) = look_up.read() else { return GIVES_UP };
        let found = match (&self.ask.query, family) {
            (Query::Name4(_), _) => look_up.leases(None),
            (_, AF_INET6) => look_up.leases(Some(Family::V6)),
            (_, AF_UNSPEC) if rules.has(Rule::AnyFamily) => look_up
                .leases(Some(Family::V4))
                .filter(|leases| !leases.is_empty())
                .or_else(|| look_up.leases(Some(Family::V6))),
            _ => look_up.leases(Some(Family::V4)),
        };
        match found {
            None if self.kind == Kind::Host || rules.has(Rule::UnknownGuest) => UNKNOWN,
            None => GIVES_UP,
            Some(leases) if leases.is_empty() => {
                let all = look_up.reference().leases_of(look_up.kind(), &look_up.wanted);
                let is_idle = all.is_some_and(|leases| leases.is_empty());
                if is_idle && !rules.has(Rule::IdleGuest) { UNKNOWN } else { NO_DATA }
            }
            // A guest's leases on several bridges come in the order of the `.macs` files in our module, of the
            // `.status` files in libvirt's.
            Some(leases) if self.kind == Kind::Guest => look_up.answer(&leases).sorted(),
            Some(leases) => look_up.answer(&leases),
        }
    }
}

/// libvirt's module can't read something.
struct GivesUp;

/// A look-up by a module with some of the rules.
struct LookUp<'w> {
    situation: Situation<'w>,
    rules: Rules,
    name: &'w [u8],
    /// The name that is compared.
    wanted: Vec<u8>,
    /// What the module reads.
    state: HostState,
}

impl<'w> LookUp<'w> {
    fn new(situation: Situation<'w>, rules: Rules, name: &'w [u8]) -> Self {
        let wanted = match name {
            // No record has such a name.
            [.., b'.'] if !rules.has(Rule::TrailingDot) => Vec::new(),
            _ if !rules.has(Rule::ExactCase) => name.to_ascii_lowercase(),
            _ => name.to_vec(),
        };
        Self { situation, rules, name, wanted, state: HostState::default() }
    }

    fn has(&self, rule: Rule) -> bool {
        self.rules.has(rule)
    }

    fn kind(&self) -> NameKind {
        match self.situation.kind {
            Kind::Host => NameKind::HostName,
            Kind::Guest => NameKind::Domain,
        }
    }

    fn reference(&self) -> Reference<'_> {
        Reference { state: &self.state, node: NODE_NAME, now: self.situation.now }
    }

    fn is_refused(&self) -> bool {
        let reference = self.reference();
        let first = self.name.split(|&byte| byte == b'.').next().unwrap_or_default();
        let is_reserved = reference.is_own(self.name)
            || RESERVED.iter().any(|name| first.eq_ignore_ascii_case(name.as_bytes()));
        let rule = match self.situation.kind {
            Kind::Host if is_reserved => Rule::Reserved,
            _ => Rule::HostNames,
        };
        self.has(rule) && reference.refuses(self.kind(), self.name)
    }

    /// Reads the files into the state.
    fn read(&mut self) -> Result<(), GivesUp> {
        self.read_guests()?;
        let leases = self.read_leases();
        // libvirt_guest reads the leases once it has the guest's NICs.
        if self.situation.kind == Kind::Guest && self.leases(None).is_none() {
            return Ok(());
        }
        leases
    }

    fn read_guests(&mut self) -> Result<(), GivesUp> {
        let Situation { kind, version, .. } = self.situation;
        // libvirt's module for host names doesn't read these files.
        if kind == Kind::Host && !self.has(Rule::LeftBehind) {
            return Ok(());
        }
        for (bridge, files) in self.bridges() {
            let Some(file) = &files.macs else { continue };
            let empty_is_good = version > Version::V9_0 && file.damage == Damage::Empty;
            let damaged = file.damage != Damage::None && !empty_is_good;
            // Escaped characters don't matter.
            let is_utf8 = |map: &world::MacMap| !map.style.escaped && !map.domain.is_ascii();
            let refused = version == Version::V11_3 && file.whole_records().iter().any(is_utf8);
            let gives_up = damaged && !self.has(Rule::Files) || refused && !self.has(Rule::Utf8);
            if kind == Kind::Guest && gives_up {
                return Err(GivesUp);
            }
            for map in file.whole_records() {
                let macs = map.macs.iter().filter_map(|mac| self.mac(mac)).collect();
                self.state.guests.push(Guest { bridge, name: map.domain.clone(), macs });
            }
        }
        if kind == Kind::Guest && !self.has(Rule::ExactCase) {
            self.state.guests.iter_mut().for_each(|guest| guest.name.make_ascii_lowercase());
        }
        if kind == Kind::Guest && !self.has(Rule::Bridge) {
            let everywhere = |guest: &Guest| {
                self.bridges()
                    .map(|(bridge, _)| Guest { bridge, ..guest.clone() })
                    .collect::<Vec<_>>()
            };
            self.state.guests = self.state.guests.iter().flat_map(everywhere).collect();
        }
        Ok(())
    }

    fn read_leases(&mut self) -> Result<(), GivesUp> {
        for (bridge, files) in self.bridges() {
            let Some(file) = &files.leases else { continue };
            // libvirt's module treats an empty file as one without leases.
            if !self.has(Rule::Files) && !matches!(file.damage, Damage::None | Damage::Empty) {
                return Err(GivesUp);
            }
            for record in file.whole_records() {
                self.state.leases.extend(self.lease(bridge, record)?);
            }
        }
        if !self.has(Rule::Duplicates) {
            // The first record of an address counts.
            let leases = self.reference().leases_of(self.kind(), &self.wanted);
            let mut first: Vec<Lease> = Vec::new();
            for lease in leases.into_iter().flatten() {
                if first.iter().all(|other| other.address != lease.address) {
                    first.push(lease.clone());
                }
            }
            self.state.leases = first;
        }
        Ok(())
    }

    /// The bridges whose files are read. A bridge's name has at most 15 bytes.
    fn bridges(&self) -> impl Iterator<Item = (Bridge, &'w world::Bridge)> + use<'w> {
        let longest = if self.has(Rule::BridgeNames) { usize::MAX } else { 15 };
        self.situation.world.bridges.iter().filter_map(move |files| {
            let name = files.name.as_bytes();
            Some((Bridge::new(&name[..name.len().min(longest)])?, files))
        })
    }

    /// A record as a lease; `None` if it is skipped.
    fn lease(&self, bridge: Bridge, record: &world::Lease) -> Result<Option<Lease>, GivesUp> {
        let yajl = self.situation.version == Version::V9_0;
        let odd_key = matches!(record.extra, Some(Extra::Integer | Extra::Array | Extra::Object));
        if yajl && odd_key && !self.has(Rule::Keys)
            || yajl && record.mac.is_none() && !self.has(Rule::NoMac)
        {
            return Err(GivesUp);
        }
        let no_expiry = matches!(record.expiry, Expiry::Absent | Expiry::Null);
        let needs_expiry = no_expiry && !yajl && !self.has(Rule::NoExpiry);
        let expiry = self.expiry(record.expiry).or(needs_expiry.then_some(0));
        let (full, any) = (Address::parse(record.ip.as_bytes()), any_address(&record.ip));
        let address = if self.has(Rule::AddressText) { full } else { any };
        let needs_address = any.is_none() && !self.has(Rule::Records);
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let Some(expiry) = expiry else { return Ok(None) };
        let mut lease = Lease {
            bridge,
            address: address.unwrap_or(Address::V4([0; 4])),
            mac: record.mac.as_ref().and_then(|mac| self.mac(mac)),
            hostname: text(&record.hostname),
            domain: if self.has(Rule::NetworkDomain) {
                text(&record.domain)
            } else {
                String::new()
            },
            expiry,
            client: if self.has(Rule::Clients) { text(&record.client) } else { String::new() },
        };
        if !self.has(Rule::LinkLocal) {
            hide_scope(&mut lease.address);
        }
        if !self.has(Rule::Before1970) {
            // Never ended, and last in libvirt's order, after those that never end. Others end later.
            lease.expiry = match expiry {
                ..0 => self.situation.now,
                0 => self.situation.now + 1,
                _ => expiry,
            };
        }
        // libvirt's module only minds these in the leases that it looks for.
        if (needs_expiry || needs_address) && self.is_wanted(&lease) {
            return Err(GivesUp);
        }
        Ok(address.map(|_| lease))
    }

    /// Whether the lease alone would be in the answer.
    fn is_wanted(&self, lease: &Lease) -> bool {
        let state = HostState { leases: vec![lease.clone()], guests: self.state.guests.clone() };
        let alone = Reference { state: &state, ..self.reference() };
        let found = alone.leases_of(self.kind(), &self.wanted);
        found.is_some_and(|leases| !leases.is_empty())
    }

    /// A MAC as a number, where they are compared as numbers; else some number for each text.
    fn mac(&self, text: &str) -> Option<Mac> {
        if self.situation.kind == Kind::Host || self.has(Rule::Macs) {
            return Mac::parse(text.as_bytes());
        }
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        hasher.finish().to_be_bytes().first_chunk().copied().map(Mac)
    }

    /// Seconds since 1970, 0 for never; `None` for a record with a wrong value. With yajl such a value is ignored, and
    /// json-c converts it.
    fn expiry(&self, expiry: Expiry) -> Option<i64> {
        match expiry {
            Expiry::At(time) => Some(time),
            Expiry::Absent => Some(0),
            Expiry::Text(_) | Expiry::Null if self.has(Rule::Records) => None,
            Expiry::Text(time) if self.situation.version > Version::V9_0 => Some(time),
            Expiry::Text(_) | Expiry::Null => Some(0),
        }
    }

    /// The leases in the answer; `None`: no guest has the name. No bridge of a generated directory exists, so the scope of
    /// link-local addresses is unknown.
    fn leases(&self, family: Option<Family>) -> Option<Vec<&Lease>> {
        self.reference().answer(self.kind(), &self.wanted, family, false)
    }

    fn answer(&self, leases: &[&Lease]) -> Prediction {
        let name = match self.name {
            [name @ .., b'.'] => name,
            name => name,
        };
        if self.situation.ask.length < self.need(name, leases) {
            return Prediction::Not(if self.has(Rule::LargerBuffer) {
                "TRYAGAIN ERANGE NETDB_INTERNAL"
            } else {
                "TRYAGAIN ENOMEM TRY_AGAIN"
            });
        }
        let groups = leases
            .chunk_by(|one, other| one.expiry == other.expiry)
            .map(|group| group.iter().map(|lease| ip(show_scope(lease.address))).collect())
            .collect();
        Prediction::Found { name: String::from_utf8_lossy(name).into(), groups }
    }

    /// The size of the answer in an aligned buffer, in bytes.
    fn need(&self, name: &[u8], leases: &[&Lease]) -> usize {
        const POINTER: usize = size_of::<*const u8>();
        let padded = |bytes: usize| {
            if self.has(Rule::Room) { bytes } else { bytes.next_multiple_of(POINTER) }
        };
        let name = padded(name.len() + 1);
        if let Query::Name4(_) = self.situation.ask.query {
            return name + leases.len() * size_of::<abi::c::AddrTuple>();
        }
        let octets: usize = leases.iter().map(|lease| padded(lease.address.octets().len())).sum();
        name + octets + (leases.len() + 2) * POINTER
    }
}

/// Of the names that are refused, those of rule 30, besides the host's own.
const RESERVED: [&str; 6] =
    ["wpad", "isatap", "_gateway", "_outbound", "_localdnsstub", "_localdnsproxy"];

/// To libvirt's module a link-local address is like any other. Here it is another until it is in the answer.
fn hide_scope(address: &mut Address) {
    if let Address::V6([first @ 0xfe, 0x80, ..]) = address {
        *first = 0xfc;
    }
}

fn show_scope(mut address: Address) -> Address {
    if let Address::V6([first @ 0xfc, 0x80, ..]) = &mut address {
        *first = 0xfe;
    }
    address
}

/// Parses whatever getaddrinfo accepts as an address.
fn any_address(text: &str) -> Option<Address> {
    if let Some(address) = Address::parse(text.as_bytes()) {
        return Some(address);
    }
    if let Some((v6, _scope)) = text.split_once('%') {
        return v6.parse().ok().map(|v6: Ipv6Addr| Address::V6(v6.octets()));
    }
    let parts: Vec<u32> = text.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let number = match *parts.as_slice() {
        [whole] => whole,
        [a, rest] => a << 24 | rest,
        [a, b, rest] => a << 24 | b << 16 | rest,
        _ => return None,
    };
    Some(Address::V4(number.to_be_bytes()))
}
