//! Finding the few records that matter without reading the others.
//!
//! One pass over the bytes, some sixteen at a time: the loops are plain, so that the compiler makes
//! vector code of them on any processor.

/// The longest needle; of a longer one the start is enough.
const LENGTH_LIMIT: usize = 64;

/// Bytes that every record that matters has in it, in either case, or in JSON's escapes.
#[derive(Clone, Copy)]
pub struct Needle {
    bytes: [u8; LENGTH_LIMIT],
    len: usize,
}

impl Needle {
    /// No needle: nothing is looked for with it.
    pub(crate) const EMPTY: Self = Self { bytes: [0; LENGTH_LIMIT], len: 0 };

    /// The needle of `parts`, one after the other. `None` where they are empty.
    #[must_use]
    pub fn new(parts: &[&[u8]]) -> Option<Self> {
        let mut needle = Self::EMPTY;
        for &byte in parts.iter().copied().flatten() {
            let Some(slot) = needle.bytes.get_mut(needle.len) else { break };
            *slot = byte.to_ascii_lowercase();
            needle.len += 1;
        }
        (needle.len > 0).then_some(needle)
    }

    /// How many bytes at the end of what was searched can still be the start of a needle.
    #[must_use]
    pub fn overlap(&self) -> usize {
        self.len.saturating_sub(1)
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }

    /// The first place in `hay` where the needle or a backslash starts. A needle that could start in
    /// the last [`Needle::overlap`] bytes is not found; a backslash there is.
    #[must_use]
    pub fn find(&self, hay: &[u8]) -> Option<usize> {
        const BLOCK: usize = 64;
        let bytes = self.bytes();
        let last = bytes.len().saturating_sub(1);
        let middle = last.saturating_sub(1);
        let (&first, &before, &end) = (bytes.first()?, bytes.get(middle)?, bytes.get(last)?);
        // Setting bit 5 makes letters lower case, and some other bytes alike: good enough to pass by.
        let (before, end) = (before | 0x20, end | 0x20);

        let mut at = 0;
        let heads = hay.chunks_exact(BLOCK);
        let middles = hay.get(middle..).unwrap_or(&[]).chunks_exact(BLOCK);
        let ends = hay.get(last..).unwrap_or(&[]).chunks_exact(BLOCK);
        for ((a, b), c) in heads.zip(middles).zip(ends) {
            let mut hits = 0u8;
            for ((&x, &y), &z) in a.iter().zip(b).zip(c) {
                let needle = u8::from(x | 0x20 == first | 0x20)
                    & u8::from(y | 0x20 == before)
                    & u8::from(z | 0x20 == end);
                hits |= needle | u8::from(x == b'\\');
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

    #[cold]
    fn find_bytewise(&self, hay: &[u8], from: usize, to: usize) -> Option<usize> {
        let bytes = self.bytes();
        let starts = hay.get(from..to)?.iter().enumerate();
        for (at, &byte) in starts {
            let here = hay.get(from + at..).and_then(|rest| rest.get(..bytes.len()));
            if byte == b'\\' || here.is_some_and(|here| here.eq_ignore_ascii_case(bytes)) {
                return Some(from + at);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;

    /// What `find` says, byte by byte and in one sentence.
    fn naive(needle: &[u8], hay: &[u8]) -> Option<usize> {
        (0..hay.len()).find(|&at| {
            let here = hay.get(at..at + needle.len());
            hay[at] == b'\\' || here.is_some_and(|here| here.eq_ignore_ascii_case(needle))
        })
    }

    #[test]
    fn finds_what_a_naive_search_finds() {
        let mut random = Random::new(1);
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
            let found = Needle::new(&[&needle]).unwrap().find(&hay);
            assert_eq!(found, naive(&needle, &hay), "{needle:?} in {hay:?}");
        }
    }

    #[test]
    fn of_a_long_needle_the_start_counts() {
        let long = [b'x'; 200];
        let needle = Needle::new(&[b"\"", &long]).unwrap();
        assert_eq!(needle.overlap(), 63);
        assert!(Needle::new(&[b""]).is_none());
        assert_eq!(needle.find(&[b"[\"".as_slice(), &long].concat()), Some(1));
    }
}
