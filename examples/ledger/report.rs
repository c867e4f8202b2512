//! The one line of JSON, and whether it proves or refutes.

use serde::Serialize;

use crate::backlog::Backlog;
use crate::faults::Counted;

/// Everything that is known at the end. Counts are in pairs (message, subscriber) but for `accepted`,
/// `refused` and `unanswered`, which are messages.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) seed: u64,
    pub(crate) accepted: u64,
    pub(crate) refused: u64,
    /// Neither accepted nor refused, however often repeated.
    pub(crate) unanswered: u64,
    /// What the server says it keeps.
    pub(crate) targeted: u64,
    pub(crate) acknowledged: u64,
    pub(crate) unconfirmed: u64,
    pub(crate) expired: u64,
    pub(crate) dead: u64,
    pub(crate) pending: u64,
    /// Not handled, not expired, no dead letter; or pending still.
    pub(crate) lost: u64,
    pub(crate) handled_twice: u64,
    pub(crate) redelivered: u64,
    pub(crate) reordered: u64,
    /// Refused messages that were handled.
    pub(crate) refused_but_handled: u64,
    /// Handled at least once.
    pub(crate) handled: u64,
    /// Not handled by somebody who may have been away for longer than a session lives.
    pub(crate) unchecked: u64,
    /// Subscribers that were not there at the end.
    pub(crate) absent: u64,
    #[serde(flatten)]
    pub(crate) faults: Counted,
    /// Publishes without an answer that were repeated.
    pub(crate) repeated: u64,
    /// Connections that ended.
    pub(crate) disconnects: u64,
    /// Events that said that something ordinary is missing.
    pub(crate) gaps: u64,
    pub(crate) settle_ms: u64,
    /// Restarts that ended by themselves and were tried again.
    pub(crate) failed_starts: u64,
    pub(crate) ready_ms_max: u64,
    pub(crate) away_ms_p99: Option<f64>,
    /// Acknowledged deliveries from the first publish to the last settlement.
    pub(crate) acknowledged_per_second: f64,
    /// Shares of a core, while was published and settled.
    pub(crate) server_cpu: f64,
    pub(crate) ledger_cpu: f64,
    /// While was published.
    pub(crate) handled_per_second: f64,
    pub(crate) answer_ms_p50: Option<f64>,
    pub(crate) answer_ms_p99: Option<f64>,
    pub(crate) ack_ms_p50: Option<f64>,
    pub(crate) ack_ms_p99: Option<f64>,
    pub(crate) fdatasync_ms_p50: f64,
    pub(crate) fdatasync_ms_p99: f64,
    pub(crate) fdatasyncs_per_second: f64,
    pub(crate) server_rss_mib: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) backlog: Option<Backlog>,
    /// Sums that do not add up and answers that no server may give, in words.
    pub(crate) broken: Vec<String>,
}

impl Report {
    /// Whether the promise held.
    pub(crate) fn proves(&self) -> bool {
        let Self {
            lost, handled_twice, reordered, refused_but_handled, unanswered, absent, ..
        } = self;
        [lost, handled_twice, reordered, refused_but_handled, unanswered, absent]
            .into_iter()
            .all(|count| *count == 0)
            && self.broken.is_empty()
    }
}
