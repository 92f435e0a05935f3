//! What the state files say, close together in memory: ten thousand guests have a few megabytes.

use guest_names::address::{Address, Mac};
use guest_names::bridge::Bridge;

/// Before all times.
pub const KNOWN_BEFORE: i64 = i64::MIN / 2;

/// A text in [`Files`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Text {
    at: u32,
    length: u16,
}

/// A good lease record.
#[derive(Clone, Copy, Debug)]
pub struct Lease {
    /// The bridge, as an index into [`Files::bridges`].
    pub bridge: u16,
    /// The address.
    pub address: Address,
    /// The NIC.
    pub mac: Option<Mac>,
    /// Seconds since the epoch; 0: never.
    pub expiry: i64,
    /// Where its record starts in the file, in bytes: of two leases of one NIC the later is the fresher.
    pub start: u32,
    /// The client id, as [`client_of`](guest_names::records::lease::client_of) has it.
    pub client: u32,
    /// What the guest called itself. Empty: nothing.
    pub host_name: Text,
    /// The network's domain. Empty: it has none, or its helper doesn't write it down.
    pub domain: Text,
    /// When it was first met, in milliseconds of the daemon's own clock; [`KNOWN_BEFORE`] where that was
    /// before the daemon began.
    pub since: i64,
}

impl Lease {
    /// As the look-up has it: it still holds in the second in which it ends.
    #[must_use]
    pub fn has_expired(&self, now: i64) -> bool {
        self.expiry != 0 && self.expiry < now
    }
}

/// A record of a MAC map: a domain's NICs on a bridge.
#[derive(Clone, Copy, Debug)]
pub struct Domain {
    /// The bridge, as an index into [`Files::bridges`].
    pub bridge: u16,
    /// Its name.
    pub name: Text,
    /// Its MACs: from, to, as indices into [`Files::macs`].
    pub macs: (u32, u32),
}

/// All state files, as they were at one reading.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// The bridges that have files.
    pub bridges: Vec<Bridge>,
    /// The leases, in the order of the directory's listing, and of each file.
    pub leases: Vec<Lease>,
    /// The records of the MAC maps, in the same order.
    pub domains: Vec<Domain>,
    /// The domains' MACs.
    pub macs: Vec<Mac>,
    texts: Vec<u8>,
    /// The text that was added last: the next is often the same.
    last: Text,
}

impl Files {
    /// The bytes of a text.
    #[must_use]
    pub fn text(&self, text: Text) -> &[u8] {
        let from = text.at as usize;
        self.texts.get(from..from + usize::from(text.length)).unwrap_or(&[])
    }

    /// Keeps a text.
    pub fn add_text(&mut self, bytes: &[u8]) -> Text {
        if self.text(self.last) != bytes {
            // A state file has at most 32 MiB, and a directory with a hundred of them isn't read.
            let at = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
            self.last = Text { at, length: bytes.len().min(usize::from(u16::MAX)) as u16 };
            self.texts.extend_from_slice(bytes);
        }
        self.last
    }

    /// The bridge's index.
    pub fn add_bridge(&mut self, bridge: Bridge) -> u16 {
        let known = self.bridges.iter().position(|&known| known == bridge);
        let index = known.unwrap_or_else(|| {
            self.bridges.push(bridge);
            self.bridges.len() - 1
        });
        u16::try_from(index).unwrap_or(u16::MAX)
    }

    /// The bridge of an index.
    #[must_use]
    pub fn bridge(&self, index: u16) -> Bridge {
        self.bridges.get(usize::from(index)).copied().unwrap_or(Bridge::NONE)
    }

    /// The MACs of a domain's record.
    #[must_use]
    pub fn macs_of(&self, domain: &Domain) -> &[Mac] {
        self.macs.get(domain.macs.0 as usize..domain.macs.1 as usize).unwrap_or(&[])
    }

    /// Gives back what was only needed while it was filled, and takes over since when each lease is known
    /// from the reading before. The others are from `now` on.
    pub fn settle(&mut self, before: Option<&Self>, now: i64) {
        let identity = |files: &Self, lease: &Lease| {
            let address = lease.address.padded();
            (files.bridge(lease.bridge), lease.mac.map(|mac| mac.0), address, lease.expiry)
        };
        if let Some(before) = before {
            let mut known: Vec<_> =
                before.leases.iter().map(|lease| (identity(before, lease), lease.since)).collect();
            known.sort_unstable();
            for at in 0..self.leases.len() {
                let identity = identity(self, &self.leases[at]);
                let found = known.binary_search_by(|(other, _)| other.cmp(&identity));
                self.leases[at].since = found.map_or(now, |found| known[found].1);
            }
        }
        self.bridges.shrink_to_fit();
        self.leases.shrink_to_fit();
        self.domains.shrink_to_fit();
        self.macs.shrink_to_fit();
        self.texts.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(last: u8, expiry: i64) -> Lease {
        Lease {
            bridge: 0,
            address: Address::V4([10, 0, 0, last]),
            mac: Some(Mac([2, 0, 0, 0, 0, last])),
            expiry,
            start: 0,
            client: 0,
            host_name: Text::default(),
            domain: Text::default(),
            since: KNOWN_BEFORE,
        }
    }

    #[test]
    fn since_when_a_lease_is_known() {
        let files = |leases: &[Lease], before: Option<&Files>, now| {
            let mut files = Files { leases: leases.to_vec(), ..Files::default() };
            files.settle(before, now);
            files
        };
        let since =
            |files: &Files| files.leases.iter().map(|lease| lease.since).collect::<Vec<_>>();
        let first = files(&[lease(1, 5)], None, 10);
        assert_eq!(since(&first), [KNOWN_BEFORE]);
        let second = files(&[lease(2, 5), lease(1, 5)], Some(&first), 20);
        assert_eq!(since(&second), [20, KNOWN_BEFORE]);
        // One that was renewed was asked for again.
        let third = files(&[lease(1, 6), lease(2, 5)], Some(&second), 30);
        assert_eq!(since(&third), [30, 20]);
    }

    #[test]
    fn texts() {
        let mut files = Files::default();
        assert_eq!(files.add_text(b""), Text::default());
        let (one, same) = (files.add_text(b"lab"), files.add_text(b"lab"));
        let other = files.add_text(b"web");
        assert_eq!(one, same);
        assert_eq!((files.text(one), files.text(other)), (&b"lab"[..], &b"web"[..]));
    }
}
