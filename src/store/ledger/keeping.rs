//! What is said again, so that old log files can go.
//!
//! Files go from the oldest on, so a record never outlives one that it depends on. Before a file
//! goes, what has its newest full record there is said again. Subscribers, bookmarks and deaths
//! need no such care: each file opens with all of them.

use super::{Body, Ledger, Place, SegmentNumber};
use crate::store::dead_letter::{DeadKey, Reason};
use crate::store::message::{Content, PairStatus};
use crate::store::names::{MessageSeq, Moment, SubscriberId};
use crate::store::record::{MessageRecord, ReceiptRecord, Record, Sums};

/// Bytes that a key, a receipt and a subscriber take in a log, about.
const KEY_BYTES: u64 = 90;
const RECEIPT_BYTES: u64 = 200;
const SUBSCRIBER_BYTES: u64 = 150;

/// What stands next in a file that is to go.
pub(in crate::store) enum AtHome {
    /// Only what can be said from memory.
    InMemory(MessageSeq),
    /// A message whose content lies there.
    OnDisk(MessageSeq, Place),
}

impl Ledger {
    /// From now on records go to that file; it opens with the sums, the bookmarks, the deaths to be
    /// told and the subscribers, also those that are gone and named in receipts.
    pub(in crate::store) fn open_segment(&mut self, segment: SegmentNumber) {
        self.segment = segment;
        let sums = Sums {
            totals: self.totals,
            next_seq: self.next_seq,
            next_subscriber: self.next_subscriber,
        };
        self.journal.push(&Record::Sums(sums));
        self.write_bookmarks();
        self.write_deaths();
        self.write_former();
        let mut ids: Vec<SubscriberId> = self.subscribers.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            let needed = self.subscribers.get(&id).is_some_and(|found| {
                found.is_session() || !found.owed().is_empty() || found.receipts > 0
            });
            if needed {
                self.write_subscriber(id);
            } else {
                self.unwrite_subscriber(id);
            }
        }
    }

    /// The store is closed in order.
    pub(in crate::store) fn say_closed(&mut self) {
        self.say(Record::Closed);
    }

    /// About how much of a log is needed.
    pub(in crate::store) fn live_bytes(&self) -> u64 {
        self.usage.total.bytes
            + self.keys.len() as u64 * KEY_BYTES
            + self.over.len() as u64 * RECEIPT_BYTES
            + self.opening_bytes()
            + self.snapshots.bytes()
    }

    /// About how much a new file begins with.
    pub(in crate::store) fn opening_bytes(&self) -> u64 {
        self.subscribers.len() as u64 * SUBSCRIBER_BYTES + self.deaths.bytes() + self.former.bytes()
    }

    /// The last thing that is needed from a file, passing over up to `limit` that are not. None
    /// when nothing is left, or the limit was met.
    pub(in crate::store) fn at_home(
        &mut self,
        segment: SegmentNumber,
        limit: usize,
    ) -> Option<AtHome> {
        for _ in 0..limit {
            let seq = *self.homes.get(&segment)?.last()?;
            if let Some(message) = self.messages.get(&seq).filter(|found| found.home == segment) {
                return Some(match message.body {
                    Body::At(place) => AtHome::OnDisk(seq, place),
                    Body::Inline(_) | Body::Gone => AtHome::InMemory(seq),
                });
            }
            if self.keys.at_home(seq, segment).is_some() {
                return Some(AtHome::InMemory(seq));
            }
            self.leave_home(segment);
        }
        None
    }

    fn leave_home(&mut self, segment: SegmentNumber) {
        if let Some(home) = self.homes.get_mut(&segment) {
            home.pop();
            if home.is_empty() {
                self.homes.remove(&segment);
            }
        }
    }

    /// Whether messages or keys of a file may still be needed.
    pub(in crate::store) fn has_home(&self, segment: SegmentNumber) -> bool {
        self.homes.contains_key(&segment)
    }

    /// Says the last thing of a file again. `content` is what was read for [`AtHome::OnDisk`].
    pub(in crate::store) fn keep(
        &mut self,
        seq: MessageSeq,
        segment: SegmentNumber,
        content: Option<Content>,
    ) {
        let key = self.keys.at_home(seq, segment);
        let record = self.record_of(seq, segment, content);
        self.leave_home(segment);
        if let Some(record) = record {
            self.say(record);
        }
        if let Some(key) = key {
            self.say(Record::Key(key));
        }
    }

    /// Says the snapshots of a file again.
    pub(in crate::store) fn keep_snapshots(&mut self, segment: SegmentNumber) {
        for record in self.snapshots.at_home(segment) {
            self.say(record);
        }
    }

    /// A message whose content cannot be read any more: whoever is owed it gets a dead letter.
    pub(in crate::store) fn unreadable(&mut self, seq: MessageSeq, at: Moment) {
        let Some(message) = self.messages.get_mut(&seq) else { return };
        message.body = Body::Inline(Box::new(super::reading::no_content()));
        let subscribers = message.subscribers_with(PairStatus::Owed);
        if subscribers.is_empty() {
            return;
        }
        let status = PairStatus::Expired;
        self.say(if self.has_expired(seq, at) {
            Record::Settled { seq, subscribers, status, at }
        } else {
            Record::Died { seq, subscribers, reason: Reason::Damaged, at }
        });
    }

    fn record_of(
        &self,
        seq: MessageSeq,
        segment: SegmentNumber,
        content: Option<Content>,
    ) -> Option<Record> {
        let message = self.messages.get(&seq).filter(|found| found.home == segment)?;
        let pairs = message.pairs.iter().map(|pair| (pair.subscriber, pair.status)).collect();
        let inline = match &message.body {
            Body::Inline(content) => Some(Content::clone(content)),
            Body::At(_) | Body::Gone => None,
        };
        if message.is_over() {
            return Some(Record::Receipt(Box::new(ReceiptRecord {
                seq,
                id: message.id.clone(),
                tenant: message.tenant.clone(),
                hub: message.hub.clone(),
                target: message.target.clone(),
                accepted_at: message.accepted_at,
                expires_at: message.expires_at,
                settled_at: message.settled_at.unwrap_or(message.accepted_at),
                counts: message.counts,
                pairs,
                is_namesake: message.is_namesake,
                tries_of_expired: message.tries_of_expired,
            })));
        }
        let of = |status| message.subscribers_with(status).into_iter();
        let dead = of(PairStatus::Dead).filter_map(|subscriber| {
            let dead = self.dead.get(&DeadKey { seq, subscriber })?;
            Some((subscriber, dead.clone()))
        });
        let tried = of(PairStatus::Owed).filter_map(|subscriber| {
            let tried = self.tried.get(&DeadKey { seq, subscriber })?;
            Some((subscriber, tried.clone()))
        });
        Some(Record::Kept(Box::new(MessageRecord {
            seq,
            id: message.id.clone(),
            tenant: message.tenant.clone(),
            hub: message.hub.clone(),
            audience: message.audience.clone(),
            priority: message.priority,
            critical: message.critical,
            accepted_at: message.accepted_at,
            age_from: message.age_from,
            settled_at: message.settled_at,
            expires_at: message.expires_at,
            body_hash: message.body_hash,
            content: content.or(inline)?,
            pairs,
            dead: dead.collect(),
            tried: tried.collect(),
            is_namesake: message.is_namesake,
            tries_of_expired: message.tries_of_expired,
        })))
    }
}
