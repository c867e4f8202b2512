//! Dead letters: what could not be delivered, with everything an operator needs to decide.

use std::sync::Arc;

use super::message::{Content, Ended};
use super::names::{Identity, MessageSeq, Moment, SubscriberId};
use crate::model::{Audience, HubName, MessageId, Priority, Tenant};

/// Why a pair died.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// All attempts ended without an answer in time.
    TimedOut,
    /// The client's last word was no.
    Nacked,
    /// The client gave up for good.
    GivenUp,
    /// It could not be written, as often as it may be tried.
    NotWritten,
    /// The subscriber's session ended, or its connection had none and nobody took over.
    SubscriberGone,
    /// The subscriber is not allowed in the group any more.
    AccessRevoked,
    /// It was owed for too long.
    TooOld,
    /// The store's disk does not give back what it said.
    Damaged,
}

impl Reason {
    /// All reasons, for lists and filters.
    pub const ALL: [Self; 8] = [
        Self::TimedOut,
        Self::Nacked,
        Self::GivenUp,
        Self::NotWritten,
        Self::SubscriberGone,
        Self::AccessRevoked,
        Self::TooOld,
        Self::Damaged,
    ];

    /// A fixed name: for answers, filters and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::TimedOut => "timed_out",
            Self::Nacked => "nacked",
            Self::GivenUp => "given_up",
            Self::NotWritten => "not_written",
            Self::SubscriberGone => "subscriber_gone",
            Self::AccessRevoked => "access_revoked",
            Self::TooOld => "too_old",
            Self::Damaged => "damaged",
        }
    }

    /// The reason of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }
}

/// One attempt to deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// When it was made.
    pub at: Moment,
    /// What came of it, in words: the client's own or ours.
    pub error: Arc<str>,
}

impl Attempt {
    /// Attempts kept with one dead letter; beyond that the oldest but the first go, and are counted.
    pub const KEPT_MAX: usize = 16;
    /// Bytes kept of an error.
    pub const ERROR_BYTES_MAX: usize = 256;
    /// Attempts that are noted at once at most.
    pub const NOTED_MAX: usize = 1_000;
}

/// What was spent on a pair that is still owed. Begins anew when its dead letter is sent again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Frames fully written.
    pub attempts: u16,
    /// Repeats after an answer that did not come, or was no.
    pub repeats: u8,
    /// Failures before anything was written.
    pub failures: u8,
}

/// Names one dead letter. Ascending in order of acceptance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeadKey {
    /// The message.
    pub seq: MessageSeq,
    /// The subscriber.
    pub subscriber: SubscriberId,
}

/// Names one death: a pair that was sent again may die again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeathKey {
    /// The dead letter.
    pub letter: DeadKey,
    /// When it died.
    pub at: Moment,
}

/// A death, for whoever tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Death {
    /// Its name.
    pub key: DeathKey,
    /// The message's id.
    pub id: MessageId,
    /// Why.
    pub reason: Reason,
}

/// A pair that could not be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its name.
    pub key: DeadKey,
    /// The message's id.
    pub id: MessageId,
    /// Who published it.
    pub tenant: Tenant,
    /// The hub.
    pub hub: HubName,
    /// Who the subscriber was.
    pub identity: Identity,
    /// Whom the message was for.
    pub audience: Audience,
    /// How urgent it was.
    pub priority: Priority,
    /// Whether an operator counts on it.
    pub critical: bool,
    /// When it was accepted.
    pub accepted_at: Moment,
    /// When it would have expired.
    pub expires_at: Option<Moment>,
    /// When it died.
    pub died_at: Moment,
    /// Why.
    pub reason: Reason,
    /// What was tried, oldest first, earlier lives included: of many, the first and the newest.
    pub attempts: Vec<Attempt>,
    /// How many more there were, between the first of those kept and the second.
    pub attempts_left_out: u32,
    /// The event's name.
    pub target: Arc<str>,
}

impl DeadLetter {
    /// How often it was tried, also the times that are not kept one by one.
    pub fn attempts_made(&self) -> u64 {
        self.attempts.len() as u64 + u64::from(self.attempts_left_out)
    }
}

/// A dead letter and what it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WholeLetter {
    /// The letter.
    pub letter: DeadLetter,
    /// What it said. The letters of one message share it.
    pub content: Content,
}

/// Which dead letters are meant: those that fit everything that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadFilter {
    /// Of this hub.
    pub hub: Option<HubName>,
    /// Of this tenant.
    pub tenant: Option<Tenant>,
    /// That died of this.
    pub reason: Option<Reason>,
    /// Of this subscriber.
    pub subscriber: Option<SubscriberId>,
    /// Of one of these messages.
    pub ids: Option<Arc<[MessageId]>>,
    /// That died then or later.
    pub died_from: Option<Moment>,
    /// That died before.
    pub died_before: Option<Moment>,
    /// That stand behind this one.
    pub after: Option<DeadKey>,
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadPage<T = DeadLetter> {
    /// In order of acceptance.
    pub letters: Vec<T>,
    /// Where to go on; none at the end.
    pub next: Option<DeadKey>,
}

/// To whom a dead letter is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// To the same subscriber.
    SameSubscriber,
    /// To the audience as it is now.
    CurrentAudience,
}

/// What became of a wish to send dead letters again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requeued {
    /// How many dead letters are none any more.
    pub letters: u64,
    /// The pairs that are owed again or for the first time.
    pub owed: Vec<DeadKey>,
    /// Those that stay dead, and why.
    pub refused: Vec<(DeadKey, BadRequeue)>,
    /// Pairs that ended: with the current audience, those whose subscriber is not in it.
    pub ended: Vec<Ended>,
    /// The last dead letter that was looked at. With `more`, this is where to go on
    /// ([`DeadFilter::after`]).
    pub last: Option<DeadKey>,
    /// Whether the limit of one call was met, and more fit the filter.
    pub more: bool,
}

/// Why a dead letter cannot be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRequeue {
    /// Its subscriber is gone.
    #[error("the subscriber is gone")]
    SubscriberGone,
    /// Nobody is in the audience now.
    #[error("nobody is in the audience now")]
    Nobody,
    /// The tenant or the store has too many pending pairs.
    #[error("too many messages are pending")]
    PendingFull,
}
