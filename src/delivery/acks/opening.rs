//! A node opens, clients arrive with or without a session, a node stops.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::answering::Word;
use super::engine::Acks;
use super::hub::AckMode;
use super::message::which;
use super::session::Subscription;
use crate::connections::{Connection, End};
use crate::delivery::outlet::{Delivery, DeliveryError};
use crate::protocol::Protocol;
use crate::store::{
    ClientKey, Identity, MessageSeq, Outcome, SessionKey, Settle, StoreError, SubscriberId,
};

/// What a client brings with it.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// The agreed protocol.
    pub protocol: Protocol,
    /// The half of its session's key that the client brings; none for a stock client. Never logged.
    pub client_id: Option<&'a str>,
    /// Where it comes from; whose sessions are counted together when it has no user.
    pub peer: Option<IpAddr>,
    /// How it acknowledges.
    pub mode: AckMode,
}

/// Why a returning session has lost ordinary messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// Its last connection was ended because it read too slowly; what waited was thrown away.
    TooSlow,
    /// Its last connection was lost and not resumed in time, or too much waited for it.
    NotResumed,
    /// More came in while it was sent what it was owed than could wait.
    CatchingUp,
}

impl Gap {
    /// A fixed name, for the event.
    pub fn name(self) -> &'static str {
        match self {
            Self::TooSlow => "tooSlow",
            Self::NotResumed => "notResumed",
            Self::CatchingUp => "catchingUp",
        }
    }
}

/// Sessions whose last connection has thrown something away. Forgotten after an hour, or when there
/// are too many: a session lives two minutes by default.
#[derive(Default)]
pub(super) struct Gaps(Mutex<HashMap<SubscriberId, (Gap, Instant)>>);

const GAPS_MAX: usize = 100_000;
const GAP_LIFE: Duration = Duration::from_secs(3_600);

/// Two arrivals with the same key pass one after the other, so that the last one the store saw is
/// the last one that is attached.
#[derive(Default)]
pub(super) struct Turnstiles {
    gates: [tokio::sync::Mutex<()>; GATES],
    hasher: RandomState,
}

const GATES: usize = 32;

impl Turnstiles {
    async fn pass(&self, key: &SessionKey) -> tokio::sync::MutexGuard<'_, ()> {
        let hash = usize::try_from(self.hasher.hash_one(key) % GATES as u64).unwrap_or_default();
        self.gates[hash].lock().await
    }
}

impl Delivery {
    /// What was handed to the store before this call is written when it completes.
    pub async fn flush(&self) -> Result<(), DeliveryError> {
        if let Some(acks) = &self.acks {
            // Changes are made in the order in which they were asked for.
            acks.store.settle(Vec::new(), acks.now()).await?;
        }
        Ok(())
    }

    /// A connection becomes a subscriber: with a client id it takes its session up, and whoever had
    /// that is closed. A new session is durable when this completes. Nothing owed is sent before
    /// [`Subscription::replay`]. None when this node keeps nothing.
    pub async fn arrive(
        &self,
        connection: &Arc<Connection>,
        arrival: Arrival<'_>,
    ) -> Result<Option<Subscription>, DeliveryError> {
        let Some(acks) = &self.acks else { return Ok(None) };
        let user = connection.caller().user.as_ref();
        let identity =
            user.map_or(Identity::Anonymous, |user| Identity::Named(user.as_str().into()));
        let caller: Arc<str> = match (user, arrival.peer) {
            (Some(user), _) => format!("user {user}").into(),
            (None, Some(peer)) => format!("peer {peer}").into(),
            (None, None) => "nobody".into(),
        };
        // What opens no session is no reason not to serve; the hub has its own rules for ids.
        let client = arrival.client_id.and_then(|id| ClientKey::of(&identity, id).ok());
        let key = SessionKey { hub: connection.hub().clone(), identity, client };
        let _turn = match key.client {
            Some(_) => Some(acks.turnstiles.pass(&key).await),
            None => None,
        };
        self.session_opened(connection, arrival.protocol, key, caller, arrival.mode).await
    }
}

impl Acks {
    /// Remembers that a connection's end cost its session something ordinary.
    pub(super) fn note_gap(&self, subscriber: SubscriberId, end: Option<&End>) {
        let gap = match end {
            Some(End::TooSlow | End::SendTimedOut) => Gap::TooSlow,
            Some(End::NotResumed) => Gap::NotResumed,
            _ => return,
        };
        let now = Instant::now();
        let mut gaps = self.gaps.0.lock();
        if gaps.len() >= GAPS_MAX {
            gaps.retain(|_, (_, since)| now.duration_since(*since) < GAP_LIFE);
        }
        if gaps.len() < GAPS_MAX {
            gaps.insert(subscriber, (gap, now));
        }
    }
}

impl Subscription {
    /// What the session's last connection has lost, asked once.
    pub fn take_gap(&self) -> Option<Gap> {
        let (gap, _since) = self.acks.gaps.0.lock().remove(&self.courier.subscriber)?;
        self.is_session.then_some(gap)
    }

    /// The client has handled all of these, which may be thousands. What it never was owed changes
    /// nothing.
    pub async fn ack_all(&self, ids: &[String]) -> Result<(), StoreError> {
        let mut flying: Vec<MessageSeq> = Vec::new();
        let mut elsewhere = Vec::new();
        for id in ids {
            let places = self.acks.shelf.places(id);
            if self.courier.state_of(&places).is_some() {
                flying.extend(places);
            } else if let Some(message) = which(id) {
                let subscriber = self.courier.subscriber;
                elsewhere.push(Settle { subscriber, message, outcome: Outcome::Acknowledged });
            }
        }
        self.say_all(&flying, Word::Acked, None);
        let is_its_own = self.courier.desk.lock().is_linked_to(self.connection.id());
        if elsewhere.is_empty() || !is_its_own {
            return Ok(());
        }
        let ended = self.acks.store.settle(elsewhere, self.acks.now()).await?;
        self.connection.count_acknowledged(ended.len() as u64);
        self.acks.ended(&ended);
        Ok(())
    }
}
