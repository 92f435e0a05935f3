//! What the keys of the screen do.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// The command of a key while the list or an explanation is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    Quit,
    /// Stop, until the shell resumes us.
    Suspend,
    Help,
    Filter,
    /// Drop the filter, or close the explanation.
    Escape,
    NextColumn,
    PreviousColumn,
    Reverse,
    All,
    /// Explain the selected row.
    Explain,
    Move(Motion),
}

/// A movement of the cursor or of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Motion {
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
}

impl Motion {
    /// The new position among `count`, of which `page` are visible at once.
    pub(crate) fn apply(self, position: usize, count: usize, page: usize) -> usize {
        let last = count.saturating_sub(1);
        let to = match self {
            Self::Up => position.saturating_sub(1),
            Self::Down => position.saturating_add(1),
            Self::PageUp => position.saturating_sub(page),
            Self::PageDown => position.saturating_add(page),
            Self::First => 0,
            Self::Last => last,
        };
        to.min(last)
    }
}

/// Keys that do the same everywhere, even while a filter is typed.
pub(crate) fn interrupt(key: KeyEvent) -> Option<Command> {
    match key.code {
        KeyCode::Char('c' | 'C') if is_control(key) => Some(Command::Quit),
        KeyCode::Char('z' | 'Z') if is_control(key) => Some(Command::Suspend),
        _ => None,
    }
}

/// The command of a key, if it has one.
pub(crate) fn command(key: KeyEvent) -> Option<Command> {
    let control = is_control(key);
    Some(match key.code {
        KeyCode::Char('f') if control => Command::Move(Motion::PageDown),
        KeyCode::Char('b') if control => Command::Move(Motion::PageUp),
        _ if control => return interrupt(key),
        KeyCode::Char('q') => Command::Quit,
        KeyCode::Char('?' | 'h') => Command::Help,
        KeyCode::Char('/') => Command::Filter,
        KeyCode::Esc => Command::Escape,
        KeyCode::Enter => Command::Explain,
        KeyCode::Char('s') | KeyCode::Right => Command::NextColumn,
        KeyCode::Char('S') | KeyCode::Left => Command::PreviousColumn,
        KeyCode::Char('r') => Command::Reverse,
        KeyCode::Char('a') => Command::All,
        KeyCode::PageDown | KeyCode::Char(' ') => Command::Move(Motion::PageDown),
        KeyCode::PageUp => Command::Move(Motion::PageUp),
        KeyCode::Down | KeyCode::Char('j') => Command::Move(Motion::Down),
        KeyCode::Up | KeyCode::Char('k') => Command::Move(Motion::Up),
        KeyCode::Home | KeyCode::Char('g') => Command::Move(Motion::First),
        KeyCode::End | KeyCode::Char('G') => Command::Move(Motion::Last),
        _ => return None,
    })
}

/// Whether the key was pressed, not released.
pub(crate) fn is_press(key: KeyEvent) -> bool {
    key.kind != KeyEventKind::Release
}

pub(crate) fn is_control(key: KeyEvent) -> bool {
    key.modifiers.contains(KeyModifiers::CONTROL)
}

/// The page that `?` shows.
pub(crate) const HELP: [&str; 11] = [
    "",
    "  up, down, j, k             move the cursor",
    "  Page Up, Page Down, g, G   move by a page, to the first row, to the last",
    "  Enter                      explain what the row's names resolve to, and why",
    "  s, S                       sort by the next column, the previous one",
    "  r                          reverse the order",
    "  /                          show rows with a text: Enter keeps it, Esc drops it",
    "  a                          show or hide expired leases",
    "  q, Ctrl-C                  quit",
    "",
    "  Press any key to go back.",
];

/// The last line of the screen.
pub(crate) const SHORT_HELP: &str =
    "q quit  Enter explain  / filter  s sort  r reverse  a all  ? help";
