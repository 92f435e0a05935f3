//! What a look-up needs from the system: the state directory, its files, memory, the host's own name.

use crate::bridge::Bridge;
use crate::text::Text;

/// Why a state file or the state directory couldn't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process is out of file descriptors or of memory: no look-up can be answered now.
    Exhausted,
    /// Missing, not readable, not a regular file, a disk error: only this file is skipped. The value is the system's error
    /// number, or 0.
    Unreadable(i32),
}

/// The process is out of file descriptors or of memory; a later look-up may succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

/// An open state file.
pub trait StateFile {
    /// Reads from `offset` (bytes) into `room`; 0 at the end. A short read occurs only at the file's end,
    /// or ends at a multiple of [`SECTOR`].
    ///
    /// # Errors
    /// [`Fault`], as it is found.
    fn read_at(&mut self, offset: u32, room: &mut [u8]) -> Result<usize, Fault>;

    /// Bytes in the file; 0 if the system doesn't say.
    fn size(&mut self) -> u64;
}

/// A file that couldn't be opened is empty.
impl<F: StateFile> StateFile for Option<F> {
    fn read_at(&mut self, offset: u32, room: &mut [u8]) -> Result<usize, Fault> {
        match self {
            Some(file) => file.read_at(offset, room),
            None => Ok(0),
        }
    }

    fn size(&mut self) -> u64 {
        self.as_mut().map_or(0, F::size)
    }
}

/// A short read that doesn't end at a multiple of this many bytes has reached the end of the file, so no further read is
/// needed. Reads of files are short only at the end or when a signal interrupts them (POSIX, read(2)), and what has been
/// copied by then is a number of whole pages, or of sectors on file systems without a page cache.
pub const SECTOR: usize = 512;

/// Readers stop here, as libvirt's own do (`VIR_NETWORK_DHCP_LEASE_FILE_SIZE_MAX`, 32 MiB).
pub const READ_LIMIT: u32 = 32 << 20;

/// What a state file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `BRIDGE.status`: the leases of the bridge's network.
    Leases,
    /// `BRIDGE.macs`: the NICs that running guests have on the bridge.
    Macs,
}

impl Kind {
    /// How the names of its files end.
    #[must_use]
    pub const fn suffix(self) -> &'static [u8] {
        match self {
            Self::Leases => b".status",
            Self::Macs => b".macs",
        }
    }
}

/// Where libvirt's state directory is. Its `configure` option is `--localstatedir`; every distribution has this.
pub const STATE_DIRECTORY: &core::ffi::CStr = c"/var/lib/libvirt/dnsmasq";

/// libvirt's state directory.
pub trait StateDir {
    /// A file in it, open.
    type File: StateFile;

    /// Restarts the listing.
    ///
    /// # Errors
    /// [`Fault::Exhausted`], or [`Fault::Unreadable`] if the directory doesn't exist or can't be read.
    fn rewind(&mut self) -> Result<(), Fault>;

    /// Puts the next file name into `name`. `false` at the end.
    ///
    /// # Errors
    /// As [`StateDir::rewind`].
    fn next_name(&mut self, name: &mut Text) -> Result<bool, Fault>;

    /// Opens a bridge's file.
    ///
    /// # Errors
    /// [`Fault`]; for a FIFO or a directory [`Fault::Unreadable`], here or when it is read.
    fn open(&mut self, bridge: &Bridge, kind: Kind) -> Result<Self::File, Fault>;
}

/// The process of the look-up, and its host.
pub trait System {
    /// Memory for the rare look-ups that need more than they begin with: `len` times `fill`. `None`: out of memory.
    #[allow(clippy::mut_from_ref, reason = "each call returns other memory")]
    fn slice<T: Copy>(&self, len: usize, fill: T) -> Option<&mut [T]>;

    /// Puts the host's own node name (uname(2)) into `name`.
    fn node_name(&self, name: &mut Text);
}

/// Identifies one version of the state directory, from a file system's times and numbers, as
/// stat(2) gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// `st_mtim`, seconds since the epoch.
    pub seconds: i64,
    /// `st_mtim`, nanoseconds.
    pub nanoseconds: u32,
    /// `st_dev`.
    pub device: u64,
    /// `st_ino`.
    pub inode: u64,
}
