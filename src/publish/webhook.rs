//! Webhooks: a tenant is told what became of its messages, at least once.
//!
//! Every pair that ends on this node is heard of at once ([`Webhooks::begin`]) and waits in its
//! tenant's `backlog`; a task per tenant (`line`) makes one call after another (`call`), signed, with
//! a deadline, backoff and a breaker. What does not fit in the backlog, or was not told when the
//! process ended, is read again from the store (`replay`): from the bookmark that each line keeps.

mod backlog;
mod call;
mod event;
mod line;
mod metrics;
mod replay;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::config::Config;
use crate::auth::{Tenant, WebhookTarget};
use crate::delivery::{Delivery, Ended, Moment, NotAccepted, PairStatus};
use line::Line;

pub use metrics::WebhookMetrics;

/// The webhooks of all tenants that have one.
pub struct Webhooks {
    lines: HashMap<Tenant, Arc<Line>>,
    metrics: WebhookMetrics,
    /// When a pair ended last, by the store's clock; 0: none has.
    last_ended: AtomicU64,
}

impl Webhooks {
    /// Listens to what ends, as long as it lives, and starts a task for each webhook.
    pub fn start(
        targets: impl IntoIterator<Item = WebhookTarget>,
        delivery: &Arc<Delivery>,
        config: &Config,
        metrics: &WebhookMetrics,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Arc<Self> {
        let line = |target: WebhookTarget| {
            let tenant = target.tenant.clone();
            (tenant, Line::new(target, delivery.clone(), config, metrics.clone()))
        };
        let lines: HashMap<_, _> = targets.into_iter().map(line).collect();
        let own = Arc::new(Self { lines, metrics: metrics.clone(), last_ended: AtomicU64::new(0) });
        // Weak, because the lines hold the delivery that holds this.
        let (ear, clock) = (Arc::downgrade(&own), Arc::downgrade(delivery));
        delivery.on_ended(Arc::new(move |ended| {
            if let (Some(own), Some(delivery)) = (ear.upgrade(), clock.upgrade()) {
                own.heard(ended, delivery.now());
            }
        }));
        for line in own.lines.values() {
            tasks.spawn(line.clone().run(stop.clone()));
        }
        own
    }

    /// Forgets how far the webhooks had come that are not configured any more, so that nothing is
    /// kept for them for ever. One that is configured again later begins anew.
    pub async fn forget_others(self: Arc<Self>, delivery: Arc<Delivery>) {
        let own = self.lines.keys().map(Tenant::as_str);
        match delivery.forget_bookmarks(own).await {
            Ok(gone) if gone.is_empty() => {}
            Ok(gone) => {
                self.metrics.forgotten.inc_by(gone.len() as u64);
                tracing::info!(
                    count = gone.len(),
                    tenants = ?gone,
                    "what was kept for webhooks that are not configured any more is forgotten"
                );
            }
            Err(NotAccepted::NotConfigured) => {}
            // The next start does it.
            Err(error) => tracing::warn!(%error, "stale webhooks are not forgotten"),
        }
    }

    /// When a pair ended last on this node since it started.
    pub fn last_ended(&self) -> Option<Moment> {
        Some(self.last_ended.load(Ordering::Relaxed)).filter(|at| *at > 0).map(Moment)
    }

    /// Must not wait.
    fn heard(&self, ended: &[Ended], now: Moment) {
        if ended.iter().any(|pair| pair.status != PairStatus::Purged) {
            self.last_ended.store(now.0, Ordering::Relaxed);
        }
        if self.lines.is_empty() {
            return;
        }
        let mut of_tenants: HashMap<&Tenant, Vec<&Ended>> = HashMap::new();
        for pair in ended.iter().filter(|pair| self.lines.contains_key(&pair.tenant)) {
            of_tenants.entry(&pair.tenant).or_default().push(pair);
        }
        for (tenant, ended) in of_tenants {
            if let Some(line) = self.lines.get(tenant) {
                line.heard(&ended);
            }
        }
    }
}
