//! Which names answer with which addresses: the rules, from values to values.
//!
//! 1. `leases` makes rows of the state files, exactly those that a look-up finds there.
//! 2. `guests` makes rows of what libvirt tells, as far as [`trust`] believes it.
//! 3. `merge` decides, for each key, which of its rows become entries of the snapshot.

mod connections;
mod guests;
mod index;
mod leases;
mod merge;
mod suffix;
mod table;
pub mod trust;

use guest_names::snapshot::format::{Entry, Source};

use crate::facts::Facts;
use crate::state::Files;
use index::Index;
use merge::Merge;
use table::Table;

/// What the names are made of.
#[derive(Clone, Copy, Debug)]
pub struct Input<'i> {
    /// Seconds since the epoch.
    pub now: i64,
    /// What the state files say.
    pub files: &'i Files,
    /// What libvirt says.
    pub facts: &'i Facts,
}

/// The names, ready to be written down.
pub struct Names {
    table: Table,
    /// When a lease ends that takes a name or an address from others, in seconds since the epoch.
    pub until: Option<i64>,
    /// An agent leaves out a lease that may be younger than what the agent said.
    pub undecided: bool,
}

/// Where [`Names::each`] puts the entries of a key.
pub type Take<'t, E> = dyn FnMut(&[u8], &mut dyn Iterator<Item = Entry<'_>>) -> Result<(), E> + 't;

/// Applies the rules.
#[must_use]
pub fn compile(input: Input<'_>) -> Names {
    let index = Index::new(input.files, input.now);
    let mut table = Table::default();
    let mut until = None;
    let mut owned = leases::Owned::new(input.facts, &index);
    leases::add(&mut table, input.facts, &index, &mut owned);
    guests::add(&mut table, input, &index, &owned, &mut until);
    table.sort();
    Names { table, until, undecided: owned.undecided }
}

impl Names {
    /// Hands on each key, in the order of their bytes, and its entries.
    ///
    /// # Errors
    /// What `take` says.
    pub fn each<E>(&mut self, take: &mut Take<'_, E>) -> Result<(), E> {
        let mut merge = Merge::default();
        for (key, rows) in self.table.groups() {
            if let Some(end) = merge.settle(&self.table, key, rows) {
                earliest(&mut self.until, end);
            }
            let mut entries = merge.entries(&self.table, rows).peekable();
            if entries.peek().is_some() {
                take(key, &mut entries)?;
            }
        }
        Ok(())
    }
}

fn earliest(until: &mut Option<i64>, end: i64) {
    *until = Some(until.map_or(end, |until| until.min(end)));
}

/// Who is believed more.
fn weight(source: Source) -> u8 {
    match source {
        Source::Files => 0,
        Source::Lease => 1,
        Source::Arp => 2,
        Source::Agent => 3,
    }
}
