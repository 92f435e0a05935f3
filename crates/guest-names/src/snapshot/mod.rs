//! The snapshot that `libvirt-nssd` compiles: names and addresses of all guests in one file, where each is
//! found with a handful of reads, however many there are.
//!
//! Nothing in it is trusted: every place in it is checked, and one that is broken is as good as none.

pub(crate) mod consult;
pub mod format;
mod read;
pub(crate) mod walk;

use crate::address::Address;
use crate::name::{Wanted, same, without_trailing_dot};
use crate::text::{TEXT_MAX, copy};
use crate::window::StateFile;
use format::{Entry, Meta, Source, Stamp, flags, kind};

/// The snapshot, open, and what the system says of it.
pub struct Opened<F> {
    /// The file.
    pub file: F,
    /// When it was last written to or touched (`st_mtim`), in seconds since the epoch.
    pub modified: i64,
    /// Bytes in it.
    pub length: u32,
    /// What the state directory is like now; `None` where there is none.
    pub state: Option<Stamp>,
}

/// What of a snapshot counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// What it says of the state files' leases: these are as they were when it was compiled, so that they
    /// needn't be read.
    pub leases: bool,
    /// What libvirt's API told: the daemon lives, or has until lately.
    pub told: bool,
}

impl Standing {
    /// The standing of a snapshot that says `meta` of itself, at `now` (seconds since the epoch).
    #[must_use]
    pub fn of<F>(meta: &Meta, opened: &Opened<F>, now: i64) -> Self {
        let age = now.saturating_sub(opened.modified).unsigned_abs();
        let leases = meta.state.is_some() && meta.state == opened.state;
        Self { leases, told: age <= u64::from(meta.hold) }
    }
}

impl Entry<'_> {
    /// Whether the entry counts in a snapshot of this standing, at `now` (seconds since the epoch).
    #[must_use]
    #[inline(never)]
    pub fn counts(&self, standing: Standing, now: i64) -> bool {
        let lasts = self.expiry == 0 || self.expiry >= now;
        let denied = self.is(flags::DENIED) && standing.told;
        let leased = self.is(flags::LEASE) && standing.leases && lasts && !denied;
        // What the guest itself or its host says outlives the lease.
        let lasts = lasts
            || self.is(flags::CONFIRMED)
            || matches!(self.source, Source::Agent | Source::Neighbour);
        leased || (self.is(flags::TOLD) && standing.told && lasts)
    }
}

/// What an entry stands under.
#[derive(Clone)]
pub struct Key {
    bytes: [u8; TEXT_MAX + 1],
    len: usize,
}

impl Key {
    /// No key.
    const NONE: Self = Self { bytes: [0; TEXT_MAX + 1], len: 0 };

    /// Of a name that is looked up.
    #[must_use]
    pub fn of_name(source: crate::forward::Source, wanted: &Wanted<'_>) -> Self {
        let mut key = Self::NONE;
        key.extend(&[source.kind()]);
        key.extend(wanted.canonical());
        key.bytes.iter_mut().for_each(|byte| *byte = byte.to_ascii_lowercase());
        key
    }

    /// Of an address.
    #[must_use]
    pub fn of_address(address: Address) -> Self {
        let mut key = Self::NONE;
        key.extend(&[kind::ADDRESS]);
        key.extend(address.octets());
        key
    }

    /// Of what doesn't fit nothing is taken: no key is as long.
    #[inline(never)]
    fn extend(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        if let Some(room) = self.bytes.get_mut(self.len..end) {
            copy(room, bytes);
            self.len = end;
        }
    }

    /// Whether it is that of `name` itself, and not of a longer one.
    fn is_of(&self, name: &[u8]) -> bool {
        let own = without_trailing_dot(name);
        self.as_bytes().get(1..).is_some_and(|key| same(key, own))
    }

    /// As it stands in the file.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&self.bytes)
    }
}

/// Gets the entries of a record, as they stand in the file.
pub trait Take {
    /// The entry at byte `offset` of the file.
    fn take(&mut self, offset: u32, entry: &Entry<'_>, standing: Standing);
}

impl<F: StateFile> Opened<F> {
    /// Hands out the entries under `key`, and says what of the snapshot counts. `None` for a snapshot that
    /// is broken: what was handed out then is of no use. `scratch` is memory to read with: 16 KiB are
    /// good; with less than a header's nothing is found.
    pub fn entries(
        &mut self,
        key: &Key,
        now: i64,
        scratch: &mut [u8],
        take: &mut dyn Take,
    ) -> Option<Standing> {
        read::Reader { opened: self, scratch, now }.find(key.as_bytes(), take)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Mac;
    use crate::state::Bridge;

    fn entry(flags: u8, source: Source, expiry: i64) -> Entry<'static> {
        let address = Some(Address::V4([10, 0, 0, 1]));
        let (mac, bridge) = (Some(Mac([2; 6])), Bridge::NONE);
        let (order, client) = (0, 0);
        let name = b"web";
        Entry { flags, source, connection: 0, address, mac, bridge, expiry, order, client, name }
    }

    #[test]
    fn what_counts() {
        use flags::{CONFIRMED, DENIED, LEASE, TOLD};
        let both = Standing { leases: true, told: true };
        let leases = Standing { leases: true, told: false };
        let told = Standing { leases: false, told: true };
        let none = Standing::default();
        for (flags, source, expiry, counting) in [
            (LEASE, Source::Files, 0, [true, true, false, false]),
            (LEASE, Source::Files, 100, [true, true, false, false]),
            (LEASE, Source::Files, 99, [false; 4]),
            (LEASE | DENIED, Source::Files, 0, [false, true, false, false]),
            (TOLD, Source::Lease, 100, [true, false, true, false]),
            (TOLD, Source::Lease, 99, [false; 4]),
            (TOLD, Source::Agent, 99, [true, false, true, false]),
            (LEASE | TOLD, Source::Agent, 0, [true, true, true, false]),
            (LEASE | TOLD, Source::Neighbour, 99, [true, false, true, false]),
            (LEASE | TOLD, Source::Files, 99, [false; 4]),
            (LEASE | TOLD | CONFIRMED, Source::Files, 99, [true, false, true, false]),
            (0, Source::Agent, 0, [false; 4]),
        ] {
            for (standing, counts) in [both, leases, told, none].into_iter().zip(counting) {
                let entry = entry(flags, source, expiry);
                assert_eq!(entry.counts(standing, 100), counts, "{entry:?} {standing:?}");
            }
        }
    }

    #[test]
    fn how_long_a_snapshot_counts() {
        let stamp = Stamp { seconds: 1, nanoseconds: 2, device: 3, inode: 4 };
        let meta = Meta { state: Some(stamp), hold: 90, length: 0, compiled: 0 };
        let opened = |modified, state| Opened { file: (), modified, length: 0, state };
        let at = |modified, now| Standing::of(&meta, &opened(modified, None), now).told;
        assert!(at(1000, 1000) && at(1000, 1090) && !at(1000, 1091));
        // A clock that was set back.
        assert!(at(1000, 910) && !at(1000, 909) && !at(i64::MIN, i64::MAX));
        let of = |meta: &Meta, state| Standing::of(meta, &opened(0, state), 0).leases;
        assert!(of(&meta, Some(stamp)));
        assert!(!of(&meta, Some(Stamp { nanoseconds: 3, ..stamp })));
        assert!(!of(&meta, None));
        assert!(!of(&Meta { state: None, ..meta }, None));
    }

    #[test]
    fn keys() {
        let key = |source, name: &[u8]| {
            let wanted = Wanted::domain(name).unwrap();
            Key::of_name(source, &wanted).as_bytes().to_vec()
        };
        assert_eq!(key(crate::forward::Source::HostName, b"Web.Lab."), b"hweb.lab");
        assert_eq!(key(crate::forward::Source::Domain, "Ä B".as_bytes()), "gÄ b".as_bytes());
        assert_eq!(key(crate::forward::Source::Domain, &[b'x'; 255]).len(), 256);
        assert_eq!(Key::of_address(Address::V4([b'A', 0, 0, 1])).as_bytes(), b"aA\0\0\x01");
        assert_eq!(Key::of_address(Address::V6([1; 16])).as_bytes().len(), 17);
    }
}
