//! What this room counts.

use std::time::Duration;

use prometheus::{
    Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry,
};

use super::call::Reply;
use super::error::{CallError, HubError};
use crate::model::{Counting, HubName, TransportKind};

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

/// Seconds of a connection's life: 1 to 32 768, doubling, as Conduit has them.
const DURATION_BUCKETS: usize = 16;

/// The room's metrics, shared by all hubs.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Invocations by hub and outcome.
    pub invocations: IntCounterVec,
    /// Conversations that are under way, by hub.
    pub sessions: IntGaugeVec,
    /// Handshakes that were refused or never came, by hub.
    pub handshakes_refused: IntCounterVec,
    /// Connections that have shaken hands, by hub and transport.
    pub connected: IntCounterVec,
    /// Connections that are over, by hub, transport and reason; `unwelcome` when the hub refused.
    pub disconnected: IntCounterVec,
    /// How long they were open, by hub and transport.
    pub duration: HistogramVec,
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
            connected: counting.counters(
                "hub_connects_total",
                "Connections after their handshake",
                &["hub", "transport"],
            )?,
            disconnected: counting.counters(
                "hub_disconnects_total",
                "Connections that are over, by reason",
                &["hub", "transport", "reason"],
            )?,
            duration: counting.histograms(
                "hub_connection_duration_seconds",
                "How long connections were open",
                &["hub", "transport"],
                prometheus::exponential_buckets(1.0, 2.0, DURATION_BUCKETS)?,
            )?,
        })
    }

    pub(super) fn of_hub(&self, hub: &HubName) -> Counters {
        let hub = hub.as_str();
        let of_transport = |kind: TransportKind| Doors {
            connected: self.connected.with_label_values(&[hub, kind.name()]),
            duration: self.duration.with_label_values(&[hub, kind.name()]),
        };
        Counters {
            hub: hub.into(),
            doors: TransportKind::ALL.map(of_transport),
            disconnected: self.disconnected.clone(),
            outcomes: OUTCOMES.map(|name| self.invocations.with_label_values(&[hub, name])),
            sessions: self.sessions.with_label_values(&[hub]),
            handshakes_refused: self.handshakes_refused.with_label_values(&[hub]),
        }
    }
}

/// One hub's handles, resolved once.
pub(super) struct Counters {
    outcomes: [IntCounter; OUTCOMES.len()],
    sessions: IntGauge,
    pub(super) handshakes_refused: IntCounter,
    hub: Box<str>,
    /// In the order of [`TransportKind::ALL`].
    doors: [Doors; TransportKind::ALL.len()],
    disconnected: IntCounterVec,
}

/// One way into one hub.
struct Doors {
    connected: IntCounter,
    duration: Histogram,
}

impl Counters {
    fn door(&self, transport: TransportKind) -> &Doors {
        match transport {
            TransportKind::WebSockets => &self.doors[0],
            TransportKind::ServerSentEvents => &self.doors[1],
            TransportKind::LongPolling => &self.doors[2],
        }
    }

    pub(super) fn connected(&self, transport: TransportKind) {
        self.sessions.inc();
        self.door(transport).connected.inc();
    }

    pub(super) fn disconnected(
        &self,
        transport: TransportKind,
        reason: &'static str,
        lasted: Duration,
    ) {
        self.sessions.dec();
        self.disconnected.with_label_values(&[&*self.hub, transport.name(), reason]).inc();
        self.door(transport).duration.observe(lasted.as_secs_f64());
    }

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
