//! What the engine of acknowledged delivery says about itself.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use serde::Serialize;
use tokio::time::Instant;

use super::shape::{self, serialize_as_number};

/// A look at the queue that takes longer counts as none.
const DEADLINE: Duration = Duration::from_secs(2);
/// Anybody may ask, so the queue is looked at so often at most, however many ask.
const FRESH: Duration = Duration::from_secs(1);

/// A breaker, numbered as Conduit numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CircuitState {
    /// Lets everything through.
    Closed = 0,
    /// Lets nothing through.
    Open = 1,
    /// Lets one probe through.
    HalfOpen = 2,
    /// Held open by an operator.
    Isolated = 3,
}

impl CircuitState {
    /// Its name in Conduit's answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "Closed",
            Self::Open => "Open",
            Self::HalfOpen => "HalfOpen",
            Self::Isolated => "Isolated",
        }
    }

    /// Whether anything but a probe is let through.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Open | Self::Isolated)
    }
}

/// Breakers that guard single destinations (subscribers, upstreams), as counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Breakers {
    /// That are open.
    pub open: usize,
    /// That are being probed.
    pub half_open: usize,
    /// That an operator holds open.
    pub isolated: usize,
}

/// The state of the queue, in pairs (message, subscriber). What is not known stays none and is told
/// as `null`. Its JSON is Conduit's `QueueStatistics`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueReport {
    /// Owed and not settled.
    pub pending_messages: Option<u64>,
    /// Dead letters.
    pub dead_letter_messages: Option<u64>,
    /// Settled as acknowledged or unconfirmed.
    pub processed_messages: Option<u64>,
    /// Expired or dead.
    pub failed_messages: Option<u64>,
    /// When the last one settled.
    #[serde(serialize_with = "shape::serialize_moment")]
    pub last_processed_at: Option<SystemTime>,
    /// The worst of the breakers that concern everybody: store and backplane.
    #[serde(serialize_with = "serialize_as_number")]
    pub circuit_breaker_state: Option<CircuitState>,
    /// Failures in a row behind it.
    pub consecutive_failures: Option<u32>,
    /// Breakers of single destinations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destinations: Option<Breakers>,
    /// What an operator must acknowledge before the node is healthy again, in a sentence each.
    #[serde(skip)]
    pub complaints: Vec<String>,
}

/// Implemented by whoever has the queue. Asked at most once a second, and only while somebody looks.
pub trait QueueProbe: Send + Sync + 'static {
    /// The state now.
    fn look(&self) -> BoxFuture<'_, QueueReport>;
}

/// The latest report.
pub(super) struct Queue {
    probe: Option<Arc<dyn QueueProbe>>,
    /// Held while the probe looks, so that those who come meanwhile share its answer.
    seen: tokio::sync::Mutex<Option<(Instant, QueueReport)>>,
}

impl Queue {
    pub(super) fn new(probe: Option<Arc<dyn QueueProbe>>) -> Self {
        Self { probe, seen: tokio::sync::Mutex::new(None) }
    }

    /// A report that is not older than a second; an empty one without a probe.
    pub(super) async fn report(&self) -> QueueReport {
        let Some(probe) = &self.probe else { return QueueReport::default() };
        let mut seen = self.seen.lock().await;
        if let Some((at, report)) = &*seen
            && at.elapsed() < FRESH
        {
            return report.clone();
        }
        let report = match tokio::time::timeout(DEADLINE, probe.look()).await {
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
