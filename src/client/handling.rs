//! Running the handlers of acknowledged events, in order, and saying how it went.

use std::sync::{Arc, Weak};

use bytestring::ByteString;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::handlers::{Event, OnMessage};
use super::memory::{Begun, Running};
use super::message::{Message, Refusal};
use super::session::{Shared, SideWork};
use super::words::Word;
use crate::protocol::{Protocol, encode};

/// A message has come for a handler that acknowledges. Waits for room in the lane, so that a slow
/// handler slows its server; what does not get in is as if it had not come.
pub(super) async fn arrived(
    shared: &Arc<Shared>,
    handler: Arc<OnMessage>,
    event: Event,
    asked: Option<ByteString>,
) {
    let message = Message::new(event, asked.as_deref(), Arc::downgrade(shared));
    let answer = Answer { asked: asked.is_some(), shared: Arc::downgrade(shared) };
    let begun = message.memory_key().map(|key| shared.memory.begin(&key));
    let running = match (begun, message.id()) {
        (Some(Begun::Running), _) => return,
        (Some(Begun::Handled), Some(id)) => {
            let again = answer.say(id.to_owned(), Ok(()));
            // Too much to do means only that it comes once more.
            let _ = shared.side_work.try_send(again.boxed());
            return;
        }
        (Some(Begun::New(running)), _) => Some(running),
        (Some(Begun::Handled) | None, _) => None,
    };
    let work = handle(handler, message, running, answer).boxed();
    let wait = shared.settings.consumer_timeout;
    if let Err(mpsc::error::TrySendError::Full(work)) = shared.lane.try_send(work)
        && timeout(wait, shared.lane.send(work)).await.is_err()
    {
        tracing::debug!("the handlers are too slow; the server will send the message again");
    }
}

async fn handle(
    handler: Arc<OnMessage>,
    message: Message,
    running: Option<Running>,
    answer: Answer,
) {
    let id = message.id().map(str::to_owned);
    let result = handler(message).await;
    if let Some(running) = running {
        match &result {
            // At once: nothing may come between the success and the memory of it.
            Ok(()) => running.succeeded(),
            Err(_) => drop(running),
        }
    }
    if let Some(id) = id {
        answer.say(id, result).await;
    }
}

/// How the server of one message is answered.
struct Answer {
    /// By the completion of its invocation, else by hub methods.
    asked: bool,
    /// Weak: a handler that never ends must not keep the connection.
    shared: Weak<Shared>,
}

impl Answer {
    async fn say(self, id: String, result: Result<(), Refusal>) {
        let Some(shared) = self.shared.upgrade() else { return };
        if !self.asked {
            shared.words.say(match result {
                Ok(()) => Word::Handled(id),
                Err(refusal) => Word::Refused(id, refusal),
            });
            return;
        }
        let completion = match result {
            Ok(()) => completion_null(shared.protocol, &id),
            Err(refusal) => encode::completion_error(shared.protocol, &id, &refusal.error),
        };
        let _ = shared.put(completion).await; // too late to tell anybody
    }
}

fn completion_null(protocol: Protocol, id: &str) -> crate::protocol::Encoded {
    encode::completion_value(protocol, id, &())
        .unwrap_or_else(|_| encode::completion_void(protocol, id))
}

/// The handlers of one connection: so many at a time, one by default, which keeps their order.
pub(super) struct Lane {
    arriving: mpsc::Receiver<SideWork>,
    running: FuturesUnordered<SideWork>,
    max: usize,
}

impl Lane {
    pub(super) fn new(arriving: mpsc::Receiver<SideWork>, max: usize) -> Self {
        Self { arriving, running: FuturesUnordered::new(), max: max.max(1) }
    }

    /// Never ends by itself.
    pub(super) async fn run(&mut self) {
        loop {
            tokio::select! {
                // First, so that what has just ended makes room.
                biased;
                Some(()) = self.running.next(), if !self.running.is_empty() => {}
                Some(work) = self.arriving.recv(), if self.running.len() < self.max => {
                    self.running.push(work);
                }
                else => std::future::pending().await,
            }
        }
    }

    /// The connection is over. What has begun is ended, so that it is not done by halves; what has
    /// not begun comes again. The owner of the client's handle says how long that may take.
    pub(super) async fn finish(self) {
        let Self { arriving, mut running, .. } = self;
        drop(arriving);
        while running.next().await.is_some() {}
    }
}
