//! Going through all names of a snapshot, for an enumeration.

use super::consult::candidate;
use super::format::{Entry, FIRST_RECORD, flags, kind};
use super::read::{Reader, pair};
use super::{Key, Standing, Take};
use crate::enumerate::Place;
use crate::forward::Source;
use crate::ranking::Candidate;
use crate::search::Search;
use crate::state::StateDir;
use crate::text::Text;
use crate::window::StateFile;

/// Picks one entry out of those of a record.
struct Pick<'p> {
    /// How many there are before it.
    before: u32,
    now: i64,
    key: &'p Key,
    name: &'p mut Text,
    candidate: &'p mut Candidate,
    picked: bool,
}

impl Take for Pick<'_> {
    fn take(&mut self, offset: u32, entry: &Entry<'_>, standing: Standing) {
        // A guest stands under longer names too, and is listed by its own.
        let own = self.key.is_of(entry.name);
        let candidate = candidate(offset, entry, true);
        // What the snapshot has of the files was told by these.
        let of_files = standing.leases && entry.is(flags::LEASE);
        let good = own && !of_files && entry.counts(standing, self.now);
        let Some(candidate) = candidate.filter(|_| good) else { return };
        if self.picked {
            return;
        }
        if self.before > 0 {
            self.before -= 1;
            return;
        }
        self.picked = true;
        self.name.set(entry.name);
        *self.candidate = candidate;
    }
}

impl<S: StateDir> Search<'_, S> {
    /// The next name in the snapshot and one of its addresses, but for what the state files tell. `place` is how
    /// many of both have been passed, and at which record that was. `false` where there is no other, `None`
    /// where the snapshot is broken.
    #[inline(never)]
    pub(crate) fn next_told(
        &mut self,
        source: Source,
        place: &mut Place,
        within: &mut u32,
        name: &mut Text,
        candidate: &mut Candidate,
    ) -> Option<bool> {
        let opened = self.snapshot.as_mut()?;
        let identity = opened.file.identity();
        if identity != place.identity {
            place.identity = identity;
            place.offset = FIRST_RECORD;
            *within = place.passed;
        }
        let mut reader = Reader { opened, scratch: &mut *self.window, now: self.now };
        let standing = reader.open()?;
        // The first table stands behind the last record.
        let (end, _) = pair(reader.scratch, 0)?;
        while place.offset < end {
            let piece = reader.glimpse(place.offset)?;
            let mut key = Key::NONE;
            let (record, wanted) = reader.record(piece, |bytes| {
                key.extend(bytes);
                bytes.first() == Some(&source.kind())
            })?;
            if wanted {
                let mut pick = Pick {
                    before: *within,
                    now: self.now,
                    key: &key,
                    name: &mut *name,
                    candidate: &mut *candidate,
                    picked: false,
                };
                reader.entries(record, piece, standing, &mut pick)?;
                if pick.picked {
                    *within += 1;
                    place.passed += 1;
                    return Some(true);
                }
                *within = pick.before;
            }
            place.offset = record.end;
        }
        Some(false)
    }
}

impl Source {
    /// What the names are called in a snapshot's keys.
    pub(crate) fn kind(self) -> u8 {
        match self {
            Self::HostName => kind::HOST,
            Self::Domain => kind::GUEST,
        }
    }
}
