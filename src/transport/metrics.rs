//! What this room counts.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Registry};

use crate::model::Counting;

/// Handles resolved once.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Answered requests of hubs, by what they were and their status.
    pub requests: IntCounterVec,
    /// Sockets turned away or lost before they spoke, by reason.
    pub refused: IntCounterVec,
    /// Sockets handed over after an upgrade.
    pub upgrades: IntCounter,
    /// Ids given out.
    pub negotiates: IntCounter,
    /// Ids that wait for their transport.
    pub unattached: IntGauge,
    /// Ids whose transport never came.
    pub unattached_expired: IntCounter,
    /// Open sockets, upgraded ones included.
    pub sockets: IntGauge,
    /// User-Agents that were not kept because there were too many different ones.
    pub agents_not_kept: IntCounter,
    /// WebSockets closed because of a broken frame.
    pub websocket_violations: IntCounter,
}

impl Metrics {
    /// Registers the room's metrics. Errors when the registry has them already.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let counting = Counting(registry);
        Ok(Self {
            requests: counting.counters(
                "transport_requests_total",
                "Answered requests of hubs by kind and status",
                &["kind", "status"],
            )?,
            refused: counting.counters(
                "transport_refused_total",
                "Sockets and ids refused by reason",
                &["reason"],
            )?,
            upgrades: counting.counter("transport_upgrades_total", "WebSockets opened")?,
            negotiates: counting
                .counter("transport_negotiates_total", "Connection ids given out")?,
            unattached: counting
                .gauge("transport_unattached", "Ids that wait for their transport")?,
            unattached_expired: counting
                .counter("transport_unattached_expired_total", "Ids whose transport never came")?,
            sockets: counting.gauge("transport_sockets", "Open sockets, upgraded ones included")?,
            agents_not_kept: counting.counter(
                "transport_agents_not_kept_total",
                "User-Agents not kept for want of room",
            )?,
            websocket_violations: counting.counter(
                "transport_websocket_violations_total",
                "WebSockets closed because of a broken frame",
            )?,
        })
    }

    pub(super) fn refuse(&self, reason: &str) {
        self.refused.with_label_values(&[reason]).inc();
    }
}
