//! What leases are looked for, and how their records are found.

use needle::Needle;

use crate::address::{Address, Mac, digit as hex_digit, starts_with_80_zero_bits};
use crate::lease::Lease;
use crate::name::Wanted;
use crate::nics::GuestMacs;

/// Up to this many needles, looking for one after the other is quicker than reading every record.
const FEW: usize = 4;

/// Which leases are looked for.
#[derive(Clone, Copy)]
pub(crate) enum Sought<'s> {
    /// Those with this host name.
    Host(&'s Wanted<'s>),
    /// Those of a domain's NICs.
    Guest(&'s GuestMacs<'s>),
    /// Those of this address.
    Address(Address),
    /// All.
    Any,
}

impl Sought<'_> {
    /// Whether `lease`, which has this `address`, is one of them; if so, whether its name is the wanted
    /// one in its case too.
    pub(crate) fn judge(self, lease: &Lease, address: Address) -> Option<bool> {
        match self {
            Self::Host(wanted) => {
                let fit = wanted.fit(lease.hostname.as_bytes())?;
                wanted.fits_in(fit, lease.domain.as_bytes()).then_some(fit.exact)
            }
            Self::Guest(macs) => macs.judge(lease),
            Self::Address(sought) => (sought == address).then_some(true),
            Self::Any => Some(true),
        }
    }

    /// Adds what every record of them has in it.
    #[inline(never)]
    pub(crate) fn add_needles(self, needles: &mut Needles) {
        match self {
            Self::Host(wanted) => needles.add_name(wanted),
            Self::Guest(macs) => macs.macs().for_each(|mac| needles.add_mac(mac)),
            Self::Address(address) => needles.add_address(address),
            Self::Any => {}
        }
    }
}

/// Needles that are looked for one after the other.
pub(crate) struct Needles {
    needles: [Needle; FEW],
    /// How many there would be, with room for all.
    len: usize,
}

impl Needles {
    pub(crate) const NONE: Self = Self { needles: [Needle::EMPTY; FEW], len: 0 };

    /// None means every record.
    pub(crate) fn as_slice(&self) -> &[Needle] {
        self.needles.get(..self.len).unwrap_or(&[])
    }

    fn add(&mut self, needle: &Needle) {
        if !self.as_slice().contains(needle) {
            if let Some(place) = self.needles.get_mut(self.len) {
                *place = *needle;
            }
            self.len += 1;
        }
    }

    /// Whatever names `wanted` fits begin with the same label, and are no longer where it is the only
    /// one.
    pub(crate) fn add_name(&mut self, wanted: &Wanted<'_>) {
        let mut needle = Needle::EMPTY;
        needle.extend(b"\"");
        needle.extend(wanted.first_label());
        if wanted.is_one_label() {
            needle.extend(b"\"");
        }
        self.add(&needle);
    }

    /// A hardware type may stand before the MAC, but nothing behind it.
    pub(crate) fn add_mac(&mut self, mac: Mac) {
        let mut needle = Needle::EMPTY;
        needle.extend(&mac.to_text());
        needle.extend(b"\"");
        self.add(&needle);
    }

    /// An IPv4 address has one text. Of the many of an IPv6 address, all end in its last group without
    /// leading zeros, but for those that end in a dotted quad or in `::`.
    fn add_address(&mut self, address: Address) {
        let mut needle = Needle::EMPTY;
        match address {
            Address::V4(octets) => {
                for (at, octet) in octets.into_iter().enumerate() {
                    needle.extend(if at == 0 { b"\"" } else { b"." });
                    add_number(&mut needle, &[octet / 100, octet / 10 % 10, octet % 10]);
                }
            }
            Address::V6([.., 0, 0]) => return,
            Address::V6(octets) if starts_with_80_zero_bits(octets) => return,
            Address::V6([.., high, low]) => {
                add_number(&mut needle, &[high >> 4, high & 0xf, low >> 4, low & 0xf]);
            }
        }
        needle.extend(b"\"");
        self.add(&needle);
    }
}

/// Appends digits, without leading zeros.
fn add_number(needle: &mut Needle, digits: &[u8]) {
    let zeros = digits.iter().take_while(|&&digit| digit == 0).count();
    let from = zeros.min(digits.len().saturating_sub(1));
    digits.iter().skip(from).for_each(|&digit| needle.extend(&[hex_digit(digit)]));
}
