//! One WebSocket of a client: its reader and its writer, side by side in one task.

mod reading;
mod writing;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Duration, timeout};
use tokio_tungstenite::tungstenite::Message;

use super::dial::Socket;
use super::error::Closed;
use super::resume::Resume;
use super::session::Shared;
use crate::protocol::encode;

/// After a failed write, for the reader to find out why: the server's Close may still be there.
/// And after a close frame, for our answer to it.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How a link ended.
pub(super) enum End {
    /// The socket is gone; a stateful connection goes on with another one.
    Lost(Closed),
    /// The connection is over.
    Final(Closed),
    /// We have said Close and waited for the server long enough.
    Stopped,
}

/// The counting of a stateful connection, for all its links.
pub(super) struct Stateful {
    resume: Mutex<Resume>,
    /// An Ack has come.
    room: Notify,
    /// An Ack is to go out before its time.
    ack_now: Notify,
}

impl Stateful {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            resume: Mutex::new(Resume::new(bytes_max)),
            room: Notify::new(),
            ack_now: Notify::new(),
        }
    }
}

/// One socket and what belongs to it.
pub(super) struct Link<'s> {
    sink: SplitSink<Socket, Message>,
    stream: SplitStream<Socket>,
    received: BytesMut,
    /// Goes out before anything else.
    prologue: Vec<Message>,
    parts: Parts<'s>,
}

/// What reader and writer have in common.
struct Parts<'s> {
    shared: Arc<Shared>,
    stateful: Option<&'s Stateful>,
}

impl<'s> Link<'s> {
    pub(super) fn new(
        shared: Arc<Shared>,
        stateful: Option<&'s Stateful>,
        socket: Socket,
        received: BytesMut,
    ) -> Self {
        let (sink, stream) = socket.split();
        let parts = Parts { shared, stateful };
        Self { sink, stream, received, prologue: Vec::new(), parts }
    }

    /// This link takes the place of a lost one: Sequence, and all that is not acked, go first.
    pub(super) fn resumes(&mut self) {
        let Some(stateful) = self.parts.stateful else { return };
        let (first, unacked) = stateful.resume.lock().reopen();
        let sequence = encode::sequence(self.parts.shared.protocol, first).payload();
        let payloads = std::iter::once(sequence).chain(unacked);
        self.prologue = payloads.map(|payload| self.parts.frame(payload)).collect();
    }

    /// Reads and writes until one of them has a reason to end.
    pub(super) async fn run(&mut self, outgoing: &mut mpsc::Receiver<Bytes>) -> End {
        let prologue = std::mem::take(&mut self.prologue);
        tokio::select! {
            end = self.parts.read(&mut self.stream, &mut self.received) => end,
            end = self.parts.write(&mut self.sink, prologue, outgoing) => end,
        }
    }

    /// The closing handshake of the WebSocket.
    pub(super) async fn close(&mut self) {
        let closing = async {
            // That it is closed already is no error.
            let _ = self.sink.close().await;
            while let Some(Ok(_)) = self.stream.next().await {}
        };
        let _ = timeout(self.parts.shared.settings.close_timeout, closing).await;
    }
}
