//! What is queued, pings, acks and cancellations, on their way into the socket.

use bytes::Bytes;
use futures_util::SinkExt;
use futures_util::stream::SplitSink;
use tokio::sync::mpsc;
use tokio::time::{Duration, Interval, MissedTickBehavior, interval, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

use super::{End, LAST_WORDS, Parts};
use crate::client::dial::{Socket, text};
use crate::client::error::Closed;
use crate::client::words::{Word, invocations};
use crate::protocol::{Close, Protocol, encode};

/// Messages in one flush.
const BATCH_MESSAGES_MAX: usize = 64;
/// As the .NET client's timer (section 5.12).
const ACK_INTERVAL: Duration = Duration::from_secs(1);

impl Parts<'_> {
    pub(super) async fn write(
        &self,
        sink: &mut SplitSink<Socket, Message>,
        prologue: Vec<Message>,
        outgoing: &mut mpsc::Receiver<Bytes>,
    ) -> End {
        let protocol = self.shared.protocol;
        let mut pings = interval(self.shared.settings.keep_alive); // the first one at once (3.5)
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first one at once: after a cut the last Ack may be lost, and the server may wait for it.
        let mut acks = interval(ACK_INTERVAL);
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
                words = self.shared.words.due(), if has_room => self.tell(words, &mut batch),
                _ = pings.tick() => batch.push(self.frame(encode::ping(protocol).payload())),
                number = self.ack_due(&mut acks) => {
                    batch.push(self.frame(encode::ack(protocol, number).payload()));
                }
                () = self.room(), if !has_room => {}
            }
        }
        self.take(outgoing, &mut batch, usize::MAX);
        self.tell(self.shared.words.take(), &mut batch);
        batch.push(self.frame(encode::close(protocol, &Close::default()).payload()));
        batch.push(Message::Close(None)); // without a status code, as JavaScript (7.3)
        if let Err(end) = self.flush(sink, &mut batch).await {
            return end;
        }
        sleep(self.shared.settings.close_timeout).await; // the reader ends this when the server does
        End::Stopped
    }

    /// What the handlers of messages had to say.
    fn tell(&self, words: Vec<Word>, batch: &mut Vec<Message>) {
        for invocation in invocations(self.shared.protocol, words) {
            batch.push(self.tracked(invocation.payload()));
        }
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

    /// Waits until something is to be acked, by the timer or because it is much. Loses nothing when
    /// dropped while it waits.
    async fn ack_due(&self, timer: &mut Interval) -> i64 {
        let Some(stateful) = self.stateful else { return std::future::pending().await };
        loop {
            tokio::select! {
                _ = timer.tick() => {}
                () = stateful.ack_now.notified() => {}
            }
            if let Some(number) = stateful.resume.lock().take_ack() {
                return number;
            }
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

    pub(super) fn frame(&self, payload: Bytes) -> Message {
        match self.shared.protocol {
            // Our own JSON is UTF-8; if it were not, the server would say so of a binary frame.
            Protocol::Json => text(payload.clone()).unwrap_or(Message::Binary(payload)),
            Protocol::MessagePack => Message::Binary(payload),
        }
    }
}
