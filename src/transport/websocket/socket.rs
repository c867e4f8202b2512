//! The writing side of a WebSocket: whole frames, straight to the socket.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use socket2::SockRef;
use tokio::net::TcpStream;

use super::frames::{close_frame, ping_frame};
use crate::connections::{Connection, Sink};
use crate::transport::accept::Permit;

/// A TCP socket after its upgrade, shared by its source and the outbox it drains.
pub(super) struct Socket {
    pub(super) stream: TcpStream,
    /// Whose pings are answered; weak, as the connection's outbox holds the socket.
    connection: OnceLock<Weak<Connection>>,
    close_sent: AtomicBool,
    _permit: Permit,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, permit: Permit) -> Arc<Self> {
        Arc::new(Self {
            stream,
            connection: OnceLock::new(),
            close_sent: AtomicBool::new(false),
            _permit: permit,
        })
    }

    /// Whose socket it is, from now on.
    pub(super) fn belongs_to(&self, connection: &Arc<Connection>) {
        let _ = self.connection.set(Arc::downgrade(connection));
    }

    pub(super) fn connection(&self) -> Option<Arc<Connection>> {
        self.connection.get().and_then(Weak::upgrade)
    }

    /// Whether our close frame is written or about to be.
    pub(super) fn has_closed(&self) -> bool {
        self.close_sent.load(Ordering::Acquire)
    }

    /// Says why and stops, past the outbox. When a frame was half written the client cannot read
    /// the reason; it has broken the protocol anyway.
    pub(super) fn refuse(&self, code: u16) {
        let _ = self.stream.try_write(&close_frame(code));
        self.shutdown();
    }

    /// Both directions, so that whoever waits for the socket is woken.
    pub(super) fn end(&self) {
        let _ = SockRef::from(&self.stream).shutdown(Shutdown::Both);
    }
}

impl Sink for Socket {
    fn try_write(&self, frames: &[IoSlice<'_>]) -> io::Result<usize> {
        match frames {
            // Measured: the kernel takes one buffer some per cent cheaper than a list of one.
            [frame] => self.stream.try_write(frame),
            _ => self.stream.try_write_vectored(frames),
        }
    }

    fn writable(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            // An error shows at the next write.
            let _ = self.stream.writable().await;
        })
    }

    fn close_frame(&self, code: u16) -> Bytes {
        self.close_sent.store(true, Ordering::Release);
        close_frame(code)
    }

    fn ping_frame(&self, stamp: u64) -> Option<Bytes> {
        Some(ping_frame(stamp))
    }

    fn shutdown(&self) {
        let _ = SockRef::from(&self.stream).shutdown(Shutdown::Write);
    }

    fn reset(&self) {
        // The reset itself comes when the last owner drops the socket: the flusher, which may wait
        // for it, is woken by the shutdown and lets go.
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        self.end();
    }
}
