//! One thing that a tenant is told.

use std::collections::HashMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
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

/// One event. Its id is made from what it says, so it is the same in all calls that carry it, also
/// when it is found again in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) at: Moment,
    pub(super) seq: MessageSeq,
    pub(super) message: MessageId,
    kind: Kind,
    subscribers: Vec<SubscriberId>,
    count: u64,
}

impl Event {
    pub(super) fn new((seq, message): (MessageSeq, MessageId), kind: Kind, at: Moment) -> Self {
        Self { at, seq, message, kind, subscribers: Vec::new(), count: 0 }
    }

    /// Whether it says that pairs died of this, then.
    pub(super) fn is_death(&self, reason: Reason, at: Moment) -> bool {
        self.kind == Kind::Dead(Some(reason)) && self.at == at
    }

    /// The same for the same news. Whoever remembers ids misses nothing, for another id has other
    /// news, and other news has another id.
    fn id(&self) -> Uuid {
        let mut subscribers = self.subscribers.clone();
        subscribers.sort_unstable();
        // Of many it is not known everywhere which ones are named.
        subscribers.truncate(if self.count > subscribers.len() as u64 { 0 } else { NAMED_MAX });
        let Self { at, seq, message, kind, count, .. } = self;
        let news = format!("{seq} {message} {} {kind:?} {count} {subscribers:?}", at.0);
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&Sha256::digest(news.as_bytes())[..16]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
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
            "id": self.id().to_string(),
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
pub(super) fn events_of(ended: &[&Ended], settled: bool) -> Vec<Event> {
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
                events.push(Event::new((pair.seq, pair.id.clone()), kind, pair.at));
                events.len() - 1
            });
            events[place].add(pair.subscriber);
        }
    }
    let over = ended.iter().filter(|_| settled);
    events.extend(over.filter_map(|pair| {
        let news = (pair.seq, pair.id.clone());
        pair.message.map(|counts| Event::new(news, Kind::Settled(counts), pair.at))
    }));
    events
}
