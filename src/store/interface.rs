//! What a store can do, whoever implements it.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::config::Mode;
use super::dead_letter::{
    Attempt, DeadFilter, DeadKey, DeadPage, Death, DeathKey, Requeued, Spent, Target, WholeLetter,
};
use super::health::Health;
use super::message::{
    Acceptance, Ended, NewMessage, Owed, OwedPage, PairStatus, Settle, Swept, Which,
};
use super::names::{MessageSeq, Moment, SubscriberId};
use super::receipt::{Receipt, Stats};
use super::session::{Departed, Joined, Open, Opened};
use crate::model::{ConnectionId, GroupName, MessageId, Tenant};

/// Why the store did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The disk is full. Accepting goes on by itself when there is room again.
    #[error("the store's disk is full")]
    DiskFull,
    /// Writing failed, or the store's thread met a bug; [`Store::health`] says more.
    #[error("the store cannot write: {0}")]
    Failing(Arc<str>),
    /// Too many changes wait for the disk.
    #[error("too many changes wait for the store's disk")]
    Busy,
    /// No answer within the deadline. The change may still happen.
    #[error("the store did not answer in time")]
    Deadline,
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// A fixed name: for problem documents and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::DiskFull => "disk_full",
            Self::Failing(_) => "failing",
            Self::Busy => "busy",
            Self::Deadline => "deadline",
            Self::Closed => "closed",
        }
    }
}

/// What comes back from the store. After an error it is not known whether a change has happened.
///
/// A call that changes something is under way when it returns: the future only tells when the
/// change is durable, and who does not want to wait may drop it. Each has the store's own deadline.
pub type Answer<T> = BoxFuture<'static, Result<T, StoreError>>;

/// What must not be forgotten. Changes are durable when their future completes.
///
/// The store knows sessions and their groups, so it resolves audiences; any node may settle a pair;
/// the node that holds a subscriber's connection drives its attempts. `now` is the caller's clock.
/// What is asked about one subscriber is waited for before the next is asked about it.
/// Messages that are not durable yet are visible to nobody.
pub trait Store: Send + Sync + 'static {
    /// What survives what.
    fn mode(&self) -> Mode;

    /// How the store is.
    fn health(&self) -> Health;

    /// An operator has seen [`Health::damage`], which is kept until then, restarts included. Waits
    /// for the disk: not for an async thread.
    fn acknowledge_damage(&self) -> Result<(), StoreError>;

    /// The gateway takes clients again: sessions that were open when it stopped count as gone from
    /// now on. To be called once after opening; until then none of them ends.
    fn ready(&self, now: Moment) -> Answer<()>;

    // Subscribers.

    /// A connection becomes a subscriber, or takes its session up again. A new session is durable
    /// when this completes. Without a client id it also takes over what a lost connection of the
    /// same identity was owed through the audiences it is in now (all, its user).
    fn open(&self, open: Open, now: Moment) -> Answer<Opened>;

    /// Adds a subscriber to a group; durable for a session. Without a session, it also takes over
    /// what a lost connection of the same identity was owed through this group.
    fn join(&self, subscriber: SubscriberId, group: GroupName, now: Moment) -> Answer<Joined>;

    /// Takes a subscriber out of a group; what it is owed, it stays owed. False when it was not in.
    fn leave(&self, subscriber: SubscriberId, group: GroupName) -> Answer<bool>;

    /// The subscriber must not be in the group any more: it leaves, and what it was owed through it
    /// becomes dead letters `access_revoked`.
    fn revoke(&self, subscriber: SubscriberId, group: GroupName, now: Moment)
    -> Answer<Vec<Ended>>;

    /// The subscriber's connection is lost; it may come back within the session's life. Does nothing
    /// when another connection has the session by now. After an error, and for a connection whose
    /// [`Store::open`] was not heard of, the next [`Store::sweep`] does it.
    fn away(
        &self,
        subscriber: SubscriberId,
        connection: ConnectionId,
        now: Moment,
    ) -> Answer<Departed>;

    /// Which of these subscribers will not come back.
    fn gone(&self, subscribers: Vec<SubscriberId>) -> Answer<Vec<SubscriberId>>;

    /// The subscriber will not come back: what it is owed becomes dead letters `subscriber_gone`.
    fn end(&self, subscriber: SubscriberId, now: Moment) -> Answer<Vec<Ended>>;

    // Messages.

    /// Keeps a message for everybody in its audience, in one transaction with its idempotency key.
    /// If the future is dropped or meets the deadline and the message is kept nevertheless, the next
    /// [`Store::sweep`] hands it over to be sent.
    fn accept(&self, message: NewMessage, now: Moment) -> Answer<Acceptance>;

    /// Ends pairs. Idempotent: a pair that has ended, or never was, is left out of the answer. To
    /// ride the next commit without waiting, drop the future. What ended in a call that failed or was
    /// not waited for, in this or another of the store's, the next [`Store::sweep`] tells.
    fn settle(&self, pairs: Vec<Settle>, now: Moment) -> Answer<Vec<Ended>>;

    /// Notes failed attempts, for the dead letters that the pairs may become, and what has been spent
    /// by then, for whoever tries them after a restart. At most [`Attempt::NOTED_MAX`] at once.
    /// Nobody needs to wait.
    fn note_attempts(
        &self,
        subscriber: SubscriberId,
        attempts: Vec<(MessageSeq, Attempt, Spent)>,
    ) -> Answer<()>;

    /// What time does: expiry, age, sessions that end, retention. At most about `limit` pairs at
    /// once. To be called at [`Store::next_due`], and every second or so.
    fn sweep(&self, now: Moment, limit: usize) -> Answer<Swept>;

    /// When a sweep will find something to do for a message or a subscriber.
    fn next_due(&self) -> Answer<Option<Moment>>;

    /// What the subscriber is owed after a place, in order of acceptance: `limit`, or all.
    fn owed(
        &self,
        subscriber: SubscriberId,
        after: Option<MessageSeq>,
        limit: usize,
    ) -> Answer<OwedPage>;

    /// How much the subscriber is owed.
    fn owed_count(&self, subscriber: SubscriberId) -> Answer<u64>;

    /// The newest message that anybody may see.
    fn newest(&self) -> Answer<MessageSeq>;

    /// A message of which something is owed or dead.
    fn message(&self, seq: MessageSeq) -> Answer<Option<Owed>>;

    /// Where the subscriber's pair of a message is. None when it never was for it, or the receipt is
    /// gone.
    fn status(&self, subscriber: SubscriberId, message: Which) -> Answer<Option<PairStatus>>;

    /// What became of the messages of an id: of one tenant, or of all.
    fn receipts(&self, id: MessageId, tenant: Option<Tenant>) -> Answer<Vec<Receipt>>;

    /// Receipts of messages of which nothing is owed or dead, in the order in which that came to be
    /// so: from a moment on, after a message that was told with that moment before.
    fn settled_since(
        &self,
        since: Moment,
        after: Option<MessageSeq>,
        limit: usize,
    ) -> Answer<Vec<Receipt>>;

    /// Receipts of messages that expired for somebody, the last accepted first. Others may owe or
    /// have a dead letter of them.
    fn expired(&self, limit: usize) -> Answer<Vec<Receipt>>;

    /// What the store counts.
    fn stats(&self) -> Answer<Stats>;

    // Dead letters.

    /// The dead letters that fit, after a key, without what they say: nothing is read from a disk.
    fn dead_letters(
        &self,
        filter: DeadFilter,
        after: Option<DeadKey>,
        limit: usize,
    ) -> Answer<DeadPage>;

    /// The same with what they say; an export goes on with [`DeadPage::next`]. A page has at least
    /// one letter, and ends where the letters would say more than 8 MiB, each counted for itself.
    fn whole_letters(
        &self,
        filter: DeadFilter,
        after: Option<DeadKey>,
        limit: usize,
    ) -> Answer<DeadPage<WholeLetter>>;

    /// Makes up to `limit` dead letters that fit owed again. Their attempts begin anew, their
    /// history stays.
    fn requeue(
        &self,
        filter: DeadFilter,
        target: Target,
        limit: usize,
        now: Moment,
    ) -> Answer<Requeued>;

    /// Throws up to `limit` dead letters away that fit. What is left out, is over the limit.
    fn purge(&self, filter: DeadFilter, limit: usize, now: Moment) -> Answer<Vec<Ended>>;

    // Bookmarks.

    /// Keeps how far a reader of ends has come; a reader of the name of a tenant reads that tenant's.
    /// There are few readers; when there are too many, the
    /// one that is farthest back goes.
    fn keep_bookmark(&self, reader: Arc<str>, place: Moment) -> Answer<()>;

    /// Forgets how far all other readers have come, and what only they would have told. Answers who
    /// they were.
    fn forget_bookmarks(&self, but: Vec<Arc<str>>) -> Answer<Vec<Arc<str>>>;

    /// How far a reader has come.
    fn bookmark(&self, reader: Arc<str>) -> Answer<Option<Moment>>;

    /// Deaths of a tenant since a moment, in order of their keys, after one: of the dead letters
    /// there are, and of those that went before the tenant's reader had come so far.
    fn deaths(
        &self,
        tenant: Tenant,
        since: Moment,
        after: Option<DeathKey>,
        limit: usize,
    ) -> Answer<Vec<Death>>;

    // Snapshots.

    /// Keeps the last snapshot of a task. The oldest go when there are too many; one too large for
    /// the room is not kept (false).
    fn put_snapshot(&self, task: Arc<str>, snapshot: Bytes, now: Moment) -> Answer<bool>;

    /// The last snapshot of a task.
    fn snapshot(&self, task: Arc<str>) -> Answer<Option<Bytes>>;
}
