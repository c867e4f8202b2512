//! What this room counts.

use std::collections::HashMap;

use prometheus::{IntCounter, IntCounterVec, Registry};

use super::problem::Problem;
use crate::model::Counting;

/// Handles resolved once. The hubs are the configured ones, the statuses our own, so the number of
/// series is bounded whatever is asked.
pub struct Metrics {
    accepted: HashMap<String, IntCounter>,
    repeated: HashMap<String, IntCounter>,
    broadcasts: IntCounter,
    refused: IntCounterVec,
}

impl Metrics {
    /// Registers the room's metrics. Errors when the registry has them already.
    pub fn new<'a>(
        registry: &Registry,
        hubs: impl IntoIterator<Item = &'a str>,
    ) -> prometheus::Result<Self> {
        let counting = Counting(registry);
        let accepted = counting.counters(
            "publish_accepted_total",
            "Messages taken from back ends",
            &["hub"],
        )?;
        let repeated = counting.counters(
            "publish_repeated_total",
            "Messages that had been taken before: answered, and not published again",
            &["hub"],
        )?;
        let broadcasts =
            counting.counter("publish_broadcasts_total", "Bodies of /api/broadcast")?;
        let refused = counting.counters(
            "publish_refused_total",
            "Requests of back ends that were refused",
            &["status"],
        )?;
        let hubs: Vec<&str> = hubs.into_iter().collect();
        let by_hub = |counters: &IntCounterVec| {
            let of_hub = |hub: &&str| ((*hub).to_owned(), counters.with_label_values(&[*hub]));
            hubs.iter().map(of_hub).collect()
        };
        let (accepted, repeated) = (by_hub(&accepted), by_hub(&repeated));
        Ok(Self { accepted, repeated, broadcasts, refused })
    }

    pub(super) fn accepted(&self, hub: &str) {
        if let Some(counter) = self.accepted.get(hub) {
            counter.inc();
        }
    }

    pub(super) fn repeated(&self, hub: &str) {
        if let Some(counter) = self.repeated.get(hub) {
            counter.inc();
        }
    }

    pub(super) fn broadcast(&self) {
        self.broadcasts.inc();
    }

    pub(super) fn refused(&self, problem: &Problem) {
        self.refused.with_label_values(&[problem.status().to_string()]).inc();
    }
}
