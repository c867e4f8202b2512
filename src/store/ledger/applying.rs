//! What each record does to the ledger. The same in life and when a log is read back.

use std::collections::HashMap;

use super::hubs::Hub;
use super::journal::Place;
use super::subscriber::Presence;
use super::{Body, Ledger, Message, Pair};
use crate::store::dead_letter::DeadKey;
use crate::store::message::PairStatus;
use crate::store::names::{MessageSeq, Moment, SubscriberId};
use crate::store::receipt::Counts;
use crate::store::record::{KeyRecord, MessageRecord, ReceiptRecord, Record, Sums};

impl Ledger {
    /// The only way to change a ledger. `place` is where the record lies, when it was read back.
    pub(in crate::store) fn apply(&mut self, record: Record, place: Option<Place>) {
        match record {
            Record::Sums(sums) => self.set_sums(sums),
            Record::Subscriber(subscriber) => self.set_subscriber(subscriber),
            Record::Joined { subscriber, group } => self.joined(subscriber, group),
            Record::Left { subscriber, group } => self.left(subscriber, &group),
            Record::Gone { subscriber, at } => self.gone(subscriber, at),
            Record::Accepted(message) => self.take_in(*message, place),
            Record::Kept(message) => {
                self.forget_message(message.seq);
                self.insert_message(*message, place);
            }
            Record::Receipt(receipt) => {
                self.forget_message(receipt.seq);
                self.insert_receipt(*receipt);
            }
            Record::Key(key) => {
                self.keys.insert(key, self.segment);
                self.come_home(key.seq);
            }
            Record::Settled { seq, subscribers, status, at } => {
                self.settled(seq, &subscribers, status, at);
            }
            Record::Died { seq, subscribers, reason, at } => {
                for subscriber in subscribers {
                    self.bury(DeadKey { seq, subscriber }, reason, at);
                }
            }
            Record::Attempted { seq, subscriber, attempt, spent } => {
                self.attempted(DeadKey { seq, subscriber }, attempt, spent);
            }
            Record::Requeued { seq, subscribers, at } => {
                self.totals.requeued += subscribers.len() as u64;
                for subscriber in subscribers {
                    self.turn(DeadKey { seq, subscriber }, PairStatus::Owed, at);
                }
            }
            Record::Targeted { seq, subscribers, at } => {
                self.totals.targeted += subscribers.len() as u64;
                for subscriber in subscribers {
                    self.target(DeadKey { seq, subscriber }, at);
                }
            }
            Record::Retired { seq, subscriber, at } => {
                self.totals.retired += 1;
                self.settled(seq, &[subscriber], PairStatus::Purged, at);
            }
            Record::Adopted { from, to, seqs } => self.adopted(from, to, &seqs),
            Record::Snapshot { task, snapshot, at } => {
                self.snapshots.insert((task, snapshot, at), self.segment, &self.config);
            }
            Record::Bookmark { reader, place } => self.bookmarked(reader, place),
            Record::Unread { reader } => self.forget_bookmark(&reader),
            Record::Death(death) => self.deaths.insert(*death),
            Record::Former { subscriber, identity } => {
                self.former.insert(subscriber, identity, 0);
            }
            Record::Mended | Record::Closed => {}
        }
    }

    fn take_in(&mut self, message: MessageRecord, place: Option<Place>) {
        self.totals.messages += 1;
        self.totals.targeted += message.pairs.len() as u64;
        self.totals.nobody += u64::from(message.pairs.is_empty());
        let key = KeyRecord {
            key: super::keys::key_of(&message.tenant, &message.hub, &message.id),
            body_hash: message.body_hash,
            seq: message.seq,
            targeted: message.pairs.len() as u64,
            at: message.accepted_at,
        };
        self.totals.keys_forgotten += self.keys.make_room(key.at, &self.config);
        self.keys.insert(key, self.segment);
        self.insert_message(message, place);
    }

    fn set_sums(&mut self, sums: Sums) {
        self.totals = sums.totals;
        self.next_seq = self.next_seq.max(sums.next_seq);
        self.next_subscriber = self.next_subscriber.max(sums.next_subscriber);
    }

    /// Pairs of a message that is not known any more count, too: its records went with an older
    /// file, whose sums did not have these ends yet.
    fn settled(
        &mut self,
        seq: MessageSeq,
        subscribers: &[SubscriberId],
        status: PairStatus,
        at: Moment,
    ) {
        let known = self.messages.contains_key(&seq);
        for &subscriber in subscribers {
            let changed = self.turn(DeadKey { seq, subscriber }, status, at).is_some();
            let count = u64::from(changed || !known);
            match status {
                PairStatus::Acknowledged => self.totals.acknowledged += count,
                PairStatus::Unconfirmed => self.totals.unconfirmed += count,
                PairStatus::Expired => self.totals.expired += count,
                PairStatus::Purged => self.totals.purged += count,
                PairStatus::Owed | PairStatus::Dead => {}
            }
        }
    }

    fn insert_message(&mut self, mut record: MessageRecord, place: Option<Place>) {
        let target = self.targets.shared(record.content.target);
        record.content.target = target.clone();
        let seq = record.seq;
        let mut counts = Counts::default();
        for (_, status) in &record.pairs {
            *counts.of(*status) += 1;
        }
        let bytes = super::accepting::cost_of(&record.content, record.pairs.len());
        let body = match place {
            Some(place) if record.content.arguments.len() > self.config.inline_bytes_max => {
                Body::At(place)
            }
            _ => Body::Inline(Box::new(record.content)),
        };
        let message = Message {
            tenant: self.usage.name(record.tenant),
            hub: self.hub_name(record.hub),
            id: record.id,
            target,
            audience: record.audience,
            priority: record.priority,
            critical: record.critical,
            is_namesake: record.is_namesake,
            accepted_at: record.accepted_at,
            age_from: record.age_from,
            expires_at: record.expires_at,
            settled_at: record.settled_at.or((counts.pending == 0).then_some(record.accepted_at)),
            body_hash: record.body_hash,
            body,
            bytes,
            pairs: record
                .pairs
                .into_iter()
                .map(|(subscriber, status)| Pair { subscriber, status })
                .collect(),
            counts,
            tries_of_expired: record.tries_of_expired,
            home: self.segment,
        };
        self.next_seq = self.next_seq.max(seq.0 + 1);
        self.usage.change(&message.tenant, |share| {
            share.pending += counts.pending;
            share.dead += counts.dead;
            share.bytes += bytes;
        });
        for subscriber in message.subscribers_with(PairStatus::Owed) {
            self.owe(subscriber, seq);
        }
        for (subscriber, dead) in record.dead {
            let key = DeadKey { seq, subscriber };
            self.retiring.insert((dead.at.after(self.config.dead_letter_life()), key));
            self.dead.insert(key, dead);
        }
        let tried = record.tried.into_iter();
        self.tried.extend(tried.map(|(subscriber, tried)| (DeadKey { seq, subscriber }, tried)));
        if counts.pending > 0 {
            self.due.insert((self.due_of(&message), seq));
        }
        self.ids.entry(message.id.clone()).or_default().push(seq);
        let at = message.age_from;
        if message.counts.expired > 0 {
            self.expired.insert(seq);
        }
        self.messages.insert(seq, Box::new(message));
        self.name_pairs(seq);
        self.come_home(seq);
        self.close_if_over(seq, at);
    }

    fn insert_receipt(&mut self, record: ReceiptRecord) {
        let seq = record.seq;
        let message = Message {
            tenant: self.usage.name(record.tenant),
            hub: self.hub_name(record.hub),
            id: record.id,
            target: self.targets.shared(record.target),
            audience: crate::model::Audience::Groups(Vec::new()),
            priority: crate::model::Priority::default(),
            critical: false,
            is_namesake: record.is_namesake,
            accepted_at: record.accepted_at,
            age_from: record.accepted_at,
            expires_at: record.expires_at,
            settled_at: Some(record.settled_at),
            body_hash: [0; 16],
            body: Body::Gone,
            bytes: 0,
            pairs: record
                .pairs
                .into_iter()
                .map(|(subscriber, status)| Pair { subscriber, status })
                .collect(),
            counts: record.counts,
            tries_of_expired: record.tries_of_expired,
            home: self.segment,
        };
        self.ids.entry(message.id.clone()).or_default().push(seq);
        if message.counts.expired > 0 {
            self.expired.insert(seq);
        }
        self.messages.insert(seq, Box::new(message));
        self.name_pairs(seq);
        self.come_home(seq);
        self.keep_receipt(seq, record.settled_at);
    }

    /// Takes a message out as if it had never been: its totals stay as they are.
    pub(super) fn forget_message(&mut self, seq: MessageSeq) {
        let Some(message) = self.messages.remove(&seq) else { return };
        self.usage.change(&message.tenant, |share| {
            share.pending -= message.counts.pending;
            share.dead -= message.counts.dead;
            share.bytes -= message.bytes;
        });
        for pair in &message.pairs {
            let key = DeadKey { seq, subscriber: pair.subscriber };
            match pair.status {
                PairStatus::Owed => {
                    if let Some(subscriber) = self.subscribers.get_mut(&pair.subscriber) {
                        subscriber.owe_no_more(seq);
                    }
                    self.tried.remove(&key);
                }
                PairStatus::Dead => {
                    if let Some(dead) = self.dead.remove(&key) {
                        let end = dead.at.after(self.config.dead_letter_life());
                        self.retiring.remove(&(end, key));
                    }
                }
                PairStatus::Acknowledged
                | PairStatus::Unconfirmed
                | PairStatus::Expired
                | PairStatus::Purged => {}
            }
        }
        self.due.remove(&(self.due_of(&message), seq));
        self.expired.remove(&seq);
        self.unname_pairs(&message.pairs);
        if let Some(at) = message.settled_at {
            self.over.remove(&(at.after(self.config.receipt_life()), seq));
        }
        if let Some(seqs) = self.ids.get_mut(&message.id) {
            seqs.retain(|own| *own != seq);
            if seqs.is_empty() {
                self.ids.remove(&message.id);
            }
        }
    }

    fn come_home(&mut self, seq: MessageSeq) {
        let home = self.homes.entry(self.segment).or_default();
        if home.last() != Some(&seq) {
            home.push(seq);
        }
    }

    /// All records were read. What they did not say is not so: a subscriber that is only known from
    /// pairs is gone, and everybody else is away until [`Ledger::ready`] says since when.
    pub(in crate::store) fn read_back(&mut self, now: Moment) {
        let mut gone: Vec<SubscriberId> = Vec::new();
        for (id, subscriber) in &mut self.subscribers {
            subscriber.set_presence(Presence::Unknown);
            if !subscriber.known || (!subscriber.is_session() && subscriber.owed().is_empty()) {
                gone.push(*id);
            }
        }
        gone.sort_unstable();
        for id in gone {
            self.expire_owed(id, now);
            self.say(Record::Gone { subscriber: id, at: now });
        }
        self.former.read_back();
        // Connections are no more, and who had no session cannot be addressed.
        self.hubs = HashMap::new();
        for (id, subscriber) in &self.subscribers {
            let hub: &mut Hub = self.hubs.entry(subscriber.hub.clone()).or_default();
            if subscriber.is_session() {
                hub.add(*id, subscriber);
            } else {
                hub.add_lost(*id, subscriber);
            }
        }
        self.committed();
    }

    /// Makes the sums fit what is there, after records were lost.
    pub(in crate::store) fn reconcile(&mut self) {
        let Counts { pending, acknowledged, unconfirmed, expired, dead, purged } = self.pairs();
        self.totals.targeted = pending + acknowledged + unconfirmed + expired + dead + purged;
        let open = self.due.len() as u64;
        self.totals.messages = self.totals.messages.max(open);
    }
}
