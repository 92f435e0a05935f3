//! Text that every record of interest contains.

use needle::Needle;

use crate::address::{Address, Mac, digit as hex_digit, starts_with_80_zero_bits};
use crate::name::Wanted;

/// Up to this many needles, a search for each is faster than parsing every record.
const FEW: usize = 4;

/// Needles that are searched for one after the other.
pub(crate) struct Needles {
    needles: [Needle; FEW],
    /// How many were added; there may not have been room for all.
    len: usize,
}

impl Needles {
    pub(crate) const NONE: Self = Self { needles: [Needle::EMPTY; FEW], len: 0 };

    /// An empty slice means every record.
    pub(crate) fn as_slice(&self) -> &[Needle] {
        self.needles.get(..self.len).unwrap_or(&[])
    }

    /// Removes all: every record is of interest again.
    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    fn add(&mut self, needle: &Needle) {
        if !self.as_slice().contains(needle) {
            if let Some(place) = self.needles.get_mut(self.len) {
                *place = *needle;
            }
            self.len += 1;
        }
    }

    /// All names that match `wanted` begin with the same label, and also end with it if it is the only one.
    pub(crate) fn add_name(&mut self, wanted: &Wanted<'_>) {
        let mut needle = Needle::EMPTY;
        needle.extend(b"\"");
        needle.extend(wanted.first_label());
        if wanted.is_one_label() {
            needle.extend(b"\"");
        }
        self.add(&needle);
    }

    /// A hardware type may come before the MAC, but nothing after it.
    pub(crate) fn add_mac(&mut self, mac: Mac) {
        let mut needle = Needle::EMPTY;
        needle.extend(&mac.to_text());
        needle.extend(b"\"");
        self.add(&needle);
    }

    /// There is one way to write an IPv4 address. All ways to write an IPv6 address end in its last group without leading
    /// zeros, except those that end in a dotted quad or in `::`.
    pub(crate) fn add_address(&mut self, address: Address) {
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
