//! What a look-up reads and collects: the files, the snapshot and the candidates, in the memory that it was given.

use crate::candidate::{Candidate, Evidence};
use crate::files::StateFiles;
use crate::io::{StateDir, StateFile, System};
use crate::list::List;
use crate::name::{is_host_name, is_node_name};
use crate::observe::{Observer, observing};
use crate::snapshot::format::Entry;
use crate::snapshot::{Damaged, Entries, Key, Opened};
use crate::text::Text;

/// Memory that a look-up begins with. If that is too little, it gets more from the [`System`].
pub struct Memory<'m> {
    /// The buffer that files are read into: [`LARGE_BUFFER`](crate::window::LARGE_BUFFER) bytes, or
    /// [`SMALL_BUFFER`](crate::window::SMALL_BUFFER) on small stacks.
    pub buffer: &'m mut [u8],
    /// Places for candidates; most names have two.
    pub candidates: &'m mut [Candidate],
}

/// One look-up.
pub struct Lookup<'m, D: StateDir, S> {
    pub(super) files: StateFiles<'m, D, S>,
    /// `None` if there is none, or if it isn't trusted.
    pub(super) snapshot: Option<Opened<D::File>>,
    pub(super) candidates: List<'m, Candidate, S>,
}

impl<'m, D: StateDir, S: System> Lookup<'m, D, S> {
    /// A look-up in the state directory, and in the snapshot that belongs to it. `now` is in seconds since the epoch.
    /// `observer`, if there is one, is called with what happens.
    pub fn new(
        dir: &'m mut D,
        snapshot: Option<Opened<D::File>>,
        system: &'m S,
        memory: Memory<'m>,
        now: i64,
        observer: Option<&'m mut dyn Observer>,
    ) -> Self {
        let files = StateFiles::new(dir, system, memory.buffer, now, observer);
        Self { files, snapshot, candidates: List::new(memory.candidates, system) }
    }
}

/// Whether the name is the host's own.
pub(super) fn is_own_name<S: System>(system: &S, name: &[u8]) -> bool {
    let mut node = Text::new();
    system.node_name(&mut node);
    is_node_name(name, node.as_bytes())
}

/// Whether look-ups by address and the list of all guests contain this host name of a guest.
pub(super) fn is_given<S: System>(system: &S, name: &[u8]) -> bool {
    is_host_name(name) && !is_own_name(system, name)
}

/// Entries of the snapshot, and the evidence by which each counts.
pub(super) struct CountedEntries<'r, F> {
    pub(super) entries: Entries<'r, F>,
    now: i64,
    observer: Option<&'r mut dyn Observer>,
}

impl<F: StateFile> CountedEntries<'_, F> {
    /// The next entry, where it starts in the file, and its evidence if it counts.
    pub(super) fn next(&mut self) -> Result<Option<(u32, Entry<'_>, Option<Evidence>)>, Damaged> {
        let standing = self.entries.standing;
        let Some((offset, entry)) = self.entries.next_entry()? else { return Ok(None) };
        let evidence = entry.counts_as(standing, self.now);
        if let Some(observer) = &mut self.observer {
            observer.entry(offset, &entry, standing, evidence.is_some());
        }
        Ok(Some((offset, entry, evidence)))
    }
}

/// Finds the entries that the snapshot has under `key`.
pub(super) fn find_entries<'r, D: StateDir, S>(
    snapshot: &'r mut Opened<D::File>,
    files: &'r mut StateFiles<'_, D, S>,
    key: &Key,
) -> Result<CountedEntries<'r, D::File>, Damaged> {
    let StateFiles { buffer, now, observer, .. } = files;
    let entries = snapshot.find(key, *now, buffer)?;
    Ok(CountedEntries { entries, now: *now, observer: observing(observer) })
}
