//! The snapshot that `libvirt-nssd` compiles: names and addresses of all guests in one file, where each is
//! found with a handful of reads, however many there are.
//!
//! Nothing in it is trusted: every offset in it is checked, and a damaged snapshot is treated as absent.

pub mod format;
mod key;
mod read;
mod standing;

pub use key::Key;
pub use read::{Damaged, Entries, Names};
pub use standing::{Opened, Standing};
