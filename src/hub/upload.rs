//! Streams from a client to a method (protocol reference, 5.4).

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_util::Stream;
use parking_lot::Mutex;

use super::error::{HubError, HubResult};
use crate::protocol::{FromWire, RawValue};

/// The items that a client uploads to one parameter of a method. Ends after the first error.
pub struct Upload<T> {
    queue: Arc<UploadQueue>,
    over: bool,
    item: PhantomData<fn() -> T>,
}

impl<T> Upload<T> {
    pub(super) fn new(queue: Arc<UploadQueue>) -> Self {
        Self { queue, over: false, item: PhantomData }
    }
}

impl<T: FromWire> Stream for Upload<T> {
    type Item = HubResult<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over {
            return Poll::Ready(None);
        }
        let next = match self.queue.pop(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Next::Item(raw)) => {
                let bound = raw.bind().map_err(|_| {
                    self.queue.close();
                    HubError::client("Failed to bind Stream message.")
                });
                Some(bound)
            }
            Poll::Ready(Next::Failed(error)) => Some(Err(error)),
            Poll::Ready(Next::Over) => None,
        };
        self.over = !matches!(next, Some(Ok(_)));
        Poll::Ready(next)
    }
}

impl<T> Drop for Upload<T> {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// What waits between the session and the reader of one upload.
pub(super) struct UploadQueue {
    items_max: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    items: VecDeque<RawValue>,
    end: Option<UploadEnd>,
    /// The method has no interest any more.
    closed: bool,
    reader: Option<Waker>,
    /// The session, when it waits for room.
    writer: Option<Waker>,
}

/// How an upload ends.
pub(super) enum UploadEnd {
    /// All items were sent.
    Complete,
    /// The client says why it stopped, or the connection is over.
    Failed(HubError),
}

enum Next {
    Item(RawValue),
    Failed(HubError),
    Over,
}

impl UploadQueue {
    pub(super) fn new(items_max: usize) -> Arc<Self> {
        Arc::new(Self { items_max: items_max.max(1), state: Mutex::default() })
    }

    /// Gives the item back when the queue is full; `cx` is woken when there is room.
    pub(super) fn push(&self, item: RawValue, cx: &mut Context<'_>) -> Result<(), RawValue> {
        let mut state = self.state.lock();
        if state.closed || state.end.is_some() {
            return Ok(());
        }
        if state.items.len() >= self.items_max {
            state.writer = Some(cx.waker().clone());
            return Err(item);
        }
        state.items.push_back(item);
        let reader = state.reader.take();
        drop(state);
        wake(reader);
        Ok(())
    }

    /// Whether an item would be taken; `cx` is woken when that changes.
    pub(super) fn has_room(&self, cx: &mut Context<'_>) -> bool {
        let mut state = self.state.lock();
        let room = state.closed || state.end.is_some() || state.items.len() < self.items_max;
        if !room {
            state.writer = Some(cx.waker().clone());
        }
        room
    }

    /// The first end counts.
    pub(super) fn end(&self, end: UploadEnd) {
        let mut state = self.state.lock();
        state.end.get_or_insert(end);
        let reader = state.reader.take();
        drop(state);
        wake(reader);
    }

    /// What comes from now on is ignored.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.items = VecDeque::new();
        let writer = state.writer.take();
        drop(state);
        wake(writer);
    }

    fn pop(&self, cx: &mut Context<'_>) -> Poll<Next> {
        let mut state = self.state.lock();
        if let Some(item) = state.items.pop_front() {
            let writer = state.writer.take();
            drop(state);
            wake(writer);
            return Poll::Ready(Next::Item(item));
        }
        match state.end.take() {
            Some(UploadEnd::Failed(error)) => Poll::Ready(Next::Failed(error)),
            Some(UploadEnd::Complete) => Poll::Ready(Next::Over),
            None if state.closed => Poll::Ready(Next::Over),
            None => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
