//! The socket of a client in memory, for the tests of the rooms above: it takes what it is given, and
//! says nothing.

use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Notify;

use super::{Inbound, Sink, Source};
use crate::protocol::{HubMessage, Invocation, Protocol};

/// A client that never says anything.
pub(crate) struct Silent;

impl Source for Silent {
    fn poll_read(&mut self, _cx: &mut Context<'_>, _out: &mut BytesMut) -> Poll<Inbound> {
        Poll::Pending
    }
}

/// Takes everything until it is told to stop.
#[derive(Default)]
pub(crate) struct Socket {
    stopped: AtomicBool,
    taken: Mutex<Vec<u8>>,
    readable: Notify,
}

impl Socket {
    pub(crate) fn stop_reading(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    pub(crate) fn read_on(&self) {
        self.stopped.store(false, Ordering::Relaxed);
        self.readable.notify_waiters();
    }

    /// Whether the last that was written is the close frame of an ordinary end.
    pub(crate) fn is_closed(&self) -> bool {
        self.taken.lock().ends_with(&[0x88, 2, 3, 0xe8])
    }

    /// The hub messages that were written, without their frames.
    pub(crate) fn messages(&self) -> Vec<Value> {
        let message = |payload: Vec<u8>| {
            let text = payload.strip_suffix(&[0x1e]).unwrap();
            serde_json::from_slice(text).unwrap()
        };
        self.payloads().into_iter().map(message).collect()
    }

    /// The invocations that were written to a client that speaks MessagePack.
    pub(crate) fn packed_invocations(&self) -> Vec<Invocation> {
        let message = |payload: Vec<u8>| {
            let mut bytes = BytesMut::from(&payload[..]);
            let message = Protocol::MessagePack.split(&mut bytes, 65_536).unwrap().unwrap();
            match Protocol::MessagePack.decode(message).unwrap() {
                HubMessage::Invocation(invocation) => Some(invocation),
                _ => None,
            }
        };
        self.payloads().into_iter().filter_map(message).collect()
    }

    /// The payloads of the complete frames that were written.
    fn payloads(&self) -> Vec<Vec<u8>> {
        let taken = self.taken.lock();
        let mut rest = &taken[..];
        let mut payloads = Vec::new();
        while let [0x81 | 0x82, short, ..] = rest {
            let (header, length) = match short {
                126 => (4, usize::from(u16::from_be_bytes([rest[2], rest[3]]))),
                127 => panic!("longer than tests need"),
                short => (2, usize::from(*short)),
            };
            let Some(payload) = rest.get(header..header + length) else { break };
            payloads.push(payload.to_vec());
            rest = &rest[header + length..];
        }
        payloads
    }
}

impl Sink for Socket {
    fn try_write(&self, frames: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut taken = self.taken.lock();
        let before = taken.len();
        frames.iter().for_each(|frame| taken.extend_from_slice(frame));
        Ok(taken.len() - before)
    }

    fn writable(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.readable.notified())
    }

    fn close_frame(&self, code: u16) -> Bytes {
        let [high, low] = code.to_be_bytes();
        Bytes::copy_from_slice(&[0x88, 2, high, low])
    }

    fn shutdown(&self) {}

    fn reset(&self) {}
}
