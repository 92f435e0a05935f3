//! A look-up by name, step by step: the `hosts` line, the services on it, the daemon's snapshot, the files and records
//! that our modules read, and what glibc makes of it.
//!
//! The modules' own code does the look-ups; an observer records what it did.

pub(crate) mod conclusion;
mod entries;
mod gather;
pub(crate) mod json;
pub(crate) mod others;
pub(crate) mod reverse;
mod snapshot;
pub(crate) mod story;
pub(crate) mod text;
pub(crate) mod walk;

pub(crate) use gather::explain;

use guest_names::address::Family;
use guest_names::candidate::Candidate;
use guest_names::name::NameKind;
use guest_store::lookup::Found;

use crate::daemon::Reading;
use crate::nsswitch::line::Status;
use crate::paths::Paths;
use crate::presence::Presence;
use story::Story;
use walk::Walk;

/// What was asked.
pub(crate) struct Question {
    pub(crate) name: String,
    /// As it was given.
    pub(crate) bytes: Vec<u8>,
    /// `None` asks for both, as getaddrinfo(3) does.
    pub(crate) family: Option<Family>,
}

impl Question {
    pub(crate) fn family_text(&self) -> &'static str {
        match self.family {
            None => "IPv4 and IPv6",
            Some(Family::V4) => "IPv4",
            Some(Family::V6) => "IPv6",
        }
    }
}

/// The answer of one of our modules, and how it came about.
pub(crate) struct ModuleAnswer {
    pub(crate) kind: NameKind,
    pub(crate) found: Found,
    /// The addresses, in the order of the answer.
    pub(crate) addresses: Vec<Candidate>,
    pub(crate) story: Story,
    /// Why programs can't load the module, if that could be tried.
    pub(crate) not_loadable: Option<String>,
}

impl ModuleAnswer {
    /// The status that the module returns to glibc.
    pub(crate) fn status(&self) -> Status {
        match self.found {
            _ if self.not_loadable.is_some() => Status::Unavail,
            Found::Data => Status::Success,
            Found::NoData => Status::Unavail,
            Found::Unknown => Status::NotFound,
        }
    }
}

/// Everything about one look-up.
pub(crate) struct Explanation {
    pub(crate) question: Question,
    pub(crate) walk: Walk,
    pub(crate) ours: Vec<ModuleAnswer>,
    /// The daemon's snapshot.
    pub(crate) snapshot: Reading,
    /// Why the files and the daemon have no address, if they have none.
    pub(crate) presence: Presence,
    /// The guest's addresses of the family that wasn't asked for.
    pub(crate) other_family: Vec<String>,
    /// nscd answers look-ups.
    pub(crate) nscd: bool,
    /// The system that was looked at.
    pub(crate) paths: Paths,
}
