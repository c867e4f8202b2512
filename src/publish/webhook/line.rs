//! The line to one tenant: one call after another, until each event is told.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::backlog::Backlog;
use super::call::post;
use super::event::{Event, events_of};
use super::metrics::WebhookMetrics;
use super::replay::Replay;
use crate::auth::WebhookTarget;
use crate::delivery::{Breaker, BreakerLimits, Delivery, Ended, Moment, Permit};
use crate::publish::config::Config;

/// Waits after failures are uniform between nothing and a ceiling that doubles.
const WAIT_FIRST: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_secs(60);
/// Between two entries of a bookmark; each is a write of the store.
const BOOKMARK_EVERY: Duration = Duration::from_secs(1);
/// What ends is heard of a little later than the store dates it: at most the store's deadline.
const MARGIN_MS: u64 = 15_000;

/// One tenant's webhook.
pub(super) struct Line {
    target: WebhookTarget,
    delivery: Arc<Delivery>,
    timeout: Duration,
    metrics: WebhookMetrics,
    backlog: Mutex<Backlog>,
    more: Notify,
}

/// What the task of a line remembers.
#[derive(Default)]
struct Memory {
    breaker: Breaker,
    failures: u32,
    /// When its bookmark was kept last; none before there is one.
    kept: Option<Instant>,
}

impl Line {
    pub(super) fn new(
        target: WebhookTarget,
        delivery: Arc<Delivery>,
        config: &Config,
        metrics: WebhookMetrics,
    ) -> Arc<Self> {
        Arc::new(Self {
            target,
            delivery,
            timeout: config.webhook_timeout(),
            metrics,
            backlog: Mutex::new(Backlog::new(config.webhook_backlog_max)),
            more: Notify::new(),
        })
    }

    /// Must not wait.
    pub(super) fn heard(&self, ended: &[&Ended]) {
        let events = events_of(ended, self.target.settled);
        if events.is_empty() {
            return;
        }
        let mut backlog = self.backlog.lock();
        let before = backlog.len();
        if backlog.push(events) {
            self.metrics.overflows.inc();
        }
        self.metrics.waiting.add(gauge(backlog.len() - before));
        drop(backlog);
        self.more.notify_one();
    }

    /// Tells what there is, until `stop`.
    pub(super) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut memory = Memory::default();
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.tell_all(&mut memory) => {}
        }
        if memory.kept.is_some() {
            self.keep_bookmark().await;
        }
    }

    async fn tell_all(&self, memory: &mut Memory) {
        let start = self.delivery.now();
        let since = self.bookmark(memory).await.unwrap_or(start);
        self.backlog.lock().reads(Some(since));
        self.keep_bookmark_sometimes(memory).await;
        self.replay(since, memory).await;
        loop {
            let events = self.backlog.lock().next();
            if !events.is_empty() {
                self.tell(&events, memory).await;
                self.backlog.lock().told(events.len());
                self.metrics.waiting.sub(gauge(events.len()));
                self.keep_bookmark_sometimes(memory).await;
                continue;
            }
            let behind = self.backlog.lock().catch_up();
            match behind {
                Some(since) => self.replay(earlier(since), memory).await,
                None => self.more.notified().await,
            }
        }
    }

    /// What was told before the process ended, as far as the store knows.
    async fn bookmark(&self, memory: &mut Memory) -> Option<Moment> {
        loop {
            match self.delivery.bookmark(self.name()).await {
                Ok(place) => return place,
                Err(error) => self.wait_after(&error, memory).await,
            }
        }
    }

    /// Tells what ended since a moment.
    async fn replay(&self, since: Moment, memory: &mut Memory) {
        let mut replay = Replay::since(since);
        loop {
            let (tenant, settled) = (&self.target.tenant, self.target.settled);
            match replay.next(&self.delivery, tenant, settled).await {
                Ok(Some(events)) if events.is_empty() => {}
                Ok(Some(events)) => self.tell(&events, memory).await,
                Ok(None) => break,
                Err(error) => self.wait_after(&error, memory).await,
            }
        }
        self.backlog.lock().reads(None);
    }

    /// Calls until the call succeeds.
    async fn tell(&self, events: &[Event], memory: &mut Memory) {
        let limits = BreakerLimits::default();
        let told: Vec<_> = events.iter().map(Event::told).collect();
        let body = json!({ "tenant": self.name(), "events": told }).to_string();
        loop {
            if let Permit::Wait(until) = memory.breaker.permit(Instant::now()) {
                let until = until.unwrap_or_else(|| Instant::now() + WAIT_MAX);
                tokio::time::sleep_until(until).await;
                continue;
            }
            self.metrics.calls.inc();
            let WebhookTarget { url, secret, .. } = &self.target;
            let now = self.delivery.now().0 / 1_000;
            let called = post(url, secret, body.clone().into_bytes(), now, self.timeout).await;
            match called {
                Ok(()) => {
                    memory.breaker.succeeded(Instant::now(), &limits);
                    memory.failures = 0;
                    self.metrics.events.inc_by(events.len() as u64);
                    return;
                }
                Err(error) => {
                    self.metrics.failures.inc();
                    if memory.breaker.failed(Instant::now(), &limits) {
                        // The address may hold a secret, so it is not logged.
                        tracing::warn!(tenant = self.name(), %error, "a webhook fails");
                    }
                    self.wait_after(&error, memory).await;
                }
            }
        }
    }

    async fn wait_after(&self, error: &(dyn std::error::Error + Sync), memory: &mut Memory) {
        tracing::debug!(tenant = self.name(), %error, "a webhook has to wait");
        let ceiling = WAIT_FIRST.saturating_mul(1 << memory.failures.min(6)).min(WAIT_MAX);
        memory.failures = memory.failures.saturating_add(1);
        // The second half of a new id is random.
        let random = (uuid::Uuid::new_v4().as_u128() & 0xffff) as u32;
        tokio::time::sleep(ceiling.mul_f64(f64::from(random) / 65_536.0)).await;
    }

    async fn keep_bookmark_sometimes(&self, memory: &mut Memory) {
        let now = Instant::now();
        if memory.kept.is_none_or(|at| now.duration_since(at) >= BOOKMARK_EVERY) {
            memory.kept = Some(now);
            self.keep_bookmark().await;
        }
    }

    /// After a restart everything from here on is told (again).
    async fn keep_bookmark(&self) {
        let oldest = self.backlog.lock().oldest();
        let place = earlier(oldest.unwrap_or_else(|| self.delivery.now()));
        if let Err(error) = self.delivery.keep_bookmark(self.name(), place).await {
            tracing::debug!(tenant = self.name(), %error, "a webhook's bookmark is not kept");
        }
    }

    fn name(&self) -> &str {
        self.target.tenant.as_str()
    }
}

/// Where the store is read from, so that nothing that was heard of later is missed.
fn earlier(heard: Moment) -> Moment {
    Moment(heard.0.saturating_sub(MARGIN_MS))
}

fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
