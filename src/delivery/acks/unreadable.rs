//! What is owed and cannot be read from the store any more: a dead letter at once, so that it holds
//! back nothing that comes after it.

use super::courier::{Courier, Errands, Reading};
use crate::store::{MessageSeq, Outcome, Reason, Settle, Which};

impl Courier {
    /// Nobody can be sent these any more, but for those that are still in memory here.
    pub(super) fn bury_unreadable(&self, seqs: &[MessageSeq], errands: &mut Errands) {
        if seqs.is_empty() {
            return;
        }
        let mut desk = self.desk.lock();
        for &seq in seqs {
            if desk.ending.contains_key(&seq) {
                continue;
            }
            if desk.flights.contains_key(&seq) {
                desk.again.insert(seq);
                continue;
            }
            let outcome = Outcome::Dead(Reason::Damaged);
            self.policy.metrics.count(&outcome);
            let (subscriber, message) = (self.subscriber, Which::Seq(seq));
            errands.settles.push(Settle { subscriber, message, outcome });
            desk.ending.insert(seq, false);
        }
    }

    /// A page was taken to its end, which may be something that cannot be read.
    pub(super) fn has_read(&self, end: Option<MessageSeq>, asked: Reading) {
        let mut desk = self.desk.lock();
        if desk.has_work() && desk.reading.round == asked.round {
            desk.cursor = desk.cursor.max(end);
        }
    }
}
