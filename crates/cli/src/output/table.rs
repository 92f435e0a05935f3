//! Tables that fit the terminal.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::paint::{Paint, Tone};

/// Blanks between two columns.
const GAP: usize = 2;

/// The least width of a column.
const NARROWEST: usize = 8;

/// A column of a table.
pub(crate) struct Column {
    pub(crate) title: &'static str,
    /// Shown after the title of the column that rows are sorted by.
    pub(crate) mark: Option<char>,
    /// Its texts may be cut.
    pub(crate) elastic: bool,
    /// It isn't shown, as it has no content.
    pub(crate) hidden: bool,
    /// If the table is too wide, the column with the lowest number is dropped first.
    pub(crate) dispensable: Option<u8>,
}

/// A text in a table. It contains no control characters.
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) tone: Tone,
}

impl Cell {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), tone: Tone::Plain }
    }

    pub(crate) fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone }
    }
}

/// A heading and the rows as lines, no longer than `room` (terminal columns) unless columns that mustn't be cut need
/// more.
pub(crate) fn lines(
    columns: &[Column],
    rows: &[Vec<Cell>],
    room: Option<usize>,
    paint: Paint,
) -> Vec<String> {
    lines_as_wide(columns, &natural_widths(columns, rows), rows, room, paint)
}

/// The same with columns of at least these widths if there is room, so that they don't move from page to page.
pub(crate) fn lines_as_wide(
    columns: &[Column],
    widths: &[usize],
    rows: &[Vec<Cell>],
    room: Option<usize>,
    paint: Paint,
) -> Vec<String> {
    let mut widths = widths.to_vec();
    widen(&mut widths, rows);
    let widths = fit(columns, &widths, room);
    let heading =
        columns.iter().map(|column| Cell::toned(column.heading(), Tone::Strong)).collect();
    std::iter::once(&heading).chain(rows).map(|row: &Vec<Cell>| line(row, &widths, paint)).collect()
}

impl Column {
    fn heading(&self) -> String {
        self.title.chars().chain(self.mark).collect()
    }
}

/// The widths of each column's longest text.
pub(crate) fn natural_widths(columns: &[Column], rows: &[Vec<Cell>]) -> Vec<usize> {
    let mut widths: Vec<usize> = columns.iter().map(|column| column.heading().width()).collect();
    widen(&mut widths, rows);
    widths
}

/// Widens the columns for these rows too.
pub(crate) fn widen(widths: &mut [usize], rows: &[Vec<Cell>]) {
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.text.width());
        }
    }
}

/// The widths to use; none for a column that is dropped.
fn fit(columns: &[Column], natural: &[usize], room: Option<usize>) -> Vec<Option<usize>> {
    let shown = columns.iter().map(|column| !column.hidden);
    let mut widths: Vec<Option<usize>> =
        natural.iter().zip(shown).map(|(&width, shown)| shown.then_some(width)).collect();
    let Some(room) = room else { return widths };
    let total = |widths: &[Option<usize>]| {
        let shown: Vec<usize> = widths.iter().flatten().copied().collect();
        shown.iter().sum::<usize>() + GAP * shown.len().saturating_sub(1)
    };
    let mut dispensable: Vec<(u8, usize)> = columns
        .iter()
        .enumerate()
        .filter_map(|(at, column)| column.dispensable.map(|order| (order, at)))
        .collect();
    dispensable.sort_unstable();
    for (_, at) in dispensable {
        if total(&widths) <= room {
            break;
        }
        widths[at] = None;
    }
    // The widest is narrowed first.
    while total(&widths) > room {
        let elastic = widths.iter_mut().zip(columns).filter(|(_, column)| column.elastic);
        let widest = elastic.filter_map(|(width, _)| width.as_mut()).max();
        match widest {
            Some(width) if *width > NARROWEST => *width -= 1,
            _ => break,
        }
    }
    widths
}

fn line(row: &[Cell], widths: &[Option<usize>], paint: Paint) -> String {
    let mut line = String::new();
    let mut pending = 0;
    for (cell, width) in row.iter().zip(widths) {
        let Some(width) = *width else { continue };
        let text = cut(&cell.text, width);
        // Blanks are added with the next text, so that no line ends with them.
        line.extend(std::iter::repeat_n(' ', if text.is_empty() { 0 } else { pending }));
        if text.is_empty() {
            pending += width + GAP;
        } else {
            pending = width - text.width() + GAP;
            line.push_str(&paint.paint(cell.tone, &text));
        }
    }
    line
}

/// `text` cut to `width` terminal columns, with an ellipsis if something is missing.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut taken = 0;
    let kept: String = text
        .chars()
        .take_while(|character| {
            taken += character.width().unwrap_or(0);
            taken < width
        })
        .collect();
    kept + "…"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Color;

    fn render(room: Option<usize>) -> Vec<String> {
        let column = |title, elastic, dispensable| Column {
            title,
            mark: None,
            elastic,
            hidden: false,
            dispensable,
        };
        let columns = [
            column("NAME", true, None),
            column("NETWORK", true, None),
            column("ADDRESS", false, None),
            column("MAC", false, Some(1)),
        ];
        let row = |texts: [&str; 4]| texts.map(Cell::new).into_iter().collect();
        let rows = [
            row(["a-rather-long-name", "default", "10.0.0.1", "52:54:00:00:00:01"]),
            row(["名前", "lab", "", ""]),
        ];
        lines(&columns, &rows, room, Paint::new(Color::Never, &std::io::stdout()))
    }

    #[test]
    fn wide_enough() {
        assert_eq!(
            render(None),
            [
                "NAME                NETWORK  ADDRESS   MAC",
                "a-rather-long-name  default  10.0.0.1  52:54:00:00:00:01",
                "名前                lab",
            ]
        );
    }

    #[test]
    fn too_narrow() {
        assert_eq!(render(Some(40))[1], "a-rather-long-name  default  10.0.0.1");
        assert_eq!(render(Some(30))[1], "a-rather-l…  default  10.0.0.1");
        // It can't get any narrower.
        assert_eq!(render(Some(5))[1], "a-rathe…  default  10.0.0.1");
        assert_eq!(render(Some(5))[2], "名前      lab");
    }

    #[test]
    fn cutting_between_columns() {
        assert_eq!(cut("名前名前", 6), "名前…");
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
    }
}
