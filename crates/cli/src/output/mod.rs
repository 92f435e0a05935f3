//! Output for terminals, pipes and programs.

use std::os::fd::AsFd;

pub(crate) mod duration;
pub(crate) mod escape;
pub(crate) mod paint;
pub(crate) mod table;
pub(crate) mod wrap;

/// A terminal's columns; 80 if they are unknown.
pub(crate) fn width_of(terminal: impl AsFd) -> usize {
    let columns = rustix::termios::tcgetwinsize(terminal).map_or(0, |size| size.ws_col);
    if columns == 0 { 80 } else { columns.into() }
}

/// Whether the locale's character set is UTF-8 (locale(7): the first of these that is set counts).
pub(crate) fn is_utf8() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    let locale = locale.unwrap_or_default().to_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}
