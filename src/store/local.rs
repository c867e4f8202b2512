//! The store of one node: the ledger behind a lock, and in embedded mode a log before it.

mod content;
mod serving;

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::ready;
use parking_lot::Mutex;

use super::config::{Config, Mode};
use super::health::Health;
use super::interface::Answer;
use super::ledger::Ledger;
use super::message::{Acceptance, Accepted};
use super::metrics::Metrics;
use super::names::MessageSeq;

/// A store that belongs to one process.
pub struct LocalStore {
    shared: Arc<Shared>,
}

/// What the store's callers and its thread see.
pub(super) struct Shared {
    pub(super) config: Arc<Config>,
    pub(super) ledger: Mutex<Ledger>,
    pub(super) health: Mutex<Health>,
    pub(super) metrics: Metrics,
    /// Accepted messages whose publisher's future was gone.
    unheard: Mutex<Vec<MessageSeq>>,
}

impl LocalStore {
    /// A store that forgets everything when it is dropped.
    pub fn in_memory(config: Config, metrics: Metrics) -> Self {
        let config = Arc::new(config);
        let ledger = Ledger::new(config.clone(), false);
        let health = Health {
            mode: Mode::Memory,
            disk_full: false,
            failing: None,
            broken: None,
            damage: None,
        };
        Self { shared: Arc::new(Shared::new(config, ledger, health, metrics)) }
    }

    fn read<T: Send + 'static>(&self, question: impl FnOnce(&Ledger) -> T) -> Answer<T> {
        ready(Ok(question(&self.shared.ledger.lock()))).boxed()
    }

    fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Ledger) -> T + Send + 'static,
    ) -> Answer<T> {
        self.accepting(change, |done| done)
    }

    /// Like [`LocalStore::change`], for what must be taken back when it cannot be written; `wrap`
    /// is called once it is durable.
    fn accepting<T: Send + 'static, U: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Ledger) -> T + Send + 'static,
        wrap: impl FnOnce(T) -> U + Send + 'static,
    ) -> Answer<U> {
        let mut ledger = self.shared.ledger.lock();
        let done = change(&mut ledger);
        ledger.committed();
        drop(ledger);
        self.shared.gauge();
        ready(Ok(wrap(done))).boxed()
    }
}

impl Shared {
    pub(super) fn new(
        config: Arc<Config>,
        ledger: Ledger,
        health: Health,
        metrics: Metrics,
    ) -> Self {
        Self {
            config,
            ledger: Mutex::new(ledger),
            health: Mutex::new(health),
            metrics,
            unheard: Mutex::new(Vec::new()),
        }
    }

    /// Shows the size of the ledger.
    pub(super) fn gauge(&self) {
        let stats = self.ledger.lock().stats();
        let set = |gauge: &prometheus::IntGauge, value: u64| {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        set(&self.metrics.pending, stats.pairs.pending);
        set(&self.metrics.dead, stats.pairs.dead);
        set(&self.metrics.bytes, stats.bytes);
        set(&self.metrics.subscribers, stats.subscribers);
    }

    /// Hands over messages that were accepted for nobody's ears.
    fn take_unheard(&self, limit: usize) -> Vec<Accepted> {
        let mut unheard = self.unheard.lock();
        let count = unheard.len().min(limit);
        let seqs: Vec<MessageSeq> = unheard.drain(..count).collect();
        drop(unheard);
        let ledger = self.ledger.lock();
        let accepted = |seq| Accepted { seq, subscribers: ledger.owing(seq) };
        seqs.into_iter().map(accepted).filter(|found| !found.subscribers.is_empty()).collect()
    }
}

/// An acceptance on its way to whoever waits for it. Dropped on the way, it is remembered.
struct OnItsWay {
    acceptance: Option<Acceptance>,
    shared: Arc<Shared>,
}

impl OnItsWay {
    /// It has arrived.
    fn arrived(mut self) -> Option<Acceptance> {
        self.acceptance.take()
    }
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        if let Some(Acceptance::Accepted(accepted)) = self.acceptance.take() {
            self.shared.unheard.lock().push(accepted.seq);
        }
    }
}
