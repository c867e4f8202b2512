//! What clients POST, between the requests that bring it and the session that reads it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, BytesMut};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::connections::{Inbound, Source};

/// Bytes that may wait, as in ASP.NET Core (section 2.4).
const BYTES_MAX: usize = 65_536;

/// A bounded queue of bytes. Requests put in, the session takes out.
#[derive(Default)]
pub struct Inbox {
    state: Mutex<State>,
    room: Notify,
    /// Held by the request whose body is being read: bodies never mix.
    pub(super) turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    bytes: BytesMut,
    reader: Option<Waker>,
    ended: Option<Inbound>,
    /// While nobody reads: where its bytes are counted among those of all unattached ids.
    budget: Option<Arc<Budget>>,
}

/// Bytes of all inboxes that nobody reads yet.
pub(super) struct Budget {
    pub(super) used: AtomicUsize,
    pub(super) max: usize,
}

impl Budget {
    fn take(&self, bytes: usize) -> bool {
        let grow = |used: usize| Some(used + bytes).filter(|sum| *sum <= self.max);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grow).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What became of offered bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// So many were taken; none when it is full.
    Taken(usize),
    /// Too many bytes wait for transports that have not come.
    OverBudget,
    /// Nobody will read them.
    Ended,
}

impl Inbox {
    /// An inbox that nobody reads yet, within a common budget.
    pub(super) fn unattached(budget: Arc<Budget>) -> Self {
        let mut inbox = Self::default();
        inbox.state.get_mut().budget = Some(budget);
        inbox
    }

    /// Takes as many of the bytes as there is room for.
    pub fn offer(&self, bytes: &[u8]) -> Offer {
        let mut state = self.state.lock();
        if state.ended.is_some() {
            return Offer::Ended;
        }
        let take = bytes.len().min(BYTES_MAX - state.bytes.len());
        if take > 0 && state.budget.as_ref().is_some_and(|budget| !budget.take(take)) {
            return Offer::OverBudget;
        }
        state.bytes.extend_from_slice(&bytes[..take]);
        let reader = if take > 0 { state.reader.take() } else { None };
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
        Offer::Taken(take)
    }

    /// Waits for room and puts the bytes in, all of them.
    pub(super) async fn put(&self, mut bytes: impl Buf) -> Offer {
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            match self.offer(bytes.chunk()) {
                Offer::Taken(taken) => bytes.advance(taken),
                refused => return refused,
            }
            if !bytes.has_remaining() {
                return Offer::Taken(0);
            }
            room.await;
        }
    }

    /// The session that reads it; from now on the bytes are the connection's own.
    pub fn source(self: &Arc<Self>) -> Box<dyn Source> {
        let mut state = self.state.lock();
        if let Some(budget) = state.budget.take() {
            budget.give_back(state.bytes.len());
        }
        drop(state);
        Box::new(Reader(self.clone()))
    }

    /// No more bytes come; those that wait are still read. The first reason counts.
    pub(super) fn end(&self, why: Inbound) {
        let mut state = self.state.lock();
        state.ended.get_or_insert(why);
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
        self.room.notify_waiters();
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        if let Some(budget) = state.budget.take() {
            budget.give_back(state.bytes.len());
        }
    }
}

/// The session's end.
struct Reader(Arc<Inbox>);

impl Source for Reader {
    fn poll_read(&mut self, cx: &mut Context<'_>, out: &mut BytesMut) -> Poll<Inbound> {
        let mut state = self.0.state.lock();
        if state.bytes.is_empty() {
            match state.ended {
                Some(ended) => return Poll::Ready(ended),
                None => {
                    state.reader = Some(cx.waker().clone());
                    return Poll::Pending;
                }
            }
        }
        // Taken away whole: an inbox between two requests holds no buffer.
        let bytes = std::mem::take(&mut state.bytes);
        drop(state);
        out.extend_from_slice(&bytes);
        self.0.room.notify_waiters();
        Poll::Ready(Inbound::Data)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.end(Inbound::Lost);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn read(source: &mut Box<dyn Source>) -> (Poll<Inbound>, Vec<u8>) {
        let mut out = BytesMut::new();
        let mut cx = Context::from_waker(Waker::noop());
        (source.poll_read(&mut cx, &mut out), out.to_vec())
    }

    #[test]
    fn a_full_inbox_makes_its_writer_wait_until_the_session_has_read() {
        let inbox = Arc::new(Inbox::default());
        let mut source = inbox.source();
        let body = vec![7; BYTES_MAX + 10];
        let mut putting = Box::pin(inbox.put(&body[..]));
        assert!(putting.as_mut().now_or_never().is_none(), "full");
        assert_eq!(read(&mut source).1.len(), BYTES_MAX);
        assert_eq!(putting.now_or_never(), Some(Offer::Taken(0)));
        assert_eq!(read(&mut source).1.len(), 10);
        assert_eq!(read(&mut source).0, Poll::Pending);
    }

    #[test]
    fn what_was_accepted_before_the_end_is_still_read() {
        let inbox = Arc::new(Inbox::default());
        let mut source = inbox.source();
        assert_eq!(inbox.offer(b"last words"), Offer::Taken(10));
        inbox.end(Inbound::Closed);
        assert_eq!(inbox.offer(b"too late"), Offer::Ended);
        assert_eq!(read(&mut source), (Poll::Ready(Inbound::Data), b"last words".to_vec()));
        assert_eq!(read(&mut source).0, Poll::Ready(Inbound::Closed));
        assert_eq!(read(&mut source).0, Poll::Ready(Inbound::Closed), "asked again");
    }

    #[test]
    fn a_waiting_writer_learns_that_the_session_is_gone() {
        let inbox = Arc::new(Inbox::default());
        let source = inbox.source();
        let body = vec![7; BYTES_MAX + 1];
        let mut putting = Box::pin(inbox.put(&body[..]));
        assert!(putting.as_mut().now_or_never().is_none());
        drop(source);
        assert_eq!(putting.now_or_never(), Some(Offer::Ended));
    }

    #[test]
    fn bytes_for_transports_that_have_not_come_share_a_budget() {
        let budget = Arc::new(Budget { used: AtomicUsize::new(0), max: 10 });
        let first = Arc::new(Inbox::unattached(budget.clone()));
        assert_eq!(first.offer(b"12345678"), Offer::Taken(8));
        let second = Inbox::unattached(budget.clone());
        assert_eq!(second.offer(b"123"), Offer::OverBudget);
        let _source = first.source();
        assert_eq!(second.offer(b"123"), Offer::Taken(3), "the first has its transport now");
        drop(second);
        assert_eq!(budget.used.load(Ordering::Relaxed), 0);
    }
}
