//! The snapshot that `libvirt-nssd` compiles: names and addresses of all guests in one file, where each is found with a
//! handful of reads, however many there are.
//!
//! Its contents are not trusted: every offset is checked, and a damaged snapshot is ignored.

pub mod format;
mod key;
mod read;
mod standing;

pub use key::Key;
pub use read::{Damaged, Entries, NameCursor};
pub use standing::{Opened, Standing};
