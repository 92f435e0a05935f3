//! Tables, for the terminal and for Markdown.

/// A table. All columns but the first are right-aligned.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// Its name in docs/benchmarks.md.
    pub(crate) id: &'static str,
    pub(crate) title: String,
    pub(crate) header: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(id: &'static str, title: impl Into<String>, header: &[&str]) -> Self {
        let header = header.iter().map(|&cell| cell.to_owned()).collect();
        Self { id, title: title.into(), header, rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    fn widths(&self) -> Vec<usize> {
        let lines = || self.rows.iter().chain([&self.header]);
        let width = |column| {
            let cells = lines().filter_map(|row| row.get(column));
            cells.map(|cell: &String| cell.chars().count()).max().unwrap_or(0)
        };
        (0..self.header.len()).map(width).collect()
    }

    fn line(widths: &[usize], row: &[String]) -> String {
        let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, &width))| {
            if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    }

    pub(crate) fn for_terminal(&self) -> String {
        let widths = self.widths();
        let lines = [&self.header].into_iter().chain(&self.rows);
        let lines = lines.map(|row| Self::line(&widths, row));
        [self.title.clone()].into_iter().chain(lines).collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn for_markdown(&self) -> String {
        let line = |row: &Vec<String>| format!("| {} |\n", row.join(" | "));
        let rule: Vec<String> = (0..self.header.len())
            .map(|column| if column == 0 { "---".to_owned() } else { "---:".to_owned() })
            .collect();
        let lines = [&self.header, &rule].into_iter().chain(&self.rows);
        lines.map(line).collect()
    }
}

/// A time with three significant digits.
pub(crate) fn time(seconds: f64) -> String {
    let (value, unit) = match seconds.abs() {
        large if large >= 1e-3 => (seconds * 1e3, "ms"),
        _ => (seconds * 1e6, "µs"),
    };
    format!("{} {unit}", digits(value))
}

/// A ratio, as in `1.25×`.
pub(crate) fn times(ratio: f64) -> String {
    format!("{}×", digits(ratio))
}

/// Three significant digits.
fn digits(value: f64) -> String {
    match value.abs() {
        large if large >= 99.95 => format!("{value:.0}"),
        middle if middle >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells() {
        assert_eq!(time(0.000_012_34), "12.3 µs");
        assert_eq!(time(0.000_000_5), "0.50 µs");
        assert_eq!(time(0.123_4), "123 ms");
        assert_eq!(
            (times(14.26), times(1.0), times(99.97)),
            ("14.3×".into(), "1.00×".into(), "100×".into())
        );
    }

    #[test]
    fn both_forms() {
        let mut table = Table::new("x", "Title", &["name", "µs"]);
        table.row(["a".to_owned(), "1".to_owned()]);
        table.row(["long".to_owned(), "100".to_owned()]);
        assert_eq!(table.for_terminal(), "Title\nname   µs\na       1\nlong  100");
        assert_eq!(
            table.for_markdown(),
            "| name | µs |\n| --- | ---: |\n| a | 1 |\n| long | 100 |\n"
        );
    }
}
