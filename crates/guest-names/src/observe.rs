//! Watching a look-up: every file, record and entry, and why it was taken or skipped.
//!
//! The modules look up without an observer. With one, the same code reports every record, and not just those that
//! could matter.

use crate::bridge::Bridge;
use crate::candidate::Candidate;
use crate::io::{Fault, Kind};
use crate::records::lease::{BadRecord, Lease};
use crate::snapshot::Standing;
use crate::snapshot::format::Entry;
use crate::text::Text;

/// What the look-up makes of a valid lease record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It isn't about the name or the address that is looked up.
    Other,
    /// It is, and it has expired.
    Expired,
    /// It is a candidate.
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
    /// The NIC has a fresher lease under another client id.
    OtherClient,
    /// The answer has the address already.
    Duplicate,
    /// Only the other family was requested.
    OtherFamily,
    /// An IPv6 link-local address: the guest has a better one, or the answer can't have its scope.
    LinkLocal,
    /// Another lease of the same address ranks before it (a look-up by address has one answer).
    Outranked,
    /// A guest of a connection that comes before this host's has the name.
    BehindConnection,
    /// It is another host's guest, and this host's files have the name.
    BehindFiles,
}

/// Receives what happens, in order.
pub trait Observer {
    /// The state directory can't be listed.
    fn no_directory(&mut self, _fault: Fault) {}

    /// A file is read from here on, or can't be opened.
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

    /// The snapshot was asked, and what of it counts; `None`: it is damaged, and what it gave doesn't count. Its
    /// entries have been reported before.
    fn snapshot(&mut self, _standing: Option<Standing>) {}

    /// An entry of the snapshot at byte `offset`, and whether it counts.
    fn entry(&mut self, _offset: u32, _entry: &Entry<'_>, _standing: Standing, _counts: bool) {}

    /// What has become of a candidate.
    fn candidate(&mut self, _candidate: &Candidate, _fate: Fate) {}

    /// The name that is looked up is the host's own, so that no guest has it.
    fn own_name(&mut self) {}
}

/// The same observer, for a shorter time.
#[must_use]
pub fn observing<'o>(observer: &'o mut Option<&mut dyn Observer>) -> Option<&'o mut dyn Observer> {
    match observer {
        Some(observer) => Some(&mut **observer),
        None => None,
    }
}
