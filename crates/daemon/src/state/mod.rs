//! libvirt's state directory: its contents, its time stamp, and a watch on it.

pub mod files;
pub mod stamp;
pub mod watch;

pub use files::Files;
