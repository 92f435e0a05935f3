//! libvirt's side of the daemon: keeps the connections and reports what they have, as [`Update`]s.
//!
//! | module | what it is |
//! |---|---|
//! | `keeper` | the thread of a connection: opens it, and again when it is lost |
//! | `session` | a connection while it is up: lists, events, what is asked again |
//! | `known` | what is known of one guest |
//! | `agent` | the workers that ask guest agents |
//! | `read`, `xml` | what libvirt has now, and what matters of its XML |
//! | `callbacks`, `raw` | what `virt` doesn't wrap; all `unsafe` is here |
//! | `connection`, `check` | opening a connection; trying one for `--check` |
//! | `inbox`, `pace`, `threads`, `error` | messages to a keeper, back-off, starting threads, every failure |
//!
//! libvirt's calls block, some for as long as a remote host likes. So each connection has threads of its own: a
//! keeper, one for each try to open, and the workers for agents, which have connections of their own too. One
//! more runs libvirt's event loop, whose callbacks do nothing but put a message into a keeper's inbox.

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

/// The connections, as long as it lives.
pub struct Libvirt {
    stopping: Arc<AtomicBool>,
    keepers: Vec<Sender<Message>>,
    /// Closes when the last keeper has ended.
    ended: Receiver<()>,
}

impl Libvirt {
    /// Starts to keep the connections, and returns at once. `updates` is called by each connection's thread:
    /// first `State(Connecting)`, and with each `State(Up)` all `Networks` and `Guests`.
    ///
    /// libvirt's event loop is started with the first call in the process, and runs until the process ends.
    ///
    /// # Errors
    /// [`Error::BadUri`], [`Error::EventLoop`], [`Error::Thread`]. A connection that can't be opened is none:
    /// it is tried again.
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

    /// Ends the threads. One that hangs in a remote call goes on until that call or the process ends, and
    /// sends nothing more than what it was about to.
    fn stop(self: Box<Self>) {
        drop(self);
    }
}

impl Libvirt {
    fn send_to_all(&self, message: impl Fn() -> Message) {
        for keeper in &self.keepers {
            // A keeper that has ended needs no message.
            let _ = keeper.send(message());
        }
    }
}

impl Drop for Libvirt {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.send_to_all(|| Message::Stop);
        // Nothing is ever sent: it comes back when all have ended, or when it has waited long enough.
        let _ = self.ended.recv_timeout(LAST_WAIT);
    }
}

/// `virt` panics on URIs that C can't have.
fn reject_nul_bytes(config: &ConnectionConfig) -> Result<(), Error> {
    if config.uri.contains('\0') { Err(Error::BadUri(config.name.clone())) } else { Ok(()) }
}

/// What has to be before the first connection is opened: libvirt's event loop, in a thread of its own.
fn set_up() -> Result<(), Error> {
    static DONE: Mutex<bool> = Mutex::new(false);
    let mut done = DONE.lock().unwrap_or_else(PoisonError::into_inner);
    if *done {
        return Ok(());
    }
    // libvirt prints each error to stderr otherwise; they are values here.
    virt::error::clear_error_callback();
    virt::event::event_register_default_impl().map_err(Error::EventLoop)?;
    threads::spawn("events", || {
        loop {
            // It fails where poll(2) does: out of memory, say, which passes.
            if virt::event::event_run_default_impl().is_err() {
                thread::sleep(Duration::from_secs(1));
            }
        }
    })
    .map_err(Error::Thread)?;
    *done = true;
    Ok(())
}
