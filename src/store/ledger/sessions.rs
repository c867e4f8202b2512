//! Subscribers come, join, leave, are lost, and come back: what is decided about them.

use super::Ledger;
use super::hubs::{Hub, is_in};
use super::subscriber::Presence;
use crate::model::{Audience, ConnectionId, GroupName, UserId};
use crate::store::dead_letter::{DeadKey, Reason};
use crate::store::message::{Ended, PairStatus};
use crate::store::names::{MessageSeq, Moment, SubscriberId};
use crate::store::record::{Record, SubscriberRecord};
use crate::store::session::{Departed, Joined, Moved, Open, Opened};

impl Ledger {
    pub(in crate::store) fn ready(&mut self, now: Moment) {
        let end = now.after(self.config.session_ttl());
        for (id, subscriber) in &mut self.subscribers {
            if subscriber.presence() == Presence::Unknown {
                subscriber.set_presence(Presence::Away(end));
                self.leaving.insert((end, *id));
            }
        }
    }

    pub(in crate::store) fn open(&mut self, open: Open, now: Moment) -> Opened {
        let Open { mut key, connection, mut caller } = open;
        if let Some(id) = key.digest().and_then(|own| self.sessions.get(&own).copied()) {
            return self.reopen(id, connection);
        }
        let mut of_caller = 0;
        if let Some((known, count)) = self.callers.get_key_value(&caller) {
            (caller, of_caller) = (known.clone(), *count);
        }
        if of_caller >= self.config.sessions_per_caller_max
            || self.sessions.len() >= self.config.sessions_max
            || self.is_frugal
        {
            key.client = None;
        }
        let id = SubscriberId(self.next_subscriber);
        let session = key.client.is_some();
        let record = SubscriberRecord { subscriber: id, key, caller, groups: Vec::new() };
        if session {
            self.say(Record::Subscriber(record));
        } else {
            self.apply(Record::Subscriber(record), None);
        }
        if let Some(subscriber) = self.subscribers.get_mut(&id) {
            subscriber.written = session;
        }
        let mut opened = self.reopen(id, connection);
        opened.is_new = true;
        if !session {
            opened.adopted = self.inherit(id, now);
            opened.owed = opened.adopted.iter().map(|moved| moved.seqs.len() as u64).sum();
        }
        opened
    }

    /// A connection takes a subscriber up.
    fn reopen(&mut self, id: SubscriberId, connection: ConnectionId) -> Opened {
        let mut opened = Opened {
            subscriber: id,
            session: false,
            is_new: false,
            replaced: None,
            groups: Vec::new(),
            owed: 0,
            adopted: Vec::new(),
        };
        let Some(subscriber) = self.subscribers.get_mut(&id) else { return opened };
        let old = subscriber.connection.replace(connection.clone());
        if let Some(hub) = self.hubs.get_mut(&subscriber.hub) {
            if let Some(old) = &old {
                hub.disconnect(id, old);
            }
            hub.connect(id, connection);
        }
        opened.session = subscriber.is_session();
        let before = subscriber.presence();
        subscriber.set_presence(Presence::Here);
        match before {
            Presence::Here => opened.replaced = old,
            Presence::Away(end) => _ = self.leaving.remove(&(end, id)),
            Presence::Unknown => {}
        }
        opened.groups = subscriber.groups().iter().cloned().collect();
        opened.owed = subscriber.owed().len() as u64;
        opened
    }

    pub(in crate::store) fn join(
        &mut self,
        id: SubscriberId,
        group: GroupName,
        now: Moment,
    ) -> Joined {
        let Some(subscriber) = self.subscribers.get(&id) else { return Joined::Gone };
        if subscriber.groups().contains(&group) {
            return Joined::Member { adopted: Vec::new() };
        }
        if subscriber.groups().len() >= self.config.groups_per_subscriber_max {
            return Joined::TooManyGroups;
        }
        if subscriber.is_session() {
            self.say(Record::Joined { subscriber: id, group });
            return Joined::Member { adopted: Vec::new() };
        }
        self.apply(Record::Joined { subscriber: id, group }, None);
        Joined::Member { adopted: self.inherit(id, now) }
    }

    pub(in crate::store) fn leave(&mut self, id: SubscriberId, group: GroupName) -> bool {
        let Some(subscriber) = self.subscribers.get(&id) else { return false };
        if !subscriber.groups().contains(&group) {
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
        let seqs: Vec<MessageSeq> = subscriber.owed().iter().copied().filter(lost).collect();
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
        if subscriber.presence() != Presence::Here
            || subscriber.connection.as_ref() != Some(connection)
        {
            return departed;
        }
        let end = now.after(self.config.session_ttl());
        subscriber.set_presence(Presence::Away(end));
        self.leaving.insert((end, id));
        if subscriber.is_session() {
            return departed;
        }
        if let Some(hub) = self.hubs.get_mut(&subscriber.hub) {
            hub.remove(id, subscriber);
            hub.add_lost(id, subscriber);
        }
        if !subscriber.owed().is_empty() {
            departed.moved = self.leave_to_heirs(id);
        }
        self.drop_if_idle(id, now);
        departed
    }

    /// What a lost connection was owed goes to later ones of its user that are in the audience.
    fn leave_to_heirs(&mut self, id: SubscriberId) -> Vec<Moved> {
        let Some((user, hub)) = self.user_and_hub_of(id) else { return Vec::new() };
        let may_inherit = |heir: &SubscriberId| {
            *heir > id && self.subscribers.get(heir).is_some_and(|heir| !heir.is_session())
        };
        let heirs: Vec<SubscriberId> = hub.of_user(user).filter(may_inherit).collect();
        heirs.into_iter().filter_map(|heir| self.hand_over(id, heir)).collect()
    }

    pub(in crate::store) fn end(&mut self, id: SubscriberId, now: Moment) -> Vec<Ended> {
        let mut ended = self.expire_owed(id, now);
        let Some(subscriber) = self.subscribers.get(&id) else { return Vec::new() };
        let seqs: Vec<MessageSeq> = subscriber.owed().iter().copied().collect();
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

    /// A connection without a session takes over what lost ones of its user were owed.
    fn inherit(&mut self, heir: SubscriberId, now: Moment) -> Vec<Moved> {
        let Some((user, hub)) = self.user_and_hub_of(heir) else { return Vec::new() };
        let lost: Vec<SubscriberId> = hub.lost_of(user).filter(|from| *from < heir).collect();
        let mut adopted = Vec::new();
        for from in lost {
            adopted.extend(self.hand_over(from, heir));
            self.drop_if_idle(from, now);
        }
        adopted
    }

    /// None for an anonymous one: nobody knows who else is behind it.
    fn user_and_hub_of(&self, id: SubscriberId) -> Option<(&UserId, &Hub)> {
        let own = self.subscribers.get(&id)?;
        Some((own.identity.user()?, self.hubs.get(&own.hub)?))
    }

    /// What the heir is in the audience of, and was never owed itself.
    fn hand_over(&mut self, from: SubscriberId, to: SubscriberId) -> Option<Moved> {
        let (Some(lost), Some(heir)) = (self.subscribers.get(&from), self.subscribers.get(&to))
        else {
            return None;
        };
        if heir.presence() != Presence::Here || self.is_frugal {
            return None;
        }
        let fits = |seq: &MessageSeq| {
            self.messages
                .get(seq)
                .is_some_and(|message| is_in(&message.audience, heir) && message.pair(to).is_none())
        };
        let seqs: Vec<MessageSeq> = lost.owed().iter().copied().filter(fits).collect();
        if seqs.is_empty() {
            return None;
        }
        self.introduce(&[to]);
        self.say(Record::Adopted { from, to, seqs: seqs.clone() });
        Some(Moved { from, to, seqs })
    }

    /// A lost connection that is owed nothing is not remembered.
    fn drop_if_idle(&mut self, id: SubscriberId, now: Moment) {
        if self.subscribers.get(&id).is_some_and(|found| found.owed().is_empty()) {
            self.end(id, now);
        }
    }
}

fn keys_of(subscriber: SubscriberId, seqs: &[MessageSeq]) -> Vec<(DeadKey, PairStatus)> {
    seqs.iter().map(|&seq| (DeadKey { seq, subscriber }, PairStatus::Owed)).collect()
}
