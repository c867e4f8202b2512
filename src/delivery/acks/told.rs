//! What a courier is told of pairs by others: the store, or a sweep that found what nobody heard of.

use super::courier::{Courier, Errands};
use crate::store::MessageSeq;

impl Courier {
    /// The store has the end of a pair, whoever was told.
    pub(super) fn store_has(&self, seq: MessageSeq) {
        let mut desk = self.desk.lock();
        if desk.has_work() {
            desk.store_has(seq);
            desk.tidy();
        }
    }

    /// Others are owed these from now on.
    pub(super) fn moved_away(&self, seqs: &[MessageSeq]) -> Errands {
        let mut errands = Errands::default();
        let mut desk = self.desk.lock();
        if desk.has_work() {
            for seq in seqs {
                self.remove(&mut desk, *seq, &mut errands);
            }
        }
        errands
    }

    /// A message was accepted that nobody was told of. It may have been read and sent since.
    pub(super) fn owed_unheard(&self, seq: MessageSeq) -> Errands {
        let mut desk = self.desk.lock();
        if desk.flights.contains_key(&seq) || desk.ending.contains_key(&seq) {
            return Errands::default();
        }
        desk.fall_behind(seq);
        Errands { load: desk.wants_load(&self.policy), ..Errands::default() }
    }
}
