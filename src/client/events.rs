//! A bounded queue of events, and its one reader.

use std::collections::VecDeque;

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::handlers::{Event, Registration};

/// Why there is no event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// The queue was full and so many of the oldest went. The next ones are still there.
    #[error("{0} events were missed")]
    Missed(u64),
    /// The connection has ended and all events are read.
    #[error("the connection has ended")]
    Closed,
}

/// The events of one name, read one by one.
///
/// Bounded by [`super::Settings::events_max`]: when it is full, the **oldest** event goes and is
/// counted, and the reader learns at that very place how many are missing. So a reader that
/// pauses never holds up the connection, and nothing is lost in silence. The receiver does not
/// keep the client alive.
pub struct EventReceiver {
    queue: Arc<EventQueue>,
    _registration: Registration,
}

impl EventReceiver {
    pub(super) fn new(queue: Arc<EventQueue>, registration: Registration) -> Self {
        Self { queue, _registration: registration }
    }

    /// The next event. Waits as long as there is none and the connection lives; put a deadline
    /// around it where one is known. Loses none when dropped while it waits.
    pub async fn recv(&mut self) -> Result<Event, EventError> {
        loop {
            match self.queue.take() {
                Some(taken) => return taken,
                None => self.queue.filled.notified().await,
            }
        }
    }

    /// The next event if there is one already.
    pub fn try_recv(&mut self) -> Option<Result<Event, EventError>> {
        self.queue.take()
    }
}

/// The queue between the connection and the receiver.
pub(super) struct EventQueue {
    max: usize,
    state: Mutex<State>,
    filled: Notify,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Event>,
    missed: u64,
    closed: bool,
}

impl EventQueue {
    pub(super) fn new(max: usize) -> Self {
        Self { max: max.max(1), state: Mutex::default(), filled: Notify::new() }
    }

    pub(super) fn push(&self, event: Event) {
        let mut state = self.state.lock();
        if state.waiting.len() == self.max {
            state.waiting.pop_front();
            state.missed += 1;
        }
        state.waiting.push_back(event);
        drop(state);
        self.filled.notify_one();
    }

    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.filled.notify_one();
    }

    /// None: wait.
    fn take(&self) -> Option<Result<Event, EventError>> {
        let mut state = self.state.lock();
        if state.missed > 0 {
            return Some(Err(EventError::Missed(std::mem::take(&mut state.missed))));
        }
        match state.waiting.pop_front() {
            Some(event) => Some(Ok(event)),
            None if state.closed => Some(Err(EventError::Closed)),
            None => None,
        }
    }
}
