//! A courier's desk is empty nearly always, and takes no memory then.
//!
//! Looking at an empty desk makes nothing; changing something on it does. What is done is taken off.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};

use super::courier::{Desk, Link, Reading, Work};
use crate::delivery::breaker::Breaker;
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
