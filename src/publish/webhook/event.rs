//! One thing that a tenant is told.

use std::collections::HashMap;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::delivery::{Counts, Ended, MessageSeq, Moment, PairStatus, Reason, SubscriberId};
use crate::model::MessageId;
use crate::publish::shapes::{counts, iso};

/// Subscribers that one event names; all are counted.
const NAMED_MAX: usize = 100;

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Expired,
    Dead(Option<Reason>),
    Settled(Counts),
}

/// One event. Its id stays the same over all calls that carry it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    id: Uuid,
    pub(super) at: Moment,
    message: MessageId,
    kind: Kind,
    subscribers: Vec<SubscriberId>,
    count: u64,
}

impl Event {
    pub(super) fn new(message: MessageId, kind: Kind, at: Moment) -> Self {
        Self { id: Uuid::now_v7(), at, message, kind, subscribers: Vec::new(), count: 0 }
    }

    pub(super) fn add(&mut self, subscriber: SubscriberId) {
        self.count += 1;
        if self.subscribers.len() < NAMED_MAX {
            self.subscribers.push(subscriber);
        }
    }

    /// Of a large audience the receipt does not say who.
    pub(super) fn count_at_least(&mut self, count: u64) {
        self.count = self.count.max(count);
    }

    /// As it stands in a call.
    pub(super) fn told(&self) -> Value {
        let mut told = json!({
            "id": self.id.to_string(),
            "messageId": self.message.as_str(),
            "at": iso(self.at),
        });
        let about_pairs = |told: &mut Value| {
            let subscribers = self.subscribers.iter().map(ToString::to_string);
            told["subscribers"] = subscribers.collect();
            told["count"] = json!(self.count);
        };
        match &self.kind {
            Kind::Expired => {
                told["event"] = json!("expired");
                about_pairs(&mut told);
            }
            Kind::Dead(reason) => {
                told["event"] = json!("dead");
                told["reason"] = json!(reason.map(Reason::name));
                about_pairs(&mut told);
            }
            Kind::Settled(own) => {
                told["event"] = json!("settled");
                told["counts"] = counts(own);
            }
        }
        told
    }
}

/// What is to be told of pairs that ended together: one event per message and kind.
pub(super) fn events_of(ended: &[&Ended], settled: bool, now: Moment) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    let mut places: HashMap<(MessageSeq, Option<Reason>), usize> = HashMap::new();
    for pair in ended {
        let kind = match pair.status {
            PairStatus::Expired => Some(Kind::Expired),
            PairStatus::Dead => Some(Kind::Dead(pair.reason)),
            _ => None,
        };
        if let Some(kind) = kind {
            let place = *places.entry((pair.seq, pair.reason)).or_insert_with(|| {
                events.push(Event::new(pair.id.clone(), kind, now));
                events.len() - 1
            });
            events[place].add(pair.subscriber);
        }
    }
    let over = ended.iter().filter(|_| settled);
    events.extend(over.filter_map(|pair| {
        pair.message.map(|counts| Event::new(pair.id.clone(), Kind::Settled(counts), now))
    }));
    events
}
