//! Going through the state files for leases, and for the guests that have them.

use crate::enumerate::Place;
use crate::json::Parsed;
use crate::lease::Lease;
use crate::macmap::{MacMap, MacUse};
use crate::name::Wanted;
use crate::nics::{GuestMacs, Known, MACS_AT_ONCE, Owners};
use crate::observe::{Observer, Verdict};
use crate::ranking::{Attached, Candidate, Ranking};
use crate::scan::{self, Records};
use crate::snapshot::Opened;
use crate::sought::{Needles, Sought};
use crate::state::{Bridge, Kind, StateDir, next_bridge};
use crate::text::Text;
use crate::window::{Fault, StateFile, Window};

/// The process is out of file descriptors or of memory; asked again later, there may be an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

/// What a look-up works with. One look-up goes on one file at a time.
pub struct Search<'s, S: StateDir> {
    pub(crate) dir: &'s mut S,
    pub(crate) window: &'s mut [u8],
    /// Seconds since the epoch.
    pub(crate) now: i64,
    pub(crate) observer: Option<&'s mut dyn Observer>,
    /// `None` where there is none, or none that is of use.
    pub(crate) snapshot: Option<Opened<S::File>>,
}

/// Gets the leases that were looked for and hold.
pub(crate) trait Keep {
    /// One of them, with its record.
    fn keep(&mut self, lease: &Lease, candidate: &Candidate);
}

impl Keep for Ranking<'_> {
    fn keep(&mut self, _: &Lease, candidate: &Candidate) {
        self.offer(candidate);
    }
}

impl<'s, S: StateDir> Search<'s, S> {
    /// One look-up in the state directory, and in the snapshot that belongs to it. `window` is scratch
    /// that the files are read through: 16 KiB are good. `now` is in seconds since the epoch. `observer` is
    /// told, if there is one.
    pub fn new(
        dir: &'s mut S,
        window: &'s mut [u8],
        now: i64,
        observer: Option<&'s mut dyn Observer>,
    ) -> Self {
        let snapshot = dir.snapshot();
        Self { dir, window, now, observer, snapshot }
    }
}

impl<S: StateDir> Search<'_, S> {
    /// Offers `keep` the leases that are `sought`, out of all `.status` files.
    pub(crate) fn leases(
        &mut self,
        sought: Sought<'_>,
        keep: &mut dyn Keep,
    ) -> Result<(), Exhausted> {
        let mut file = 0;
        while let Some(bridge) = self.next_bridge(Kind::Leases, &mut file)? {
            self.leases_of_file(bridge, file, sought, keep, None)?;
        }
        Ok(())
    }

    /// Offers `keep` every lease of the domain `wanted`: those of its MACs, on the bridge that has them.
    #[inline(never)]
    pub(crate) fn leases_of_guest(
        &mut self,
        wanted: &Wanted<'_>,
        keep: &mut dyn Keep,
    ) -> Result<Known, Exhausted> {
        let mut needles = Needles::NONE;
        needles.add_name(wanted);
        let mut macs = GuestMacs::new(wanted);
        let mut file = 0;
        while let Some(bridge) = self.next_bridge(Kind::Macs, &mut file)? {
            let mut passed = 0;
            loop {
                macs.restart(passed);
                self.macs(bridge, &needles, &mut macs)?;
                if macs.macs().next().is_some() {
                    self.leases_of_file(bridge, file, Sought::Guest(&macs), keep, None)?;
                }
                if !macs.overflowed() {
                    break;
                }
                passed += MACS_AT_ONCE;
            }
        }
        Ok(macs.known)
    }

    /// Offers `keep` the leases of one file that are `sought`; only the first behind `place` where one is
    /// given, which moves behind it. Whether there was any.
    #[inline(never)]
    pub(crate) fn leases_of_file(
        &mut self,
        bridge: Bridge,
        file: u32,
        sought: Sought<'_>,
        keep: &mut dyn Keep,
        place: Option<&mut Place>,
    ) -> Result<bool, Exhausted> {
        let opened = open(self.dir, bridge, Kind::Leases, observing(&mut self.observer))?;
        let Some(opened) = opened else { return Ok(false) };
        let mut window = Window::new(opened, self.window);
        let mut records = LeaseRecords {
            lease: Lease::new(),
            bridge,
            file,
            now: self.now,
            sought,
            keep,
            kept: 0,
            observer: observing(&mut self.observer),
        };
        match place {
            None => {
                let mut needles = Needles::NONE;
                sought.add_needles(&mut needles);
                go_through(&mut window, &needles, &mut records);
            }
            Some(place) => place.move_on(&mut window, &mut records),
        }
        close(&window, &mut records)?;
        Ok(records.kept > 0)
    }

    /// Looks up, for each of `candidates`, whether a running guest has its NIC. The name of that guest's
    /// domain goes to `name`, which only makes sense of a single candidate.
    pub(crate) fn attach(
        &mut self,
        candidates: &mut [Candidate],
        mut name: Option<&mut Text>,
    ) -> Result<(), Exhausted> {
        loop {
            let open = |candidate: &&Candidate| candidate.attached == Attached::Unknown;
            let Some(&Candidate { bridge, .. }) = candidates.iter().find(open) else {
                return Ok(());
            };
            let mut needles = Needles::NONE;
            for candidate in candidates.iter().filter(open) {
                if let (Some(mac), true) = (candidate.mac, candidate.bridge == bridge) {
                    needles.add_mac(mac);
                }
            }
            let name = name.as_deref_mut();
            let mut owners = Owners { candidates: &mut *candidates, bridge, name };
            self.macs(bridge, &needles, &mut owners)?;
            owners.settle();
        }
    }

    #[inline(never)]
    fn macs(
        &mut self,
        bridge: Bridge,
        needles: &Needles,
        uses: &mut dyn MacUse,
    ) -> Result<(), Exhausted> {
        let opened = open(self.dir, bridge, Kind::Macs, observing(&mut self.observer))?;
        let Some(opened) = opened else { return Ok(()) };
        let mut window = Window::new(opened, self.window);
        let mut records =
            MacRecords { map: MacMap::new(), uses, observer: observing(&mut self.observer) };
        go_through(&mut window, needles, &mut records);
        close(&window, &mut records)
    }

    /// The bridge of the next file of `kind`. `file` counts them; at 0 the listing starts anew.
    pub(crate) fn next_bridge(
        &mut self,
        kind: Kind,
        file: &mut u32,
    ) -> Result<Option<Bridge>, Exhausted> {
        let listed = if *file == 0 { self.dir.rewind() } else { Ok(()) };
        *file += 1;
        let fault = match listed.and_then(|()| next_bridge(self.dir, kind)) {
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
}

impl Place {
    /// Goes behind the next record that is kept.
    fn move_on<F: StateFile>(
        &mut self,
        window: &mut Window<'_, F>,
        records: &mut LeaseRecords<'_>,
    ) {
        let identity = window.identity();
        if identity == self.identity {
            window.seek(self.offset);
        } else {
            self.identity = identity;
            (0..self.passed).all(|_| scan::next(window, records));
            records.kept = 0;
        }
        while records.kept == 0 && scan::next(window, records) {
            self.passed += 1;
        }
        self.offset = window.offset();
    }
}

/// Runs `records` over one file; without needles, or where somebody watches, over every record.
#[inline(never)]
fn go_through<F: StateFile>(
    window: &mut Window<'_, F>,
    needles: &Needles,
    records: &mut dyn Records<F>,
) {
    if needles.as_slice().is_empty() || records.observer().is_some() {
        while scan::next(window, records) {}
    } else {
        for needle in needles.as_slice() {
            window.seek(0);
            scan::matching(window, needle, records);
        }
    }
}

/// Opens a file. `None` for one that can't be: it is told of and has nothing in it.
fn open<S: StateDir>(
    dir: &mut S,
    bridge: Bridge,
    kind: Kind,
    observer: Option<&mut dyn Observer>,
) -> Result<Option<S::File>, Exhausted> {
    let opened = dir.open(&bridge, kind);
    if let Some(observer) = observer {
        observer.file(bridge, kind, opened.as_ref().map(drop).map_err(|&fault| fault));
    }
    match opened {
        Ok(file) => Ok(Some(file)),
        Err(Fault::Exhausted) => Err(Exhausted),
        Err(Fault::Unreadable(_)) => Ok(None),
    }
}

/// Ends the reading of a file, and tells of it where that was before the file's own end.
fn close<F: StateFile>(
    window: &Window<'_, F>,
    records: &mut dyn Records<F>,
) -> Result<(), Exhausted> {
    let Some(fault) = window.fault() else { return Ok(()) };
    if let Some(observer) = records.observer() {
        observer.broken_off(window.offset(), fault);
    }
    if fault == Fault::Exhausted { Err(Exhausted) } else { Ok(()) }
}

/// The same observer, for a shorter time.
pub(crate) fn observing<'o>(
    observer: &'o mut Option<&mut dyn Observer>,
) -> Option<&'o mut dyn Observer> {
    match observer {
        Some(observer) => Some(&mut **observer),
        None => None,
    }
}

/// Lease records on their way to whoever keeps them.
struct LeaseRecords<'r> {
    lease: Lease,
    bridge: Bridge,
    file: u32,
    now: i64,
    sought: Sought<'r>,
    keep: &'r mut dyn Keep,
    /// How many have been kept.
    kept: u32,
    observer: Option<&'r mut dyn Observer>,
}

impl<F: StateFile> Records<F> for LeaseRecords<'_> {
    fn read(&mut self, window: &mut Window<'_, F>) -> Parsed {
        self.lease.read(window)
    }

    fn take(&mut self, start: u32) {
        let lease = &self.lease;
        let verdict = lease.checked().map(|address| match self.sought.judge(lease, address) {
            None => Verdict::Other,
            Some(_) if lease.has_expired(self.now) => Verdict::Expired,
            Some(exact) => {
                let (file, expiry) = (self.file, lease.expiry);
                let mut candidate =
                    Candidate::new(address, lease.mac, self.bridge, expiry, file, start);
                candidate.exact = exact;
                self.keep.keep(lease, &candidate);
                self.kept += 1;
                Verdict::Candidate
            }
        });
        if let Some(observer) = &mut self.observer {
            observer.lease(start, lease, verdict);
        }
    }

    fn observer(&mut self) -> Option<&mut dyn Observer> {
        observing(&mut self.observer)
    }
}

/// The domains of a bridge on their way to who asks about their MACs.
struct MacRecords<'r> {
    map: MacMap,
    uses: &'r mut dyn MacUse,
    observer: Option<&'r mut dyn Observer>,
}

impl<F: StateFile> Records<F> for MacRecords<'_> {
    fn read(&mut self, window: &mut Window<'_, F>) -> Parsed {
        self.map.read(window, &mut *self.uses)
    }

    fn take(&mut self, start: u32) {
        let good = self.map.is_good();
        let wanted = good && self.uses.end(&self.map);
        if let Some(observer) = &mut self.observer {
            observer.mac_map(start, &self.map.domain, good, wanted);
        }
    }

    fn observer(&mut self) -> Option<&mut dyn Observer> {
        observing(&mut self.observer)
    }
}
