//! The whole way of a look-up by name, step by step: the `hosts` line, the services on it, the daemon's
//! snapshot, the files and records that ours read, and what glibc makes of it all.
//!
//! What our services say comes from the modules' own code; an observer writes down what it did.

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

/// What one of our services says, and how it came to that.
pub(crate) struct ModuleAnswer {
    pub(crate) kind: NameKind,
    pub(crate) found: Found,
    /// The answer, in its order.
    pub(crate) addresses: Vec<Candidate>,
    pub(crate) story: Story,
    /// Why a program can't load the module, where that could be tried.
    pub(crate) not_loadable: Option<String>,
}

impl ModuleAnswer {
    /// As the module says it to glibc.
    pub(crate) fn status(&self) -> Status {
        match self.found {
            _ if self.not_loadable.is_some() => Status::Unavail,
            Found::Data => Status::Success,
            Found::NoData => Status::Unavail,
            Found::Unknown => Status::NotFound,
        }
    }
}

/// All of it.
pub(crate) struct Explanation {
    pub(crate) question: Question,
    pub(crate) walk: Walk,
    pub(crate) ours: Vec<ModuleAnswer>,
    /// What there is of the daemon.
    pub(crate) snapshot: Reading,
    /// What the files say of the name, where our services have no address of the family.
    pub(crate) presence: Presence,
    /// The guest's addresses of the family that wasn't asked for.
    pub(crate) other_family: Vec<String>,
    /// nscd answers in glibc's place.
    pub(crate) nscd: bool,
    /// The system that was looked at.
    pub(crate) paths: Paths,
}
