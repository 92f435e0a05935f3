//! The format of the snapshot, `/run/libvirt-nss/names.cdb`, and where look-ups find it.
//!
//! A constant database (D. J. Bernstein, <https://cr.yp.to/cdb/cdb.txt>): a header of 256 pairs (position,
//! slots) of 32-bit numbers, records (key length, data length, key, data), hash tables. All numbers are
//! little-endian. Its first record, at byte [`FIRST_RECORD`], is [`META_KEY`]. The others, one a key:
//!
//! | key | data |
//! |---|---|
//! | `h`, a host name in lower case | [`Entry`]s: its guests and their addresses |
//! | `g`, the name of a domain in lower case, without one trailing dot | the same |
//! | `a`, 4 or 16 address octets | [`Entry`]s: what the address is called, the best name first |
//! | `info` | JSON for people: the connections and their state. Look-ups ignore it |
//! | `s`, `u` and more | what ssh asks for: see `guest-store/src/snapshot/ssh.rs`. The look-up passes them by |
//!
//! Host names have no trailing dot. A guest is listed under each of its names (`web`, `web.lab.example`,
//! `web.vm.internal`); the name in the entry has the original case.

use crate::address::{Address, Mac};
use crate::bridge::Bridge;
use crate::candidate::Evidence;
use crate::io::Stamp;
use crate::text::{TEXT_MAX, copy};

/// Where look-ups find the snapshot.
///
/// /run is a tmpfs, where checking for a file that doesn't exist costs three times as much as on disk, since file systems
/// on disk cache that. So look-ups use a link in /var/lib that exists while the daemon runs.
pub const PATH: &core::ffi::CStr = c"/var/lib/libvirt-nss/run/names.cdb";

/// Its directory. Both must have the same owner, or the file must belong to root.
pub const DIRECTORY: &core::ffi::CStr = c"/var/lib/libvirt-nss/run";

/// The key of the first record; its data is a [`Meta`].
pub const META_KEY: &[u8] = b"meta";

/// Position of the first record, after the header.
pub const FIRST_RECORD: u32 = 2048;

/// Bytes of a record before its key: two lengths.
pub const RECORD_HEAD: usize = 8;

/// The kind of a key: its first byte.
pub mod kind {
    /// A host name.
    pub const HOST: u8 = b'h';
    /// The name of a libvirt domain.
    pub const GUEST: u8 = b'g';
    /// An address.
    pub const ADDRESS: u8 = b'a';
}

/// The hash of a key in cdb: the low 8 bits choose the table, the others the slot.
#[must_use]
pub fn hash(key: &[u8]) -> u32 {
    key.iter().fold(5381, |hash: u32, &byte| hash.wrapping_mul(33) ^ u32::from(byte))
}

/// The snapshot's description of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// The version of the state directory that it was compiled from. `None`: its leases don't count, as the directory
    /// couldn't be read, or changed so recently that the next change may have the same time stamp.
    pub state: Option<Stamp>,
    /// For how many seconds after the file's own `st_mtim` data from libvirt's API counts. The daemon touches the file
    /// regularly.
    pub hold: u32,
    /// Length of the whole file in bytes.
    pub length: u32,
    /// When it was compiled, in seconds since the epoch.
    pub compiled: i64,
}

/// Format version and magic number in one.
const MAGIC: [u8; 4] = *b"NSS2";

/// No time stamp.
const NO_STAMP: u32 = u32::MAX;

impl Meta {
    /// Its length in bytes.
    pub const SIZE: usize = 64;

    /// Where it is in the file.
    pub const START: usize = FIRST_RECORD as usize + RECORD_HEAD + META_KEY.len();

    /// Bytes of the file from its start to the end of this record.
    pub const END: usize = Self::START + Self::SIZE;

    /// The record's data.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::SIZE] {
        let stamp =
            self.state.unwrap_or(Stamp { seconds: 0, nanoseconds: NO_STAMP, device: 0, inode: 0 });
        let mut bytes = [0; Self::SIZE];
        put(&mut bytes, 0, &MAGIC);
        put(&mut bytes, 4, &self.hold.to_le_bytes());
        put(&mut bytes, 8, &stamp.seconds.to_le_bytes());
        put(&mut bytes, 16, &stamp.nanoseconds.to_le_bytes());
        put(&mut bytes, 20, &self.length.to_le_bytes());
        put(&mut bytes, 24, &stamp.device.to_le_bytes());
        put(&mut bytes, 32, &stamp.inode.to_le_bytes());
        put(&mut bytes, 40, &self.compiled.to_le_bytes());
        bytes
    }

    /// Parses the record's data; `None` if it has another version.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < Self::SIZE || array::<4>(bytes, 0)? != MAGIC {
            return None;
        }
        let nanoseconds = u32::from_le_bytes(array(bytes, 16)?);
        let stamp = Stamp {
            seconds: i64::from_le_bytes(array(bytes, 8)?),
            nanoseconds,
            device: u64::from_le_bytes(array(bytes, 24)?),
            inode: u64::from_le_bytes(array(bytes, 32)?),
        };
        Some(Self {
            state: (nanoseconds != NO_STAMP).then_some(stamp),
            hold: u32::from_le_bytes(array(bytes, 4)?),
            length: u32::from_le_bytes(array(bytes, 20)?),
            compiled: i64::from_le_bytes(array(bytes, 40)?),
        })
    }
}

/// The bits of [`Entry::flags`].
pub mod flags {
    /// A state file of this host has the lease: it counts while the state directory is the one that the
    /// snapshot was compiled from, and until [`Entry::expiry`](super::Entry::expiry).
    pub const LEASE: u8 = 1;
    /// libvirt's API reported it, or the guest's name: it counts as long as the daemon is alive (`Meta::hold`).
    pub const REPORTED: u8 = 2;
    /// A running guest has the NIC.
    pub const ATTACHED: u8 = 4;
    /// The guest's agent has answered without the lease's address: the lease doesn't count as long as the daemon is
    /// alive.
    pub const DENIED: u8 = 8;
    /// Under an address: the name is that of a libvirt domain, else a host name.
    pub const DOMAIN: u8 = 16;
    /// The guest belongs to another host's libvirt. If this host's state files are read as well, it only has names that
    /// they don't contain.
    pub const ELSEWHERE: u8 = 32;
    /// The guest belongs to another host's libvirt, whose names come before those of this host's state files.
    pub const BEFORE: u8 = 64;
    /// The guest's agent or a neighbour table also reports the leased address: it counts after the lease has ended, as
    /// long as the daemon is alive.
    pub const CONFIRMED: u8 = 128;
}

fn parse_evidence(byte: u8) -> Evidence {
    match byte {
        1 => Evidence::Lease,
        2 => Evidence::Agent,
        3 => Evidence::Neighbour,
        _ => Evidence::StateFile,
    }
}

/// One address of a name, or only that a guest of that name exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'e> {
    /// See [`flags`].
    pub flags: u8,
    /// How the address is known; if in several ways, the one that ranks first.
    pub evidence: Evidence,
    /// The number of the guest's connection in the daemon's configuration; for people.
    pub connection: u16,
    /// `None`: the guest is known, but no address of it.
    pub address: Option<Address>,
    /// The NIC.
    pub mac: Option<Mac>,
    /// The host's bridge that the NIC is on, which is the scope of a link-local address; [`Bridge::NONE`]: none.
    pub bridge: Bridge,
    /// When the lease ends, in seconds since the epoch; 0: never, or it isn't a lease.
    pub expiry: i64,
    /// The position of a lease in its file: of two leases of one NIC the one with the higher number is fresher. 0: it isn't a
    /// lease of a file.
    pub order: u32,
    /// The client that took the lease: [`client_of`](crate::records::lease::client_of). 0: unknown.
    pub client: u32,
    /// The host name or the domain's name in its original case, without a domain or zone that follows it in the key.
    pub name: &'e [u8],
}

/// Length of an entry before its name, in bytes.
const FIXED: usize = 64;

/// The largest length of an entry, in bytes.
pub const ENTRY_MAX: usize = FIXED + TEXT_MAX;

impl<'e> Entry<'e> {
    /// Writes the entry to the start of `room`, and returns its length in bytes. A name is cut after [`TEXT_MAX`] bytes.
    pub fn write(&self, room: &mut [u8; ENTRY_MAX]) -> usize {
        let name = self.name.get(..TEXT_MAX).unwrap_or(self.name);
        let length = FIXED + name.len();
        let octets = self.address.as_ref().map_or(0, |address| address.octets().len());
        let mut fixed = [0; FIXED];
        fixed[..2].copy_from_slice(&(length as u16).to_le_bytes());
        fixed[2..6].copy_from_slice(&[
            self.flags,
            self.evidence as u8,
            octets as u8,
            name.len() as u8,
        ]);
        fixed[6..12].copy_from_slice(&self.mac.map_or([0; 6], |mac| mac.0));
        fixed[12..14].copy_from_slice(&self.connection.to_le_bytes());
        fixed[16..24].copy_from_slice(&self.expiry.to_le_bytes());
        fixed[24..40].copy_from_slice(&self.address.map_or([0; 16], |address| address.padded()));
        fixed[40..56].copy_from_slice(self.bridge.with_nul());
        fixed[56..60].copy_from_slice(&self.order.to_le_bytes());
        fixed[60..].copy_from_slice(&self.client.to_le_bytes());
        put(room, 0, &fixed);
        put(room, FIXED, name);
        length
    }

    /// The entry at the start of `bytes`, and its length in bytes. `None`: there is no complete one.
    #[must_use]
    pub fn parse(bytes: &'e [u8]) -> Option<(Self, usize)> {
        let length = usize::from(u16::from_le_bytes(array(bytes, 0)?));
        let entry = bytes.get(..length)?;
        let [flags, evidence, octets, name] = array(entry, 2)?;
        let mac = Mac(array(entry, 6)?);
        let address = match octets {
            0 => None,
            4 => Some(Address::V4(array(entry, 24)?)),
            16 => Some(Address::V6(array(entry, 24)?)),
            _ => return None,
        };
        let name = entry.get(FIXED..)?.get(..usize::from(name))?;
        let parsed = Self {
            flags,
            evidence: parse_evidence(evidence),
            connection: u16::from_le_bytes(array(entry, 12)?),
            address,
            mac: (mac != Mac([0; 6])).then_some(mac),
            bridge: Bridge::from_padded(array(entry, 40)?)?,
            expiry: i64::from_le_bytes(array(entry, 16)?),
            order: u32::from_le_bytes(array(entry, 56)?),
            client: u32::from_le_bytes(array(entry, 60)?),
            name,
        };
        Some((parsed, length))
    }

    /// Whether all of `flag`'s bits are set.
    #[inline]
    #[must_use]
    pub fn is(&self, flag: u8) -> bool {
        self.flags & flag == flag
    }
}

/// The `N` bytes at `at`.
pub(super) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn put(room: &mut [u8], at: usize, bytes: &[u8]) {
    copy(room.get_mut(at..).unwrap_or(&mut []), bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::lease::client_of;

    #[test]
    fn the_hash_is_cdbs() {
        // cdb.txt: h = ((h << 5) + h) ^ c, starting with 5381.
        assert_eq!(hash(b""), 5381);
        assert_eq!(hash(b"a"), (5381 * 33) ^ 97);
    }

    #[test]
    fn meta_round_trip() {
        let stamp = Stamp { seconds: -5, nanoseconds: 999_999_999, device: 1 << 40, inode: 7 };
        for state in [None, Some(stamp)] {
            let meta = Meta { state, hold: 90, length: 4096, compiled: 1 << 33 };
            assert_eq!(Meta::parse(&meta.to_bytes()), Some(meta));
        }
        assert_eq!(Meta::parse(&[0; Meta::SIZE]), None);
        assert_eq!(Meta::parse(b"NSS2"), None);
    }

    #[test]
    fn entries_round_trip() {
        let long = [b'x'; TEXT_MAX];
        for address in [None, Some(Address::V4([10, 0, 0, 1])), Some(Address::V6([7; 16]))] {
            for name in [&b""[..], b"Web", &long] {
                let entry = Entry {
                    flags: flags::LEASE | flags::DENIED,
                    evidence: Evidence::Neighbour,
                    connection: 513,
                    address,
                    mac: name.first().map(|_| Mac([0x52, 0x54, 0, 1, 2, 3])),
                    bridge: Bridge::new(b"fifteen-bytes15").unwrap(),
                    expiry: i64::MIN,
                    order: 77,
                    client: client_of(b"01:52"),
                    name,
                };
                let mut room = [0xff; ENTRY_MAX];
                let length = entry.write(&mut room);
                assert_eq!(Entry::parse(&room), Some((entry, length)));
                for short in 0..length {
                    assert_eq!(Entry::parse(&room[..short]), None);
                }
            }
        }
    }

    #[test]
    fn invalid_entries() {
        let entry = Entry {
            flags: 0,
            evidence: Evidence::StateFile,
            connection: 0,
            address: Some(Address::V4([1; 4])),
            mac: None,
            bridge: Bridge::NONE,
            expiry: 0,
            order: 0,
            client: 0,
            name: b"web",
        };
        let mut good = [0; ENTRY_MAX];
        entry.write(&mut good);
        // The address's length, the name's length, a bridge's name without a NUL.
        for (at, byte) in [(4, 5), (5, 4), (55, 1)] {
            let mut bad = good;
            bad[at] = byte;
            assert_eq!(Entry::parse(&bad), None, "byte {at}");
        }
    }
}
