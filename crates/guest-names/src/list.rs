//! A list that can outgrow the memory that it begins in, and sorting.

use crate::io::{Exhausted, System};

/// Items in places that the caller provides; if there are too few, in memory from the [`System`].
pub struct List<'m, T, S> {
    places: &'m mut [T],
    len: usize,
    system: &'m S,
}

/// Places that a list gets at least when it outgrows those of the caller.
const LEAST: usize = 64;

impl<'m, T: Copy, S: System> List<'m, T, S> {
    /// An empty list that begins in `places`.
    pub fn new(places: &'m mut [T], system: &'m S) -> Self {
        Self { places, len: 0, system }
    }

    /// Appends an item.
    ///
    /// # Errors
    /// There is no more memory.
    #[inline(never)] // in all, 1.5 KB less code
    pub fn push(&mut self, item: T) -> Result<(), Exhausted> {
        if self.len >= self.places.len() {
            self.grow(item)?;
        }
        if let Some(place) = self.places.get_mut(self.len) {
            *place = item;
            self.len += 1;
        }
        Ok(())
    }

    #[cold]
    #[inline(never)] // in all, 1.5 KB less code
    fn grow(&mut self, fill: T) -> Result<(), Exhausted> {
        let count = self.len.saturating_mul(4).max(LEAST);
        let larger = self.system.slice(count, fill).ok_or(Exhausted)?;
        larger.iter_mut().zip(self.places.iter()).for_each(|(to, from)| *to = *from);
        self.places = larger;
        Ok(())
    }

    /// Keeps the first `len` items.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The items.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        self.places.get(..self.len).unwrap_or(&[])
    }

    /// The items, to be changed in place.
    #[must_use]
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        self.places.get_mut(..self.len).unwrap_or(&mut [])
    }

    /// The items, for as long as their memory lasts.
    #[must_use]
    pub fn into_slice(self) -> &'m mut [T] {
        self.places.get_mut(..self.len).unwrap_or(&mut [])
    }
}

/// Whether one item comes before another.
pub type Before<'b, T> = &'b dyn Fn(&T, &T) -> bool;

/// Sorts in place, without further memory (heapsort). The compiler can't prove that core's own sorting doesn't panic.
#[inline(never)] // in all, 1.5 KB less code
pub fn sort<T>(items: &mut [T], before: Before<'_, T>) {
    let len = items.len();
    if (1..len).all(|at| !is_before(items, at, at - 1, before)) {
        return;
    }
    (0..len / 2).rev().for_each(|at| sink(items, at, len, before));
    for end in (1..len).rev() {
        exchange(items, 0, end);
        sink(items, 0, end, before);
    }
}

/// Lets the item at `at` sink to its place in the heap of the first `len`, the last in order on top.
///
/// It first goes down to a leaf, with one comparison a level, and then up to its place, which is near: that takes half as
/// many comparisons as looking for the place on the way down.
fn sink<T>(items: &mut [T], at: usize, len: usize, before: Before<'_, T>) {
    let mut place = at;
    while 2 * place + 1 < len {
        let (left, right) = (2 * place + 1, 2 * place + 2);
        place = if right < len && is_before(items, left, right, before) { right } else { left };
    }
    while is_before(items, place, at, before) {
        place = (place - 1) / 2;
    }
    // The others on the way move up by one level.
    while place > at {
        exchange(items, at, place);
        place = (place - 1) / 2;
    }
}

fn is_before<T>(items: &[T], a: usize, b: usize, before: Before<'_, T>) -> bool {
    match (items.get(a), items.get(b)) {
        (Some(a), Some(b)) => before(a, b),
        _ => false,
    }
}

/// Exchanges the items at `low` and, above it, `high`.
fn exchange<T>(items: &mut [T], low: usize, high: usize) {
    if let Some((head, tail)) = items.split_at_mut_checked(high) {
        if let (Some(low), Some(high)) = (head.get_mut(low), tail.first_mut()) {
            core::mem::swap(low, high);
        }
    }
}

/// The index of the first item of a sorted list for which `is_before` is false.
pub fn lower_bound<T>(items: &[T], mut is_before: impl FnMut(&T) -> bool) -> usize {
    let (mut from, mut to) = (0, items.len());
    while from < to {
        let middle = from + (to - from) / 2;
        if items.get(middle).is_some_and(&mut is_before) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    from
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Leaking, Random};

    #[test]
    fn sorts_as_std_does() {
        let mut random = Random::new(3);
        for count in 0..60 {
            let mut items: Vec<usize> = (0..count).map(|_| random.below(20)).collect();
            let mut expected = items.clone();
            expected.sort();
            sort(&mut items, &|a, b| a < b);
            assert_eq!(items, expected);
            for wanted in 0..21 {
                let bound = lower_bound(&items, |&item| item < wanted);
                assert_eq!(bound, expected.partition_point(|&item| item < wanted));
            }
        }
    }

    #[test]
    fn a_list_outgrows_its_places() {
        for places in [0, 1, 5] {
            let mut places = vec![0; places];
            let mut list = List::new(&mut places, &Leaking);
            for item in 0..1000 {
                list.push(item).unwrap();
            }
            assert_eq!(list.as_slice(), (0..1000).collect::<Vec<_>>());
            list.truncate(3);
            assert_eq!(list.into_slice(), [0, 1, 2]);
        }
    }
}
