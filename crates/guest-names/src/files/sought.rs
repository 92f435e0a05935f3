//! Which leases a look-up is looking for.

use crate::address::{Address, Mac};
use crate::candidate::mac_key;
use crate::list::lower_bound;
use crate::name::{Fit, Wanted};
use crate::needles::Needles;
use crate::records::lease::Lease;

/// Which leases are sought.
#[derive(Clone, Copy)]
pub(crate) enum Sought<'s> {
    /// Those with this host name.
    Host(&'s Wanted<'s>),
    /// Those of a domain's NICs, sorted by MAC.
    Guest(&'s Wanted<'s>, &'s [GuestMac]),
    /// Those of this address.
    Address(Address),
    /// All.
    Any,
}

impl Sought<'_> {
    /// Whether `lease`, which has this `address`, is one of them; if so, whether its name also matches in case.
    pub(super) fn matches(self, lease: &Lease, address: Address) -> Option<bool> {
        match self {
            Self::Host(wanted) => {
                let fit = wanted.fit(lease.hostname.as_bytes())?;
                wanted.fits_in(fit, lease.domain.as_bytes()).then_some(fit.exact)
            }
            Self::Guest(wanted, macs) => matches_guest(macs, wanted, lease),
            Self::Address(sought) => (sought == address).then_some(true),
            Self::Any => Some(true),
        }
    }

    /// Adds text that each of their records contains.
    pub(super) fn add_needles(self, needles: &mut Needles) {
        match self {
            Self::Host(wanted) => needles.add_name(wanted),
            Self::Guest(_, macs) => macs.iter().for_each(|guest| needles.add_mac(guest.mac)),
            Self::Address(address) => needles.add_address(address),
            Self::Any => {}
        }
    }
}

/// A NIC of a domain whose name matches the wanted one.
#[derive(Clone, Copy)]
pub(crate) struct GuestMac {
    pub(crate) mac: Mac,
    pub(super) fit: Fit,
}

impl GuestMac {
    /// A placeholder.
    pub(crate) const EMPTY: Self = Self { mac: Mac([0; 6]), fit: Fit::INEXACT };

    pub(super) fn key(&self) -> u64 {
        mac_key(Some(self.mac))
    }
}

/// Whether one of the NICs has the lease; if so, whether the domain's name also matches in case.
fn matches_guest(macs: &[GuestMac], wanted: &Wanted<'_>, lease: &Lease) -> Option<bool> {
    let key = mac_key(lease.mac);
    let from = lower_bound(macs, |guest| guest.key() < key);
    let same = macs.get(from..)?.iter().take_while(|guest| lease.mac == Some(guest.mac));
    let fitting = same.filter(|guest| wanted.fits_in(guest.fit, lease.domain.as_bytes()));
    fitting.map(|guest| guest.fit.exact).max()
}
