//! What the MAC maps are asked: which NICs a domain has, and which guest has a NIC.

use crate::address::Mac;
use crate::lease::Lease;
use crate::macmap::{MacMap, MacUse};
use crate::name::{Fit, Wanted};
use crate::ranking::{Attached, Candidate};
use crate::state::Bridge;
use crate::text::Text;

/// How many MACs of a domain are looked for in one go through a file.
pub(crate) const MACS_AT_ONCE: usize = 32;

/// Whether a libvirt domain of the wanted name was met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// In any case.
    pub(crate) name: bool,
    /// Byte for byte.
    pub(crate) exact: bool,
}

/// The MACs of the domains that a name fits, [`MACS_AT_ONCE`] of them from the `passed`-th on.
pub(crate) struct GuestMacs<'w> {
    wanted: &'w Wanted<'w>,
    passed: usize,
    listed: [ListedMac; MACS_AT_ONCE],
    /// How many MACs of the domains there are, the passed ones among them.
    committed: usize,
    /// The same with the record that is being read.
    met: usize,
    /// Whether one has the whole name.
    pub(crate) known: Known,
}

#[derive(Clone, Copy)]
struct ListedMac {
    mac: Mac,
    /// How its domain's name fits.
    fit: Fit,
}

impl<'w> GuestMacs<'w> {
    pub(crate) fn new(wanted: &'w Wanted<'w>) -> Self {
        const NONE: [ListedMac; MACS_AT_ONCE] =
            [ListedMac { mac: Mac([0; 6]), fit: Fit::INEXACT }; MACS_AT_ONCE];
        let known = Known::default();
        Self { wanted, passed: 0, listed: NONE, committed: 0, met: 0, known }
    }

    /// Forgets what is listed, for those from the `passed`-th on.
    pub(crate) fn restart(&mut self, passed: usize) {
        self.passed = passed;
        self.committed = 0;
    }

    /// Whether there are more than could be listed.
    pub(crate) fn overflowed(&self) -> bool {
        self.committed > self.passed + MACS_AT_ONCE
    }

    fn listed(&self) -> &[ListedMac] {
        let count = self.committed.saturating_sub(self.passed);
        self.listed.get(..count).unwrap_or(&self.listed)
    }

    pub(crate) fn macs(&self) -> impl Iterator<Item = Mac> {
        self.listed().iter().map(|listed| listed.mac)
    }

    /// Whether the lease is one of the MACs', and of a domain that has its name in its case too.
    pub(crate) fn judge(&self, lease: &Lease) -> Option<bool> {
        let mut judgement = None;
        for &ListedMac { mac, fit } in self.listed() {
            if lease.mac == Some(mac) && self.wanted.fits_in(fit, lease.domain.as_bytes()) {
                judgement = judgement.max(Some(fit.exact));
            }
        }
        judgement
    }
}

impl MacUse for GuestMacs<'_> {
    fn begin(&mut self) {
        self.met = self.committed;
    }

    fn mac(&mut self, mac: Mac) {
        let place = self.met.checked_sub(self.passed);
        if let Some(place) = place.and_then(|place| self.listed.get_mut(place)) {
            place.mac = mac;
        }
        self.met += 1;
    }

    fn end(&mut self, map: &MacMap) -> bool {
        let Some(fit) = self.wanted.fit(map.domain.as_bytes()) else { return false };
        if fit.is_whole() {
            self.known.name = true;
            self.known.exact |= fit.exact;
        }
        let from = self.listed().len();
        self.committed = self.met;
        let to = self.listed().len();
        let new = self.listed.get_mut(from..to).unwrap_or(&mut []);
        new.iter_mut().for_each(|listed| listed.fit = fit);
        true
    }
}

/// The guests that have the candidates' NICs on one bridge.
pub(crate) struct Owners<'p> {
    pub(crate) candidates: &'p mut [Candidate],
    pub(crate) bridge: Bridge,
    /// Where the name of the guest's domain goes.
    pub(crate) name: Option<&'p mut Text>,
}

impl Owners<'_> {
    /// Gives the candidates on the bridge that are at `from` the state `to`. Whether there were any.
    fn shift(&mut self, from: Attached, to: Attached) -> bool {
        let mut any = false;
        for candidate in self.candidates.iter_mut() {
            if candidate.attached == from && candidate.bridge == self.bridge {
                candidate.attached = to;
                any = true;
            }
        }
        any
    }

    /// When the MAC map has been read: what wasn't in it is attached to nothing.
    pub(crate) fn settle(&mut self) {
        self.begin();
        self.shift(Attached::Unknown, Attached::No);
    }
}

impl MacUse for Owners<'_> {
    fn begin(&mut self) {
        self.shift(Attached::Met, Attached::Unknown);
    }

    fn mac(&mut self, mac: Mac) {
        for candidate in self.candidates.iter_mut() {
            let open = candidate.attached == Attached::Unknown;
            if open && candidate.mac == Some(mac) && candidate.bridge == self.bridge {
                candidate.attached = Attached::Met;
            }
        }
    }

    fn end(&mut self, map: &MacMap) -> bool {
        let owner = self.shift(Attached::Met, Attached::Yes);
        if let (Some(name), true) = (&mut self.name, owner) {
            name.set(map.domain.as_bytes());
        }
        owner
    }
}
