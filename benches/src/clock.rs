//! Measuring time, and taking turns.

/// Processor time of the calling thread, in seconds.
pub(crate) fn thread_time() -> f64 {
    time(libc::CLOCK_THREAD_CPUTIME_ID)
}

fn time(clock: libc::clockid_t) -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: there is room for `time`, and the clock always exists.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// One call of what is measured.
pub(crate) type Turn<'t> = Box<dyn FnMut() + 't>;

/// The least duration of a batch, in seconds, so that reading the clock doesn't matter.
const BATCH: f64 = 300e-6;

/// The least and the largest number of rounds.
const ROUNDS: std::ops::Range<usize> = 5..1000;

/// Seconds per call of each contender, one sample per round. Each round has a batch of every contender.
#[derive(Clone, Debug)]
pub(crate) struct Samples(pub(crate) Vec<Vec<f64>>);

/// Lets all contenders take turns until `seconds` of processor time have been used.
pub(crate) fn take_turns(turns: &mut [Turn<'_>], seconds: f64) -> Samples {
    let mut batches = Vec::new();
    let mut longest = 0f64;
    for turn in turns.iter_mut() {
        // The first call warms up.
        turn();
        let once = batch(turn, 1);
        let count = (BATCH / once.max(1e-9)).ceil().clamp(1.0, 10_000.0);
        batches.push(count as usize);
        longest += once * count;
    }
    let rounds = (seconds / longest).ceil() as usize;
    let mut samples = vec![Vec::new(); turns.len()];
    for round in 0..rounds.clamp(ROUNDS.start, ROUNDS.end) {
        // Every second round is in reverse order, so that no contender always follows the same other one.
        let order: Vec<usize> = match round % 2 {
            0 => (0..turns.len()).collect(),
            _ => (0..turns.len()).rev().collect(),
        };
        for at in order {
            samples[at].push(batch(&mut turns[at], batches[at]));
        }
    }
    Samples(samples)
}

fn batch(turn: &mut Turn<'_>, count: usize) -> f64 {
    let start = thread_time();
    (0..count).for_each(|_| turn());
    (thread_time() - start) / count as f64
}

impl Samples {
    /// The median of the samples.
    pub(crate) fn median(&self, of: usize) -> f64 {
        median(self.0[of].clone())
    }

    /// The least sample.
    pub(crate) fn least(&self, of: usize) -> f64 {
        self.0[of].iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// How many times as long `a` takes as `b`: the median over the rounds.
    pub(crate) fn ratio(&self, a: usize, b: usize) -> f64 {
        median(self.0[a].iter().zip(&self.0[b]).map(|(a, b)| a / b).collect())
    }

    /// How much longer `a` takes than `b`: the median over the rounds.
    pub(crate) fn difference(&self, a: usize, b: usize) -> f64 {
        median(self.0[a].iter().zip(&self.0[b]).map(|(a, b)| a - b).collect())
    }
}

/// # Panics
/// If there are no values.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    assert!(!values.is_empty(), "nothing was measured");
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 100.0]), 3.0);
        let samples = Samples(vec![vec![2.0, 6.0, 9.0], vec![1.0, 2.0, 9.0]]);
        assert_eq!((samples.median(0), samples.least(1)), (6.0, 1.0));
        assert_eq!((samples.ratio(0, 1), samples.difference(0, 1)), (2.0, 1.0));
    }

    #[test]
    fn each_takes_its_turn_in_every_round() {
        let mut count = [0; 2];
        let [first, second] = &mut count;
        let mut turns: [Turn<'_>; 2] = [Box::new(|| *first += 1), Box::new(|| *second += 1)];
        let samples = take_turns(&mut turns, 0.0);
        drop(turns);
        assert_eq!(samples.0.iter().map(Vec::len).collect::<Vec<_>>(), [5, 5]);
        assert!(count.iter().all(|&calls| calls >= 7));
    }
}
