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

use parking_lot::Mutex;
use tokio::time::Instant;

use super::hub::{AckMode, HubAcks};
use super::live::Live;
use super::message::Message;
use super::policy::Policy;
use super::unreadable::Unread;
use crate::connections::Connection;
use crate::delivery::breaker::Breaker;
use crate::delivery::lanes::Lane;
use crate::delivery::pair::Pair;
use crate::model::Tenant;
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
    /// Owed messages that the disk did not give back when they were read.
    pub(super) unread: BTreeMap<MessageSeq, Unread>,
    /// Strict order: nothing is read before this one of them is read again.
    pub(super) stopped_at: Option<MessageSeq>,
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
            if matches!(how, PairStatus::Expired | PairStatus::Dead) {
                self.note_unanswered(&desk, seq, &mut errands);
            }
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
        if desk.take_unread(seq).is_some() {
            errands.load |= desk.wants_load(&self.policy);
        }
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
            if desk.look_at.is_some_and(|own| own < at) {
                errands.look_at = None;
            } else {
                desk.look_at = Some(at);
            }
        }
        desk.tidy();
    }
}
