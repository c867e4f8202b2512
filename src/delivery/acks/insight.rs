//! What operators and publishers may see and do: receipts, counts, breakers, dead letters.

use std::sync::Arc;

use super::courier::Courier;
use super::engine::Acks;
use super::{EndedSink, NotAccepted};
use crate::delivery::breaker::{BreakerState, Force};
use crate::delivery::outlet::Delivery;
use crate::model::{MessageId, Tenant};
use crate::store::{
    DeadFilter, DeadKey, DeadPage, Ended, Health, Receipt, Requeued, Stats, StoreError,
    SubscriberId, Target, WholeLetter,
};

/// What a breaker guards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// One subscriber that is here or has something tried in vain.
    Subscriber(SubscriberId),
    /// The store.
    Store,
}

/// Breakers by their state. Conduit's single breaker shows the store's; subscribers' are counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breakers {
    /// The store's.
    pub store: BreakerState,
    /// Failures of the store in a row.
    pub store_failures: u32,
    /// Subscribers whose breaker is open.
    pub open: usize,
    /// Subscribers that are being probed.
    pub half_open: usize,
    /// Subscribers whose breaker an operator holds open.
    pub isolated: usize,
}

/// What is under way on this node. What waits in the store is in [`Stats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// Subscribers with a connection here.
    pub present: usize,
    /// Pairs that are being delivered.
    pub in_flight: usize,
    /// Subscribers for which messages wait in the store.
    pub behind: usize,
    /// Repeats that wait for their turn.
    pub repeats_waiting: usize,
}

impl Delivery {
    /// What became of the messages of an id: of one tenant, or of all. Empty: unknown.
    pub async fn receipts(
        &self,
        id: MessageId,
        tenant: Option<Tenant>,
    ) -> Result<Vec<Receipt>, NotAccepted> {
        let acks = self.up_to_date()?;
        Ok(acks.store.receipts(id, tenant).await?)
    }

    /// The counts of the store, restarts included.
    pub async fn delivery_stats(&self) -> Result<Stats, NotAccepted> {
        let acks = self.up_to_date()?;
        Ok(acks.store.stats().await?)
    }

    /// How the store is; none when this node keeps nothing.
    pub fn store_health(&self) -> Option<Health> {
        Some(self.acks.as_ref()?.store.health())
    }

    /// What is under way.
    pub fn queue(&self) -> Queue {
        self.acks.as_ref().map(|acks| acks.queue()).unwrap_or_default()
    }

    /// The breakers of this node; none when it keeps nothing.
    pub fn breakers(&self) -> Option<Breakers> {
        Some(self.acks.as_ref()?.breakers())
    }

    /// An operator holds a breaker open or closed, or lets go of it. False when there is none.
    pub fn force_breaker(&self, destination: Destination, force: Force) -> bool {
        let Some(acks) = &self.acks else { return false };
        match destination {
            Destination::Store => {
                acks.store_breaker.lock().force(force);
                true
            }
            Destination::Subscriber(subscriber) => {
                let Some(courier) = acks.courier(subscriber) else { return false };
                let errands = courier.force(force);
                acks.run_errands(&courier, errands);
                true
            }
        }
    }

    /// Dead letters that fit, after a key, without what they say.
    pub async fn dead_letters(
        &self,
        filter: DeadFilter,
        after: Option<DeadKey>,
        limit: usize,
    ) -> Result<DeadPage, NotAccepted> {
        let acks = self.up_to_date()?;
        Ok(acks.store.dead_letters(filter, after, limit).await?)
    }

    /// The same with what they say; a page may end early, at 8 MiB.
    pub async fn whole_letters(
        &self,
        filter: DeadFilter,
        after: Option<DeadKey>,
        limit: usize,
    ) -> Result<DeadPage<WholeLetter>, NotAccepted> {
        let acks = self.up_to_date()?;
        Ok(acks.store.whole_letters(filter, after, limit).await?)
    }

    /// Sends dead letters again; those who are here get them at once.
    pub async fn requeue(
        &self,
        filter: DeadFilter,
        target: Target,
        limit: usize,
    ) -> Result<Requeued, NotAccepted> {
        let acks = self.kept()?;
        let requeued = acks.store.requeue(filter, target, limit, acks.now()).await?;
        acks.ended(&requeued.ended);
        for key in &requeued.owed {
            acks.owed_again(key.seq, key.subscriber);
        }
        Ok(requeued)
    }

    /// Throws dead letters away.
    pub async fn purge(&self, filter: DeadFilter, limit: usize) -> Result<Vec<Ended>, NotAccepted> {
        let acks = self.kept()?;
        let ended = acks.store.purge(filter, limit, acks.now()).await?;
        acks.ended(&ended);
        Ok(ended)
    }

    /// Who hears of every pair that ended on this node; must not block.
    pub fn on_ended(&self, sink: EndedSink) {
        if let Some(acks) = &self.acks {
            *acks.on_ended.write() = Some(sink);
        }
    }

    /// Clients may come: sessions that were open when the gateway stopped count as gone from now on.
    pub async fn ready(&self) -> Result<(), StoreError> {
        match &self.acks {
            Some(acks) => acks.store.ready(acks.now()).await,
            None => Ok(()),
        }
    }

    /// With what was settled a moment ago on its way into the store, before it is asked.
    pub(super) fn up_to_date(&self) -> Result<&Arc<Acks>, NotAccepted> {
        let acks = self.kept()?;
        acks.settler.hurry(&*acks.store, acks.now());
        Ok(acks)
    }

    pub(super) fn kept(&self) -> Result<&Arc<Acks>, NotAccepted> {
        self.acks.as_ref().ok_or(NotAccepted::NotConfigured)
    }
}

impl Acks {
    /// A copy, so that nobody waits for the map while each of them is looked at.
    pub(super) fn all_couriers(&self) -> Vec<Arc<Courier>> {
        self.couriers.read().values().cloned().collect()
    }

    fn queue(&self) -> Queue {
        let mut queue = Queue { repeats_waiting: self.repeats.lock().len(), ..Queue::default() };
        for courier in self.all_couriers() {
            let desk = courier.desk.lock();
            queue.present += usize::from(desk.link.is_some());
            queue.in_flight += desk.flights.len();
            queue.behind += usize::from(desk.link.is_some() && desk.behind);
        }
        queue
    }

    fn breakers(&self) -> Breakers {
        let (store, store_failures) = {
            let breaker = self.store_breaker.lock();
            (breaker.state(), breaker.failures_in_a_row())
        };
        let mut breakers = Breakers { store, store_failures, open: 0, half_open: 0, isolated: 0 };
        for courier in self.all_couriers() {
            match courier.desk.lock().breaker.state() {
                BreakerState::Closed => {}
                BreakerState::Open => breakers.open += 1,
                BreakerState::HalfOpen => breakers.half_open += 1,
                BreakerState::Isolated => breakers.isolated += 1,
            }
        }
        breakers
    }
}
