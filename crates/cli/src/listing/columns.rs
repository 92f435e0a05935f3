//! Rows as a table for people.

use crate::output::duration;
use crate::output::escape::printable;
use crate::output::paint::{Paint, Tone};
use crate::output::table::{self, Cell, Column};
use crate::state::rows::{AddressState, Resolves, Row};

/// The columns for these rows.
pub(crate) fn columns(rows: &[&Row]) -> [Column; 11] {
    let column = |title, elastic, dispensable| {
        let hidden = match title {
            "NETWORK" => rows.iter().all(|row| row.network.is_none()),
            "VIA" => !rows.iter().any(|row| row.is_elsewhere()),
            "SOURCE" => rows.iter().all(|row| row.via.is_none()),
            _ => false,
        };
        Column { title, mark: None, elastic, hidden, dispensable }
    };
    // The bridge is dispensable if the network is shown.
    let networks = rows.iter().all(|row| row.network.is_some());
    [
        column("DOMAIN", true, None),
        column("HOST", true, None),
        column("BRIDGE", true, networks.then_some(0)),
        column("NETWORK", true, (!networks).then_some(0)),
        column("ADDRESS", false, None),
        column("MAC", false, Some(1)),
        column("LEFT", false, Some(3)),
        column("STATE", false, None),
        column("RESOLVES", false, Some(2)),
        column("VIA", true, None),
        column("SOURCE", false, None),
    ]
}

pub(crate) fn cells(row: &Row, now: i64) -> Vec<Cell> {
    let tone = match row.state {
        AddressState::Attached => Tone::Good,
        AddressState::LeftBehind
        | AddressState::NoLease
        | AddressState::NoBridge
        | AddressState::Denied
        | AddressState::NoAddress => Tone::Warning,
        AddressState::Unclear | AddressState::NoGuest => Tone::Plain,
        AddressState::Expired => Tone::Faint,
    };
    let text = |text: &Option<String>| match text {
        Some(text) => Cell::new(printable(text)),
        None => Cell::toned("-", Tone::Faint),
    };
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    vec![
        text(&row.domain),
        match row.host_names().collect::<Vec<_>>().as_slice() {
            [] => text(&None),
            names => Cell::new(printable(&names.join(", "))),
        },
        match row.bridge.as_str() {
            "" => text(&None),
            bridge => Cell::new(printable(bridge)),
        },
        text(&row.network),
        Cell::new(or_dash(row.address.map(|address| address.to_string()))),
        Cell::new(or_dash(row.mac.map(|mac| mac.to_string()))),
        Cell::new(or_dash(row.expiry.map(|expiry| duration::left(expiry, now)))),
        Cell::toned(row.state.text(), tone),
        match row.resolves() {
            Resolves::No => Cell::toned("no", Tone::Warning),
            resolves => Cell::new(resolves.word()),
        },
        text(&row.via.as_ref().map(|via| via.connection.clone())),
        Cell::new(row.source()),
    ]
}

pub(crate) fn lines(rows: &[&Row], now: i64, room: Option<usize>, paint: Paint) -> Vec<String> {
    let mut cells: Vec<Vec<Cell>> = rows.iter().map(|row| cells(row, now)).collect();
    dim_repeats(rows, &mut cells);
    table::lines(&columns(rows), &cells, room, paint)
}

/// Dims a name that is the same as in the row above.
fn dim_repeats(rows: &[&Row], cells: &mut [Vec<Cell>]) {
    for (at, pair) in rows.windows(2).enumerate() {
        let same =
            [pair[0].domain == pair[1].domain, pair[0].host_names().eq(pair[1].host_names())];
        for (column, _) in same.iter().enumerate().filter(|(_, same)| **same) {
            cells[at + 1][column].tone = Tone::Faint;
        }
    }
}
