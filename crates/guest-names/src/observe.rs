//! Observing a look-up: every file, record and entry, and why it was taken or skipped.
//!
//! The modules usually run without an observer. With one, the same code reports every record, not just those that could
//! matter.

use crate::bridge::Bridge;
use crate::candidate::Candidate;
use crate::io::{Fault, Kind};
use crate::records::lease::{BadRecord, Lease};
use crate::snapshot::Standing;
use crate::snapshot::format::Entry;
use crate::text::Text;

/// How a valid lease record relates to the look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It doesn't have the name or the address that is looked up.
    Other,
    /// It has, but it has expired.
    Expired,
    /// It is a candidate.
    Candidate,
}

/// What finally happens to a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is in the answer.
    Taken,
    /// A destroyed guest left it behind, and a running guest has the name.
    LeftBehind,
    /// Another domain has exactly the name that was asked for; this one's differs in case.
    OtherCase,
    /// The NIC has a fresher lease under another client id.
    OtherClient,
    /// The answer already has the address.
    Duplicate,
    /// Only the other family was requested.
    OtherFamily,
    /// An IPv6 link-local address, and the guest has a better one, or the answer can't contain its scope.
    LinkLocal,
    /// Another lease of the same address ranks before it (a look-up by address has one answer).
    Outranked,
    /// A guest of a connection that comes before this host's has the name.
    BehindConnection,
    /// It is another host's guest, and this host's files have the name.
    BehindFiles,
}

/// Called with what happens, in order.
pub trait Observer {
    /// The state directory can't be listed.
    fn no_directory(&mut self, _fault: Fault) {}

    /// A file was opened, and its records follow; or it can't be opened.
    fn file(&mut self, _bridge: Bridge, _kind: Kind, _opened: Result<(), Fault>) {}

    /// Reading failed at byte `offset`, before the file's end.
    fn broken_off(&mut self, _offset: u32, _fault: Fault) {}

    /// A record that starts at byte `start` is invalid JSON at byte `end`.
    fn malformed(&mut self, _start: u32, _end: u32) {}

    /// A lease record that starts at byte `start`.
    fn lease(&mut self, _start: u32, _lease: &Lease, _verdict: Result<Verdict, BadRecord>) {}

    /// A domain's record in a MAC map that starts at byte `start`, whether it is valid, and whether it is
    /// about what is looked up.
    fn mac_map(&mut self, _start: u32, _domain: &Text, _good: bool, _wanted: bool) {}

    /// The snapshot was read, and this much of it counts. `None`: it is damaged, and the entries that were reported before
    /// don't count.
    fn snapshot(&mut self, _standing: Option<Standing>) {}

    /// An entry of the snapshot at byte `offset`, and whether it counts.
    fn entry(&mut self, _offset: u32, _entry: &Entry<'_>, _standing: Standing, _counts: bool) {}

    /// What happened to a candidate.
    fn candidate(&mut self, _candidate: &Candidate, _fate: Fate) {}

    /// The name that is looked up is the host's own, so that no guest has it.
    fn own_name(&mut self) {}
}

/// Reborrows the observer.
#[must_use]
pub fn observing<'o>(observer: &'o mut Option<&mut dyn Observer>) -> Option<&'o mut dyn Observer> {
    match observer {
        Some(observer) => Some(&mut **observer),
        None => None,
    }
}
