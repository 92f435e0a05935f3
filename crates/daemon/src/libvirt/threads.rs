//! Starting threads.

use std::io;
use std::thread;

/// Enough for libvirt's client side; the system's default of 8 MiB is reserved per thread, and a connection
/// has several.
const STACK: usize = 512 << 10;

/// A builder for a thread with this name. `ps -L` shows its first 15 bytes.
pub(super) fn builder(name: &str) -> thread::Builder {
    thread::Builder::new().name(name.into()).stack_size(STACK)
}

/// Starts a thread that is never joined.
pub(super) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    builder(name).spawn(work).map(drop)
}
