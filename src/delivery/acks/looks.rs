//! When somebody must look at a courier next: one moment for each that is waited for.

use std::collections::{BTreeSet, HashMap};

use tokio::time::Instant;

use crate::store::SubscriberId;

/// The looks that are due some time. At most one per courier, so bounded by their number.
#[derive(Default)]
pub(super) struct Looks {
    by_time: BTreeSet<(Instant, SubscriberId)>,
    by_courier: HashMap<SubscriberId, Instant>,
}

impl Looks {
    /// Sees to it that a courier is looked at by then. True when nobody is to be looked at earlier.
    /// Who is looked at too early says when to look again.
    pub(super) fn add(&mut self, at: Instant, subscriber: SubscriberId) -> bool {
        if let Some(own) = self.by_courier.get(&subscriber).copied() {
            if own <= at {
                return false;
            }
            self.by_time.remove(&(own, subscriber));
        }
        self.by_courier.insert(subscriber, at);
        self.by_time.insert((at, subscriber));
        self.by_time.first() == Some(&(at, subscriber))
    }

    pub(super) fn first(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    pub(super) fn take_due(&mut self, now: Instant) -> Option<SubscriberId> {
        let (_, subscriber) = *self.by_time.first().filter(|(at, _)| *at <= now)?;
        self.forget(subscriber);
        Some(subscriber)
    }

    /// Nobody looks at it any more.
    pub(super) fn forget(&mut self, subscriber: SubscriberId) {
        if let Some(at) = self.by_courier.remove(&subscriber) {
            self.by_time.remove(&(at, subscriber));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_courier.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_courier_has_one_look_and_the_earliest_counts() {
        let now = Instant::now();
        let later = |seconds| now + Duration::from_secs(seconds);
        let (a, b) = (SubscriberId(1), SubscriberId(2));
        let mut looks = Looks::default();
        assert!(looks.add(later(9), a));
        assert!(!looks.add(later(9), b));
        assert!(looks.add(later(5), a));
        assert!(!looks.add(later(30), a));
        assert_eq!((looks.len(), looks.first()), (2, Some(later(5))));
        assert_eq!(looks.take_due(later(4)), None);
        assert_eq!(looks.take_due(later(5)), Some(a));
        assert_eq!(looks.take_due(later(5)), None);
        looks.forget(b);
        assert_eq!((looks.len(), looks.first()), (0, None));
    }
}
