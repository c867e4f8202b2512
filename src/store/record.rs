//! One change of the ledger, as it is said, applied and written.
//!
//! A record holds everything it needs: salvage reads it without its neighbours.

mod decode;
mod encode;

use std::sync::Arc;

use bytes::Bytes;

use super::dead_letter::{Attempt, Death, Reason, Spent};
use super::message::{Content, PairStatus};
use super::names::{Identity, MessageSeq, Moment, SessionKey, SubscriberId};
use super::receipt::{Counts, Totals};
use crate::model::{Audience, GroupName, HubName, MessageId, Priority, Tenant};

pub(super) use decode::decode;
pub(super) use encode::encode;

/// The layout in which records are written. It grows with every change of what [`encode`] says about
/// any record, so that no version takes the records of another for damaged ones.
///
/// 2 counts the attempts that are not kept.
pub(super) const LAYOUT: u8 = 2;
/// The oldest layout that is read, as it was last written.
pub(super) const LAYOUT_MIN: u8 = 1;

/// Everything that can happen to a ledger.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Record {
    /// Stands first in each file: the sums so far, and which numbers come next.
    Sums(Sums),
    /// A subscriber as it is now: a new one, or one whose older records are about to go.
    Subscriber(SubscriberRecord),
    Joined {
        subscriber: SubscriberId,
        group: GroupName,
    },
    Left {
        subscriber: SubscriberId,
        group: GroupName,
    },
    /// A subscriber is no more. What it was owed is dead.
    Gone {
        subscriber: SubscriberId,
        at: Moment,
    },
    /// A new message.
    Accepted(Box<MessageRecord>),
    /// An accepted message as it is now, because its older records are about to go.
    Kept(Box<MessageRecord>),
    /// A settled message of which only the receipt is kept, for the same reason.
    Receipt(Box<ReceiptRecord>),
    /// An idempotency key, for the same reason.
    Key(KeyRecord),
    /// Pairs of one message ended, without dying.
    Settled {
        seq: MessageSeq,
        subscribers: Vec<SubscriberId>,
        status: PairStatus,
        at: Moment,
    },
    /// Pairs of one message died.
    Died {
        seq: MessageSeq,
        subscribers: Vec<SubscriberId>,
        reason: Reason,
        at: Moment,
    },
    /// An attempt to deliver failed.
    Attempted {
        seq: MessageSeq,
        subscriber: SubscriberId,
        attempt: Attempt,
        spent: Spent,
    },
    /// Dead letters of one message are owed again.
    Requeued {
        seq: MessageSeq,
        subscribers: Vec<SubscriberId>,
        at: Moment,
    },
    /// A message is owed to further subscribers.
    Targeted {
        seq: MessageSeq,
        subscribers: Vec<SubscriberId>,
        at: Moment,
    },
    /// A dead letter was kept as long as dead letters are.
    Retired {
        seq: MessageSeq,
        subscriber: SubscriberId,
        at: Moment,
    },
    /// Pairs went from a lost connection to another of the same identity.
    Adopted {
        from: SubscriberId,
        to: SubscriberId,
        seqs: Vec<MessageSeq>,
    },
    /// The last snapshot of a task.
    Snapshot {
        task: Arc<str>,
        snapshot: Bytes,
        at: Moment,
    },
    /// How far a reader of ends has come.
    Bookmark {
        reader: Arc<str>,
        place: Moment,
    },
    /// Nobody reads for this reader any more.
    Unread {
        reader: Arc<str>,
    },
    /// A death whose dead letter is gone, and which a reader of ends may not have told.
    Death(Box<DeathRecord>),
    /// Who a subscriber was that is gone, and that receipts name.
    Former {
        subscriber: SubscriberId,
        identity: Identity,
    },
    /// Records are missing before this one, up to its own number; that was reported.
    Mended,
    /// The store was closed in order: everything before this was synced.
    Closed,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sums {
    pub(super) totals: Totals,
    pub(super) next_seq: u64,
    pub(super) next_subscriber: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct SubscriberRecord {
    pub(super) subscriber: SubscriberId,
    pub(super) key: SessionKey,
    pub(super) caller: Arc<str>,
    pub(super) groups: Vec<GroupName>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct MessageRecord {
    pub(super) seq: MessageSeq,
    pub(super) id: MessageId,
    pub(super) tenant: Tenant,
    pub(super) hub: HubName,
    pub(super) audience: Audience,
    pub(super) priority: Priority,
    pub(super) critical: bool,
    pub(super) accepted_at: Moment,
    pub(super) age_from: Moment,
    pub(super) settled_at: Option<Moment>,
    pub(super) expires_at: Option<Moment>,
    pub(super) body_hash: [u8; 16],
    pub(super) content: Content,
    /// Ascending.
    pub(super) pairs: Vec<(SubscriberId, PairStatus)>,
    pub(super) dead: Vec<(SubscriberId, DeadRecord)>,
    /// Owed pairs that were tried in vain.
    pub(super) tried: Vec<(SubscriberId, Tried)>,
    pub(super) is_namesake: bool,
    /// Attempts for the pairs that expired.
    pub(super) tries_of_expired: u32,
}

/// What was tried in vain for a pair that is owed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Tried {
    pub(super) spent: Spent,
    /// Attempts that were made after the first of those kept, and before the others.
    pub(super) left_out: u32,
    /// Earlier lives included.
    pub(super) attempts: Vec<Attempt>,
}

/// Adds an attempt to those kept: the first and the newest.
pub(super) fn keep_attempt(attempts: &mut Vec<Attempt>, left_out: &mut u32, attempt: Attempt) {
    if attempts.len() >= Attempt::KEPT_MAX {
        attempts.remove(1);
        *left_out = left_out.saturating_add(1);
    }
    attempts.push(attempt);
}

impl Tried {
    /// All of them.
    pub(super) fn count(&self) -> u32 {
        let kept = u32::try_from(self.attempts.len()).unwrap_or(u32::MAX);
        kept.saturating_add(self.left_out)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct DeadRecord {
    pub(super) identity: Identity,
    pub(super) reason: Reason,
    /// As in [`Tried`].
    pub(super) left_out: u32,
    pub(super) at: Moment,
    pub(super) attempts: Vec<Attempt>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct DeathRecord {
    pub(super) reader: Arc<str>,
    pub(super) death: Death,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct ReceiptRecord {
    pub(super) seq: MessageSeq,
    pub(super) id: MessageId,
    pub(super) tenant: Tenant,
    pub(super) hub: HubName,
    pub(super) target: Arc<str>,
    pub(super) accepted_at: Moment,
    pub(super) expires_at: Option<Moment>,
    pub(super) settled_at: Moment,
    pub(super) counts: Counts,
    pub(super) pairs: Vec<(SubscriberId, PairStatus)>,
    pub(super) is_namesake: bool,
    /// Attempts for the pairs that expired.
    pub(super) tries_of_expired: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct KeyRecord {
    pub(super) key: [u8; 16],
    pub(super) body_hash: [u8; 16],
    pub(super) seq: MessageSeq,
    pub(super) targeted: u64,
    pub(super) at: Moment,
}
