//! Turns of one publisher: what it sent first in a lane is appended to outboxes first.
//!
//! Acceptance waits for the disk, several messages at a time; their tasks may come back in any
//! order. A ticket is taken when a message is handed in, and its turn comes when all earlier tickets
//! of the same publisher are done.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::delivery::lanes::Lane;
use crate::model::{HubName, Tenant};

/// Whose messages keep their order among each other: one service key, on one hub, and within it an
/// ordering key if the publisher gives one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Publisher {
    /// The service key.
    pub tenant: Tenant,
    /// What the publisher keeps in order.
    pub ordering_key: Option<Arc<str>>,
}

/// Lanes pass each other; on a strict hub all messages of a publisher have the same.
/// Places in all queues together, of which an ordinary message takes none beyond.
pub(super) const OPEN_MAX: usize = 65_536;

type Key = (HubName, Publisher, Lane);

/// The queues of all publishers that have something under way.
#[derive(Default)]
pub(super) struct Turns {
    /// The newest ticket of each publisher.
    newest: Mutex<HashMap<Key, watch::Receiver<bool>>>,
    open: AtomicUsize,
}

/// A place in the queue of one publisher. To be dropped after its turn has come; that lets the next
/// one through.
pub(super) struct Ticket {
    before: Option<watch::Receiver<bool>>,
    done: watch::Sender<bool>,
    key: Key,
    turns: Arc<Turns>,
}

impl Turns {
    /// Whether nobody is under way; then nobody has to wait.
    pub(super) fn is_idle(&self) -> bool {
        self.open.load(Ordering::Acquire) == 0
    }

    /// Whether so many are under way that no more may wait. Who has given up still has its place.
    pub(super) fn is_full(&self) -> bool {
        self.open.load(Ordering::Acquire) >= OPEN_MAX
    }

    /// Whether one ticket is out, and no other.
    pub(super) fn is_alone(&self) -> bool {
        self.open.load(Ordering::Acquire) == 1
    }

    /// The next place.
    pub(super) fn ticket(
        self: &Arc<Self>,
        hub: &HubName,
        publisher: &Publisher,
        lane: Lane,
    ) -> Ticket {
        let key = (hub.clone(), publisher.clone(), lane);
        let (done, receiver) = watch::channel(false);
        self.open.fetch_add(1, Ordering::AcqRel);
        let before = self.newest.lock().insert(key.clone(), receiver);
        Ticket { before, done, key, turns: self.clone() }
    }
}

impl Ticket {
    /// Completes when all earlier tickets are done. Bounded by what they wait for: the store's
    /// deadline.
    pub(super) async fn turn(&mut self) {
        if let Some(before) = &mut self.before {
            // A dropped sender is done, too.
            let _ = before.wait_for(|done| *done).await;
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut newest = self.turns.newest.lock();
        let own = newest.get(&self.key).is_some_and(|own| own.same_channel(&self.done.subscribe()));
        if own {
            newest.remove(&self.key);
        }
        drop(newest);
        self.turns.open.fetch_sub(1, Ordering::AcqRel);
        self.done.send_replace(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns() -> (Arc<Turns>, HubName, Publisher) {
        (Arc::default(), "h".into(), Publisher { tenant: "t".into(), ordering_key: None })
    }

    async fn is_first(ticket: &mut Ticket) -> bool {
        tokio::time::timeout(std::time::Duration::from_secs(1), ticket.turn()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn the_second_waits_for_the_first_and_another_publisher_does_not() {
        let (turns, hub, own) = turns();
        let other = Publisher { ordering_key: Some("k".into()), ..own.clone() };
        let mut first = turns.ticket(&hub, &own, Lane::Normal);
        let mut second = turns.ticket(&hub, &own, Lane::Normal);
        let mut foreign = turns.ticket(&hub, &other, Lane::Normal);
        let mut urgent = turns.ticket(&hub, &own, Lane::Urgent);
        assert!(is_first(&mut first).await && is_first(&mut foreign).await);
        assert!(is_first(&mut urgent).await, "another lane");
        assert!(!is_first(&mut second).await);
        drop(first);
        assert!(is_first(&mut second).await);
        drop((second, foreign, urgent));
        assert!(turns.is_idle() && turns.newest.lock().is_empty());
    }
}
