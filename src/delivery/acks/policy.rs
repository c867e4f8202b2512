//! What couriers share: the retry policy as it is used, and what they count.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::config::Config;
use super::metrics::Metrics;
use crate::delivery::breaker::BreakerLimits;
use crate::delivery::pair::Limits;
use crate::store::Moment;
use crate::timing::Backoff;

/// The policy of a node.
pub(super) struct Policy {
    pub(super) limits: Limits,
    pub(super) breaker: BreakerLimits,
    pub(super) unanswered_max: usize,
    pub(super) nack_delay_max: Duration,
    backoff: Backoff,
    pub(super) metrics: Metrics,
    started: (tokio::time::Instant, SystemTime),
}

impl Policy {
    pub(super) fn new(config: &Config, metrics: Metrics) -> Arc<Self> {
        Arc::new(Self {
            limits: config.limits(),
            breaker: config.breaker(),
            unanswered_max: config.unanswered_per_subscriber_max,
            nack_delay_max: Duration::from_millis(config.nack_delay_ms_max),
            backoff: config.backoff(),
            metrics,
            started: (tokio::time::Instant::now(), SystemTime::now()),
        })
    }

    /// The wait before the next try, after `n` failures of its kind.
    pub(super) fn wait(&self, n: u8) -> Duration {
        self.backoff.delay(u32::from(n), random())
    }

    /// Wall-clock time for the store. It goes on from the start by the monotonic clock, so that a
    /// clock that is set back expires nothing twice, and tests can pause it.
    pub(super) fn moment(&self) -> Moment {
        Moment::from(self.started.1 + self.started.0.elapsed())
    }
}

/// 64 bits that need not be secret.
fn random() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().1 << 8 ^ uuid::Uuid::new_v4().as_u64_pair().0
}
