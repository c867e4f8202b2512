//! What acknowledged delivery counts.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Registry};

use crate::model::Counting;
use crate::store::Outcome;

/// Handles resolved once.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Messages the store accepted.
    pub accepted: IntCounter,
    /// Messages that were not accepted, by reason.
    pub refused: IntCounterVec,
    /// Frames of acknowledged messages that were fully written.
    pub attempts: IntCounter,
    /// Appends of a message that was written before.
    pub repeats: IntCounter,
    /// Answers that did not come in time.
    pub timeouts: IntCounter,
    /// Messages that clients refused.
    pub nacks: IntCounter,
    /// Times an outbox had no room for an acknowledged message.
    pub no_room: IntCounter,
    /// Reads of one owed message that the disk refused while the store was well otherwise.
    pub unread: IntCounter,
    /// Acknowledged messages that could not be said in a receiver's protocol.
    pub not_encodable: IntCounter,
    /// Times a subscriber's breaker opened.
    pub breakers_opened: IntCounter,
    /// Links that broke with something on its way, each a failure of its subscriber's breaker.
    pub transport_failures: IntCounter,
    /// Breakers that were let go of because their subscriber was gone.
    pub holds_ended: IntCounter,
    /// Durable messages that wait for their turn to be appended to outboxes.
    pub firsts_waiting: IntGauge,
    /// Repeats that wait for their turn.
    pub repeats_waiting: IntGauge,
    /// Subscribers that are here, or away with something to remember.
    pub couriers: IntGauge,
    /// Couriers at which somebody will look when something is due.
    pub looks: IntGauge,
    /// Pairs that ended here and are not in the store yet.
    pub ending: IntGauge,
    /// Calls of the store that failed and are tried again.
    pub store_retries: IntCounter,
    acknowledged: IntCounter,
    unconfirmed: IntCounter,
    expired: IntCounter,
    dead: IntCounterVec,
}

impl Metrics {
    /// Registers them. Errors when the registry has them already.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let counting = Counting(registry);
        let counter =
            |name: &str, help: &str| counting.counter(&format!("delivery_acks_{name}"), help);
        let by_reason = |name: &str, help: &str| {
            counting.counters(&format!("delivery_acks_{name}"), help, &["reason"])
        };
        let settled = counting.counters(
            "delivery_acks_settled_total",
            "Pairs settled on this node",
            &["outcome"],
        )?;
        Ok(Self {
            accepted: counter("accepted_total", "Messages accepted")?,
            refused: by_reason("refused_total", "Messages not accepted")?,
            attempts: counter("attempts_total", "Frames fully written")?,
            repeats: counter("repeats_total", "Appends of a message written before")?,
            timeouts: counter("timeouts_total", "Answers that did not come in time")?,
            nacks: counter("nacks_total", "Messages refused by clients")?,
            no_room: counter("no_room_total", "Outboxes without room")?,
            unread: counter("unread_total", "Owed messages not read from the disk, each time")?,
            not_encodable: counter("not_encodable_total", "Messages that cannot be said")?,
            breakers_opened: counter("breakers_opened_total", "Subscribers' breakers opened")?,
            transport_failures: counter(
                "transport_failures_total",
                "Links that broke with a message on its way",
            )?,
            holds_ended: counter(
                "holds_ended_total",
                "Breakers let go of because their subscriber was gone",
            )?,
            firsts_waiting: counting.gauge(
                "delivery_acks_firsts_waiting",
                "First deliveries that wait for their turn",
            )?,
            repeats_waiting: counting
                .gauge("delivery_acks_repeats_waiting", "Repeats that wait for their turn")?,
            couriers: counting
                .gauge("delivery_acks_couriers", "Subscribers somebody delivers to")?,
            looks: counting.gauge("delivery_acks_looks", "Subscribers with something due later")?,
            ending: counting
                .gauge("delivery_acks_ending", "Ends of pairs that the store does not have yet")?,
            store_retries: counter("store_retries_total", "Failed calls of the store")?,
            acknowledged: settled.with_label_values(&["acknowledged"]),
            unconfirmed: settled.with_label_values(&["unconfirmed"]),
            expired: settled.with_label_values(&["expired"]),
            dead: by_reason("dead_total", "Pairs that died on this node")?,
        })
    }

    #[cfg(test)]
    pub(super) fn died(&self, reason: crate::store::Reason) -> u64 {
        self.dead.with_label_values(&[reason.name()]).get()
    }

    pub(super) fn count(&self, outcome: &Outcome) {
        match outcome {
            Outcome::Acknowledged => self.acknowledged.inc(),
            Outcome::Unconfirmed => self.unconfirmed.inc(),
            Outcome::Expired => self.expired.inc(),
            Outcome::Dead(reason) => self.dead.with_label_values(&[reason.name()]).inc(),
        }
    }
}
