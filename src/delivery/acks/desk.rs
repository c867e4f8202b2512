//! A courier's desk is empty nearly always, and takes no memory then.
//!
//! Looking at an empty desk makes nothing; changing something on it does. What is done is taken off.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use tokio::time::Instant;

use super::courier::{Courier, Desk, Flight, Link, Reading, Work};
use super::policy::Policy;
use crate::delivery::breaker::Breaker;
use crate::delivery::pair::{Event, Next};
use crate::model::ConnectionId;
use crate::store::MessageSeq;

/// What is seen on an empty desk.
static NO_WORK: Work = Work::none();

impl Deref for Desk {
    type Target = Work;

    fn deref(&self) -> &Work {
        self.work.as_deref().unwrap_or(&NO_WORK)
    }
}

impl DerefMut for Desk {
    fn deref_mut(&mut self) -> &mut Work {
        self.work.get_or_insert_with(|| Box::new(Work::none()))
    }
}

impl Work {
    const fn none() -> Self {
        Self {
            flights: BTreeMap::new(),
            out: 0,
            again: BTreeSet::new(),
            ending: BTreeMap::new(),
            unread: BTreeMap::new(),
            stopped_at: None,
            behind: false,
            cursor: None,
            reading: Reading { round: 0, told: 0 },
            loading: false,
            blocked: false,
            breaker: Breaker::closed(),
            probe: None,
            written: 0,
            live: None,
            look_at: None,
        }
    }

    /// Whether nothing would be missed: counts of writes matter among flights only.
    fn is_done(&self) -> bool {
        self.flights.is_empty()
            && self.again.is_empty()
            && self.ending.is_empty()
            && self.unread.is_empty()
            && !(self.behind || self.loading || self.blocked)
            && self.probe.is_none()
            && self.live.is_none()
            && self.look_at.is_none()
            && self.breaker.is_spotless()
    }
}

impl Work {
    /// The store has the end of a pair. A page that is being read may be older.
    pub(super) fn store_has(&mut self, seq: MessageSeq) {
        if !self.loading {
            self.ending.remove(&seq);
        } else if let Some(settled) = self.ending.get_mut(&seq) {
            *settled = true;
        }
    }

    /// No page is being read now: the next one will not have what the store has settled.
    pub(super) fn nothing_is_read(&mut self) {
        self.loading = false;
        self.ending.retain(|_, settled| !*settled);
    }
}

impl Desk {
    /// Whether anything was changed since it was empty.
    pub(super) fn has_work(&self) -> bool {
        self.work.is_some()
    }

    /// The way to the client and what is under way, when there are both.
    pub(super) fn both(&mut self) -> Option<(&mut Link, &mut Work)> {
        Some((self.link.as_mut()?, self.work.as_deref_mut()?))
    }

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
        self.out >= policy.unanswered_max
            || self.flights.len() + self.unread.len() >= 2 * policy.unanswered_max
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
        // It is met again, and stops the reading again if it must.
        self.stopped_at = None;
        self.again.clear();
    }

    /// Whether there is something to read and a way for it. With room for few it is not worth it.
    pub(super) fn wants_load(&self, policy: &Policy) -> bool {
        (!self.is_caught_up() || !self.again.is_empty())
            && !self.loading
            && self.stopped_at.is_none()
            && !self.blocked
            && self.out <= policy.unanswered_max / 2
            && self.link.as_ref().is_some_and(|link| link.begun)
    }

    pub(super) fn paused(&self) -> Duration {
        self.link.as_ref().map_or(Duration::ZERO, |link| link.connection.busy_time())
    }

    /// Takes off what is done.
    pub(super) fn tidy(&mut self) {
        if self.work.as_ref().is_some_and(|work| work.is_done()) {
            self.work = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::delivery::acks::Subscription;
    use crate::delivery::acks::courier::Courier;

    #[test]
    fn what_every_idle_connection_has_is_small() {
        // Each in an allocation of its own, with two counts: 80 and 64 bytes of the allocator.
        assert!(size_of::<Courier>() <= 56, "{}", size_of::<Courier>());
        assert!(size_of::<Subscription>() <= 40, "{}", size_of::<Subscription>());
    }
}
