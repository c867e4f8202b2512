//! What comes back: frames written, acks, nacks, silence.

use std::num::NonZeroU64;
use std::time::Duration;

use tokio::time::Instant;

use super::courier::{Courier, Desk, Errands, Flight, Repeat, Work};
use super::hub::AckMode;
use crate::delivery::breaker::Force;
use crate::delivery::pair::{Death, Event, Next, Settled, State, Why};
use crate::model::ConnectionId;
use crate::store::{MessageSeq, Outcome, Reason, SubscriberId};

/// What a client says about one message.
#[derive(Clone, Copy, Debug)]
pub(super) enum Word {
    /// It has handled it.
    Acked,
    /// It has it, and cannot say more.
    Unconfirmed,
    /// It could not handle it, and wants it again after a while of its own or ours.
    Nacked(Option<Duration>),
    /// It is at it.
    StillWorking,
    /// It does not want it any more.
    GivenUp,
}

impl Courier {
    /// Frames were fully written; `room`: there is room for more.
    pub(super) fn written(&self, by: &ConnectionId, marks: &[NonZeroU64], room: bool) -> Errands {
        let mut errands = Errands::default();
        let mut desk = self.desk.lock();
        if !desk.is_linked_to(by) {
            return errands;
        }
        for mark in marks {
            self.one_written(&mut desk, MessageSeq(mark.get()), &mut errands);
        }
        if room && desk.blocked {
            desk.blocked = false;
        }
        errands.load |= desk.wants_load(&self.policy);
        self.plan(&mut desk, &mut errands);
        errands
    }

    fn one_written(&self, desk: &mut Desk, seq: MessageSeq, errands: &mut Errands) {
        let mode = desk.link.as_ref().map(|link| link.mode);
        let held = desk.breaker.holds() && desk.probe != Some(seq);
        if let Some(work) = &mut desk.work {
            work.count_written(seq);
        }
        let Some(mut next) = desk.tell(seq, Event::Written, &self.policy) else { return };
        if next == Next::Ignore {
            return;
        }
        self.policy.metrics.attempts.inc();
        if mode == Some(AckMode::None) {
            next = desk.tell(seq, Event::Unconfirmed, &self.policy).unwrap_or(Next::Ignore);
            self.answered(desk, seq, errands);
        } else if held {
            // No answer time runs behind an open breaker; it is read again with all the others.
            if let Some(flight) = desk.flights.get(&seq) {
                let why = "The circuit breaker is open.";
                errands.note(seq, &flight.pair, self.policy.moment(), why);
            }
            desk.tell(seq, Event::Held, &self.policy);
            return;
        }
        self.follow(desk, seq, next, errands);
    }

    /// The client says something about messages. False when none of them is on its way here, or the
    /// connection is not the subscriber's any more.
    pub(super) fn hear(
        &self,
        by: &ConnectionId,
        seqs: &[MessageSeq],
        word: Word,
        text: Option<&str>,
        errands: &mut Errands,
    ) -> bool {
        let mut desk = self.desk.lock();
        if !desk.is_linked_to(by) {
            return false;
        }
        let mut heard = false;
        for seq in seqs {
            heard |= self.hear_one(&mut desk, *seq, word, text, errands);
        }
        self.plan(&mut desk, errands);
        heard
    }

    fn hear_one(
        &self,
        desk: &mut Desk,
        seq: MessageSeq,
        word: Word,
        text: Option<&str>,
        errands: &mut Errands,
    ) -> bool {
        if !desk.flights.contains_key(&seq) {
            return false;
        }
        self.answer_is_proof(desk, seq);
        let Some(flight) = desk.flights.get(&seq) else { return false };
        let is_expired = flight.message.is_expired(self.policy.moment());
        let event = match word {
            // A no comes too late for what is over.
            Word::Nacked(_) | Word::GivenUp if is_expired => Event::Expired,
            Word::Acked => Event::Acked,
            Word::Unconfirmed => Event::Unconfirmed,
            Word::Nacked(delay) => Event::Nacked {
                wait: delay.map_or_else(
                    || self.policy.wait(flight.pair.repeats()),
                    |delay| delay.min(self.policy.nack_delay_max),
                ),
            },
            Word::StillWorking => Event::StillWorking,
            Word::GivenUp => Event::GivenUp,
        };
        let before = flight.pair.state();
        let Some(next) = desk.tell(seq, event, &self.policy).filter(|next| *next != Next::Ignore)
        else {
            return true;
        };
        // Of what has expired, a copy without an answer is news; of one that timed out all is said.
        let is_news = !is_expired || before == State::Sent;
        if is_news && matches!(word, Word::Nacked(_) | Word::GivenUp) {
            let text = text.filter(|text| !text.is_empty());
            let text = text.unwrap_or("The client refused the message.");
            if let Some(flight) = desk.flights.get(&seq) {
                errands.note(seq, &flight.pair, self.policy.moment(), text);
            }
            self.policy.metrics.nacks.inc();
        }
        // Whatever a client says, it is alive: a nack is no failure of the way to it.
        if matches!(before, State::Sent | State::Waiting(Why::TimedOut)) || desk.probe == Some(seq)
        {
            self.answered(desk, seq, errands);
        }
        self.follow(desk, seq, next, errands);
        true
    }

    /// A transport that pulls says that a frame was written when it comes for more, and the client's
    /// answer may be faster. Whoever answers has it. Of a repeat nobody knows which copy is meant.
    fn answer_is_proof(&self, desk: &mut Desk, seq: MessageSeq) {
        let pair = desk.flights.get(&seq).map(|flight| &flight.pair);
        if pair.is_some_and(|pair| pair.state() == State::Queued && pair.attempts() == 0) {
            self.policy.metrics.attempts.inc();
            if let Some(work) = &mut desk.work {
                work.count_written(seq);
            }
            desk.tell(seq, Event::Written, &self.policy);
        }
    }

    /// The client has said something about a message that was sent.
    fn answered(&self, desk: &mut Desk, seq: MessageSeq, errands: &mut Errands) {
        let held = desk.breaker.holds();
        if !held || desk.probe == Some(seq) {
            desk.breaker.succeeded(Instant::now(), &self.policy.breaker);
        }
        if desk.probe == Some(seq) {
            desk.probe = None;
            desk.start_over();
        }
        errands.load |= held && desk.wants_load(&self.policy);
    }

    /// Everything the client was sent up to and including this message, in the order it was sent.
    /// A message that was sent again counts by its first sending: nobody knows which copy is meant,
    /// and what stands between the two may not have been handled.
    pub(super) fn up_to(&self, seqs: &[MessageSeq]) -> Vec<MessageSeq> {
        let desk = self.desk.lock();
        let places = seqs.iter().filter_map(|seq| desk.flights.get(seq));
        let place = |flight: &Flight| match (flight.first, flight.pair.state()) {
            // The answer is faster than the news of its frame: everything we know of is older.
            (0, State::Queued) => u64::MAX,
            (first, _) => first,
        };
        let Some(last) = places.map(place).max() else { return Vec::new() };
        let covered = desk.flights.iter().filter(|(_, flight)| {
            let sent = matches!(flight.pair.state(), State::Sent | State::Waiting(Why::TimedOut));
            sent && (flight.last <= last || seqs.contains(&flight.message.seq))
        });
        covered.map(|(seq, _)| *seq).collect()
    }

    /// Where a pair is that is on its way; None when it is not.
    pub(super) fn state_of(&self, seqs: &[MessageSeq]) -> Option<State> {
        let desk = self.desk.lock();
        seqs.iter().rev().find_map(|seq| desk.flights.get(seq)).map(|flight| flight.pair.state())
    }

    /// Somebody looks because something is due, or was once: then it says when something will be.
    pub(super) fn look(&self, at: Instant) -> Errands {
        let mut errands = Errands::default();
        let mut desk = self.desk.lock();
        if desk.look_at.is_none_or(|own| own > at) {
            errands.look_at = desk.look_at;
            return errands;
        }
        desk.look_at = None;
        if desk.link.as_ref().is_none_or(|link| link.parked) {
            return errands;
        }
        let now = Self::now(&desk, Instant::now());
        let paused = Instant::now().duration_since(now);
        let mut due = Vec::new();
        let mut next_due: Option<Instant> = None;
        for (seq, flight) in &desk.flights {
            match flight.pair.deadline() {
                Some(deadline) if deadline <= now => due.push(*seq),
                Some(deadline) => {
                    next_due = Some(next_due.map_or(deadline, |own| own.min(deadline)))
                }
                None => {}
            }
        }
        errands.look_at = next_due.map(|at| at + paused);
        for seq in due {
            self.tick(&mut desk, seq, &mut errands);
        }
        self.read_again(&mut desk, Instant::now(), &mut errands);
        // It was the node that had no room, not this outbox, which has nothing left to say so.
        if desk.blocked && desk.link.as_ref().is_some_and(|link| link.connection.waiting().0 == 0) {
            desk.blocked = false;
        }
        // What an open breaker or a full outbox kept, when nobody else comes for it.
        errands.load |= desk.wants_load(&self.policy);
        self.plan(&mut desk, &mut errands);
        errands
    }

    fn tick(&self, desk: &mut Desk, seq: MessageSeq, errands: &mut Errands) {
        let Some(flight) = desk.flights.get(&seq) else { return };
        let was_sent = flight.pair.state() == State::Sent;
        let wait = self.policy.wait(flight.pair.repeats());
        // What has expired does not die of the answer that did not come.
        let is_expired = flight.message.is_expired(self.policy.moment());
        let event = if is_expired { Event::Expired } else { Event::Tick { wait } };
        let Some(next) = desk.tell(seq, event, &self.policy) else { return };
        if was_sent && next != Next::Ignore {
            self.policy.metrics.timeouts.inc();
            if let Some(flight) = desk.flights.get(&seq) {
                errands.note(seq, &flight.pair, self.policy.moment(), "No answer in time.");
            }
            if desk.breaker.failed(Instant::now(), &self.policy.breaker) {
                self.policy.metrics.breakers_opened.inc();
                self.follow(desk, seq, next, errands);
                self.breaker_opened(desk, errands);
                return;
            }
        }
        self.follow(desk, seq, next, errands);
    }

    /// From now on no timer runs and nothing is sent: everything written or waiting is owed.
    pub(super) fn breaker_opened(&self, desk: &mut Desk, errands: &mut Errands) {
        desk.probe = None;
        self.hold_flights(desk, "The circuit breaker opened.", false, errands);
        desk.start_over();
        // A probe is due when its time is over; the next look asks for it.
        let until = Instant::now() + self.policy.breaker.open_time;
        errands.look_at = Some(until);
        desk.look_at = None;
    }

    /// An operator takes the breaker in hand or lets go of it. One that is open by itself and was in
    /// nobody's hand goes on as it is.
    pub(super) fn force(&self, force: Force) -> Errands {
        let mut errands = Errands::default();
        let mut desk = self.desk.lock();
        desk.breaker.force(force);
        if force == Force::Open {
            self.breaker_opened(&mut desk, &mut errands);
            errands.look_at = None;
        } else if !desk.breaker.holds() {
            desk.probe = None;
            desk.start_over();
            errands.load = desk.wants_load(&self.policy);
        }
        self.plan(&mut desk, &mut errands);
        errands
    }

    /// The client has its copies still, or gets them again from the transport: its time starts anew.
    pub(super) fn resumed(&self, by: &ConnectionId) -> Errands {
        let mut errands = Errands::default();
        let mut desk = self.desk.lock();
        if !desk.is_linked_to(by) {
            return errands;
        }
        if let Some(link) = &mut desk.link {
            link.parked = false;
        }
        if !desk.has_work() {
            return errands;
        }
        let flying: Vec<MessageSeq> = desk.flights.keys().copied().collect();
        desk.look_at = None;
        for seq in flying {
            desk.tell(seq, Event::Resumed, &self.policy);
            // Every timer stood still, those of repeats, too.
            let timed = desk.flights.get(&seq).is_some_and(|own| own.pair.deadline().is_some());
            if timed {
                self.follow(&mut desk, seq, Next::Watch, &mut errands);
            }
        }
        self.look_at_unread(&desk, &mut errands);
        errands.load = desk.wants_load(&self.policy);
        self.plan(&mut desk, &mut errands);
        errands
    }

    /// Whatever is out counts for nothing. `copies`: those in the outbox are gone, too. Only what
    /// was tried in vain is remembered.
    pub(super) fn hold_flights(
        &self,
        desk: &mut Desk,
        why: &str,
        copies: bool,
        errands: &mut Errands,
    ) {
        let (now, moment) = (Instant::now(), self.policy.moment());
        for (seq, flight) in &mut desk.flights {
            let state = flight.pair.state();
            if state == State::Queued && !copies {
                continue;
            }
            if state == State::Sent {
                errands.note(*seq, &flight.pair, moment, why);
            }
            flight.pair.on(Event::Held, now, &self.policy.limits);
        }
        desk.flights.retain(|_, flight| {
            flight.pair.state() == State::Queued
                || flight.pair.attempts() > 0
                || flight.pair.failures() > 0
        });
        desk.out = desk.flights.values().filter(|flight| flight.pair.is_out()).count();
    }
}

impl Work {
    /// A copy is written: that is its place in what the client sees. One that the transport replays
    /// keeps its place.
    fn count_written(&mut self, seq: MessageSeq) {
        let Some(flight) = self.flights.get_mut(&seq) else { return };
        if flight.pair.state() == State::Queued {
            self.written += 1;
            flight.last = self.written;
            if flight.first == 0 {
                flight.first = self.written;
            }
        }
    }
}

impl Flight {
    pub(super) fn as_repeat(&self, subscriber: SubscriberId) -> Repeat {
        let message = &self.message;
        Repeat { lane: message.lane, tenant: message.tenant.clone(), subscriber, seq: message.seq }
    }
}

impl From<Settled> for Outcome {
    fn from(how: Settled) -> Self {
        match how {
            Settled::Acknowledged => Self::Acknowledged,
            Settled::Unconfirmed => Self::Unconfirmed,
        }
    }
}

impl From<Death> for Reason {
    fn from(why: Death) -> Self {
        match why {
            Death::Nacked => Self::Nacked,
            Death::TimedOut => Self::TimedOut,
            Death::Failed => Self::NotWritten,
            Death::GivenUp => Self::GivenUp,
        }
    }
}
