//! Ends of pairs on their way into the store: many at once, tried again until they are there.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::engine::{Acks, gauge};
use crate::store::{Answer, Ended, Moment, Settle, Store, Which};

/// Pairs of one call: a group commit's worth.
const BATCH_MAX: usize = 4_096;
/// How long a stopping node tries to hand in what is left.
const LAST_TRY: Duration = Duration::from_secs(5);

/// Pairs that were handed in, to be handed in again if that fails.
type UnderWay = (Vec<Settle>, Answer<Vec<Ended>>);

/// What waits to be handed in. Every flight ends once, so it is bounded by what is in flight.
#[derive(Default)]
pub(super) struct Settler {
    waiting: Mutex<Vec<Settle>>,
    under_way: Mutex<Vec<UnderWay>>,
    wake: Notify,
}

impl Settler {
    pub(super) fn add(&self, mut settles: Vec<Settle>) {
        if settles.is_empty() {
            return;
        }
        self.waiting.lock().append(&mut settles);
        self.wake.notify_one();
    }

    /// As [`Settler::hand_in`], for somebody who will not wait for the answers.
    pub(super) fn hurry(&self, store: &dyn Store, now: Moment) {
        self.hand_in(store, now);
        if !self.under_way.lock().is_empty() {
            self.wake.notify_one();
        }
    }

    /// Hands in what waits, at once: what the store is asked next is answered as if it were done.
    fn hand_in(&self, store: &dyn Store, now: Moment) {
        let mut waiting = self.waiting.lock();
        while !waiting.is_empty() {
            let count = waiting.len().min(BATCH_MAX);
            let batch: Vec<Settle> = waiting.drain(..count).collect();
            let answer = store.settle(batch.clone(), now);
            self.under_way.lock().push((batch, answer));
        }
    }

    fn next(&self) -> Option<UnderWay> {
        let mut under_way = self.under_way.lock();
        (!under_way.is_empty()).then(|| under_way.remove(0))
    }
}

impl Acks {
    /// Hands in what couriers settle, until `stop` and then what is left.
    pub(super) async fn settle_all(self: Arc<Self>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.settler.wake.notified() => {}
            }
            // What else is ready in this turn shares the call.
            tokio::task::yield_now().await;
            // What was handed in meanwhile is under way, whoever waits for the answer.
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.settle_once() => {}
            }
        }
        // A pair that is not handed in is delivered again after the restart.
        let _ = tokio::time::timeout(LAST_TRY, self.settle_once()).await;
    }

    /// Whatever was handed in has ended: in this call, in one before it whose answer was lost, or by
    /// somebody else. Also what another subscriber is owed by now.
    fn store_has(&self, batch: &[Settle]) {
        for settle in batch {
            if let Which::Seq(seq) = settle.message
                && let Some(courier) = self.courier(settle.subscriber)
            {
                courier.store_has(seq);
                self.forget_if_idle(&courier);
            }
        }
    }

    /// Everything that waits now, tried again until the store has it.
    async fn settle_once(self: &Arc<Self>) {
        let mut failures = 0;
        self.settler.hand_in(&*self.store, self.now());
        while let Some((batch, answer)) = self.settler.next() {
            match answer.await {
                Ok(ended) => {
                    failures = 0;
                    self.policy.metrics.ending.sub(gauge(batch.len()));
                    self.ended(&ended);
                    if ended.len() < batch.len() {
                        self.store_has(&batch);
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, pairs = batch.len(), "pairs cannot be settled yet");
                    self.policy.metrics.store_retries.inc();
                    tokio::time::sleep(self.policy.wait(failures)).await;
                    failures = failures.saturating_add(1);
                    let answer = self.store.settle(batch.clone(), self.now());
                    self.settler.under_way.lock().push((batch, answer));
                }
            }
        }
    }
}
