//! libvirt's state directory: reading it, telling its states apart, and hearing of changes.

pub mod files;
pub mod read;
pub mod stamp;
pub mod watch;

pub use files::Files;
