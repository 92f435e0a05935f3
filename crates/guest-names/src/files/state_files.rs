//! Going through the state directory's files.

use super::records::{Leases, MacMaps, Records};
use super::sought::Sought;
use crate::bridge::Bridge;
use crate::io::{Exhausted, Fault, Kind, StateDir, StateFile as _, System};
use crate::needles::Needles;
use crate::observe::Observer;
use crate::records::lease::Lease;
use crate::text::Text;
use crate::window::LARGE_BUFFER;

/// Where the stack had only room for a small buffer, files of more bytes than this get a large one in memory of its own.
/// The mapping costs 20 µs (a third of that in page faults), a small buffer 0.07 µs for each KiB that is read.
const WORTH_A_BUFFER: u64 = 288 << 10;

/// The state files, and what is needed to read them. One file is open at a time.
pub(crate) struct StateFiles<'m, D, S> {
    dir: &'m mut D,
    pub(crate) system: &'m S,
    /// The buffer that files are read into.
    pub(crate) buffer: &'m mut [u8],
    /// Seconds since the epoch.
    pub(crate) now: i64,
    pub(crate) observer: Option<&'m mut dyn Observer>,
    /// The current needles and lease. They are here so that there is only one of each on the stack.
    pub(super) needles: Needles,
    lease: Lease,
    /// Bytes of all files that were opened so far, if the buffer is small.
    opened: u64,
}

/// A listing of one kind of file, in progress.
pub(crate) struct Listing {
    kind: Kind,
    /// The number of the current file, from 1 on.
    pub(crate) file: u32,
}

impl Listing {
    /// Before the first.
    pub(crate) fn of(kind: Kind) -> Self {
        Self { kind, file: 0 }
    }
}

impl<'m, D: StateDir, S: System> StateFiles<'m, D, S> {
    pub(crate) fn new(
        dir: &'m mut D,
        system: &'m S,
        buffer: &'m mut [u8],
        now: i64,
        observer: Option<&'m mut dyn Observer>,
    ) -> Self {
        let (needles, lease) = (Needles::NONE, Lease::new());
        Self { dir, system, buffer, now, observer, needles, lease, opened: 0 }
    }

    /// The bridge of the listing's next file. Files with other names are skipped.
    pub(crate) fn next(&mut self, listing: &mut Listing) -> Result<Option<Bridge>, Exhausted> {
        let listed = if listing.file == 0 { self.dir.rewind() } else { Ok(()) };
        listing.file += 1;
        let fault = match listed.and_then(|()| next_bridge(self.dir, listing.kind)) {
            Ok(bridge) => return Ok(bridge),
            Err(fault) => fault,
        };
        if let Some(observer) = &mut self.observer {
            observer.no_directory(fault);
        }
        match fault {
            Fault::Exhausted => Err(Exhausted),
            Fault::Unreadable(_) => Ok(None),
        }
    }

    /// The leases of a bridge that are `sought`. It is the `file`-th. None where the file can't be opened.
    pub(crate) fn leases<'f>(
        &'f mut self,
        bridge: Bridge,
        file: u32,
        sought: Sought<'f>,
    ) -> Leases<'f, D::File> {
        self.needles.clear();
        sought.add_needles(&mut self.needles);
        let opened = self.open(bridge, Kind::Leases);
        let records = Records::new(opened, self.buffer, &self.needles, &mut self.observer);
        Leases { records, lease: &mut self.lease, bridge, file, sought, now: self.now }
    }

    /// The records of a bridge's MAC map that may have one of the needles that were added; all where there are no
    /// needles. None where the file can't be opened.
    pub(super) fn mac_maps(&mut self, bridge: Bridge) -> MacMaps<'_, D::File> {
        let opened = self.open(bridge, Kind::Macs);
        let records = Records::new(opened, self.buffer, &self.needles, &mut self.observer);
        // While leases aren't read, their texts are free.
        MacMaps::new(records, &mut self.lease.hostname, &mut self.lease.domain)
    }

    fn open(&mut self, bridge: Bridge, kind: Kind) -> Result<Option<D::File>, Exhausted> {
        let opened = self.dir.open(&bridge, kind);
        if let Some(observer) = &mut self.observer {
            observer.file(bridge, kind, opened.as_ref().map(drop).map_err(|&fault| fault));
        }
        let mut file = match opened {
            Ok(file) => file,
            Err(Fault::Exhausted) => return Err(Exhausted),
            Err(Fault::Unreadable(_)) => return Ok(None),
        };
        if self.buffer.len() < LARGE_BUFFER {
            self.opened = self.opened.saturating_add(file.size());
            let is_worth_it = self.opened > WORTH_A_BUFFER;
            // Without one, reading takes longer.
            if let Some(buffer) = is_worth_it.then(|| self.system.slice(LARGE_BUFFER, 0)).flatten()
            {
                self.buffer = buffer;
            }
        }
        Ok(Some(file))
    }
}

fn next_bridge<D: StateDir>(dir: &mut D, kind: Kind) -> Result<Option<Bridge>, Fault> {
    let mut name = Text::new();
    while dir.next_name(&mut name)? {
        let bridge = name.as_bytes().strip_suffix(kind.suffix()).and_then(Bridge::new);
        if bridge.is_some() {
            return Ok(bridge);
        }
    }
    Ok(None)
}
