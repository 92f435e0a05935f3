//! The terminal: its second screen, taken and given back.

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

/// The second screen, as long as it is there.
pub(crate) struct Screen {
    /// The lines that it shows.
    lines: Vec<String>,
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// It can't do that.
    pub(crate) fn open() -> io::Result<Self> {
        enable_raw_mode()?;
        let screen = Self { lines: Vec::new() };
        execute!(io::stdout(), EnterAlternateScreen, Hide)?;
        Ok(screen)
    }

    /// Columns and lines; 80 and 24 where it doesn't tell.
    pub(crate) fn size() -> (usize, usize) {
        match size() {
            Ok((columns, lines)) if columns > 0 && lines > 0 => (columns.into(), lines.into()),
            _ => (80, 24),
        }
    }

    /// The terminal has another size, and may show anything.
    pub(crate) fn invalidate(&mut self) {
        self.lines.clear();
    }

    /// Shows the lines. Those that it shows already aren't sent, and the others go in one write, so that
    /// nothing flickers.
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
        give_back();
    }
}

fn give_back() {
    // A terminal that is gone needs nothing given back.
    let _ = execute!(io::stdout(), Show, LeaveAlternateScreen);
    let _ = disable_raw_mode();
}

/// Has the terminal given back before a panic ends the process.
pub(crate) fn give_back_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        give_back();
        report(info);
    }));
}

/// Sends what is typed, and other sizes of the terminal.
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
