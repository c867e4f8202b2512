//! What webhooks count.

use prometheus::{IntCounter, IntGauge, Registry};

/// Handles resolved once.
#[derive(Clone, Debug)]
pub struct WebhookMetrics {
    pub(super) calls: IntCounter,
    pub(super) failures: IntCounter,
    pub(super) events: IntCounter,
    pub(super) overflows: IntCounter,
    pub(super) waiting: IntGauge,
}

impl WebhookMetrics {
    /// Registers them. Errors when the registry has them already.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str| -> prometheus::Result<IntCounter> {
            let counter = IntCounter::new(format!("publish_webhook_{name}_total"), help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let waiting = IntGauge::new("publish_webhook_waiting", "Events that wait to be told")?;
        registry.register(Box::new(waiting.clone()))?;
        Ok(Self {
            calls: counter("calls", "Calls of webhooks")?,
            failures: counter("failures", "Calls of webhooks that failed")?,
            events: counter("events", "Events that were told")?,
            overflows: counter("overflows", "Times a backlog was full; it is read again later")?,
            waiting,
        })
    }
}
