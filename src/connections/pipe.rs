//! The end of a connection that its session holds.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;

use super::connection::Connection;
use super::end::End;
use super::frame::Frame;
use super::outbox::Wake;
use super::sink::{Inbound, Outlet, Source};
use crate::protocol::{Close, Protocol, encode};

/// A client that left by DELETE may still have a poll open; that one gets the last words.
const LAST_POLL: Duration = Duration::from_secs(1);

/// What a session reads.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// Bytes were appended to the buffer.
    Data,
    /// A new socket has taken over: an unfinished message is void, the client's Sequence follows.
    Resumed,
    /// The connection is over; call [`Pipe::finish`] after the last words.
    Ended(End),
}

/// Reads what the client sends, whatever sockets come and go, and ends the connection.
/// Dropping it ends the connection at once.
pub struct Pipe {
    connection: Arc<Connection>,
    source: Option<Box<dyn Source>>,
}

impl Pipe {
    pub(super) fn new(connection: Arc<Connection>, source: Box<dyn Source>) -> Self {
        Self { connection, source: Some(source) }
    }

    /// The connection.
    pub fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// Waits for bytes or for something that happened to the connection.
    pub async fn read(&mut self, buffer: &mut BytesMut) -> Read {
        std::future::poll_fn(|cx| self.poll_read(cx, buffer)).await
    }

    /// Waits until the connection has ended, without reading.
    pub async fn ended(&mut self) -> End {
        std::future::poll_fn(|cx| {
            self.connection.session.register(cx.waker());
            match self.connection.ended() {
                Some(end) => Poll::Ready(end.clone()),
                None => Poll::Pending,
            }
        })
        .await
    }

    /// As [`Pipe::read`], for a hand-written future.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut BytesMut) -> Poll<Read> {
        self.connection.session.register(cx.waker());
        if self.connection.signal.swap(false, Ordering::AcqRel) {
            if let Some(end) = self.connection.ended() {
                // Seen again by whoever asks again.
                self.connection.signal.store(true, Ordering::Release);
                return Poll::Ready(Read::Ended(end.clone()));
            }
            if let Some(source) = self.connection.replacement.lock().take() {
                self.source = Some(source);
                return Poll::Ready(Read::Resumed);
            }
        }
        let Some(source) = &mut self.source else { return Poll::Pending };
        match source.poll_read(cx, buffer) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Inbound::Data) => {
                self.connection.activity.received(self.connection.node.coarse_ms());
                Poll::Ready(Read::Data)
            }
            Poll::Ready(Inbound::Closed) => {
                // What the old socket's client says counts no more once a new one is here (5.12).
                if self.connection.replacement.lock().is_some() {
                    self.source = None;
                    self.connection.signal.store(true, Ordering::Release);
                } else {
                    self.connection.end(End::ClientLeft);
                }
                self.poll_read(cx, buffer)
            }
            Poll::Ready(Inbound::Lost) => {
                self.lost();
                self.poll_read(cx, buffer)
            }
        }
    }

    /// The socket is gone: park the connection if its client may come back, else end it.
    fn lost(&mut self) {
        self.source = None;
        let mut outbox = self.connection.outbox.lock();
        if self.connection.replacement.lock().is_some() {
            // The new socket is here already, and the outlet is its own.
            return;
        }
        outbox.detach();
        // Still under the lock: a new socket that comes now must find the connection parked, or it
        // would be parked with its socket attached and ended a few seconds later.
        if !outbox.is_stateful() || outbox.is_closing() {
            self.connection.end(End::Lost);
        } else if !self.connection.node.park(&self.connection) {
            self.connection.end(End::NotResumed);
        } else if let Some(witness) = self.connection.witness() {
            witness.parked();
        }
    }

    /// Runs the session so that each of its turns ends with one write of what it appended.
    pub async fn in_turns<T>(connection: &Arc<Connection>, session: impl Future<Output = T>) -> T {
        let mut session = pin!(session);
        std::future::poll_fn(|cx| {
            connection.hold();
            let polled = session.as_mut().poll(cx);
            connection.release();
            polled
        })
        .await
    }

    /// Ends the connection for good, with this reason unless it has one: an optional Close, the
    /// transport's close frame after all that waits, then the client's answer, all within the close
    /// timeout (or, for a client that polls, the disconnect timeout).
    pub async fn finish(mut self, why: End, close: Option<&Close>, code: u16) {
        let connection = self.connection.clone();
        connection.end(why);
        connection.node.unpark(&connection);
        // A socket that came just before the end: nobody will read it but this.
        if let Some(source) = connection.replacement.lock().take() {
            self.source = Some(source);
        }
        let (pulled, sink) = match connection.outbox.lock().outlet() {
            Some(Outlet::Pulled) => (true, None),
            Some(Outlet::Direct(sink)) => (false, Some(sink.clone())),
            None => return,
        };
        let (limit, listens) = self.last_words(pulled);
        if let Some(close) = close.filter(|_| listens) {
            let protocol = connection.protocol().unwrap_or(Protocol::Json);
            connection.send_unbounded(Frame::untracked(encode::close(protocol, close)));
        }
        let in_order = async {
            connection.close_outbox(code).await;
            if !pulled {
                self.until_client_closes().await;
            }
        };
        let timely = tokio::time::timeout(limit, in_order).await.is_ok();
        match sink {
            Some(sink) if timely => sink.shutdown(),
            Some(sink) => sink.reset(),
            None => {}
        }
    }

    /// How long to wait for the client to take the last words, and whether it can read a Close.
    fn last_words(&self, pulled: bool) -> (Duration, bool) {
        let settings = &self.connection.new.settings;
        match self.connection.ended() {
            Some(End::ClientLeft) if pulled => (LAST_POLL, true),
            // Nobody reads what follows the client's close frame.
            Some(End::ClientLeft) => (settings.close_timeout, false),
            // It has taken nothing for long enough, or is not there at all.
            Some(End::Lost | End::NotResumed | End::SendTimedOut) => (Duration::ZERO, pulled),
            Some(End::TooSlow) => (settings.close_timeout, true),
            _ if pulled => (settings.disconnect_timeout, true),
            _ => (settings.close_timeout, true),
        }
    }

    /// Reads and throws away until the client has closed too.
    async fn until_client_closes(&mut self) {
        let Some(source) = &mut self.source else { return };
        let mut rest = BytesMut::new();
        std::future::poll_fn(|cx| {
            loop {
                rest.clear();
                match source.poll_read(cx, &mut rest) {
                    Poll::Ready(Inbound::Data) => {}
                    Poll::Ready(Inbound::Closed | Inbound::Lost) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await;
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        // The conversation was cut off: by its task's end, or by its own bug.
        self.connection.end(if std::thread::panicking() { End::Panicked } else { End::Lost });
        self.connection.node.unpark(&self.connection);
        drop(self.connection.replacement.lock().take());
        self.connection.outbox.lock().dispose(self.connection.node.bounds());
        self.connection.set_witness(None);
        // A transport that pulls learns that nothing will come.
        self.connection.wake(Wake::Puller);
        self.connection.node.forget(&self.connection);
    }
}
