//! Sockets in memory, and both ends of a connection over them.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::super::*;
use crate::model::{Caller, ConnectionId, TransportKind};
use crate::protocol::{Close, Encoded, FrameKind, Protocol};

/// A node and what it takes to talk to it.
pub(super) struct World {
    pub(super) node: Arc<Connections>,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
    pub(super) started: tokio::time::Instant,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(Config::default())
    }

    pub(super) fn with(config: Config) -> Self {
        let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
        let node = Connections::new(&config, 2, metrics);
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        node.start(&tasks, &stop);
        Self { node, tasks, stop, started: tokio::time::Instant::now() }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(super) fn client(&self, id: &str) -> Client {
        self.client_of(id, Caller::default(), Settings::default(), false)
    }

    pub(super) fn client_of(
        &self,
        id: &str,
        caller: Caller,
        settings: Settings,
        stateful: bool,
    ) -> Client {
        let client = self.open(id, caller, settings);
        client.connection.begin(Protocol::Json, stateful);
        client
    }

    pub(super) fn before_handshake(&self, id: &str) -> Client {
        self.open(id, Caller::default(), Settings::default())
    }

    pub(super) fn open(&self, id: &str, caller: Caller, settings: Settings) -> Client {
        let new = NewConnection {
            id: ConnectionId::from(id),
            hub: "hub".into(),
            caller: Arc::new(caller),
            peer: None,
            agent: None,
            transport: TransportKind::WebSockets,
            settings: Arc::new(settings),
            binary: true,
            pings: true,
            resumable: true,
        };
        let (script, socket) = (Script::default(), Arc::new(FakeSocket::default()));
        let outlet = Outlet::Direct(socket.clone());
        let (connection, pipe) = self.node.open(new, Box::new(script.clone()), outlet);
        Client { connection, pipe, script, socket }
    }
}

/// Both ends of one connection.
pub(super) struct Client {
    pub(super) connection: Arc<Connection>,
    pub(super) pipe: Pipe,
    pub(super) script: Script,
    pub(super) socket: Arc<FakeSocket>,
}

impl Client {
    pub(super) async fn read(&mut self) -> Read {
        self.pipe.read(&mut BytesMut::new()).await
    }

    pub(super) async fn read_within(&mut self, time: Duration) -> Option<Read> {
        tokio::time::timeout(time, self.read()).await.ok()
    }

    /// Comes back on a new socket.
    pub(super) fn resume(&mut self) {
        (self.script, self.socket) = (Script::default(), Arc::default());
        let outlet = Outlet::Direct(self.socket.clone());
        self.connection.resume(Box::new(self.script.clone()), outlet).unwrap();
    }

    pub(super) async fn expect(&self, text: &str) {
        // Long enough for a flusher's turn, too short for any timer.
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(self.socket.text(), text);
    }

    pub(super) async fn finish(self, close: Option<Close>) -> String {
        self.pipe.finish(End::ClientClosed, close.as_ref(), 1000).await;
        self.socket.text()
    }
}

pub(super) fn frame(text: &str) -> Arc<Frame> {
    Frame::ordered(Encoded::from_payload(FrameKind::Text, text.as_bytes()))
}

/// What a client sends: nothing, until the test says that the transport ends.
#[derive(Clone, Default)]
pub(super) struct Script(Arc<Mutex<(VecDeque<Inbound>, Option<Waker>)>>);

impl Script {
    pub(super) fn lose(&self) {
        self.say(Inbound::Lost);
    }

    pub(super) fn close(&self) {
        self.say(Inbound::Closed);
    }

    pub(super) fn say(&self, what: Inbound) {
        let mut script = self.0.lock();
        script.0.push_back(what);
        if let Some(waker) = script.1.take() {
            waker.wake();
        }
    }
}

impl Source for Script {
    fn poll_read(&mut self, cx: &mut Context<'_>, _out: &mut BytesMut) -> Poll<Inbound> {
        let mut script = self.0.lock();
        match script.0.front() {
            Some(Inbound::Data) => Poll::Ready(script.0.pop_front().unwrap_or(Inbound::Lost)),
            Some(&what) => Poll::Ready(what),
            None => {
                script.1 = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// A socket that takes everything until it is told to stop reading.
#[derive(Default)]
pub(super) struct FakeSocket {
    pub(super) stopped: AtomicBool,
    pub(super) was_reset: AtomicBool,
    pub(super) taken: Mutex<Vec<u8>>,
    pub(super) writes: AtomicUsize,
    pub(super) readable: Notify,
    /// Of transport pings that were asked for.
    pub(super) stamps: Mutex<Vec<u64>>,
}

impl FakeSocket {
    pub(super) fn stop_reading(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    pub(super) fn read_on(&self) {
        self.stopped.store(false, Ordering::Relaxed);
        self.readable.notify_waiters();
    }

    /// Payloads one after another, without frame headers and record separators.
    pub(super) fn text(&self) -> String {
        let printable = |b: &u8| b.is_ascii_graphic() || *b == b' ';
        self.taken.lock().iter().filter(|b| printable(b)).map(|&b| b as char).collect()
    }
}

impl Sink for FakeSocket {
    fn try_write(&self, frames: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.writes.fetch_add(1, Ordering::Relaxed);
        let mut taken = self.taken.lock();
        let mut count = 0;
        for frame in frames {
            // A header of two bytes for what these tests send; its length byte may be printable.
            let header = if frame.first() == Some(&0x81) { 2 } else { 0 };
            taken.extend_from_slice(&frame[header..]);
            count += frame.len();
        }
        Ok(count)
    }

    fn writable(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.readable.notified())
    }

    fn close_frame(&self, code: u16) -> Bytes {
        format!("[close {code}]").into()
    }

    fn ping_frame(&self, stamp: u64) -> Option<Bytes> {
        self.stamps.lock().push(stamp);
        Some(Bytes::from_static(&[0x89, 0]))
    }

    fn shutdown(&self) {}

    fn reset(&self) {
        self.was_reset.store(true, Ordering::Relaxed);
    }
}
