//! A connection becomes a subscriber: its session, its groups, the words of its client.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use super::answering::Word;
use super::courier::{Courier, Errands};
use super::engine::Acks;
use super::hub::AckMode;
use super::message::{message_of, which};
use crate::connections::{Connection, Witness};
use crate::delivery::outlet::{Delivery, DeliveryError};
use crate::delivery::pair::{State, Why};
use crate::model::GroupName;
use crate::protocol::Outcome;
use crate::store::{self, Joined, Moved, PairStatus, Settle, StoreError, SubscriberId};

/// What stock JavaScript clients answer when no handler returned anything, and when several did.
const NO_RESULT: [&str; 2] =
    ["Client didn't provide a result.", "Client provided multiple results."];

/// Where a message stands for one client, as Conduit numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// Owed, sent, or waiting after a failure before a write.
    Pending = 0,
    /// Acknowledged, or delivered to a client that cannot say so.
    Acknowledged = 1,
    /// Refused, to be sent again.
    Nacked = 2,
    /// Not answered in time, to be sent again.
    TimedOut = 3,
    /// A dead letter, or one that was thrown away.
    Dead = 4,
    /// Expired.
    Expired = 5,
}

/// A subscriber on its connection. Held by the session of the hub; every word of the client about a
/// message comes through it, so nobody can speak for another. It is also what its connection tells
/// of its frames: every idle connection has one, so it is small.
pub struct Subscription {
    pub(super) acks: Arc<Acks>,
    pub(super) courier: Arc<Courier>,
    pub(super) connection: Arc<Connection>,
    /// How the client acknowledges.
    pub mode: AckMode,
    /// Whether the subscriber outlives its connection.
    pub is_session: bool,
    /// Whether nothing was known of the session.
    pub is_new: bool,
    /// None for those who found nothing when they came.
    pub(super) found: Option<Box<Found>>,
}

/// What a subscriber finds when it comes.
pub(super) struct Found {
    pub(super) groups: Vec<GroupName>,
    pub(super) owed: u64,
    /// The moment until which publishes were under way that may be owed already.
    pub(super) under_way: u64,
}

impl Delivery {
    /// The connection of a subscriber is over: what it owed stays owed while it may come back.
    pub(in crate::delivery) async fn connection_lost(&self, connection: &Connection) {
        let Some(acks) = &self.acks else { return };
        let Some(number) = connection.set_subscriber(None) else { return };
        connection.set_witness(None);
        let Some(courier) = acks.courier(SubscriberId(number.get())) else { return };
        acks.note_gap(courier.subscriber, connection.ended());
        let errands = courier.detach(connection);
        acks.run_errands(&courier, errands);
        acks.lost(&courier);
        let away = acks.store.away(courier.subscriber, connection.id().clone(), acks.now());
        match away.await {
            Ok(departed) => acks.moved(&departed.moved),
            // The next sweep sees to it.
            Err(error) => tracing::debug!(%error, "the store does not know yet that a client left"),
        }
    }

    /// A subscriber joins a group: durable for a session, and it may take over what is owed there.
    pub(in crate::delivery) async fn subscriber_joins(
        &self,
        connection: &Connection,
        group: &GroupName,
    ) -> Result<bool, DeliveryError> {
        let Some((acks, subscriber)) = self.subscriber_of(connection) else { return Ok(true) };
        match acks.store.join(subscriber, group.clone(), acks.now()).await? {
            Joined::Member { adopted } => {
                acks.adopted(&adopted);
                Ok(true)
            }
            Joined::Gone => Ok(true),
            Joined::TooManyGroups => Ok(false),
        }
    }

    /// A subscriber leaves a group; what it is owed it stays owed.
    pub(in crate::delivery) async fn subscriber_leaves(
        &self,
        connection: &Connection,
        group: &GroupName,
    ) -> Result<(), DeliveryError> {
        if let Some((acks, subscriber)) = self.subscriber_of(connection) {
            acks.store.leave(subscriber, group.clone()).await?;
        }
        Ok(())
    }

    fn subscriber_of(&self, connection: &Connection) -> Option<(&Arc<Acks>, SubscriberId)> {
        let number = connection.subscriber()?;
        Some((self.acks.as_ref()?, SubscriberId(number.get())))
    }
}

impl Acks {
    /// Others took over what lost connections were owed.
    pub(super) fn moved(self: &Arc<Self>, moved: &[Moved]) {
        for Moved { from, to, seqs } in moved {
            if let Some(courier) = self.courier(*from) {
                let errands = courier.moved_away(seqs);
                self.run_errands(&courier, errands);
                self.forget_if_idle(&courier);
            }
            self.owed_anything(*to);
        }
    }

    /// The subscriber is owed something it did not know of; where it stands nobody said.
    pub(super) fn owed_anything(self: &Arc<Self>, subscriber: SubscriberId) {
        if let Some(courier) = self.courier(subscriber) {
            let load = {
                let mut desk = courier.desk.lock();
                desk.start_over();
                desk.wants_load(&self.policy)
            };
            self.run_errands(&courier, Errands { load, ..Errands::default() });
        }
    }
}

impl Subscription {
    /// The groups the session was in. Their guards are to be asked again before the replay.
    pub fn groups(&self) -> &[GroupName] {
        self.found.as_ref().map_or(&[], |found| &found.groups)
    }

    /// How much it was owed when it came.
    pub fn owed(&self) -> u64 {
        self.found.as_ref().map_or(0, |found| found.owed)
    }

    /// Who this is in receipts and dead letters.
    pub fn subscriber(&self) -> SubscriberId {
        self.courier.subscriber
    }

    /// The subscriber must not be in a group any more: what it was owed through it is dead.
    pub async fn revoke(&self, group: &GroupName) -> Result<(), StoreError> {
        let (subscriber, now) = (self.courier.subscriber, self.acks.now());
        let ended = self.acks.store.revoke(subscriber, group.clone(), now).await?;
        self.acks.ended(&ended);
        Ok(())
    }

    /// The client has handled a message. False when it was never owed it, or speaks for another.
    pub async fn ack(&self, id: &str) -> Result<bool, StoreError> {
        if self.say(id, Word::Acked, None) {
            return Ok(true);
        }
        self.settle_elsewhere(id, store::Outcome::Acknowledged).await
    }

    /// The client has handled everything it was sent up to and including a message. What was sent
    /// again since counts by its first sending, so a repeat is to be acked by itself, too.
    pub async fn ack_up_to(&self, id: &str) -> Result<bool, StoreError> {
        let covered = self.courier.up_to(&self.acks.shelf.places(id));
        if covered.is_empty() {
            return self.ack(id).await;
        }
        Ok(self.say_all(&covered, Word::Acked, None))
    }

    /// The client could not handle a message and wants it again, after a delay of its own or the
    /// policy's. False when it is not on its way to it.
    pub fn nack(&self, id: &str, error: Option<&str>, delay: Option<Duration>) -> bool {
        self.say(id, Word::Nacked(delay), error)
    }

    /// The client is at it and needs the whole answer time once more.
    pub fn still_working(&self, id: &str) -> bool {
        self.say(id, Word::StillWorking, None)
    }

    /// The client wants no further attempt: it is a dead letter.
    pub fn give_up(&self, id: &str, error: Option<&str>) -> bool {
        self.say(id, Word::GivenUp, error)
    }

    /// Where a message stands for this client; none when it never was for it.
    pub async fn status(&self, id: &str) -> Result<Option<Status>, StoreError> {
        let state = self.courier.state_of(&self.acks.shelf.places(id));
        let status = match state {
            Some(State::Owed | State::Queued | State::Sent | State::Waiting(Why::Failed)) => {
                Some(Status::Pending)
            }
            Some(State::Waiting(Why::Nacked)) => Some(Status::Nacked),
            Some(State::Waiting(Why::TimedOut)) => Some(Status::TimedOut),
            // What has ended is no flight any more.
            Some(State::Settled(_) | State::Dead(_) | State::Expired) | None => None,
        };
        if status.is_some() {
            return Ok(status);
        }
        self.acks.settler.hurry(&*self.acks.store, self.acks.now());
        let Some(message) = which(id) else { return Ok(None) };
        let kept = self.acks.store.status(self.courier.subscriber, message).await?;
        Ok(kept.map(|status| match status {
            PairStatus::Owed => Status::Pending,
            PairStatus::Acknowledged | PairStatus::Unconfirmed => Status::Acknowledged,
            PairStatus::Expired => Status::Expired,
            PairStatus::Dead | PairStatus::Purged => Status::Dead,
        }))
    }

    /// The client completed an invocation that is a message (mode `result`). False when it is none
    /// that is on its way to it.
    pub fn completed(&self, id: &str, outcome: &Outcome) -> bool {
        let Some(id) = message_of(id) else { return false };
        match outcome {
            Outcome::Void | Outcome::Value(_) => self.say(id, Word::Acked, None),
            Outcome::Error(text) if NO_RESULT.contains(&&**text) => {
                self.say(id, Word::Unconfirmed, None)
            }
            Outcome::Error(text) => self.say(id, Word::Nacked(None), Some(text)),
        }
    }

    /// As [`Subscription::completed`], also for messages that are not on their way to it any more:
    /// a late answer settles, whatever the message has become. False when it never was for it.
    pub async fn completion(&self, id: &str, outcome: &Outcome) -> Result<bool, StoreError> {
        if self.completed(id, outcome) {
            return Ok(true);
        }
        let settled = match outcome {
            Outcome::Void | Outcome::Value(_) => store::Outcome::Acknowledged,
            Outcome::Error(text) if NO_RESULT.contains(&&**text) => store::Outcome::Unconfirmed,
            Outcome::Error(_) => return Ok(false),
        };
        match message_of(id) {
            Some(id) => self.settle_elsewhere(id, settled).await,
            None => Ok(false),
        }
    }

    fn say(&self, id: &str, word: Word, text: Option<&str>) -> bool {
        let places = self.acks.shelf.places(id);
        !places.is_empty() && self.say_all(&places, word, text)
    }

    pub(super) fn say_all(
        &self,
        seqs: &[store::MessageSeq],
        word: Word,
        text: Option<&str>,
    ) -> bool {
        let mut errands = Errands::default();
        let by = self.connection.id();
        let heard = self.courier.hear(by, seqs, word, text, &mut errands);
        self.acks.run_errands(&self.courier, errands);
        heard
    }

    /// A message that is not on its way here: dead, or owed and not sent yet on this connection.
    async fn settle_elsewhere(
        &self,
        id: &str,
        outcome: store::Outcome,
    ) -> Result<bool, StoreError> {
        if !self.courier.desk.lock().is_linked_to(self.connection.id()) {
            return Ok(false);
        }
        let Some(message) = which(id) else { return Ok(false) };
        let subscriber = self.courier.subscriber;
        let settle = Settle { subscriber, message, outcome };
        let ended = self.acks.store.settle(vec![settle], self.acks.now()).await?;
        self.acks.ended(&ended);
        Ok(!ended.is_empty())
    }
}

impl Witness for Subscription {
    fn written(&self, marks: &[NonZeroU64], room: bool) {
        let errands = self.courier.written(self.connection.id(), marks, room);
        self.acks.run_errands(&self.courier, errands);
    }

    fn parked(&self) {
        self.courier.park(self.connection.id());
    }

    fn resumed(&self) {
        let errands = self.courier.resumed(self.connection.id());
        self.acks.run_errands(&self.courier, errands);
    }
}
