//! What is shown while waiting: a spinner on a terminal, or lines of text with --verbose.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use crate::output::escape::printable;
use crate::output::table::cut;
use crate::output::{self, duration};

/// Time between two pictures of the spinner.
const TICK: Duration = Duration::from_millis(100);

const PICTURES: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const PLAIN_PICTURES: [&str; 4] = ["-", "\\", "|", "/"];

/// Standard error while the command waits.
pub(crate) struct Progress {
    began: Instant,
    /// Standard error is a terminal.
    draws: bool,
    /// Each change is printed as a line.
    prints_lines: bool,
    pictures: &'static [&'static str],
    drawn: bool,
    printed: String,
}

impl Progress {
    pub(crate) fn new(verbose: bool, began: Instant) -> Self {
        Self {
            began,
            draws: !verbose && io::stderr().is_terminal(),
            prints_lines: verbose,
            pictures: if output::is_utf8() { &PICTURES } else { &PLAIN_PICTURES },
            drawn: false,
            printed: String::new(),
        }
    }

    /// When it has to be drawn again.
    pub(crate) fn due(&self, now: Instant) -> Option<Instant> {
        self.draws.then(|| now + TICK)
    }

    pub(crate) fn show(&mut self, states: &[String], now: Instant) {
        let elapsed = now.saturating_duration_since(self.began);
        let state = printable(&states.join("; "));
        if self.prints_lines && state != self.printed {
            // A failure to write can't be reported anywhere, neither here nor below.
            let _ = writeln!(io::stderr(), "libvirt-nss: {state}");
            self.printed = state;
        } else if self.draws {
            let at = (elapsed.as_millis() / TICK.as_millis()) as usize % self.pictures.len();
            let time = duration::short(elapsed.as_secs() as i64);
            let room = output::width_of(io::stderr());
            let line =
                cut(&format!("{} {time}  {state}", self.pictures[at]), room.saturating_sub(1));
            let _ = write!(io::stderr(), "\r\x1b[K{line}");
            self.drawn = true;
        }
    }

    /// Leaves the terminal as it was.
    pub(crate) fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
