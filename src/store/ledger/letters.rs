//! Dead letters: found, sent again, thrown away.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::reading::Unread;
use super::{Ledger, Message};
use crate::store::dead_letter::{
    BadRequeue, DeadFilter, DeadKey, DeadLetter, DeadPage, Requeued, Target, WholeLetter,
};
use crate::store::message::{Ended, PairStatus};
use crate::store::names::{MessageSeq, Moment, SubscriberId};
use crate::store::record::{DeadRecord, Record};

impl DeadFilter {
    fn fits(&self, key: DeadKey, message: &Message, dead: &DeadRecord) -> bool {
        let Self { hub, tenant, reason, subscriber, ids: _, died_from, died_before, after: _ } =
            self;
        hub.as_ref().is_none_or(|hub| *hub == message.hub)
            && tenant.as_ref().is_none_or(|tenant| *tenant == message.tenant)
            && reason.is_none_or(|reason| reason == dead.reason)
            && subscriber.is_none_or(|subscriber| subscriber == key.subscriber)
            && died_from.is_none_or(|from| from <= dead.at)
            && died_before.is_none_or(|end| dead.at < end)
    }
}

impl Ledger {
    fn dead_keys(&self, filter: &DeadFilter, after: Option<DeadKey>, limit: usize) -> Vec<DeadKey> {
        let fits = |(key, dead): (&DeadKey, &DeadRecord)| {
            let message = self.visible(key.seq)?;
            filter.fits(*key, message, dead).then_some(*key)
        };
        self.candidates(filter, after).filter_map(fits).take(limit).collect()
    }

    /// The letters that have to be looked at, in order: those of the listed ids, or all.
    pub(in crate::store) fn candidates(
        &self,
        filter: &DeadFilter,
        after: Option<DeadKey>,
    ) -> Box<dyn Iterator<Item = (&DeadKey, &DeadRecord)> + '_> {
        let after = after.max(filter.after);
        let Some(ids) = &filter.ids else {
            let start = after.map_or(Bound::Unbounded, Bound::Excluded);
            return Box::new(self.dead.range((start, Bound::Unbounded)));
        };
        let known = ids.iter().filter_map(|id| self.ids.get(id)).flatten().copied();
        let mut seqs: Vec<MessageSeq> = known.collect();
        seqs.sort_unstable();
        seqs.dedup();
        let of_message = move |seq: MessageSeq| {
            let key = |subscriber| DeadKey { seq, subscriber: SubscriberId(subscriber) };
            let (first, last) = (key(0), key(u64::MAX));
            let start = match after {
                Some(after) if after >= last => return None,
                Some(after) if after >= first => Bound::Excluded(after),
                _ => Bound::Included(first),
            };
            Some(self.dead.range((start, Bound::Included(last))))
        };
        Box::new(seqs.into_iter().filter_map(of_message).flatten())
    }

    pub(in crate::store) fn dead_letters(
        &self,
        filter: &DeadFilter,
        after: Option<DeadKey>,
        limit: usize,
    ) -> DeadPage {
        let (keys, next) = self.dead_page(filter, after, limit);
        let letter = |key: DeadKey| self.dead_letter(self.messages.get(&key.seq)?, key);
        DeadPage { letters: keys.into_iter().filter_map(letter).collect(), next }
    }

    pub(in crate::store) fn whole_letters(
        &self,
        filter: &DeadFilter,
        after: Option<DeadKey>,
        limit: usize,
        bytes_max: u64,
    ) -> (Vec<Unread<WholeLetter>>, Option<DeadKey>) {
        let (mut keys, mut next) = self.dead_page(filter, after, limit);
        let mut bytes = 0;
        let fits = |key: &&DeadKey| {
            bytes += self.messages.get(&key.seq).map_or(0, |message| message.body.bytes());
            bytes <= bytes_max
        };
        let fit = keys.iter().take_while(fits).count().max(1);
        if fit < keys.len() {
            keys.truncate(fit);
            next = keys.last().copied();
        }
        let letter = |key: DeadKey| {
            let message = self.messages.get(&key.seq)?;
            let letter = self.dead_letter(message, key)?;
            let (content, place) = message.body.read();
            Some(Unread { value: WholeLetter { letter, content }, seq: key.seq, place })
        };
        (keys.into_iter().filter_map(letter).collect(), next)
    }

    fn dead_page(
        &self,
        filter: &DeadFilter,
        after: Option<DeadKey>,
        limit: usize,
    ) -> (Vec<DeadKey>, Option<DeadKey>) {
        let mut keys = self.dead_keys(filter, after, limit.saturating_add(1));
        let more = keys.len() > limit;
        keys.truncate(limit);
        let next = keys.last().copied().filter(|_| more);
        (keys, next)
    }

    fn dead_letter(&self, message: &Message, key: DeadKey) -> Option<DeadLetter> {
        let dead = self.dead.get(&key)?;
        Some(DeadLetter {
            key,
            id: message.id.clone(),
            tenant: message.tenant.clone(),
            hub: message.hub.clone(),
            identity: dead.identity.clone(),
            audience: message.audience.clone(),
            priority: message.priority,
            critical: message.critical,
            accepted_at: message.accepted_at,
            expires_at: message.expires_at,
            died_at: dead.at,
            reason: dead.reason,
            attempts: dead.attempts.clone(),
            target: message.target.clone(),
        })
    }

    pub(in crate::store) fn purge(
        &mut self,
        filter: &DeadFilter,
        limit: usize,
        now: Moment,
    ) -> Vec<Ended> {
        let keys = self.dead_keys(filter, None, limit);
        self.throw_away(&keys, now)
    }

    fn throw_away(&mut self, keys: &[DeadKey], at: Moment) -> Vec<Ended> {
        let status = PairStatus::Purged;
        for &DeadKey { seq, subscriber } in keys {
            self.say(Record::Settled { seq, subscribers: vec![subscriber], status, at });
        }
        let turned: Vec<_> = keys.iter().map(|key| (*key, PairStatus::Dead)).collect();
        self.told(&turned, status, None, at)
    }

    pub(in crate::store) fn requeue(
        &mut self,
        filter: &DeadFilter,
        target: Target,
        limit: usize,
        now: Moment,
    ) -> Requeued {
        let mut keys = self.dead_keys(filter, None, limit.saturating_add(1));
        let mut requeued = Requeued { more: keys.len() > limit, ..Requeued::default() };
        keys.truncate(limit);
        requeued.last = keys.last().copied();
        let mut by_message: BTreeMap<MessageSeq, Vec<SubscriberId>> = BTreeMap::new();
        for key in keys {
            by_message.entry(key.seq).or_default().push(key.subscriber);
        }
        for (seq, subscribers) in by_message {
            match target {
                Target::SameSubscriber => self.again_to(seq, subscribers, now, &mut requeued),
                Target::CurrentAudience => self.again_to_all(seq, subscribers, now, &mut requeued),
            }
        }
        requeued
    }

    /// To those it was for.
    fn again_to(
        &mut self,
        seq: MessageSeq,
        subscribers: Vec<SubscriberId>,
        at: Moment,
        requeued: &mut Requeued,
    ) {
        let key = |subscriber| DeadKey { seq, subscriber };
        let (alive, gone): (Vec<_>, Vec<_>) =
            subscribers.into_iter().partition(|id| self.subscribers.contains_key(id));
        requeued.refused.extend(gone.into_iter().map(|id| (key(id), BadRequeue::SubscriberGone)));
        if alive.is_empty() {
            return;
        }
        if !self.has_room_for(seq, alive.len()) {
            let full = alive.into_iter().map(|id| (key(id), BadRequeue::PendingFull));
            requeued.refused.extend(full);
            return;
        }
        requeued.letters += alive.len() as u64;
        requeued.owed.extend(alive.iter().copied().map(key));
        self.introduce(&alive);
        self.say(Record::Requeued { seq, subscribers: alive, at });
    }

    /// To those it is for now: who has it or is owed it already gets nothing. When that is all of
    /// them, the letters to others are done with, too: a part of the letters of a message may come
    /// here after another part has gone to everybody.
    fn again_to_all(
        &mut self,
        seq: MessageSeq,
        dead: Vec<SubscriberId>,
        at: Moment,
        requeued: &mut Requeued,
    ) {
        let Some(message) = self.messages.get(&seq) else { return };
        let hub = self.hubs.get(&message.hub);
        let audience = hub.map(|hub| hub.resolve(&message.audience)).unwrap_or_default();
        let nobody = audience.is_empty();
        let (again, left): (Vec<_>, Vec<_>) =
            dead.into_iter().partition(|id| audience.binary_search(id).is_ok());
        let new: Vec<_> = audience.into_iter().filter(|id| message.pair(*id).is_none()).collect();
        let key = |subscriber| DeadKey { seq, subscriber };
        let refusal = if nobody {
            Some(BadRequeue::Nobody)
        } else if self.has_room_for(seq, again.len() + new.len()) {
            None
        } else {
            Some(BadRequeue::PendingFull)
        };
        if let Some(refusal) = refusal {
            let all = again.into_iter().chain(left);
            requeued.refused.extend(all.map(|id| (key(id), refusal)));
            return;
        }
        requeued.letters += (again.len() + left.len()) as u64;
        requeued.owed.extend(again.iter().chain(&new).copied().map(key));
        self.introduce(&again);
        self.introduce(&new);
        if !again.is_empty() {
            self.say(Record::Requeued { seq, subscribers: again, at });
        }
        if !new.is_empty() {
            self.say(Record::Targeted { seq, subscribers: new, at });
        }
        let left: Vec<DeadKey> = left.into_iter().map(key).collect();
        requeued.ended.extend(self.throw_away(&left, at));
    }

    fn has_room_for(&self, seq: MessageSeq, pairs: usize) -> bool {
        let Some(message) = self.messages.get(&seq) else { return false };
        let (own, total) = (self.usage.of(&message.tenant).pending, self.usage.total.pending);
        own + pairs as u64 <= self.config.pending_per_tenant_max
            && total + pairs as u64 <= self.config.pending_max
    }
}
