//! Finding the few records that matter without reading the others.
//!
//! One pass over the bytes, sixteen and more at a time: the loops are plain, so that the compiler makes
//! vector code of them on any processor. That takes `opt-level = 3`, which is why this is a package of
//! its own: the rest of the modules is compiled for size.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

/// The longest needle; of a longer one the start is enough.
const LENGTH_LIMIT: usize = 39;

/// How many bytes are looked at before it is asked whether there was anything.
const BLOCK: usize = 64;

/// Letters of both cases differ in this bit.
const CASE: u8 = 0x20;

/// Bytes that every record that matters has in it, in either case, or in JSON's escapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needle {
    bytes: [u8; LENGTH_LIMIT],
    len: u8,
}

impl Needle {
    /// A needle of no bytes, which is found nowhere.
    pub const EMPTY: Self = Self { bytes: [0; LENGTH_LIMIT], len: 0 };

    /// Appends `bytes`.
    pub fn extend(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            let Some(slot) = self.bytes.get_mut(usize::from(self.len)) else { return };
            *slot = byte.to_ascii_lowercase();
            self.len += 1;
        }
    }

    /// How many bytes at the end of what was searched can still be the start of a needle.
    #[must_use]
    pub fn overlap(&self) -> usize {
        usize::from(self.len.saturating_sub(1))
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// The first place in `hay` where the needle or a backslash starts. A needle that could start in
    /// the last [`Needle::overlap`] bytes is not found; a backslash there is.
    #[must_use]
    #[inline(never)]
    pub fn find(&self, hay: &[u8]) -> Option<usize> {
        let bytes = self.bytes();
        let last = self.overlap();
        let middle = last.saturating_sub(1);
        let (&first, &before, &end) = (bytes.first()?, bytes.get(middle)?, bytes.get(last)?);

        let mut at = 0;
        let heads = hay.chunks_exact(BLOCK);
        let middles = hay.get(middle..).unwrap_or(&[]).chunks_exact(BLOCK);
        let ends = hay.get(last..).unwrap_or(&[]).chunks_exact(BLOCK);
        for ((a, b), c) in heads.zip(middles).zip(ends) {
            // Three bytes, but for their case, are good enough to pass by nearly everything.
            let mut hits = 0;
            for ((&x, &y), &z) in a.iter().zip(b).zip(c) {
                let other = ((x ^ first) | (y ^ before) | (z ^ end)) & !CASE;
                hits |= u8::from(other == 0) | u8::from(x == b'\\');
            }
            if hits != 0 {
                if let Some(found) = self.find_bytewise(hay, at, at + BLOCK) {
                    return Some(found);
                }
            }
            at += BLOCK;
        }
        self.find_bytewise(hay, at, hay.len())
    }

    #[inline(never)]
    fn find_bytewise(&self, hay: &[u8], from: usize, to: usize) -> Option<usize> {
        let (&first, rest) = self.bytes().split_first()?;
        for (at, &byte) in hay.iter().enumerate().take(to).skip(from) {
            if byte == b'\\' {
                return Some(at);
            }
            if byte.to_ascii_lowercase() == first {
                let behind = hay.get(at + 1..).and_then(|behind| behind.get(..rest.len()));
                if behind.is_some_and(|behind| same(behind, rest)) {
                    return Some(at);
                }
            }
        }
        None
    }
}

/// Whether texts of one length are the same but for their case; `lower` has none in upper case.
fn same(text: &[u8], lower: &[u8]) -> bool {
    text.iter().zip(lower).all(|(byte, lower)| byte.to_ascii_lowercase() == *lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that look random and are the same in each run (xorshift).
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

    /// What `find` says, byte by byte and in one sentence.
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
    fn of_a_long_needle_the_start_counts() {
        let long = [b'x'; 200];
        let needle = needle_of(&[b"\"", &long]);
        assert_eq!(needle.overlap(), 38);
        assert_eq!(needle.find(&[b"[\"".as_slice(), &long].concat()), Some(1));
    }
}
