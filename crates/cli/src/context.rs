//! What every subcommand is given: paths, the time, and how to print.

use std::io::{self, IsTerminal as _, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::args::{Color, Global};
use crate::error::Error;
use crate::output::escape::printable;
use crate::output::paint::{Paint, Tone};
use crate::output::width_of;
use crate::output::wrap::wrap;
use crate::paths::Paths;

/// What every command needs to know.
pub(crate) struct Context {
    pub(crate) paths: Paths,
    pub(crate) clock: Clock,
    /// `--color`.
    pub(crate) color: Color,
    /// Colours on standard output.
    pub(crate) paint: Paint,
    /// The terminal's columns; none if standard output isn't a terminal.
    pub(crate) width: Option<usize>,
}

/// What time it is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Clock {
    System,
    /// Always this, in seconds since the epoch.
    Fixed(i64),
}

impl Clock {
    /// Seconds since the epoch.
    pub(crate) fn now(self) -> i64 {
        match self {
            Self::Fixed(now) => now,
            Self::System => match SystemTime::now().duration_since(UNIX_EPOCH) {
                Ok(since) => since.as_secs() as i64,
                Err(before) => -(before.duration().as_secs() as i64),
            },
        }
    }
}

impl Context {
    pub(crate) fn new(global: &Global) -> Self {
        let stdout = io::stdout();
        Self {
            paths: Paths::new(global.root.as_deref(), global.state_dir.as_deref()),
            clock: global.now.map_or(Clock::System, Clock::Fixed),
            color: global.color,
            paint: Paint::new(global.color, &stdout),
            width: global.width.or_else(|| stdout.is_terminal().then(|| width_of(&stdout))),
        }
    }

    /// Prints a message to standard output.
    ///
    /// # Errors
    /// It can't be written.
    pub(crate) fn print(&self, message: &str) -> Result<(), Error> {
        let message = printable(message);
        let lines = match self.width {
            Some(width) => wrap(&message, width),
            None => vec![message],
        };
        for line in lines {
            writeln!(io::stdout(), "{line}")?;
        }
        Ok(())
    }

    /// Prints a message to standard error.
    pub(crate) fn say(&self, tone: Tone, message: &str) {
        let mut stderr = io::stderr();
        let paint = Paint::new(self.color, &stderr);
        let message = format!("libvirt-nss: {}", printable(message));
        // In a pipe a message is a line.
        let lines = match stderr.is_terminal() {
            true => wrap(&message, width_of(&stderr)),
            false => vec![message],
        };
        for line in lines {
            // A failure to write can't be reported anywhere.
            let _ = writeln!(stderr, "{}", paint.paint(tone, &line));
        }
    }

    /// See [`say`](Self::say).
    pub(crate) fn warn(&self, message: &str) {
        self.say(Tone::Plain, message);
    }
}
