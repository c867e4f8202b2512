//! Ends of pairs: by an answer, by a decision, by time.

use std::collections::HashSet;

use super::Ledger;
use crate::store::dead_letter::{Attempt, DeadKey, Reason, Spent};
use crate::store::message::{Ended, Outcome, PairStatus, Settle, Swept, Which};
use crate::store::names::{MessageSeq, Moment, SubscriberId};
use crate::store::record::Record;

impl Ledger {
    pub(in crate::store) fn settle(&mut self, pairs: &[Settle], now: Moment) -> Vec<Ended> {
        let mut ended = Vec::new();
        for Settle { subscriber, message, outcome } in pairs {
            for key in self.keys_named(*subscriber, message) {
                let Some(from) = self.pair_status(key) else { continue };
                let (status, reason) = match *outcome {
                    Outcome::Acknowledged => (PairStatus::Acknowledged, None),
                    Outcome::Unconfirmed => (PairStatus::Unconfirmed, None),
                    Outcome::Dead(reason) if !self.has_expired(key.seq, now) => {
                        (PairStatus::Dead, Some(reason))
                    }
                    Outcome::Expired | Outcome::Dead(_) => (PairStatus::Expired, None),
                };
                if !self.may_turn(key, status) {
                    continue;
                }
                let (seq, subscribers) = (key.seq, vec![key.subscriber]);
                self.say(match reason {
                    None => Record::Settled { seq, subscribers, status, at: now },
                    Some(reason) => Record::Died { seq, subscribers, reason, at: now },
                });
                ended.extend(self.told(&[(key, from)], status, reason, now));
            }
        }
        ended
    }

    pub(super) fn keys_named(&self, subscriber: SubscriberId, message: &Which) -> Vec<DeadKey> {
        match message {
            Which::Seq(seq) => vec![DeadKey { seq: *seq, subscriber }],
            Which::Id(id) => {
                let seqs = self.ids.get(id).into_iter().flatten().copied();
                let own =
                    |seq: &MessageSeq| self.messages.get(seq).is_some_and(|own| !own.is_namesake);
                seqs.filter(own).map(|seq| DeadKey { seq, subscriber }).collect()
            }
        }
    }

    pub(in crate::store) fn note_attempt(&mut self, key: DeadKey, attempt: Attempt, spent: Spent) {
        use PairStatus::{Dead, Expired, Owed};
        if !matches!(self.pair_status(key), Some(Owed | Dead | Expired)) {
            return;
        }
        let Attempt { at, mut error } = attempt;
        if error.len() > Attempt::ERROR_BYTES_MAX {
            error = error[..error.floor_char_boundary(Attempt::ERROR_BYTES_MAX)].into();
        }
        let (seq, subscriber) = (key.seq, key.subscriber);
        self.say(Record::Attempted { seq, subscriber, attempt: Attempt { at, error }, spent });
    }

    /// What is told about pairs that were turned, with what each was before.
    pub(super) fn told(
        &self,
        turned: &[(DeadKey, PairStatus)],
        status: PairStatus,
        reason: Option<Reason>,
        at: Moment,
    ) -> Vec<Ended> {
        let mut settled = HashSet::new();
        let mut ended: Vec<Ended> = Vec::with_capacity(turned.len());
        // Backwards: the last pair of a message carries its counts.
        for (key, from) in turned.iter().rev() {
            let Some(message) = self.messages.get(&key.seq) else { continue };
            let last =
                *from == PairStatus::Owed && message.counts.pending == 0 && settled.insert(key.seq);
            ended.push(Ended {
                seq: key.seq,
                id: message.id.clone(),
                tenant: message.tenant.clone(),
                subscriber: key.subscriber,
                status,
                reason,
                at,
                message: last.then_some(message.counts),
            });
        }
        ended.reverse();
        ended
    }

    pub(in crate::store) fn sweep(&mut self, now: Moment, limit: usize) -> Swept {
        let mut swept = Swept::default();
        let is_full = |swept: &Swept| swept.ended.len() >= limit.max(1);
        while let Some(&(due, seq)) = self.due.first()
            && due <= now
            && !is_full(&swept)
        {
            swept.ended.extend(self.overdue(seq, now));
        }
        while let Some(&(end, subscriber)) = self.leaving.first()
            && end <= now
            && !is_full(&swept)
        {
            swept.ended.extend(self.end(subscriber, now));
        }
        while let Some(&(end, key)) = self.retiring.first()
            && end <= now
            && !self.is_frugal
            && !is_full(&swept)
        {
            self.say(Record::Retired { seq: key.seq, subscriber: key.subscriber, at: now });
            let turned = [(key, PairStatus::Dead)];
            swept.ended.extend(self.told(&turned, PairStatus::Purged, None, now));
        }
        self.forget_receipts(now, limit);
        self.former.tidy();
        self.keys.expire(now, &self.config);
        let receipts_are_left = self.over.first().is_some_and(|(end, _)| *end <= now);
        swept.more = is_full(&swept) || receipts_are_left;
        swept
    }

    /// Whether the time of a message is over. What has expired cannot die any more, whoever is first
    /// to look: the sweep comes up to a second later.
    pub(super) fn has_expired(&self, seq: MessageSeq, now: Moment) -> bool {
        let message = self.messages.get(&seq);
        message.is_some_and(|message| message.expires_at.is_some_and(|expiry| expiry <= now))
    }

    /// Says that what a subscriber is owed has expired, where it has, and tells of it.
    pub(super) fn expire_owed(&mut self, subscriber: SubscriberId, now: Moment) -> Vec<Ended> {
        let Some(found) = self.subscribers.get(&subscriber) else { return Vec::new() };
        let owed = found.owed().iter().copied();
        let expired: Vec<MessageSeq> = owed.filter(|seq| self.has_expired(*seq, now)).collect();
        let status = PairStatus::Expired;
        for &seq in &expired {
            self.say(Record::Settled { seq, subscribers: vec![subscriber], status, at: now });
        }
        let turned: Vec<_> = expired
            .into_iter()
            .map(|seq| (DeadKey { seq, subscriber }, PairStatus::Owed))
            .collect();
        self.told(&turned, status, None, now)
    }

    /// What is still owed of a message expires, or dies of its age.
    fn overdue(&mut self, seq: MessageSeq, now: Moment) -> Vec<Ended> {
        let Some(message) = self.messages.get(&seq) else { return Vec::new() };
        let subscribers = message.subscribers_with(PairStatus::Owed);
        let turned: Vec<_> = subscribers
            .iter()
            .map(|&subscriber| (DeadKey { seq, subscriber }, PairStatus::Owed))
            .collect();
        let (status, reason) = if self.has_expired(seq, now) {
            self.say(Record::Settled { seq, subscribers, status: PairStatus::Expired, at: now });
            (PairStatus::Expired, None)
        } else {
            self.say(Record::Died { seq, subscribers, reason: Reason::TooOld, at: now });
            (PairStatus::Dead, Some(Reason::TooOld))
        };
        self.told(&turned, status, reason, now)
    }

    fn forget_receipts(&mut self, now: Moment, limit: usize) {
        for _ in 0..limit.max(1_000) {
            match self.over.first() {
                Some(&(end, seq)) if end <= now => self.forget_message(seq),
                _ => return,
            }
        }
    }

    pub(in crate::store) fn next_due(&self) -> Option<Moment> {
        let due = self.due.first().map(|(due, _)| *due);
        let leaving = self.leaving.first().map(|(end, _)| *end);
        due.into_iter().chain(leaving).min()
    }
}
