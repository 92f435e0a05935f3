//! The records of the two kinds of state files.

pub mod lease;
pub mod mac_map;
