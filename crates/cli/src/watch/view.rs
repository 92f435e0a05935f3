//! What the screen shows, and what keys do to it. It draws nothing itself.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use unicode_width::UnicodeWidthStr as _;

use super::changes::{Key, between, key};
use crate::commands::list::{cells, columns};
use crate::output::escape::printable;
use crate::output::paint::{Paint, Tone};
use crate::output::table::{self, Cell, cut};
use crate::state::rows::{AddressState, Row};

/// How long a change stands out. Seconds.
const FRESH: i64 = 5;

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Show the view anew.
    Show,
    Quit,
    /// Stop, until the shell lets us go on.
    Suspend,
}

/// What is shown of the rows, and how.
pub(crate) struct View {
    /// The columns by which rows are sorted; an index into those of `list`.
    sort: usize,
    backwards: bool,
    /// Expired leases too.
    all: bool,
    /// Rows must have this somewhere.
    filter: String,
    /// The filter is being typed.
    typing: bool,
    /// The keys are explained.
    help: bool,
    /// The first row that is shown.
    top: usize,
    /// Columns and lines of the terminal.
    size: (usize, usize),
    pub(crate) rows: Vec<Row>,
    /// When a row changed last.
    changed: BTreeMap<Key, i64>,
    /// What is wrong, if anything.
    pub(crate) trouble: Option<String>,
}

/// The columns that rows are sorted by, in turn.
const SORTS: [&str; 8] =
    ["domain", "host", "bridge", "network", "address", "MAC", "time left", "state"];

impl View {
    pub(crate) fn new(all: bool, size: (usize, usize)) -> Self {
        Self {
            sort: 0,
            backwards: false,
            all,
            filter: String::new(),
            typing: false,
            help: false,
            top: 0,
            size,
            rows: Vec::new(),
            changed: BTreeMap::new(),
            trouble: None,
        }
    }

    pub(crate) fn resize(&mut self, size: (usize, usize)) {
        self.size = size;
    }

    /// The first rows: none of them stands out.
    pub(crate) fn begin(&mut self, rows: Vec<Row>) {
        self.rows = rows;
    }

    /// Takes the place of the rows; what is new or different stands out for a while.
    pub(crate) fn update(&mut self, rows: Vec<Row>, now: i64) {
        for change in between(&self.rows, &rows) {
            self.changed.insert(key(&change.row), now);
        }
        self.changed.retain(|_, since| now - *since < FRESH);
        self.rows = rows;
    }

    /// Does what a key is for.
    pub(crate) fn press(&mut self, pressed: KeyEvent) -> Wish {
        if pressed.kind == KeyEventKind::Release {
            return Wish::Show;
        }
        let control = pressed.modifiers.contains(KeyModifiers::CONTROL);
        match pressed.code {
            KeyCode::Char('c' | 'C') if control => return Wish::Quit,
            KeyCode::Char('z' | 'Z') if control => return Wish::Suspend,
            code if self.typing => self.type_filter(code, control),
            code => return self.command(code, control),
        }
        Wish::Show
    }

    fn type_filter(&mut self, code: KeyCode, control: bool) {
        match code {
            KeyCode::Enter => self.typing = false,
            KeyCode::Esc => {
                self.typing = false;
                self.filter.clear();
            }
            KeyCode::Backspace => {
                self.filter.pop();
            }
            KeyCode::Char('u') if control => self.filter.clear(),
            KeyCode::Char(character) if !control => self.filter.push(character),
            _ => {}
        }
        self.top = 0;
    }

    fn command(&mut self, code: KeyCode, control: bool) -> Wish {
        let page = self.room();
        match code {
            _ if self.help => self.help = false,
            KeyCode::Char('q') => return Wish::Quit,
            KeyCode::Char('?' | 'h') => self.help = true,
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Esc => {
                self.filter.clear();
                self.top = 0;
            }
            KeyCode::Char('s') | KeyCode::Right => self.sort = (self.sort + 1) % SORTS.len(),
            KeyCode::Char('S') | KeyCode::Left => {
                self.sort = (self.sort + SORTS.len() - 1) % SORTS.len();
            }
            KeyCode::Char('r') => self.backwards = !self.backwards,
            KeyCode::Char('a') => self.all = !self.all,
            KeyCode::Char('f') if control => self.scroll(page as isize),
            KeyCode::Char('b') if control => self.scroll(-(page as isize)),
            KeyCode::PageDown | KeyCode::Char(' ') => self.scroll(page as isize),
            KeyCode::PageUp => self.scroll(-(page as isize)),
            KeyCode::Down | KeyCode::Char('j') => self.scroll(1),
            KeyCode::Up | KeyCode::Char('k') => self.scroll(-1),
            KeyCode::Home | KeyCode::Char('g') => self.top = 0,
            KeyCode::End | KeyCode::Char('G') => self.scroll(isize::MAX / 2),
            _ => {}
        }
        Wish::Show
    }

    /// Lines for rows: all but the title, the heading and the line of keys.
    fn room(&self) -> usize {
        self.size.1.saturating_sub(3).max(1)
    }

    fn scroll(&mut self, lines: isize) {
        let last = self.shown().len().saturating_sub(self.room());
        self.top = self.top.saturating_add_signed(lines).min(last);
    }

    fn is_listed(&self, row: &Row) -> bool {
        self.all || row.is_current()
    }

    /// The rows that are to be seen, in order.
    fn shown(&self) -> Vec<&Row> {
        let filter = self.filter.to_lowercase();
        let lets_through =
            |row: &&Row| (self.all || row.is_current()) && (filter.is_empty() || has(row, &filter));
        let mut rows: Vec<&Row> = self.rows.iter().filter(lets_through).collect();
        rows.sort_by(|a, b| {
            let order = compare(a, b, self.sort);
            if self.backwards { order.reverse() } else { order }
        });
        rows
    }

    /// The whole screen: as many lines as there are, none longer than there is room.
    pub(crate) fn lines(&self, now: i64, paint: Paint) -> Vec<String> {
        let (width, height) = self.size;
        let mut lines = vec![self.title(paint)];
        if self.help {
            lines.extend(help().iter().map(|line| cut(line, width)));
        } else {
            lines.extend(self.table(now, paint));
        }
        lines.truncate(height.saturating_sub(1));
        lines.resize(height.saturating_sub(1), String::new());
        lines.push(self.last_line(paint));
        lines
    }

    fn title(&self, paint: Paint) -> String {
        let running = self.rows.iter().filter_map(|row| row.domain.as_deref());
        let mut running: Vec<&str> = running.collect();
        running.sort_unstable();
        running.dedup();
        let held = self
            .rows
            .iter()
            .filter(|row| row.expiry.is_some() && row.state != AddressState::Expired);
        let order = if self.backwards { "descending" } else { "ascending" };
        let (shown, all) =
            (self.shown().len(), self.rows.iter().filter(|row| self.is_listed(row)).count());
        let part = if shown < all { format!("  {shown} of {all}") } else { String::new() };
        let title = format!(
            "libvirt-nss watch  guests: {}  leases: {}  by {}, {order}{part}{}",
            running.len(),
            held.count(),
            SORTS[self.sort],
            if self.all { "  all" } else { "" },
        );
        paint.paint(Tone::Strong, &cut(&title, self.size.0))
    }

    fn table(&self, now: i64, paint: Paint) -> Vec<String> {
        let shown = self.shown();
        if shown.is_empty() {
            let why = if self.filter.is_empty() { "no guest and no lease" } else { "no match" };
            return vec![cut(why, self.size.0)];
        }
        let all: Vec<Row> = shown.iter().map(|&row| row.clone()).collect();
        let mut columns = columns(&all);
        columns[self.sort].mark = Some(if self.backwards { '▲' } else { '▼' });
        let cells: Vec<Vec<Cell>> = shown.iter().map(|row| self.row(row, now)).collect();
        let top = self.top.min(cells.len());
        let page = top..cells.len().min(top + self.room());
        let lines = table::page(&columns, &cells, page.clone(), Some(self.size.0), paint);
        // Too narrow a terminal cuts what no column can give: it has no colours then.
        let narrow = table::page(&columns, &cells, page, Some(self.size.0), Paint::none());
        let pairs = lines.into_iter().zip(narrow);
        pairs
            .map(
                |(line, plain)| {
                    if plain.width() > self.size.0 { cut(&plain, self.size.0) } else { line }
                },
            )
            .collect()
    }

    /// In how many seconds what is shown looks different, if nothing else happens: times that are left, and
    /// changes that stand out.
    pub(crate) fn next_change(&self, now: i64) -> Option<u64> {
        let of_times = self.rows.iter().filter_map(|row| {
            let left = row.expiry.filter(|&expiry| expiry != 0)?.saturating_sub(now);
            Some(match left {
                // Minutes are shown from the first on, and an hour ago the hours.
                60.. => left % 60 + 1,
                -59..60 => 1,
                _ => 60 - left.saturating_neg() % 60,
            })
        });
        let of_changes = self.changed.values().map(|since| since + FRESH - now);
        let next = of_times.chain(of_changes).min()?;
        Some(next.max(1).unsigned_abs())
    }

    fn row(&self, row: &Row, now: i64) -> Vec<Cell> {
        let mut cells = cells(row, now);
        let fresh = self.changed.get(&key(row)).is_some_and(|since| now - since < FRESH);
        if fresh {
            cells.iter_mut().filter(|cell| cell.tone == Tone::Plain).for_each(|cell| {
                cell.tone = Tone::Strong;
            });
        }
        cells
    }

    fn last_line(&self, paint: Paint) -> String {
        let width = self.size.0;
        if let Some(trouble) = &self.trouble {
            return paint.paint(Tone::Bad, &cut(&printable(trouble), width));
        }
        let filter = printable(&self.filter);
        if self.typing {
            return cut(&format!("/{filter}_"), width);
        }
        let keys = "q quit  / filter  s sort  r reverse  a all  ? help";
        let line = if filter.is_empty() { keys.into() } else { format!("/{filter}  {keys}") };
        paint.paint(Tone::Faint, &cut(&line, width))
    }
}

fn help() -> [&'static str; 9] {
    [
        "",
        "  s, S        sort by the next column, the previous one",
        "  r           reverse order",
        "  /           show only rows with a text: Enter keeps it, Esc removes it",
        "  a           show or hide expired leases",
        "  arrows, j, k, Page Up, Page Down, g, G   move",
        "  q, Ctrl-C   quit",
        "",
        "  Any key goes back.",
    ]
}

fn has(row: &Row, filter: &str) -> bool {
    let address = row.address.map(|address| address.to_string());
    let mac = row.mac.map(|mac| mac.to_string());
    let texts = [
        row.domain.as_deref(),
        row.host_name.as_deref(),
        Some(row.bridge.as_str()),
        row.network.as_deref(),
        address.as_deref(),
        mac.as_deref(),
        Some(row.state.text()),
        row.told.as_ref().map(|told| told.connection.as_str()),
        row.told.as_ref().map(|_| row.source()),
    ];
    texts.into_iter().flatten().any(|text| text.to_lowercase().contains(filter))
}

/// By one column; what has nothing there comes last, and equals stay in the list's own order.
fn compare(a: &Row, b: &Row, column: usize) -> Ordering {
    fn last<T: Ord>(a: &Option<T>, b: &Option<T>) -> Ordering {
        (a.is_none(), a).cmp(&(b.is_none(), b))
    }
    match column {
        0 => last(&a.domain, &b.domain),
        1 => last(&a.host_name, &b.host_name),
        2 => a.bridge.cmp(&b.bridge),
        3 => last(&a.network, &b.network),
        4 => last(&a.address, &b.address),
        5 => last(&a.mac, &b.mac),
        // What never ends has the most time left.
        6 => {
            let left = |row: &Row| row.expiry.map(|expiry| (expiry == 0, expiry));
            last(&left(a), &left(b))
        }
        _ => a.state.cmp(&b.state),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    const NOW: i64 = 1_700_000_000;

    fn row(domain: &str, last: u8, expiry: i64, state: AddressState) -> Row {
        Row {
            domain: Some(domain.into()),
            host_name: None,
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
            told: None,
        }
    }

    fn view(count: u8, size: (usize, usize)) -> View {
        let mut view = View::new(false, size);
        let rows = (1..=count).map(|last| {
            row(&format!("vm{last}"), 100 - last, NOW + i64::from(last), AddressState::Attached)
        });
        view.begin(rows.collect());
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
            view.press(KeyEvent::new(code, KeyModifiers::NONE));
        }
    }

    fn domains(view: &View) -> Vec<String> {
        let lines = view.lines(NOW, Paint::none());
        let rows = lines[2..lines.len() - 1].iter().filter(|line| !line.is_empty());
        rows.map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
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

    #[test]
    fn scrolling() {
        let mut view = view(30, (80, 8));
        assert_eq!(domains(&view).len(), 5);
        press(&mut view, "G");
        // As text: vm9 is the last.
        assert_eq!(domains(&view).last().unwrap(), "vm9");
        assert_eq!(domains(&view).len(), 5);
        press(&mut view, "k");
        assert_eq!(domains(&view).last().unwrap(), "vm8");
        press(&mut view, "g j");
        assert_eq!(domains(&view)[0], "vm15");
        assert_eq!(view.press(KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE)), Wish::Quit);
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(view.press(interrupt), Wish::Quit);
    }

    #[test]
    fn expired_and_fresh() {
        let mut view = view(1, (80, 24));
        let mut rows = view.rows.clone();
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
        view.update(rows, NOW + FRESH);
        assert!(view.changed.is_empty());
    }

    /// The screen is drawn again when something in it changes, and not each second.
    #[test]
    fn when_it_looks_different() {
        let of = |expiry: i64| {
            let mut view = View::new(true, (80, 24));
            view.begin(vec![row("vm", 1, expiry, AddressState::Attached)]);
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
    }
}
