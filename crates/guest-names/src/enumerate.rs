//! All guests, one after the other.

use core::slice;

use crate::address::Address;
use crate::forward::{Answer, Failure, NoRoom, Query, Source};
use crate::lease::Lease;
use crate::name::is_host_name;
use crate::ranking::{Attached, Candidate};
use crate::search::{Exhausted, Keep, Search};
use crate::sought::Sought;
use crate::state::{Bridge, Kind, StateDir};
use crate::text::Text;

/// How far an enumeration has come. It holds no file open: each step goes back to the place.
#[derive(Clone, Copy, Debug)]
pub struct Cursor {
    /// The state files have been gone through; what libvirt's API told comes behind them.
    told: bool,
    /// The file; [`Bridge::NONE`] before the first.
    bridge: Bridge,
    place: Place,
    /// How many pairs have been passed of the snapshot's record at the place.
    within: u32,
}

/// A place between the records of a file.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    /// In bytes.
    pub(crate) offset: u32,
    /// In objects: what counts when the file is another than it was.
    pub(crate) passed: u32,
    /// Which file `offset` is meant for.
    pub(crate) identity: u64,
}

impl Cursor {
    /// Before the first.
    #[must_use]
    pub const fn new() -> Self {
        let place = Place { offset: 0, passed: 0, identity: 0 };
        Self { told: false, bridge: Bridge::NONE, place, within: 0 }
    }
}

impl Default for Cursor {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: StateDir> Search<'_, S> {
    /// The next pair of a name, which goes to `name`, and an address, which goes to `candidate`. The pairs
    /// are those that look-ups by name give, each once; `false` when there is no other. `places`, at
    /// least one, is scratch.
    ///
    /// Each pair costs a look-up of its name.
    ///
    /// # Errors
    /// See [`Exhausted`].
    pub fn next(
        &mut self,
        source: Source,
        cursor: &mut Cursor,
        places: &mut [Candidate],
        name: &mut Text,
        candidate: &mut Candidate,
    ) -> Result<bool, Exhausted> {
        while !cursor.told {
            if !self.next_lease(cursor, candidate, name)? {
                *cursor = Cursor { told: true, ..Cursor::new() };
                break;
            }
            let named = match source {
                Source::HostName => is_host_name(name.as_bytes()),
                Source::Domain => {
                    self.attach(slice::from_mut(candidate), Some(name))?;
                    candidate.attached == Attached::Yes
                }
            };
            if named && self.is_answered(source, name, candidate, places)? {
                return Ok(true);
            }
        }
        loop {
            let Cursor { place, within, .. } = &mut *cursor;
            if self.next_told(source, place, within, name, candidate) != Some(true) {
                return Ok(false);
            }
            if self.is_answered(source, name, candidate, places)? {
                return Ok(true);
            }
        }
    }

    /// The next lease that holds, whatever it is called; its host name goes to `name`.
    fn next_lease(
        &mut self,
        cursor: &mut Cursor,
        candidate: &mut Candidate,
        name: &mut Text,
    ) -> Result<bool, Exhausted> {
        let mut next = Next { candidate, name };
        loop {
            if cursor.bridge != Bridge::NONE {
                let (bridge, place) = (cursor.bridge, &mut cursor.place);
                if self.leases_of_file(bridge, 0, Sought::Any, &mut next, Some(place))? {
                    return Ok(true);
                }
            }
            if !self.next_file(cursor)? {
                return Ok(false);
            }
        }
    }

    /// Moves the cursor to the next file, by name: the directory's own order may change between two
    /// steps.
    fn next_file(&mut self, cursor: &mut Cursor) -> Result<bool, Exhausted> {
        let mut next: Option<Bridge> = None;
        let mut file = 0;
        while let Some(bridge) = self.next_bridge(Kind::Leases, &mut file)? {
            if bridge > cursor.bridge && next.is_none_or(|next| bridge < next) {
                next = Some(bridge);
            }
        }
        let Some(bridge) = next else { return Ok(false) };
        *cursor = Cursor { bridge, ..Cursor::new() };
        Ok(true)
    }

    /// Whether a look-up of `name` answers with `candidate`, and not with another lease of its address.
    fn is_answered(
        &mut self,
        source: Source,
        name: &Text,
        candidate: &Candidate,
        places: &mut [Candidate],
    ) -> Result<bool, Exhausted> {
        let Some(wanted) = source.wanted(name.as_bytes()) else { return Ok(false) };
        let query = Query { source, wanted, family: Some(candidate.address.family()) };
        let mut elected = Elected { candidate, any: false, it: false };
        match self.addresses(&query, places, &mut elected) {
            Ok(_) => {}
            Err(Failure::Exhausted) => return Err(Exhausted),
            // It takes whatever comes.
            Err(Failure::NoRoom) => {}
        }
        Ok(elected.it)
    }
}

/// The lease that comes next, and its host name.
struct Next<'n> {
    candidate: &'n mut Candidate,
    name: &'n mut Text,
}

impl Keep for Next<'_> {
    fn keep(&mut self, lease: &Lease, candidate: &Candidate) {
        *self.candidate = *candidate;
        self.name.set(lease.hostname.as_bytes());
    }
}

/// An answer that only says whether it is this candidate that brings its address.
struct Elected<'c> {
    candidate: &'c Candidate,
    any: bool,
    it: bool,
}

impl Answer for Elected<'_> {
    fn clear(&mut self) {
        self.any = false;
        self.it = false;
    }

    fn holds(&self, address: Address) -> bool {
        self.any && address == self.candidate.address
    }

    fn add(&mut self, candidate: &Candidate) -> Result<(), NoRoom> {
        if candidate.address == self.candidate.address {
            self.any = true;
            // A lease of the files may be answered out of the snapshot.
            self.it = match (self.candidate.is_told(), candidate.is_told()) {
                (false, true) => candidate.is_lease_of(self.candidate),
                (true, false) => false,
                _ => candidate.is_record(self.candidate),
            };
        }
        Ok(())
    }
}
