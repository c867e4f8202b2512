//! What became of messages: per message, and in total.

use std::sync::Arc;

use super::message::PairStatus;
use super::names::{Identity, MessageSeq, Moment, SubscriberId};
use crate::model::{HubName, MessageId, Tenant};

/// The pairs of one message or of all, by where they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Still owed.
    pub pending: u64,
    /// Acknowledged by the client.
    pub acknowledged: u64,
    /// Delivered without a word of the client.
    pub unconfirmed: u64,
    /// Expired.
    pub expired: u64,
    /// Dead letters.
    pub dead: u64,
    /// Dead letters that were thrown away, by an operator or by age.
    pub purged: u64,
}

impl Counts {
    /// All pairs there are or were.
    pub fn targeted(&self) -> u64 {
        self.pending + self.acknowledged + self.unconfirmed + self.expired + self.dead + self.purged
    }

    pub(super) fn of(&mut self, status: PairStatus) -> &mut u64 {
        match status {
            PairStatus::Owed => &mut self.pending,
            PairStatus::Acknowledged => &mut self.acknowledged,
            PairStatus::Unconfirmed => &mut self.unconfirmed,
            PairStatus::Expired => &mut self.expired,
            PairStatus::Dead => &mut self.dead,
            PairStatus::Purged => &mut self.purged,
        }
    }
}

/// What became of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its place.
    pub seq: MessageSeq,
    /// Its id.
    pub id: MessageId,
    /// Who published it.
    pub tenant: Tenant,
    /// The hub.
    pub hub: HubName,
    /// The event's name.
    pub target: Arc<str>,
    /// When it was accepted.
    pub accepted_at: Moment,
    /// When it expires or expired.
    pub expires_at: Option<Moment>,
    /// Since when nothing of it is owed or, when something of it died, since its last dead letter
    /// is gone; while there are dead letters, since nothing is owed.
    pub settled_at: Option<Moment>,
    /// Its pairs, counted.
    pub counts: Counts,
    /// Attempts for the pairs that expired, of all of them together.
    pub tries_of_expired: u32,
    /// Its pairs one by one; empty for a large audience.
    pub pairs: Vec<PairReceipt>,
}

/// What became of one pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairReceipt {
    /// The subscriber.
    pub subscriber: SubscriberId,
    /// Who that is or was. None when so many subscribers are gone that it was not kept.
    pub identity: Option<Identity>,
    /// Where the pair is.
    pub status: PairStatus,
}

/// What the store counts for ever, restarts included. Only sums: `Counts::pending` and
/// `Counts::dead` are counted where they lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Messages accepted.
    pub messages: u64,
    /// Pairs accepted, and those that a requeue to the current audience added.
    pub targeted: u64,
    /// Pairs acknowledged.
    pub acknowledged: u64,
    /// Pairs delivered without a word of the client.
    pub unconfirmed: u64,
    /// Pairs expired.
    pub expired: u64,
    /// Dead letters thrown away, those by age included.
    pub purged: u64,
    /// Of those, the ones that were kept as long as dead letters are.
    pub retired: u64,
    /// Times a dead letter was sent again.
    pub requeued: u64,
    /// Messages for nobody, settled at once.
    pub nobody: u64,
    /// Idempotency keys forgotten before their time.
    pub keys_forgotten: u64,
    /// Receipts forgotten before their time.
    pub receipts_forgotten: u64,
}

/// The counts of the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Messages accepted, ever.
    pub messages_accepted: u64,
    /// Messages of which nothing is owed any more.
    pub messages_settled: u64,
    /// Messages of which something is owed.
    pub messages_open: u64,
    /// Pairs, ever. `targeted()` is their sum.
    pub pairs: Counts,
    /// The sums themselves.
    pub totals: Totals,
    /// Bytes kept: payloads of owed messages and dead letters.
    pub bytes: u64,
    /// Subscribers known, those away included.
    pub subscribers: u64,
    /// Idempotency keys remembered.
    pub keys: u64,
    /// Receipts of settled messages.
    pub receipts: u64,
}
