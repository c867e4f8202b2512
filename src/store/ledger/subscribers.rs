//! Subscribers and their indexes, and what records do to them.

use super::hubs::Hub;
use super::subscriber::{Presence, Subscriber};
use super::{Ledger, RECEIPT_PAIRS_MAX};
use crate::model::{GroupName, HubName};
use crate::store::dead_letter::{DeadKey, Reason};
use crate::store::message::PairStatus;
use crate::store::names::{Identity, MessageSeq, Moment, SubscriberId};
use crate::store::record::{Record, SubscriberRecord};

impl Ledger {
    /// Sees to it that the log says who they are, before it says what they are owed.
    pub(super) fn introduce(&mut self, ids: &[SubscriberId]) {
        for id in ids {
            if self.subscribers.get(id).is_some_and(|found| !found.written) {
                self.write_subscriber(*id);
                self.introduced.push(*id);
            }
        }
    }

    /// Says who a subscriber is, to the log alone.
    pub(super) fn write_subscriber(&mut self, id: SubscriberId) {
        let Some(subscriber) = self.subscribers.get_mut(&id) else { return };
        subscriber.written = true;
        self.journal.push(&Record::Subscriber(SubscriberRecord {
            subscriber: id,
            key: subscriber.key(),
            caller: subscriber.caller(),
            groups: subscriber.groups().iter().cloned().collect(),
        }));
    }

    pub(super) fn unwrite_subscriber(&mut self, id: SubscriberId) {
        if let Some(subscriber) = self.subscribers.get_mut(&id) {
            subscriber.written = false;
        }
    }

    pub(super) fn set_subscriber(&mut self, record: SubscriberRecord) {
        let SubscriberRecord { subscriber: id, key, caller, groups } = record;
        self.next_subscriber = self.next_subscriber.max(id.0 + 1);
        let mut subscriber = self.take_out(id).unwrap_or_else(|| Box::new(Subscriber::stub()));
        subscriber.written = true;
        if let Some(session) = key.digest() {
            self.sessions.insert(session, id);
            *self.callers.entry(caller.clone()).or_default() += 1;
        }
        subscriber.introduce(key, caller, groups);
        self.hub_of(&subscriber).add(id, &subscriber);
        self.subscribers.insert(id, subscriber);
    }

    fn hub_of(&mut self, subscriber: &Subscriber) -> &mut Hub {
        self.hubs.entry(subscriber.hub.clone()).or_default()
    }

    pub(super) fn joined(&mut self, id: SubscriberId, group: GroupName) {
        let Some(subscriber) = self.subscribers.get_mut(&id) else { return };
        if let Some(hub) = self.hubs.get_mut(&subscriber.hub) {
            hub.join(id, &group);
        }
        subscriber.join(group);
    }

    pub(super) fn left(&mut self, id: SubscriberId, group: &GroupName) {
        let Some(subscriber) = self.subscribers.get_mut(&id) else { return };
        if let Some(hub) = self.hubs.get_mut(&subscriber.hub) {
            hub.leave(id, group);
        }
        subscriber.leave(group);
    }

    pub(super) fn gone(&mut self, id: SubscriberId, at: Moment) {
        let Some(subscriber) = self.subscribers.get(&id) else { return };
        let seqs: Vec<MessageSeq> = subscriber.owed().iter().copied().collect();
        for seq in seqs {
            self.bury(DeadKey { seq, subscriber: id }, Reason::SubscriberGone, at);
        }
        if let Some(was) = self.take_out(id).filter(|was| was.known && was.receipts > 0) {
            self.former.insert(id, was.identity, was.receipts);
        }
    }

    pub(super) fn adopted(&mut self, from: SubscriberId, to: SubscriberId, seqs: &[MessageSeq]) {
        for &seq in seqs {
            let Some(message) = self.messages.get_mut(&seq) else { continue };
            let Some(index) = message.pair(from) else { continue };
            if message.pair(to).is_some() || message.pairs[index].status != PairStatus::Owed {
                continue;
            }
            message.pairs[index].subscriber = to;
            message.pairs.sort_unstable_by_key(|pair| pair.subscriber);
            let is_named = message.pairs.len() <= RECEIPT_PAIRS_MAX;
            if let Some(lost) = self.subscribers.get_mut(&from) {
                lost.owe_no_more(seq);
            }
            self.owe(to, seq);
            if is_named {
                self.unname(from);
                self.name(to);
            }
            if let Some(tried) = self.tried.remove(&DeadKey { seq, subscriber: from }) {
                self.tried.insert(DeadKey { seq, subscriber: to }, tried);
            }
        }
    }

    /// Takes a subscriber out of all indexes.
    fn take_out(&mut self, id: SubscriberId) -> Option<Box<Subscriber>> {
        let subscriber = self.subscribers.remove(&id)?;
        if let Presence::Away(end) = subscriber.presence() {
            self.leaving.remove(&(end, id));
        }
        if let Some(hub) = self.hubs.get_mut(&subscriber.hub) {
            hub.remove(id, &subscriber);
            if hub.is_empty() {
                self.hubs.remove(&subscriber.hub);
            }
        }
        if let Some(session) = subscriber.key().digest()
            && self.sessions.get(&session) == Some(&id)
        {
            self.sessions.remove(&session);
            let caller = subscriber.caller();
            if let Some(count) = self.callers.get_mut(&caller) {
                *count -= 1;
                if *count == 0 {
                    self.callers.remove(&caller);
                }
            }
        }
        Some(subscriber)
    }

    pub(super) fn subscriber_or_stub(&mut self, id: SubscriberId) -> &mut Subscriber {
        self.subscribers.entry(id).or_insert_with(|| Box::new(Subscriber::stub()))
    }

    pub(super) fn identity_of(&self, id: SubscriberId) -> Identity {
        self.subscribers.get(&id).map_or(Identity::Anonymous, |found| found.identity.clone())
    }

    pub(super) fn hub_name(&self, hub: HubName) -> HubName {
        self.hubs.get_key_value(&hub).map_or(hub, |(name, _)| name.clone())
    }
}
