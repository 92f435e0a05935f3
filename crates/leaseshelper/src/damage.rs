//! The ways in which a list can be damaged.

use std::fmt;

/// What is wrong with a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The kind, which is part of the name of the copy that is kept.
    pub kind: DamageKind,
    /// Where and what, for the message.
    pub detail: String,
}

/// The kinds of damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DamageKind {
    /// The file is not valid JSON.
    NotJson,
    /// It is JSON, but not an array.
    NotAList,
    /// It is an array, and some of its elements are not leases.
    NotLeases,
}

impl DamageKind {
    /// The kind as part of a file name.
    #[must_use]
    pub fn slug(self) -> &'static str {
        match self {
            Self::NotJson => "not-json",
            Self::NotAList => "not-a-list",
            Self::NotLeases => "not-leases",
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            DamageKind::NotJson => "not valid JSON",
            DamageKind::NotAList => "not a JSON list",
            DamageKind::NotLeases => "some elements of the list are not leases",
        };
        write!(f, "{what} ({})", self.detail)
    }
}
