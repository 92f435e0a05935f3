//! Look-ups as the modules do them, for programs with std.

use std::path::Path;

use bumpalo::Bump;
use guest_names::candidate::Candidate;
use guest_names::io::{Exhausted, System};
use guest_names::lookup::{self, Lookup, Memory, Query};
use guest_names::observe::{Observer, observing};
use guest_names::text::Text;
use guest_names::window::LARGE_BUFFER;

use crate::Directory;
use crate::snapshot::trust;

/// This process and its host.
#[derive(Default)]
pub struct Host(Bump);

impl System for Host {
    fn slice<T: Copy>(&self, len: usize, fill: T) -> Option<&mut [T]> {
        self.0.try_alloc_slice_fill_copy(len, fill).ok()
    }

    fn node_name(&self, name: &mut Text) {
        name.set(rustix::system::uname().nodename().to_bytes());
    }
}

/// Runs look-ups in the state directory and, if there is one that the modules trust, in the snapshot, at `now` (seconds since
/// the epoch). An `observer` is informed of each step.
pub fn look_up<T>(
    state_directory: &Path,
    snapshot: Option<&Path>,
    now: i64,
    mut observer: Option<&mut dyn Observer>,
    task: impl FnOnce(&mut Lookup<'_, Directory, Host>) -> T,
) -> T {
    let host = Host::default();
    let mut directory = Directory::new(state_directory);
    let snapshot = snapshot.and_then(|path| trust::open(path, state_directory).ok());
    let mut buffer = vec![0; LARGE_BUFFER];
    let mut candidates = [Candidate::EMPTY; 16];
    let memory = Memory { buffer: &mut buffer, candidates: &mut candidates };
    task(&mut Lookup::new(&mut directory, snapshot, &host, memory, now, observing(&mut observer)))
}

/// The result of a look-up by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// No guest has the name.
    Unknown,
    /// A guest has the name, but no address of the family.
    NoData,
    /// There are addresses.
    Data,
}

/// Looks up a name. The addresses are in the order of the answer.
///
/// # Errors
/// See [`Exhausted`].
pub fn by_name(
    state_directory: &Path,
    snapshot: Option<&Path>,
    now: i64,
    observer: Option<&mut dyn Observer>,
    query: &Query<'_>,
) -> Result<(Found, Vec<Candidate>), Exhausted> {
    look_up(state_directory, snapshot, now, observer, |lookup| {
        Ok(match lookup.by_name(query)? {
            lookup::Found::Unknown => (Found::Unknown, Vec::new()),
            lookup::Found::NoData => (Found::NoData, Vec::new()),
            lookup::Found::Addresses(candidates) => (Found::Data, candidates.to_vec()),
        })
    })
}
