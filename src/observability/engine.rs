//! What the engine of acknowledged delivery tells of itself.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::queue::{QueueProbe, QueueReport};
use crate::delivery::{BreakerState, Breakers, Counts, Delivery, NotAccepted, StoreHealth};

/// Asks a node's delivery, and through it the store.
pub struct Engine {
    delivery: Arc<Delivery>,
    pending_max: u64,
}

impl Engine {
    /// `pending_max`: how much may be owed in all, in pairs (`store.pending_max`).
    pub fn new(delivery: Arc<Delivery>, pending_max: u64) -> Self {
        Self { delivery, pending_max }
    }

    async fn report(&self) -> QueueReport {
        let mut complaints = Vec::new();
        let pairs = match self.delivery.delivery_stats().await {
            Ok(stats) => Some(stats.pairs),
            // Where nothing is kept nothing is owed.
            Err(NotAccepted::NotConfigured) => Some(Counts::default()),
            Err(error) => {
                tracing::debug!(%error, "the store was asked for health");
                complaints.push("the store does not answer".to_owned());
                None
            }
        };
        complaints.extend(self.delivery.store_health().iter().flat_map(complaints_of));
        let delivery = self.delivery.clone();
        // It looks at every subscriber, and there may be very many.
        let looking = tokio::task::spawn_blocking(move || (delivery.breakers(), delivery.queue()));
        // It ends early with the runtime only.
        let (breakers, under_way) = looking.await.unwrap_or_default();
        QueueReport {
            pairs,
            pending_max: Some(self.pending_max),
            breakers: Some(breakers.unwrap_or(ALL_CLOSED)),
            under_way: Some(under_way),
            complaints,
        }
    }
}

impl QueueProbe for Engine {
    fn look(&self) -> BoxFuture<'_, QueueReport> {
        Box::pin(self.report())
    }
}

/// Of a node that keeps nothing.
const ALL_CLOSED: Breakers =
    Breakers { store: BreakerState::Closed, store_failures: 0, open: 0, half_open: 0, isolated: 0 };

/// In words for everybody: what the disk said, and where, is in the log and behind the operators'
/// key.
fn complaints_of(health: &StoreHealth) -> Vec<String> {
    let mut found = Vec::new();
    if health.disk_full {
        found.push("the store's disk is full".to_owned());
    }
    if health.failing.is_some() {
        found.push("the store cannot write".to_owned());
    }
    if health.broken.is_some() {
        found.push("the store has stopped; only a restart helps".to_owned());
    }
    if let Some(damage) = &health.damage {
        found.push(format!(
            "a file of the store was damaged (records lost: {}), and no operator has acknowledged it",
            damage.lost
        ));
    }
    found
}
