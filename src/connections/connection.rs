//! One connection: its identity, its outbox, and the ways to end it.

use std::net::IpAddr;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::activity::Activity;
use super::config::Settings;
use super::end::End;
use super::node::Connections;
use super::outbox::Outbox;
use super::sink::{Outlet, Source, Witness};
use crate::model::{Caller, ConnectionId, GroupName, HubName, TransportKind, UserAgent};
use crate::protocol::{Protocol, encode};

mod sending;

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
    /// What its program calls itself.
    pub agent: Option<UserAgent>,
    /// How its bytes travel.
    pub transport: TransportKind,
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

/// What became of a marked frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// It waits to be written.
    Queued,
    /// There is no room; the witness will be told when there may be.
    NoRoom,
    /// The connection takes nothing any more.
    Closed,
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
    witness: Mutex<Option<Arc<dyn Witness>>>,
    /// 0 for none.
    subscriber: AtomicU64,
    pub(super) clock: Clock,
    pub(super) activity: Activity,
    protocol: AtomicU8,
    received: AtomicU64,
    acked: AtomicU64,
    /// Tasks that wait for room or for the end of the outbox.
    pub(super) waiters: AtomicU32,
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
    pub(super) busy_since_ms: AtomicU64,
    /// All of the session's waits so far.
    pub(super) busy_total_ms: AtomicU64,
}

/// A method that hangs must not keep messages from being sent again for ever.
const BUSY_MAX: Duration = Duration::from_secs(60);
const NO_PROTOCOL: u8 = 0;
const JSON: u8 = 1;
const MESSAGE_PACK: u8 = 2;

impl Connection {
    pub(super) fn create(new: NewConnection, node: Arc<Connections>, serial: u64) -> Self {
        let now = node.now_ms();
        let clock = Clock::default();
        clock.opened_ms.store(now, Ordering::Relaxed);
        clock.pinged_ms.store(now, Ordering::Relaxed);
        let activity = Activity::default();
        activity.received(now);
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
            witness: Mutex::default(),
            subscriber: AtomicU64::new(0),
            clock,
            activity,
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

    /// How its bytes travel.
    pub fn transport(&self) -> TransportKind {
        self.new.transport
    }

    /// Since it was opened.
    pub fn age(&self) -> Duration {
        let opened = self.clock.opened_ms.load(Ordering::Relaxed);
        Duration::from_millis(self.node.now_ms().saturating_sub(opened))
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
        if ping {
            self.activity.pinged();
        }
        if ping || self.clock.heard_ms.load(Ordering::Relaxed) != 0 {
            self.clock.heard_ms.store(self.node.now_ms(), Ordering::Relaxed);
        }
    }

    /// Whether the session's loop waits for something of its own; silence does not count then.
    pub fn set_busy(&self, busy: bool) {
        let clock = &self.clock;
        let was = clock.busy.load(Ordering::Relaxed);
        if busy && !was {
            clock.busy_since_ms.store(self.node.now_ms(), Ordering::Relaxed);
        } else if was && !busy {
            let total = clock.busy_total_ms.load(Ordering::Relaxed);
            clock.busy_total_ms.store(total + self.busy_now_ms(), Ordering::Relaxed);
            self.heard(false);
        }
        clock.busy.store(busy, Ordering::Release);
    }

    /// How long the session's loop has waited for something of its own in all, each time at most
    /// `BUSY_MAX`: what its client had to say meanwhile could not be read.
    pub fn busy_time(&self) -> Duration {
        let now = if self.clock.busy.load(Ordering::Acquire) { self.busy_now_ms() } else { 0 };
        Duration::from_millis(self.clock.busy_total_ms.load(Ordering::Relaxed) + now)
    }

    fn busy_now_ms(&self) -> u64 {
        let since = self.clock.busy_since_ms.load(Ordering::Relaxed);
        let most = u64::try_from(BUSY_MAX.as_millis()).unwrap_or(u64::MAX);
        self.node.now_ms().saturating_sub(since).min(most)
    }

    /// Who hears of this connection's marked frames from now on. Whoever sets one takes it back
    /// when the connection is over, for a witness keeps its connection alive.
    pub fn set_witness(&self, witness: Option<Arc<dyn Witness>>) {
        *self.witness.lock() = witness;
    }

    pub(super) fn witness(&self) -> Option<Arc<dyn Witness>> {
        self.witness.lock().clone()
    }

    /// The number by which delivery knows the client from now on; none when it is nobody's
    /// connection any more. Answers what it was.
    pub fn set_subscriber(&self, number: Option<NonZeroU64>) -> Option<NonZeroU64> {
        let number = number.map_or(0, NonZeroU64::get);
        NonZeroU64::new(self.subscriber.swap(number, Ordering::AcqRel))
    }

    /// The number by which delivery knows the client.
    pub fn subscriber(&self) -> Option<NonZeroU64> {
        NonZeroU64::new(self.subscriber.load(Ordering::Acquire))
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
        self.node.unpark(self);
        drop(outbox);
        if let Some(Outlet::Direct(sink)) = old {
            sink.shutdown();
        }
        self.activity.received(self.node.coarse_ms());
        // Its client could not speak while it was away.
        self.heard(false);
        self.node.metrics().resumed.inc();
        if let Some(witness) = self.witness() {
            witness.resumed();
        }
        self.wake(wake);
        self.wake_session();
        Ok(())
    }

    /// Whether a second socket may take over.
    pub fn is_stateful(&self) -> bool {
        self.ended().is_none() && self.outbox.lock().is_stateful()
    }

    /// Long polling: whether a poll is open. Without one the disconnect timeout runs.
    pub fn set_polled(&self, polled: bool) {
        if polled {
            self.activity.received(self.node.coarse_ms());
        }
        let since = if polled { 0 } else { self.node.now_ms() };
        self.clock.unpolled_ms.store(since, Ordering::Relaxed);
    }
}
