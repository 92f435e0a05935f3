//! Signals as events.

use std::sync::mpsc::Sender;
use std::thread;

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
