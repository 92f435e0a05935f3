//! How things look: on a terminal, in a pipe, to a program.

use std::os::fd::AsFd;

pub(crate) mod duration;
pub(crate) mod escape;
pub(crate) mod paint;
pub(crate) mod table;
pub(crate) mod wrap;

/// A terminal's columns; 80 where it doesn't tell.
pub(crate) fn width_of(terminal: impl AsFd) -> usize {
    let columns = rustix::termios::tcgetwinsize(terminal).map_or(0, |size| size.ws_col);
    if columns == 0 { 80 } else { columns.into() }
}
