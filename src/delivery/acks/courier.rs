//! The courier of one subscriber: what is on its way to it, what comes back, what waits.
//!
//! All in memory and under one lock; nothing here waits. What has to be written down comes back as
//! [`Errands`], to be run when the lock is free. The courier outlives its connection while something
//! was tried in vain, because its counts of attempts are newer than those in the store, and while
//! its breaker remembers a failure or is in an operator's hand (`linking`, `absent`).
//!
//! The store holds everything that is owed; only what is being delivered is a flight here. When an
//! outbox is full, too much is unanswered, or the breaker is open, the courier falls *behind*: new
//! messages stay in the store, and are read from there in order of acceptance when there is a way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::hub::{AckMode, HubAcks};
use super::live::Live;
use super::message::Message;
use super::policy::Policy;
use crate::connections::Connection;
use crate::delivery::breaker::Breaker;
use crate::delivery::lanes::Lane;
use crate::delivery::pair::{Event, Next, Pair};
use crate::model::{ConnectionId, Tenant};
use crate::protocol::Protocol;
use crate::store::{Attempt, MessageSeq, Moment, PairStatus, Settle, Spent, SubscriberId};

/// One subscriber's courier.
pub(super) struct Courier {
    pub(super) subscriber: SubscriberId,
    pub(super) policy: Arc<Policy>,
    pub(super) hub: HubAcks,
    pub(super) desk: Mutex<Desk>,
}

/// What a courier knows. Nearly all are owed nothing nearly all the time, so what is under way
/// takes memory only while there is something: looking at it makes nothing, changing it does.
#[derive(Default)]
pub(super) struct Desk {
    pub(super) link: Option<Link>,
    pub(super) work: Option<Box<Work>>,
}

/// What is under way to one subscriber.
pub(super) struct Work {
    /// In order of acceptance.
    pub(super) flights: BTreeMap<MessageSeq, Flight>,
    /// Flights with a copy out.
    pub(super) out: usize,
    /// Flights that are owed again and could not be sent at once.
    pub(super) again: BTreeSet<MessageSeq>,
    /// Settled here and not yet in the store, or in a page that is being read: what the store says
    /// is owed is not sent again. True once the store has it.
    pub(super) ending: BTreeMap<MessageSeq, bool>,
    /// Owed messages after `cursor` wait in the store.
    pub(super) behind: bool,
    pub(super) cursor: Option<MessageSeq>,
    /// What was true when the store was asked; a page is no answer to what was asked later.
    pub(super) reading: Reading,
    /// A task is reading from the store for it.
    pub(super) loading: bool,
    /// The outbox had no room.
    pub(super) blocked: bool,
    pub(super) breaker: Breaker,
    /// The message whose fate decides about a half-open breaker.
    pub(super) probe: Option<MessageSeq>,
    /// Messages written so far on this connection: the order in which its client sees them.
    pub(super) written: u64,
    /// While the client catches up.
    pub(super) live: Option<Box<Live>>,
    /// The earliest moment somebody is due to look at it, on the wall's clock.
    pub(super) look_at: Option<Instant>,
}

/// What a page read from the store is an answer to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reading {
    /// Grows when everything is to be read again from an earlier place: pages that were asked for
    /// before are nothing.
    pub(super) round: u32,
    /// Grows with every message it was told of: a page that was asked for before is not the last.
    pub(super) told: u32,
}

/// The connection a courier uses.
pub(super) struct Link {
    pub(super) connection: Arc<Connection>,
    pub(super) protocol: Protocol,
    pub(super) mode: AckMode,
    /// The replay may begin: groups are restored.
    pub(super) begun: bool,
    /// Its socket is gone, and a new one may come.
    pub(super) parked: bool,
}

/// One pair that is being delivered.
pub(super) struct Flight {
    pub(super) message: Arc<Message>,
    pub(super) pair: Pair,
    /// When it was written first and last, counted in writes of this connection; 0 for never.
    pub(super) first: u64,
    pub(super) last: u64,
}

/// What must be done when the lock is free.
#[derive(Default)]
pub(super) struct Errands {
    pub(super) settles: Vec<Settle>,
    /// Attempts that failed, for the dead letters they may lead to.
    pub(super) failed: Vec<(MessageSeq, Attempt, Spent)>,
    /// Repeats that are due.
    pub(super) repeats: Vec<Repeat>,
    /// Look at the courier at this time.
    pub(super) look_at: Option<Instant>,
    /// Read more from the store.
    pub(super) load: bool,
}

/// A repeat that waits for its turn among those of all subscribers.
pub(super) struct Repeat {
    pub(super) lane: Lane,
    pub(super) tenant: Tenant,
    pub(super) subscriber: SubscriberId,
    pub(super) seq: MessageSeq,
}

impl Errands {
    /// Notes an attempt that failed, and what the pair has spent with it.
    pub(super) fn note(&mut self, seq: MessageSeq, pair: &Pair, at: Moment, error: &str) {
        let end = error.floor_char_boundary(Attempt::ERROR_BYTES_MAX);
        let attempt = Attempt { at, error: Arc::from(&error[..end]) };
        self.failed.push((seq, attempt, pair.spent()));
    }
}

impl Courier {
    pub(super) fn new(subscriber: SubscriberId, policy: Arc<Policy>, hub: HubAcks) -> Arc<Self> {
        Arc::new(Self { subscriber, policy, hub, desk: Mutex::default() })
    }

    /// A message was accepted for the subscriber: into the outbox with it, or it waits in the store.
    pub(super) fn offer(&self, message: &Arc<Message>) -> Errands {
        let mut errands = Errands::default();
        let mut desk = self.desk.lock();
        // What stands before the cursor has been read from the store already.
        let is_read = desk.cursor.is_some_and(|cursor| message.seq <= cursor);
        if desk.link.is_none() || is_read || desk.flights.contains_key(&message.seq) {
            return errands;
        }
        if self.put_aside(&mut desk, message, &mut errands) {
            return errands;
        }
        if desk.is_held(&self.policy) {
            desk.fall_behind(message.seq);
            errands.load |= desk.wants_load(&self.policy);
        } else if !self.send_new(&mut desk, (message.clone(), Spent::default()), &mut errands) {
            desk.fall_behind(message.seq);
        }
        self.plan(&mut desk, &mut errands);
        errands
    }

    /// A pair has ended: here, or elsewhere by expiry, another node, an operator.
    pub(super) fn ended(&self, seq: MessageSeq, how: PairStatus) -> Errands {
        let mut errands = Errands::default();
        let mut desk = self.desk.lock();
        if let (PairStatus::Acknowledged, Some(link)) = (how, &desk.link) {
            link.connection.count_acknowledged(1);
        }
        if desk.has_work() {
            desk.store_has(seq);
            self.remove(&mut desk, seq, &mut errands);
        }
        errands
    }

    /// A message is owed (again): one that was dead, or another connection's.
    pub(super) fn owed_again(&self, seq: MessageSeq) -> Errands {
        let mut desk = self.desk.lock();
        let mut errands = Errands::default();
        self.remove(&mut desk, seq, &mut errands);
        desk.ending.remove(&seq);
        desk.fall_behind(seq);
        errands.load |= desk.wants_load(&self.policy);
        errands
    }

    /// Takes a flight out, and lets those go on that waited for it.
    pub(super) fn remove(&self, desk: &mut Desk, seq: MessageSeq, errands: &mut Errands) {
        let Some(gone) = desk.take_out(seq) else { return };
        self.take_from_aside(desk, &gone);
        desk.again.remove(&seq);
        if desk.probe == Some(seq) {
            desk.probe = None;
            desk.breaker.unused();
        }
        self.release_key_of(desk, &gone.message, errands);
        errands.load |= desk.wants_load(&self.policy);
    }

    /// The time of this courier's pairs: it stands still while the client's words cannot be read.
    pub(super) fn now(desk: &Desk, now: Instant) -> Instant {
        now.checked_sub(desk.paused()).unwrap_or(now)
    }

    /// Sees to it that somebody looks when the next pair is due. What is done takes no memory.
    pub(super) fn plan(&self, desk: &mut Desk, errands: &mut Errands) {
        if let Some(at) = errands.look_at {
            if desk.look_at.is_some_and(|own| own <= at) {
                errands.look_at = None;
            } else {
                desk.look_at = Some(at);
            }
        }
        desk.tidy();
    }
}

impl Desk {
    pub(super) fn is_linked_to(&self, connection: &ConnectionId) -> bool {
        self.link.as_ref().is_some_and(|link| link.connection.id() == connection)
    }

    /// Whether what the connection's subscriber is owed is still being read, and may be sent.
    pub(super) fn is_replaying(&self, connection: &ConnectionId) -> bool {
        let open = self.is_linked_to(connection) && !self.breaker.holds();
        open && !self.is_caught_up() && self.loading && !self.blocked
    }

    /// Whether everything that was owed when the client came is out, and what was told of since.
    pub(super) fn is_caught_up(&self) -> bool {
        !self.behind || self.live.as_ref().is_some_and(|live| live.is_reached())
    }

    /// Whether what is read must not go beyond this message: it is new, and has a place aside.
    pub(super) fn stops_before(&mut self, seq: MessageSeq) -> bool {
        let live = self.work.as_mut().and_then(|work| work.live.as_mut());
        live.is_some_and(|live| live.stops_before(seq))
    }

    /// Takes a flight out; nothing else.
    pub(super) fn take_out(&mut self, seq: MessageSeq) -> Option<Flight> {
        let gone = self.flights.remove(&seq)?;
        self.out -= usize::from(gone.pair.is_out());
        Some(gone)
    }

    /// Whether new messages have to wait in the store.
    pub(super) fn is_held(&self, policy: &Policy) -> bool {
        self.behind
            || self.blocked
            || self.breaker.holds()
            || self.is_full(policy)
            || self.link.as_ref().is_none_or(|link| !link.begun)
    }

    /// Whether as much is unanswered as may be, or waits here for its key on a strict hub.
    pub(super) fn is_full(&self, policy: &Policy) -> bool {
        self.out >= policy.unanswered_max || self.flights.len() >= 2 * policy.unanswered_max
    }

    /// Tells a flight what happened. None when it is no flight.
    pub(super) fn tell(&mut self, seq: MessageSeq, event: Event, policy: &Policy) -> Option<Next> {
        let now = Courier::now(self, Instant::now());
        let work = self.work.as_mut()?;
        let pair = &mut work.flights.get_mut(&seq)?.pair;
        let before = pair.is_out();
        let next = pair.on(event, now, &policy.limits);
        work.out = work.out + usize::from(pair.is_out()) - usize::from(before);
        Some(next)
    }

    pub(super) fn fall_behind(&mut self, seq: MessageSeq) {
        self.behind = true;
        self.reading.told = self.reading.told.wrapping_add(1);
        if let Some(live) = &mut self.live {
            live.fell_behind(seq);
        }
        // Tasks of two publishers may come in another order than their messages were accepted in.
        if self.cursor.is_some_and(|cursor| seq <= cursor) {
            self.cursor = seq.0.checked_sub(1).map(MessageSeq);
            self.reading.round = self.reading.round.wrapping_add(1);
        }
    }

    /// Everything owed is to be read again, from the oldest on.
    pub(super) fn start_over(&mut self) {
        self.behind = true;
        self.reading.round = self.reading.round.wrapping_add(1);
        if let Some(live) = &mut self.live {
            live.start_over();
        }
        self.cursor = None;
        self.blocked = false;
        self.again.clear();
    }

    /// Whether there is something to read and a way for it. With room for few it is not worth it.
    pub(super) fn wants_load(&self, policy: &Policy) -> bool {
        (!self.is_caught_up() || !self.again.is_empty())
            && !self.loading
            && !self.blocked
            && self.out <= policy.unanswered_max / 2
            && self.link.as_ref().is_some_and(|link| link.begun)
    }

    pub(super) fn paused(&self) -> Duration {
        self.link.as_ref().map_or(Duration::ZERO, |link| link.connection.busy_time())
    }
}
