//! Changes as lines, for pipes.

use serde::Serialize;

use super::changes::Change;
use crate::listing::fields::{JsonRow, plain};
use crate::output::escape::json_line;

/// The time, what happened, and the fields of `list --plain`, separated by tabs.
pub(crate) fn text(change: &Change, now: i64) -> String {
    format!("{}\t{}\t{}", utc(now), change.what.word(change.row.state), plain(&change.row))
}

/// One JSON object.
pub(crate) fn json(change: &Change, now: i64) -> String {
    let line = JsonChange {
        time: utc(now),
        change: change.what.word(change.row.state),
        row: JsonRow::new(&change.row),
    };
    // It has only strings and numbers, which can't fail.
    json_line(&serde_json::to_string(&line).unwrap_or_default())
}

#[derive(Serialize)]
struct JsonChange<'c> {
    time: String,
    change: &'static str,
    #[serde(flatten)]
    row: JsonRow<'c>,
}

/// RFC 3339, in UTC.
pub(crate) fn utc(seconds: i64) -> String {
    let (day, second) = (seconds.div_euclid(86400), seconds.rem_euclid(86400));
    let (year, month, day) = civil(day);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day of the Gregorian calendar, from days since 1970-01-01. Years are counted from
/// March, so that the day that comes and goes is their last.
fn civil(days: i64) -> (i64, i64, i64) {
    const DAYS_OF_ERA: i64 = 146_097;
    // From 0000-03-01.
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(DAYS_OF_ERA), days.rem_euclid(DAYS_OF_ERA));
    let year = (day - day / 1460 + day / 36_524 - day / (DAYS_OF_ERA - 1)) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year + i64::from(month >= 10);
    (year, if month < 10 { month + 3 } else { month - 9 }, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let cases = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_700_000_000, "2023-11-14T22:13:20Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
        ];
        for (seconds, text) in cases {
            assert_eq!(utc(seconds), text);
        }
    }
}
