//! The queue of acknowledged messages as health sees it, and whoever is asked for it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::shape;
use crate::delivery::{Breakers, Counts, Moment, Queue};

/// A look at the queue that takes longer counts as none.
const DEADLINE: Duration = Duration::from_secs(2);
/// Anybody may ask, so the queue is looked at so often at most, however many ask.
const FRESH: Duration = Duration::from_secs(1);

/// The state of the queue. Counts are in pairs (message, subscriber). What is not known stays none
/// and is told as `null`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueReport {
    /// What became of everything that was ever accepted.
    pub pairs: Option<Counts>,
    /// How many pairs may be owed at a time.
    pub pending_max: Option<u64>,
    /// The store's breaker, and those of subscribers as counts: one client that does not answer is
    /// nobody else's problem.
    pub breakers: Option<Breakers>,
    /// What is being delivered by this node.
    pub under_way: Option<Queue>,
    /// What is wrong besides, in a sentence each.
    pub complaints: Vec<String>,
}

impl QueueReport {
    /// Conduit's `MessageQueueStatistics`. `circuitBreakerState` is the store's: Conduit knows one
    /// breaker, and it must not open for all when one subscriber does not answer. Theirs are counts.
    pub(super) fn statistics(&self, last_ended: Option<Moment>) -> Value {
        let (pairs, breakers) = (self.pairs.as_ref(), self.breakers.as_ref());
        json!({
            "pendingMessages": pairs.map(|own| own.pending),
            "deadLetterMessages": pairs.map(|own| own.dead),
            "processedMessages": pairs.map(|own| own.acknowledged + own.unconfirmed),
            "failedMessages": pairs.map(|own| own.dead + own.purged + own.expired),
            "lastProcessedAt": last_ended.map(|at| shape::moment(at.into())),
            "circuitBreakerState": breakers.map(|own| own.store as u8),
            "consecutiveFailures": breakers.map(|own| own.store_failures),
            "subscriberBreakers": {
                "open": breakers.map(|own| own.open),
                "halfOpen": breakers.map(|own| own.half_open),
                "isolated": breakers.map(|own| own.isolated),
            },
        })
    }
}

/// Implemented by whoever has the queue. Asked at most once a second, and only while somebody looks.
pub trait QueueProbe: Send + Sync + 'static {
    /// The state now.
    fn look(&self) -> BoxFuture<'_, QueueReport>;
}

/// The latest report.
pub(super) struct Latest {
    probe: Arc<dyn QueueProbe>,
    /// Held while the probe looks, so that those who come meanwhile share its answer.
    seen: Mutex<Option<(Instant, QueueReport)>>,
}

impl Latest {
    pub(super) fn new(probe: Arc<dyn QueueProbe>) -> Self {
        Self { probe, seen: Mutex::new(None) }
    }

    /// A report that is not older than a second.
    pub(super) async fn report(&self) -> QueueReport {
        let mut seen = self.seen.lock().await;
        if let Some((at, report)) = &*seen
            && at.elapsed() < FRESH
        {
            return report.clone();
        }
        let report = match tokio::time::timeout(DEADLINE, self.probe.look()).await {
            Ok(report) => report,
            Err(_elapsed) => QueueReport {
                complaints: vec!["the queue did not answer in time".to_owned()],
                ..QueueReport::default()
            },
        };
        *seen = Some((Instant::now(), report.clone()));
        report
    }
}
