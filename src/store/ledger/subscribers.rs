//! Sessions, connections without one, and who takes over what a lost connection was owed.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::Ledger;
use super::hubs::is_in;
use crate::model::{Audience, ConnectionId, GroupName, HubName};
use crate::store::dead_letter::{DeadKey, Reason};
use crate::store::message::{Ended, PairStatus};
use crate::store::names::{Identity, MessageSeq, Moment, SessionKey, SubscriberId, User};
use crate::store::record::{Record, SubscriberRecord};
use crate::store::session::{Departed, Joined, Open, Opened};

pub(super) struct Subscriber {
    pub(super) key: SessionKey,
    pub(super) user: User,
    /// Whose sessions are counted together.
    caller: Arc<str>,
    /// The connection it has, or had last.
    pub(super) connection: Option<ConnectionId>,
    pub(super) presence: Presence,
    pub(super) groups: BTreeSet<GroupName>,
    pub(super) owed: BTreeSet<MessageSeq>,
    /// Whether the log says who it is. A connection without a session is only written when it is
    /// owed something: connecting costs no sync.
    written: bool,
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

    fn of(&self, subscriber: &Subscriber) -> Vec<SubscriberId> {
        let ids = Self::key(subscriber).and_then(|key| self.0.get(&key));
        ids.into_iter().flatten().copied().collect()
    }
}

impl Ledger {
    // Decisions.

    pub(in crate::store) fn ready(&mut self, now: Moment) {
        let end = now.after(self.config.session_ttl());
        for (id, subscriber) in &mut self.subscribers {
            if subscriber.presence == Presence::Unknown {
                subscriber.presence = Presence::Away(end);
                self.leaving.insert((end, *id));
            }
        }
    }

    pub(in crate::store) fn open(&mut self, open: Open, now: Moment) -> Opened {
        let Open { mut key, connection, user, caller } = open;
        if let Some(id) = key.client.and_then(|_| self.sessions.get(&key).copied()) {
            return self.reopen(id, connection, user);
        }
        let of_caller = self.callers.get(&caller).copied().unwrap_or_default();
        if of_caller >= self.config.sessions_per_caller_max
            || self.sessions.len() >= self.config.sessions_max
        {
            key.client = None;
        }
        let id = SubscriberId(self.next_subscriber);
        let session = key.client.is_some();
        let record = SubscriberRecord {
            subscriber: id,
            key,
            user: user.clone(),
            caller,
            groups: Vec::new(),
        };
        if session {
            self.say(Record::Subscriber(record));
        } else {
            self.apply(Record::Subscriber(record), None);
        }
        if let Some(subscriber) = self.subscribers.get_mut(&id) {
            subscriber.written = session;
        }
        let mut opened = self.reopen(id, connection, user);
        opened.is_new = true;
        if !session {
            opened.owed = self.inherit(id, now);
        }
        opened
    }

    /// A connection takes a subscriber up.
    fn reopen(&mut self, id: SubscriberId, connection: ConnectionId, user: User) -> Opened {
        let mut opened = Opened {
            subscriber: id,
            session: false,
            is_new: false,
            replaced: None,
            groups: Vec::new(),
            owed: 0,
        };
        let Some(subscriber) = self.subscribers.get_mut(&id) else { return opened };
        let hub = self.hubs.entry(subscriber.key.hub.clone()).or_default();
        hub.remove(id, subscriber);
        let old = subscriber.connection.replace(connection);
        subscriber.user = user;
        opened.session = subscriber.is_session();
        match std::mem::replace(&mut subscriber.presence, Presence::Here) {
            Presence::Here => opened.replaced = old,
            Presence::Away(end) => _ = self.leaving.remove(&(end, id)),
            Presence::Unknown => {}
        }
        hub.add(id, subscriber);
        opened.groups = subscriber.groups.iter().cloned().collect();
        opened.owed = subscriber.owed.len() as u64;
        opened
    }

    pub(in crate::store) fn join(
        &mut self,
        id: SubscriberId,
        group: GroupName,
        now: Moment,
    ) -> Joined {
        let Some(subscriber) = self.subscribers.get(&id) else { return Joined::Gone };
        if subscriber.groups.contains(&group) {
            return Joined::Member { adopted: 0 };
        }
        if subscriber.groups.len() >= self.config.groups_per_subscriber_max {
            return Joined::TooManyGroups;
        }
        if subscriber.is_session() {
            self.say(Record::Joined { subscriber: id, group });
            return Joined::Member { adopted: 0 };
        }
        self.apply(Record::Joined { subscriber: id, group }, None);
        Joined::Member { adopted: self.inherit(id, now) }
    }

    pub(in crate::store) fn leave(&mut self, id: SubscriberId, group: GroupName) -> bool {
        let Some(subscriber) = self.subscribers.get(&id) else { return false };
        if !subscriber.groups.contains(&group) {
            return false;
        }
        let record = Record::Left { subscriber: id, group };
        if subscriber.is_session() {
            self.say(record);
        } else {
            self.apply(record, None);
        }
        true
    }

    pub(in crate::store) fn revoke(
        &mut self,
        id: SubscriberId,
        group: &GroupName,
        now: Moment,
    ) -> Vec<Ended> {
        self.leave(id, group.clone());
        let Some(subscriber) = self.subscribers.get(&id) else { return Vec::new() };
        let through = |audience: &Audience| match audience {
            Audience::Group { group: own, .. } => own == group,
            Audience::Groups(groups) => groups.contains(group),
            Audience::All { .. }
            | Audience::User(_)
            | Audience::Users(_)
            | Audience::Connection(_)
            | Audience::Connections(_) => false,
        };
        let lost = |seq: &MessageSeq| {
            self.messages.get(seq).is_some_and(|message| {
                through(&message.audience) && !is_in(&message.audience, subscriber)
            })
        };
        let seqs: Vec<MessageSeq> = subscriber.owed.iter().copied().filter(lost).collect();
        let reason = Reason::AccessRevoked;
        for &seq in &seqs {
            self.say(Record::Died { seq, subscribers: vec![id], reason, at: now });
        }
        self.told(&keys_of(id, &seqs), PairStatus::Dead, Some(reason))
    }

    pub(in crate::store) fn away(
        &mut self,
        id: SubscriberId,
        connection: &ConnectionId,
        now: Moment,
    ) -> Departed {
        let mut departed = Departed::default();
        let Some(subscriber) = self.subscribers.get_mut(&id) else { return departed };
        if subscriber.presence != Presence::Here
            || subscriber.connection.as_ref() != Some(connection)
        {
            return departed;
        }
        let end = now.after(self.config.session_ttl());
        subscriber.presence = Presence::Away(end);
        self.leaving.insert((end, id));
        if subscriber.is_session() {
            return departed;
        }
        if let Some(hub) = self.hubs.get_mut(&subscriber.key.hub) {
            hub.remove(id, subscriber);
            if hub.is_empty() {
                self.hubs.remove(&subscriber.key.hub);
            }
        }
        let siblings = self.siblings.of(subscriber);
        for heir in siblings.into_iter().filter(|heir| *heir > id) {
            if self.hand_over(id, heir) > 0 {
                departed.heirs.push(heir);
            }
        }
        self.drop_if_idle(id, now);
        departed
    }

    pub(in crate::store) fn end(&mut self, id: SubscriberId, now: Moment) -> Vec<Ended> {
        let Some(subscriber) = self.subscribers.get(&id) else { return Vec::new() };
        let seqs: Vec<MessageSeq> = subscriber.owed.iter().copied().collect();
        let record = Record::Gone { subscriber: id, at: now };
        if subscriber.written {
            self.say(record);
        } else {
            self.apply(record, None);
        }
        self.told(&keys_of(id, &seqs), PairStatus::Dead, Some(Reason::SubscriberGone))
    }

    /// A connection without a session takes over what lost ones of its identity were owed.
    fn inherit(&mut self, heir: SubscriberId, now: Moment) -> u64 {
        let Some(subscriber) = self.subscribers.get(&heir) else { return 0 };
        let siblings = self.siblings.of(subscriber);
        let mut adopted = 0;
        for from in siblings.into_iter().filter(|from| *from < heir) {
            let lost =
                self.subscribers.get(&from).is_some_and(|from| from.presence != Presence::Here);
            if lost {
                adopted += self.hand_over(from, heir);
                self.drop_if_idle(from, now);
            }
        }
        adopted
    }

    /// What the heir is in the audience of, and was never owed itself.
    fn hand_over(&mut self, from: SubscriberId, to: SubscriberId) -> u64 {
        let (Some(lost), Some(heir)) = (self.subscribers.get(&from), self.subscribers.get(&to))
        else {
            return 0;
        };
        if heir.presence != Presence::Here {
            return 0;
        }
        let fits = |seq: &MessageSeq| {
            self.messages
                .get(seq)
                .is_some_and(|message| is_in(&message.audience, heir) && message.pair(to).is_none())
        };
        let seqs: Vec<MessageSeq> = lost.owed.iter().copied().filter(fits).collect();
        let count = seqs.len() as u64;
        if count > 0 {
            self.introduce(&[to]);
            self.say(Record::Adopted { from, to, seqs });
        }
        count
    }

    /// A lost connection that is owed nothing is not remembered.
    fn drop_if_idle(&mut self, id: SubscriberId, now: Moment) {
        if self.subscribers.get(&id).is_some_and(|found| found.owed.is_empty()) {
            self.end(id, now);
        }
    }

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

    // Records.

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
            if let Some(tried) = self.attempts.remove(&DeadKey { seq, subscriber: from }) {
                self.attempts.insert(DeadKey { seq, subscriber: to }, tried);
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

fn keys_of(subscriber: SubscriberId, seqs: &[MessageSeq]) -> Vec<(DeadKey, PairStatus)> {
    seqs.iter().map(|&seq| (DeadKey { seq, subscriber }, PairStatus::Owed)).collect()
}
