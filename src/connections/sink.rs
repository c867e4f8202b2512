//! The seams between a transport, a connection and whoever talks over it.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;

use super::pipe::Pipe;

/// Hears what becomes of one connection's marked frames. Called without a lock of this room, so it
/// may append in its turn; it must not block.
pub trait Witness: Send + Sync + 'static {
    /// These frames were completely handed to the transport, in this order. `room`: there is room
    /// again after a marked frame was refused for want of it.
    fn written(&self, marks: &[NonZeroU64], room: bool);
    /// The socket is gone, and a new one may take over.
    fn parked(&self);
    /// A new socket has taken over, and what was not acked by the transport is being replayed.
    fn resumed(&self);
}

/// Where frames go when the flusher may write them itself: a socket that takes whole WebSocket
/// frames. All calls are non-blocking.
pub trait Sink: Send + Sync + 'static {
    /// One vectored write. `WouldBlock` when the socket takes nothing.
    fn try_write(&self, frames: &[IoSlice<'_>]) -> io::Result<usize>;
    /// Completes when a write may succeed again, or the socket is over.
    fn writable(&self) -> BoxFuture<'_, ()>;
    /// The transport's own last word with a code (WebSocket close frame).
    fn close_frame(&self, code: u16) -> Bytes;
    /// A ping of the transport's own that comes back with the stamp in it, through
    /// [`super::Connection::ponged`]. None where a transport has no such thing.
    fn ping_frame(&self, _stamp: u64) -> Option<Bytes> {
        None
    }
    /// Ends the socket in good order, after what was written.
    fn shutdown(&self);
    /// Ends the socket at once (TCP reset).
    fn reset(&self);
}

/// Where the bytes of a client come from.
pub trait Source: Send + 'static {
    /// Appends what has arrived to `out`; at most some tens of kilobytes a call. Once it has said
    /// `Closed` or `Lost` it says so again when asked again.
    fn poll_read(&mut self, cx: &mut Context<'_>, out: &mut BytesMut) -> Poll<Inbound>;
}

/// What a [`Source`] has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inbound {
    /// Bytes were appended.
    Data,
    /// The client ended the transport in good order.
    Closed,
    /// The transport broke.
    Lost,
}

/// How frames leave an outbox.
pub enum Outlet {
    /// The flusher writes to the sink.
    Direct(Arc<dyn Sink>),
    /// A task of the transport takes frames with [`super::Connection::pull`].
    Pulled,
}

/// What a client asked for when it opened its connection.
#[derive(Clone, Debug, Default)]
pub struct Opening {
    /// The query of the request without the token and credentials, still percent-encoded.
    pub query: Box<str>,
    /// The peer's address, when the transport knows it.
    pub peer: Option<SocketAddr>,
}

/// Who talks with the clients of one path.
pub trait Endpoint: Send + Sync + 'static {
    /// Talks until the connection is over. The transport spawns it, once per connection.
    fn converse(&self, pipe: Pipe, opening: Opening) -> BoxFuture<'static, ()>;
}
