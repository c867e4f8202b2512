//! What this room counts.

use prometheus::{IntCounter, IntGauge, Registry};

/// Handles resolved once.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Events taken from publishers and hub methods.
    pub published: IntCounter,
    /// Appends to outboxes that these caused.
    pub deliveries: IntCounter,
    /// Events that were too old when their turn came.
    pub expired: IntCounter,
    /// Events that could not be said in some receivers' protocol.
    pub not_encodable: IntCounter,
    /// Questions to clients that are open.
    pub questions_open: IntGauge,
    /// Questions refused because too many were open.
    pub questions_refused: IntCounter,
}

impl Metrics {
    /// Registers the room's metrics. Errors when the registry has them already.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str| -> prometheus::Result<IntCounter> {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let questions_open = IntGauge::new("delivery_questions_open", "Open client results")?;
        registry.register(Box::new(questions_open.clone()))?;
        Ok(Self {
            published: counter("delivery_published_total", "Events published on this node")?,
            deliveries: counter("delivery_deliveries_total", "Appends to outboxes")?,
            expired: counter("delivery_expired_total", "Events past their expiry")?,
            not_encodable: counter(
                "delivery_not_encodable_total",
                "Events that could not be said in a receiver's protocol",
            )?,
            questions_open,
            questions_refused: counter(
                "delivery_questions_refused_total",
                "Client results over the bound of open ones",
            )?,
        })
    }
}
