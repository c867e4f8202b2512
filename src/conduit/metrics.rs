//! What this room counts.

use prometheus::{IntCounter, IntGauge, Registry};

use crate::model::Counting;

/// Handles resolved once.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(super) tasks: IntGauge,
    pub(super) tasks_dropped: IntCounter,
}

impl Metrics {
    /// Registers the room's metrics. Errors when the registry has them already.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let counting = Counting(registry);
        Ok(Self {
            tasks: counting.gauge("conduit_tasks", "Tasks whose owner is known")?,
            tasks_dropped: counting.counter(
                "conduit_tasks_dropped_total",
                "Tasks that were forgotten before their time, because the directory was full",
            )?,
        })
    }
}
