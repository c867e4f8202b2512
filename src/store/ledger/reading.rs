//! Questions to the ledger. What is not durable yet is not there.

use std::ops::Bound;

use bytes::Bytes;

use super::journal::Place;
use super::{Body, Ledger, Message, RECEIPT_PAIRS_MAX};
use crate::model::{MessageId, Tenant};
use crate::store::dead_letter::{DeadKey, Spent};
use crate::store::message::{Accepted, Content, Encoding, Owed, PairStatus, Which};
use crate::store::names::{MessageSeq, Moment, SubscriberId};
use crate::store::receipt::{Counts, PairReceipt, Receipt, Stats};

/// Something whose content may still have to be read from the log.
pub(in crate::store) struct Unread<T> {
    pub(in crate::store) value: T,
    pub(in crate::store) seq: MessageSeq,
    pub(in crate::store) place: Option<Place>,
}

/// What stands for a content until it is read, and for one that cannot be read any more.
pub(super) fn no_content() -> Content {
    Content {
        target: "".into(),
        encoding: Encoding::Json,
        arguments: Bytes::from_static(b"[]"),
        ordering_key: None,
        correlation_id: None,
    }
}

impl Body {
    pub(super) fn read(&self) -> (Content, Option<Place>) {
        match self {
            Self::Inline(content) => (Content::clone(content), None),
            Self::At(place) => (no_content(), Some(*place)),
            Self::Gone => (no_content(), None),
        }
    }

    /// How long it is, about.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Inline(content) => content.arguments.len() as u64,
            Self::At(place) => place.length.into(),
            Self::Gone => 0,
        }
    }
}

impl Ledger {
    pub(in crate::store) fn owed(
        &self,
        subscriber: SubscriberId,
        after: Option<MessageSeq>,
        limit: usize,
    ) -> Vec<Unread<Owed>> {
        let Some(found) = self.subscribers.get(&subscriber) else { return Vec::new() };
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let seqs = found.owed().range((start, Bound::Unbounded));
        let owed = seqs.map_while(|&seq| {
            let mut owed = self.message(seq)?;
            owed.value.spent = self.spent_on(DeadKey { seq, subscriber });
            Some(owed)
        });
        owed.take(limit).collect()
    }

    /// Which of these nobody may come back as.
    pub(in crate::store) fn gone_of(&self, mut ids: Vec<SubscriberId>) -> Vec<SubscriberId> {
        ids.retain(|id| !self.subscribers.contains_key(id));
        ids
    }

    pub(in crate::store) fn owed_count(&self, subscriber: SubscriberId) -> u64 {
        let Some(found) = self.subscribers.get(&subscriber) else { return 0 };
        if found.owed().last().is_none_or(|last| *last <= self.durable) {
            return found.owed().len() as u64;
        }
        found.owed().range(..=self.durable).count() as u64
    }

    pub(in crate::store) fn message(&self, seq: MessageSeq) -> Option<Unread<Owed>> {
        let message = self.visible(seq).filter(|message| !message.is_over())?;
        let (content, place) = message.body.read();
        let owed = Owed {
            seq,
            id: message.id.clone(),
            tenant: message.tenant.clone(),
            hub: message.hub.clone(),
            audience: message.audience.clone(),
            priority: message.priority,
            critical: message.critical,
            accepted_at: message.accepted_at,
            expires_at: message.expires_at,
            content,
            is_namesake: message.is_namesake,
            spent: Spent::default(),
        };
        Some(Unread { value: owed, seq, place })
    }

    fn spent_on(&self, key: DeadKey) -> Spent {
        self.tried.get(&key).map(|tried| tried.spent).unwrap_or_default()
    }

    /// The newest message that is durable.
    pub(in crate::store) fn newest_visible(&self) -> MessageSeq {
        self.durable
    }

    /// A message that was accepted, and who is owed it now.
    pub(in crate::store) fn accepted(&self, seq: MessageSeq) -> Accepted {
        let message = self.visible(seq);
        Accepted {
            seq,
            subscribers: message
                .map(|own| own.subscribers_with(PairStatus::Owed))
                .unwrap_or_default(),
            is_namesake: message.is_some_and(|own| own.is_namesake),
        }
    }

    pub(in crate::store) fn status(
        &self,
        subscriber: SubscriberId,
        message: &Which,
    ) -> Option<PairStatus> {
        let mut keys = self.keys_named(subscriber, message).into_iter();
        keys.find_map(|key| self.visible(key.seq).and_then(|_| self.pair_status(key)))
    }

    pub(in crate::store) fn receipts(
        &self,
        id: &MessageId,
        tenant: Option<&Tenant>,
    ) -> Vec<Receipt> {
        let seqs = self.ids.get(id).into_iter().flatten();
        seqs.filter_map(|&seq| self.visible(seq).map(|message| (seq, message)))
            .filter(|(_, message)| tenant.is_none_or(|tenant| *tenant == message.tenant))
            .map(|(seq, message)| self.receipt(seq, message))
            .collect()
    }

    pub(in crate::store) fn settled_since(
        &self,
        since: Moment,
        after: Option<MessageSeq>,
        limit: usize,
    ) -> Vec<Receipt> {
        let since = since.after(self.config.receipt_life());
        let start = match after {
            Some(seq) => Bound::Excluded((since, seq)),
            None => Bound::Included((since, MessageSeq(0))),
        };
        let over = self.over.range((start, Bound::Unbounded));
        over.filter_map(|(_, seq)| Some(self.receipt(*seq, self.visible(*seq)?)))
            .take(limit)
            .collect()
    }

    pub(in crate::store) fn expired(&self, limit: usize) -> Vec<Receipt> {
        let expired = self.expired.iter().rev();
        expired
            .filter_map(|seq| Some(self.receipt(*seq, self.visible(*seq)?)))
            .take(limit)
            .collect()
    }

    fn receipt(&self, seq: MessageSeq, message: &Message) -> Receipt {
        let pairs = if message.pairs.len() > RECEIPT_PAIRS_MAX { &[] } else { &*message.pairs };
        let identity = |id: SubscriberId| {
            let alive = self.subscribers.get(&id).map(|found| found.identity.clone());
            let dead = || self.dead.get(&DeadKey { seq, subscriber: id });
            let dead = alive.or_else(|| dead().map(|dead| dead.identity.clone()));
            dead.or_else(|| self.former.identity(id))
        };
        Receipt {
            seq,
            id: message.id.clone(),
            tenant: message.tenant.clone(),
            hub: message.hub.clone(),
            target: message.target.clone(),
            accepted_at: message.accepted_at,
            expires_at: message.expires_at,
            settled_at: message.settled_at,
            counts: message.counts,
            tries_of_expired: message.tries_of_expired,
            pairs: pairs
                .iter()
                .map(|pair| PairReceipt {
                    subscriber: pair.subscriber,
                    identity: identity(pair.subscriber),
                    status: pair.status,
                })
                .collect(),
        }
    }

    /// All pairs ever, by where they are.
    pub(super) fn pairs(&self) -> Counts {
        Counts {
            pending: self.usage.total.pending,
            acknowledged: self.totals.acknowledged,
            unconfirmed: self.totals.unconfirmed,
            expired: self.totals.expired,
            dead: self.usage.total.dead,
            purged: self.totals.purged,
        }
    }

    pub(in crate::store) fn stats(&self) -> Stats {
        let open = self.due.len() as u64;
        Stats {
            messages_accepted: self.totals.messages,
            messages_settled: self.totals.messages.saturating_sub(open),
            messages_open: open,
            pairs: self.pairs(),
            totals: self.totals,
            bytes: self.usage.total.bytes,
            subscribers: self.subscribers.len() as u64,
            keys: self.keys.len() as u64,
            receipts: self.over.len() as u64,
        }
    }
}
