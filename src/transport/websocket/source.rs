//! The reading side of a WebSocket: no buffer of its own while nothing comes.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;

use super::frames::{FrameReader, Violation};
use super::socket::Socket;
use crate::connections::{Inbound, Source};
use crate::transport::Metrics;

/// One read takes at most so much; all connections of a thread share the buffer.
const SCRATCH: usize = 65_536;
/// Close code for a broken frame (RFC 6455, 7.4.1).
const CODE_PROTOCOL_ERROR: u16 = 1002;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into_boxed_slice());
}

/// Reads the frames of one socket.
pub(super) struct Frames {
    socket: Arc<Socket>,
    reader: FrameReader,
    /// What came together with the request of the upgrade.
    early: Vec<u8>,
    /// The last word, once it is known.
    said: Option<Inbound>,
    metrics: Arc<Metrics>,
}

impl Frames {
    pub(super) fn new(socket: Arc<Socket>, early: Vec<u8>, metrics: Arc<Metrics>) -> Self {
        Self { socket, reader: FrameReader::default(), early, said: None, metrics }
    }

    /// What one read brought. None when it was nothing for the session.
    fn take(&mut self, bytes: &mut [u8], out: &mut BytesMut) -> Option<Inbound> {
        let before = out.len();
        match self.reader.feed(bytes, out) {
            Ok(fed) => {
                if fed.closed {
                    self.said = Some(Inbound::Closed);
                }
                if (fed.pong.is_some() || fed.ponged.is_some())
                    && let Some(connection) = self.socket.connection()
                {
                    if let Some(pong) = fed.pong {
                        connection.send_pong(pong);
                    }
                    if let Some(stamp) = fed.ponged {
                        connection.ponged(stamp);
                    }
                }
            }
            Err(violation) => self.refuse(violation),
        }
        if out.len() > before { Some(Inbound::Data) } else { self.said }
    }

    fn refuse(&mut self, violation: Violation) {
        self.metrics.websocket_violations.inc();
        tracing::debug!(%violation, "a client broke the WebSocket protocol");
        self.socket.refuse(CODE_PROTOCOL_ERROR);
        self.said = Some(Inbound::Lost);
    }

    /// The end of the stream without a close frame.
    fn eof(&mut self) -> Inbound {
        let why = if self.socket.has_closed() { Inbound::Closed } else { Inbound::Lost };
        *self.said.insert(why)
    }
}

impl Source for Frames {
    fn poll_read(&mut self, cx: &mut Context<'_>, out: &mut BytesMut) -> Poll<Inbound> {
        if let Some(said) = self.said {
            return Poll::Ready(said);
        }
        if !self.early.is_empty() {
            let mut early = std::mem::take(&mut self.early);
            if let Some(inbound) = self.take(&mut early, out) {
                return Poll::Ready(inbound);
            }
        }
        loop {
            if ready!(self.socket.stream.poll_read_ready(cx)).is_err() {
                return Poll::Ready(self.eof());
            }
            let inbound =
                BUFFER.with_borrow_mut(|buffer| match self.socket.stream.try_read(buffer) {
                    Ok(0) => Some(self.eof()),
                    Ok(length) => self.take(&mut buffer[..length], out),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => None,
                    Err(error) if error.kind() == ErrorKind::Interrupted => None,
                    Err(_) => Some(self.eof()),
                });
            if let Some(inbound) = inbound {
                return Poll::Ready(inbound);
            }
        }
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        self.socket.end();
    }
}
