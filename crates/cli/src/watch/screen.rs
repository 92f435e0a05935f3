//! The terminal: its alternate screen, and restoring it.

use std::io::{self, Write as _};
use std::sync::mpsc::Sender;
use std::thread;

use crossterm::cursor::{Hide, Show};
use crossterm::event::read;
use crossterm::execute;
use crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, size,
};

use super::Event;

/// The alternate screen, until it is dropped.
pub(crate) struct Screen {
    /// The lines that it shows.
    lines: Vec<String>,
}

impl Screen {
    /// Switches the terminal to the alternate screen.
    ///
    /// # Errors
    /// The terminal doesn't support it.
    pub(crate) fn open() -> io::Result<Self> {
        enable_raw_mode()?;
        let screen = Self { lines: Vec::new() };
        execute!(io::stdout(), EnterAlternateScreen, Hide)?;
        Ok(screen)
    }

    /// Columns and lines; 80 and 24 if they are unknown.
    pub(crate) fn size() -> (usize, usize) {
        match size() {
            Ok((columns, lines)) if columns > 0 && lines > 0 => (columns.into(), lines.into()),
            _ => (80, 24),
        }
    }

    /// Forgets what the terminal shows, as after a change of its size.
    pub(crate) fn invalidate(&mut self) {
        self.lines.clear();
    }

    /// Shows the lines. Unchanged ones aren't sent, and the others go in one write, so that nothing flickers.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(crate) fn show(&mut self, lines: Vec<String>) -> io::Result<()> {
        let mut text = String::new();
        for (at, line) in lines.iter().enumerate() {
            if self.lines.get(at) != Some(line) {
                // CUP, the line, EL (ECMA-48, 8.3.21 and 8.3.41).
                text += &format!("\x1b[{};1H{line}\x1b[K", at + 1);
            }
        }
        self.lines = lines;
        if text.is_empty() {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

fn restore() {
    // A terminal that is gone needs no restoring.
    let _ = execute!(io::stdout(), Show, LeaveAlternateScreen);
    let _ = disable_raw_mode();
}

/// Restores the terminal before a panic ends the process.
pub(crate) fn restore_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        restore();
        report(info);
    }));
}

/// Sends keys, and changes of the terminal's size.
pub(crate) fn spawn_input(sender: Sender<Event>) {
    thread::spawn(move || {
        loop {
            let event = match read() {
                Ok(input) => Event::Input(input),
                Err(error) => Event::NoInput(error),
            };
            let last = matches!(event, Event::NoInput(_));
            // Without a receiver the command has ended.
            if sender.send(event).is_err() || last {
                return;
            }
        }
    });
}
