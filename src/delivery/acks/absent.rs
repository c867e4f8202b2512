//! Couriers whose subscribers are away: what they remember, and how long.
//!
//! A courier stays while its subscriber may come back and there is something to remember: attempts,
//! failures of its breaker, an operator's hand on it. Who is gone for good the store knows, and is
//! asked at every sweep.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;

use super::courier::Courier;
use super::engine::{Acks, gauge};
use crate::store::{Moved, SubscriberId};

/// Couriers of which the store is asked at one sweep; those that come later wait for the next.
const ASKED_MAX: usize = 4_096;

/// Whose courier has stayed without a connection. Each has a courier, so there are not more.
#[derive(Default)]
pub(super) struct Absent(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    all: BTreeSet<SubscriberId>,
    /// Those up to here were asked for last.
    asked: Option<SubscriberId>,
}

impl Absent {
    fn add(&self, subscriber: SubscriberId) {
        self.0.lock().all.insert(subscriber);
    }

    fn remove(&self, subscriber: SubscriberId) {
        self.0.lock().all.remove(&subscriber);
    }

    /// The next ones in turn.
    fn next(&self) -> Vec<SubscriberId> {
        let mut waiting = self.0.lock();
        let after = waiting.asked.map_or(0, |asked| asked.0 + 1);
        let range = SubscriberId(after)..;
        let next: Vec<_> = waiting.all.range(range).take(ASKED_MAX).copied().collect();
        waiting.asked = next.last().copied().filter(|_| next.len() == ASKED_MAX);
        next
    }
}

impl Acks {
    /// A courier has lost its connection. It goes, or is looked at again at the next sweeps.
    pub(super) fn lost(&self, courier: &Arc<Courier>) {
        if !self.forget_if_idle(courier) {
            self.absent.add(courier.subscriber);
        }
    }

    /// True when it is forgotten.
    pub(super) fn forget_if_idle(&self, courier: &Arc<Courier>) -> bool {
        self.forget_if(courier, Courier::is_idle)
    }

    fn forget_if(&self, courier: &Arc<Courier>, may_go: impl Fn(&Courier) -> bool) -> bool {
        if !may_go(courier) {
            return false;
        }
        let mut couriers = self.couriers.write();
        // Under the map's lock, so that nobody attaches to a courier that is being forgotten.
        // Another one may have its place by now.
        let has_place =
            couriers.get(&courier.subscriber).is_some_and(|own| Arc::ptr_eq(own, courier));
        let goes = has_place && may_go(courier);
        if goes {
            couriers.remove(&courier.subscriber);
            self.absent.remove(courier.subscriber);
            let mut looks = self.looks.lock();
            looks.forget(courier.subscriber);
            self.policy.metrics.looks.set(gauge(looks.len()));
            self.policy.metrics.couriers.set(gauge(couriers.len()));
        }
        goes
    }

    /// Forgets couriers of subscribers that will not come back, and ends the holds of operators on
    /// them.
    pub(super) async fn forget_the_gone(self: &Arc<Self>) {
        let mut away = Vec::new();
        for subscriber in self.absent.next() {
            self.absent.remove(subscriber);
            // Those that are here or forgotten have no place among the absent.
            let Some(courier) = self.courier(subscriber).filter(|own| !own.is_linked()) else {
                continue;
            };
            self.lost(&courier);
            away.push(subscriber);
        }
        if away.is_empty() {
            return;
        }
        // Without an answer the next sweep asks again.
        let Ok(gone) = self.store.gone(away).await else { return };
        for subscriber in gone {
            let Some(courier) = self.courier(subscriber) else { continue };
            let held = courier.is_forced();
            if self.forget_if(&courier, Courier::serves_nobody) && held {
                self.policy.metrics.holds_ended.inc();
                tracing::info!(%subscriber, "a breaker is let go of: its subscriber is gone");
            }
        }
    }

    /// A later connection of the same identity took over what lost ones were owed when it came. Such
    /// clients have no session, so this is how they come back: what their breaker had seen goes with
    /// it, or one that dies of every delivery would never open it. Not what an operator holds, which
    /// was meant for that one connection.
    pub(super) fn adopted(self: &Arc<Self>, moved: &[Moved]) {
        for own in moved {
            let (Some(from), Some(to)) = (self.courier(own.from), self.courier(own.to)) else {
                continue;
            };
            let seen = {
                let mut lost = from.desk.lock();
                let inherits = lost.link.is_none() && lost.has_work() && !lost.breaker.is_forced();
                inherits.then(|| std::mem::take(&mut lost.breaker))
            };
            if let Some(breaker) = seen.filter(|breaker| !breaker.is_spotless()) {
                let mut heir = to.desk.lock();
                if heir.breaker.is_spotless() {
                    heir.breaker = breaker;
                }
            }
        }
        self.moved(moved);
    }
}
