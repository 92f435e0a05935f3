//! What is asked when.

use std::time::Instant;

use super::SOON;
use crate::libvirt::known::Known;
use crate::libvirt::pace::Pace;

pub(super) type Uuid = [u8; 16];

/// Something to be done at a time. A guest's are done only if the time is still the one that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Task {
    AskAgent(Uuid),
    AskArp(Uuid),
    Forget(Uuid),
    Networks,
    Guests,
    OpenAgents,
}

/// A running guest and when to ask for it again.
pub(super) struct Entry {
    pub(super) known: Known,
    pub(super) agent: Schedule,
    pub(super) arp: Schedule,
    /// How many times the agent did not answer in time, since it last did.
    pub(super) timeouts: u32,
}

/// When something is asked next.
pub(super) struct Schedule {
    pub(super) due: Option<Instant>,
    pub(super) pace: Pace,
    /// It is under way.
    pub(super) asking: bool,
    /// It is to be asked again at once.
    pub(super) again: bool,
}

impl Schedule {
    pub(super) fn new() -> Self {
        Self { due: None, pace: Pace::from(SOON), asking: false, again: false }
    }
}
