//! What a stateful connection was sent and has not acked yet (section 5.12).

use std::collections::VecDeque;
use std::sync::Arc;

use super::frame::Frame;

/// Sent tracked frames, numbered from 1 without gaps, until the client acks them.
#[derive(Debug)]
pub(super) struct Replay {
    frames: VecDeque<Arc<Frame>>,
    /// Number of the first frame in `frames`, or of the next to be sent when it is empty.
    first: u64,
    bytes: usize,
    bytes_max: usize,
    /// Index in `frames` of the next one to be sent again; at their number when there is none.
    resend: usize,
}

impl Replay {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { frames: VecDeque::new(), first: 1, bytes: 0, bytes_max, resend: 0 }
    }

    /// The number that Sequence announces after a resumption.
    pub(super) fn first_unacked(&self) -> u64 {
        self.first
    }

    /// A frame was handed to the socket for the first time.
    pub(super) fn sent(&mut self, frame: Arc<Frame>) {
        debug_assert_eq!(self.resend, self.frames.len(), "old frames go out before new ones");
        self.bytes += frame.len();
        self.frames.push_back(frame);
        self.resend = self.frames.len();
    }

    /// Everything up to and including `number` has arrived. Numbers never sent are no error.
    pub(super) fn acked(&mut self, number: u64) {
        while self.first <= number {
            let Some(frame) = self.frames.pop_front() else { break };
            self.bytes -= frame.len();
            self.first += 1;
            self.resend = self.resend.saturating_sub(1);
        }
        if self.frames.is_empty() && self.frames.capacity() > 64 {
            self.frames = VecDeque::new();
        }
    }

    /// Bytes that may still be sent before an Ack is needed; none when over the (soft) limit.
    pub(super) fn allowance(&self) -> Option<usize> {
        self.bytes_max.checked_sub(self.bytes)
    }

    /// Starts again from the first unacked frame, on a new socket.
    pub(super) fn rewind(&mut self) {
        self.resend = 0;
    }

    /// Every frame that is kept.
    pub(super) fn kept(&self) -> impl Iterator<Item = &Arc<Frame>> {
        self.frames.iter()
    }

    /// Frames that are still to be sent again, in order.
    pub(super) fn to_resend(&self) -> impl Iterator<Item = &Arc<Frame>> {
        self.frames.range(self.resend..)
    }

    /// The first of [`Replay::to_resend`] was handed to the socket.
    pub(super) fn resent(&mut self) -> Option<Arc<Frame>> {
        let frame = self.frames.get(self.resend).cloned();
        self.resend += usize::from(frame.is_some());
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Encoded;
    use crate::protocol::FrameKind;

    fn frame(text: &str) -> Arc<Frame> {
        Frame::ordered(Encoded::from_payload(FrameKind::Text, text.as_bytes()))
    }

    #[test]
    fn an_ack_forgets_what_it_covers_and_no_more() {
        let mut replay = Replay::new(100);
        for text in ["a", "b", "c"] {
            replay.sent(frame(text));
        }
        replay.acked(2);
        assert_eq!(replay.first_unacked(), 3);
        replay.rewind();
        assert_eq!(replay.to_resend().count(), 1);
        replay.acked(1_000);
        assert_eq!(replay.first_unacked(), 4, "the number after the last one sent");
    }

    #[test]
    fn an_ack_in_the_middle_of_a_replay_moves_its_start() {
        let mut replay = Replay::new(100);
        for text in ["a", "b", "c"] {
            replay.sent(frame(text));
        }
        replay.rewind();
        replay.resent();
        replay.acked(2);
        assert_eq!(replay.to_resend().count(), 1);
    }

    #[test]
    fn over_the_limit_nothing_more_may_be_sent() {
        let mut replay = Replay::new(5);
        assert_eq!(replay.allowance(), Some(5));
        replay.sent(frame("abc"));
        assert_eq!(replay.allowance(), Some(0));
        replay.sent(frame("d"));
        assert_eq!(replay.allowance(), None);
    }
}
