//! What a look-up did: the files it read, their records, and its candidates.

use std::net::IpAddr;

use guest_names::bridge::Bridge;
use guest_names::candidate::Candidate;
use guest_names::io::Fault;
use guest_names::io::Kind;
use guest_names::name::NameKind;
use guest_names::observe::{Fate, Observer, Verdict};
use guest_names::records::lease::{BadRecord, Lease};
use guest_names::snapshot::Standing;
use guest_names::snapshot::format::Entry;
use guest_names::text::Text;

use super::entries::SnapshotStory;
use crate::state::address;
use crate::state::{MacAddress, lossy};

/// A look-up, as its observer saw it.
#[derive(Default)]
pub(crate) struct Story {
    /// Why the state directory couldn't be listed.
    pub(crate) no_directory: Option<Fault>,
    /// What the daemon's snapshot had under the name.
    pub(crate) snapshot: SnapshotStory,
    /// In the order in which they were read.
    pub(crate) files: Vec<FileStory>,
    /// The candidates that the answer was chosen from.
    pub(crate) candidates: Vec<(Candidate, Fate)>,
}

/// A file that it read.
pub(crate) struct FileStory {
    pub(crate) bridge: Bridge,
    pub(crate) kind: Kind,
    /// Why it couldn't be opened, or from which byte on it couldn't be read.
    pub(crate) fault: Option<(u32, Fault)>,
    pub(crate) records: Vec<RecordStory>,
}

/// A record of a file.
pub(crate) struct RecordStory {
    /// Where it starts, in bytes.
    pub(crate) start: u32,
    pub(crate) what: What,
}

/// What it was.
pub(crate) enum What {
    /// Not JSON from this byte on.
    NotJson(u32),
    Lease {
        host_name: String,
        /// The network's.
        domain: String,
        address: Option<IpAddr>,
        mac: Option<MacAddress>,
        expiry: i64,
        verdict: Result<Verdict, BadRecord>,
    },
    Map {
        /// libvirt's name of the guest.
        domain: String,
        good: bool,
        wanted: bool,
    },
}

impl Story {
    /// Sorts the files, so that their order doesn't depend on the directory's.
    pub(crate) fn sort(&mut self, kind: NameKind) {
        self.files.sort_by_key(|file| {
            let bridge = file.bridge.as_bytes().to_vec();
            let is_map = file.kind == Kind::Macs;
            match kind {
                NameKind::HostName => (is_map, bridge, false),
                NameKind::Domain => (false, bridge, !is_map),
            }
        });
    }

    /// What became of the lease at `start`, if it was a candidate.
    pub(crate) fn fate(&self, file: &FileStory, record: &RecordStory) -> Option<Fate> {
        let mut of_files =
            self.candidates.iter().filter(|(candidate, _)| !candidate.is_of_snapshot());
        let found = of_files.find(|(candidate, _)| {
            candidate.bridge == file.bridge && candidate.offset() == record.start
        });
        found.map(|&(_, fate)| fate)
    }

    fn record(&mut self, start: u32, what: What) {
        if let Some(file) = self.files.last_mut() {
            file.records.push(RecordStory { start, what });
        }
    }
}

impl Observer for Story {
    fn no_directory(&mut self, fault: Fault) {
        self.no_directory = Some(fault);
    }

    fn file(&mut self, bridge: Bridge, kind: Kind, opened: Result<(), Fault>) {
        let fault = opened.err().map(|fault| (0, fault));
        self.files.push(FileStory { bridge, kind, fault, records: Vec::new() });
    }

    fn broken_off(&mut self, offset: u32, fault: Fault) {
        if let Some(file) = self.files.last_mut() {
            file.fault = Some((offset, fault));
        }
    }

    fn malformed(&mut self, start: u32, end: u32) {
        self.record(start, What::NotJson(end));
    }

    fn lease(&mut self, start: u32, lease: &Lease, verdict: Result<Verdict, BadRecord>) {
        let what = What::Lease {
            host_name: lossy(lease.hostname.as_bytes()),
            domain: lossy(lease.domain.as_bytes()),
            address: lease.address.map(address::to_std),
            mac: lease.mac.map(MacAddress::from),
            expiry: lease.expiry,
            verdict,
        };
        self.record(start, what);
    }

    fn mac_map(&mut self, start: u32, domain: &Text, good: bool, wanted: bool) {
        self.record(start, What::Map { domain: lossy(domain.as_bytes()), good, wanted });
    }

    fn snapshot(&mut self, standing: Option<Standing>) {
        self.snapshot.asked(standing);
    }

    fn entry(&mut self, offset: u32, entry: &Entry<'_>, _: Standing, taken: bool) {
        self.snapshot.entry(offset, entry, taken);
    }

    fn candidate(&mut self, candidate: &Candidate, fate: Fate) {
        self.candidates.push((*candidate, fate));
    }
}
