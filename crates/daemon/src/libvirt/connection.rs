//! Opens connections. This may take for ever (a host that is gone, a daemon that is stopped) and can't be interrupted, so it
//! always happens in its own thread.

use std::io;

use virt::connect::Connect;
use virt::error::Error;

use super::error::{is_refusal, is_unsupported};
use super::threads;

/// A peer that sends nothing for `INTERVAL` seconds gets a keepalive message; after `COUNT` unanswered ones the connection
/// is closed. So a dead peer is noticed within 20 s. See virConnectSetKeepAlive.
const KEEPALIVE_INTERVAL: i32 = 5;
const KEEPALIVE_COUNT: u32 = 3;

/// What a connection is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Reading. If libvirt refuses a read-only connection, a read-write one is tried: the two have separate sockets, and the
    /// administrator may have given the user access to only one of them.
    ReadOnly,
    /// Querying guest agents.
    ReadWrite,
}

/// Opens a connection, with keepalive messages. Blocks.
///
/// # Errors
/// libvirt's error.
pub(super) fn open(uri: &str, access: Access) -> Result<Connect, Error> {
    let connect = match access {
        Access::ReadWrite => Connect::open(Some(uri)),
        Access::ReadOnly => match Connect::open_read_only(Some(uri)) {
            Err(error) if is_refusal(&error) => Connect::open(Some(uri)).map_err(|_| error),
            opened => opened,
        },
    }?;
    match connect.set_keep_alive(KEEPALIVE_INTERVAL, KEEPALIVE_COUNT) {
        // A driver inside this process has no peer.
        Err(error) if !is_unsupported(&error) => Err(error),
        _ => Ok(connect),
    }
}

/// Opens `count` connections in a new thread, which calls `done` with all of them.
///
/// # Errors
/// The thread can't be started.
pub(super) fn open_in_background(
    uri: &str,
    access: Access,
    count: usize,
    done: impl FnOnce(Result<Vec<Connect>, Error>) + Send + 'static,
) -> io::Result<()> {
    let uri = uri.to_owned();
    threads::spawn("connect", move || done((0..count).map(|_| open(&uri, access)).collect()))
}
