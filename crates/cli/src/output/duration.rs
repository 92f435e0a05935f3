//! Spans of time, for people.

use std::time::Duration;

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

/// Reads `90`, `90s`, `5m`, `2h`, `1.5`: seconds where there is no unit.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.strip_suffix(['s', 'm', 'h']) {
        Some(number) => (number, text.chars().last()),
        None => (text, None),
    };
    let factor = match unit {
        Some('m') => 60.0,
        Some('h') => 3600.0,
        _ => 1.0,
    };
    let digits = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let seconds = number.parse::<f64>().ok().filter(|_| digits).map(|seconds| seconds * factor);
    // Longer than anyone waits, and short of what a clock can count.
    match seconds.filter(|&seconds| seconds <= 1e9).map(Duration::try_from_secs_f64) {
        Some(Ok(duration)) => Ok(duration),
        _ => Err("use a number of seconds, or one with the unit s, m or h: 90, 1.5, 5m, 2h".into()),
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

    #[test]
    fn what_people_write() {
        for (text, seconds) in
            [("90", 90.0), ("1.5", 1.5), ("5m", 300.0), ("2h", 7200.0), ("0s", 0.0)]
        {
            assert_eq!(parse(text), Ok(Duration::from_secs_f64(seconds)), "{text}");
        }
        for bad in ["", "s", "-1", "5d", "1e9", "inf", "NaN", "1 s", "99999999999"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
