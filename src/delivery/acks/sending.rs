//! Into the outbox: first deliveries, repeats, and what was read from the store.

use std::sync::Arc;

use tokio::time::Instant;

use super::courier::{Courier, Desk, Errands, Flight, Reading, Work};
use super::hub::DeliveryOrder;
use super::message::{Message, mark_of};
use crate::connections::Given;
use crate::delivery::breaker::Permit;
use crate::delivery::pair::{Event, Next, Pair, State};
use crate::store::{MessageSeq, Outcome, Settle, Spent, Which};

/// What to read from the store.
pub(super) enum Page {
    /// Everything after a place.
    After(Option<MessageSeq>),
    /// The oldest that is not in the outbox: a half-open breaker wants it.
    Probe,
}

/// What was read: a message, and what was spent on it for this subscriber.
pub(super) type Read = (Arc<Message>, Spent);

impl Courier {
    /// A message that is no flight here. False when it must wait.
    pub(super) fn send_new(
        &self,
        desk: &mut Desk,
        (message, spent): Read,
        errands: &mut Errands,
    ) -> bool {
        let seq = message.seq;
        let pair = Pair::new(desk.take_unread(seq).map_or(spent, |unread| unread.spent()));
        desk.flights.insert(seq, Flight { message, pair, first: 0, last: 0 });
        if self.send(desk, seq, errands) {
            return true;
        }
        // Without room it is read again; what waits for its old copy stays a flight.
        if desk.blocked {
            desk.flights.remove(&seq);
        }
        false
    }

    /// Sends a flight that is owed. False when there is no room for it.
    pub(super) fn send(&self, desk: &mut Desk, seq: MessageSeq, errands: &mut Errands) -> bool {
        if self.is_held_by_key(desk, seq) {
            return true;
        }
        let Some((link, work)) = desk.both() else { return true };
        let Work { flights, blocked, .. } = work;
        let Some(flight) = flights.get_mut(&seq) else { return true };
        if flight.pair.state() != State::Owed {
            return true;
        }
        if flight.message.is_expired(self.policy.moment()) {
            self.happen(desk, seq, Event::Expired, errands);
            return true;
        }
        let attempts = flight.pair.attempts();
        // A client that acks nothing on the transport's level may still have the last copy coming.
        if attempts > 0 && link.connection.holds(mark_of(seq)) {
            return false;
        }
        let next = match flight.message.frame(link.protocol, link.mode, attempts, &self.hub) {
            Ok(frame) => match link.connection.give(&frame) {
                Given::Queued => {
                    if attempts > 0 {
                        self.policy.metrics.repeats.inc();
                    }
                    desk.tell(seq, Event::Queued, &self.policy)
                }
                Given::NoRoom => {
                    *blocked = true;
                    self.policy.metrics.no_room.inc();
                    // What fills the node's room may be the outboxes of others.
                    if link.connection.waiting().0 == 0 {
                        self.look_soon(desk, errands);
                    }
                    return false;
                }
                // Its session will say so; until then everything is owed.
                Given::Closed => {
                    *blocked = true;
                    return false;
                }
            },
            Err(error) => {
                let wait = self.policy.wait(flight.pair.failures());
                self.policy.metrics.not_encodable.inc();
                let next = desk.tell(seq, Event::Failed { wait }, &self.policy);
                if let Some(flight) = desk.flights.get(&seq) {
                    errands.note(seq, &flight.pair, self.policy.moment(), &error.to_string());
                }
                next
            }
        };
        if let Some(next) = next {
            self.follow(desk, seq, next, errands);
        }
        true
    }

    /// Tells a flight what happened and does what comes of it.
    fn happen(&self, desk: &mut Desk, seq: MessageSeq, event: Event, errands: &mut Errands) {
        if let Some(next) = desk.tell(seq, event, &self.policy) {
            self.follow(desk, seq, next, errands);
        }
    }

    /// A repeat's turn has come.
    pub(super) fn repeat(&self, seq: MessageSeq) -> Errands {
        let mut errands = Errands::default();
        let mut desk = self.desk.lock();
        let owed = desk.flights.get(&seq).is_some_and(|flight| flight.pair.state() == State::Owed);
        // Behind a breaker everything that is owed is read again.
        if !owed || desk.breaker.holds() || desk.link.as_ref().is_none_or(|link| !link.begun) {
            return errands;
        }
        if desk.blocked || !self.send(&mut desk, seq, &mut errands) {
            desk.again.insert(seq);
            self.look_soon(&desk, &mut errands);
        }
        self.plan(&mut desk, &mut errands);
        errands
    }

    /// What a task that reads for this courier should ask for; None when it is done.
    pub(super) fn next_page(&self, errands: &mut Errands) -> Option<(Page, Reading)> {
        let mut desk = self.desk.lock();
        self.send_again(&mut desk, errands);
        desk.nothing_is_read();
        self.plan(&mut desk, errands);
        if desk.is_caught_up() || !desk.wants_load(&self.policy) {
            return None;
        }
        let page = match desk.breaker.permit(Instant::now()) {
            Permit::Free => Page::After(desk.cursor),
            Permit::Probe => Page::Probe,
            Permit::Wait(until) => {
                if let Some(until) = until {
                    errands.look_at = Some(until);
                    self.plan(&mut desk, errands);
                }
                return None;
            }
        };
        desk.loading = true;
        Some((page, desk.reading))
    }

    /// Sends what was read. `complete`: there was nothing after it when it was read; `asked` is
    /// what was true then. False when it had to stop: whatever makes room calls again.
    pub(super) fn take_page(
        &self,
        page: Vec<Read>,
        complete: bool,
        asked: Reading,
        errands: &mut Errands,
    ) -> bool {
        let mut desk = self.desk.lock();
        // Another connection, or another place: the answer to another question.
        if desk.reading.round != asked.round {
            return true;
        }
        let all = page.into_iter().all(|read| self.take_one(&mut desk, read, errands));
        if !all {
            desk.nothing_is_read();
        } else if complete && desk.reading == asked {
            desk.behind = false;
        }
        self.plan(&mut desk, errands);
        all
    }

    fn take_one(&self, desk: &mut Desk, read: Read, errands: &mut Errands) -> bool {
        let seq = read.0.seq;
        if desk.stops_before(seq) || desk.breaker.holds() || desk.is_full(&self.policy) {
            return false;
        }
        let sent = if desk.ending.contains_key(&seq) {
            true
        } else if desk.flights.contains_key(&seq) {
            self.send(desk, seq, errands)
        } else {
            self.send_new(desk, read, errands)
        };
        if !sent && desk.blocked {
            return false;
        }
        if !sent {
            // The transport may replay an old copy still.
            desk.again.insert(seq);
            self.look_soon(desk, errands);
        }
        desk.cursor = desk.cursor.max(Some(seq));
        true
    }

    /// Sends the one message a half-open breaker lets through: the oldest that has no copy out.
    /// Nothing more is read before its fate is known. `none`: nothing at all is owed.
    pub(super) fn take_probe(
        &self,
        page: Vec<Read>,
        none: bool,
        asked: Reading,
        errands: &mut Errands,
    ) {
        let mut desk = self.desk.lock();
        let is_owed = |read: &Read| !desk.ending.contains_key(&read.0.seq);
        let page: Vec<Read> = page.into_iter().filter(is_owed).collect();
        desk.nothing_is_read();
        if desk.reading.round != asked.round {
            desk.breaker.unused();
            errands.load |= desk.wants_load(&self.policy);
            return;
        }
        if none && desk.reading == asked {
            desk.behind = false;
        }
        for read in page {
            let seq = read.0.seq;
            if desk.stops_before(seq) {
                break;
            }
            let state = desk.flights.get(&seq).map(|flight| flight.pair.state());
            let sent = match state {
                None => self.send_new(&mut desk, read, errands),
                Some(State::Owed) => self.send(&mut desk, seq, errands),
                Some(_) => continue,
            };
            if sent && desk.flights.get(&seq).is_some_and(|own| own.pair.state() == State::Queued) {
                desk.probe = Some(seq);
                return self.plan(&mut desk, errands);
            }
        }
        desk.breaker.unused();
        self.look_soon(&desk, errands);
        self.plan(&mut desk, errands);
    }

    /// Nothing could be read.
    pub(super) fn page_failed(&self) {
        let mut desk = self.desk.lock();
        if desk.probe.is_none() {
            desk.breaker.unused();
        }
    }

    /// What could not be sent again before.
    fn send_again(&self, desk: &mut Desk, errands: &mut Errands) {
        if desk.blocked || desk.breaker.holds() {
            return;
        }
        for seq in std::mem::take(&mut desk.again) {
            if desk.blocked || !self.send(desk, seq, errands) {
                desk.again.insert(seq);
            }
        }
        if !desk.again.is_empty() {
            self.look_soon(desk, errands);
        }
    }

    /// Tries again a little later what nobody will call for.
    pub(super) fn look_soon(&self, desk: &Desk, errands: &mut Errands) {
        let soon = Instant::now() + self.policy.limits.ack_timeout.min(SOON);
        if desk.look_at.is_none_or(|at| at > soon) {
            errands.look_at = Some(errands.look_at.map_or(soon, |at| at.min(soon)));
        }
    }

    /// Strict order: whether an older message of the same key has not settled yet.
    fn is_held_by_key(&self, desk: &Desk, seq: MessageSeq) -> bool {
        if self.hub.order != DeliveryOrder::Strict {
            return false;
        }
        let Some(own) = desk.flights.get(&seq) else { return false };
        let key = &own.message;
        desk.flights.range(..seq).any(|(_, older)| older.message.has_key_of(key))
    }

    /// Strict order: a message has ended, the next of its key may go.
    pub(super) fn release_key_of(&self, desk: &mut Desk, gone: &Message, errands: &mut Errands) {
        if self.hub.order != DeliveryOrder::Strict {
            return;
        }
        let mut later = desk.flights.range(gone.seq..);
        let next = later.find(|(_, flight)| flight.message.has_key_of(gone)).map(|(seq, _)| *seq);
        if let Some(next) = next
            && !desk.breaker.holds()
            && (desk.blocked || !self.send(desk, next, errands))
        {
            desk.again.insert(next);
        }
    }

    /// Does what the pair's state machine says. Every event of a flight ends here.
    pub(super) fn follow(
        &self,
        desk: &mut Desk,
        seq: MessageSeq,
        next: Next,
        errands: &mut Errands,
    ) {
        let Some(flight) = desk.flights.get_mut(&seq) else { return };
        let outcome = match next {
            Next::Ignore => return,
            Next::Watch => {
                let deadline = flight.pair.deadline();
                if let Some(at) = deadline.map(|at| at + desk.paused()) {
                    errands.look_at = Some(errands.look_at.map_or(at, |own| own.min(at)));
                }
                return;
            }
            Next::Send => {
                errands.repeats.push(flight.as_repeat(self.subscriber));
                return;
            }
            Next::Settle(how) => how.into(),
            Next::Expire => Outcome::Expired,
            Next::Bury(why) => Outcome::Dead(why.into()),
        };
        self.policy.metrics.count(&outcome);
        errands.settles.push(Settle {
            subscriber: self.subscriber,
            message: Which::Seq(seq),
            outcome,
        });
        desk.ending.insert(seq, false);
        self.remove(desk, seq, errands);
    }
}

/// How soon something is tried again that nobody announces.
const SOON: std::time::Duration = std::time::Duration::from_millis(250);
