//! Connections of which nothing is heard although no time-out has caught them.
//!
//! ```text
//!            heard of                       heard of
//!          ┌───────────┐          ┌────────────────────────┐
//!          ▼           │          ▼                        │
//!        fresh ── stale_after ─▶ stale ── probe ─▶ asked ──┘
//!                                  ▲                 │  a client that pings by itself, and was
//!                                  └─ probe again ───┤  not heard of for one more sweep
//!                                                    ▼
//!                                                 closed
//! ```
//!
//! The client timeout catches clients that ping and fall silent. What it leaves are clients that
//! never ping, links that are open on our side alone, and hubs whose client timeout is longer.
//! Each is asked: a hub message nobody answers, whose write fails on a dead link, and on a
//! WebSocket a ping that every client's library answers by itself. Silence closes only clients that
//! have pinged before, and not while their session waits for a call: all others are asked again at
//! every sweep, until a write fails. So a listener that has nothing to say stays for ever.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::connection::Connection;
use super::end::End;
use super::frame::Frame;
use super::outbox::Offered;

/// What a sweep does with one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Leave,
    Probe,
    Close,
}

/// What a sweep sees of one connection; moments in milliseconds of the node.
#[derive(Clone, Copy, Debug)]
struct Seen {
    now_ms: u64,
    received_ms: u64,
    probed_ms: u64,
    /// Whether silence means anything with this client.
    answers: bool,
}

/// Sweeps with one threshold and one interval.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sweep {
    pub(super) after_ms: u64,
    pub(super) every_ms: u64,
}

impl Sweep {
    fn step(self, seen: Seen) -> Step {
        let Seen { now_ms, received_ms, probed_ms, answers } = seen;
        if now_ms.saturating_sub(received_ms) < self.after_ms {
            return Step::Leave;
        }
        // A probe from before the last sign of life was answered by it.
        if probed_ms <= received_ms {
            return Step::Probe;
        }
        let patient = now_ms.saturating_sub(probed_ms) < self.every_ms;
        if answers && !patient { Step::Close } else { Step::Probe }
    }

    /// Looks at one connection; true when it is stale. `ping` is in its protocol.
    pub(super) fn look(
        self,
        connection: &Arc<Connection>,
        now_ms: u64,
        now_us: u64,
        ping: &Arc<Frame>,
    ) -> bool {
        if connection.ended().is_some() || !connection.is_watched() {
            return false;
        }
        let activity = &connection.activity;
        let busy = connection.clock.busy.load(Ordering::Relaxed);
        let seen = Seen {
            now_ms,
            received_ms: activity.received_ms(),
            probed_ms: activity.probed_ms(),
            answers: activity.pings_itself() && !busy,
        };
        match self.step(seen) {
            Step::Leave => return false,
            Step::Close => connection.end(End::Stale),
            Step::Probe => {
                if seen.probed_ms <= seen.received_ms {
                    activity.probed(now_ms);
                }
                probe(connection, now_ms, now_us, ping);
            }
        }
        true
    }
}

/// Asks whether anybody is there. A write that fails ends the connection as any other does.
fn probe(connection: &Arc<Connection>, now_ms: u64, now_us: u64, ping: &Arc<Frame>) {
    connection.node.metrics().probed.inc();
    connection.clock.pinged_ms.store(now_ms, Ordering::Relaxed);
    connection.measure(now_ms, now_us);
    let appended = connection.outbox.lock().append(ping.clone(), connection.node.bounds());
    // A full outbox is the send timeout's concern.
    if let Ok(Offered::Queued(wake)) = appended {
        connection.wake(wake);
    }
}

impl Connection {
    /// Whether it has a client that could be heard of: after the handshake, and not parked.
    pub(super) fn is_watched(&self) -> bool {
        self.clock.handshaken.load(Ordering::Acquire)
            && self.clock.parked_ms.load(Ordering::Acquire) == 0
    }

    /// How long nothing has come from the client.
    pub(super) fn silence(&self, now_ms: u64) -> Duration {
        Duration::from_millis(now_ms.saturating_sub(self.activity.received_ms()))
    }

    /// Sends a transport ping with a stamp, where the transport has pings.
    pub(super) fn measure(self: &Arc<Self>, now_ms: u64, now_us: u64) {
        self.activity.measures(now_ms, now_us);
        let wake = self.outbox.lock().set_ping(now_us);
        self.wake(wake);
    }

    /// The transport's ping has come back, with what it carried.
    pub fn ponged(&self, stamp: u64) {
        self.activity.received(self.node.coarse_ms());
        self.activity.ponged(stamp, self.node.now_us());
    }

    /// The client has acknowledged so many messages (not bytes of stateful reconnect). For whoever
    /// keeps them: counted here, so that the monitor can show it.
    pub fn count_acknowledged(&self, messages: u64) {
        self.activity.acknowledged(messages);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SWEEP: Sweep = Sweep { after_ms: 60_000, every_ms: 5_000 };

    fn step(now_ms: u64, received_ms: u64, probed_ms: u64, answers: bool) -> Step {
        SWEEP.step(Seen { now_ms, received_ms, probed_ms, answers })
    }

    #[test]
    fn whoever_was_heard_of_within_the_threshold_is_left_alone() {
        assert_eq!(step(60_999, 1_000, 0, true), Step::Leave);
        assert_eq!(step(60_999, 1_000, 900, true), Step::Leave);
    }

    #[test]
    fn silence_is_asked_about_before_it_counts() {
        assert_eq!(step(61_000, 1_000, 0, true), Step::Probe);
        assert_eq!(step(65_999, 1_000, 61_000, true), Step::Probe, "not a whole sweep yet");
        assert_eq!(step(66_000, 1_000, 61_000, true), Step::Close);
    }

    #[test]
    fn who_never_pinged_is_asked_again_and_again_and_never_closed_for_silence() {
        assert_eq!(step(10_000_000, 1_000, 61_000, false), Step::Probe);
    }

    #[test]
    fn an_answered_probe_says_nothing_about_a_later_silence() {
        // The answer came within the same tick of the coarse clock.
        assert_eq!(step(500_000, 61_000, 61_000, true), Step::Probe);
        assert_eq!(step(500_000, 62_000, 61_000, true), Step::Probe);
    }
}
