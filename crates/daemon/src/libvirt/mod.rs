//! Keeps the connections to libvirt, and reports their guests and networks as [`Update`]s.
//!
//! | module | purpose |
//! |---|---|
//! | `keeper` | a connection's thread: opens it, and reopens it when it is lost |
//! | `session` | a connection while it is up: lists, events, periodic queries |
//! | `guest` | what is known about one guest |
//! | `agent`, `host_keys` | the workers that query guest agents; reading host keys through one |
//! | `read`, `xml` | reading the current state, and the relevant parts of libvirt's XML |
//! | `callbacks`, `raw` | what `virt` doesn't wrap; all `unsafe` code is here |
//! | `connection`, `check` | opening a connection; trying one for `--check` |
//! | `inbox`, `pace`, `threads`, `error` | messages to a keeper, back-off, starting threads, errors |
//!
//! libvirt's calls block, some for as long as a remote host likes. So each connection has its own threads: a keeper, one
//! for each attempt to open it, and workers for agents, which also have their own connections. One more thread runs
//! libvirt's event loop, whose callbacks only put messages into a keeper's inbox.

#![deny(unsafe_code)]

mod agent;
#[allow(unsafe_code, reason = "callbacks of C")]
mod callbacks;
mod check;
mod connection;
mod error;
mod guest;
mod host_keys;
mod inbox;
mod keeper;
mod pace;
#[allow(unsafe_code, reason = "calls that `virt` doesn't wrap")]
mod raw;
mod read;
mod session;
mod threads;
mod xml;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

pub use check::{Agents, Report, check};
pub use error::Error;

use inbox::{Inbox, Message};

use crate::backend::Connections;
use crate::model::{ConnectionConfig, Update};

/// How long [`Libvirt::stop`] waits for threads that are about to end.
const LAST_WAIT: Duration = Duration::from_millis(500);

/// The connections. Dropping it ends their threads.
pub struct Libvirt {
    stopping: Arc<AtomicBool>,
    keepers: Vec<Sender<Message>>,
    /// Closes when the last keeper has ended.
    ended: Receiver<()>,
}

impl Libvirt {
    /// Starts to keep the connections, and returns at once. Each connection's thread calls `updates`, first with
    /// `State(Connecting)`; each `State(Up)` is followed by all `Networks` and `Guests`.
    ///
    /// The first call in the process starts libvirt's event loop, which runs until the process ends.
    ///
    /// # Errors
    /// [`Error::BadUri`], [`Error::EventLoop`], [`Error::Thread`]. A connection that can't be opened is not an error here: it
    /// is retried.
    pub fn start(
        connections: Vec<ConnectionConfig>,
        updates: impl Fn(Update) + Send + Sync + Clone + 'static,
    ) -> Result<Self, Error> {
        set_up()?;
        connections.iter().try_for_each(reject_nul_bytes)?;
        let (last, ended) = mpsc::channel();
        let mut libvirt =
            Self { stopping: Arc::new(AtomicBool::new(false)), keepers: Vec::new(), ended };
        let updates: session::Updates = Arc::new(updates);
        for config in connections {
            let (sender, receiver) = mpsc::channel();
            libvirt.keepers.push(sender.clone());
            let stopping = Arc::clone(&libvirt.stopping);
            let inbox = Inbox { receiver, sender, stopping, attempt: 0 };
            let (updates, last) = (Arc::clone(&updates), last.clone());
            threads::spawn("keeper", move || {
                keeper::keep(&config, &updates, inbox);
                drop(last);
            })
            .map_err(Error::Thread)?;
        }
        Ok(libvirt)
    }
}

impl Connections for Libvirt {
    fn wake(&self) {
        self.send_to_all(|| Message::Wake);
    }

    /// Ends the threads. A thread that hangs in a remote call goes on until that call or the process ends; at most it still
    /// sends the result of that call.
    fn stop(self: Box<Self>) {
        drop(self);
    }
}

impl Libvirt {
    fn send_to_all(&self, message: impl Fn() -> Message) {
        for keeper in &self.keepers {
            // An error only means that the keeper has ended.
            let _ = keeper.send(message());
        }
    }
}

impl Drop for Libvirt {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.send_to_all(|| Message::Stop);
        // Nothing is ever sent: this returns when all keepers have ended, or at the timeout.
        let _ = self.ended.recv_timeout(LAST_WAIT);
    }
}

/// `virt` panics on URIs with a NUL byte.
fn reject_nul_bytes(config: &ConnectionConfig) -> Result<(), Error> {
    if config.uri.contains('\0') { Err(Error::BadUri(config.name.clone())) } else { Ok(()) }
}

/// Starts libvirt's event loop in its own thread, which must happen before the first connection is opened.
fn set_up() -> Result<(), Error> {
    static DONE: Mutex<bool> = Mutex::new(false);
    let mut done = DONE.lock().unwrap_or_else(PoisonError::into_inner);
    if *done {
        return Ok(());
    }
    // Otherwise libvirt prints each error to stderr; here they are returned.
    virt::error::clear_error_callback();
    virt::event::event_register_default_impl().map_err(Error::EventLoop)?;
    threads::spawn("events", || {
        loop {
            // It fails if poll(2) does, such as when memory is short; that passes.
            if virt::event::event_run_default_impl().is_err() {
                thread::sleep(Duration::from_secs(1));
            }
        }
    })
    .map_err(Error::Thread)?;
    *done = true;
    Ok(())
}
