//! One WebSocket of a client: its reader and its writer, side by side in one task.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{FutureExt, SinkExt, StreamExt};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio::time::{
    Duration, Instant, MissedTickBehavior, interval, interval_at, sleep, sleep_until, timeout,
};
use tokio_tungstenite::tungstenite::Message;

use super::dial::{Socket, text};
use super::error::Closed;
use super::resume::Resume;
use super::session::Shared;
use crate::protocol::{Close, HubMessage, Invocation, Protocol, encode};

/// Messages in one flush.
const BATCH_MESSAGES_MAX: usize = 64;
/// As the .NET client's timer (section 5.12).
const ACK_INTERVAL: Duration = Duration::from_secs(1);
/// After a failed write, for the reader to find out why: the server's Close may still be there.
const LAST_WORDS: Duration = Duration::from_secs(1);
const SERVER_TIMEOUT: &str = "Server timeout elapsed without receiving a message from the server.";

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
    room: Notify,
}

impl Stateful {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { resume: Mutex::new(Resume::new(bytes_max)), room: Notify::new() }
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

// Reading.
impl Parts<'_> {
    async fn read(&self, stream: &mut SplitStream<Socket>, received: &mut BytesMut) -> End {
        let server_timeout = self.shared.settings.server_timeout;
        let mut last = Instant::now();
        let silence = sleep_until(last + server_timeout);
        tokio::pin!(silence);
        loop {
            if let Some(end) = self.receive_all(received).await {
                return end;
            }
            tokio::select! {
                message = stream.next() => match message {
                    Some(Ok(Message::Text(text))) => received.extend_from_slice(text.as_bytes()),
                    Some(Ok(Message::Binary(bytes))) => received.extend_from_slice(&bytes),
                    Some(Ok(Message::Close(frame))) => {
                        let frame = frame.map(|f| (u16::from(f.code), f.reason.to_string()));
                        // One more read sends our answer and sees the end of the stream.
                        let _ = timeout(LAST_WORDS, stream.next()).await;
                        return End::Lost(closed_by_frame(frame));
                    }
                    Some(Ok(_)) => continue, // WebSocket's own pings are no sign of the hub
                    Some(Err(_)) | None => return End::Lost(closed_by_frame(Some((1006, String::new())))),
                },
                // The timer is moved only when it fires, not with every message.
                () = &mut silence => {
                    if last.elapsed() >= server_timeout {
                        return End::Final(Closed::lost(SERVER_TIMEOUT));
                    }
                    silence.as_mut().reset(last + server_timeout);
                    continue;
                }
            }
            last = Instant::now();
        }
    }

    async fn receive_all(&self, received: &mut BytesMut) -> Option<End> {
        let protocol = self.shared.protocol;
        let limit = self.shared.settings.message_bytes_max;
        loop {
            let message = match protocol.split(received, limit) {
                Ok(Some(message)) => protocol.decode(message).map_err(|error| error.to_string()),
                Ok(None) => return None,
                Err(error) => Err(error.to_string()),
            };
            let end = match message {
                Ok(message) => self.receive(message).await,
                Err(error) => Some(End::Final(Closed::lost(error))),
            };
            if end.is_some() {
                return end;
            }
        }
    }

    async fn receive(&self, message: HubMessage) -> Option<End> {
        if !self.is_expected(&message) {
            return None;
        }
        let calls = &self.shared.calls;
        match message {
            HubMessage::Invocation(invocation) => self.invoked(invocation),
            HubMessage::StreamItem { id, item } => {
                if let Some(items) = calls.stream(&id)
                    && let Err(mpsc::error::TrySendError::Full(item)) = items.try_send(item)
                    && let waited = timeout(self.shared.settings.consumer_timeout, items.send(item))
                    && waited.await.is_err()
                {
                    calls.give_up(&id);
                }
            }
            HubMessage::Completion(completion) => {
                if let Some(reply) = calls.complete(&completion.id) {
                    reply.complete(completion.outcome);
                }
            }
            HubMessage::Close(Close { error, allow_reconnect }) => {
                return Some(End::Final(Closed { error, allow_reconnect }));
            }
            HubMessage::Ack(number) => {
                if let Some(stateful) = self.stateful {
                    stateful.resume.lock().on_ack(number);
                    stateful.room.notify_one();
                }
            }
            HubMessage::Sequence(number) => {
                if let Some(stateful) = self.stateful
                    && let Err(gap) = stateful.resume.lock().on_sequence(number)
                {
                    return Some(End::Final(Closed::lost(gap.to_string())));
                }
            }
            HubMessage::Unknown(kind) => tracing::trace!(kind, "unknown message type ignored"),
            // Nobody cancels a question (section 5.7).
            HubMessage::Ping | HubMessage::CancelInvocation { .. } => {}
        }
        None
    }

    /// Whether a message is new; always without stateful reconnect.
    fn is_expected(&self, message: &HubMessage) -> bool {
        let Some(stateful) = self.stateful else { return true };
        let mut resume = stateful.resume.lock();
        if resume.awaits_sequence() {
            return matches!(message, HubMessage::Sequence(_) | HubMessage::Close(_));
        }
        !message.is_trackable() || resume.receiving()
    }

    /// Runs handlers here, and lets questions be answered beside.
    fn invoked(&self, invocation: Invocation) {
        let id = invocation.id.clone();
        let protocol = self.shared.protocol;
        let Some(answering) = self.shared.handlers.receive(protocol, invocation) else { return };
        let shared = Arc::downgrade(&self.shared);
        let work = async move {
            if let Some(answer) = answering.await
                && let Some(shared) = shared.upgrade()
            {
                let _ = shared.put(answer).await; // too late to tell anybody
            }
        };
        if self.shared.side_work.try_send(work.boxed()).is_err()
            && let Some(id) = id
        {
            let busy = encode::completion_error(protocol, &id, "The client is busy.");
            // The reader must not wait for the writer; without an answer the asker's deadline ends it.
            let _ = self.shared.outgoing.try_send(busy.payload());
        }
    }
}

/// JavaScript's words for the same (section 7.3).
fn closed_by_frame(frame: Option<(u16, String)>) -> Closed {
    let (code, reason) = frame.unwrap_or((1005, String::new()));
    if code == 1000 {
        return Closed { error: None, allow_reconnect: true };
    }
    let reason = if reason.is_empty() { "no reason given" } else { &reason };
    Closed::lost(format!("WebSocket closed with status code: {code} ({reason})."))
}

// Writing.
impl Parts<'_> {
    async fn write(
        &self,
        sink: &mut SplitSink<Socket, Message>,
        prologue: Vec<Message>,
        outgoing: &mut mpsc::Receiver<Bytes>,
    ) -> End {
        let protocol = self.shared.protocol;
        let mut pings = interval(self.shared.settings.keep_alive); // the first one at once (3.5)
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut acks = interval_at(Instant::now() + ACK_INTERVAL, ACK_INTERVAL);
        acks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = prologue;
        loop {
            if let Err(end) = self.flush(sink, &mut batch).await {
                return end;
            }
            let has_room = self.stateful.is_none_or(|stateful| stateful.resume.lock().has_room());
            tokio::select! {
                () = self.shared.stop.cancelled() => break,
                Some(payload) = outgoing.recv(), if has_room => {
                    batch.push(self.tracked(payload));
                    self.take(outgoing, &mut batch, BATCH_MESSAGES_MAX);
                }
                ids = self.shared.calls.cancelled() => {
                    // What is to be cancelled may still wait in the queue; it must go first.
                    self.take(outgoing, &mut batch, usize::MAX);
                    for id in ids {
                        let cancel = encode::cancel_invocation(protocol, &id.to_string());
                        batch.push(self.tracked(cancel.payload()));
                    }
                }
                _ = pings.tick() => batch.push(self.frame(encode::ping(protocol).payload())),
                _ = acks.tick(), if self.stateful.is_some() => {
                    let owed = self.stateful.and_then(|stateful| stateful.resume.lock().take_ack());
                    if let Some(number) = owed {
                        batch.push(self.frame(encode::ack(protocol, number).payload()));
                    }
                }
                () = self.room(), if !has_room => {}
            }
        }
        self.take(outgoing, &mut batch, usize::MAX);
        batch.push(self.frame(encode::close(protocol, &Close::default()).payload()));
        batch.push(Message::Close(None)); // without a status code, as JavaScript (7.3)
        if let Err(end) = self.flush(sink, &mut batch).await {
            return end;
        }
        sleep(self.shared.settings.close_timeout).await; // the reader ends this when the server does
        End::Stopped
    }

    /// Takes what waits, without waiting, until the batch is full or the peer's buffer is.
    fn take(&self, outgoing: &mut mpsc::Receiver<Bytes>, batch: &mut Vec<Message>, max: usize) {
        let has_room = || self.stateful.is_none_or(|stateful| stateful.resume.lock().has_room());
        while batch.len() < max && (max == usize::MAX || has_room()) {
            let Ok(payload) = outgoing.try_recv() else { return };
            batch.push(self.tracked(payload));
        }
    }

    /// Writes a batch, in one go when it is small.
    async fn flush(
        &self,
        sink: &mut SplitSink<Socket, Message>,
        batch: &mut Vec<Message>,
    ) -> Result<(), End> {
        if batch.is_empty() {
            return Ok(());
        }
        let writing = async {
            for frame in batch.drain(..) {
                sink.feed(frame).await?;
            }
            sink.flush().await
        };
        match timeout(self.shared.settings.send_timeout, writing).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                sleep(LAST_WORDS).await;
                Err(End::Lost(Closed::lost(error.to_string())))
            }
            Err(_) => Err(End::Final(Closed::lost("The server does not take what is sent."))),
        }
    }

    async fn room(&self) {
        match self.stateful {
            Some(stateful) => stateful.room.notified().await,
            None => std::future::pending().await,
        }
    }

    /// A frame of types 1 to 5, which a stateful connection counts and keeps.
    fn tracked(&self, payload: Bytes) -> Message {
        if let Some(stateful) = self.stateful {
            stateful.resume.lock().sending(&payload);
        }
        self.frame(payload)
    }

    fn frame(&self, payload: Bytes) -> Message {
        match self.shared.protocol {
            // Our own JSON is UTF-8; if it were not, the server would say so of a binary frame.
            Protocol::Json => text(payload.clone()).unwrap_or(Message::Binary(payload)),
            Protocol::MessagePack => Message::Binary(payload),
        }
    }
}
