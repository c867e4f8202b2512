//! What the log is told about contents that are not read: a line in a second, however many fail.
//!
//! While a disk fails, each subscriber's messages are read again and again. What became of each is
//! in the metrics and in the dead letters.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::store::log::NotRead;
use crate::store::names::MessageSeq;

/// Between two lines.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(in crate::store) struct Reports(Mutex<Told>);

#[derive(Default)]
struct Told {
    last: Option<Instant>,
    /// Reads that failed since, and were not told.
    untold: u64,
}

impl Reports {
    /// A content was not read.
    pub(super) fn not_read(&self, seq: MessageSeq, error: &NotRead) {
        if let Some(untold) = self.turn(Instant::now()) {
            tracing::error!(%seq, ?error, untold, "a message was not read from the store's log");
        }
    }

    /// Whether one is told of now, and then how many were not.
    fn turn(&self, now: Instant) -> Option<u64> {
        let mut told = self.0.lock();
        if told.last.is_some_and(|last| now.saturating_duration_since(last) < PAUSE) {
            told.untold += 1;
            return None;
        }
        told.last = Some(now);
        Some(std::mem::take(&mut told.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_all_that_fails_in_a_second_one_is_told_and_the_next_line_counts_the_others() {
        let (reports, start) = (Reports::default(), Instant::now());
        assert_eq!(reports.turn(start), Some(0), "the first is told at once");
        for _ in 0..1_000 {
            assert_eq!(reports.turn(start + PAUSE / 2), None);
        }
        assert_eq!(reports.turn(start + PAUSE), Some(1_000));
        assert_eq!(reports.turn(start + PAUSE * 3), Some(0));
    }
}
