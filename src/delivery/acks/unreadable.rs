//! What is owed and was not read from the store.
//!
//! What the disk gives back wrong is a dead letter at once, so that it holds back nothing that comes
//! after it. A read that failed may pass: that message waits and is read again, as often as failures
//! before a write are allowed, while the others go on. When the store as a whole is in trouble,
//! nothing is spent.

use std::collections::BTreeSet;

use tokio::time::Instant;

use super::courier::{Courier, Desk, Errands, Reading};
use super::hub::DeliveryOrder;
use super::policy::Policy;
use crate::delivery::pair::{Event, Next, Pair, State};
use crate::store::{self, MessageSeq, Outcome, Reason, Settle, Which};

/// One message that the disk did not give back.
pub(super) struct Unread {
    pair: Pair,
    /// When it is read again; none when that is under way.
    again_at: Option<Instant>,
}

impl Courier {
    /// Nobody can be sent these any more, but for those that are still in memory here.
    pub(super) fn bury_unreadable(&self, seqs: &[MessageSeq], errands: &mut Errands) {
        if seqs.is_empty() {
            return;
        }
        let mut desk = self.desk.lock();
        for &seq in seqs {
            if self.has_another_way(&mut desk, seq) {
                continue;
            }
            self.bury_damaged(&mut desk, seq, errands);
        }
    }

    /// The disk did not give these back. `is_its_own`: the store is well otherwise, so that counts.
    /// Nothing is to be taken from the one on that is answered: on a strict hub, or for want of room.
    pub(super) fn wait_for_unread(
        &self,
        unread: &[store::Unread],
        is_its_own: bool,
        errands: &mut Errands,
    ) -> Option<MessageSeq> {
        let mut desk = self.desk.lock();
        // Its connection went while this was read; the next one reads anew.
        desk.link.as_ref()?;
        let mut stop = None;
        for found in unread {
            if let Some(waits) = desk.until_there_is_room(found.seq, &self.policy) {
                desk.stopped_at = Some(waits);
                stop = Some(found.seq);
                break;
            }
            let waits = self.wait_for_one(&mut desk, found, is_its_own, errands);
            if waits && self.hub.order == DeliveryOrder::Strict {
                desk.stopped_at = Some(found.seq);
                stop = Some(found.seq);
                break;
            }
        }
        self.look_at_unread(&desk, errands);
        self.plan(&mut desk, errands);
        stop
    }

    /// Whether it waits to be read again.
    fn wait_for_one(
        &self,
        desk: &mut Desk,
        found: &store::Unread,
        is_its_own: bool,
        errands: &mut Errands,
    ) -> bool {
        let seq = found.seq;
        if self.has_another_way(desk, seq) {
            return false;
        }
        let now = Instant::now();
        let known = desk.unread.remove(&seq);
        // Read for the sake of others before its time.
        if let Some(waits) = known.as_ref().filter(|own| own.again_at.is_some_and(|at| at > now)) {
            let Unread { pair, again_at } = *waits;
            desk.unread.insert(seq, Unread { pair, again_at });
            return true;
        }
        let mut pair = known.map_or_else(|| Pair::new(found.spent), |own| own.pair);
        let wait = self.policy.wait(pair.failures());
        let mut again_at = Some(now + wait);
        if is_its_own {
            self.policy.metrics.unread.inc();
            let next = pair.on(Event::Failed { wait }, now, &self.policy.limits);
            let error = format!("It was not read from the store: {}", found.error);
            errands.note(seq, &pair, self.policy.moment(), &error);
            if let Next::Bury(_) = next {
                self.bury_damaged(desk, seq, errands);
                return false;
            }
            again_at = pair.deadline();
        }
        desk.unread.insert(seq, Unread { pair, again_at });
        true
    }

    /// Whether a message that was not read needs not be: it has ended, or is in memory here.
    fn has_another_way(&self, desk: &mut Desk, seq: MessageSeq) -> bool {
        if desk.ending.contains_key(&seq) {
            return true;
        }
        let is_flight = desk.flights.contains_key(&seq);
        if is_flight {
            desk.again.insert(seq);
        }
        is_flight
    }

    fn bury_damaged(&self, desk: &mut Desk, seq: MessageSeq, errands: &mut Errands) {
        let outcome = Outcome::Dead(Reason::Damaged);
        self.policy.metrics.count(&outcome);
        let (subscriber, message) = (self.subscriber, Which::Seq(seq));
        errands.settles.push(Settle { subscriber, message, outcome });
        desk.ending.insert(seq, false);
        desk.take_unread(seq);
    }

    /// What is due to be read again, is.
    pub(super) fn read_again(&self, desk: &mut Desk, now: Instant, errands: &mut Errands) {
        if desk.unread.is_empty() {
            return;
        }
        let mut due = BTreeSet::new();
        for (seq, own) in &mut desk.unread {
            if own.again_at.is_some_and(|at| at <= now) {
                own.again_at = None;
                due.insert(*seq);
            }
        }
        if desk.stopped_at.is_some_and(|seq| due.contains(&seq)) {
            desk.stopped_at = None;
        }
        if let Some(first) = due.first() {
            desk.fall_behind(*first);
        }
        self.look_at_unread(desk, errands);
    }

    /// Somebody is to look when the first of them is to be read again.
    pub(super) fn look_at_unread(&self, desk: &Desk, errands: &mut Errands) {
        if let Some(at) = desk.unread.values().filter_map(|own| own.again_at).min() {
            errands.look_at = Some(errands.look_at.map_or(at, |own| own.min(at)));
        }
    }

    /// A page was taken to its end, which may be something that was not read.
    pub(super) fn has_read(&self, end: Option<MessageSeq>, asked: Reading) {
        let mut desk = self.desk.lock();
        if desk.has_work() && desk.reading.round == asked.round {
            desk.cursor = desk.cursor.max(end);
        }
    }

    /// A pair has ended elsewhere while its last frame was unanswered: that was an attempt, too.
    pub(super) fn note_unanswered(&self, desk: &Desk, seq: MessageSeq, errands: &mut Errands) {
        if let Some(flight) = desk.flights.get(&seq)
            && flight.pair.state() == State::Sent
        {
            let why = "No answer before its end.";
            errands.note(seq, &flight.pair, self.policy.moment(), why);
        }
    }
}

impl Desk {
    /// One was read, or has ended. Answers what it has spent.
    pub(super) fn take_unread(&mut self, seq: MessageSeq) -> Option<Pair> {
        if self.stopped_at == Some(seq) {
            self.stopped_at = None;
        }
        if self.unread.is_empty() {
            return None;
        }
        self.unread.remove(&seq).map(|own| own.pair)
    }

    /// When as many wait as may: the one whose turn must come before a further one can.
    fn until_there_is_room(&self, seq: MessageSeq, policy: &Policy) -> Option<MessageSeq> {
        let is_full = self.unread.len() >= policy.unanswered_max.max(1);
        if !is_full || self.unread.contains_key(&seq) {
            return None;
        }
        let mut waiting = self.unread.iter().filter(|(_, own)| own.again_at.is_some());
        waiting.next().map(|(seq, _)| *seq)
    }

    /// Nobody is there to be read for; the store knows what was spent.
    pub(super) fn forget_unread(&mut self) {
        self.unread.clear();
        self.stopped_at = None;
    }
}
