//! What this room counts.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry};

use super::call::Reply;
use super::error::{CallError, HubError};
use crate::model::{Counting, HubName};

/// Labels of [`Metrics::invocations`]; none comes from a client.
const OUTCOMES: [&str; 9] = [
    "ok",
    "client_error",
    "internal_error",
    "no_such_method",
    "bad_arguments",
    "unauthorized",
    "wrong_kind",
    "id_in_use",
    "too_many_calls",
];

/// The room's metrics, shared by all hubs.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Invocations by hub and outcome.
    pub invocations: IntCounterVec,
    /// Conversations that are under way, by hub.
    pub sessions: IntGaugeVec,
    /// Handshakes that were refused or never came, by hub.
    pub handshakes_refused: IntCounterVec,
}

impl Metrics {
    /// Registers the room's metrics. Errors when the registry has them already.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let counting = Counting(registry);
        Ok(Self {
            invocations: counting.counters(
                "hub_invocations_total",
                "Invocations by outcome",
                &["hub", "outcome"],
            )?,
            sessions: counting.gauges(
                "hub_sessions",
                "Conversations under way, after their handshake",
                &["hub"],
            )?,
            handshakes_refused: counting.counters(
                "hub_handshakes_refused_total",
                "Handshakes that did not succeed",
                &["hub"],
            )?,
        })
    }

    pub(super) fn of_hub(&self, hub: &HubName) -> Counters {
        let hub = hub.as_str();
        Counters {
            outcomes: OUTCOMES.map(|name| self.invocations.with_label_values(&[hub, name])),
            sessions: self.sessions.with_label_values(&[hub]),
            handshakes_refused: self.handshakes_refused.with_label_values(&[hub]),
        }
    }
}

/// One hub's handles, resolved once.
pub(super) struct Counters {
    outcomes: [IntCounter; OUTCOMES.len()],
    pub(super) sessions: IntGauge,
    pub(super) handshakes_refused: IntCounter,
}

impl Counters {
    pub(super) fn count(&self, outcome: &Result<Reply, CallError>) {
        let place = match outcome {
            Ok(_) => 0,
            Err(CallError::Failed(HubError::Client(_)))
            | Err(CallError::StreamFailed(HubError::Client(_))) => 1,
            Err(CallError::Failed(_) | CallError::StreamFailed(_)) => 2,
            Err(CallError::NoSuchMethod) => 3,
            Err(CallError::BadArguments(_)) => 4,
            Err(CallError::Unauthorized) => 5,
            Err(CallError::IsStreaming | CallError::NotStreaming) => 6,
            Err(CallError::IdInUse) => 7,
            Err(CallError::TooManyCalls { .. }) => 8,
        };
        self.outcomes[place].inc();
    }
}
