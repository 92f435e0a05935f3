//! Signals as events.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::error::Error;

/// Sends `event(signal)` for each of `signals` that comes.
///
/// # Errors
/// They can't be waited for.
pub(crate) fn spawn<E: Send + 'static>(
    signals: &[i32],
    sender: Sender<E>,
    event: fn(i32) -> E,
) -> Result<(), Error> {
    let mut signals = Signals::new(signals).map_err(Error::Signals)?;
    thread::spawn(move || {
        for signal in signals.forever() {
            // Without a receiver the command has ended.
            let _ = sender.send(event(signal));
        }
    });
    Ok(())
}

/// From when this exists, signals by which a user or the session's end stops a command are only noted, so that what was begun
/// can be undone. The programs that it runs do end by them.
pub(crate) struct Interrupts(Arc<AtomicBool>);

impl Interrupts {
    /// # Errors
    /// They can't be caught.
    pub(crate) fn catch() -> Result<Self, Error> {
        let came = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&came)).map_err(Error::Signals)?;
        }
        Ok(Self(came))
    }

    /// Whether one came.
    pub(crate) fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
