//! Everything that goes into a connection's outbox, and out of it.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Connection, Given, SendError};
use crate::connections::end::End;
use crate::connections::frame::Frame;
use crate::connections::outbox::{Flushed, News, Offered, Outbox, Pulled, PutAside, Wake};
use crate::connections::sink::Sink;
use crate::protocol::{Close, Protocol, encode};

/// What a slow reader is told before it is disconnected.
const TOO_SLOW: &str = "Connection closed: the client reads too slowly.";
/// How often a session that waits for room looks whether the node's budget has some.
const BUDGET_RETRY: Duration = Duration::from_millis(100);
/// WebSocket close code for a violated policy (RFC 6455, 7.4.1).
const CODE_POLICY: u16 = 1008;

/// Counted while it lives, however the waiting ends.
struct Waiter<'a>(&'a Connection);

impl<'a> Waiter<'a> {
    fn of(connection: &'a Connection) -> Self {
        connection.waiters.fetch_add(1, Ordering::AcqRel);
        Self(connection)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.waiters.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Connection {
    /// A frame for the own client: waits for room, at most the send timeout (decision D6).
    pub async fn send(self: &Arc<Self>, frame: Arc<Frame>) -> Result<(), SendError> {
        match self.try_append(frame) {
            Ok(done) => done,
            // Rare and large: boxed, so that the calls that send stay small.
            Err(frame) => Box::pin(self.send_with_patience(frame)).await,
        }
    }

    async fn send_with_patience(self: &Arc<Self>, mut frame: Arc<Frame>) -> Result<(), SendError> {
        let _waiter = Waiter::of(self);
        let waiting = async {
            loop {
                let room = self.room.notified();
                tokio::pin!(room);
                room.as_mut().enable();
                frame = match self.try_append(frame) {
                    Ok(done) => return done,
                    Err(frame) => frame,
                };
                // The node's budget frees without a word to this connection.
                let _ = tokio::time::timeout(BUDGET_RETRY, room).await;
            }
        };
        let sent = tokio::time::timeout(self.new.settings.send_timeout, waiting).await;
        sent.unwrap_or(Err(SendError::TimedOut))
    }

    /// Appends, after a try to make room. The outer error gives the frame back: no room.
    fn try_append(
        self: &Arc<Self>,
        frame: Arc<Frame>,
    ) -> Result<Result<(), SendError>, Arc<Frame>> {
        let bounds = self.node.bounds();
        let mut outbox = self.outbox.lock();
        let mut appended = outbox.append(frame, bounds);
        if let Err(frame) = appended {
            // What the session held back until the end of its turn may be what fills the outbox.
            let (flushed, wake) = outbox.release(bounds);
            appended = outbox.append(frame, bounds);
            let news = outbox.take_news();
            self.note_written(&mut outbox);
            drop(outbox);
            self.after_flush(flushed, news);
            self.wake(wake);
        } else {
            drop(outbox);
        }
        match appended? {
            Offered::Queued(wake) => {
                self.wake(wake);
                Ok(Ok(()))
            }
            Offered::Dropped | Offered::Overflow | Offered::Closed => Ok(Err(SendError::Closed)),
        }
    }

    /// A frame of a fan-out: never waits. True when the caller has to mark it for the flusher.
    pub(in crate::connections) fn offer(self: &Arc<Self>, frame: &Arc<Frame>) -> bool {
        let mut outbox = self.outbox.lock();
        let wake = match outbox.offer(frame.clone(), self.node.bounds()) {
            Offered::Queued(wake) => wake,
            Offered::Dropped => {
                self.node.metrics().dropped_volatile.inc();
                Wake::Nobody
            }
            Offered::Closed => Wake::Nobody,
            Offered::Overflow => self.overflowed(&mut outbox),
        };
        drop(outbox);
        if wake == Wake::Puller {
            self.ready.notify_one();
        }
        wake == Wake::Flusher
    }

    /// The answer to a full outbox when nothing may be dropped (decision D6).
    fn overflowed(self: &Arc<Self>, outbox: &mut Outbox) -> Wake {
        if outbox.outlet().is_none() {
            outbox.dispose(self.node.bounds());
            self.end(End::NotResumed);
            return Wake::Nobody;
        }
        let close = Close { error: Some(TOO_SLOW.to_owned()), allow_reconnect: true };
        let protocol = self.protocol().unwrap_or(Protocol::Json);
        let frame = Frame::untracked(encode::close(protocol, &close));
        let wake = outbox.cut_short(frame, CODE_POLICY, self.node.bounds());
        self.end(End::TooSlow);
        wake
    }

    /// From now on the frames of fan-outs wait aside, until [`Connection::let_in`]: a returning
    /// client is sent what it is owed before anything new.
    pub fn keep_aside(&self) {
        self.outbox.lock().open_aside();
    }

    /// What waits aside follows what was sent meanwhile, as fast as the client takes it; then
    /// fan-outs go their usual way. Returns how many ordinary messages were lost for want of room.
    pub async fn let_in(self: &Arc<Self>) -> Result<u64, SendError> {
        loop {
            let next = self.outbox.lock().take_aside(self.node.bounds());
            match next {
                Ok(frame) => self.send(frame).await?,
                Err(lost) => return Ok(lost),
            }
        }
    }

    /// A marked frame waits aside among those of fan-outs, if these do.
    pub fn put_aside(&self, frame: &Arc<Frame>) -> PutAside {
        self.outbox.lock().put_marked_aside(frame, self.node.bounds())
    }

    /// The frame of that mark waits aside no more.
    pub fn take_from_aside(&self, mark: NonZeroU64) {
        self.outbox.lock().take_marked_aside(Some(mark), self.node.bounds());
    }

    /// No marked frame waits aside any more. Returns the marks of those that did.
    pub fn take_marked_from_aside(&self) -> Vec<NonZeroU64> {
        self.outbox.lock().take_marked_aside(None, self.node.bounds())
    }

    /// A frame outside the bounds: a handshake answer or Close.
    pub fn send_unbounded(self: &Arc<Self>, frame: Arc<Frame>) {
        let wake = self.outbox.lock().append_unbounded(frame, self.node.bounds());
        self.wake(wake);
    }

    /// A pong of the transport; a newer one replaces one that still waits.
    pub fn send_pong(self: &Arc<Self>, frame: bytes::Bytes) {
        self.activity.received(self.node.coarse_ms());
        self.activity.pinged();
        let wake = self.outbox.lock().set_pong(frame);
        self.wake(wake);
    }

    /// Frames for a transport that pulls; waits until there are some or there will be none.
    /// At least one frame, more while they stay within `bytes_max`.
    pub async fn pull(&self, bytes_max: usize) -> Pulled {
        loop {
            let (pulled, news) = {
                let mut outbox = self.outbox.lock();
                outbox.pulled_is_written();
                let pulled = outbox.pull(bytes_max, self.node.bounds());
                self.note_written(&mut outbox);
                (pulled, outbox.take_news())
            };
            self.tell(news);
            if let Some(pulled) = pulled {
                return pulled;
            }
            self.ready.notified().await;
        }
    }

    /// The flusher has come: writes what waits, on its thread. Returns the socket when it is full
    /// and the flusher has to come again, with that socket, when it takes more.
    pub(in crate::connections) fn flush_queued(
        self: &Arc<Self>,
        waited_for: Option<&Arc<dyn Sink>>,
    ) -> Option<Arc<dyn Sink>> {
        let mut outbox = self.outbox.lock();
        let (flushed, full) = outbox.flush_queued(waited_for, self.node.bounds());
        if full.is_some() && outbox.stuck_since_ms.is_none() {
            outbox.stuck_since_ms = Some(self.node.now_ms());
        }
        let news = outbox.take_news();
        self.note_written(&mut outbox);
        drop(outbox);
        self.after_flush(flushed, news);
        full
    }

    /// The session's turn begins: what it appends is written when the turn ends.
    pub(in crate::connections) fn hold(&self) {
        self.outbox.lock().hold();
    }

    /// The session's turn ends.
    pub(in crate::connections) fn release(self: &Arc<Self>) {
        let mut outbox = self.outbox.lock();
        let (flushed, wake) = outbox.release(self.node.bounds());
        let news = outbox.take_news();
        self.note_written(&mut outbox);
        drop(outbox);
        self.after_flush(flushed, news);
        self.wake(wake);
    }

    /// For whoever watches: under the lock that is held anyway.
    fn note_written(&self, outbox: &mut Outbox) {
        self.activity.written(std::mem::take(&mut outbox.tally), self.node.coarse_ms());
    }

    fn after_flush(&self, flushed: Flushed, news: News) {
        if flushed == Flushed::Lost {
            // The source of the same socket has the details.
            self.wake_session();
        }
        self.tell(news);
    }

    /// Waiters look again when something changed, and only then: they flush themselves.
    fn tell(&self, news: News) {
        if news.changed && self.waiters.load(Ordering::Acquire) > 0 {
            self.room.notify_waiters();
        }
        if (news.room || !news.written.is_empty())
            && let Some(witness) = self.witness()
        {
            witness.written(&news.written, news.room);
        }
    }

    /// A marked frame of whoever witnesses this connection: never waits, never ends the connection.
    pub fn give(self: &Arc<Self>, frame: &Arc<Frame>) -> Given {
        let (offered, wake) = self.outbox.lock().give(frame, self.node.bounds());
        self.wake(wake);
        match offered {
            None => Given::NoRoom,
            Some(Offered::Queued(_)) => Given::Queued,
            Some(Offered::Closed | Offered::Dropped | Offered::Overflow) => Given::Closed,
        }
    }

    /// Whether a copy of the marked frame waits here, or may be replayed by a resumption.
    pub fn holds(&self, mark: NonZeroU64) -> bool {
        self.outbox.lock().holds(mark)
    }

    pub(in crate::connections) fn wake(self: &Arc<Self>, wake: Wake) {
        match wake {
            Wake::Nobody => {}
            Wake::Puller => self.ready.notify_one(),
            Wake::Flusher => self.node.mark(self.clone()),
        }
    }

    /// Takes no more frames; the close frame follows what waits. Completes when all is written,
    /// or the outlet is gone.
    pub(in crate::connections) async fn close_outbox(self: &Arc<Self>, code: u16) {
        let wake = self.outbox.lock().close(code);
        self.wake(wake);
        let _waiter = Waiter::of(self);
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            if self.outbox.lock().is_over() {
                break;
            }
            room.await;
        }
    }
}
