//! libvirt's state directory: what it says, its time stamp, and watching it.

pub mod files;
pub mod stamp;
pub mod watch;

pub use files::Files;
