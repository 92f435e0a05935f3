//! The names as files for DNS servers: the answers of look-ups in other programs' formats. They are written beside the
//! snapshot, and updated together with it.
//!
//! `answers`, `hosts`, `records` and `zones` compute their contents; `files` writes them.

pub mod answers;
pub mod files;
pub mod hosts;
pub mod records;
pub mod zones;
