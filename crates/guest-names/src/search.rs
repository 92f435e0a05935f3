//! Going through the state files for the leases of a name, of a MAC, of an address.

use core::cell::Cell;

use crate::address::{Address, Mac, digit as hex_digit, starts_with_80_zero_bits};
use crate::enumerate::Place;
use crate::json::Parsed;
use crate::lease::Lease;
use crate::macmap::MacMap;
use crate::name::{Fit, Wanted, is_domain};
use crate::needle::Needle;
use crate::observe::{Observer, Verdict};
use crate::ranking::{Attached, Candidate};
use crate::scan::{self, Records};
use crate::state::{Bridge, Kind, StateDir, next_bridge};
use crate::text::Text;
use crate::window::{Fault, StateFile, Window};

/// The process is out of file descriptors or of memory; asked again later, there may be an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

/// What a look-up works with. One look-up goes on one file at a time.
pub struct Search<'s, S> {
    /// The state directory.
    pub dir: &'s mut S,
    /// Scratch that the files are read through: 128 bytes at least, 16 KiB are good.
    pub window: &'s mut [u8],
    /// Seconds since the epoch.
    pub now: i64,
    /// Who is told, if anyone.
    pub observer: Option<&'s mut dyn Observer>,
}

/// How many MACs are looked for in one go through a file.
const MACS_AT_ONCE: usize = 64;

/// Up to this many, looking for one after the other is quicker than reading every record.
const FEW: usize = 4;

/// Whether a libvirt domain of the wanted name was met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// In any case.
    pub name: bool,
    /// Byte for byte.
    pub exact: bool,
}

impl<S: StateDir> Search<'_, S> {
    /// Offers `keep` every lease whose host name is `wanted`.
    pub(crate) fn leases_of_host(
        &mut self,
        wanted: &Wanted<'_>,
        keep: &mut dyn FnMut(Candidate),
    ) -> Result<(), Exhausted> {
        let needles = Needles::of_name(wanted);
        self.leases(
            &needles,
            &mut |lease, _| match wanted.fit(lease.hostname.as_bytes()) {
                Fit::None => None,
                Fit::Whole { exact } => Some(exact),
                Fit::Within { rest, exact } => {
                    is_domain(lease.domain.as_bytes(), rest).then_some(exact)
                }
            },
            &mut |_, candidate| keep(candidate),
        )
    }

    /// Offers `keep` every lease of `address`, with its record.
    pub(crate) fn leases_of_address(
        &mut self,
        address: Address,
        keep: &mut dyn FnMut(&Lease, Candidate),
    ) -> Result<(), Exhausted> {
        let needles = Needles::of_address(address);
        self.leases(&needles, &mut |_, found| (found == address).then_some(true), keep)
    }

    /// Offers `keep` what `judge` takes out of all `.status` files. `judge` says whether the record's
    /// name is the wanted one in its case too.
    fn leases(
        &mut self,
        needles: &Needles,
        judge: &mut dyn FnMut(&Lease, Address) -> Option<bool>,
        keep: &mut dyn FnMut(&Lease, Candidate),
    ) -> Result<(), Exhausted> {
        let mut bridge = Bridge::new();
        let mut file = 0;
        let mut found = self.first_bridge(Kind::Leases, &mut bridge)?;
        while found {
            self.leases_of_file(&bridge, file, needles, judge, keep)?;
            file += 1;
            found = self.next_bridge(Kind::Leases, &mut bridge)?;
        }
        Ok(())
    }

    /// Offers `keep` every lease of the domain `wanted`: those of its MACs, on the bridge that has them.
    pub(crate) fn leases_of_guest(
        &mut self,
        wanted: &Wanted<'_>,
        keep: &mut dyn FnMut(Candidate),
    ) -> Result<Known, Exhausted> {
        let needles = Needles::of_name(wanted);
        let mut known = Known::default();
        let mut bridge = Bridge::new();
        let mut file = 0;
        let mut found = self.first_bridge(Kind::Macs, &mut bridge)?;
        while found {
            let mut passed = 0;
            loop {
                let mut macs = GuestMacs::new(wanted, passed);
                self.macs(&bridge, &needles, &mut macs)?;
                known.name |= macs.known.name;
                known.exact |= macs.known.exact;
                self.leases_of_macs(&bridge, file, &macs, keep)?;
                passed += MACS_AT_ONCE;
                if macs.committed <= passed {
                    break;
                }
            }
            file += 1;
            found = self.next_bridge(Kind::Macs, &mut bridge)?;
        }
        Ok(known)
    }

    fn leases_of_macs(
        &mut self,
        bridge: &Bridge,
        file: u32,
        macs: &GuestMacs<'_>,
        keep: &mut dyn FnMut(Candidate),
    ) -> Result<(), Exhausted> {
        if macs.listed().is_empty() {
            return Ok(());
        }
        let needles = Needles::of_macs(macs.listed().iter().map(|listed| listed.mac));
        let judge = &mut |lease: &Lease, _| macs.judge(lease);
        self.leases_of_file(bridge, file, &needles, judge, &mut |_, candidate| keep(candidate))
    }

    fn leases_of_file(
        &mut self,
        bridge: &Bridge,
        file: u32,
        needles: &Needles,
        judge: &mut dyn FnMut(&Lease, Address) -> Option<bool>,
        keep: &mut dyn FnMut(&Lease, Candidate),
    ) -> Result<(), Exhausted> {
        let mut records = LeaseRecords {
            lease: Lease::new(),
            bridge,
            file,
            now: self.now,
            judge,
            keep,
            observer: observing(&mut self.observer),
        };
        go_through(self.dir, self.window, (bridge, Kind::Leases), needles, &mut records)
    }

    /// Looks up, for each of `candidates`, whether a running guest has its NIC.
    pub(crate) fn attach(&mut self, candidates: &mut [Candidate]) -> Result<(), Exhausted> {
        loop {
            let open = |candidate: &&Candidate| candidate.attached == Attached::Unknown;
            let Some(bridge) = candidates.iter().find(open).and_then(|first| first.bridge) else {
                return Ok(());
            };
            let here = candidates.iter().filter(open).filter(|one| one.bridge == Some(bridge));
            let mut sought = SoughtMacs::new();
            here.filter_map(|candidate| candidate.mac).for_each(|mac| sought.add(mac));

            let needles = Needles::of_macs(sought.macs().iter().copied());
            self.macs(&bridge.to_bridge(), &needles, &mut sought)?;

            for candidate in candidates.iter_mut().filter(|one| one.bridge == Some(bridge)) {
                if let Some(attached) = candidate.mac.and_then(|mac| sought.found(mac)) {
                    candidate.attached = if attached { Attached::Yes } else { Attached::No };
                }
            }
        }
    }

    /// Whether `mac` belongs to a running guest's NIC on `bridge`; its domain's name goes to `name`.
    pub(crate) fn domain_of(
        &mut self,
        bridge: &Bridge,
        mac: Mac,
        name: &mut Text,
    ) -> Result<bool, Exhausted> {
        let mut owner = Owner { mac, met: false, found: false, name };
        let needles = Needles::of_macs(core::iter::once(mac));
        self.macs(bridge, &needles, &mut owner)?;
        Ok(owner.found)
    }

    fn macs(
        &mut self,
        bridge: &Bridge,
        needles: &Needles,
        uses: &mut dyn MacUse,
    ) -> Result<(), Exhausted> {
        let mut records =
            MacRecords { map: MacMap::new(), uses, observer: observing(&mut self.observer) };
        go_through(self.dir, self.window, (bridge, Kind::Macs), needles, &mut records)
    }

    /// The next lease that holds behind `place`, which moves behind it; its record goes to `lease`.
    pub(crate) fn lease_behind(
        &mut self,
        bridge: &Bridge,
        place: &mut Place,
        lease: &mut Lease,
    ) -> Result<Option<Candidate>, Exhausted> {
        let found = Cell::new(None);
        let mut records = LeaseRecords {
            lease: Lease::new(),
            bridge,
            file: 0,
            now: self.now,
            judge: &mut |_: &Lease, _| Some(true),
            keep: &mut |_: &Lease, candidate| found.set(Some(candidate)),
            observer: observing(&mut self.observer),
        };
        let file = (bridge, Kind::Leases);
        with_file(self.dir, self.window, file, &mut records, &mut |window, records| {
            let identity = window.identity();
            if identity == place.identity {
                window.seek(place.offset);
            } else {
                place.identity = identity;
                (0..place.passed).all(|_| scan::next(window, records));
                found.set(None);
            }
            while found.get().is_none() && scan::next(window, records) {
                place.passed = place.passed.saturating_add(1);
            }
            place.offset = window.offset();
        })?;
        *lease = records.lease.clone();
        Ok(found.get())
    }

    pub(crate) fn first_bridge(
        &mut self,
        kind: Kind,
        bridge: &mut Bridge,
    ) -> Result<bool, Exhausted> {
        match self.dir.rewind() {
            Ok(()) => self.next_bridge(kind, bridge),
            Err(fault) => self.without_directory(fault),
        }
    }

    pub(crate) fn next_bridge(
        &mut self,
        kind: Kind,
        bridge: &mut Bridge,
    ) -> Result<bool, Exhausted> {
        match next_bridge(self.dir, kind, bridge) {
            Ok(found) => Ok(found),
            Err(fault) => self.without_directory(fault),
        }
    }

    fn without_directory(&mut self, fault: Fault) -> Result<bool, Exhausted> {
        if let Some(observer) = &mut self.observer {
            observer.no_directory(fault);
        }
        match fault {
            Fault::Exhausted => Err(Exhausted),
            Fault::Unreadable(_) => Ok(false),
        }
    }
}

/// Runs `records` over one file; without needles, or where somebody watches, over every record.
fn go_through<S: StateDir>(
    dir: &mut S,
    buffer: &mut [u8],
    file: (&Bridge, Kind),
    needles: &Needles,
    records: &mut dyn Records<S::File>,
) -> Result<(), Exhausted> {
    with_file(dir, buffer, file, records, &mut |window, records| {
        if needles.as_slice().is_empty() || records.observer().is_some() {
            while scan::next(window, records) {}
        } else {
            for needle in needles.as_slice() {
                window.seek(0);
                scan::matching(window, needle, records);
            }
        }
    })
}

/// What is done with one file.
type Body<'b, F> = &'b mut dyn FnMut(&mut Window<'_, F>, &mut dyn Records<F>);

/// Does `body` with one file. One that can't be read is told of and has nothing in it.
fn with_file<S: StateDir>(
    dir: &mut S,
    buffer: &mut [u8],
    (bridge, kind): (&Bridge, Kind),
    records: &mut dyn Records<S::File>,
    body: Body<'_, S::File>,
) -> Result<(), Exhausted> {
    let opened = dir.open(bridge, kind);
    if let Some(observer) = records.observer() {
        let outcome = opened.as_ref().map(drop).map_err(|&fault| fault);
        observer.file(bridge.as_bytes(), kind, outcome);
    }
    let file = match opened {
        Ok(file) => file,
        Err(Fault::Exhausted) => return Err(Exhausted),
        Err(Fault::Unreadable(_)) => return Ok(()),
    };
    let mut window = Window::new(file, buffer);
    body(&mut window, records);
    let Some(fault) = window.fault() else { return Ok(()) };
    if let Some(observer) = records.observer() {
        observer.broken_off(bridge.as_bytes(), kind, window.offset(), fault);
    }
    if fault == Fault::Exhausted { Err(Exhausted) } else { Ok(()) }
}

/// The same observer, for a shorter time.
fn observing<'o>(observer: &'o mut Option<&mut dyn Observer>) -> Option<&'o mut dyn Observer> {
    match observer {
        Some(observer) => Some(&mut **observer),
        None => None,
    }
}

/// Lease records on their way to whoever keeps them.
struct LeaseRecords<'r> {
    lease: Lease,
    bridge: &'r Bridge,
    file: u32,
    now: i64,
    judge: &'r mut dyn FnMut(&Lease, Address) -> Option<bool>,
    keep: &'r mut dyn FnMut(&Lease, Candidate),
    observer: Option<&'r mut dyn Observer>,
}

impl<F: StateFile> Records<F> for LeaseRecords<'_> {
    fn read(&mut self, window: &mut Window<'_, F>) -> Parsed {
        self.lease.read(window)
    }

    fn take(&mut self, start: u32) {
        let lease = &self.lease;
        let verdict = lease.checked().map(|address| match (self.judge)(lease, address) {
            None => Verdict::Other,
            Some(_) if lease.has_expired(self.now) => Verdict::Expired,
            Some(exact) => {
                let (file, expiry) = (self.file, lease.expiry);
                let mut candidate =
                    Candidate::new(address, lease.mac, self.bridge, expiry, file, start);
                candidate.exact = exact;
                (self.keep)(lease, candidate);
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

/// What is done with the MACs of a bridge's domains.
trait MacUse {
    /// A record begins; what came of the one before counts only if it was ended.
    fn begin(&mut self);
    /// A MAC of the record.
    fn mac(&mut self, mac: Mac);
    /// The record is whole and good. Whether it is one that was looked for.
    fn end(&mut self, map: &MacMap) -> bool;
}

struct MacRecords<'r> {
    map: MacMap,
    uses: &'r mut dyn MacUse,
    observer: Option<&'r mut dyn Observer>,
}

impl<F: StateFile> Records<F> for MacRecords<'_> {
    fn read(&mut self, window: &mut Window<'_, F>) -> Parsed {
        let Self { map, uses, .. } = self;
        uses.begin();
        map.read(window, &mut |mac| uses.mac(mac))
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

/// The MACs of the domains that a name fits, [`MACS_AT_ONCE`] of them from the `passed`-th on.
struct GuestMacs<'w> {
    wanted: &'w Wanted<'w>,
    passed: usize,
    listed: [ListedMac<'w>; MACS_AT_ONCE],
    /// How many MACs of the domains there are, the passed ones among them.
    committed: usize,
    /// The same with the record that is being read.
    met: usize,
    known: Known,
}

#[derive(Clone, Copy)]
struct ListedMac<'w> {
    mac: Mac,
    fit: Fit<'w>,
}

impl<'w> GuestMacs<'w> {
    fn new(wanted: &'w Wanted<'w>, passed: usize) -> Self {
        let empty = ListedMac { mac: Mac([0; 6]), fit: Fit::None };
        let listed = [empty; MACS_AT_ONCE];
        Self { wanted, passed, listed, committed: 0, met: 0, known: Known::default() }
    }

    fn listed(&self) -> &[ListedMac<'w>] {
        let count = self.committed.saturating_sub(self.passed);
        self.listed.get(..count).unwrap_or(&self.listed)
    }

    /// Whether the lease is one of the MACs', and of a domain that has its name in its case too.
    fn judge(&self, lease: &Lease) -> Option<bool> {
        let mac = lease.mac?;
        let its = self.listed().iter().filter(|listed| listed.mac == mac);
        its.filter_map(|listed| match listed.fit {
            Fit::None => None,
            Fit::Whole { exact } => Some(exact),
            Fit::Within { rest, exact } => {
                is_domain(lease.domain.as_bytes(), rest).then_some(exact)
            }
        })
        .max()
    }
}

impl MacUse for GuestMacs<'_> {
    fn begin(&mut self) {
        self.met = self.committed;
    }

    fn mac(&mut self, mac: Mac) {
        let place = self.met.checked_sub(self.passed);
        if let Some(place) = place.and_then(|place| self.listed.get_mut(place)) {
            *place = ListedMac { mac, fit: Fit::None };
        }
        self.met += 1;
    }

    fn end(&mut self, map: &MacMap) -> bool {
        let fit = self.wanted.fit(map.domain.as_bytes());
        match fit {
            Fit::None => return false,
            Fit::Whole { exact } => {
                self.known.name = true;
                self.known.exact |= exact;
            }
            Fit::Within { .. } => {}
        }
        let (from, to) =
            (self.committed.saturating_sub(self.passed), self.met.saturating_sub(self.passed));
        let places = self.listed.iter_mut().take(to).skip(from);
        places.for_each(|listed| listed.fit = fit);
        self.committed = self.met;
        true
    }
}

/// MACs of which is asked whether any running guest has them.
struct SoughtMacs {
    macs: [Mac; MACS_AT_ONCE],
    len: usize,
    /// One bit for each: met in the record that is being read, and met in a good record.
    met: u64,
    found: u64,
}

impl SoughtMacs {
    fn new() -> Self {
        Self { macs: [Mac([0; 6]); MACS_AT_ONCE], len: 0, met: 0, found: 0 }
    }

    /// Asks of `mac` too, as far as there is room.
    fn add(&mut self, mac: Mac) {
        if !self.macs().contains(&mac) {
            if let Some(place) = self.macs.get_mut(self.len) {
                *place = mac;
                self.len += 1;
            }
        }
    }

    fn macs(&self) -> &[Mac] {
        self.macs.get(..self.len).unwrap_or(&[])
    }

    /// `None` for one that wasn't asked of.
    fn found(&self, mac: Mac) -> Option<bool> {
        let at = self.macs().iter().position(|&sought| sought == mac)?;
        Some(self.found & bit(at) != 0)
    }
}

impl MacUse for SoughtMacs {
    fn begin(&mut self) {
        self.met = 0;
    }

    fn mac(&mut self, mac: Mac) {
        if let Some(at) = self.macs().iter().position(|&sought| sought == mac) {
            self.met |= bit(at);
        }
    }

    fn end(&mut self, _: &MacMap) -> bool {
        self.found |= self.met;
        self.met != 0
    }
}

fn bit(at: usize) -> u64 {
    1u64.checked_shl(at as u32).unwrap_or(0)
}

/// The domain that has a MAC.
struct Owner<'n> {
    mac: Mac,
    met: bool,
    found: bool,
    name: &'n mut Text,
}

impl MacUse for Owner<'_> {
    fn begin(&mut self) {
        self.met = false;
    }

    fn mac(&mut self, mac: Mac) {
        self.met |= mac == self.mac;
    }

    fn end(&mut self, map: &MacMap) -> bool {
        if self.met && !self.found {
            self.found = true;
            self.name.set(map.domain.as_bytes());
        }
        self.met
    }
}

/// Needles that are looked for one after the other; none means every record.
struct Needles {
    needles: [Needle; FEW],
    len: usize,
}

impl Needles {
    fn new() -> Self {
        Self { needles: [Needle::EMPTY; FEW], len: 0 }
    }

    fn add(&mut self, needle: Option<Needle>) {
        if let (Some(place), Some(needle)) = (self.needles.get_mut(self.len), needle) {
            *place = needle;
            self.len += 1;
        }
    }

    fn as_slice(&self) -> &[Needle] {
        self.needles.get(..self.len).unwrap_or(&[])
    }

    /// Whatever names `wanted` fits begin with the same label.
    fn of_name(wanted: &Wanted<'_>) -> Self {
        let mut needles = Self::new();
        needles.add(Needle::new(&[b"\"", wanted.first_label()]));
        needles
    }

    /// A needle each for a few MACs; for more, reading every record is quicker.
    fn of_macs(macs: impl Iterator<Item = Mac> + Clone) -> Self {
        let mut needles = Self::new();
        if macs.clone().count() <= FEW {
            // A hardware type may stand before the MAC, but nothing behind it.
            macs.for_each(|mac| needles.add(Needle::new(&[&mac.to_text(), b"\""])));
        }
        needles
    }

    /// An IPv4 address has one text. Of the many of an IPv6 address, all end in its last group
    /// without leading zeros, but for those that end in a dotted quad or in `::`.
    fn of_address(address: Address) -> Self {
        let mut text = Text::new();
        let mut needles = Self::new();
        match address {
            Address::V4(octets) => {
                for (at, octet) in octets.into_iter().enumerate() {
                    text.push(if at == 0 { b'"' } else { b'.' });
                    push_decimal(&mut text, octet);
                }
            }
            Address::V6(octets) if starts_with_80_zero_bits(&octets) => return needles,
            Address::V6([.., high, low]) => {
                for digit in [high >> 4, high & 0xf, low >> 4, low & 0xf] {
                    if digit != 0 || !text.is_empty() {
                        text.push(hex_digit(digit));
                    }
                }
                if text.is_empty() {
                    return needles;
                }
            }
        }
        text.push(b'"');
        needles.add(Needle::new(&[text.as_bytes()]));
        needles
    }
}

fn push_decimal(text: &mut Text, value: u8) {
    if value >= 100 {
        text.push(b'0' + value / 100);
    }
    if value >= 10 {
        text.push(b'0' + value / 10 % 10);
    }
    text.push(b'0' + value % 10);
}
