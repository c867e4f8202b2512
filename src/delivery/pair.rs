//! The life of one acknowledged message towards one subscriber.
//!
//! ```text
//!                ┌───────────────────────── resend: nothing was spent ───────────────────┐
//!                ▼                                                                       │
//!              Owed ──queued──▶ Queued ──written──▶ Sent ──────────── lost, held ────────┤
//!                ▲ ▲              │                  │ │                                 │
//!                │ └─unwritten────┘                  │ └─ nacked, timed out ─▶ Waiting ──┘
//!                │                                   │                            │  │
//!                └───────────────── due ─────────────┼────────────────────────────┘  │
//!                                                    │                               │
//!   any of these ── acked, unconfirmed ▶ Settled     └── repeats or failures spent ──┴▶ Dead
//!   any of these ── expired ▶ Expired                                                     │
//!   any of these ── given up, gone, revoked, too old ▶ Dead ◀── late ack settles it too ──┘
//! ```
//!
//! Pure: no clock, no lock. The courier owns timers and outboxes and calls [`Pair::on`]; what comes
//! back is the whole of what it must do next.
//!
//! Two budgets never multiply: `repeats` counts answers that asked for another attempt (timeout,
//! nack) after a write; `failures` counts what went wrong before any byte left. An attempt is a
//! frame fully written; that a link broke afterwards spends nothing.

use std::time::Duration;

use tokio::time::Instant;

use crate::store::Spent;

/// The bounds of a pair's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// How long a written frame may stay unanswered.
    pub(super) ack_timeout: Duration,
    /// Repeats after a timeout or nack.
    pub(super) repeats_max: u8,
    /// Failures before a write.
    pub(super) failures_max: u8,
}

/// Where a pair stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It should be sent as soon as there is a way.
    Owed,
    /// One copy is in the outbox.
    Queued,
    /// Written; the answer is due at the deadline.
    Sent,
    /// It is sent again at the deadline.
    Waiting(Why),
    /// The subscriber has it.
    Settled(Settled),
    /// It could not be delivered.
    Dead(Death),
    /// It was too old.
    Expired,
}

/// What a pair waits after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The client refused it.
    Nacked,
    /// The client did not answer in time.
    TimedOut,
    /// It could not even be written.
    Failed,
}

/// How a delivered message was settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Settled {
    /// The client said so.
    Acknowledged,
    /// It was written, and no answer is to be had.
    Unconfirmed,
}

/// Why a message is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Death {
    /// The last repeat was refused.
    Nacked,
    /// The last repeat was not answered.
    TimedOut,
    /// It could not be written, as often as was tried.
    Failed,
    /// The client asked for no further attempt.
    GivenUp,
}

/// What can happen to a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Its copy was appended to the outbox.
    Queued,
    /// The copy was fully handed to the transport.
    Written,
    /// The connection is gone, or the breaker holds the subscriber back: no timer runs, and
    /// whatever copy was out counts for nothing.
    Held,
    /// A lost stateful connection was resumed: its answer time starts again.
    Resumed,
    /// It could not be encoded or handed on; the wait before the next try is drawn by the caller.
    Failed { wait: Duration },
    /// The client has handled it.
    Acked,
    /// It is written and nothing more will be heard.
    Unconfirmed,
    /// The client could not handle it and wants it again after the wait.
    Nacked { wait: Duration },
    /// The client is at it and needs the whole answer time once more.
    StillWorking,
    /// The client wants no further attempt.
    GivenUp,
    /// The clock looked at the pair. `wait` is what a repeat would wait.
    Tick { wait: Duration },
    /// Its time is over.
    Expired,
}

/// What the owner of the pair has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Look at it again at [`Pair::deadline`].
    Watch,
    /// Send it when there is a way: it is owed.
    Send,
    /// It is settled for good.
    Settle(Settled),
    /// Bury it.
    Bury(Death),
    /// Record it as expired.
    Expire,
    /// Nothing: the event came too late, too early, or twice.
    Ignore,
}

/// One pair. Small, because there may be a million.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    state: State,
    /// Frames fully written so far, which is what the client sees as `retryCount` of the next one.
    attempts: u16,
    repeats: u8,
    failures: u8,
    deadline: Option<Instant>,
}

impl Pair {
    /// A pair that is owed, with what was spent on it before.
    pub(super) fn new(spent: Spent) -> Self {
        let Spent { attempts, repeats, failures } = spent;
        Self { state: State::Owed, attempts, repeats, failures, deadline: None }
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    /// Whether a copy is out. What waits for a delay holds nothing else back.
    pub(super) fn is_out(&self) -> bool {
        matches!(self.state, State::Queued | State::Sent)
    }

    /// What was spent so far.
    pub(super) fn spent(&self) -> Spent {
        Spent { attempts: self.attempts, repeats: self.repeats, failures: self.failures }
    }

    /// Written frames so far.
    pub(super) fn attempts(&self) -> u16 {
        self.attempts
    }

    /// Timeouts and nacks so far; what a backoff grows with.
    pub(super) fn repeats(&self) -> u8 {
        self.repeats
    }

    /// Failures before a write so far.
    pub(super) fn failures(&self) -> u8 {
        self.failures
    }

    /// When the clock should look at it.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The only place where the state changes.
    pub(super) fn on(&mut self, event: Event, now: Instant, limits: &Limits) -> Next {
        use State::{Dead, Expired, Owed, Queued, Sent, Settled as Done, Waiting};
        match (self.state, event) {
            (Done(_) | Expired, _) => Next::Ignore,
            // A late ack is still an ack: the client has the message.
            (_, Event::Acked) => self.settle(Settled::Acknowledged),
            (Dead(_), _) => Next::Ignore,
            (_, Event::GivenUp) => self.bury(Death::GivenUp),
            (_, Event::Expired) => {
                self.go(Expired, None);
                Next::Expire
            }
            (Owed | Waiting(_), Event::Queued) => {
                self.go(Queued, None);
                Next::Ignore
            }
            (Queued, Event::Written) => {
                self.attempts = self.attempts.saturating_add(1);
                self.watch(Sent, now + limits.ack_timeout)
            }
            // Replayed after a resumption, or answered with "not yet".
            (Sent, Event::Written | Event::Resumed | Event::StillWorking) => {
                self.watch(Sent, now + limits.ack_timeout)
            }
            // It has the message, whatever became of later attempts.
            (_, Event::Unconfirmed) if self.attempts > 0 => self.settle(Settled::Unconfirmed),
            (Queued | Sent | Waiting(_), Event::Held) => {
                self.go(Owed, None);
                Next::Send
            }
            (Sent, Event::Nacked { wait }) => self.repeat(Why::Nacked, now + wait, limits),
            (Sent, Event::Tick { wait }) if self.is_due(now) => {
                self.repeat(Why::TimedOut, now + wait, limits)
            }
            // The answer came after the timeout, but it is an answer: it may move the repeat, and
            // costs nothing, for the timeout has spent it already.
            (Waiting(Why::TimedOut), Event::Nacked { wait }) => {
                self.watch(Waiting(Why::Nacked), now + wait)
            }
            (Waiting(Why::TimedOut), Event::StillWorking) => {
                self.watch(Sent, now + limits.ack_timeout)
            }
            (Waiting(_), Event::Tick { .. }) if self.is_due(now) => {
                self.go(Owed, None);
                Next::Send
            }
            (Owed | Queued | Waiting(_), Event::Failed { wait }) => self.failed(now + wait, limits),
            (
                Owed | Queued | Sent | Waiting(_),
                Event::Queued
                | Event::Written
                | Event::Held
                | Event::Resumed
                | Event::Failed { .. }
                | Event::Unconfirmed
                | Event::Nacked { .. }
                | Event::StillWorking
                | Event::Tick { .. },
            ) => Next::Ignore,
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    fn go(&mut self, state: State, deadline: Option<Instant>) {
        self.state = state;
        self.deadline = deadline;
    }

    fn watch(&mut self, state: State, deadline: Instant) -> Next {
        self.go(state, Some(deadline));
        Next::Watch
    }

    fn settle(&mut self, how: Settled) -> Next {
        self.go(State::Settled(how), None);
        Next::Settle(how)
    }

    fn bury(&mut self, why: Death) -> Next {
        self.go(State::Dead(why), None);
        Next::Bury(why)
    }

    fn repeat(&mut self, why: Why, due: Instant, limits: &Limits) -> Next {
        if self.repeats >= limits.repeats_max {
            return self.bury(if why == Why::Nacked { Death::Nacked } else { Death::TimedOut });
        }
        self.repeats += 1;
        self.watch(State::Waiting(why), due)
    }

    fn failed(&mut self, due: Instant, limits: &Limits) -> Next {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= limits.failures_max {
            return self.bury(Death::Failed);
        }
        self.watch(State::Waiting(Why::Failed), due)
    }
}

#[cfg(test)]
mod tests;
