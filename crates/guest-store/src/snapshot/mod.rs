//! Writes the daemon's snapshot, and reads it as a whole. The format and the look-up's own reader are in
//! [`guest_names::snapshot`].

pub mod info;
pub mod read;
pub mod ssh;
pub mod trust;
pub mod write;

pub use info::Info;
pub use read::Snapshot;
pub use write::Writer;

/// The snapshot's name in its directory.
pub const FILE_NAME: &str = "names.cdb";

/// The key of the record with information for display: see [`Info`].
pub const INFO_KEY: &[u8] = b"info";
