//! What the engine of acknowledged delivery says about itself.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Breakers {
    /// That are open.
    pub open: usize,
    /// That are being probed.
    pub half_open: usize,
    /// That an operator holds open.
    pub isolated: usize,
}

/// The state of the queue, in pairs (message, subscriber). What is not known stays none and is told
/// as `null`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueueReport {
    /// Owed and not settled.
    pub pending_messages: Option<u64>,
    /// Dead letters.
    pub dead_letter_messages: Option<u64>,
    /// Settled as acknowledged or unconfirmed.
    pub processed_messages: Option<u64>,
    /// Expired or dead.
    pub failed_messages: Option<u64>,
    /// The worst of the breakers that concern everybody: store and backplane.
    pub circuit_breaker_state: Option<CircuitState>,
    /// Breakers of single destinations.
    pub destinations: Option<Breakers>,
    /// What an operator must acknowledge before the node is healthy again, in a sentence each.
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
