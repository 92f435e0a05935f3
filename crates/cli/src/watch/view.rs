//! What the screen shows, and how keys change it. It does no output itself.

mod draw;

use std::collections::BTreeMap;

use crossterm::event::{KeyCode, KeyEvent};

use super::changes::{RowId, between, id};
use super::keys::{self, Command, Motion};
use super::order::{Order, matches};
use super::pager::Pager;
use crate::listing::columns::{cells, columns};
use crate::output;
use crate::output::table::{self, Column};
use crate::state::rows::Row;

/// How long a change is highlighted. Seconds.
const FRESH: i64 = 5;

/// What a key asks of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// Show the view again.
    Show,
    /// Explain the selected row: see [`View::selected`] and [`View::explain`].
    Explain,
    Quit,
    /// Stop, until the shell resumes us.
    Suspend,
}

/// Which part of the screen gets the keys.
enum Mode {
    List,
    /// The filter is being typed.
    Filter,
    Help,
    /// A row, and what explains it.
    Explanation(Box<Row>, Pager),
}

/// What is shown of the rows, and how.
pub(crate) struct View {
    mode: Mode,
    order: Order,
    /// Expired leases too.
    all: bool,
    /// Only rows that contain this are shown.
    filter: String,
    /// Columns and lines of the terminal.
    size: (usize, usize),
    rows: Vec<Row>,
    /// Indices of the rows that pass the filters, in order.
    shown: Vec<usize>,
    columns: Vec<Column>,
    /// The widths that the columns need for all of these.
    widths: Vec<usize>,
    /// The selected one of `shown`.
    cursor: usize,
    /// The first one of `shown` that is on the screen.
    top: usize,
    /// When a row changed last.
    changed: BTreeMap<RowId, i64>,
    /// A problem to show, if any.
    pub(crate) trouble: Option<String>,
}

impl View {
    pub(crate) fn new(all: bool, size: (usize, usize)) -> Self {
        Self {
            mode: Mode::List,
            order: Order::default(),
            all,
            filter: String::new(),
            size,
            rows: Vec::new(),
            shown: Vec::new(),
            columns: Vec::new(),
            widths: Vec::new(),
            cursor: 0,
            top: 0,
            changed: BTreeMap::new(),
            trouble: None,
        }
    }

    pub(crate) fn resize(&mut self, size: (usize, usize)) {
        self.size = size;
        self.follow_cursor();
    }

    pub(crate) fn width(&self) -> usize {
        self.size.0
    }

    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The first rows, none of which is highlighted.
    pub(crate) fn begin(&mut self, rows: Vec<Row>, now: i64) {
        self.rows = rows;
        self.arrange(now);
    }

    /// Replaces the rows; new and changed ones are highlighted for a while, and the cursor stays on its row.
    pub(crate) fn update(&mut self, rows: Vec<Row>, now: i64) {
        let selected = self.selected().map(id);
        for change in between(&self.rows, &rows) {
            self.changed.insert(id(&change.row), now);
        }
        self.rows = rows;
        self.arrange(now);
        self.select(selected);
    }

    /// Ends the highlighting of changes that are old enough.
    pub(crate) fn forget_old_changes(&mut self, now: i64) {
        self.changed.retain(|_, since| now - *since < FRESH);
    }

    /// The row under the cursor.
    pub(crate) fn selected(&self) -> Option<&Row> {
        self.shown.get(self.cursor).and_then(|&at| self.rows.get(at))
    }

    /// The row that is being explained.
    pub(crate) fn explained(&self) -> Option<&Row> {
        match &self.mode {
            Mode::Explanation(row, _) => Some(row),
            _ => None,
        }
    }

    /// Shows the explanation of a row, or updates the one that is shown.
    pub(crate) fn explain(&mut self, row: Row, title: String, lines: Vec<String>) {
        match &mut self.mode {
            Mode::Explanation(_, pager) => pager.replace(lines),
            mode => *mode = Mode::Explanation(Box::new(row), Pager::new(title, lines)),
        }
    }

    /// Handles a key.
    pub(crate) fn press(&mut self, key: KeyEvent, now: i64) -> Request {
        if !keys::is_press(key) {
            return Request::Show;
        }
        match keys::interrupt(key) {
            Some(Command::Suspend) => return Request::Suspend,
            Some(_) => return Request::Quit,
            None => {}
        }
        match &mut self.mode {
            Mode::Filter => {
                self.type_filter(key, now);
                Request::Show
            }
            Mode::Help => {
                self.mode = Mode::List;
                Request::Show
            }
            Mode::Explanation(_, pager) => {
                let command = keys::command(key);
                if command.is_some_and(|command| pager.obey(command, self.size.1)) {
                    self.mode = Mode::List;
                }
                Request::Show
            }
            Mode::List => match keys::command(key) {
                Some(command) => self.obey(command, now),
                None => Request::Show,
            },
        }
    }

    fn type_filter(&mut self, key: KeyEvent, now: i64) {
        let control = keys::is_control(key);
        match key.code {
            KeyCode::Enter => self.mode = Mode::List,
            KeyCode::Esc => {
                self.mode = Mode::List;
                return self.drop_filter(now);
            }
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Char('u') if control => self.filter.clear(),
            KeyCode::Char(character) if !control => self.filter.push(character),
            _ => {}
        }
        self.arrange(now);
        self.move_to(0);
    }

    /// Shows all rows again; the cursor stays on its row.
    fn drop_filter(&mut self, now: i64) {
        let selected = self.selected().map(id);
        self.filter.clear();
        self.arrange(now);
        self.select(selected);
    }

    fn obey(&mut self, command: Command, now: i64) -> Request {
        match command {
            Command::Quit => return Request::Quit,
            Command::Suspend => return Request::Suspend,
            Command::Explain if self.selected().is_some() => return Request::Explain,
            Command::Explain => {}
            Command::Help => self.mode = Mode::Help,
            Command::Filter => self.mode = Mode::Filter,
            Command::Escape => self.drop_filter(now),
            Command::Move(motion) => self.move_by(motion),
            Command::All => {
                self.all = !self.all;
                self.arrange(now);
            }
            Command::NextColumn => self.reorder(Order::next_column, now),
            Command::PreviousColumn => self.reorder(Order::previous_column, now),
            Command::Reverse => {
                self.reorder(|order| order.descending = !order.descending, now);
            }
        }
        Request::Show
    }

    fn reorder(&mut self, change: impl Fn(&mut Order), now: i64) {
        change(&mut self.order);
        self.arrange(now);
        self.move_to(0);
    }

    /// How many rows fit: all lines but the title, the heading and the line of keys.
    fn page(&self) -> usize {
        self.size.1.saturating_sub(3).max(1)
    }

    fn move_by(&mut self, motion: Motion) {
        self.move_to(motion.apply(self.cursor, self.shown.len(), self.page()));
    }

    fn move_to(&mut self, position: usize) {
        self.cursor = position.min(self.shown.len().saturating_sub(1));
        self.follow_cursor();
    }

    /// Moves the cursor to a row, if it is shown.
    fn select(&mut self, row: Option<RowId>) {
        let is_it = |&at: &usize| row.as_ref() == Some(&id(&self.rows[at]));
        let position = self.shown.iter().position(is_it);
        self.move_to(position.unwrap_or(self.cursor));
    }

    fn follow_cursor(&mut self) {
        let page = self.page();
        let first = (self.cursor + 1).saturating_sub(page);
        let last = self.shown.len().saturating_sub(page);
        self.top = self.top.clamp(first, self.cursor).min(last);
    }

    fn is_listed(&self, row: &Row) -> bool {
        self.all || row.is_current()
    }

    /// Filters and sorts the rows.
    fn arrange(&mut self, now: i64) {
        let filter = self.filter.to_lowercase();
        let is_shown =
            |row: &Row| self.is_listed(row) && (filter.is_empty() || matches(row, &filter));
        let mut shown: Vec<usize> =
            (0..self.rows.len()).filter(|&at| is_shown(&self.rows[at])).collect();
        shown.sort_by(|&a, &b| self.order.compare(&self.rows[a], &self.rows[b]));
        let rows: Vec<&Row> = shown.iter().map(|&at| &self.rows[at]).collect();
        let mut columns = columns(&rows);
        if let Some(column) = columns.get_mut(self.order.column) {
            column.mark = Some(mark(self.order.descending));
            column.dispensable = None;
        }
        self.widths = table::natural_widths(&columns, &[]);
        for row in rows {
            table::widen(&mut self.widths, &[cells(row, now)]);
        }
        self.columns = columns.into();
        self.shown = shown;
        self.move_to(self.cursor);
    }

    /// The rows on the screen, and whether each is selected.
    fn visible(&self) -> impl Iterator<Item = (&Row, bool)> {
        let shown = self.shown.iter().enumerate().skip(self.top).take(self.page());
        shown.map(|(position, &at)| (&self.rows[at], position == self.cursor))
    }
}

/// The mark of the sorted column.
fn mark(descending: bool) -> char {
    match (descending, output::is_utf8()) {
        (false, true) => '▲',
        (true, true) => '▼',
        (false, false) => '^',
        (true, false) => 'v',
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::paint::Paint;
    use crate::state::rows::AddressState;
    use crossterm::event::KeyModifiers;
    use std::net::IpAddr;
    use unicode_width::UnicodeWidthStr as _;

    const NOW: i64 = 1_700_000_000;

    fn row(domain: &str, last: u8, expiry: i64, state: AddressState) -> Row {
        Row {
            domain: Some(domain.into()),
            host_name: None,
            other_host_names: Vec::new(),
            bridge: "virbr0".into(),
            network: Some("default".into()),
            network_domain: None,
            lease_domain: None,
            address: Some(IpAddr::from([10, 0, 0, last])),
            mac: None,
            client_id: None,
            expiry: Some(expiry),
            state,
            stands_for_nic: false,
            yields: [None; 2],
            via: None,
        }
    }

    fn view(count: u8, size: (usize, usize)) -> View {
        let mut view = View::new(false, size);
        let rows = (1..=count).map(|last| {
            row(&format!("vm{last}"), 100 - last, NOW + i64::from(last), AddressState::Attached)
        });
        view.begin(rows.collect(), NOW);
        view
    }

    fn press(view: &mut View, keys: &str) {
        for character in keys.chars() {
            let code = match character {
                '\n' => KeyCode::Enter,
                '\x1b' => KeyCode::Esc,
                '\x7f' => KeyCode::Backspace,
                character => KeyCode::Char(character),
            };
            view.press(KeyEvent::new(code, KeyModifiers::NONE), NOW);
        }
    }

    fn domains(view: &View) -> Vec<String> {
        let lines = view.lines(NOW, Paint::none());
        let rows = lines[2..lines.len() - 1].iter().filter(|line| !line.is_empty());
        rows.map(|line| line.trim_start_matches("\x1b[7m"))
            .map(|line| line.split_whitespace().next().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn fills_the_screen_and_no_more() {
        for size in [(80, 24), (40, 5), (20, 3), (10, 2), (1, 1), (200, 60)] {
            for keys in ["", "?", "/long text that is typed"] {
                let mut view = view(30, size);
                press(&mut view, keys);
                let lines = view.lines(NOW, Paint::none());
                assert_eq!(lines.len(), size.1, "{size:?}");
                for line in lines {
                    let line = line.replace("\x1b[7m", "").replace("\x1b[0m", "");
                    assert!(line.width() <= size.0, "{size:?} {line}");
                }
            }
        }
    }

    #[test]
    fn sorting() {
        let mut view = view(3, (80, 24));
        assert_eq!(domains(&view), ["vm1", "vm2", "vm3"]);
        press(&mut view, "ssss");
        assert_eq!(domains(&view), ["vm3", "vm2", "vm1"], "by address");
        press(&mut view, "r");
        assert_eq!(domains(&view), ["vm1", "vm2", "vm3"]);
        press(&mut view, "rss");
        assert_eq!(domains(&view), ["vm1", "vm2", "vm3"], "by time left");
        assert!(view.lines(NOW, Paint::none())[0].contains("by time left"));
        press(&mut view, "SSSSSSS");
        assert!(view.lines(NOW, Paint::none())[0].contains("by state"));
    }

    #[test]
    fn filtering() {
        let mut view = view(12, (80, 24));
        press(&mut view, "/VM1");
        assert_eq!(domains(&view), ["vm1", "vm10", "vm11", "vm12"]);
        press(&mut view, "2\n");
        assert_eq!(domains(&view), ["vm12"]);
        press(&mut view, "/\x7f\x7f\x7f\x7f10.0.0.99\n");
        assert_eq!(domains(&view), ["vm1"]);
        press(&mut view, "\x1b");
        assert_eq!(domains(&view).len(), 12);
    }

    /// The selected row: its domain.
    fn selected(view: &View) -> String {
        view.selected().and_then(|row| row.domain.clone()).unwrap_or_default()
    }

    #[test]
    fn scrolling() {
        let mut view = view(30, (80, 8));
        assert_eq!(domains(&view).len(), 5);
        press(&mut view, "G");
        // As text: vm9 is the last.
        assert_eq!(domains(&view).last().unwrap(), "vm9");
        assert_eq!((domains(&view).len(), selected(&view)), (5, "vm9".into()));
        press(&mut view, "kkkk");
        assert_eq!(domains(&view).last().unwrap(), "vm9", "the cursor moves within the page");
        press(&mut view, "k");
        assert_eq!((domains(&view)[0].as_str(), selected(&view)), ("vm4", "vm4".into()));
        press(&mut view, "g j");
        assert_eq!(
            (domains(&view).last().unwrap().as_str(), selected(&view)),
            ("vm15", "vm15".into())
        );
        assert_eq!(
            view.press(KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE), NOW),
            Request::Quit
        );
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(view.press(interrupt, NOW), Request::Quit);
    }

    /// The cursor stays on its row while others come and go, and is shown without colours too.
    #[test]
    fn the_cursor() {
        let mut view = view(3, (80, 8));
        press(&mut view, "j");
        assert_eq!(selected(&view), "vm2");
        let mut rows = view.rows().to_vec();
        rows.insert(0, row("a", 9, 0, AddressState::Attached));
        view.update(rows.clone(), NOW);
        assert_eq!(selected(&view), "vm2");
        let lines = view.lines(NOW, Paint::none());
        let reversed: Vec<&String> = lines.iter().filter(|line| line.contains("\x1b[7m")).collect();
        assert_eq!(reversed.len(), 1);
        assert!(reversed[0].contains("vm2"));
        rows.retain(|row| row.domain.as_deref() != Some("vm2"));
        view.update(rows, NOW);
        assert_eq!(selected(&view), "vm3");
        let enter = KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE);
        assert_eq!(view.press(enter, NOW), Request::Explain);
        let chosen = view.selected().unwrap().clone();
        view.explain(chosen, "vm3".into(), vec!["because".into()]);
        assert_eq!(view.lines(NOW, Paint::none())[..2], ["vm3", "because"]);
        press(&mut view, "\x1b");
        assert!(view.explained().is_none());
        view.update(Vec::new(), NOW);
        assert_eq!(view.press(enter, NOW), Request::Show, "there is no row to explain");
    }

    #[test]
    fn expired_and_fresh() {
        let mut view = view(1, (80, 24));
        let mut rows = view.rows().to_vec();
        rows.push(row("old", 9, NOW - 5, AddressState::Expired));
        rows.push(row("new", 10, NOW + 5, AddressState::Attached));
        view.update(rows.clone(), NOW);
        assert_eq!(domains(&view), ["new", "vm1"]);
        press(&mut view, "a");
        assert_eq!(domains(&view), ["new", "old", "vm1"]);
        let fresh = |view: &View, now| {
            let lines = view.lines(now, Paint::always());
            lines.iter().filter(|line| line.contains("\x1b[1m10.0.0.10")).count()
        };
        assert_eq!(fresh(&view, NOW), 1);
        assert_eq!(fresh(&view, NOW + FRESH), 0);
        view.forget_old_changes(NOW + FRESH);
        assert!(view.changed.is_empty());
    }

    /// The screen is drawn again when something in it changes, and not each second.
    #[test]
    fn when_it_looks_different() {
        let of = |expiry: i64| {
            let mut view = View::new(true, (80, 24));
            view.begin(vec![row("vm", 1, expiry, AddressState::Attached)], NOW);
            view.next_change(NOW)
        };
        assert_eq!(of(0), None);
        assert_eq!(of(NOW + 30), Some(1));
        assert_eq!(of(NOW + 60), Some(1));
        assert_eq!(of(NOW + 119), Some(60));
        assert_eq!(of(NOW - 90), Some(30));
        let mut view = view(1, (80, 24));
        view.update(vec![row("new", 9, 0, AddressState::Attached)], NOW);
        assert_eq!(view.next_change(NOW + 2), Some(3));
        view.forget_old_changes(NOW + FRESH);
        assert_eq!(view.next_change(NOW + FRESH), None);
        // What isn't on the screen doesn't count.
        let mut view = View::new(true, (80, 4));
        let rows =
            [row("a", 1, 0, AddressState::Attached), row("b", 2, NOW, AddressState::Attached)];
        view.begin(rows.into(), NOW);
        assert_eq!(view.next_change(NOW), None);
    }
}
