//! Drawing a view: the lines of the screen, and when they change by themselves.

use unicode_width::UnicodeWidthStr as _;

use super::{FRESH, Mode, View};
use crate::listing::columns::cells;
use crate::output::escape::printable;
use crate::output::paint::{Paint, Tone, reversed};
use crate::output::table::{self, Cell, cut};
use crate::state::rows::{AddressState, Row};
use crate::watch::changes::id;
use crate::watch::keys;

impl View {
    /// The whole screen: exactly as many lines as it has, none too long.
    pub(crate) fn lines(&self, now: i64, paint: Paint) -> Vec<String> {
        let (width, height) = self.size;
        let mut lines = vec![self.title(paint)];
        match &self.mode {
            Mode::Explanation(_, pager) => return pager.screen(self.size, paint),
            Mode::Help => lines.extend(keys::HELP.iter().map(|line| cut(line, width))),
            Mode::List | Mode::Filter => lines.extend(self.table(now, paint)),
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
        let all = self.rows.iter().filter(|row| self.is_listed(row)).count();
        let shown = self.shown.len();
        let part = if shown < all { format!("  {shown} of {all}") } else { String::new() };
        let title = format!(
            "libvirt-nss watch  guests: {}  leases: {}  {}{part}{}",
            running.len(),
            held.count(),
            self.order.text(),
            if self.all { "  all" } else { "" },
        );
        paint.paint(Tone::Strong, &cut(&title, self.size.0))
    }

    fn table(&self, now: i64, paint: Paint) -> Vec<String> {
        let width = self.size.0;
        if self.shown.is_empty() {
            let why = if self.filter.is_empty() { "no guest and no lease" } else { "no match" };
            return vec![cut(why, width)];
        }
        let rows: Vec<Vec<Cell>> = self.visible().map(|(row, _)| self.row(row, now)).collect();
        let lines =
            |paint| table::lines_as_wide(&self.columns, &self.widths, &rows, Some(width), paint);
        // On a terminal that is too narrow for the columns, lines are cut and have no colours.
        let plain = lines(Paint::none());
        let selected = self.visible().position(|(_, selected)| selected).map(|at| at + 1);
        let pairs = lines(paint).into_iter().zip(plain).enumerate();
        pairs
            .map(|(at, (line, plain))| {
                let plain_cut = cut(&plain, width);
                if selected == Some(at) {
                    let rest = width.saturating_sub(plain_cut.width());
                    reversed(&format!("{plain_cut}{:rest$}", ""))
                } else if plain.width() > width {
                    plain_cut
                } else {
                    line
                }
            })
            .collect()
    }

    /// In how many seconds the screen changes if nothing else happens, because of the remaining times and the
    /// highlighting.
    pub(crate) fn next_change(&self, now: i64) -> Option<u64> {
        let of_times = self.visible().filter_map(|(row, _)| {
            let left = row.expiry.filter(|&expiry| expiry != 0)?.saturating_sub(now);
            Some(match left {
                // Up to a minute, seconds are shown; then minutes.
                60.. => left % 60 + 1,
                -59..60 => 1,
                _ => 60 - left.saturating_neg() % 60,
            })
        });
        let of_times = of_times.filter(|_| matches!(self.mode, Mode::List | Mode::Filter));
        let of_changes = self.changed.values().map(|since| since + FRESH - now);
        let next = of_times.chain(of_changes).min()?;
        Some(next.max(1).unsigned_abs())
    }

    fn row(&self, row: &Row, now: i64) -> Vec<Cell> {
        let mut cells = cells(row, now);
        let fresh = self.changed.get(&id(row)).is_some_and(|since| now - since < FRESH);
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
        if let Mode::Filter = self.mode {
            return cut(&format!("/{filter}_"), width);
        }
        let keys = keys::SHORT_HELP;
        let line = if filter.is_empty() { keys.into() } else { format!("/{filter}  {keys}") };
        paint.paint(Tone::Faint, &cut(&line, width))
    }
}
