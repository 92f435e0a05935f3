//! Finding the few records of interest without parsing the others.
//!
//! One pass over the bytes, sixteen or more at a time. The loops are simple, so the compiler vectorises them for any
//! processor, at `opt-level = 3`. (What is generic over the system is compiled for size.)

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

/// The length of the longest needle. The start of a longer one is enough.
const LENGTH_LIMIT: usize = 39;

/// How many bytes are compared before checking for a match.
const BLOCK: usize = 64;

/// The bit in which upper and lower case letters differ.
const CASE: u8 = 0x20;

/// Bytes that every record of interest contains, in either case, or as JSON escapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needle {
    bytes: [u8; LENGTH_LIMIT],
    len: u8,
}

impl Needle {
    /// A needle without bytes, which never matches.
    pub const EMPTY: Self = Self { bytes: [0; LENGTH_LIMIT], len: 0 };

    /// Appends `bytes`.
    pub fn extend(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            let Some(slot) = self.bytes.get_mut(usize::from(self.len)) else { return };
            *slot = byte.to_ascii_lowercase();
            self.len += 1;
        }
    }

    /// How many bytes at the end of the searched text may be the start of a needle.
    #[must_use]
    pub fn overlap(&self) -> usize {
        usize::from(self.len.saturating_sub(1))
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// The first position in `hay` where the needle or a backslash starts. Needles that start in the last
    /// [`Needle::overlap`] bytes are not found, but backslashes are.
    #[must_use]
    pub fn find(&self, hay: &[u8]) -> Option<usize> {
        let Some(last_block) = hay.len().checked_sub(BLOCK + self.overlap()) else {
            return self.find_bytewise(hay, 0);
        };
        // `suspect` looks for backslashes only after the start.
        let start = hay.get(..self.overlap())?;
        if let Some(found) = start.iter().position(|&byte| byte == b'\\') {
            return Some(found);
        }
        let mut at = 0;
        loop {
            if let Some(suspect) = self.suspect(hay.get(at..)?) {
                at += suspect;
                let end = at + BLOCK + self.overlap();
                let found = self.find_bytewise(hay.get(..end)?, at);
                if found.is_some() || at == last_block {
                    return found;
                }
                at = (at + BLOCK).min(last_block);
            } else if at == last_block {
                return None;
            } else {
                // The rest after the last whole block, and part of that block again.
                at = last_block;
            }
        }
    }

    /// Where the first block of `hay` starts in which a needle may start, or which has a backslash [`Needle::overlap`] bytes
    /// after one of its bytes.
    #[inline(never)]
    fn suspect(&self, hay: &[u8]) -> Option<usize> {
        // Comparing three bytes without regard to case excludes nearly everything. The last three, as many MACs and names
        // begin alike.
        let last = self.overlap();
        let (first, middle) = (last.saturating_sub(2), last.saturating_sub(1));
        let bytes = self.bytes();
        let (&x, &y, &z) = (bytes.get(first)?, bytes.get(middle)?, bytes.get(last)?);
        let blocks = |offset: usize| Some(hay.get(offset..)?.chunks_exact(BLOCK));
        let mut blocks = blocks(first)?.zip(blocks(middle)?).zip(blocks(last)?);
        let suspect = blocks.position(|((a, b), c)| {
            let mut hits = 0;
            for ((&a, &b), &c) in a.iter().zip(b).zip(c) {
                let other = ((a ^ x) | (b ^ y) | (c ^ z)) & !CASE;
                hits |= u8::from(other == 0) | u8::from(c == b'\\');
            }
            hits != 0
        })?;
        Some(suspect * BLOCK)
    }

    /// The same as `find`, from `from` on, byte by byte.
    #[inline(never)]
    fn find_bytewise(&self, hay: &[u8], from: usize) -> Option<usize> {
        let (&first, rest) = self.bytes().split_first()?;
        let mut behind = hay.get(from..)?;
        while let [byte, tail @ ..] = behind {
            behind = tail;
            if *byte == b'\\' {
                return Some(hay.len() - behind.len() - 1);
            }
            // Excludes nearly everything, and is cheaper than `same`.
            if (byte ^ first) & !CASE == 0 {
                let rest_behind = behind.get(..rest.len()).is_some_and(|text| same(text, rest));
                if rest_behind && byte.to_ascii_lowercase() == first {
                    return Some(hay.len() - behind.len() - 1);
                }
            }
        }
        None
    }
}

/// Whether texts of the same length differ only in case; `lower` is in lower case.
fn same(text: &[u8], lower: &[u8]) -> bool {
    text.iter().zip(lower).all(|(byte, lower)| byte.to_ascii_lowercase() == *lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pseudorandom numbers, the same in each run (xorshift).
    struct Random(u64);

    impl Random {
        fn below(&mut self, limit: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 % limit as u64) as usize
        }
    }

    fn needle_of(parts: &[&[u8]]) -> Needle {
        let mut needle = Needle::EMPTY;
        parts.iter().for_each(|part| needle.extend(part));
        needle
    }

    /// The specification of `find`, byte by byte.
    fn naive(needle: &[u8], hay: &[u8]) -> Option<usize> {
        (0..hay.len()).find(|&at| {
            let here = hay.get(at..at + needle.len());
            hay[at] == b'\\' || here.is_some_and(|here| here.eq_ignore_ascii_case(needle))
        })
    }

    #[test]
    fn finds_what_a_naive_search_finds() {
        let mut random = Random(1);
        for _ in 0..20_000 {
            let alphabet = b"aAbB\"{ 1";
            let needle: Vec<u8> =
                (0..1 + random.below(4)).map(|_| alphabet[random.below(8)]).collect();
            let mut hay: Vec<u8> =
                (0..random.below(200)).map(|_| alphabet[random.below(8)]).collect();
            if random.below(4) == 0 && !hay.is_empty() {
                let at = random.below(hay.len());
                hay[at] = b'\\';
            }
            let found = needle_of(&[&needle]).find(&hay);
            assert_eq!(found, naive(&needle, &hay), "{needle:?} in {hay:?}");
        }
    }

    #[test]
    fn a_long_needle_is_cut() {
        let long = [b'x'; 200];
        let needle = needle_of(&[b"\"", &long]);
        assert_eq!(needle.overlap(), 38);
        assert_eq!(needle.find(&[b"[\"".as_slice(), &long].concat()), Some(1));
    }
}
