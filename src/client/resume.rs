//! Counting and replay of stateful reconnect (section 5.12), as pure state without a clock.

use std::collections::VecDeque;

use bytes::Bytes;

/// Numbers what is sent and received, and keeps what the server has not acked.
#[derive(Debug)]
pub(super) struct Resume {
    bytes_max: usize,
    /// Sent and not acked, oldest first; the last one has the number `sent`.
    unacked: VecDeque<Bytes>,
    unacked_bytes: usize,
    sent: i64,
    /// The number the next received message has. Less than `received` + 1 during a replay.
    next: i64,
    received: i64,
    acked: i64,
    /// What has come since the last Ack.
    unacked_received_bytes: usize,
    /// Between a lost link and the server's Sequence everything else is thrown away.
    awaits_sequence: bool,
}

/// The server skipped messages that we never had.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("Sequence ID greater than amount of messages we've received.")]
pub(super) struct SequenceGap;

impl Resume {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            unacked: VecDeque::new(),
            unacked_bytes: 0,
            sent: 0,
            next: 1,
            received: 0,
            acked: 0,
            unacked_received_bytes: 0,
            awaits_sequence: false,
        }
    }

    /// Whether another message may be sent before an Ack. A soft limit: one message may go over.
    pub(super) fn has_room(&self) -> bool {
        self.unacked_bytes < self.bytes_max
    }

    /// A message of types 1 to 5 is about to be sent.
    pub(super) fn sending(&mut self, payload: &Bytes) {
        self.sent += 1;
        self.unacked_bytes += payload.len();
        self.unacked.push_back(payload.clone());
    }

    /// The server has everything up to this number.
    pub(super) fn on_ack(&mut self, number: i64) {
        while self.sent - (self.unacked.len() as i64) < number {
            let Some(payload) = self.unacked.pop_front() else { return };
            self.unacked_bytes -= payload.len();
        }
    }

    /// A message of types 1 to 5 has come; whether it is new.
    pub(super) fn receiving(&mut self, bytes: usize) -> bool {
        self.unacked_received_bytes += bytes;
        let number = self.next;
        self.next += 1;
        let is_new = number > self.received;
        self.received = self.received.max(number);
        is_new
    }

    /// Whether so much has come that waiting for the timer would make the server wait: its buffer
    /// is most likely as large as ours.
    pub(super) fn must_ack(&self) -> bool {
        self.unacked_received_bytes > self.bytes_max / 4
    }

    /// The number to ack, when there is something new to ack.
    pub(super) fn take_ack(&mut self) -> Option<i64> {
        self.unacked_received_bytes = 0;
        (self.received > self.acked).then(|| {
            self.acked = self.received;
            self.acked
        })
    }

    /// The link is new: the number for our Sequence, and what is to be sent after it.
    pub(super) fn reopen(&mut self) -> (i64, Vec<Bytes>) {
        self.awaits_sequence = true;
        self.acked = 0; // the last Ack may have been lost with the link: say it again
        let first = self.sent - self.unacked.len() as i64 + 1;
        (first, self.unacked.iter().cloned().collect())
    }

    /// Whether what comes is to be thrown away, because Sequence has not come yet.
    pub(super) fn awaits_sequence(&self) -> bool {
        self.awaits_sequence
    }

    /// The server's replay begins with this number.
    ///
    /// ASP.NET Core 10 compares with its lowered `next` instead, and so ends a connection whose
    /// links are cut again within a second, while it still reads a replay that it has acked.
    pub(super) fn on_sequence(&mut self, number: i64) -> Result<(), SequenceGap> {
        // Not `next`: after a second cut in the middle of a replay that one is too low.
        if number > self.received + 1 {
            return Err(SequenceGap);
        }
        self.next = number;
        self.awaits_sequence = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[test]
    fn the_worked_example_of_the_specification() {
        let mut resume = Resume::new(100);
        assert!((0..4).all(|_| resume.receiving(10)));
        resume.sending(&message("one"));
        resume.sending(&message("two"));
        assert_eq!(resume.reopen(), (1, vec![message("one"), message("two")]));
        assert!(resume.awaits_sequence());
        resume.on_sequence(4).unwrap();
        assert!(!resume.receiving(10), "4 was there already");
        assert!(resume.receiving(10), "5 is new");
        assert_eq!(resume.take_ack(), Some(5));
        assert_eq!(resume.take_ack(), None);
    }

    #[test]
    fn an_ack_makes_room_and_what_is_acked_is_not_sent_again() {
        let mut resume = Resume::new(5);
        resume.sending(&message("one"));
        assert!(resume.has_room());
        resume.sending(&message("two"));
        assert!(!resume.has_room());
        resume.on_ack(1);
        assert!(resume.has_room());
        assert_eq!(resume.reopen(), (2, vec![message("two")]));
        resume.on_ack(7);
        assert_eq!(resume.reopen(), (3, vec![]));
    }

    #[test]
    fn a_quarter_of_the_buffer_is_acked_without_waiting_for_the_timer() {
        let mut resume = Resume::new(100);
        assert!(resume.receiving(25));
        assert!(!resume.must_ack());
        assert!(resume.receiving(1));
        assert!(resume.must_ack());
        assert_eq!(resume.take_ack(), Some(2));
        assert!(!resume.must_ack());
    }

    #[test]
    fn a_gap_is_an_error() {
        let mut resume = Resume::new(5);
        assert!(resume.receiving(10));
        assert_eq!(resume.on_sequence(3), Err(SequenceGap));
        assert_eq!(resume.on_sequence(2), Ok(()));
    }
}
