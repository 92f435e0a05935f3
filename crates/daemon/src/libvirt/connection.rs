//! Opening connections. It may take for ever (a host that is gone, a daemon that is stopped), and nothing can
//! end it, so it always happens in a thread of its own.

use std::io;

use virt::connect::Connect;
use virt::error::Error;

use super::error::{is_refusal, is_unsupported};
use super::threads;

/// A peer that sent nothing for `INTERVAL` seconds is asked for a sign of life; after `COUNT` unanswered ones
/// the connection is closed, so it is noticed within 20 s. See virConnectSetKeepAlive.
const KEEPALIVE_INTERVAL: i32 = 5;
const KEEPALIVE_COUNT: u32 = 3;

/// What a connection is to be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Looking. Where that is refused, a read-write connection is tried: the two have sockets of their own,
    /// and an administrator may let a user into one alone.
    ReadOnly,
    /// What guest agents need.
    ReadWrite,
}

/// Opens a connection and has it watched for a dead peer. Blocks.
///
/// # Errors
/// What libvirt says.
pub(super) fn open(uri: &str, access: Access) -> Result<Connect, Error> {
    let connect = match access {
        Access::ReadWrite => Connect::open(Some(uri)),
        Access::ReadOnly => match Connect::open_read_only(Some(uri)) {
            Err(error) if is_refusal(&error) => Connect::open(Some(uri)).map_err(|_| error),
            opened => opened,
        },
    }?;
    match connect.set_keep_alive(KEEPALIVE_INTERVAL, KEEPALIVE_COUNT) {
        // A driver inside of this process has no peer.
        Err(error) if !is_unsupported(&error) => Err(error),
        _ => Ok(connect),
    }
}

/// Opens so many connections in a thread of its own, which calls `done` with all of them.
///
/// # Errors
/// Where the thread can't be started.
pub(super) fn open_in_background(
    uri: &str,
    access: Access,
    count: usize,
    done: impl FnOnce(Result<Vec<Connect>, Error>) + Send + 'static,
) -> io::Result<()> {
    let uri = uri.to_owned();
    threads::spawn("connect", move || done((0..count).map(|_| open(&uri, access)).collect()))
}
