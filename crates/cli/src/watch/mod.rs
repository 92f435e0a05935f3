//! The live list: what `libvirt-nss watch` shows, and how it reacts to keys and changes.

pub(crate) mod changes;
mod keys;
pub(crate) mod line;
mod order;
mod pager;
pub(crate) mod screen;
pub(crate) mod view;

use crossterm::event::Event as Input;

use crate::error::Error;

/// What wakes the command.
pub(crate) enum Event {
    /// Leases or NICs may have changed.
    Changed(Result<(), Error>),
    /// A key, or a new size of the terminal.
    Input(Input),
    /// A signal that ends the command.
    Signal(i32),
    /// The terminal can't be read any more.
    NoInput(std::io::Error),
}
