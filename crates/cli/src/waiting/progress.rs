//! What is told while nothing happens: a spinner on a terminal, lines of text where they are asked for.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use crate::output::escape::printable;
use crate::output::table::cut;
use crate::output::{self, duration};

/// Between two pictures of the spinner.
const TICK: Duration = Duration::from_millis(100);

const PICTURES: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const PLAIN_PICTURES: [&str; 4] = ["-", "\\", "|", "/"];

/// Standard error while the command waits.
pub(crate) struct Progress {
    began: Instant,
    /// There is a terminal to draw on.
    draws: bool,
    /// Changes are told line by line.
    tells: bool,
    pictures: &'static [&'static str],
    drawn: bool,
    told: String,
}

impl Progress {
    pub(crate) fn new(verbose: bool, began: Instant) -> Self {
        Self {
            began,
            draws: !verbose && io::stderr().is_terminal(),
            tells: verbose,
            pictures: if output::is_utf8() { &PICTURES } else { &PLAIN_PICTURES },
            drawn: false,
            told: String::new(),
        }
    }

    /// When it wants to be shown again, if at all.
    pub(crate) fn due(&self, now: Instant) -> Option<Instant> {
        self.draws.then(|| now + TICK)
    }

    pub(crate) fn show(&mut self, states: &[String], now: Instant) {
        let elapsed = now.saturating_duration_since(self.began);
        let state = printable(&states.join("; "));
        if self.tells && state != self.told {
            // Nobody is left to tell if this fails; neither below.
            let _ = writeln!(io::stderr(), "libvirt-nss: {state}");
            self.told = state;
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
