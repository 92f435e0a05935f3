//! libvirt's state directory (`/var/lib/libvirt/dnsmasq`): which files matter, and how they are come by.

use core::cmp::Ordering;

use crate::snapshot::Opened;
use crate::text::Text;
use crate::window::{Fault, StateFile};

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

/// The name of a bridge, at most as long as the kernel lets it be (`IFNAMSIZ`: 15 bytes and a NUL).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Bridge([u8; 16]);

impl Bridge {
    /// No bridge.
    pub const NONE: Self = Self([0; 16]);

    /// `None` for what is empty or too long to be a bridge's name.
    #[must_use]
    pub fn new(name: &[u8]) -> Option<Self> {
        let mut bridge = Self::NONE;
        if name.is_empty() || name.len() >= bridge.0.len() {
            return None;
        }
        bridge.0.iter_mut().zip(name).for_each(|(place, &byte)| *place = byte);
        Some(bridge)
    }

    /// From [`Bridge::with_nul`]; `None` where no NUL ends it.
    #[must_use]
    pub fn from_padded(bytes: [u8; 16]) -> Option<Self> {
        (bytes.last() == Some(&0)).then_some(Self(bytes))
    }

    /// The name.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.split(|&byte| byte == 0).next().unwrap_or(&[])
    }

    /// The name and the NULs behind it, at least one.
    #[must_use]
    pub fn with_nul(&self) -> &[u8; 16] {
        &self.0
    }
}

/// In the order of the names' bytes; [`Bridge::NONE`] comes first.
impl Ord for Bridge {
    fn cmp(&self, other: &Self) -> Ordering {
        u128::from_be_bytes(self.0).cmp(&u128::from_be_bytes(other.0))
    }
}

impl PartialOrd for Bridge {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl core::fmt::Debug for Bridge {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}", self.as_bytes().escape_ascii())
    }
}

/// The state directory, open.
pub trait StateDir {
    /// A file in it, open.
    type File: StateFile;

    /// Starts the listing anew.
    ///
    /// # Errors
    /// [`Fault::Exhausted`] or, where there is no directory or it can't be read, [`Fault::Unreadable`].
    fn rewind(&mut self) -> Result<(), Fault>;

    /// Puts the next file name into `name`. `false` at the end.
    ///
    /// # Errors
    /// As [`StateDir::rewind`].
    fn next_name(&mut self, name: &mut Text) -> Result<bool, Fault>;

    /// Opens a bridge's file.
    ///
    /// # Errors
    /// As the system has it; a FIFO or a directory is [`Fault::Unreadable`], here or when it is read.
    fn open(&mut self, bridge: &Bridge, kind: Kind) -> Result<Self::File, Fault>;

    /// Opens the snapshot that belongs to the directory, where there is one that only its daemon or root
    /// can have written.
    fn snapshot(&mut self) -> Option<Opened<Self::File>> {
        None
    }
}

/// The bridge of the listing's next file of `kind`; what can't be a bridge's file is passed over.
///
/// # Errors
/// As [`StateDir::next_name`].
pub(crate) fn next_bridge<S: StateDir>(dir: &mut S, kind: Kind) -> Result<Option<Bridge>, Fault> {
    let mut name = Text::new();
    while dir.next_name(&mut name)? {
        let bridge = name.as_bytes().strip_suffix(kind.suffix()).and_then(Bridge::new);
        if bridge.is_some() {
            return Ok(bridge);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_too_long_for_a_bridge() {
        assert_eq!(Bridge::new(b"sixteen-bytes-16"), None);
        assert_eq!(Bridge::new(b""), None);
        let fits = b"fifteen-bytes15";
        assert_eq!(Bridge::new(fits).unwrap().as_bytes(), fits);
        assert!(Bridge::NONE < Bridge::new(b"a").unwrap());
        assert!(Bridge::new(b"virbr1") < Bridge::new(b"virbr10"));
    }
}
