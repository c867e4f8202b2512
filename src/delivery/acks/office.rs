//! What the back office asks the store: settled messages in order, and how far it has told of them.

use std::sync::Arc;

use super::NotAccepted;
use crate::delivery::breaker::BreakerState;
use crate::delivery::outlet::Delivery;
use crate::model::Tenant;
use crate::store::{Death, DeathKey, MessageSeq, Mode, Moment, Receipt, StoreError, SubscriberId};

impl Delivery {
    /// What an accepted message survives; none when this node keeps nothing.
    pub fn mode(&self) -> Option<Mode> {
        Some(self.acks.as_ref()?.store.mode())
    }

    /// The time by the store's clock.
    pub fn now(&self) -> Moment {
        self.acks.as_ref().map_or_else(|| std::time::SystemTime::now().into(), |acks| acks.now())
    }

    /// An operator has seen what a damaged file cost.
    pub async fn acknowledge_damage(&self) -> Result<(), NotAccepted> {
        let store = self.kept()?.store.clone();
        let seen = tokio::task::spawn_blocking(move || store.acknowledge_damage());
        // It ends early with the runtime only.
        Ok(seen.await.unwrap_or(Err(StoreError::Closed))?)
    }

    /// Subscribers of this node whose breaker is not closed.
    pub fn held_breakers(&self, limit: usize) -> Vec<(SubscriberId, BreakerState)> {
        let Some(acks) = &self.acks else { return Vec::new() };
        let couriers = acks.all_couriers();
        let states = couriers.iter().map(|own| (own.subscriber, own.desk.lock().breaker.state()));
        states.filter(|(_, state)| *state != BreakerState::Closed).take(limit).collect()
    }

    /// Receipts of messages of which nothing is owed or dead, in that order of time.
    pub async fn settled_since(
        &self,
        since: Moment,
        after: Option<MessageSeq>,
        limit: usize,
    ) -> Result<Vec<Receipt>, NotAccepted> {
        Ok(self.kept()?.store.settled_since(since, after, limit).await?)
    }

    /// Receipts of messages that expired for somebody, the last accepted first.
    pub async fn expired(&self, limit: usize) -> Result<Vec<Receipt>, NotAccepted> {
        let acks = self.up_to_date()?;
        Ok(acks.store.expired(limit).await?)
    }

    /// Deaths of a tenant since a moment, after a key: also of dead letters that went meanwhile, as
    /// far as the tenant's reader had not come so far.
    pub async fn deaths(
        &self,
        tenant: &Tenant,
        since: Moment,
        after: Option<DeathKey>,
        limit: usize,
    ) -> Result<Vec<Death>, NotAccepted> {
        let acks = self.up_to_date()?;
        Ok(acks.store.deaths(tenant.clone(), since, after, limit).await?)
    }

    /// How far a reader has come; none when it never said so, or too long ago.
    pub async fn bookmark(&self, reader: &str) -> Result<Option<Moment>, NotAccepted> {
        Ok(self.kept()?.store.bookmark(reader.into()).await?)
    }

    /// Forgets all readers but these. Answers who they were.
    pub async fn forget_bookmarks(
        &self,
        but: impl Iterator<Item = &str>,
    ) -> Result<Vec<Arc<str>>, NotAccepted> {
        let but = but.map(Arc::from).collect();
        Ok(self.kept()?.store.forget_bookmarks(but).await?)
    }

    /// A reader has come so far.
    pub async fn keep_bookmark(&self, reader: &str, place: Moment) -> Result<(), NotAccepted> {
        Ok(self.kept()?.store.keep_bookmark(reader.into(), place).await?)
    }
}
