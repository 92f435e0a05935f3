//! Starting threads.

use std::io;
use std::thread;

/// Enough for libvirt's client side; the system's default of 8 MiB is reserved per thread, and a connection
/// has several.
const STACK: usize = 512 << 10;

/// Starts a thread that nobody waits for. `name` shows in `ps -L` (its first 15 bytes).
pub(super) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.into()).stack_size(STACK).spawn(work).map(drop)
}
