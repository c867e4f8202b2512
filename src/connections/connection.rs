//! One connection: its identity, its outbox, and the ways to end it.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::SystemTime;

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::config::Settings;
use super::end::End;
use super::frame::Frame;
use super::node::Connections;
use super::outbox::{Flushed, Offered, Outbox, Pulled, Wake};
use super::sink::{Outlet, Source};
use crate::model::{Caller, ConnectionId, GroupName, HubName};
use crate::protocol::{Close, Protocol, encode};

/// What a slow reader is told before it is disconnected.
const TOO_SLOW: &str = "Connection closed: the client reads too slowly.";
/// WebSocket close code for a violated policy (RFC 6455, 7.4.1).
const CODE_POLICY: u16 = 1008;

/// What a transport knows when it opens a connection.
pub struct NewConnection {
    /// The public id.
    pub id: ConnectionId,
    /// The hub it speaks with.
    pub hub: HubName,
    /// Who is behind it.
    pub caller: Arc<Caller>,
    /// The peer's address, for bounds per caller.
    pub peer: Option<IpAddr>,
    /// The hub's settings.
    pub settings: Arc<Settings>,
    /// Whether binary protocols may be spoken (not over Server-Sent Events).
    pub binary: bool,
    /// Whether pings are needed (not with long polling).
    pub pings: bool,
    /// Whether stateful reconnect was negotiated.
    pub resumable: bool,
}

/// The socket cannot take over: nothing to resume, or the connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection cannot be resumed")]
pub struct NotResumable;

/// A frame for the own client did not get into the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The connection is closing.
    #[error("the connection is closed")]
    Closed,
    /// No room for the whole send timeout.
    #[error("the client took nothing for the whole send timeout")]
    TimedOut,
}

/// One logical connection, shared by its session, its transport and the registry.
pub struct Connection {
    pub(super) new: NewConnection,
    pub(super) node: Arc<Connections>,
    pub(super) serial: u64,
    pub(super) outbox: Mutex<Outbox>,
    pub(super) session: AtomicWaker,
    /// Something besides the source wants the session's attention.
    pub(super) signal: AtomicBool,
    pub(super) ended: OnceLock<End>,
    /// A new socket for a stateful connection, until the session takes it.
    pub(super) replacement: Mutex<Option<Box<dyn Source>>>,
    pub(super) groups: Mutex<Vec<GroupName>>,
    pub(super) clock: Clock,
    protocol: AtomicU8,
    received: AtomicU64,
    acked: AtomicU64,
    /// Tasks that wait for room or for the end of the outbox.
    waiters: AtomicU32,
    room: Notify,
    ready: Notify,
}

/// Moments in milliseconds of the node; 0 stands for never.
#[derive(Default)]
pub(super) struct Clock {
    pub(super) opened_ms: AtomicU64,
    pub(super) pinged_ms: AtomicU64,
    /// The last message of the client, once it has pinged.
    pub(super) heard_ms: AtomicU64,
    pub(super) parked_ms: AtomicU64,
    /// Since when nobody polls (long polling).
    pub(super) unpolled_ms: AtomicU64,
    pub(super) handshaken: AtomicBool,
    /// The session's loop waits for one of its own; the client's silence does not count.
    pub(super) busy: AtomicBool,
}

const NO_PROTOCOL: u8 = 0;
const JSON: u8 = 1;
const MESSAGE_PACK: u8 = 2;

impl Connection {
    pub(super) fn create(new: NewConnection, node: Arc<Connections>, serial: u64) -> Self {
        let now = node.now_ms();
        let clock = Clock::default();
        clock.opened_ms.store(now, Ordering::Relaxed);
        clock.pinged_ms.store(now, Ordering::Relaxed);
        Self {
            new,
            node,
            serial,
            outbox: Mutex::default(),
            session: AtomicWaker::new(),
            signal: AtomicBool::new(false),
            ended: OnceLock::new(),
            replacement: Mutex::default(),
            groups: Mutex::default(),
            clock,
            protocol: AtomicU8::new(NO_PROTOCOL),
            received: AtomicU64::new(0),
            acked: AtomicU64::new(0),
            waiters: AtomicU32::new(0),
            room: Notify::new(),
            ready: Notify::new(),
        }
    }

    /// The public id.
    pub fn id(&self) -> &ConnectionId {
        &self.new.id
    }

    /// The hub it speaks with.
    pub fn hub(&self) -> &HubName {
        &self.new.hub
    }

    /// Who is behind it.
    pub fn caller(&self) -> &Arc<Caller> {
        &self.new.caller
    }

    /// Whether binary protocols may be spoken.
    pub fn allows_binary(&self) -> bool {
        self.new.binary
    }

    /// Whether stateful reconnect was negotiated.
    pub fn is_resumable(&self) -> bool {
        self.new.resumable
    }

    /// The agreed protocol; none before the handshake.
    pub fn protocol(&self) -> Option<Protocol> {
        match self.protocol.load(Ordering::Acquire) {
            JSON => Some(Protocol::Json),
            MESSAGE_PACK => Some(Protocol::MessagePack),
            _ => None,
        }
    }

    /// The handshake is done. With `stateful` sent frames are numbered and kept until acked.
    pub fn begin(&self, protocol: Protocol, stateful: bool) {
        let code = match protocol {
            Protocol::Json => JSON,
            Protocol::MessagePack => MESSAGE_PACK,
        };
        self.protocol.store(code, Ordering::Release);
        if stateful {
            self.outbox.lock().enable_replay(self.new.settings.stateful_buffer_bytes);
        }
        self.clock.handshaken.store(true, Ordering::Release);
    }

    /// Groups it is in.
    pub fn groups(&self) -> Vec<GroupName> {
        self.groups.lock().clone()
    }

    /// Why it is over; none while it is not.
    pub fn ended(&self) -> Option<&End> {
        self.ended.get()
    }

    /// Frames and bytes that wait in its outbox.
    pub fn waiting(&self) -> (usize, usize) {
        self.outbox.lock().waiting()
    }

    /// When the caller's credential ends and the connection with it.
    pub(super) fn expires_at(&self) -> Option<SystemTime> {
        self.new.caller.expires_at.filter(|_| self.new.settings.close_on_expiry)
    }

    /// A frame for the own client: waits for room, at most the send timeout (decision D6).
    pub async fn send(self: &Arc<Self>, frame: Arc<Frame>) -> Result<(), SendError> {
        let mut frame = match self.try_append(frame) {
            Ok(done) => return done,
            Err(frame) => frame,
        };
        self.waiters.fetch_add(1, Ordering::AcqRel);
        let waiting = async {
            loop {
                let room = self.room.notified();
                tokio::pin!(room);
                room.as_mut().enable();
                frame = match self.try_append(frame) {
                    Ok(done) => return done,
                    Err(frame) => frame,
                };
                room.await;
            }
        };
        let sent = tokio::time::timeout(self.new.settings.send_timeout, waiting).await;
        self.waiters.fetch_sub(1, Ordering::AcqRel);
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
            drop(outbox);
            self.after_flush(flushed);
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
    pub(super) fn offer(self: &Arc<Self>, frame: &Arc<Frame>) -> bool {
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

    /// A frame outside the bounds: a handshake answer or Close.
    pub fn send_unbounded(self: &Arc<Self>, frame: Arc<Frame>) {
        let wake = self.outbox.lock().append_unbounded(frame, self.node.bounds());
        self.wake(wake);
    }

    /// A pong of the transport; a newer one replaces one that still waits.
    pub fn send_pong(self: &Arc<Self>, frame: bytes::Bytes) {
        let wake = self.outbox.lock().set_pong(frame);
        self.wake(wake);
    }

    /// The client acked what it was sent up to a number (stateful reconnect).
    pub fn acked(self: &Arc<Self>, number: i64) {
        let wake = self.outbox.lock().acked(u64::try_from(number).unwrap_or(0));
        self.wake(wake);
    }

    /// How many tracked messages have been received; the monitor acks them within a second or two.
    pub fn set_received(&self, count: u64) {
        self.received.store(count, Ordering::Release);
    }

    /// The number to ack now, when there is news; it counts as acked from now on.
    pub(super) fn take_ack(&self) -> Option<i64> {
        let received = self.received.load(Ordering::Acquire);
        let before = self.acked.swap(received, Ordering::AcqRel);
        (received > before).then(|| i64::try_from(received).unwrap_or(i64::MAX))
    }

    /// A complete message of the client has been read. `ping` arms the client timeout (5.8).
    pub fn heard(&self, ping: bool) {
        if ping || self.clock.heard_ms.load(Ordering::Relaxed) != 0 {
            self.clock.heard_ms.store(self.node.now_ms(), Ordering::Relaxed);
        }
    }

    /// Whether the session's loop waits for something of its own; silence does not count then.
    pub fn set_busy(&self, busy: bool) {
        if self.clock.busy.swap(busy, Ordering::Relaxed) && !busy {
            self.heard(false);
        }
    }

    /// Ends the connection; the first reason counts. Its session does the rest.
    pub fn end(&self, why: End) {
        if self.ended.set(why).is_ok() {
            self.wake_session();
        }
    }

    pub(super) fn wake_session(&self) {
        self.signal.store(true, Ordering::Release);
        self.session.wake();
    }

    /// A new socket takes over a stateful connection: the newest wins. Sequence is its first frame.
    pub fn resume(
        self: &Arc<Self>,
        source: Box<dyn Source>,
        outlet: Outlet,
    ) -> Result<(), NotResumable> {
        let Some(protocol) = self.protocol() else { return Err(NotResumable) };
        let mut outbox = self.outbox.lock();
        if self.ended().is_some() || outbox.is_closing() || !outbox.is_stateful() {
            return Err(NotResumable);
        }
        let old = outbox.detach();
        outbox.resume(outlet, |number| {
            let number = i64::try_from(number).unwrap_or(i64::MAX);
            encode::sequence(protocol, number).frame().clone()
        });
        // Under the outbox's lock, so that the session never sees the outlet without the source.
        *self.replacement.lock() = Some(source);
        let wake = outbox.mark();
        drop(outbox);
        if let Some(Outlet::Direct(sink)) = old {
            sink.shutdown();
        }
        self.node.unpark(self);
        self.node.metrics().resumed.inc();
        self.wake(wake);
        self.wake_session();
        Ok(())
    }

    /// Whether a second socket may take over.
    pub fn is_stateful(&self) -> bool {
        self.ended().is_none() && self.outbox.lock().is_stateful()
    }

    /// Frames for a transport that pulls; waits until there are some or there will be none.
    /// At least one frame, more while they stay within `bytes_max`.
    pub async fn pull(&self, bytes_max: usize) -> Pulled {
        loop {
            let pulled = self.outbox.lock().pull(bytes_max, self.node.bounds());
            if let Some(pulled) = pulled {
                self.room_made();
                return pulled;
            }
            self.ready.notified().await;
        }
    }

    /// Long polling: whether a poll is open. Without one the disconnect timeout runs.
    pub fn set_polled(&self, polled: bool) {
        let since = if polled { 0 } else { self.node.now_ms() };
        self.clock.unpolled_ms.store(since, Ordering::Relaxed);
    }

    /// The flusher has come: writes what waits, on its thread.
    pub(super) fn flush_queued(self: &Arc<Self>) -> Flushed {
        let mut outbox = self.outbox.lock();
        let flushed = outbox.flush_queued(self.node.bounds());
        if flushed == Flushed::Blocked && outbox.stuck_since_ms.is_none() {
            outbox.stuck_since_ms = Some(self.node.now_ms());
        }
        drop(outbox);
        self.after_flush(flushed);
        flushed
    }

    /// The session's turn begins: what it appends is written when the turn ends.
    pub(super) fn hold(&self) {
        self.outbox.lock().hold();
    }

    /// The session's turn ends.
    pub(super) fn release(self: &Arc<Self>) {
        let (flushed, wake) = self.outbox.lock().release(self.node.bounds());
        self.after_flush(flushed);
        self.wake(wake);
    }

    fn after_flush(&self, flushed: Flushed) {
        if flushed == Flushed::Lost {
            // The source of the same socket has the details.
            self.wake_session();
        }
        if self.waiters.load(Ordering::Acquire) > 0 {
            self.room.notify_waiters();
        }
    }

    pub(super) fn wake(self: &Arc<Self>, wake: Wake) {
        match wake {
            Wake::Nobody => {}
            Wake::Puller => self.ready.notify_one(),
            Wake::Flusher => self.node.mark(self.clone()),
        }
    }

    fn room_made(&self) {
        if self.waiters.load(Ordering::Acquire) > 0 {
            self.room.notify_waiters();
        }
    }

    /// Takes no more frames; the close frame follows what waits. Completes when all is written,
    /// or the outlet is gone.
    pub(super) async fn close_outbox(self: &Arc<Self>, code: u16) {
        let wake = self.outbox.lock().close(code);
        self.wake(wake);
        self.waiters.fetch_add(1, Ordering::AcqRel);
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            let outbox = self.outbox.lock();
            if outbox.is_drained() || outbox.outlet().is_none() {
                break;
            }
            drop(outbox);
            room.await;
        }
        self.waiters.fetch_sub(1, Ordering::AcqRel);
    }
}
