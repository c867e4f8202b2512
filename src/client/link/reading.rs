//! What the server says, and the silence when it says nothing.

use std::sync::Arc;

use bytes::BytesMut;
use futures_util::stream::SplitStream;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Message;

use super::{End, LAST_WORDS, Parts};
use crate::client::dial::Socket;
use crate::client::error::Closed;
use crate::client::handlers::Heard;
use crate::client::handling::arrived;
use crate::protocol::{Close, HubMessage, Invocation, encode};

const SERVER_TIMEOUT: &str = "Server timeout elapsed without receiving a message from the server.";

impl Parts<'_> {
    pub(super) async fn read(
        &self,
        stream: &mut SplitStream<Socket>,
        received: &mut BytesMut,
    ) -> End {
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
                Ok(Some(message)) => {
                    let length = message.len();
                    let decoded = protocol.decode(message);
                    decoded.map(|decoded| (decoded, length)).map_err(|error| error.to_string())
                }
                Ok(None) => return None,
                Err(error) => Err(error.to_string()),
            };
            let end = match message {
                Ok((message, length)) if self.is_expected(&message, length) => {
                    self.receive(message).await
                }
                Ok(_) => None,
                Err(error) => Some(End::Final(Closed::lost(error))),
            };
            if end.is_some() {
                return end;
            }
        }
    }

    async fn receive(&self, message: HubMessage) -> Option<End> {
        let calls = &self.shared.calls;
        match message {
            HubMessage::Invocation(invocation) => self.invoked(invocation).await,
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
    fn is_expected(&self, message: &HubMessage, length: usize) -> bool {
        let Some(stateful) = self.stateful else { return true };
        let mut resume = stateful.resume.lock();
        if resume.awaits_sequence() {
            return matches!(message, HubMessage::Sequence(_) | HubMessage::Close(_));
        }
        if !message.is_trackable() {
            return true;
        }
        let is_new = resume.receiving(length);
        if resume.must_ack() {
            stateful.ack_now.notify_one();
        }
        is_new
    }

    /// Runs handlers here, lets questions be answered beside, and messages be handled in their turn.
    async fn invoked(&self, invocation: Invocation) {
        let id = invocation.id.clone();
        let protocol = self.shared.protocol;
        let answering = match self.shared.handlers.receive(protocol, invocation) {
            Heard::Done => return,
            Heard::Beside(answering) => answering,
            Heard::InTurn(handler, event, asked) => {
                return arrived(&self.shared, handler, event, asked).await;
            }
        };
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
