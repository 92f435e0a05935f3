//! Watching a look-up: every file and record, and why it was taken or dropped.
//!
//! The modules look up without one. Whoever wants to tell the story passes an observer through the same
//! code; it is then told of every record, and not just of those that could matter.

use crate::lease::{BadRecord, Lease};
use crate::ranking::Candidate;
use crate::snapshot::Standing;
use crate::snapshot::format::Entry;
use crate::state::{Bridge, Kind};
use crate::text::Text;
use crate::window::Fault;

/// What the look-up makes of a good lease record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It isn't about what was asked for.
    Other,
    /// It is, and it has ended.
    Expired,
    /// It is, and it goes on to be ranked.
    Candidate,
}

/// What becomes of a candidate in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is in the answer.
    Taken,
    /// A destroyed guest left it behind, and a running guest has the name.
    LeftBehind,
    /// Another domain has exactly the name that was asked for; this one's differs in case.
    OtherCase,
    /// The address is in the answer already.
    Duplicate,
    /// It is of the family that wasn't asked for.
    OtherFamily,
    /// Another lease of the same address ranks before it (a look-up by address has one answer).
    Outranked,
}

/// Is told what happens, in order.
///
/// A look-up with more candidates than there are places for goes through the files more than once, and
/// tells it each time.
pub trait Observer {
    /// The state directory can't be listed.
    fn no_directory(&mut self, _fault: Fault) {}

    /// A file is read from here on, or can't be opened.
    fn file(&mut self, _bridge: Bridge, _kind: Kind, _opened: Result<(), Fault>) {}

    /// Reading broke off at byte `offset`, before the file's end.
    fn broken_off(&mut self, _offset: u32, _fault: Fault) {}

    /// A record that starts at byte `start` isn't JSON from byte `end` on.
    fn malformed(&mut self, _start: u32, _end: u32) {}

    /// A lease record that starts at byte `start`.
    fn lease(&mut self, _start: u32, _lease: &Lease, _verdict: Result<Verdict, BadRecord>) {}

    /// A domain's record in a MAC map that starts at byte `start`, and whether it is good and the one
    /// that was asked for.
    fn mac_map(&mut self, _start: u32, _domain: &Text, _good: bool, _wanted: bool) {}

    /// The snapshot was asked, and what of it counts; `None`: it is broken. Its entries have been told of
    /// before.
    fn snapshot(&mut self, _standing: Option<Standing>) {}

    /// An entry of the snapshot at byte `offset`, and whether it goes on to be ranked.
    fn entry(&mut self, _offset: u32, _entry: &Entry<'_>, _standing: Standing, _taken: bool) {}

    /// What has become of a candidate.
    fn candidate(&mut self, _candidate: &Candidate, _fate: Fate) {}
}
