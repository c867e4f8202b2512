//! What is new while a client is sent what it was owed: it waits aside among the ordinary messages
//! that wait there, so that both classes keep the order of their publishers.
//!
//! Everything up to a place is read from the store and goes out at once; what was accepted later is
//! offered when its publisher's turn has come, like an ordinary message, and put aside like one. So is
//! what was accepted before, and whose turn comes while the client is here: the publisher may have
//! something ordinary before it. Nothing is read until the turns have come that were due when the place
//! was taken, so that it is known which those are.
//! When the owed ones are out, what waits aside is let in. Within bounds: what has no room aside, and
//! all that was accepted after it, waits in the store until then.

use std::sync::Arc;
use std::time::Duration;

use super::courier::{Courier, Desk, Errands, Flight, Work};
use super::hub::DeliveryOrder;
use super::message::{Message, mark_of};
use super::session::Subscription;
use crate::connections::{Connection, PutAside, SendError};
use crate::delivery::pair::{Event, Pair, State};
use crate::store::{MessageSeq, Spent};

/// How long a replay may take before its client's live messages begin. What is left follows.
const REPLAY_MAX: Duration = Duration::from_secs(10);
/// The same for a client that is new.
const REPLAY_FIRST_MAX: Duration = Duration::from_secs(1);
/// Longer than turns of a healthy store take. If it does not come to an end, what is owed must not wait
/// for it: then an ordinary message may come later than it should.
const TURNS_MAX: Duration = Duration::from_secs(1);
const REPLAY_LOOK_FIRST: Duration = Duration::from_millis(1);
const REPLAY_LOOK: Duration = Duration::from_millis(20);

/// What a courier knows while its client catches up.
pub(super) struct Live {
    /// What was accepted later is new. Nobody's place as long as that is not known: then everything is
    /// read that is not put aside.
    after: MessageSeq,
    /// Everything up to there is out.
    reached: bool,
    /// Something new waits in the store.
    overflowed: bool,
    /// How many may still be put aside: they are unanswered, and the owed ones need room, too.
    room: usize,
}

impl Live {
    /// Whether reading must stop before this message.
    pub(super) fn stops_before(&mut self, seq: MessageSeq) -> bool {
        self.reached |= seq > self.after;
        seq > self.after
    }

    pub(super) fn is_reached(&self) -> bool {
        self.reached
    }

    /// A message waits in the store.
    pub(super) fn fell_behind(&mut self, seq: MessageSeq) {
        if seq > self.after {
            self.overflowed = true;
        } else {
            self.reached = false;
        }
    }

    /// That message comes behind what waits aside, and so does all that was accepted later.
    fn new_from(&mut self, seq: MessageSeq) {
        self.after = self.after.min(MessageSeq(seq.0.saturating_sub(1)));
    }

    /// The owed ones are read again from the first on.
    pub(super) fn start_over(&mut self) {
        self.reached = false;
    }
}

impl Courier {
    /// From here on what is offered to the client of this connection is put aside.
    pub(super) fn catch_up(&self, connection: &Connection) {
        let mut desk = self.desk.lock();
        if desk.is_linked_to(connection.id()) {
            let room = self.policy.unanswered_max / 4;
            let after = MessageSeq(u64::MAX);
            let live = Live { after, reached: false, overflowed: false, room };
            desk.live = Some(Box::new(live));
        }
    }

    /// What is accepted after that place is new to it.
    pub(super) fn live_after(&self, connection: &Connection, after: MessageSeq) {
        let mut desk = self.desk.lock();
        if desk.is_linked_to(connection.id())
            && let Some(Work { live: Some(live), .. }) = desk.work.as_deref_mut()
        {
            live.after = after;
        }
    }

    /// Puts a message aside that is new to a client that catches up. False when it has to go another
    /// way.
    pub(super) fn put_aside(
        &self,
        desk: &mut Desk,
        message: &Arc<Message>,
        errands: &mut Errands,
    ) -> bool {
        let Some((link, work)) = desk.both() else { return false };
        let Work { live: Some(live), flights, .. } = work else { return false };
        if message.is_expired(self.policy.moment()) {
            // The store's next sweep says so.
            return true;
        }
        // Its turn is so late that reading has begun: it is read with the others.
        let is_late = link.begun && message.seq <= live.after;
        if is_late || self.hub.order == DeliveryOrder::Strict {
            desk.fall_behind(message.seq);
            return true;
        }
        if live.room == 0 || live.overflowed {
            live.new_from(message.seq);
            desk.fall_behind(message.seq);
            return true;
        }
        // What cannot be said is tried again as everything that waits in the store.
        let frame = message.frame(link.protocol, link.mode, 0, &self.hub);
        match frame.ok().map(|frame| link.connection.put_aside(&frame)) {
            Some(PutAside::Waits) => {
                live.room -= 1;
                let (message, pair) = (message.clone(), Pair::new(Spent::default()));
                let seq = message.seq;
                flights.insert(seq, Flight { message, pair, first: 0, last: 0 });
                desk.tell(seq, Event::Queued, &self.policy);
                true
            }
            Some(PutAside::NoRoom) | None => {
                live.new_from(message.seq);
                desk.fall_behind(message.seq);
                true
            }
            // The client has caught up; whoever let them in will say so a moment later.
            Some(PutAside::Closed) => {
                self.has_caught_up(desk, errands);
                false
            }
        }
    }

    /// Turns are late: what waits aside may have others of its publisher behind it that must not be
    /// read before it.
    fn read_no_further_than_aside(&self, connection: &Connection) {
        let mut desk = self.desk.lock();
        if !desk.is_linked_to(connection.id()) {
            return;
        }
        let Some(Work { live: Some(live), flights, .. }) = desk.work.as_deref_mut() else { return };
        let aside = |(_, flight): &(&MessageSeq, &Flight)| flight.pair.state() == State::Queued;
        if let Some((first, _)) = flights.iter().find(aside) {
            live.new_from(*first);
        }
    }

    /// A message has ended while its only copy waits aside: nobody gets that any more.
    pub(super) fn take_from_aside(&self, desk: &Desk, gone: &Flight) {
        if let (Some(_), Some(link)) = (&desk.live, &desk.link)
            && gone.pair.state() != State::Sent
        {
            link.connection.take_from_aside(mark_of(gone.message.seq));
        }
    }

    /// Not everything that was owed could be sent: what is new and waits aside goes back to the
    /// store, so that it comes behind that.
    fn withdraw(&self, connection: &Connection) {
        let mut desk = self.desk.lock();
        if !desk.is_linked_to(connection.id()) || desk.is_caught_up() {
            return;
        }
        let Some(Work { live: Some(live), .. }) = desk.work.as_deref_mut() else { return };
        live.room = 0;
        for mark in connection.take_marked_from_aside() {
            let seq = MessageSeq(mark.get());
            desk.take_out(seq);
            desk.fall_behind(seq);
        }
    }

    /// What waited aside is let in. Unless something new had no room there, everything new has been
    /// offered, and nothing is to be read.
    fn has_caught_up(&self, desk: &mut Desk, errands: &mut Errands) {
        let Some(work) = &mut desk.work else { return };
        let Some(live) = work.live.take() else { return };
        if live.reached && !live.overflowed {
            work.behind = false;
        }
        errands.load |= desk.wants_load(&self.policy);
        self.plan(desk, errands);
    }
}

impl Subscription {
    /// Groups are settled: what is owed is appended now, in order of acceptance. Completes when
    /// nothing more is owed, the outbox is full, or after ten seconds; live messages may follow.
    pub async fn replay(&self) {
        self.replay_within(REPLAY_MAX).await;
    }

    /// What a new client is owed, accepted since it came. It is short, and nobody listens to the
    /// client meanwhile.
    pub async fn replay_first(&self) {
        self.replay_within(REPLAY_FIRST_MAX).await;
    }

    async fn replay_within(&self, at_most: Duration) {
        if let Some(found) = &self.found {
            let passed = self.acks.turns.passed(found.under_way);
            if tokio::time::timeout(TURNS_MAX, passed).await.is_err() {
                self.courier.read_no_further_than_aside(&self.connection);
            }
        }
        self.begin();
        let caught_up = async {
            let mut look = REPLAY_LOOK_FIRST;
            let is_replaying = || self.courier.desk.lock().is_replaying(self.connection.id());
            if is_replaying() {
                // Reading from memory takes one turn.
                tokio::task::yield_now().await;
            }
            while is_replaying() {
                tokio::time::sleep(look).await;
                look = REPLAY_LOOK.min(look * 2);
            }
        };
        let _ = tokio::time::timeout(at_most, caught_up).await;
        self.courier.withdraw(&self.connection);
    }

    /// Whether there is something to be sent first, or to be put in order, while what is new waits
    /// aside: [`Subscription::replay`] and then [`Subscription::let_in`] see to that.
    pub fn catches_up(&self) -> bool {
        self.found.is_some()
    }

    /// Sends what it is owed from now on, and waits for nothing.
    pub(super) fn begin(&self) {
        let errands = self.courier.begin(&self.connection);
        self.acks.run_errands(&self.courier, errands);
    }

    /// What is new, and waited while the client was sent what it was owed, follows that as fast as
    /// the client takes it; then everything goes its usual way. Returns how many ordinary messages
    /// were lost for want of room.
    pub async fn let_in(&self) -> Result<u64, SendError> {
        let lost = self.connection.let_in().await?;
        let mut errands = Errands::default();
        {
            let mut desk = self.courier.desk.lock();
            if desk.is_linked_to(self.connection.id()) {
                self.courier.has_caught_up(&mut desk, &mut errands);
            }
        }
        self.acks.run_errands(&self.courier, errands);
        Ok(lost)
    }
}
