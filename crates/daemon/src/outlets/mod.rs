//! The names as files for programs that serve DNS: what a look-up answers, in other programs' formats, beside the
//! snapshot and with each of them.
//!
//! Values become text in `answers`, `hosts`, `records` and `zones`; `files` puts it in place.

pub mod answers;
pub mod files;
pub mod hosts;
pub mod records;
pub mod zones;
