//! A node opens, clients arrive with or without a session, a node stops.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::answering::Word;
use super::courier::Courier;
use super::engine::{Acks, gauge};
use super::hub::AckMode;
use super::message::which;
use super::session::{Found, Subscription};
use crate::connections::{Connection, End};
use crate::delivery::outlet::{Delivery, DeliveryError};
use crate::protocol::Protocol;
use crate::store::{
    ClientKey, Identity, MessageSeq, Open, Opened, Outcome, SessionKey, Settle, StoreError,
    SubscriberId,
};

/// What the client of a replaced connection is told.
const REPLACED: &str = "Connection closed: the same client has connected again.";

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
    ) -> Result<Option<Arc<Subscription>>, DeliveryError> {
        let Some(acks) = &self.acks else { return Ok(None) };
        let user = connection.caller().user.as_ref();
        let identity = user.cloned().map_or(Identity::Anonymous, Identity::Named);
        // What opens no session is no reason not to serve; the hub has its own rules for ids.
        let client = arrival.client_id.and_then(|id| ClientKey::of(&identity, id).ok());
        // Only sessions are counted.
        let caller: Arc<str> = match (&client, user, arrival.peer) {
            (None, ..) => Arc::default(),
            (Some(_), Some(user), _) => format!("user {user}").into(),
            (Some(_), None, Some(peer)) => format!("peer {peer}").into(),
            (Some(_), None, None) => "nobody".into(),
        };
        let key = SessionKey { hub: connection.hub().clone(), identity, client };
        let _turn = match key.client {
            Some(_) => Some(acks.turnstiles.pass(&key).await),
            None => None,
        };
        let open = Open { key, connection: connection.id().clone(), caller };
        let opened = acks.store.open(open, acks.now()).await?;
        let Arrival { protocol, mode, .. } = arrival;
        Ok(Some(acks.clone().present(connection, protocol, mode, opened).await))
    }
}

impl Acks {
    /// The store knows the subscriber; from here on its courier takes what is accepted for it.
    pub(super) async fn present(
        self: Arc<Self>,
        connection: &Arc<Connection>,
        protocol: Protocol,
        mode: AckMode,
        opened: Opened,
    ) -> Arc<Subscription> {
        let hub = self.hubs.get(connection.hub()).copied().unwrap_or_default();
        let (courier, before, errands) = {
            let mut couriers = self.couriers.write();
            let made = || Courier::new(opened.subscriber, self.policy.clone(), hub);
            let courier = couriers.entry(opened.subscriber).or_insert_with(made).clone();
            // Under the map's lock: an idle courier cannot be forgotten before it is attached.
            let before = courier.desk.lock().link.as_ref().map(|link| link.connection.clone());
            let errands = courier.attach(connection.clone(), protocol, mode);
            self.policy.metrics.couriers.set(gauge(couriers.len()));
            (courier, before, errands)
        };
        self.run_errands(&courier, errands);
        self.adopted(&opened.adopted);
        // Also one that has not finished its greeting, and stands in no registry yet.
        if let Some(old) = before {
            old.set_subscriber(None);
            old.set_witness(None);
            old.end(End::Asked { reason: Some(REPLACED.to_owned()), allow_reconnect: false });
        }
        connection.set_subscriber(NonZeroU64::new(opened.subscriber.0));
        let owed = self.owed_on_arrival(&courier, opened.owed).await;
        let is_empty = opened.groups.is_empty() && owed == 0;
        if !is_empty {
            connection.keep_aside();
            courier.catch_up(connection);
            if let Ok(newest) = self.store.newest().await {
                courier.live_after(connection, newest);
            }
        }
        // Whatever is not newer has its turn before that.
        let found = Found { groups: opened.groups, owed, under_way: self.turns.mark() };
        let subscription = Arc::new(Subscription {
            acks: self,
            courier,
            connection: connection.clone(),
            mode,
            is_session: opened.session,
            is_new: opened.is_new,
            found: (!is_empty).then(|| Box::new(found)),
        });
        connection.set_witness(Some(subscription.clone()));
        subscription
    }

    /// How much a subscriber is owed that has come. What is accepted from here on finds its courier;
    /// what was accepted before shows in the store, also since it was opened there. Nearly all are
    /// owed nothing, and for them nothing has to be read.
    async fn owed_on_arrival(&self, courier: &Courier, opened: u64) -> u64 {
        match self.store.owed_count(courier.subscriber).await {
            Ok(0) if opened == 0 => 0,
            Ok(count) => {
                courier.desk.lock().start_over();
                count.max(opened)
            }
            // Reading it will be tried again for longer.
            Err(_) => {
                courier.desk.lock().start_over();
                opened
            }
        }
    }

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
        if !self.is_session {
            return None;
        }
        let (gap, _since) = self.acks.gaps.0.lock().remove(&self.courier.subscriber)?;
        Some(gap)
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
        self.acks.ended(&ended);
        Ok(())
    }
}
