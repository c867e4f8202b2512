//! Everything about acknowledged delivery that belongs to the node as a whole.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::absent::Absent;
use super::config::Config;
use super::courier::{Courier, Errands, Reading, Repeat};
use super::firsts::Firsts;
use super::hub::HubAcks;
use super::looks::Looks;
use super::message::Shelf;
use super::metrics::Metrics;
use super::opening::{Gaps, Turnstiles};
use super::order::Turns;
use super::policy::Policy;
use super::sending::{Page, Read};
use super::settler::Settler;
use crate::delivery::breaker::{Breaker, BreakerState};
use crate::delivery::lanes::Lanes;
use crate::model::{HubName, Tenant};
use crate::store::{
    Attempt, Ended, MessageSeq, Moment, Owed, PairStatus, Store, StoreError, SubscriberId, Unread,
};

/// Acknowledged delivery of one node.
pub(in crate::delivery) struct Acks {
    pub(super) store: Arc<dyn Store>,
    pub(super) config: Config,
    pub(super) policy: Arc<Policy>,
    pub(super) hubs: HashMap<HubName, HubAcks>,
    pub(super) shelf: Arc<Shelf>,
    pub(super) turns: Arc<Turns>,
    pub(super) settler: Settler,
    /// The store as a destination: it fails for everybody, so it has one breaker.
    pub(super) store_breaker: Mutex<Breaker>,
    /// Those of all connections, and of who was lost while something was tried in vain that it is
    /// still owed, or with a breaker that remembers it: bounded by connections and by the subscribers
    /// of the store.
    pub(super) couriers: RwLock<HashMap<SubscriberId, Arc<Courier>>>,
    pub(super) absent: Absent,
    pub(super) firsts: Firsts,
    pub(super) repeats: Mutex<Lanes<Tenant, Repeat>>,
    /// Couriers somebody must look at.
    pub(super) looks: Mutex<Looks>,
    /// The clock sleeps too long: there is an earlier look, or a repeat.
    pub(super) earlier: Notify,
    pub(super) readers: Semaphore,
    pub(super) turnstiles: Turnstiles,
    pub(super) gaps: Gaps,
    pub(super) tasks: TaskTracker,
    pub(super) on_ended: RwLock<Option<EndedSink>>,
}

/// Who hears of every pair that ended; must not block.
pub type EndedSink = Arc<dyn Fn(&[Ended]) + Send + Sync>;

impl Acks {
    pub(in crate::delivery) fn new(
        store: Arc<dyn Store>,
        config: &Config,
        hubs: HashMap<HubName, HubAcks>,
        metrics: Metrics,
        tasks: TaskTracker,
    ) -> Arc<Self> {
        Arc::new(Self {
            store,
            policy: Policy::new(config, metrics),
            config: config.clone(),
            hubs,
            shelf: Arc::default(),
            turns: Arc::default(),
            settler: Settler::default(),
            store_breaker: Mutex::default(),
            couriers: RwLock::default(),
            absent: Absent::default(),
            firsts: Firsts::new(),
            repeats: Mutex::new(Lanes::new()),
            looks: Mutex::default(),
            earlier: Notify::new(),
            readers: Semaphore::new(config.catching_up_max),
            turnstiles: Turnstiles::default(),
            gaps: Gaps::default(),
            tasks,
            on_ended: RwLock::default(),
        })
    }

    /// Starts what drives it.
    pub(in crate::delivery) fn start(self: &Arc<Self>, stop: &CancellationToken) {
        self.tasks.spawn(self.clone().settle_all(stop.clone()));
        self.tasks.spawn(self.clone().keep_time(stop.clone()));
        self.tasks.spawn(self.clone().sweep(stop.clone()));
    }

    pub(super) fn now(&self) -> Moment {
        self.policy.moment()
    }

    pub(super) fn courier(&self, subscriber: SubscriberId) -> Option<Arc<Courier>> {
        self.couriers.read().get(&subscriber).cloned()
    }

    /// Does what a courier could not do under its lock.
    pub(super) fn run_errands(self: &Arc<Self>, courier: &Arc<Courier>, errands: Errands) {
        let Errands { settles, failed, repeats, look_at, load } = errands;
        let mut failed = failed.into_iter();
        while failed.len() > 0 {
            // It rides the next commit; a history that misses an attempt misleads nobody for long.
            let attempts = failed.by_ref().take(Attempt::NOTED_MAX).collect();
            drop(self.store.note_attempts(courier.subscriber, attempts));
        }
        self.policy.metrics.ending.add(gauge(settles.len()));
        self.settler.add(settles);
        if !repeats.is_empty() {
            let mut lanes = self.repeats.lock();
            for repeat in repeats {
                let (lane, tenant) = (repeat.lane, repeat.tenant.clone());
                lanes.push(lane, &tenant, repeat);
            }
            self.policy.metrics.repeats_waiting.set(gauge(lanes.len()));
            self.earlier.notify_one();
        }
        if let Some(at) = look_at {
            let mut looks = self.looks.lock();
            if looks.add(at, courier.subscriber) {
                self.earlier.notify_one();
            }
            self.policy.metrics.looks.set(gauge(looks.len()));
        }
        if load {
            self.start_reading(courier);
        }
    }

    /// Reads from the store for a courier, unless somebody does already.
    fn start_reading(self: &Arc<Self>, courier: &Arc<Courier>) {
        {
            let mut desk = courier.desk.lock();
            if !desk.wants_load(&self.policy) {
                return;
            }
            desk.loading = true;
        }
        let (acks, courier) = (self.clone(), courier.clone());
        self.tasks.spawn(async move { acks.read_for(&courier).await });
    }

    pub(super) async fn read_for(self: &Arc<Self>, courier: &Arc<Courier>) {
        let mut failures = 0;
        loop {
            let mut errands = Errands::default();
            let page = courier.next_page(&mut errands);
            self.run_errands(courier, errands);
            let Some((page, asked)) = page else { return };
            // The semaphore is never closed.
            let Ok(permit) = self.readers.acquire().await else { return };
            let read = self.read_page(courier, &page, asked).await;
            // Not held while it waits to try again: others may be read for.
            drop(permit);
            match read {
                Ok(true) => failures = 0,
                Ok(false) => return,
                Err(error) => {
                    tracing::debug!(%error, "owed messages cannot be read");
                    self.policy.metrics.store_retries.inc();
                    let wait = self.policy.wait(failures);
                    failures = failures.saturating_add(1);
                    courier.page_failed();
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    /// False when nothing more is to be read for now.
    pub(super) async fn read_page(
        self: &Arc<Self>,
        courier: &Arc<Courier>,
        page: &Page,
        asked: Reading,
    ) -> Result<bool, StoreError> {
        // What was settled a moment ago must not be read as owed.
        self.settler.hurry(&*self.store, self.now());
        let mut errands = Errands::default();
        let limit = self.config.page_messages;
        let go_on = match page {
            Page::After(after) => {
                let mut page = self.store.owed(courier.subscriber, *after, limit).await?;
                let mut complete = page.count() < limit;
                courier.bury_unreadable(&page.unreadable, &mut errands);
                let stop = self.wait_for_unread(courier, &page.unread);
                if let Some(stop) = stop {
                    page.end_before(stop);
                    complete = false;
                }
                let end = page.end();
                let all = courier.take_page(self.shelve(page.owed), complete, asked, &mut errands);
                if all {
                    courier.has_read(end, asked);
                }
                all
            }
            Page::Probe => {
                let mut page = self.store.owed(courier.subscriber, None, limit).await?;
                courier.bury_unreadable(&page.unreadable, &mut errands);
                let stop = self.wait_for_unread(courier, &page.unread);
                if let Some(stop) = stop {
                    page.end_before(stop);
                }
                let none = stop.is_none() && page.count() == 0;
                courier.take_probe(self.shelve(page.owed), none, asked, &mut errands);
                false
            }
        };
        self.run_errands(courier, errands);
        Ok(go_on)
    }

    /// What the disk did not give back is read again later. Nothing is to be taken from the place on
    /// that is answered.
    fn wait_for_unread(
        self: &Arc<Self>,
        courier: &Arc<Courier>,
        unread: &[Unread],
    ) -> Option<MessageSeq> {
        if unread.is_empty() {
            return None;
        }
        let mut errands = Errands::default();
        let stop = courier.wait_for_unread(unread, self.store_is_well(), &mut errands);
        self.run_errands(courier, errands);
        stop
    }

    /// Whether a read that failed is the trouble of one message, and not of the store.
    fn store_is_well(&self) -> bool {
        let health = self.store.health();
        let is_closed = self.store_breaker.lock().state() == BreakerState::Closed;
        is_closed && health.failing.is_none() && health.broken.is_none()
    }

    pub(super) fn shelve(&self, owed: Vec<Owed>) -> Vec<Read> {
        let read = |owed: Owed| {
            let spent = owed.spent;
            (self.shelf.owed(owed), spent)
        };
        owed.into_iter().map(read).collect()
    }

    /// Pairs have ended in the store, by whomever: couriers forget them, and others are told.
    pub(super) fn ended(self: &Arc<Self>, ended: &[Ended]) {
        if ended.is_empty() {
            return;
        }
        for pair in ended {
            if pair.status == PairStatus::Owed {
                continue;
            }
            if let Some(courier) = self.courier(pair.subscriber) {
                let errands = courier.ended(pair.seq, pair.status);
                self.run_errands(&courier, errands);
                self.forget_if_idle(&courier);
            }
        }
        if let Some(sink) = self.on_ended.read().clone() {
            sink(ended);
        }
    }

    /// Pairs are owed (again) to subscribers that may be here.
    pub(super) fn owed_again(self: &Arc<Self>, seq: MessageSeq, subscriber: SubscriberId) {
        if let Some(courier) = self.courier(subscriber) {
            let errands = courier.owed_again(seq);
            self.run_errands(&courier, errands);
        }
    }
}

pub(super) fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
