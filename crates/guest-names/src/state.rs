//! libvirt's state directory (`/var/lib/libvirt/dnsmasq`): which files matter, and how they are come by.

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

/// The name of a bridge, as far as a file's name can hold it.
pub type Bridge = Text;

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
    /// As the system has it; what is no regular file is [`Fault::Unreadable`].
    fn open(&mut self, bridge: &Bridge, kind: Kind) -> Result<Self::File, Fault>;
}

/// Brings the listing to the next file of `kind` and puts its bridge's name into `bridge`.
///
/// # Errors
/// As [`StateDir::next_name`].
pub(crate) fn next_bridge<S: StateDir>(
    dir: &mut S,
    kind: Kind,
    bridge: &mut Bridge,
) -> Result<bool, Fault> {
    loop {
        let mut name = Text::new();
        if !dir.next_name(&mut name)? {
            return Ok(false);
        }
        match name.as_bytes().strip_suffix(kind.suffix()) {
            Some(stem) if !stem.is_empty() => {
                bridge.set(stem);
                return Ok(true);
            }
            _ => {}
        }
    }
}
