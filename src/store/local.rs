//! The store of one node: the ledger behind a lock, and in embedded mode a log before it.

mod content;
mod reports;
mod serving;
mod unheard;

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::ready;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::config::{Config, Mode};
use super::disk::{Disk, Folder, OpenError};
use super::health::Health;
use super::interface::{Answer, StoreError};
use super::ledger::Ledger;
use super::log::{Files, Reading};
use super::metrics::Metrics;
use super::names::Moment;
use super::writer::{Done, Job, Purpose, Writer};
use reports::Reports;
use unheard::Unheard;

/// A store that belongs to one process.
pub struct LocalStore {
    pub(super) shared: Arc<Shared>,
    /// The thread before which changes queue in embedded mode.
    thread: Option<StoreThread>,
}

struct StoreThread {
    /// None once the store is being closed.
    queue: Option<SyncSender<Job>>,
    files: Arc<Files>,
    disk: Arc<dyn Disk>,
    thread: Option<JoinHandle<()>>,
}

/// What the store's callers and its thread see.
pub(super) struct Shared {
    pub(super) config: Arc<Config>,
    pub(super) ledger: Mutex<Ledger>,
    pub(super) health: Mutex<Health>,
    pub(super) metrics: Metrics,
    /// What came of calls whose callers are gone.
    pub(super) unheard: Unheard,
    /// What was said of contents that were not read.
    reports: Reports,
}

impl LocalStore {
    /// A store that forgets everything when it is dropped.
    pub fn in_memory(config: Config, metrics: Metrics) -> Self {
        let config = Arc::new(config);
        let ledger = Ledger::new(config.clone(), false);
        let health = Health::new(Mode::Memory);
        Self { shared: Arc::new(Shared::new(config, ledger, health, metrics)), thread: None }
    }

    /// A store in files below `store.path`. Reads them, which takes a while when much is owed:
    /// not for an async thread.
    pub fn open(config: Config, metrics: Metrics, now: Moment) -> Result<Self, OpenError> {
        let folder = Folder::open(&config.path.join("store"))?;
        Self::open_on(Arc::new(folder), config, metrics, now)
    }

    pub(super) fn open_on(
        disk: Arc<dyn Disk>,
        config: Config,
        metrics: Metrics,
        now: Moment,
    ) -> Result<Self, OpenError> {
        let config = Arc::new(config);
        let mut ledger = Ledger::new(config.clone(), true);
        let Reading { log, found, unseen } = Reading::of(disk.clone(), &mut ledger, now)?;
        if let Some(found) = &found {
            tracing::error!(damage = ?found, "the store's files were damaged");
            metrics.records_lost.inc_by(found.lost);
            metrics.files_set_aside.inc_by(found.set_aside.len() as u64);
            ledger.reconcile();
        }
        ledger.open_segment(log.head());
        ledger.read_back(now);
        let health = Health { damage: unseen, ..Health::new(Mode::Embedded) };
        let files = log.files();
        let shared = Arc::new(Shared::new(config, ledger, health, metrics));
        let (queue, jobs) = sync_channel(shared.config.queue_max);
        let writer = Writer::begin(shared.clone(), log);
        let thread =
            std::thread::Builder::new().name("store".into()).spawn(move || writer.run(&jobs))?;
        let thread = StoreThread { queue: Some(queue), files, disk, thread: Some(thread) };
        Ok(Self { shared, thread: Some(thread) })
    }

    fn read<T: Send + 'static>(&self, question: impl FnOnce(&Ledger) -> T) -> Answer<T> {
        ready(Ok(question(&self.shared.ledger.lock()))).boxed()
    }

    /// Makes a change that no log has to know of, at once: it does not wait for the disk, and works
    /// while that is full. `attempt` hands the question back when the log has to know; so does this
    /// when the store's thread is no more, and the ledger may be in the middle of something.
    pub(super) fn at_once<Q, T>(
        &self,
        question: Q,
        attempt: impl FnOnce(&mut Ledger, Q) -> Result<T, Q>,
    ) -> Result<T, Q> {
        if self.thread.is_some() && self.shared.health.lock().broken.is_some() {
            return Err(question);
        }
        attempt(&mut self.shared.ledger.lock(), question)
    }

    pub(super) fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Ledger) -> T + Send + 'static,
    ) -> Answer<T> {
        self.submit(Purpose::Change, change, |done| done)
    }

    /// A change that is never refused.
    pub(super) fn finish<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Ledger) -> T + Send + 'static,
    ) -> Answer<T> {
        self.submit(Purpose::End, change, |done| done)
    }

    /// Makes a change; `wrap` is called once it is durable.
    fn submit<T: Send + 'static, U: Send + 'static>(
        &self,
        purpose: Purpose,
        change: impl FnOnce(&mut Ledger) -> T + Send + 'static,
        wrap: impl FnOnce(T) -> U + Send + 'static,
    ) -> Answer<U> {
        if let Some(thread) = &self.thread {
            return thread.submit(purpose, change, wrap, self.shared.config.deadline());
        }
        let mut ledger = self.shared.ledger.lock();
        let done = change(&mut ledger);
        ledger.committed();
        drop(ledger);
        self.shared.gauge(0);
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
            unheard: Unheard::default(),
            reports: Reports::default(),
        }
    }

    /// Why nothing is accepted, or that it is.
    pub(super) fn set_trouble(&self, error: Option<&StoreError>) {
        let mut health = self.health.lock();
        health.disk_full = error == Some(&StoreError::DiskFull);
        health.failing = error.filter(|_| !health.disk_full).map(ToString::to_string);
    }

    /// Shows the size of the ledger and of its log.
    pub(super) fn gauge(&self, log_bytes: u64) {
        let mut ledger = self.ledger.lock();
        let (stats, (deaths, forgotten)) = (ledger.stats(), ledger.count_deaths());
        let former = ledger.count_former();
        drop(ledger);
        let set = |gauge: &prometheus::IntGauge, value: u64| {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        set(&self.metrics.pending, stats.pairs.pending);
        set(&self.metrics.dead, stats.pairs.dead);
        set(&self.metrics.bytes, stats.bytes);
        set(&self.metrics.log_bytes, log_bytes);
        set(&self.metrics.subscribers, stats.subscribers);
        set(&self.metrics.deaths, deaths);
        set(&self.metrics.former, former);
        self.metrics.deaths_forgotten.inc_by(forgotten);
    }
}

impl StoreThread {
    fn submit<T: Send + 'static, U: Send + 'static>(
        &self,
        purpose: Purpose,
        change: impl FnOnce(&mut Ledger) -> T + Send + 'static,
        wrap: impl FnOnce(T) -> U + Send + 'static,
        deadline: Duration,
    ) -> Answer<U> {
        let (tell, told) = oneshot::channel();
        let run = move |ledger: Result<&mut Ledger, StoreError>| -> Option<Done> {
            match ledger {
                Ok(ledger) => {
                    let done = change(ledger);
                    Some(Box::new(move |outcome| {
                        _ = tell.send(outcome.map(|()| wrap(done)));
                    }))
                }
                Err(error) => {
                    _ = tell.send(Err(error));
                    None
                }
            }
        };
        let queued = self.queue.as_ref().map(|queue| {
            queue.try_send(Job { purpose, run: Box::new(run) }).map_err(|full| match full {
                TrySendError::Full(_) => StoreError::Busy,
                TrySendError::Disconnected(_) => StoreError::Closed,
            })
        });
        if let Err(error) = queued.unwrap_or(Err(StoreError::Closed)) {
            return ready(Err(error)).boxed();
        }
        let answer = async move {
            match tokio::time::timeout(deadline, told).await {
                Ok(told) => told.unwrap_or(Err(StoreError::Closed)),
                Err(_elapsed) => Err(StoreError::Deadline),
            }
        };
        answer.boxed()
    }
}

impl Drop for StoreThread {
    /// Waits until what was asked for is written.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // It reports a panic itself.
            _ = thread.join();
        }
    }
}
