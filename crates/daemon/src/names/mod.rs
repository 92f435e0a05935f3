//! The rules that decide which names resolve to which addresses. No I/O happens here.
//!
//! 1. `leases` adds rows for the state files, exactly those that a look-up finds there.
//! 2. `guests` adds rows for what libvirt reports, as far as [`trust`] allows.
//! 3. `limits` drops what exceeds a guest's limits.
//! 4. `merge` decides, for each key, which of its rows become entries of the snapshot.
//! 5. `ssh` decides which names and addresses identify which guest's host keys.

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

/// Everything that the names are compiled from.
#[derive(Clone, Copy, Debug)]
pub struct Input<'i> {
    /// Seconds since the epoch.
    pub now: i64,
    /// This host's own node name, which no guest may have.
    pub node: &'i [u8],
    /// The contents of the state files.
    pub files: &'i Files,
    /// What libvirt reports.
    pub facts: &'i Facts,
    /// What the kernel reports about this host's network.
    pub host: &'i Host,
    /// The configured suffixes of guests' names.
    pub naming: &'i Naming,
}

impl Input<'_> {
    /// A lease is still current in the second in which it ends. 0 never ends.
    fn has_expired(&self, expiry: i64) -> bool {
        expiry != 0 && expiry < self.now
    }
}

/// The compiled names, ready to be written to the snapshot.
pub struct CompiledNames {
    table: Table,
    /// See [`Input::node`].
    node: Vec<u8>,
    /// When to compile again, in seconds since the epoch: when a lease ends that decides who has a name or an address.
    pub until: Option<i64>,
    /// Whether an agent's answer lacks a lease that may be newer than that answer.
    pub undecided: bool,
    /// Log messages about guests with more names or addresses than the limits allow.
    pub limited: Vec<String>,
    /// The records for ssh.
    pub ssh: SshRecords,
}

/// Called by [`CompiledNames::each`] with each key and its entries.
pub type Take<'t, 'n, E> =
    dyn FnMut(&'n [u8], &mut dyn Iterator<Item = Entry<'n>>) -> Result<(), E> + 't;

/// Called again and again during a long compilation, so that the caller can show that it is alive.
pub type Pulse<'p> = dyn FnMut() + 'p;

/// By-products of adding rows.
#[derive(Default)]
struct Notes {
    /// See [`CompiledNames::until`].
    until: Option<i64>,
    /// Who has too many addresses.
    limited: Vec<Holder>,
    /// What only ssh needs.
    ssh: ssh::Addresses,
}

impl Notes {
    /// Has the names compiled again at `end`, in seconds since the epoch; 0: never.
    fn decide_again(&mut self, end: i64) {
        if end != 0 {
            earliest(&mut self.until, end);
        }
    }
}

/// Compiles the names from `input`.
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

    /// Calls `take` with each key and its entries, in the byte order of the keys. Returns [`Self::until`] or, if that is earlier,
    /// when a lease ends that decides about one of the keys.
    ///
    /// # Errors
    /// The first error of `take`.
    pub fn each<'n, E>(&'n self, take: &mut Take<'_, 'n, E>) -> Result<Option<i64>, E> {
        let (mut merge, mut until) = (Merge::default(), self.until);
        for (key, rows) in self.table.groups() {
            if let Some(end) = merge.settle(&self.table, key, rows) {
                earliest(&mut until, end);
            }
            let entries = merge.entries(&self.table, rows);
            let mut entries = entries.filter(|entry| !is_own(key, entry, &self.node)).peekable();
            if entries.peek().is_some() {
                take(key, &mut entries)?;
            }
        }
        Ok(until)
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
