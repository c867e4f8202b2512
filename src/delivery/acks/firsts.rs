//! First deliveries that are durable and wait for their turn: the urgent first, tenants in turn.
//!
//! One commit of the store may make thousands of messages durable at once, each for thousands of
//! subscribers; appending them to all outboxes takes a while, and an urgent one must not wait for
//! that. This is the only place where a first delivery waits for others, so it is where priority
//! counts. What waits is bounded by what may be pending: each of them is owed to somebody.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::courier::Courier;
use super::engine::{Acks, gauge};
use super::message::Message;
use crate::delivery::lanes::Lanes;
use crate::model::Tenant;
use crate::store::SubscriberId;

/// Appends of one turn; then whoever else is ready gets one. Bounds how long the urgent wait.
const APPENDS_PER_TURN: usize = 2_048;

/// The queue, and those who work on it.
pub(super) struct Firsts {
    queue: Mutex<Queue>,
    workers_max: usize,
}

struct Queue {
    lanes: Lanes<Tenant, First>,
    workers: usize,
}

/// A message that is durable and not yet in all outboxes.
struct First {
    message: Arc<Message>,
    subscribers: Vec<SubscriberId>,
    /// Those before this one have it.
    next: usize,
    /// Tells whoever waits.
    done: oneshot::Sender<()>,
}

/// One who works on the queue; counted until it finds nothing, or ends by a bug.
struct Worker<'a> {
    firsts: &'a Firsts,
    is_done: bool,
}

impl Firsts {
    pub(super) fn new() -> Self {
        let queue = Mutex::new(Queue { lanes: Lanes::new(), workers: 0 });
        let workers_max = std::thread::available_parallelism().map_or(1, usize::from);
        Self { queue, workers_max }
    }

    /// Adds one; true when somebody has to come and work.
    fn push(&self, first: First) -> bool {
        let mut queue = self.queue.lock();
        queue.push(first);
        let comes = queue.workers < self.workers_max;
        queue.workers += usize::from(comes);
        comes
    }
}

impl Queue {
    fn push(&mut self, first: First) {
        let (lane, tenant) = (first.message.lane, first.message.tenant.clone());
        self.lanes.push(lane, &tenant, first);
    }
}

impl Worker<'_> {
    /// The next one. With none it is counted no longer: under the same lock, so that whoever comes
    /// after that finds nobody at work.
    fn next(&mut self) -> Option<First> {
        let mut queue = self.firsts.queue.lock();
        let next = queue.lanes.pop();
        if next.is_none() {
            self.is_done = true;
            queue.workers -= 1;
        }
        next
    }

    /// Behind the others of its lane and tenant: an audience of a million delays nobody else.
    fn put_back(&self, first: First) {
        self.firsts.queue.lock().push(first);
    }
}

impl Drop for Worker<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            self.firsts.queue.lock().workers -= 1;
        }
    }
}

impl Acks {
    /// Appends a message to the outboxes of those who owe an answer to it and are here, when its
    /// turn among all that are durable has come.
    pub(super) async fn deliver_first(
        self: &Arc<Self>,
        message: Arc<Message>,
        subscribers: Vec<SubscriberId>,
    ) {
        // Nobody could be before it.
        if self.turns.is_alone() && subscribers.len() <= APPENDS_PER_TURN {
            return self.offer_to(&message, &subscribers);
        }
        let (done, told) = oneshot::channel();
        if self.firsts.push(First { message, subscribers, next: 0, done }) {
            let acks = self.clone();
            self.tasks.spawn(async move { acks.work_on_firsts().await });
        }
        // An error: it ended by a bug, and those who have it not are offered it when they return.
        let _ = told.await;
    }

    /// Works until nothing waits. Looks for the most urgent again after each turn.
    async fn work_on_firsts(self: &Arc<Self>) {
        let mut worker = Worker { firsts: &self.firsts, is_done: false };
        loop {
            // What has become durable in the same commit joins the queue first.
            tokio::task::yield_now().await;
            let waiting = self.firsts.queue.lock().lanes.len();
            self.policy.metrics.firsts_waiting.set(gauge(waiting));
            let mut room = APPENDS_PER_TURN;
            while room > 0 {
                let Some(mut first) = worker.next() else { return };
                let rest = &first.subscribers[first.next..];
                let some = &rest[..rest.len().min(room)];
                self.offer_to(&first.message, some);
                room = room.saturating_sub(some.len().max(1));
                if some.len() < rest.len() {
                    first.next += some.len();
                    worker.put_back(first);
                } else {
                    // Nobody listens when the node stops.
                    let _ = first.done.send(());
                }
            }
        }
    }

    /// Appends a message to the outboxes of some who are here.
    fn offer_to(self: &Arc<Self>, message: &Arc<Message>, subscribers: &[SubscriberId]) {
        let present: Vec<Arc<Courier>> = {
            let couriers = self.couriers.read();
            subscribers.iter().filter_map(|own| couriers.get(own).cloned()).collect()
        };
        for courier in present {
            let errands = courier.offer(message);
            self.run_errands(&courier, errands);
        }
    }
}
