//! Which messages of a client are news (stateful reconnect, protocol reference 5.12). Pure.

/// Numbers what a client sends; the numbers themselves are never on the wire.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Counting {
    /// The number of the next tracked message.
    next: i64,
    /// The highest number that was passed on.
    highest: i64,
}

/// What to do with a tracked message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tracked {
    /// New; so many have been received now.
    News(u64),
    /// Sent again although it had arrived.
    Repeated,
}

/// The client announced messages that it cannot have sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Sequence ID greater than amount of messages we've received.")]
pub(super) struct TooHigh;

impl Counting {
    pub(super) fn new() -> Self {
        Self { next: 1, highest: 0 }
    }

    /// A message of types 1 to 5 has arrived, whatever becomes of it.
    pub(super) fn tracked(&mut self) -> Tracked {
        let number = self.next;
        self.next = self.next.saturating_add(1);
        if number <= self.highest {
            return Tracked::Repeated;
        }
        self.highest = number;
        Tracked::News(number.unsigned_abs())
    }

    /// The client says the number of the next message that it sends.
    pub(super) fn sequence(&mut self, number: i64) -> Result<(), TooHigh> {
        // Not `next`: a second loss may come while the first replay is still read, and by then the
        // client may have acks for more than was read again.
        if number > self.highest.saturating_add(1) {
            return Err(TooHigh);
        }
        self.next = number;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_again_is_not_news() {
        let mut counting = Counting::new();
        for number in 1..=3 {
            assert_eq!(counting.tracked(), Tracked::News(number));
        }
        assert_eq!(counting.sequence(2), Ok(()));
        assert_eq!(counting.tracked(), Tracked::Repeated);
        assert_eq!(counting.tracked(), Tracked::Repeated);
        assert_eq!(counting.tracked(), Tracked::News(4));
    }

    #[test]
    fn nobody_can_announce_what_was_never_sent() {
        let mut counting = Counting::new();
        counting.tracked();
        assert_eq!(counting.sequence(2), Ok(()), "nothing is unacked");
        assert_eq!(counting.sequence(3), Err(TooHigh));
    }

    #[test]
    fn a_link_that_is_lost_again_during_a_replay_is_no_mistake_of_the_client() {
        let mut counting = Counting::new();
        for _ in 1..=10 {
            counting.tracked();
        }
        assert_eq!(counting.sequence(6), Ok(()));
        assert_eq!(counting.sequence(11), Ok(()), "it has got the ack of 10 meanwhile");
        assert_eq!(counting.tracked(), Tracked::News(11));
    }
}
