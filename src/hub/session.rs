//! One client's conversation after its handshake: a loop in a single task, that reads, dispatches,
//! and polls the calls that are under way.
//!
//! Written by hand as one `poll`, so that a call that need not wait costs one allocation and no
//! wake, and an idle session is a few machine words.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;

use super::counting::{Counting, Tracked};
use super::definition::Hub;
use super::farewell::Farewell;
use super::greeting::Greeted;
use super::seat::Seat;
use crate::connections::{End, Pipe, Read};
use crate::protocol::{HubMessage, Protocol};

/// Messages and reads of one turn; then other connections have theirs.
const STEPS_PER_TURN: usize = 128;
/// Bytes that are read ahead while the loop waits for one of its own, to notice the end of the
/// transport.
const READ_AHEAD_MAX: usize = 65_536;

/// One client's conversation.
pub(super) struct Session<H: Hub> {
    pub(super) pipe: Pipe,
    pub(super) seat: Arc<Seat<H>>,
    pub(super) protocol: Protocol,
    buffer: BytesMut,
    /// Calls that wait for something.
    pub(super) calls: FuturesUnordered<BoxFuture<'static, ()>>,
    /// The next message, when it waits for a permit or for room in an upload.
    held: Option<Box<HubMessage>>,
    counting: Option<Box<Counting>>,
    pub(super) last_call: u64,
}

/// What became of a message.
pub(super) enum Handled {
    /// The next one, please.
    Done,
    /// Not yet: it has to wait, and all behind it.
    Held(HubMessage),
    /// The conversation is over.
    Over(Farewell),
}

impl<H: Hub> Session<H> {
    pub(super) fn new(greeted: Greeted, seat: Arc<Seat<H>>) -> Self {
        let Greeted { pipe, protocol, stateful, buffer } = greeted;
        Self {
            pipe,
            seat,
            protocol,
            buffer,
            calls: FuturesUnordered::new(),
            held: None,
            counting: stateful.then(|| Box::new(Counting::new())),
            last_call: 0,
        }
    }

    /// Talks until the end, and says how to end.
    pub(super) async fn run(&mut self) -> Farewell {
        std::future::poll_fn(|cx| self.poll_turn(cx)).await
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Farewell> {
        for _ in 0..STEPS_PER_TURN {
            self.poll_calls(cx);
            if let Some(end) = self.pipe.connection().ended() {
                return Poll::Ready(self.farewell(end));
            }
            let handled = match self.next(cx) {
                Next::Message(message) => self.handle(message, cx),
                Next::Read => match self.pipe.poll_read(cx, &mut self.buffer) {
                    Poll::Ready(Read::Data) => continue,
                    Poll::Ready(Read::Resumed) => {
                        self.resumed();
                        continue;
                    }
                    Poll::Ready(Read::Ended(end)) => return Poll::Ready(self.farewell(&end)),
                    Poll::Pending => {
                        self.tidy();
                        return Poll::Pending;
                    }
                },
                Next::Wait => match self.poll_ahead(cx) {
                    Poll::Ready(end) => return Poll::Ready(self.farewell(&end)),
                    Poll::Pending => return Poll::Pending,
                },
                Next::Broken(farewell) => Handled::Over(farewell),
            };
            match handled {
                Handled::Done => {}
                Handled::Held(message) => {
                    self.pipe.connection().set_busy(true);
                    self.held = Some(Box::new(message));
                }
                Handled::Over(farewell) => return Poll::Ready(farewell),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_calls(&mut self, cx: &mut Context<'_>) {
        if self.calls.is_empty() {
            return;
        }
        while let Poll::Ready(Some(())) = self.calls.poll_next_unpin(cx) {}
    }

    /// The next message to handle, or what to do because there is none.
    fn next(&mut self, cx: &mut Context<'_>) -> Next {
        if let Some(held) = self.held.take() {
            if !self.may_go_on(&held, cx) {
                self.held = Some(held);
                return Next::Wait;
            }
            self.pipe.connection().set_busy(false);
            return Next::Message(*held);
        }
        let limit = self.seat.core.house.options.message_bytes_max;
        let message = match self.protocol.split(&mut self.buffer, limit) {
            Ok(Some(bytes)) => self.protocol.decode(bytes),
            Ok(None) => return Next::Read,
            Err(error) => return Next::Broken(self.fault("InvalidDataException", &error)),
        };
        let message = match message {
            Ok(message) => message,
            Err(error) => return Next::Broken(self.fault("InvalidDataException", &error)),
        };
        self.pipe.connection().heard(matches!(message, HubMessage::Ping));
        if let Some(counting) = &mut self.counting
            && message.is_trackable()
        {
            match counting.tracked() {
                Tracked::News(count) => self.pipe.connection().set_received(count),
                Tracked::Repeated => return Next::Message(HubMessage::Unknown(0)),
            }
        }
        Next::Message(message)
    }

    /// Reads on, so that the end of the transport is noticed while the loop waits for one of its own.
    pub(super) fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        while self.buffer.len() < READ_AHEAD_MAX {
            match self.pipe.poll_read(cx, &mut self.buffer) {
                Poll::Ready(Read::Data) => {}
                Poll::Ready(Read::Resumed) => self.resumed(),
                Poll::Ready(Read::Ended(end)) => return Poll::Ready(end),
                Poll::Pending => return Poll::Pending,
            }
        }
        let ended = std::pin::pin!(self.pipe.ended());
        ended.poll(cx)
    }

    /// A new socket: the client sends everything again that was not counted, so what was read but
    /// not counted is void, a message cut in two included.
    fn resumed(&mut self) {
        self.buffer.clear();
    }

    /// An idle session holds no buffer.
    fn tidy(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
    }

    /// The client says which of its messages comes next.
    pub(super) fn sequence(&mut self, number: i64) -> Handled {
        let Some(counting) = &mut self.counting else { return Handled::Done };
        match counting.sequence(number) {
            Ok(()) => Handled::Done,
            Err(error) => Handled::Over(self.fault("InvalidOperationException", &error)),
        }
    }

    fn farewell(&self, end: &End) -> Farewell {
        Farewell::after(end, self.seat.core.house.options.detailed_errors)
    }

    /// The client broke the rules.
    pub(super) fn fault(&self, kind: &'static str, error: &dyn std::fmt::Display) -> Farewell {
        let text = error.to_string();
        Farewell::fault(kind, text, self.seat.core.house.options.detailed_errors)
    }
}

enum Next {
    Message(HubMessage),
    /// The buffer holds no complete message.
    Read,
    /// A message is held.
    Wait,
    Broken(Farewell),
}
