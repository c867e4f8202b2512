//! Subscribers come, join, leave, are lost, and come back: what is decided about them.

use super::Ledger;
use super::hubs::is_in;
use super::subscribers::Presence;
use crate::model::{Audience, ConnectionId, GroupName};
use crate::store::dead_letter::{DeadKey, Reason};
use crate::store::message::{Ended, PairStatus};
use crate::store::names::{MessageSeq, Moment, SubscriberId, User};
use crate::store::record::{Record, SubscriberRecord};
use crate::store::session::{Departed, Joined, Open, Opened};

impl Ledger {
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
            || self.is_frugal
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
        let mut ended = self.expire_owed(id, now);
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
        ended.extend(self.told(&keys_of(id, &seqs), PairStatus::Dead, Some(reason), now));
        ended
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
        let mut ended = self.expire_owed(id, now);
        let Some(subscriber) = self.subscribers.get(&id) else { return Vec::new() };
        let seqs: Vec<MessageSeq> = subscriber.owed.iter().copied().collect();
        let record = Record::Gone { subscriber: id, at: now };
        if subscriber.written || !seqs.is_empty() {
            self.say(record);
        } else {
            self.apply(record, None);
        }
        let reason = Some(Reason::SubscriberGone);
        ended.extend(self.told(&keys_of(id, &seqs), PairStatus::Dead, reason, now));
        ended
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
        if heir.presence != Presence::Here || self.is_frugal {
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
}

fn keys_of(subscriber: SubscriberId, seqs: &[MessageSeq]) -> Vec<(DeadKey, PairStatus)> {
    seqs.iter().map(|&seq| (DeadKey { seq, subscriber }, PairStatus::Owed)).collect()
}
