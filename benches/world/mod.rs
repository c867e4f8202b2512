//! A node with sockets in memory, for the benches: built from what a user of the crate sees.

#![allow(dead_code, reason = "each bench takes its part of it")]

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use conduit_realtime::connections::{
    Config, Connection, Connections, Inbound, Metrics, NewConnection, Outlet, Pipe, Settings, Sink,
    Source,
};
use conduit_realtime::model::{Caller, TransportKind};
use conduit_realtime::protocol::Protocol;
use futures_util::future::{BoxFuture, pending, ready};
use prometheus::Registry;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The hub of every connection here.
pub(crate) const HUB: &str = "bench";

/// One node.
pub(crate) struct World {
    pub(crate) node: Arc<Connections>,
    pub(crate) tasks: TaskTracker,
    written: Arc<AtomicUsize>,
    stop: CancellationToken,
    caller: Arc<Caller>,
    settings: Arc<Settings>,
}

/// One connection; it is over when this is dropped.
pub(crate) struct Member {
    pub(crate) connection: Arc<Connection>,
    _pipe: Pipe,
}

/// What the client of a connection reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Everything, at once.
    All,
    /// Nothing any more.
    Nothing,
}

impl World {
    /// A node with one flusher, which [`World::start`] starts.
    pub(crate) fn new(config: &Config) -> Self {
        let metrics = Metrics::new(&Registry::new()).unwrap();
        Self {
            node: Connections::new(config, 1, metrics),
            tasks: TaskTracker::new(),
            written: Arc::default(),
            stop: CancellationToken::new(),
            caller: Arc::default(),
            settings: Arc::default(),
        }
    }

    /// Starts the flusher on the runtime that this is called on.
    pub(crate) fn start(&self) {
        self.node.start(&self.tasks, &self.stop);
    }

    /// A connection after its handshake.
    pub(crate) fn member(&self, id: &str, protocol: Protocol, reading: Reading) -> Member {
        let new = NewConnection {
            id: id.into(),
            hub: HUB.into(),
            caller: self.caller.clone(),
            peer: None,
            agent: None,
            transport: TransportKind::WebSockets,
            settings: self.settings.clone(),
            binary: true,
            pings: false,
            resumable: false,
        };
        let socket = Socket { written: self.written.clone(), reading };
        let outlet = Outlet::Direct(Arc::new(socket));
        let (connection, pipe) = self.node.open(new, Box::new(Silence), outlet);
        connection.begin(protocol, false);
        Member { connection, _pipe: pipe }
    }

    /// Lets the flusher work until this many bytes have been written since the world began.
    pub(crate) async fn until_written(&self, bytes: usize) {
        while self.written() < bytes {
            tokio::task::yield_now().await;
        }
    }

    /// Bytes that the sockets have taken, frame headers included.
    pub(crate) fn written(&self) -> usize {
        self.written.load(Ordering::Relaxed)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A socket without a kernel: what it costs to write is left out.
struct Socket {
    written: Arc<AtomicUsize>,
    reading: Reading,
}

impl Sink for Socket {
    fn try_write(&self, frames: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.reading == Reading::Nothing {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let taken = frames.iter().map(|frame| frame.len()).sum();
        self.written.fetch_add(taken, Ordering::Relaxed);
        Ok(taken)
    }

    fn writable(&self) -> BoxFuture<'_, ()> {
        match self.reading {
            Reading::All => Box::pin(ready(())),
            Reading::Nothing => Box::pin(pending()),
        }
    }

    fn close_frame(&self, _code: u16) -> Bytes {
        Bytes::new()
    }

    fn shutdown(&self) {}

    fn reset(&self) {}
}

/// A client that says nothing.
struct Silence;

impl Source for Silence {
    fn poll_read(&mut self, _cx: &mut Context<'_>, _out: &mut BytesMut) -> Poll<Inbound> {
        Poll::Pending
    }
}
