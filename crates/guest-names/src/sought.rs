//! What leases are looked for, and how their records are found.

use needle::Needle;

use crate::address::{Address, Mac, digit as hex_digit, starts_with_80_zero_bits};
use crate::lease::Lease;
use crate::name::{Wanted, is_host_name};
use crate::nics::GuestMacs;
use crate::text::Text;

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
        let is_it = match self {
            Self::Host(wanted) => {
                let hostname = lease.hostname.as_bytes();
                let fit = wanted.fit(hostname)?;
                let is_it = wanted.fits_in(fit, lease.domain.as_bytes()) && is_host_name(hostname);
                return is_it.then_some(fit.exact);
            }
            Self::Guest(macs) => return macs.judge(lease),
            Self::Address(sought) => sought == address,
            Self::Any => true,
        };
        is_it.then_some(true)
    }

    /// What every record of them has in it.
    pub(crate) fn needles(self) -> Needles {
        let mut needles = Needles::NONE;
        match self {
            Self::Host(wanted) => needles.add_name(wanted),
            Self::Guest(macs) => macs.listed().for_each(|mac| needles.add_mac(mac)),
            Self::Address(address) => needles.add_address(address),
            Self::Any => {}
        }
        needles
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

    fn add(&mut self, parts: &[&[u8]]) {
        let needle = Needle::new(parts);
        if !self.as_slice().contains(&needle) {
            if let Some(place) = self.needles.get_mut(self.len) {
                *place = needle;
            }
            self.len += 1;
        }
    }

    /// Whatever names `wanted` fits begin with the same label, and are no longer where it is the only
    /// one.
    pub(crate) fn add_name(&mut self, wanted: &Wanted<'_>) {
        let label = wanted.first_label();
        let end: &[u8] = if wanted.is_one_label() { b"\"" } else { b"" };
        self.add(&[b"\"", label, end]);
    }

    /// A hardware type may stand before the MAC, but nothing behind it.
    pub(crate) fn add_mac(&mut self, mac: Mac) {
        self.add(&[&mac.to_text(), b"\""]);
    }

    /// An IPv4 address has one text. Of the many of an IPv6 address, all end in its last group without
    /// leading zeros, but for those that end in a dotted quad or in `::`.
    fn add_address(&mut self, address: Address) {
        let mut text = Text::new();
        match address {
            Address::V4(octets) => {
                for (at, octet) in octets.into_iter().enumerate() {
                    text.push(if at == 0 { b'"' } else { b'.' });
                    push_number(&mut text, &[octet / 100, octet / 10 % 10, octet % 10]);
                }
            }
            Address::V6([.., 0, 0]) => return,
            Address::V6(octets) if starts_with_80_zero_bits(octets) => return,
            Address::V6([.., high, low]) => {
                push_number(&mut text, &[high >> 4, high & 0xf, low >> 4, low & 0xf]);
            }
        }
        self.add(&[text.as_bytes(), b"\""]);
    }
}

/// Appends digits, without leading zeros.
fn push_number(text: &mut Text, digits: &[u8]) {
    let zeros = digits.iter().take_while(|&&digit| digit == 0).count();
    let from = zeros.min(digits.len().saturating_sub(1));
    digits.iter().skip(from).for_each(|&digit| text.push(hex_digit(digit)));
}
