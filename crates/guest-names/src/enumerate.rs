//! All guests, one after the other.

use crate::address::Address;
use crate::forward::{Answer, Failure, NoRoom, Query, Source};
use crate::lease::Lease;
use crate::name::is_host_name;
use crate::ranking::Candidate;
use crate::search::{Exhausted, Search};
use crate::state::{Bridge, Kind, StateDir};
use crate::text::Text;

/// How far an enumeration has come. It holds no file open: each step goes back to the place.
#[derive(Clone, Debug)]
pub struct Cursor {
    /// The file; none before the first.
    bridge: Bridge,
    place: Place,
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
        Self { bridge: Bridge::new(), place }
    }
}

impl Default for Cursor {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: StateDir> Search<'_, S> {
    /// The next pair of a name, which goes to `name`, and an address. The pairs are those that look-ups
    /// by name give, each once; `None` when there is no other. `places`, at least one, is scratch.
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
    ) -> Result<Option<Candidate>, Exhausted> {
        let mut lease = Lease::new();
        while let Some(candidate) = self.next_lease(cursor, &mut lease)? {
            let named = match (source, candidate.mac) {
                (Source::HostName, _) => {
                    name.set(lease.hostname.as_bytes());
                    is_host_name(name.as_bytes())
                }
                (Source::Domain, Some(mac)) => self.domain_of(&cursor.bridge, mac, name)?,
                (Source::Domain, None) => false,
            };
            if named && self.is_answered(source, name, &candidate, places)? {
                return Ok(Some(candidate));
            }
        }
        Ok(None)
    }

    /// The next lease that holds, whatever it is called.
    fn next_lease(
        &mut self,
        cursor: &mut Cursor,
        lease: &mut Lease,
    ) -> Result<Option<Candidate>, Exhausted> {
        loop {
            if !cursor.bridge.is_empty() {
                let found = self.lease_behind(&cursor.bridge, &mut cursor.place, lease)?;
                if found.is_some() {
                    return Ok(found);
                }
            }
            // By name: the directory's own order may change between two steps.
            let mut next: Option<Bridge> = None;
            let mut bridge = Bridge::new();
            let mut found = self.first_bridge(Kind::Leases, &mut bridge)?;
            while found {
                let name = bridge.as_bytes();
                let before = next.as_ref().is_none_or(|next| name < next.as_bytes());
                if before && name > cursor.bridge.as_bytes() {
                    next = Some(bridge.clone());
                }
                found = self.next_bridge(Kind::Leases, &mut bridge)?;
            }
            match next {
                Some(bridge) => *cursor = Cursor { bridge, place: Place::default() },
                None => return Ok(None),
            }
        }
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
        let mut elected = Elected { address: candidate.address, by: None };
        match self.addresses(&query, places, &mut elected) {
            Ok(_) => {}
            Err(Failure::Exhausted) => return Err(Exhausted),
            // It takes whatever comes.
            Err(Failure::NoRoom) => {}
        }
        Ok(elected.by.is_some_and(|by| by.is_record(candidate)))
    }
}

/// An answer that only says which lease brings one address.
struct Elected {
    address: Address,
    by: Option<Candidate>,
}

impl Answer for Elected {
    fn clear(&mut self) {
        self.by = None;
    }

    fn holds(&self, address: Address) -> bool {
        self.by.is_some() && address == self.address
    }

    fn add(&mut self, candidate: &Candidate) -> Result<(), NoRoom> {
        if candidate.address == self.address {
            self.by = Some(*candidate);
        }
        Ok(())
    }
}
