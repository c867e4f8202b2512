//! What is said about one message: taken in, owed, settled.

use std::sync::Arc;

use bytes::Bytes;

use super::dead_letter::{Reason, Spent};
use super::names::{MessageSeq, Moment, SubscriberId};
use super::receipt::Counts;
use super::session::Departed;
use crate::model::{Audience, HubName, MessageId, Priority, Tenant};

/// How the arguments are written. The store only hands it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// A JSON array.
    Json,
    /// A MessagePack array.
    MessagePack,
}

/// What a message says. Opaque to the store, and possibly not in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The event's name.
    pub target: Arc<str>,
    /// How the arguments are written.
    pub encoding: Encoding,
    /// The arguments.
    pub arguments: Bytes,
    /// Within a publisher, what must stay in order.
    pub ordering_key: Option<Arc<str>>,
    /// The publisher's own mark.
    pub correlation_id: Option<Arc<str>>,
}

/// A message to be kept until everybody in its audience has settled it.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// Its id, and per tenant and hub its idempotency key.
    pub id: MessageId,
    /// Whose budget it uses.
    pub tenant: Tenant,
    /// The hub whose subscribers are meant.
    pub hub: HubName,
    /// Whom it is for, resolved when it is accepted.
    pub audience: Audience,
    /// How urgent it is.
    pub priority: Priority,
    /// Whether an operator counts on it.
    pub critical: bool,
    /// After this it is not delivered any more.
    pub expires_at: Option<Moment>,
    /// What it says.
    pub content: Content,
    /// A hash of everything the publisher said: the same id with another hash is refused.
    pub body_hash: [u8; 16],
    /// Whether an audience of nobody is refused.
    pub require_audience: bool,
}

/// What became of a message that was handed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// It is kept.
    Accepted(Accepted),
    /// The same message was accepted before; nothing was done.
    Duplicate {
        /// Its place.
        seq: MessageSeq,
        /// How many subscribers it was for.
        targeted: u64,
        /// When.
        accepted_at: Moment,
    },
    /// It is not kept.
    Refused(Refusal),
}

/// A message that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its place in the order of acceptance.
    pub seq: MessageSeq,
    /// Who owes an answer, ascending. Empty: it is settled already.
    pub subscribers: Vec<SubscriberId>,
    /// Whether it has the id of another message that is known on its hub: of another tenant, or of
    /// the same one a long time ago. What a client calls it must differ then.
    pub is_namesake: bool,
}

/// Whose limit it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedBy {
    /// This tenant's share is used up; others are not affected.
    Tenant,
    /// The store is full for everybody.
    Total,
}

/// Why a message was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The id was used for another body.
    #[error("the message id was used for another message")]
    IdReused,
    /// Nobody is in the audience, and the publisher wanted somebody.
    #[error("nobody is in the audience")]
    Nobody,
    /// Too many pairs wait for an answer.
    #[error("{limit} messages are pending, the limit")]
    PendingFull {
        /// Whose.
        by: RefusedBy,
        /// The limit in pairs.
        limit: u64,
    },
    /// Too many dead letters wait for an operator.
    #[error("{limit} dead letters are kept, the limit")]
    DeadLettersFull {
        /// Whose.
        by: RefusedBy,
        /// The limit in pairs.
        limit: u64,
    },
    /// Too many bytes are kept.
    #[error("{limit} bytes are kept, the limit")]
    BytesFull {
        /// Whose.
        by: RefusedBy,
        /// The limit.
        limit: u64,
    },
    /// Too many young idempotency keys are remembered to forget one.
    #[error("{limit} message ids are remembered, the limit")]
    IdempotencyFull {
        /// The limit.
        limit: u64,
    },
}

impl Refusal {
    /// A fixed name: for problem documents and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::IdReused => "message_id_reused",
            Self::Nobody => "nobody",
            Self::PendingFull { .. } => "pending_full",
            Self::DeadLettersFull { .. } => "dead_letters_full",
            Self::BytesFull { .. } => "bytes_full",
            Self::IdempotencyFull { .. } => "idempotency_full",
        }
    }

    /// Whether the same message may be accepted later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::IdReused | Self::Nobody => false,
            Self::PendingFull { .. }
            | Self::DeadLettersFull { .. }
            | Self::BytesFull { .. }
            | Self::IdempotencyFull { .. } => true,
        }
    }
}

/// One message that a subscriber is owed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owed {
    /// Its place in the order of acceptance.
    pub seq: MessageSeq,
    /// Its id.
    pub id: MessageId,
    /// Who published it.
    pub tenant: Tenant,
    /// The hub.
    pub hub: HubName,
    /// Whom it was for.
    pub audience: Audience,
    /// How urgent it is.
    pub priority: Priority,
    /// Whether an operator counts on it.
    pub critical: bool,
    /// When it was accepted.
    pub accepted_at: Moment,
    /// After this it must not be sent.
    pub expires_at: Option<Moment>,
    /// What it says.
    pub content: Content,
    /// See [`Accepted::is_namesake`].
    pub is_namesake: bool,
    /// What was spent on this subscriber's pair, as far as it was noted; nothing when the message
    /// was asked for and no pair.
    pub spent: Spent,
}

/// One pair, named by whoever settles it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settle {
    /// Whose pair.
    pub subscriber: SubscriberId,
    /// Which message.
    pub message: Which,
    /// How it ends.
    pub outcome: Outcome,
}

/// A message, by its place or by what a client calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// By its place.
    Seq(MessageSeq),
    /// By its id, of whichever tenant; a namesake is named by its place.
    Id(MessageId),
}

/// How a pair ends. There is one end: what comes later changes nothing, but an acknowledgement or
/// an unconfirmed delivery settles a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The client said so.
    Acknowledged,
    /// It was delivered; the client cannot say more.
    Unconfirmed,
    /// It expired before it was delivered.
    Expired,
    /// It could not be delivered: a dead letter.
    Dead(Reason),
}

/// Where a pair is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PairStatus {
    /// Still owed.
    Owed,
    /// The client said it has it.
    Acknowledged,
    /// Delivered, without a word of the client.
    Unconfirmed,
    /// Expired.
    Expired,
    /// A dead letter.
    Dead,
    /// A dead letter that was thrown away.
    Purged,
}

/// A pair that has just ended: its timers can go. `message` says when that ended the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The message.
    pub seq: MessageSeq,
    /// Its id.
    pub id: MessageId,
    /// Who published it.
    pub tenant: Tenant,
    /// The subscriber.
    pub subscriber: SubscriberId,
    /// Where the pair is now.
    pub status: PairStatus,
    /// Why it died, when it did.
    pub reason: Option<Reason>,
    /// When, as its receipt or dead letter says.
    pub at: Moment,
    /// Set on the pair that was the last to be owed: what became of the message.
    pub message: Option<Counts>,
}

/// What a subscriber is owed from one place to another.
#[derive(Clone, Debug, Default)]
pub struct OwedPage {
    /// In order of acceptance.
    pub owed: Vec<Owed>,
    /// What is owed, too, and cannot be read any more: the disk gives back something else. Ascending.
    pub unreadable: Vec<MessageSeq>,
    /// What is owed, too, and was not read this time: the disk reported an error. Ascending.
    pub unread: Vec<Unread>,
}

/// One message whose content was not read this time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Its place in the order of acceptance.
    pub seq: MessageSeq,
    /// What was spent on it for this subscriber.
    pub spent: Spent,
    /// What the disk said.
    pub error: Arc<str>,
}

impl OwedPage {
    /// How many are owed.
    pub fn count(&self) -> usize {
        self.owed.len() + self.unreadable.len() + self.unread.len()
    }

    /// Leaves out what comes from that place on.
    pub fn end_before(&mut self, stop: MessageSeq) {
        self.owed.retain(|owed| owed.seq < stop);
        self.unreadable.retain(|seq| *seq < stop);
        self.unread.retain(|unread| unread.seq < stop);
    }

    /// Where it ends. None when nothing is owed.
    pub fn end(&self) -> Option<MessageSeq> {
        let read = self.owed.last().map(|owed| owed.seq);
        let unread = self.unread.last().map(|unread| unread.seq);
        read.max(self.unreadable.last().copied()).max(unread)
    }
}

/// What time has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Pairs that expired, grew too old, or whose subscriber did not come back in time; and those
    /// that ended in calls whose answers nobody got.
    pub ended: Vec<Ended>,
    /// Messages that were accepted although nobody waited for the answer any more (its future was
    /// dropped, or ran into the deadline): they still have to be sent.
    pub unheard: Vec<Accepted>,
    /// What became of lost connections, where [`super::Store::away`] could not tell.
    pub departed: Departed,
    /// Whether there is more to do at once.
    pub more: bool,
}
