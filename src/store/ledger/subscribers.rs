//! Subscribers and their indexes, and what records do to them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::Ledger;
use crate::model::{ConnectionId, GroupName, HubName};
use crate::store::dead_letter::{DeadKey, Reason};
use crate::store::message::PairStatus;
use crate::store::names::{Identity, MessageSeq, Moment, SessionKey, SubscriberId, User};
use crate::store::record::{Record, SubscriberRecord};

pub(super) struct Subscriber {
    pub(super) key: SessionKey,
    pub(super) user: User,
    /// Whose sessions are counted together.
    pub(super) caller: Arc<str>,
    /// The connection it has, or had last.
    pub(super) connection: Option<ConnectionId>,
    pub(super) presence: Presence,
    pub(super) groups: BTreeSet<GroupName>,
    pub(super) owed: BTreeSet<MessageSeq>,
    /// Whether the log says who it is. A connection without a session is only written when it is
    /// owed something: connecting costs no sync.
    pub(super) written: bool,
    /// Whether anybody ever said who it is; a log that lost records may not.
    known: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    Here,
    /// Until when it may come back.
    Away(Moment),
    /// It was here or away when the store was closed.
    Unknown,
}

impl Subscriber {
    pub(super) fn is_session(&self) -> bool {
        self.key.client.is_some()
    }

    pub(super) fn is_known(&self) -> bool {
        self.known
    }

    fn stub() -> Self {
        let key =
            SessionKey { hub: HubName::from(""), identity: Identity::Anonymous, client: None };
        Self {
            key,
            user: None,
            caller: "".into(),
            connection: None,
            presence: Presence::Unknown,
            groups: BTreeSet::new(),
            owed: BTreeSet::new(),
            written: false,
            known: false,
        }
    }
}

/// The connections without a session, by who is behind them. Nobody knows about anonymous ones.
#[derive(Default)]
pub(super) struct Siblings(HashMap<(HubName, Arc<str>), BTreeSet<SubscriberId>>);

impl Siblings {
    fn key(subscriber: &Subscriber) -> Option<(HubName, Arc<str>)> {
        match &subscriber.key.identity {
            Identity::Named(name) if !subscriber.is_session() => {
                Some((subscriber.key.hub.clone(), name.clone()))
            }
            Identity::Named(_) | Identity::Anonymous => None,
        }
    }

    fn add(&mut self, id: SubscriberId, subscriber: &Subscriber) {
        if let Some(key) = Self::key(subscriber) {
            self.0.entry(key).or_default().insert(id);
        }
    }

    fn remove(&mut self, id: SubscriberId, subscriber: &Subscriber) {
        let Some(key) = Self::key(subscriber) else { return };
        if let Some(ids) = self.0.get_mut(&key) {
            ids.remove(&id);
            if ids.is_empty() {
                self.0.remove(&key);
            }
        }
    }

    pub(super) fn of(&self, subscriber: &Subscriber) -> Vec<SubscriberId> {
        let ids = Self::key(subscriber).and_then(|key| self.0.get(&key));
        ids.into_iter().flatten().copied().collect()
    }
}

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
            key: subscriber.key.clone(),
            user: subscriber.user.clone(),
            caller: subscriber.caller.clone(),
            groups: subscriber.groups.iter().cloned().collect(),
        }));
    }

    pub(super) fn unwrite_subscriber(&mut self, id: SubscriberId) {
        if let Some(subscriber) = self.subscribers.get_mut(&id) {
            subscriber.written = false;
        }
    }

    pub(super) fn set_subscriber(&mut self, record: SubscriberRecord) {
        let SubscriberRecord { subscriber: id, key, user, caller, groups } = record;
        self.next_subscriber = self.next_subscriber.max(id.0 + 1);
        let old = self.take_out(id);
        let subscriber = Subscriber {
            key,
            user,
            caller,
            groups: groups.into_iter().collect(),
            written: true,
            known: true,
            ..old.unwrap_or_else(Subscriber::stub)
        };
        if subscriber.is_session() {
            self.sessions.insert(subscriber.key.clone(), id);
            *self.callers.entry(subscriber.caller.clone()).or_default() += 1;
        }
        self.siblings.add(id, &subscriber);
        self.hubs.entry(subscriber.key.hub.clone()).or_default().add(id, &subscriber);
        self.subscribers.insert(id, subscriber);
    }

    pub(super) fn joined(&mut self, id: SubscriberId, group: GroupName) {
        let Some(subscriber) = self.subscribers.get_mut(&id) else { return };
        if let Some(hub) = self.hubs.get_mut(&subscriber.key.hub) {
            hub.join(id, &group);
        }
        subscriber.groups.insert(group);
    }

    pub(super) fn left(&mut self, id: SubscriberId, group: &GroupName) {
        let Some(subscriber) = self.subscribers.get_mut(&id) else { return };
        if let Some(hub) = self.hubs.get_mut(&subscriber.key.hub) {
            hub.leave(id, group);
        }
        subscriber.groups.remove(group);
    }

    pub(super) fn gone(&mut self, id: SubscriberId, at: Moment) {
        let Some(subscriber) = self.subscribers.get(&id) else { return };
        let seqs: Vec<MessageSeq> = subscriber.owed.iter().copied().collect();
        for seq in seqs {
            self.bury(DeadKey { seq, subscriber: id }, Reason::SubscriberGone, at);
        }
        self.take_out(id);
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
            if let Some(lost) = self.subscribers.get_mut(&from) {
                lost.owed.remove(&seq);
            }
            self.owe(to, seq);
            if let Some(tried) = self.tried.remove(&DeadKey { seq, subscriber: from }) {
                self.tried.insert(DeadKey { seq, subscriber: to }, tried);
            }
        }
    }

    /// Takes a subscriber out of all indexes.
    fn take_out(&mut self, id: SubscriberId) -> Option<Subscriber> {
        let subscriber = self.subscribers.remove(&id)?;
        if let Presence::Away(end) = subscriber.presence {
            self.leaving.remove(&(end, id));
        }
        if let Some(hub) = self.hubs.get_mut(&subscriber.key.hub) {
            hub.remove(id, &subscriber);
            if hub.is_empty() {
                self.hubs.remove(&subscriber.key.hub);
            }
        }
        self.siblings.remove(id, &subscriber);
        if subscriber.is_session() && self.sessions.get(&subscriber.key) == Some(&id) {
            self.sessions.remove(&subscriber.key);
            if let Some(count) = self.callers.get_mut(&subscriber.caller) {
                *count -= 1;
                if *count == 0 {
                    self.callers.remove(&subscriber.caller);
                }
            }
        }
        Some(subscriber)
    }

    pub(super) fn subscriber_or_stub(&mut self, id: SubscriberId) -> &mut Subscriber {
        self.subscribers.entry(id).or_insert_with(Subscriber::stub)
    }

    pub(super) fn identity_of(&self, id: SubscriberId) -> Identity {
        self.subscribers.get(&id).map_or(Identity::Anonymous, |found| found.key.identity.clone())
    }

    pub(super) fn hub_name(&self, hub: HubName) -> HubName {
        self.hubs.get_key_value(&hub).map_or(hub, |(name, _)| name.clone())
    }
}
