//! Random-looking numbers that are the same in each run.

use std::env;

/// A generator (xorshift64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The generator with this seed. Similar seeds give unrelated numbers.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        // The finalizer of splitmix64. xorshift would stay at 0.
        let mix = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mix = (mix ^ (mix >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self((mix ^ (mix >> 31)).max(1))
    }

    /// The generator of [`seed`].
    #[must_use]
    pub fn from_environment(seed: u64) -> Self {
        Self::new(self::seed(seed))
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number from 0 up to, but not including, `limit`; 0 if that is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.number() % limit.max(1) as u64) as usize
    }

    /// `true` once in this many times, on average.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of the items.
    ///
    /// # Panics
    /// There are none.
    pub fn pick<'a, T>(&mut self, among: &'a [T]) -> &'a T {
        &among[self.below(among.len())]
    }

    /// Shuffles the items.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }
}

/// The seed of a test that can run longer than usual: `TEST_SEED` if that is set, else `seed`.
///
/// # Panics
/// `TEST_SEED` is not a number.
#[must_use]
pub fn seed(seed: u64) -> u64 {
    variable("TEST_SEED").unwrap_or(seed)
}

/// How many rounds a test makes: `TEST_ROUNDS` if that is set, for a long run, else `rounds`.
///
/// # Panics
/// `TEST_ROUNDS` is not a number.
#[must_use]
pub fn rounds(rounds: u64) -> u64 {
    variable("TEST_ROUNDS").unwrap_or(rounds)
}

/// The number in an environment variable; `None` where it isn't set.
fn variable(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_give_numbers_of_their_own() {
        let numbers = |seed| {
            let mut random = Random::new(seed);
            [random.below(1 << 30), random.below(1 << 30)]
        };
        assert_eq!(numbers(7), numbers(7));
        for seed in 0..100 {
            let [[a, b], [c, d]] = [numbers(seed), numbers(seed + 1)];
            assert!(a != b && a != c && b != d, "{seed}");
        }
    }

    #[test]
    fn a_shuffled_list_has_the_same_items() {
        let mut items: Vec<usize> = (0..100).collect();
        Random::new(1).shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
