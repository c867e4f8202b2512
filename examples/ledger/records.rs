//! The ledger's own truth: what was published and accepted, and what each subscriber handled.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::histogram::Histogram;
use crate::journal::Journal;

/// An audience: every group has a number.
pub(crate) type Audience = u32;

/// What a message says about itself, in its only argument.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Note {
    /// Its place among all messages of the run.
    pub(crate) m: u32,
    pub(crate) publisher: u32,
    pub(crate) audience: Audience,
    /// Its priority, which decides about its lane.
    pub(crate) lane: u8,
    /// Its place among those of the same publisher, audience and lane.
    pub(crate) number: u32,
    /// When it was to be published, in microseconds of the ledger's clock.
    pub(crate) due_us: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// None yet: nobody knows.
    None,
    Accepted {
        targeted: u32,
    },
    Refused,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Published {
    pub(crate) note: Note,
    /// Before the first try, and when the answer was there.
    pub(crate) began_us: u64,
    pub(crate) answered_us: u64,
    pub(crate) answer: Answer,
    /// Whether its place in the order is known: a batch that was repeated while the server refused
    /// some messages may have been accepted in another order.
    pub(crate) order_known: bool,
}

/// What one subscriber saw.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) sights: HashMap<u32, Sight>,
    /// Messages it has handled at least once.
    pub(crate) first_handled: u64,
    /// The number of the newest first delivery of each publisher, audience and lane.
    streams: HashMap<(u32, Audience, u8), u32>,
    pub(crate) reordered: u64,
    /// When it surely was in its audience: from, to. An open one has no end.
    pub(crate) stays: Vec<Stay>,
    lost_us: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sight {
    /// Runs of the handler that succeeded.
    pub(crate) handled: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stay {
    pub(crate) from_us: u64,
    pub(crate) to_us: u64,
}

/// How far the server may be ahead of a subscriber in noticing a lost link, plus some slack: away for
/// longer than the session's life less this, and the session may be over.
const AWAY_US_MAX: u64 = 4_000_000;

pub(crate) struct Records {
    pub(crate) journal: Journal,
    pub(crate) messages: Mutex<Vec<Published>>,
    pub(crate) seen: Vec<Mutex<Seen>>,
    pub(crate) handled: AtomicU64,
    /// Pairs that are on their way: targeted and not yet handled for the first time.
    pub(crate) targeted: AtomicU64,
    pub(crate) handled_first: AtomicU64,
    pub(crate) unanswered_tries: AtomicU64,
    pub(crate) losses: AtomicU64,
    pub(crate) gaps: AtomicU64,
    pub(crate) to_ack: Mutex<Histogram>,
    pub(crate) to_answer: Mutex<Histogram>,
    pub(crate) away: Mutex<Histogram>,
    /// Acceptances that contradict an earlier answer or one another.
    pub(crate) odd_answers: Mutex<Vec<String>>,
}

impl Records {
    pub(crate) fn new(journal: Journal, subscribers: u32) -> Arc<Self> {
        Arc::new(Self {
            journal,
            messages: Mutex::default(),
            seen: (0..subscribers).map(|_| Mutex::default()).collect(),
            handled: AtomicU64::new(0),
            targeted: AtomicU64::new(0),
            handled_first: AtomicU64::new(0),
            unanswered_tries: AtomicU64::new(0),
            losses: AtomicU64::new(0),
            gaps: AtomicU64::new(0),
            to_ack: Mutex::default(),
            to_answer: Mutex::default(),
            away: Mutex::default(),
            odd_answers: Mutex::default(),
        })
    }

    /// A message is about to be published; gives it its place.
    pub(crate) fn begin(&self, mut note: Note) -> Note {
        let began_us = self.journal.now_us();
        let mut messages = self.messages.lock();
        note.m = u32::try_from(messages.len()).unwrap_or(u32::MAX);
        messages.push(Published {
            note,
            began_us,
            answered_us: u64::MAX,
            answer: Answer::None,
            order_known: true,
        });
        note
    }

    pub(crate) fn answered(&self, m: u32, answer: Answer, order_known: bool) {
        let now = self.journal.now_us();
        let Some(due_us) = ({
            let mut messages = self.messages.lock();
            messages.get_mut(m as usize).map(|published| {
                published.answer = answer;
                published.answered_us = now;
                published.order_known = order_known;
                published.note.due_us
            })
        }) else {
            return;
        };
        if let Answer::Accepted { targeted } = answer {
            self.targeted.fetch_add(u64::from(targeted), Ordering::Relaxed);
        }
        self.to_answer.lock().add(now.saturating_sub(due_us));
        self.journal.note(|| format!("answer m={m} {answer:?}"));
    }

    /// A handler has begun. `retry_count`: none where the server does not say it.
    pub(crate) fn arrived(&self, subscriber: u32, note: &Note, retry_count: Option<u32>) {
        let m = note.m;
        self.journal.note(|| format!("arrive s={subscriber} m={m} retry={retry_count:?}"));
        let Some(seen) = self.seen.get(subscriber as usize) else { return };
        let mut seen = seen.lock();
        let is_first = !seen.sights.contains_key(&m);
        seen.sights.entry(m).or_default();
        // A repeat keeps no place, and this may be one whose first copy was lost on the way.
        if !is_first || retry_count != Some(0) {
            return;
        }
        let stream = (note.publisher, note.audience, note.lane);
        let newest = seen.streams.entry(stream).or_insert(note.number);
        if note.number >= *newest {
            *newest = note.number;
        } else if self.messages.lock().get(m as usize).is_some_and(|sent| sent.order_known) {
            let newest = *newest;
            seen.reordered += 1;
            self.journal.note(|| format!("REORDERED s={subscriber} {note:?} after {newest}"));
        }
    }

    /// A handler has succeeded.
    pub(crate) fn handled(&self, subscriber: u32, note: &Note) {
        let Some(seen) = self.seen.get(subscriber as usize) else { return };
        let runs = {
            let mut seen = seen.lock();
            let sight = seen.sights.entry(note.m).or_default();
            sight.handled += 1;
            let runs = sight.handled;
            seen.first_handled += u64::from(runs == 1);
            runs
        };
        self.handled.fetch_add(1, Ordering::Relaxed);
        if runs == 1 {
            self.handled_first.fetch_add(1, Ordering::Relaxed);
            let took = self.journal.now_us().saturating_sub(note.due_us);
            self.to_ack.lock().add(took);
        }
        self.journal.note(|| format!("handled s={subscriber} m={} runs={runs}", note.m));
    }

    /// The subscriber is connected and in its groups.
    pub(crate) fn joined(&self, subscriber: u32) {
        let now = self.journal.now_us();
        self.journal.note(|| format!("joined s={subscriber}"));
        let Some(seen) = self.seen.get(subscriber as usize) else { return };
        let mut seen = seen.lock();
        let Seen { stays, lost_us, .. } = &mut *seen;
        let lost = lost_us.take();
        if let Some(lost) = lost {
            self.away.lock().add(now.saturating_sub(lost));
        }
        match (stays.last_mut(), lost) {
            // Away so briefly that the session surely lasted.
            (Some(stay), Some(lost)) if stay.to_us == lost && now - lost <= AWAY_US_MAX => {
                stay.to_us = u64::MAX;
            }
            (Some(stay), None) if stay.to_us == u64::MAX => {}
            _ => stays.push(Stay { from_us: now, to_us: u64::MAX }),
        }
    }

    /// The subscriber's connection is gone.
    pub(crate) fn lost(&self, subscriber: u32) {
        let now = self.journal.now_us();
        let Some(seen) = self.seen.get(subscriber as usize) else { return };
        let mut seen = seen.lock();
        if seen.lost_us.is_some() {
            return;
        }
        seen.lost_us = Some(now);
        if let Some(stay) = seen.stays.last_mut()
            && stay.to_us == u64::MAX
        {
            stay.to_us = now;
        }
        drop(seen);
        self.losses.fetch_add(1, Ordering::Relaxed);
        self.journal.note(|| format!("lost s={subscriber}"));
    }

    /// Pairs that were promised and are not handled yet, as far as answers are there.
    pub(crate) fn on_their_way(&self) -> u64 {
        let handled = self.handled_first.load(Ordering::Relaxed);
        self.targeted.load(Ordering::Relaxed).saturating_sub(handled)
    }

    pub(crate) fn odd(&self, what: String) {
        self.journal.note(|| format!("ODD {what}"));
        let mut odd = self.odd_answers.lock();
        if odd.len() < 100 {
            odd.push(what);
        }
    }
}

impl Seen {
    /// Whether it surely was in its audience from the first try to the answer.
    pub(crate) fn was_there(&self, message: &Published) -> bool {
        self.stays
            .iter()
            .any(|stay| stay.from_us <= message.began_us && message.answered_us <= stay.to_us)
    }
}
