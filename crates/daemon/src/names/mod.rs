//! Which names answer with which addresses: the rules, from values to values.
//!
//! 1. `leases` makes rows of the state files, exactly those that a look-up finds there.
//! 2. `guests` makes rows of what libvirt reports, as far as [`trust`] believes it.
//! 3. `limits` drops what one guest has too much of.
//! 4. `merge` decides, for each key, which of its rows become entries of the snapshot.
//! 5. `ssh` decides which names and addresses stand for which guest's host keys.

mod addresses;
mod connections;
mod guests;
mod index;
mod leases;
mod limits;
mod merge;
mod ssh;
mod suffix;
mod table;
pub mod trust;

use guest_names::name::is_node_name;
use guest_names::snapshot::format::{Entry, flags, kind};

use crate::config::Naming;
use crate::facts::Facts;
use crate::host::Host;
use crate::state::Files;
use index::Index;
use limits::Holder;
use merge::Merge;
pub use ssh::SshRecords;
use table::Table;

/// What the names are made of.
#[derive(Clone, Copy, Debug)]
pub struct Input<'i> {
    /// Seconds since the epoch.
    pub now: i64,
    /// The host's own node name, which no guest gets.
    pub node: &'i [u8],
    /// What the state files say.
    pub files: &'i Files,
    /// What libvirt says.
    pub facts: &'i Facts,
    /// What the kernel says of this host's network.
    pub host: &'i Host,
    /// What may follow a guest's name.
    pub naming: &'i Naming,
}

impl Input<'_> {
    /// A lease still counts in the second in which it ends.
    fn has_expired(&self, expiry: i64) -> bool {
        expiry != 0 && expiry < self.now
    }
}

/// The names, ready to be written down.
pub struct CompiledNames {
    table: Table,
    /// See [`Input::node`].
    node: Vec<u8>,
    /// When a lease ends on which it depends who has a name or an address, in seconds since the epoch.
    pub until: Option<i64>,
    /// An agent leaves out a lease that may be younger than what the agent said.
    pub undecided: bool,
    /// Who has more names or addresses than one guest may add, in words.
    pub limited: Vec<String>,
    /// What ssh may ask for.
    pub ssh: SshRecords,
}

/// Where [`CompiledNames::each`] puts the entries of a key.
pub type Take<'t, E> = dyn FnMut(&[u8], &mut dyn Iterator<Item = Entry<'_>>) -> Result<(), E> + 't;

/// What is called again and again during a long compilation.
pub type Pulse<'p> = dyn FnMut() + 'p;

/// What is found out besides.
#[derive(Default)]
struct Notes {
    /// See [`CompiledNames::until`].
    until: Option<i64>,
    /// Whose addresses are too many.
    limited: Vec<Holder>,
    /// What is for ssh alone.
    ssh: ssh::Addresses,
}

impl Notes {
    /// When a lease ends, something else counts; 0: it never does.
    fn decide_again(&mut self, end: i64) {
        if end != 0 {
            earliest(&mut self.until, end);
        }
    }
}

/// Applies the rules.
#[must_use]
pub fn compile(input: Input<'_>, pulse: &mut Pulse<'_>) -> CompiledNames {
    let index = Index::new(input.files, input.now);
    let mut table = Table::default();
    let mut notes = Notes::default();
    let mut owned = leases::Owned::new(input.facts, &index);
    leases::add(&mut table, input, &index, &mut owned, pulse);
    guests::add(&mut table, input, &index, &owned, &mut notes, pulse);
    pulse();
    table.sort();
    pulse();
    let mut limited = limits::addresses(input, &notes.limited);
    limited.extend(limits::limit_same_hash(input, &mut table));
    CompiledNames {
        table,
        node: input.node.to_vec(),
        until: notes.until,
        undecided: owned.undecided,
        limited,
        ssh: ssh::records(input, notes.ssh, pulse),
    }
}

impl CompiledNames {
    /// See [`Input::node`].
    #[must_use]
    pub fn node(&self) -> &[u8] {
        &self.node
    }

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
            let entries = merge.entries(&self.table, rows);
            let mut entries = entries.filter(|entry| !is_own(key, entry, &self.node)).peekable();
            if entries.peek().is_some() {
                take(key, &mut entries)?;
            }
        }
        Ok(())
    }
}

/// Whether an entry gives a guest the host's own node name.
fn is_own(key: &[u8], entry: &Entry<'_>, node: &[u8]) -> bool {
    match key {
        [kind::HOST, name @ ..] => is_node_name(name, node),
        [kind::ADDRESS, ..] => !entry.is(flags::DOMAIN) && is_node_name(entry.name, node),
        _ => false,
    }
}

fn earliest(until: &mut Option<i64>, end: i64) {
    *until = Some(until.map_or(end, |until| until.min(end)));
}
