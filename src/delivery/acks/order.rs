//! Turns of one publisher: what it sent first in a lane is appended to outboxes first.
//!
//! Acceptance waits for the disk, several messages at a time; their tasks may come back in any
//! order. A ticket is taken when a message is handed in, and its turn comes when all earlier tickets
//! of the same publisher are done.

use std::collections::{BTreeSet, HashMap};
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

/// Places in all queues together, of which an ordinary message takes none beyond.
pub(super) const OPEN_MAX: usize = 65_536;

/// Lanes pass each other; on a strict hub all messages of a publisher have the same.
type Key = (HubName, Publisher, Lane);

/// The queues of all publishers that have something under way.
#[derive(Default)]
pub(super) struct Turns {
    under_way: Mutex<UnderWay>,
    open: AtomicUsize,
    /// All tickets with a lower number are done.
    done_before: watch::Sender<u64>,
}

#[derive(Default)]
struct UnderWay {
    /// The newest ticket of each publisher.
    newest: HashMap<Key, watch::Receiver<bool>>,
    /// The numbers of all that are out.
    numbers: BTreeSet<u64>,
    next: u64,
}

/// A place in the queue of one publisher. To be dropped after its turn has come; that lets the next
/// one through.
pub(super) struct Ticket {
    before: Option<watch::Receiver<bool>>,
    done: watch::Sender<bool>,
    number: u64,
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
        let mut under_way = self.under_way.lock();
        let number = under_way.next;
        under_way.next += 1;
        under_way.numbers.insert(number);
        let before = under_way.newest.insert(key.clone(), receiver);
        Ticket { before, done, number, key, turns: self.clone() }
    }

    /// This moment, for [`Turns::passed`].
    pub(super) fn mark(&self) -> u64 {
        self.under_way.lock().next
    }

    /// Completes when every ticket is done that was out at a moment, whosever it is.
    pub(super) async fn passed(&self, mark: u64) {
        // The sender lives as long as this.
        let _ = self.done_before.subscribe().wait_for(|before| *before >= mark).await;
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
        let mut under_way = self.turns.under_way.lock();
        let newest = &mut under_way.newest;
        let own = newest.get(&self.key).is_some_and(|own| own.same_channel(&self.done.subscribe()));
        if own {
            newest.remove(&self.key);
        }
        under_way.numbers.remove(&self.number);
        let before = under_way.numbers.first().copied().unwrap_or(under_way.next);
        // Under the lock, so that it only grows.
        self.turns.done_before.send_if_modified(|own| std::mem::replace(own, before) != before);
        drop(under_way);
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
        assert!(turns.is_idle() && turns.under_way.lock().newest.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_moment_has_passed_when_all_that_was_under_way_then_is_done() {
        let (turns, hub, own) = turns();
        let passes = async |mark| {
            let passed = turns.passed(mark);
            tokio::time::timeout(std::time::Duration::from_secs(1), passed).await.is_ok()
        };
        assert!(passes(turns.mark()).await, "nothing is");
        let first = turns.ticket(&hub, &own, Lane::Normal);
        let urgent = turns.ticket(&hub, &own, Lane::Urgent);
        let mark = turns.mark();
        let later = turns.ticket(&hub, &own, Lane::Raised);
        drop(urgent);
        assert!(!passes(mark).await);
        drop(first);
        assert!(passes(mark).await, "what came later does not count");
        assert!(!passes(turns.mark()).await);
        drop(later);
        assert!(passes(turns.mark()).await);
    }
}
