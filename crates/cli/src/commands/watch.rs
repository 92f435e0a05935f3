//! `libvirt-nss watch`: shows the list on a terminal, or prints its changes.

use std::io::{self, IsTerminal as _, Write};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crossterm::event::Event as Input;
use guest_store::contents::Contents;
use signal_hook::consts::{SIGHUP, SIGTERM, SIGTSTP};
use signal_hook::low_level::emulate_default_handler;

use crate::args::Watch;
use crate::context::{Clock, Context};
use crate::daemon::{self, Reading};
use crate::error::{Error, reason};
use crate::explain::text::{self, Style};
use crate::explain::{self, reverse};
use crate::output::escape::printable;
use crate::presence;
use crate::signals;
use crate::state::rows::{AddressState, Row, all_rows};
use crate::watch::changes::{Change, What, between};
use crate::watch::screen::{self, Screen};
use crate::watch::view::{Request, View};
use crate::watch::{Event, line};
use crate::watcher;

pub(crate) fn run(options: &Watch, context: &Context) -> Result<(), Error> {
    let (sender, receiver) = channel();
    // Watch first, then read, so that no change in between is missed.
    watcher::spawn(&context.paths, &sender, Event::Changed)?;
    let files = Files { options, context, read: None, snapshot: Ok(None) };
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    if io::stdout().is_terminal() && !dumb && !options.json {
        signals::spawn(&[SIGTERM, SIGHUP], sender.clone(), Event::Signal)?;
        screen::restore_on_panic();
        let screen = Screen::open().map_err(Error::Terminal)?;
        screen::spawn_input(sender);
        on_screen(files, screen, &receiver)
    } else {
        in_lines(files, &receiver)
    }
}

/// The files as they were last read.
struct Files<'w> {
    options: &'w Watch,
    context: &'w Context,
    /// None while there is no state directory: libvirt creates it for its first network.
    read: Option<Contents>,
    snapshot: Reading,
}

impl Files<'_> {
    fn read(&mut self) -> io::Result<()> {
        self.snapshot = daemon::read(&self.context.paths);
        self.read = match Contents::read(&self.context.paths.state_directory()) {
            Ok(contents) => Some(contents),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(())
    }

    /// Reads them, and returns what is missing from the rows.
    fn read_for_screen(&mut self) -> Option<String> {
        let read = self.read();
        let directory = self.context.paths.state_directory();
        let directory = directory.display();
        match (read, &self.read) {
            (Err(error), _) => Some(format!("{directory}: {}", reason(&error))),
            (Ok(()), None) => {
                Some(format!("no network has been started yet: {directory} doesn't exist"))
            }
            (Ok(()), Some(contents)) => {
                let mut unread: Vec<String> =
                    contents.files.iter().filter_map(presence::unread).collect();
                unread.extend(presence::unused_snapshot(&self.snapshot, self.context.clock.now()));
                (!unread.is_empty()).then(|| format!("incomplete: {}", unread.join("; ")))
            }
        }
    }

    /// The rows at this moment.
    fn rows(&self) -> Vec<Row> {
        let mut rows = all_rows(
            self.read.as_ref(),
            &self.context.paths,
            &self.snapshot,
            self.context.clock.now(),
        );
        rows.retain(|row| self.options.filter.lets_through(row));
        rows
    }

    /// When rows change although no file does: when the first current lease ends, or the snapshot.
    fn next_end(&self, rows: &[Row]) -> Option<Duration> {
        let clock = self.context.clock;
        let until = match &self.snapshot {
            Ok(Some(snapshot)) => snapshot.counts_until(clock.now()),
            _ => None,
        };
        next_end(rows, until, clock)
    }
}

/// When the first current lease ends, or the second `until`.
fn next_end(rows: &[Row], until: Option<i64>, clock: Clock) -> Option<Duration> {
    let Clock::System = clock else { return None };
    let holding = rows.iter().filter(|row| row.state != AddressState::Expired);
    let ends = holding.filter_map(|row| row.expiry.filter(|&expiry| expiry != 0));
    let next = ends.chain(until).min()?;
    // A lease is still valid in the second in which it ends.
    let seconds = next.saturating_add(1).saturating_sub(clock.now()).max(1);
    Some(Duration::from_secs(seconds.unsigned_abs()))
}

/// The next event; none if `patience` ends before.
fn next_event(receiver: &Receiver<Event>, patience: Option<Duration>) -> Option<Event> {
    match patience {
        // There is always a sender, or the last event has been received.
        Some(patience) => receiver.recv_timeout(patience).ok(),
        None => receiver.recv().ok(),
    }
}

fn in_lines(mut files: Files<'_>, receiver: &Receiver<Event>) -> Result<(), Error> {
    let Files { options, context, .. } = files;
    let failed = |error| crate::state::unreadable(&context.paths, error);
    let shown = |files: &Files<'_>| -> Vec<Row> {
        let rows = files.rows().into_iter();
        rows.filter(|row| options.all || row.is_current()).collect()
    };
    files.read().map_err(failed)?;
    let mut old = shown(&files);
    let first = old.iter().map(|row| Change { what: What::Is, row: row.clone() });
    print(options, context, &first.collect::<Vec<_>>())?;
    loop {
        if let Some(Event::Changed(change)) = next_event(receiver, files.next_end(&old)) {
            change?;
            files.read().map_err(failed)?;
        }
        let new = shown(&files);
        print(options, context, &between(&old, &new))?;
        old = new;
    }
}

fn print(options: &Watch, context: &Context, changes: &[Change]) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    let now = context.clock.now();
    for change in changes {
        let line = if options.json { line::json(change, now) } else { line::text(change, now) };
        writeln!(out, "{line}")?;
    }
    out.flush()?;
    Ok(())
}

fn on_screen(
    mut files: Files<'_>,
    mut screen: Screen,
    receiver: &Receiver<Event>,
) -> Result<(), Error> {
    let Files { options, context, .. } = files;
    let clock = context.clock;
    let mut view = View::new(options.all, Screen::size());
    view.trouble = files.read_for_screen();
    view.begin(files.rows(), clock.now());
    let mut end = deadline(files.next_end(view.rows()));
    loop {
        view.forget_old_changes(clock.now());
        screen.show(view.lines(clock.now(), context.paint)).map_err(Error::Terminal)?;
        let tick = match clock {
            Clock::System => view.next_change(clock.now()).map(Duration::from_secs),
            Clock::Fixed(_) => None,
        };
        let until_end = end.map(|end| end.saturating_duration_since(Instant::now()));
        match next_event(receiver, [tick, until_end].into_iter().flatten().min()) {
            Some(Event::Input(Input::Key(key))) => match view.press(key, clock.now()) {
                Request::Show => {}
                Request::Explain => {
                    let selected = view.selected().cloned();
                    explain(&mut view, selected, context)?;
                }
                Request::Quit => return Ok(()),
                Request::Suspend => {
                    drop(screen);
                    emulate_default_handler(SIGTSTP).map_err(Error::Signals)?;
                    screen = Screen::open().map_err(Error::Terminal)?;
                    view.resize(Screen::size());
                }
            },
            Some(Event::Input(Input::Resize(..))) => {
                screen.invalidate();
                view.resize(Screen::size());
                let explained = view.explained().cloned();
                explain(&mut view, explained, context)?;
            }
            Some(Event::Input(_)) => {}
            Some(Event::Signal(signal)) => {
                drop(screen);
                return emulate_default_handler(signal).map_err(Error::Signals);
            }
            Some(Event::NoInput(error)) => return Err(Error::Terminal(error)),
            // Only a time on the screen has changed.
            None if end.is_none_or(|end| Instant::now() < end) => {}
            event => {
                if let Some(Event::Changed(change)) = event {
                    change?;
                    view.trouble = files.read_for_screen();
                }
                view.update(files.rows(), clock.now());
                end = deadline(files.next_end(view.rows()));
                let explained = view.explained().cloned();
                explain(&mut view, explained, context)?;
            }
        }
    }
}

fn deadline(patience: Option<Duration>) -> Option<Instant> {
    patience.and_then(|patience| Instant::now().checked_add(patience))
}

/// Shows what the names of a row resolve to, and why; for a row without a name, the same for its address.
fn explain(view: &mut View, row: Option<Row>, context: &Context) -> Result<(), Error> {
    let Some(row) = row else { return Ok(()) };
    let style = Style { verbose: true, ..Style::new(view.width(), context) };
    let mut names: Vec<&str> = row.host_names().chain(row.domain.as_deref()).collect();
    names.dedup();
    let mut pages: Vec<Vec<String>> = Vec::new();
    for name in &names {
        let explanation = explain::explain(name.as_bytes(), None, context)?;
        pages.push(text::lines(&explanation, &style));
    }
    if let (true, Some(address)) = (names.is_empty(), row.address) {
        let explanation = reverse::explain(address, context)?;
        pages.push(text::conclusion_lines(&explanation.conclusion, &style));
    }
    let title = match (names.as_slice(), row.address) {
        ([], Some(address)) => address.to_string(),
        ([], None) => "no name and no address".into(),
        (names, _) => printable(&names.join(" and ")),
    };
    let rule = [String::new(), "-".repeat(view.width().min(20)), String::new()];
    view.explain(row, title, pages.join(rule.as_slice()));
    Ok(())
}
