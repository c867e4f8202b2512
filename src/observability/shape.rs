//! Moments, spans and shares as .NET writes them.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, SecondsFormat, Utc};

/// ISO 8601 in UTC: `2026-11-24T10:00:00.123456Z`.
pub(super) fn moment(at: SystemTime) -> String {
    DateTime::<Utc>::from(at).to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// A moment that lies so far back.
pub(super) fn before(now: SystemTime, span: Duration) -> String {
    moment(now.checked_sub(span).unwrap_or(now))
}

/// .NET's constant format: `[d.]hh:mm:ss[.fffffff]`.
pub(super) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    let mut text = match days {
        0 => format!("{hours:02}:{minutes:02}:{rest:02}"),
        _ => format!("{days}.{hours:02}:{minutes:02}:{rest:02}"),
    };
    let ticks = span.subsec_nanos() / 100;
    if ticks > 0 {
        text.push_str(&format!(".{ticks:07}"));
    }
    text
}

/// Milliseconds, to the microsecond.
pub(super) fn millis(span: Duration) -> f64 {
    span.as_micros() as f64 / 1_000.0
}

/// A share in percent: 0 of nothing is 0.
pub(super) fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_written_as_dotnet_writes_them() {
        for (millis, expected) in [
            (0, "00:00:00"),
            (1_500, "00:00:01.5000000"),
            (3_600_000 + 62_000, "01:01:02"),
            (86_400_000 * 2 + 3_000, "2.00:00:03"),
        ] {
            assert_eq!(span(Duration::from_millis(millis)), expected);
        }
    }

    #[test]
    fn a_moment_is_utc() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_500);
        assert_eq!(moment(at), "1970-01-01T00:00:01.500000Z");
        assert_eq!(before(at, Duration::from_secs(1)), "1970-01-01T00:00:00.500000Z");
    }

    #[test]
    fn the_share_of_nothing_is_zero() {
        assert_eq!((percent(0, 0), percent(1, 8)), (0.0, 12.5));
    }
}
