//! Who subscribers were that are gone, for as long as a receipt names them.
//!
//! A subscriber counts the receipts that name it; when it goes, its identity moves here with the
//! count. Only messages with few pairs count, for others name nobody. Each log file opens with all
//! of these.

use std::collections::HashMap;

use super::{Ledger, Pair, RECEIPT_PAIRS_MAX};
use crate::store::names::{Identity, MessageSeq, SubscriberId};
use crate::store::record::Record;

/// Beyond it a receipt does not say who it was.
const FORMER_MAX: usize = 100_000;
/// Bytes that one takes of a log, about.
const FORMER_BYTES: u64 = 60;

#[derive(Default)]
pub(super) struct Former {
    names: HashMap<SubscriberId, Was>,
    /// Those that no receipt named when they were put here.
    idle: Vec<SubscriberId>,
}

struct Was {
    identity: Identity,
    receipts: u32,
}

impl Former {
    pub(super) fn insert(&mut self, id: SubscriberId, identity: Identity, receipts: u32) {
        if self.names.len() < FORMER_MAX {
            self.names.entry(id).or_insert(Was { identity, receipts });
        }
    }

    pub(super) fn identity(&self, id: SubscriberId) -> Option<Identity> {
        self.names.get(&id).map(|was| was.identity.clone())
    }

    /// Forgets those that no receipt names. Not at once: a message that is said again is taken out
    /// and put in.
    pub(super) fn tidy(&mut self) {
        for id in std::mem::take(&mut self.idle) {
            if self.names.get(&id).is_some_and(|was| was.receipts == 0) {
                self.names.remove(&id);
            }
        }
    }

    /// All records were read: now it is known whom receipts name.
    pub(super) fn read_back(&mut self) {
        self.names.retain(|_, was| was.receipts > 0);
        self.idle = Vec::new();
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.len() as u64 * FORMER_BYTES
    }
}

impl Ledger {
    /// A message came to be known.
    pub(super) fn name_pairs(&mut self, seq: MessageSeq) {
        let Some(message) = self.messages.get(&seq) else { return };
        if message.pairs.len() <= RECEIPT_PAIRS_MAX {
            let ids: Vec<SubscriberId> = message.pairs.iter().map(|own| own.subscriber).collect();
            ids.into_iter().for_each(|id| self.name(id));
        }
    }

    /// A message is known no more.
    pub(super) fn unname_pairs(&mut self, pairs: &[Pair]) {
        if pairs.len() <= RECEIPT_PAIRS_MAX {
            pairs.iter().for_each(|pair| self.unname(pair.subscriber));
        }
    }

    /// A receipt names a subscriber.
    pub(super) fn name(&mut self, id: SubscriberId) {
        if let Some(found) = self.subscribers.get_mut(&id) {
            found.receipts = found.receipts.saturating_add(1);
        } else if let Some(was) = self.former.names.get_mut(&id) {
            was.receipts = was.receipts.saturating_add(1);
        }
    }

    /// A receipt less names it.
    pub(super) fn unname(&mut self, id: SubscriberId) {
        if let Some(found) = self.subscribers.get_mut(&id) {
            found.receipts = found.receipts.saturating_sub(1);
        } else if let Some(was) = self.former.names.get_mut(&id) {
            was.receipts = was.receipts.saturating_sub(1);
            if was.receipts == 0 {
                self.former.idle.push(id);
            }
        }
    }

    /// Says all of them to the log alone: it has a new file.
    pub(super) fn write_former(&mut self) {
        for (id, was) in &self.former.names {
            let identity = was.identity.clone();
            self.journal.push(&Record::Former { subscriber: *id, identity });
        }
    }

    /// How many are remembered.
    pub(in crate::store) fn count_former(&self) -> u64 {
        self.former.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_named_no_more_is_forgotten() {
        let mut former = Former::default();
        let (a, b) = (SubscriberId(1), SubscriberId(2));
        former.insert(a, Identity::Named("u".into()), 0);
        former.insert(b, Identity::Named("v".into()), 1);
        former.idle = vec![a, b];
        former.tidy();
        assert_eq!((former.identity(a), former.len()), (None, 1), "the other is named again");
    }
}
