//! What this room counts.

use prometheus::{IntCounter, IntGauge, Registry};

/// Handles resolved once.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(super) tasks: IntGauge,
    pub(super) tasks_dropped: IntCounter,
}

impl Metrics {
    /// Registers the room's metrics. Errors when the registry has them already.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let tasks = IntGauge::new("conduit_tasks", "Tasks whose owner is known")?;
        registry.register(Box::new(tasks.clone()))?;
        let dropped = "Tasks that were forgotten before their time, because the directory was full";
        let tasks_dropped = IntCounter::new("conduit_tasks_dropped_total", dropped)?;
        registry.register(Box::new(tasks_dropped.clone()))?;
        Ok(Self { tasks, tasks_dropped })
    }
}
