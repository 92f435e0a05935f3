//! The rules by which our modules may differ from libvirt's. `docs/differences.md` has the same list,
//! with reasons.

use std::fmt;

/// A meant difference. The number is that of the section in `docs/differences.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Rule {
    /// Addresses are looked up too, and all guests listed.
    EntryPoints = 1,
    /// A running guest drops what a destroyed one of its name left behind.
    LeftBehind = 2,
    /// One trailing dot is dropped.
    TrailingDot = 3,
    /// `name.domain` is known where the lease says its network's domain.
    NetworkDomain = 4,
    /// `localhost`, and what is no host name, is nobody's.
    HostNames = 5,
    /// A file that can't be read, and what is no file, costs itself alone.
    Files = 6,
    /// A bad record costs itself alone.
    Records = 7,
    /// A key that isn't known may have any value.
    Keys = 8,
    /// A lease needs no MAC address for its host name.
    NoMac = 9,
    /// The answer that doesn't fit asks for a larger buffer, so that it is given one.
    LargerBuffer = 10,
    /// An answer needs no more room than it takes.
    Room = 11,
    /// A guest that isn't known is not found.
    UnknownGuest = 12,
    /// A guest without a lease is known and has no address.
    IdleGuest = 13,
    /// A guest's leases are those on the bridge of its NIC.
    Bridge = 14,
    /// MAC addresses are compared as numbers.
    Macs = 15,
    /// The domain that is named exactly goes before one that differs in case.
    ExactCase = 16,
    /// What ends last comes first, and what never ends before all.
    Order = 17,
    /// An address in several leases stands where the longest puts it.
    Duplicates = 18,
    /// One family out of two is IPv6 where there is no IPv4.
    AnyFamily = 19,
    /// A family that there is none of has no data.
    OtherFamilies = 20,
    /// Without descriptors or memory the answer is to try again.
    Exhausted = 21,
    /// Link-local addresses come with their interface.
    Scopes = 22,
    /// What ended before 1970 has ended.
    Before1970 = 23,
    /// An address is written out.
    AddressText = 24,
    /// A string is what its escapes say.
    Strings = 25,
    /// No file ends the process.
    NoCrash = 26,
    /// A buffer may start anywhere.
    Alignment = 27,
    /// A file is a bridge's.
    BridgeNames = 28,
}

impl Rule {
    /// Every rule, by number.
    pub const ALL: [Rule; 28] = [
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
        Rule::Scopes,
        Rule::Before1970,
        Rule::AddressText,
        Rule::Strings,
        Rule::NoCrash,
        Rule::Alignment,
        Rule::BridgeNames,
    ];

    /// Its number in `docs/differences.md`.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
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
pub struct Rules(u32);

impl Rules {
    /// No rule: libvirt's own modules.
    pub const NONE: Rules = Rules(0);

    /// Every rule: ours.
    #[must_use]
    pub fn all() -> Rules {
        Rule::ALL.iter().fold(Rules::NONE, |rules, &rule| rules.with(rule))
    }

    /// These and one more.
    #[must_use]
    pub fn with(self, rule: Rule) -> Rules {
        Rules(self.0 | 1 << rule.number())
    }

    /// These but one.
    #[must_use]
    pub fn without(self, rule: Rule) -> Rules {
        Rules(self.0 & !(1 << rule.number()))
    }

    /// Whether a rule holds.
    #[must_use]
    pub fn has(self, rule: Rule) -> bool {
        self.0 & 1 << rule.number() != 0
    }
}

/// A section of `docs/differences.md`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The rule's number.
    pub number: u8,
    /// The heading behind the number.
    pub title: String,
    /// The names of the cases that show it.
    pub cases: Vec<String>,
}

/// The sections of `docs/differences.md`: a heading `## 3. TITLE` each, and a paragraph that begins with
/// `Shown by` and names cases in backquotes.
#[must_use]
pub fn sections(document: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for paragraph in document.split("\n\n") {
        let heading = paragraph.strip_prefix("## ").and_then(|rest| rest.split_once(". "));
        if let Some((number, title)) = heading {
            if let Ok(number) = number.parse() {
                sections.push(Section { number, title: title.to_owned(), cases: Vec::new() });
            }
        } else if let (Some(rest), Some(section)) =
            (paragraph.strip_prefix("Shown by"), sections.last_mut())
        {
            let cases = rest.split('`').skip(1).step_by(2);
            // A name may go on in the next line.
            section.cases.extend(cases.map(|name| name.replace('\n', " ")));
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
        let text =
            "# Title\n\n## 1. One\n\ntext\n\nShown by `a\nb`,\n`c`.\n\n## Other\n\n## 2. Two";
        let found = sections(text);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].number, found[0].title.as_str()), (1, "One"));
        assert_eq!(found[0].cases, ["a b", "c"]);
        assert!(found[1].cases.is_empty());
    }
}
