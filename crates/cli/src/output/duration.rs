//! Spans of time, for people.

/// Short: `42s`, `59m`, `3h20m`, `2d4h`. `seconds` is not negative.
pub(crate) fn short(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m"),
        (0, _, _) => format!("{hours}h{}", rest(minutes % 60, 'm')),
        _ => format!("{days}d{}", rest(hours % 24, 'h')),
    }
}

fn rest(count: i64, unit: char) -> String {
    if count == 0 { String::new() } else { format!("{count}{unit}") }
}

/// The time that a lease has left: `59m`, `never` where it never ends, `3h ago` where it has ended.
pub(crate) fn left(expiry: i64, now: i64) -> String {
    match expiry {
        0 => "never".into(),
        _ if expiry >= now => short(expiry.saturating_sub(now)),
        _ => format!("{} ago", short(now.saturating_sub(expiry))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        let cases = [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (3599, "59m"),
            (3600, "1h"),
            (12_000, "3h20m"),
            (86_400, "1d"),
            (100_000, "1d3h"),
        ];
        for (seconds, text) in cases {
            assert_eq!(short(seconds), text);
        }
        assert_eq!(left(0, 1000), "never");
        assert_eq!(left(1000, 1000), "0s");
        assert_eq!(left(999, 1000), "1s ago");
        assert_eq!(left(i64::MIN, i64::MAX), format!("{} ago", short(i64::MAX)));
    }
}
