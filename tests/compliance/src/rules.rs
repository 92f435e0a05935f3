//! The rules by which our modules may differ from libvirt's. `docs/differences.md` has the same list,
//! with reasons.

use std::fmt;

/// An intended difference. Its number is that of the section in `docs/differences.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Rule {
    /// Addresses are looked up too, and all guests listed.
    EntryPoints = 1,
    /// Leases that a destroyed guest left behind are left out while a guest of the name runs.
    LeftBehind = 2,
    /// One trailing dot is dropped.
    TrailingDot = 3,
    /// `name.domain` is found where the lease records its network's domain.
    NetworkDomain = 4,
    /// `localhost` and invalid host names belong to no guest.
    HostNames = 5,
    /// An unreadable file affects no other file.
    Files = 6,
    /// A bad record affects no other record.
    Records = 7,
    /// An unknown key may have any value.
    Keys = 8,
    /// A lease needs no MAC address to answer for its host name.
    NoMac = 9,
    /// A buffer that is too small makes glibc try a larger one.
    LargerBuffer = 10,
    /// An answer needs no more space than it takes.
    Room = 11,
    /// An unknown guest is not found.
    UnknownGuest = 12,
    /// A guest without a lease is known and has no address.
    IdleGuest = 13,
    /// A guest's leases are those on the bridge of its NIC.
    Bridge = 14,
    /// MAC addresses are compared as numbers.
    Macs = 15,
    /// A domain that matches exactly wins over one that differs in case.
    ExactCase = 16,
    /// Expiry times are compared in 64 bits.
    Order = 17,
    /// An address in several leases is placed by the one that ranks highest.
    Duplicates = 18,
    /// `AF_UNSPEC` falls back to IPv6 if there is no IPv4 address.
    AnyFamily = 19,
    /// Unsupported address families return `NO_DATA`.
    OtherFamilies = 20,
    /// Without file descriptors or memory the answer is to try again.
    Exhausted = 21,
    /// Link-local addresses are a last resort, and come with their interface.
    LinkLocal = 22,
    /// A lease that ended before 1970 has ended.
    Before1970 = 23,
    /// Addresses are read in their full form only.
    AddressText = 24,
    /// Strings are compared in full.
    Strings = 25,
    /// No file can end the process.
    NoCrash = 26,
    /// A buffer may have any alignment.
    Alignment = 27,
    /// A file belongs to a network interface.
    BridgeNames = 28,
    /// Of a NIC's leases, those of the freshest client answer.
    Clients = 29,
    /// Names that the host needs for itself belong to no guest.
    Reserved = 30,
    /// A lease without an expiry time never ends.
    NoExpiry = 31,
    /// Names may be UTF-8.
    Utf8 = 32,
}

impl Rule {
    /// Every rule, by number.
    pub const ALL: [Rule; 32] = [
        Rule::EntryPoints,
        Rule::LeftBehind,
        Rule::TrailingDot,
        Rule::NetworkDomain,
        Rule::HostNames,
        Rule::Files,
        Rule::Records,
        Rule::Keys,
        Rule::NoMac,
        Rule::LargerBuffer,
        Rule::Room,
        Rule::UnknownGuest,
        Rule::IdleGuest,
        Rule::Bridge,
        Rule::Macs,
        Rule::ExactCase,
        Rule::Order,
        Rule::Duplicates,
        Rule::AnyFamily,
        Rule::OtherFamilies,
        Rule::Exhausted,
        Rule::LinkLocal,
        Rule::Before1970,
        Rule::AddressText,
        Rule::Strings,
        Rule::NoCrash,
        Rule::Alignment,
        Rule::BridgeNames,
        Rule::Clients,
        Rule::Reserved,
        Rule::NoExpiry,
        Rule::Utf8,
    ];

    /// Its number in `docs/differences.md`.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    fn bit(self) -> u64 {
        1 << self.number()
    }
}

/// `rule 3`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {}", self.number())
    }
}

/// A set of rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules(u64);

impl Rules {
    /// No rule: libvirt's own modules.
    pub const NONE: Rules = Rules(0);

    /// Every rule: ours.
    #[must_use]
    pub fn all() -> Rules {
        Rule::ALL.iter().fold(Rules::NONE, |rules, &rule| rules.with(rule))
    }

    /// These rules and one more.
    #[must_use]
    pub fn with(self, rule: Rule) -> Rules {
        Rules(self.0 | rule.bit())
    }

    /// These rules without one.
    #[must_use]
    pub fn without(self, rule: Rule) -> Rules {
        Rules(self.0 & !rule.bit())
    }

    /// Whether a rule is in the set.
    #[must_use]
    pub fn has(self, rule: Rule) -> bool {
        self.0 & rule.bit() != 0
    }
}

/// A section of `docs/differences.md`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The rule's number.
    pub number: u8,
    /// The heading after the number.
    pub title: String,
    /// The versions of libvirt that differ; empty means all.
    pub versions: Vec<String>,
    /// The names of the cases that show it.
    pub cases: Vec<String>,
}

impl Section {
    /// Whether it names this case.
    #[must_use]
    pub fn names(&self, case: &str) -> bool {
        self.cases.iter().any(|name| name == case)
    }
}

/// Parses the sections of `docs/differences.md`. Each has a heading `## 3. TITLE` and a paragraph that begins with
/// `Shown by` and names cases in backquotes. If only some versions of libvirt differ, a paragraph that begins with
/// `Differs in libvirt` names them.
#[must_use]
pub fn sections(document: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for paragraph in document.split("\n\n") {
        let heading = paragraph.strip_prefix("## ").and_then(|rest| rest.split_once(". "));
        if let Some((number, title)) = heading {
            if let Ok(number) = number.parse() {
                let title = title.to_owned();
                let (versions, cases) = (Vec::new(), Vec::new());
                sections.push(Section { number, title, versions, cases });
            }
        } else if let (Some(rest), Some(section)) =
            (paragraph.strip_prefix("Shown by"), sections.last_mut())
        {
            let cases = rest.split('`').skip(1).step_by(2);
            // A name may continue on the next line.
            section.cases.extend(cases.map(|name| name.replace('\n', " ")));
        } else if let (Some(rest), Some(section)) =
            (paragraph.strip_prefix("Differs in libvirt"), sections.last_mut())
        {
            let words = rest.split_whitespace().map(|word| word.trim_end_matches(['.', ',']));
            let versions =
                words.filter(|word| word.starts_with(|first: char| first.is_ascii_digit()));
            section.versions.extend(versions.map(str::to_owned));
        }
    }
    sections
}

#[cfg(test)]
mod tests {
    use super::{Rule, Rules, sections};

    #[test]
    fn numbers_count_up() {
        for (i, rule) in Rule::ALL.iter().enumerate() {
            assert_eq!(usize::from(rule.number()), i + 1);
            assert!(Rules::all().has(*rule) && !Rules::all().without(*rule).has(*rule));
        }
    }

    #[test]
    fn a_document_has_sections() {
        let text = "# Title\n\n## 1. One\n\ntext\n\nShown by `a\nb`,\n`c`.\n\nDiffers in libvirt 9.0 and \
             11.3.\n\n## Other\n\n## 2. Two";
        let found = sections(text);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].number, found[0].title.as_str()), (1, "One"));
        assert_eq!(found[0].cases, ["a b", "c"]);
        assert_eq!(found[0].versions, ["9.0", "11.3"]);
        assert!(found[1].cases.is_empty());
    }
}
