//! The clock of a node: looks at couriers when a pair is due, hands out repeats, sweeps the store.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::engine::{Acks, gauge};
use crate::store::{Accepted, SubscriberId};

/// What the store's own time does is looked for so often.
const SWEEP: Duration = Duration::from_secs(1);
/// Pairs of one sweep.
const SWEEP_LIMIT: usize = 4_096;

impl Acks {
    /// Runs until `stop`. Coarse: a look or repeat that is due waits for the next tick.
    pub(super) async fn keep_time(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let next = self.next_look();
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.earlier.notified() => continue,
                () = sleep_until(next) => {}
            }
            self.look_at_due(Instant::now());
            self.hand_out_repeats();
            // At most one round per interval.
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(self.config.interval()) => {}
            }
        }
    }

    /// When to look; now when repeats wait.
    fn next_look(&self) -> Option<Instant> {
        if self.repeats.lock().len() > 0 {
            return Some(Instant::now());
        }
        self.looks.lock().first()
    }

    fn look_at_due(self: &Arc<Self>, now: Instant) {
        while let Some(subscriber) = self.take_due(now) {
            if let Some(courier) = self.courier(subscriber) {
                let errands = courier.look(now);
                self.run_errands(&courier, errands);
            }
        }
    }

    fn take_due(&self, now: Instant) -> Option<SubscriberId> {
        let mut looks = self.looks.lock();
        let due = looks.take_due(now);
        self.policy.metrics.looks.set(gauge(looks.len()));
        due
    }

    /// At most a batch of repeats per tick; first deliveries never wait here.
    fn hand_out_repeats(self: &Arc<Self>) {
        for _ in 0..self.config.processing_batch_size {
            let Some(repeat) = self.repeats.lock().pop() else { break };
            if let Some(courier) = self.courier(repeat.subscriber) {
                let errands = courier.repeat(repeat.seq);
                self.run_errands(&courier, errands);
            }
        }
        self.policy.metrics.repeats_waiting.set(gauge(self.repeats.lock().len()));
    }

    /// Lets time pass in the store until `stop`: expiry, ends of sessions, messages nobody waited for.
    pub(super) async fn sweep(self: Arc<Self>, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(SWEEP);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            loop {
                match self.store.sweep(self.now(), SWEEP_LIMIT).await {
                    Ok(swept) => {
                        self.ended(&swept.ended);
                        self.moved(&swept.departed.moved);
                        for accepted in swept.unheard {
                            self.send_unheard(accepted);
                        }
                        if !swept.more {
                            break;
                        }
                    }
                    Err(error) => {
                        tracing::debug!(%error, "the store cannot be swept");
                        self.policy.metrics.store_retries.inc();
                        break;
                    }
                }
            }
            self.forget_the_gone().await;
        }
    }

    /// A message whose publisher did not wait for the answer. Couriers read it from the store.
    pub(super) fn send_unheard(self: &Arc<Self>, accepted: Accepted) {
        for subscriber in accepted.subscribers {
            if let Some(courier) = self.courier(subscriber) {
                let errands = courier.owed_unheard(accepted.seq);
                self.run_errands(&courier, errands);
            }
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
