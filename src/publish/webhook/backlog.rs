//! What one tenant has not been told yet, bounded.

use std::collections::VecDeque;

use super::event::Event;
use crate::delivery::Moment;

/// Events of one call.
const CALL_EVENTS_MAX: usize = 100;

/// Oldest first. When it is full nothing is lost but the place: what comes later is read from the
/// store when there is room again.
#[derive(Debug)]
pub(super) struct Backlog {
    events: VecDeque<Event>,
    max: usize,
    behind_since: Option<Moment>,
    /// Since when the store is being read.
    reading_since: Option<Moment>,
}

impl Backlog {
    pub(super) fn new(max: usize) -> Self {
        Self { events: VecDeque::new(), max, behind_since: None, reading_since: None }
    }

    /// Takes events in. True when they did not all fit, for the first time.
    pub(super) fn push(&mut self, events: Vec<Event>) -> bool {
        for event in events {
            if self.behind_since.is_some() {
                return false;
            }
            if self.events.len() >= self.max {
                self.behind_since = Some(event.at);
                return true;
            }
            self.events.push_back(event);
        }
        false
    }

    /// What the next call tells; they stay until [`Backlog::told`].
    pub(super) fn next(&self) -> Vec<Event> {
        self.events.iter().take(CALL_EVENTS_MAX).cloned().collect()
    }

    /// The first ones have been told.
    pub(super) fn told(&mut self, count: usize) {
        self.events.drain(..count.min(self.events.len()));
    }

    /// Since when the store has to be read, once everything else is told. From now on what is
    /// pushed is kept again.
    pub(super) fn catch_up(&mut self) -> Option<Moment> {
        if !self.events.is_empty() {
            return None;
        }
        let since = self.behind_since.take()?;
        self.reading_since = Some(since);
        Some(since)
    }

    /// The store is read from here, or has been read.
    pub(super) fn reads(&mut self, since: Option<Moment>) {
        self.reading_since = since;
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// Everything older has been told; none when all has.
    pub(super) fn oldest(&self) -> Option<Moment> {
        let first = self.events.front().map(|event| event.at).or(self.behind_since);
        self.reading_since.into_iter().chain(first).min()
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::Kind;
    use super::*;
    use crate::delivery::MessageSeq;

    fn event(at: u64) -> Event {
        Event::new((MessageSeq(at), "m".into()), Kind::Expired, Moment(at))
    }

    #[test]
    fn what_does_not_fit_is_remembered_by_its_time_and_read_again_when_there_is_room() {
        let mut backlog = Backlog::new(2);
        assert!(backlog.push(vec![event(1), event(2), event(3), event(4)]));
        assert!(!backlog.push(vec![event(5)]), "told once");
        assert_eq!((backlog.len(), backlog.oldest()), (2, Some(Moment(1))));
        assert_eq!(backlog.catch_up(), None, "first what is here");
        backlog.told(1);
        assert_eq!(backlog.oldest(), Some(Moment(2)));
        backlog.told(1);
        assert_eq!(backlog.oldest(), Some(Moment(3)));
        assert_eq!(backlog.catch_up(), Some(Moment(3)));
        assert_eq!((backlog.catch_up(), backlog.oldest()), (None, Some(Moment(3))));
        backlog.reads(None);
        assert_eq!(backlog.oldest(), None);
        assert!(!backlog.push(vec![event(6)]));
        assert_eq!(backlog.next().len(), 1);
    }

    #[test]
    fn a_call_tells_a_hundred_at_most_and_they_stay_until_it_is_done() {
        let mut backlog = Backlog::new(1_000);
        backlog.push((0..150).map(event).collect());
        assert_eq!((backlog.next().len(), backlog.len()), (100, 150));
        backlog.told(100);
        assert_eq!(backlog.next().len(), 50);
    }
}
