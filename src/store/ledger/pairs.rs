//! One pair of message and subscriber: every change of its status goes through [`Ledger::turn`].
//!
//! ```text
//!            ┌────────────▶ Acknowledged, Unconfirmed ◀──┐ (a late answer)
//!   Owed ────┼────────────▶ Expired                      │
//!    ▲       └────────────▶ Dead ────────────────────────┤
//!    └──── requeued ─────────┘                           └▶ Purged
//! ```

use super::{Body, Ledger, Message, Pair, RECEIPT_PAIRS_MAX};
use crate::store::dead_letter::{Attempt, DeadKey, DeathKey, Reason, Spent};
use crate::store::message::PairStatus;
use crate::store::names::{MessageSeq, Moment, SubscriberId};
use crate::store::record::{DeadRecord, Tried, keep_attempt};

/// Whether a pair may go from one status to the other.
fn is_allowed(from: PairStatus, to: PairStatus) -> bool {
    use PairStatus as P;
    match from {
        P::Owed => matches!(to, P::Acknowledged | P::Unconfirmed | P::Expired | P::Dead),
        P::Dead => matches!(to, P::Acknowledged | P::Unconfirmed | P::Purged | P::Owed),
        P::Acknowledged | P::Unconfirmed | P::Expired | P::Purged => false,
    }
}

impl Ledger {
    /// Whether [`Ledger::turn`] would do something.
    pub(super) fn may_turn(&self, key: DeadKey, to: PairStatus) -> bool {
        self.pair_status(key).is_some_and(|from| is_allowed(from, to))
    }

    pub(super) fn pair_status(&self, key: DeadKey) -> Option<PairStatus> {
        let message = self.messages.get(&key.seq)?;
        message.pair(key.subscriber).map(|index| message.pairs[index].status)
    }

    /// Changes the status of a pair and everything that depends on it. Answers what it was; none
    /// when the change is not allowed.
    pub(super) fn turn(&mut self, key: DeadKey, to: PairStatus, at: Moment) -> Option<PairStatus> {
        let DeadKey { seq, subscriber } = key;
        let message = self.messages.get_mut(&seq)?;
        let index = message.pair(subscriber)?;
        let from = message.pairs[index].status;
        if !is_allowed(from, to) {
            return None;
        }
        message.pairs[index].status = to;
        *message.counts.of(from) -= 1;
        *message.counts.of(to) += 1;
        self.usage.change(&message.tenant, |share| {
            share.pending -= u64::from(from == PairStatus::Owed);
            share.pending += u64::from(to == PairStatus::Owed);
            share.dead -= u64::from(from == PairStatus::Dead);
            share.dead += u64::from(to == PairStatus::Dead);
        });
        self.leave_status(key, from, to);
        if to == PairStatus::Expired {
            self.expired.insert(seq);
        }
        if to == PairStatus::Owed
            && let Some(found) = self.subscribers.get_mut(&subscriber)
        {
            found.owe(seq);
        }
        self.keep_time(seq, at);
        Some(from)
    }

    fn leave_status(&mut self, key: DeadKey, from: PairStatus, to: PairStatus) {
        if from == PairStatus::Owed {
            if let Some(found) = self.subscribers.get_mut(&key.subscriber) {
                found.owe_no_more(key.seq);
            }
            if to != PairStatus::Dead
                && !self.tried.is_empty()
                && let Some(tried) = self.tried.remove(&key)
                && to == PairStatus::Expired
            {
                self.tried_and_expired(key.seq, tried.count());
            }
        }
        if from == PairStatus::Dead
            && let Some(dead) = self.dead.remove(&key)
        {
            let end = dead.at.after(self.config.dead_letter_life());
            self.retiring.remove(&(end, key));
            self.remember_death(DeathKey { letter: key, at: dead.at }, &dead);
            if to == PairStatus::Owed && !dead.attempts.is_empty() {
                let DeadRecord { attempts, left_out, .. } = dead;
                self.tried.insert(key, Tried { spent: Spent::default(), left_out, attempts });
            }
        }
    }

    /// Sets when the message has settled, when it is due, and whether it is over.
    fn keep_time(&mut self, seq: MessageSeq, at: Moment) {
        let Some(message) = self.messages.get(&seq) else { return };
        let due = self.due_of(message);
        let Some(message) = self.messages.get_mut(&seq) else { return };
        match (message.counts.pending, message.settled_at) {
            (0, None) => {
                self.due.remove(&(due, seq));
                message.settled_at = Some(at);
            }
            (1.., Some(_)) => {
                message.settled_at = None;
                message.age_from = at;
                let Some(message) = self.messages.get(&seq) else { return };
                self.due.insert((self.due_of(message), seq));
            }
            _ => {}
        }
        self.close_if_over(seq, at);
    }

    /// A message of which nothing is owed or dead needs no content, only a receipt for a while.
    pub(super) fn close_if_over(&mut self, seq: MessageSeq, at: Moment) {
        let Some(message) = self.messages.get_mut(&seq) else { return };
        if !message.is_over() || matches!(message.body, Body::Gone) {
            return;
        }
        message.body = Body::Gone;
        message.settled_at = Some(at);
        let bytes = std::mem::take(&mut message.bytes);
        self.usage.change(&message.tenant, |share| share.bytes -= bytes);
        if message.pairs.len() > RECEIPT_PAIRS_MAX {
            message.pairs = Vec::new();
        }
        self.keep_receipt(seq, at);
    }

    /// The oldest go when there are too many.
    pub(super) fn keep_receipt(&mut self, seq: MessageSeq, settled_at: Moment) {
        self.over.insert((settled_at.after(self.config.receipt_life()), seq));
        while self.over.len() > self.config.receipts_max
            && let Some((_, seq)) = self.over.pop_first()
        {
            self.totals.receipts_forgotten += 1;
            self.forget_message(seq);
        }
    }

    /// An owed pair becomes a dead letter.
    pub(super) fn bury(&mut self, key: DeadKey, reason: Reason, at: Moment) {
        if self.turn(key, PairStatus::Dead, at).is_none() {
            return;
        }
        let Tried { attempts, left_out, .. } = self.tried.remove(&key).unwrap_or_default();
        let identity = self.identity_of(key.subscriber);
        self.retiring.insert((at.after(self.config.dead_letter_life()), key));
        self.dead.insert(key, DeadRecord { identity, reason, left_out, at, attempts });
    }

    /// Notes a failed attempt; the first and the newest are kept. Also one that had no answer yet
    /// when its pair ended.
    pub(super) fn attempted(&mut self, key: DeadKey, attempt: Attempt, spent: Spent) {
        match self.pair_status(key) {
            Some(PairStatus::Owed) => {
                let tried = self.tried.entry(key).or_default();
                tried.spent = spent;
                keep_attempt(&mut tried.attempts, &mut tried.left_out, attempt);
            }
            Some(PairStatus::Dead) => {
                if let Some(dead) = self.dead.get_mut(&key) {
                    keep_attempt(&mut dead.attempts, &mut dead.left_out, attempt);
                }
            }
            Some(PairStatus::Expired) => self.tried_and_expired(key.seq, 1),
            Some(PairStatus::Acknowledged | PairStatus::Unconfirmed | PairStatus::Purged)
            | None => {}
        }
    }

    /// Attempts for a pair that expired. What came of each is not kept any more.
    fn tried_and_expired(&mut self, seq: MessageSeq, attempts: u32) {
        if let Some(message) = self.messages.get_mut(&seq) {
            message.tries_of_expired = message.tries_of_expired.saturating_add(attempts);
        }
    }

    /// A message is owed to one more subscriber, who never was owed it.
    pub(super) fn target(&mut self, key: DeadKey, at: Moment) -> bool {
        let Some(message) = self.messages.get_mut(&key.seq) else { return false };
        let pairs = &mut message.pairs;
        let Err(index) = pairs.binary_search_by_key(&key.subscriber, |pair| pair.subscriber) else {
            return false;
        };
        pairs.insert(index, Pair { subscriber: key.subscriber, status: PairStatus::Owed });
        message.counts.pending += 1;
        self.usage.change(&message.tenant, |share| share.pending += 1);
        let count = message.pairs.len();
        // One too many, and nobody is named any more.
        let unnamed =
            if count == RECEIPT_PAIRS_MAX + 1 { message.pairs.clone() } else { Vec::new() };
        self.owe(key.subscriber, key.seq);
        if count <= RECEIPT_PAIRS_MAX {
            self.name(key.subscriber);
        }
        for pair in unnamed.iter().filter(|pair| pair.subscriber != key.subscriber) {
            self.unname(pair.subscriber);
        }
        self.keep_time(key.seq, at);
        true
    }

    /// The message of a seq, when it is durable: what mortals may see.
    pub(super) fn visible(&self, seq: MessageSeq) -> Option<&Message> {
        if seq > self.durable {
            return None;
        }
        self.messages.get(&seq).map(|message| &**message)
    }

    pub(super) fn owe(&mut self, subscriber: SubscriberId, seq: MessageSeq) {
        self.subscriber_or_stub(subscriber).owe(seq);
    }
}
