//! The calls that wait for the server: who asked, and what is owed to them.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::error::{CallError, Closed};
use crate::protocol::{Outcome, RawValue};

/// Where the answer of a call goes.
pub(super) enum Reply {
    /// An invocation: one outcome.
    Result(oneshot::Sender<Result<Outcome, CallError>>),
    /// A stream: items, and beside them how it ended, so that a full stream can end too.
    Stream { items: mpsc::Sender<RawValue>, end: oneshot::Sender<Result<(), CallError>> },
}

impl Reply {
    /// Ends it with an error. That nobody listens any more is no error.
    pub(super) fn fail(self, error: CallError) {
        match self {
            Self::Result(result) => drop(result.send(Err(error))),
            Self::Stream { end, .. } => drop(end.send(Err(error))),
        }
    }

    /// Ends it with what the server says.
    pub(super) fn complete(self, outcome: Outcome) {
        match (self, outcome) {
            (reply, Outcome::Error(text)) => reply.fail(CallError::Server(text)),
            (Self::Result(result), outcome) => drop(result.send(Ok(outcome))),
            // A value at the end of a stream means nothing (section 5.3).
            (Self::Stream { end, .. }, _) => drop(end.send(Ok(()))),
        }
    }
}

struct Call {
    reply: Reply,
    /// Ends the call's uploads when the call is over: the server no longer reads them (5.4).
    _uploads: Option<DropGuard>,
}

/// All calls of one connection that have no completion yet.
pub(super) struct Calls {
    max: usize,
    state: Mutex<State>,
    cancelled: Notify,
}

struct State {
    open: HashMap<u64, Call>,
    /// Streams whose reader is gone and whose CancelInvocation is not sent yet. No longer than
    /// `open` was, because an id gets here only when it leaves there.
    cancelled: Vec<u64>,
    next_id: u64,
    closed: Option<Closed>,
}

impl Calls {
    pub(super) fn new(max: usize) -> Self {
        let state = State { open: HashMap::new(), cancelled: Vec::new(), next_id: 0, closed: None };
        Self { max, state: Mutex::new(state), cancelled: Notify::new() }
    }

    /// An id for a call or an upload: one counter for both, so that they never collide (4.1).
    pub(super) fn next_id(&self) -> u64 {
        let mut state = self.state.lock();
        state.next_id += 1;
        state.next_id - 1
    }

    /// Expects an answer. The token, when there are uploads, ends with the call.
    pub(super) fn open(
        self: &Arc<Self>,
        reply: Reply,
        uploads: Option<CancellationToken>,
    ) -> Result<InFlight, CallError> {
        let id = self.next_id();
        let mut state = self.state.lock();
        if let Some(closed) = &state.closed {
            return Err(CallError::Closed(closed.clone()));
        }
        if state.open.len() + state.cancelled.len() >= self.max {
            return Err(CallError::TooManyCalls);
        }
        state.open.insert(id, Call { reply, _uploads: uploads.map(CancellationToken::drop_guard) });
        Ok(InFlight { calls: self.clone(), id })
    }

    /// Ends a call and says where its answer goes. None: nobody waits any more.
    pub(super) fn complete(&self, id: &str) -> Option<Reply> {
        let id = id.parse().ok()?;
        self.state.lock().open.remove(&id).map(|call| call.reply)
    }

    /// Where an item goes. A plain invocation gets none: it fails (section 7.3).
    pub(super) fn stream(&self, id: &str) -> Option<mpsc::Sender<RawValue>> {
        let id = id.parse().ok()?;
        let mut state = self.state.lock();
        match &state.open.get(&id)?.reply {
            Reply::Stream { items, .. } => Some(items.clone()),
            Reply::Result(_) => {
                if let Some(Call { reply: Reply::Result(result), .. }) = state.open.remove(&id) {
                    let _ = result.send(Err(CallError::UnexpectedItem));
                }
                None
            }
        }
    }

    /// Cancels a stream that is not read: its reader gets the error after what has come already.
    pub(super) fn give_up(&self, id: &str) {
        let Ok(id) = id.parse() else { return };
        let mut state = self.state.lock();
        let Some(Call { reply: Reply::Stream { end, .. }, .. }) = state.open.remove(&id) else {
            return;
        };
        state.cancelled.push(id);
        self.cancelled.notify_one();
        let _ = end.send(Err(CallError::NotConsumed));
    }

    /// Waits for streams to cancel and takes them. Loses none when dropped while it waits.
    pub(super) async fn cancelled(&self) -> Vec<u64> {
        loop {
            let ids = std::mem::take(&mut self.state.lock().cancelled);
            if !ids.is_empty() {
                return ids;
            }
            self.cancelled.notified().await;
        }
    }

    /// Fails every call, and every later one.
    pub(super) fn close(&self, closed: &Closed) {
        let open = {
            let mut state = self.state.lock();
            state.closed.get_or_insert_with(|| closed.clone());
            std::mem::take(&mut state.open)
        };
        for call in open.into_values() {
            call.reply.fail(CallError::Closed(closed.clone()));
        }
    }
}

/// A call under way; dropping it forgets the call, and cancels it when it is a stream.
pub(super) struct InFlight {
    calls: Arc<Calls>,
    id: u64,
}

impl InFlight {
    pub(super) fn id(&self) -> u64 {
        self.id
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.calls.state.lock();
        let Some(call) = state.open.remove(&self.id) else { return };
        // A plain invocation is not cancelled: servers ignore that (section 5.5).
        if matches!(call.reply, Reply::Stream { .. }) {
            state.cancelled.push(self.id);
            self.calls.cancelled.notify_one();
        }
    }
}
