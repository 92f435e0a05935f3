//! Which rows the screen shows, and in which order.

use std::cmp::Ordering;

use crate::state::rows::Row;

/// The columns that rows can be sorted by: the first ones of a list.
const NAMES: [&str; 8] =
    ["domain", "host", "bridge", "network", "address", "MAC", "time left", "state"];

/// How rows are sorted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Order {
    /// The column's index in a list.
    pub(crate) column: usize,
    pub(crate) descending: bool,
}

impl Order {
    pub(crate) fn next_column(&mut self) {
        self.column = (self.column + 1) % NAMES.len();
    }

    pub(crate) fn previous_column(&mut self) {
        self.column = (self.column + NAMES.len() - 1) % NAMES.len();
    }

    /// For people: `by domain, ascending`.
    pub(crate) fn text(self) -> String {
        let direction = if self.descending { "descending" } else { "ascending" };
        format!("by {}, {direction}", NAMES[self.column])
    }

    /// Compares two rows; equal ones keep the order of the list.
    pub(crate) fn compare(self, a: &Row, b: &Row) -> Ordering {
        let order = compare(a, b, self.column);
        if self.descending { order.reverse() } else { order }
    }
}

/// Rows without a value in the column come last.
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
        // A lease that never ends has the most time left.
        6 => {
            let left = |row: &Row| row.expiry.map(|expiry| (expiry == 0, expiry));
            last(&left(a), &left(b))
        }
        _ => a.state.cmp(&b.state),
    }
}

/// Whether a text of the row contains the filter, which is in lower case.
pub(crate) fn matches(row: &Row, filter: &str) -> bool {
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
        row.via.as_ref().map(|via| via.connection.as_str()),
        row.via.as_ref().map(|_| row.source()),
    ];
    let others = row.other_host_names.iter().map(String::as_str);
    texts.into_iter().flatten().chain(others).any(|text| text.to_lowercase().contains(filter))
}
