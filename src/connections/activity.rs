//! When a connection was last heard of and written to, what it was sent, how far away it is.
//!
//! Nothing here locks. Reads and writes note themselves once a turn, with the node's coarse clock
//! (a second), so that it costs a load and a store; whoever looks reads the same atomics.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::outbox::Tally;

/// The share of a new measurement in the estimate of the round trip (RFC 6298, 2.3: alpha 1/8).
const NEW_SHARE: u64 = 8;

/// Moments are in milliseconds of the node, measurements in microseconds; 0 stands for never.
#[derive(Default)]
pub(super) struct Activity {
    received_ms: AtomicU64,
    written_ms: AtomicU64,
    messages_sent: AtomicU64,
    messages_acknowledged: AtomicU64,
    /// The client has sent a ping, of the hub protocol or of its transport.
    pings: AtomicBool,
    /// When the sweep asked whether anybody is there.
    probed_ms: AtomicU64,
    measured_ms: AtomicU64,
    /// The stamp of the transport ping that has not come back.
    stamp_us: AtomicU64,
    round_trip_us: AtomicU64,
}

impl Activity {
    /// Bytes of any kind have come, or a poll.
    pub(super) fn received(&self, now_ms: u64) {
        self.received_ms.store(now_ms, Relaxed);
    }

    /// Frames have left, if the tally says so.
    pub(super) fn written(&self, tally: Tally, now_ms: u64) {
        if tally.wrote {
            self.written_ms.store(now_ms, Relaxed);
        }
        if tally.messages > 0 {
            // Whoever calls holds the outbox, so there is one writer.
            let sent = self.messages_sent.load(Relaxed) + u64::from(tally.messages);
            self.messages_sent.store(sent, Relaxed);
        }
    }

    /// The client has sent a ping of its own.
    pub(super) fn pinged(&self) {
        self.pings.store(true, Relaxed);
    }

    pub(super) fn pings_itself(&self) -> bool {
        self.pings.load(Relaxed)
    }

    pub(super) fn acknowledged(&self, count: u64) {
        self.messages_acknowledged.fetch_add(count, Relaxed);
    }

    pub(super) fn received_ms(&self) -> u64 {
        self.received_ms.load(Relaxed)
    }

    /// The last of everything.
    pub(super) fn last_ms(&self) -> u64 {
        self.received_ms().max(self.written_ms.load(Relaxed))
    }

    pub(super) fn probed_ms(&self) -> u64 {
        self.probed_ms.load(Relaxed)
    }

    pub(super) fn probed(&self, now_ms: u64) {
        self.probed_ms.store(now_ms, Relaxed);
    }

    pub(super) fn messages_sent(&self) -> u64 {
        self.messages_sent.load(Relaxed)
    }

    pub(super) fn messages_acknowledged(&self) -> u64 {
        self.messages_acknowledged.load(Relaxed)
    }

    pub(super) fn measured_ms(&self) -> u64 {
        self.measured_ms.load(Relaxed)
    }

    /// A transport ping with this stamp goes out.
    pub(super) fn measures(&self, now_ms: u64, stamp_us: u64) {
        self.measured_ms.store(now_ms, Relaxed);
        self.stamp_us.store(stamp_us, Relaxed);
    }

    /// A stamp has come back. One that was not sent, or comes twice, measures nothing.
    pub(super) fn ponged(&self, stamp_us: u64, now_us: u64) {
        if stamp_us == 0 || self.stamp_us.compare_exchange(stamp_us, 0, Relaxed, Relaxed).is_err() {
            return;
        }
        // At least a microsecond, so that 0 can mean never.
        let new = now_us.saturating_sub(stamp_us).max(1);
        let before = self.round_trip_us.load(Relaxed);
        let estimate = match before {
            0 => new,
            _ => (before * (NEW_SHARE - 1) + new) / NEW_SHARE,
        };
        self.round_trip_us.store(estimate.max(1), Relaxed);
    }

    /// The smoothed time of a transport ping to the client and back; none before the first.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        let estimate = self.round_trip_us.load(Relaxed);
        (estimate != 0).then(|| Duration::from_micros(estimate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_of_the_round_trip_follows_slowly_and_starts_at_once() {
        let activity = Activity::default();
        assert_eq!(activity.round_trip(), None);
        activity.measures(1, 100);
        activity.ponged(100, 900);
        assert_eq!(activity.round_trip(), Some(Duration::from_micros(800)));
        activity.measures(2, 1_000);
        activity.ponged(1_000, 2_600);
        assert_eq!(activity.round_trip(), Some(Duration::from_micros(900)));
    }

    #[test]
    fn a_stamp_that_was_not_sent_or_comes_twice_measures_nothing() {
        let activity = Activity::default();
        activity.ponged(0, 5_000);
        activity.measures(1, 100);
        activity.ponged(99, 5_000);
        assert_eq!(activity.round_trip(), None, "a client cannot make up a distance");
        activity.ponged(100, 200);
        activity.ponged(100, 9_000);
        assert_eq!(activity.round_trip(), Some(Duration::from_micros(100)));
    }

    #[test]
    fn a_turn_that_wrote_nothing_is_no_activity() {
        let activity = Activity::default();
        activity.received(5);
        activity.written(Tally::default(), 9);
        assert_eq!(activity.last_ms(), 5);
        activity.written(Tally { wrote: true, messages: 1 }, 9);
        activity.written(Tally { wrote: true, messages: 0 }, 9);
        assert_eq!((activity.last_ms(), activity.messages_sent()), (9, 1));
        assert_eq!(activity.received_ms(), 5, "what is written says nothing about the client");
    }
}
