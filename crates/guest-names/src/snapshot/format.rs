//! How the snapshot, `/run/libvirt-nss/names.cdb`, is laid out, and where look-ups find it.
//!
//! A constant database (D. J. Bernstein, <https://cr.yp.to/cdb/cdb.txt>): a header of 256 pairs (position,
//! slots) of 32-bit numbers, records (key length, data length, key, data), hash tables. All numbers are
//! little-endian. Its first record, at byte [`FIRST_RECORD`], is [`META_KEY`]. The others, one a key:
//!
//! | key | data |
//! |---|---|
//! | `h`, a host name in lower case | [`Entry`]s: who answers to it |
//! | `g`, the name of a domain in lower case, without one trailing dot | the same |
//! | `a`, 4 or 16 address octets | [`Entry`]s: what the address is called, the best name first |
//! | `info` | JSON for people: the connections, and how they do. The look-up passes it by |
//! | `s`, `u` and more | what ssh asks for: see `guest-store/src/snapshot/ssh.rs`. The look-up passes them by |
//!
//! Host names come without a trailing dot. A guest stands under each name that it answers to (`web`,
//! `web.lab.example`, `web.vm.internal`); the entry's own name tells the case.

use crate::address::{Address, Mac};
use crate::bridge::Bridge;
use crate::io::Stamp;
use crate::text::{TEXT_MAX, copy};

/// Where look-ups find the snapshot.
///
/// It lies in a file system in memory, and so does all of /run: there, asking for what isn't there costs
/// three times what it costs on a disk, whose file systems remember that. So it is reached by way of the
/// daemon's home, where a link leads to it as long as a daemon runs.
pub const PATH: &core::ffi::CStr = c"/var/lib/libvirt-nss/run/names.cdb";

/// The directory that it is in: the owner of both must be one, or root have the file.
pub const DIRECTORY: &core::ffi::CStr = c"/var/lib/libvirt-nss/run";

/// The key of the first record; its data is a [`Meta`].
pub const META_KEY: &[u8] = b"meta";

/// Byte of the first record: behind the header.
pub const FIRST_RECORD: u32 = 2048;

/// Bytes of a record before its key: two lengths.
pub const RECORD_HEAD: usize = 8;

/// What kind of name a key is about: the first byte of the key.
pub mod kind {
    /// A host name.
    pub const HOST: u8 = b'h';
    /// The name of a libvirt domain.
    pub const GUEST: u8 = b'g';
    /// An address.
    pub const ADDRESS: u8 = b'a';
}

/// The hash of a key, as cdb has it: the low 8 bits choose the table, the others the slot.
#[must_use]
pub fn hash(key: &[u8]) -> u32 {
    key.iter().fold(5381, |hash: u32, &byte| hash.wrapping_mul(33) ^ u32::from(byte))
}

/// What the snapshot says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// The state directory that it was compiled from. `None`: what it says of leases doesn't count, as
    /// the directory could not be read, or is too fresh for its time stamp to tell the next change.
    pub state: Option<Stamp>,
    /// For how many seconds after the file's own `st_mtim` that which libvirt's API told counts. The
    /// daemon touches the file while it lives.
    pub hold: u32,
    /// Bytes of the whole file.
    pub length: u32,
    /// When it was compiled, in seconds since the epoch.
    pub compiled: i64,
}

/// Format version and magic number in one.
const MAGIC: [u8; 4] = *b"NSS2";

/// Stands for no time stamp.
const NO_STAMP: u32 = u32::MAX;

impl Meta {
    /// Bytes of it.
    pub const SIZE: usize = 64;

    /// Where it stands in the file.
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

    /// Reads the record's data; `None` where it is of another version.
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

/// What an entry is, by bits of [`Entry::flags`].
pub mod flags {
    /// A state file of this host has the lease: it counts while the state directory is the one that the
    /// snapshot was compiled from, and until [`Entry::expiry`](super::Entry::expiry).
    pub const LEASE: u8 = 1;
    /// libvirt's API told it, or that the guest is called so: it counts as long as the snapshot holds.
    pub const TOLD: u8 = 2;
    /// A running guest has the NIC.
    pub const ATTACHED: u8 = 4;
    /// The guest's agent has answered and doesn't name the lease's address: the lease doesn't count as
    /// long as the snapshot holds.
    pub const DENIED: u8 = 8;
    /// Under an address: the name is a libvirt domain's, and else a host's.
    pub const DOMAIN: u8 = 16;
    /// The guest is of another host's libvirt. Where the snapshot doesn't stand for this host's state
    /// files, it answers to a name that these don't know.
    pub const ELSEWHERE: u8 = 32;
    /// It is of another host's libvirt, whose names win over those of this host's state files.
    pub const BEFORE: u8 = 64;
    /// The guest's agent, or a neighbour table, reports the leased address too: it counts beyond the
    /// lease, as long as the snapshot holds.
    pub const CONFIRMED: u8 = 128;
}

/// Where an address is from: [`Entry::source`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A `.status` file of this host.
    Files = 0,
    /// DHCP leases that libvirt's API told.
    Lease = 1,
    /// The guest's agent.
    Agent = 2,
    /// The neighbour table of the guest's host.
    Neighbour = 3,
}

impl Source {
    fn parse(byte: u8) -> Self {
        match byte {
            1 => Self::Lease,
            2 => Self::Agent,
            3 => Self::Neighbour,
            _ => Self::Files,
        }
    }
}

/// One address that a name stands for, or that the guest of that name exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'e> {
    /// See [`flags`].
    pub flags: u8,
    /// Where it is from; of several the one that is ranked first, which is a lease.
    pub source: Source,
    /// The place of the connection in the daemon's configuration that the guest is of; for people.
    pub connection: u16,
    /// `None`: the guest is known, and has no address that is.
    pub address: Option<Address>,
    /// The NIC.
    pub mac: Option<Mac>,
    /// The host's bridge that the NIC is on, which is the scope of a link-local address;
    /// [`Bridge::NONE`] where it is on none.
    pub bridge: Bridge,
    /// When the lease ends, in seconds since the epoch; 0: never, or it is no lease.
    pub expiry: i64,
    /// Where a lease stands among those of its file: of two leases of one NIC the higher is the fresher. 0: it
    /// isn't a lease of a file.
    pub order: u32,
    /// The client that took the lease: [`client_of`](crate::records::lease::client_of). 0: unknown.
    pub client: u32,
    /// The name in its own case: the host name or the domain's, without what a key may have behind it.
    pub name: &'e [u8],
}

/// Bytes before an entry's name.
const FIXED: usize = 64;

/// The most bytes that an entry takes.
pub const ENTRY_MAX: usize = FIXED + TEXT_MAX;

impl<'e> Entry<'e> {
    /// Puts the entry's bytes at the start of `room`; how many. Of a name that is longer than
    /// [`TEXT_MAX`] the start counts.
    pub fn write(&self, room: &mut [u8; ENTRY_MAX]) -> usize {
        let name = self.name.get(..TEXT_MAX).unwrap_or(self.name);
        let length = FIXED + name.len();
        *room = [0; ENTRY_MAX];
        put(room, 0, &(length as u16).to_le_bytes());
        let octets = self.address.as_ref().map_or(&[][..], Address::octets);
        put(room, 2, &[self.flags, self.source as u8, octets.len() as u8, name.len() as u8]);
        put(room, 6, &self.mac.unwrap_or(Mac([0; 6])).0);
        put(room, 12, &self.connection.to_le_bytes());
        put(room, 16, &self.expiry.to_le_bytes());
        put(room, 24, octets);
        put(room, 40, self.bridge.with_nul());
        put(room, 56, &self.order.to_le_bytes());
        put(room, 60, &self.client.to_le_bytes());
        put(room, FIXED, name);
        length
    }

    /// The entry that `bytes` begin with, and how many bytes it takes. `None`: there is no whole one.
    #[must_use]
    #[inline(never)]
    pub fn parse(bytes: &'e [u8]) -> Option<(Self, usize)> {
        let length = usize::from(u16::from_le_bytes(array(bytes, 0)?));
        let entry = bytes.get(..length)?;
        let [flags, source, octets, name] = array(entry, 2)?;
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
            source: Source::parse(source),
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
    fn meta_there_and_back() {
        let stamp = Stamp { seconds: -5, nanoseconds: 999_999_999, device: 1 << 40, inode: 7 };
        for state in [None, Some(stamp)] {
            let meta = Meta { state, hold: 90, length: 4096, compiled: 1 << 33 };
            assert_eq!(Meta::parse(&meta.to_bytes()), Some(meta));
        }
        assert_eq!(Meta::parse(&[0; Meta::SIZE]), None);
        assert_eq!(Meta::parse(b"NSS2"), None);
    }

    #[test]
    fn entries_there_and_back() {
        let long = [b'x'; TEXT_MAX];
        for address in [None, Some(Address::V4([10, 0, 0, 1])), Some(Address::V6([7; 16]))] {
            for name in [&b""[..], b"Web", &long] {
                let entry = Entry {
                    flags: flags::LEASE | flags::DENIED,
                    source: Source::Neighbour,
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
    fn entries_that_are_none() {
        let entry = Entry {
            flags: 0,
            source: Source::Files,
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
        // Address length, name length, a bridge's name without an end.
        for (at, byte) in [(4, 5), (5, 4), (55, 1)] {
            let mut bad = good;
            bad[at] = byte;
            assert_eq!(Entry::parse(&bad), None, "byte {at}");
        }
    }
}
