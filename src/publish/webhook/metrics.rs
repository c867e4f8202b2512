//! What webhooks count.

use prometheus::{IntCounter, IntGauge, Registry};

use crate::model::Counting;

/// Handles resolved once.
#[derive(Clone, Debug)]
pub struct WebhookMetrics {
    pub(super) calls: IntCounter,
    pub(super) failures: IntCounter,
    pub(super) events: IntCounter,
    pub(super) overflows: IntCounter,
    pub(super) forgotten: IntCounter,
    pub(super) waiting: IntGauge,
}

impl WebhookMetrics {
    /// Registers them. Errors when the registry has them already.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let counting = Counting(registry);
        let counter = |name: &str, help: &str| {
            counting.counter(&format!("publish_webhook_{name}_total"), help)
        };
        Ok(Self {
            calls: counter("calls", "Calls of webhooks")?,
            failures: counter("failures", "Calls of webhooks that failed")?,
            events: counter("events", "Events that were told")?,
            overflows: counter("overflows", "Times a backlog was full; it is read again later")?,
            forgotten: counter("bookmarks_forgotten", "Tenants whose webhook is no more")?,
            waiting: counting.gauge("publish_webhook_waiting", "Events that wait to be told")?,
        })
    }
}
