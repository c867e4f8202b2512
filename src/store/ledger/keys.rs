//! Idempotency keys: which message ids were used, for which bodies.

use std::collections::{BTreeMap, HashMap};

use super::journal::SegmentNumber;
use crate::model::{HubName, MessageId, Tenant};
use crate::store::config::{Config, KEY_KEPT_AT_LEAST};
use crate::store::names::{MessageSeq, Moment, hash_of};
use crate::store::record::KeyRecord;

#[derive(Default)]
pub(super) struct Keys {
    keys: HashMap<[u8; 16], Key>,
    /// In order of acceptance, the oldest first.
    order: BTreeMap<MessageSeq, [u8; 16]>,
}

#[derive(Clone, Copy)]
pub(super) struct Key {
    pub(super) seq: MessageSeq,
    pub(super) body_hash: [u8; 16],
    pub(super) at: Moment,
    pub(super) targeted: u64,
    home: SegmentNumber,
}

/// What stands in for (tenant, hub, message id).
pub(super) fn key_of(tenant: &Tenant, hub: &HubName, id: &MessageId) -> [u8; 16] {
    hash_of(&[tenant.as_str().as_bytes(), hub.as_str().as_bytes(), id.as_str().as_bytes()])
}

impl Keys {
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn find(&self, key: &[u8; 16]) -> Option<&Key> {
        self.keys.get(key)
    }

    pub(super) fn insert(&mut self, record: KeyRecord, home: SegmentNumber) {
        let KeyRecord { key, body_hash, seq, targeted, at } = record;
        if let Some(old) = self.keys.insert(key, Key { seq, body_hash, at, targeted, home }) {
            self.order.remove(&old.seq);
        }
        self.order.insert(seq, key);
    }

    pub(super) fn remove(&mut self, seq: MessageSeq) {
        if let Some(key) = self.order.remove(&seq) {
            self.keys.remove(&key);
        }
    }

    /// Forgets the keys whose window is over.
    pub(super) fn expire(&mut self, now: Moment, config: &Config) {
        while let Some((seq, key)) = self.oldest() {
            if key.at.after(config.idempotency_window()) > now {
                return;
            }
            self.remove(seq);
        }
    }

    /// Whether one more may be remembered: there is room, or the oldest may be forgotten for it.
    pub(super) fn has_room(&self, now: Moment, config: &Config) -> bool {
        self.keys.len() < config.idempotency_keys_max
            || self.oldest().is_some_and(|(_, key)| key.at.after(KEY_KEPT_AT_LEAST) <= now)
    }

    /// Forgets what is over, and then the oldest that are too many. Answers how many those were.
    pub(super) fn make_room(&mut self, now: Moment, config: &Config) -> u64 {
        self.expire(now, config);
        let mut forgotten = 0;
        while self.keys.len() >= config.idempotency_keys_max
            && let Some((seq, _)) = self.oldest()
        {
            self.remove(seq);
            forgotten += 1;
        }
        forgotten
    }

    fn oldest(&self) -> Option<(MessageSeq, Key)> {
        let (seq, key) = self.order.first_key_value()?;
        self.keys.get(key).map(|found| (*seq, *found))
    }

    /// The key of a message, when its newest record is in that file.
    pub(super) fn at_home(&self, seq: MessageSeq, home: SegmentNumber) -> Option<KeyRecord> {
        let key = *self.order.get(&seq)?;
        let found = self.keys.get(&key).filter(|found| found.home == home)?;
        let Key { seq, body_hash, at, targeted, .. } = *found;
        Some(KeyRecord { key, body_hash, seq, targeted, at })
    }
}
