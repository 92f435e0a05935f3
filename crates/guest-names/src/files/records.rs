//! The records of one open file, one after the other.

use super::sought::Sought;
use crate::bridge::Bridge;
use crate::candidate::Candidate;
use crate::io::{Exhausted, Fault, StateFile};
use crate::json::Parsed;
use crate::needles::Needles;
use crate::observe::{Observer, Verdict, observing};
use crate::records::lease::Lease;
use crate::records::mac_map::MacMap;
use crate::scan::{Accepted, Scan};
use crate::text::Text;
use crate::window::Window;

/// A file, and how far it has been read.
pub(super) struct Records<'f, F> {
    window: Window<'f, Option<F>>,
    scan: Scan<'f>,
    observer: Option<&'f mut dyn Observer>,
    /// Whether it was opened, or can't be read at all.
    opened: Result<(), Exhausted>,
}

impl<'f, F: StateFile> Records<'f, F> {
    pub(super) fn new(
        opened: Result<Option<F>, Exhausted>,
        buffer: &'f mut [u8],
        needles: &'f Needles,
        observer: &'f mut Option<&mut dyn Observer>,
    ) -> Self {
        let observer = observing(observer);
        // Observers get every record.
        let needles = if observer.is_some() { &[] } else { needles.as_slice() };
        let (file, opened) = match opened {
            Ok(file) => (file, Ok(())),
            Err(exhausted) => (None, Err(exhausted)),
        };
        Self { window: Window::new(file, buffer), scan: Scan::new(needles), observer, opened }
    }

    /// Whether the object that was read is a record.
    fn accept(&mut self, start: u32, parsed: Parsed) -> bool {
        let accepted = self.scan.accept(&mut self.window, parsed);
        if let (Accepted::Malformed(end), Some(observer)) = (accepted, &mut self.observer) {
            observer.malformed(start, end);
        }
        accepted == Accepted::Record
    }

    /// Reports a fault that ended the reading before the file's end.
    fn close(&mut self) -> Result<(), Exhausted> {
        let Some(fault) = self.window.fault() else { return self.opened };
        if let Some(observer) = &mut self.observer {
            observer.broken_off(self.window.offset(), fault);
        }
        if fault == Fault::Exhausted { Err(Exhausted) } else { Ok(()) }
    }
}

/// The leases of a `.status` file that are sought and haven't expired.
pub(crate) struct Leases<'f, F> {
    pub(super) records: Records<'f, F>,
    pub(super) lease: &'f mut Lease,
    pub(super) bridge: Bridge,
    pub(super) file: u32,
    pub(super) sought: Sought<'f>,
    pub(super) now: i64,
}

impl<F: StateFile> Leases<'_, F> {
    /// The next one. `None` at the file's end.
    pub(crate) fn next(&mut self) -> Option<Candidate> {
        loop {
            let start = self.records.scan.next(&mut self.records.window)?;
            let parsed = self.lease.read(&mut self.records.window);
            if !self.records.accept(start, parsed) {
                continue;
            }
            let lease = &*self.lease;
            let checked = lease.checked();
            let matched = checked.map(|address| self.sought.matches(lease, address));
            let verdict = matched.map(|exact| match exact {
                None => Verdict::Other,
                Some(_) if lease.has_expired(self.now) => Verdict::Expired,
                Some(_) => Verdict::Candidate,
            });
            if let Some(observer) = &mut self.records.observer {
                observer.lease(start, lease, verdict);
            }
            if let (Ok(address), Ok(Some(exact)), Ok(Verdict::Candidate)) =
                (checked, matched, verdict)
            {
                let candidate = Candidate::of_lease(lease, address, self.bridge, self.file, start);
                return Some(Candidate { exact, ..candidate });
            }
        }
    }

    /// The record of the candidate that [`Leases::next`] returned last.
    pub(crate) fn lease(&self) -> &Lease {
        self.lease
    }

    /// Ends the reading.
    pub(crate) fn close(&mut self) -> Result<(), Exhausted> {
        self.records.close()
    }
}

/// The valid records of a `.macs` file, each in parts of [`MACS_AT_ONCE`](crate::records::mac_map::MACS_AT_ONCE)
/// MACs.
pub(crate) struct MacMaps<'f, F> {
    records: Records<'f, F>,
    map: MacMap<'f>,
    /// What strings are read into.
    scratch: &'f mut Text,
    /// Where the current record starts.
    start: u32,
    /// A part of it has been returned, and it hasn't been reported to the observer.
    is_open: bool,
    /// It is about the guest that is looked up.
    is_wanted: bool,
}

impl<'f, F: StateFile> MacMaps<'f, F> {
    pub(super) fn new(
        records: Records<'f, F>,
        domain: &'f mut Text,
        scratch: &'f mut Text,
    ) -> Self {
        Self {
            records,
            map: MacMap::new(domain),
            scratch,
            start: 0,
            is_open: false,
            is_wanted: false,
        }
    }

    /// The next part of a record. `None` at the file's end.
    pub(crate) fn next(&mut self) -> Option<&MacMap<'f>> {
        if !(self.is_open && self.map.read_rest(&mut self.records.window, self.scratch)) {
            self.report();
            self.read_next_record()?;
        }
        Some(&self.map)
    }

    fn read_next_record(&mut self) -> Option<()> {
        loop {
            self.start = self.records.scan.next(&mut self.records.window)?;
            let parsed = self.map.read(&mut self.records.window, self.scratch);
            if self.records.accept(self.start, parsed) {
                self.is_open = true;
                self.is_wanted = false;
                if self.map.is_good() {
                    return Some(());
                }
                self.report();
            }
        }
    }

    /// Notes that the record is about the guest that is looked up.
    pub(crate) fn set_wanted(&mut self) {
        self.is_wanted = true;
    }

    fn report(&mut self) {
        if let (Some(observer), true) = (&mut self.records.observer, self.is_open) {
            observer.mac_map(self.start, self.map.domain, self.map.is_good(), self.is_wanted);
        }
        self.is_open = false;
    }

    /// Ends the reading.
    pub(crate) fn close(&mut self) -> Result<(), Exhausted> {
        self.report();
        self.records.close()
    }
}
