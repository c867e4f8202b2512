//! What this room counts.

use prometheus::{IntCounter, IntGauge, Registry};

use crate::model::Counting;

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
        let counting = Counting(registry);
        Ok(Self {
            published: counting
                .counter("delivery_published_total", "Events published on this node")?,
            deliveries: counting.counter("delivery_deliveries_total", "Appends to outboxes")?,
            expired: counting.counter("delivery_expired_total", "Events past their expiry")?,
            not_encodable: counting.counter(
                "delivery_not_encodable_total",
                "Events that could not be said in a receiver's protocol",
            )?,
            questions_open: counting.gauge("delivery_questions_open", "Open client results")?,
            questions_refused: counting.counter(
                "delivery_questions_refused_total",
                "Client results over the bound of open ones",
            )?,
        })
    }
}
