//! Taking a message in: one decision, one record.

use bytes::Bytes;

use super::keys::key_of;
use super::{Body, Ledger};
use crate::model::{HubName, MessageId, Tenant};
use crate::store::config::bytes_of_mib;
use crate::store::message::{
    Acceptance, Accepted, Content, NewMessage, PairStatus, Refusal, RefusedBy,
};
use crate::store::names::{MessageSeq, Moment, SubscriberId};
use crate::store::record::{MessageRecord, Record};

/// Bytes counted for a message beside its content: its fields, its idempotency key.
const MESSAGE_BYTES: u64 = 256;
/// Bytes counted for a pair: its own, and the room for it to become a dead letter.
const PAIR_BYTES: u64 = 64;

/// What a message takes of the bytes of its tenant.
pub(super) fn cost_of(content: &Content, pairs: usize) -> u64 {
    let text = |text: &Option<std::sync::Arc<str>>| text.as_ref().map_or(0, |text| text.len());
    let content = content.target.len()
        + content.arguments.len()
        + text(&content.ordering_key)
        + text(&content.correlation_id);
    content as u64 + MESSAGE_BYTES + PAIR_BYTES * pairs as u64
}

/// What makes a message the same as another.
pub(in crate::store) struct Named {
    tenant: Tenant,
    hub: HubName,
    id: MessageId,
    body_hash: [u8; 16],
}

impl From<&NewMessage> for Named {
    fn from(new: &NewMessage) -> Self {
        Self {
            tenant: new.tenant.clone(),
            hub: new.hub.clone(),
            id: new.id.clone(),
            body_hash: new.body_hash,
        }
    }
}

impl Ledger {
    /// What was said to the first message of a key whose window is not over.
    fn repeated(&self, key: &[u8; 16], body_hash: &[u8; 16], now: Moment) -> Option<Acceptance> {
        let window = self.config.idempotency_window();
        let found = self.keys.find(key).filter(|found| found.at.after(window) > now)?;
        if found.body_hash != *body_hash {
            return Some(Acceptance::Refused(Refusal::IdReused));
        }
        let (seq, targeted, accepted_at) = (found.seq, found.targeted, found.at);
        Some(Acceptance::Duplicate { seq, targeted, accepted_at })
    }

    /// The answer to a message of a known key, when nothing can be written. What is not durable yet
    /// is not known.
    pub(in crate::store) fn known(&self, named: &Named, now: Moment) -> Option<Acceptance> {
        let key = key_of(&named.tenant, &named.hub, &named.id);
        let is_durable = self.keys.find(&key)?.seq <= self.durable;
        self.repeated(&key, &named.body_hash, now).filter(|_| is_durable)
    }

    /// Decides about a message, and keeps it. It is visible once [`Ledger::committed`] was told.
    pub(in crate::store) fn accept(&mut self, message: NewMessage, now: Moment) -> Acceptance {
        let key = key_of(&message.tenant, &message.hub, &message.id);
        if let Some(answer) = self.repeated(&key, &message.body_hash, now) {
            return answer;
        }
        let subscribers = self
            .hubs
            .get(&message.hub)
            .map(|hub| hub.resolve(&message.audience))
            .unwrap_or_default();
        if subscribers.is_empty() && message.require_audience {
            return Acceptance::Refused(Refusal::Nobody);
        }
        if let Err(refusal) = self.room_for(&message, subscribers.len()) {
            return Acceptance::Refused(refusal);
        }
        if !self.keys.has_room(now, &self.config) {
            let limit = self.config.idempotency_keys_max as u64;
            return Acceptance::Refused(Refusal::IdempotencyFull { limit });
        }
        let seq = MessageSeq(self.next_seq);
        let is_namesake = self.has_namesake(&message);
        self.introduce(&subscribers);
        let record = MessageRecord { is_namesake, ..record_of(message, seq, &subscribers, now) };
        self.say(Record::Accepted(Box::new(record)));
        Acceptance::Accepted(Accepted { seq, subscribers, is_namesake })
    }

    /// Whether another message of the id is known on the hub; ids are the tenants' own.
    fn has_namesake(&self, message: &NewMessage) -> bool {
        let seqs = self.ids.get(&message.id).into_iter().flatten();
        seqs.filter_map(|seq| self.messages.get(seq)).any(|known| known.hub == message.hub)
    }

    /// Dead letters take no further room: a message keeps its bytes until its last dead letter
    /// goes, and the log's reserve has room for the end of each pair. So their limit is asked here
    /// and nowhere else: a tenant that has too many of them gets no new message in, and what it has
    /// pending may still die over it.
    fn room_for(&self, message: &NewMessage, pairs: usize) -> Result<(), Refusal> {
        let config = &self.config;
        let (own, all) = (self.usage.of(&message.tenant), self.usage.total);
        let count = pairs as u64;
        let bytes = cost_of(&message.content, pairs);
        let mib = bytes_of_mib;
        type Full = fn(RefusedBy, u64) -> Refusal;
        let pending: Full = |by, limit| Refusal::PendingFull { by, limit };
        let dead: Full = |by, limit| Refusal::DeadLettersFull { by, limit };
        let full: Full = |by, limit| Refusal::BytesFull { by, limit };
        let (tenant, total) = (RefusedBy::Tenant, RefusedBy::Total);
        for (used, limit, by, refusal) in [
            (own.pending + count, config.pending_per_tenant_max, tenant, pending),
            (all.pending + count, config.pending_max, total, pending),
            // One more would be over: the limit itself may be reached.
            (own.dead + 1, config.dead_letters_per_tenant_max, tenant, dead),
            (all.dead + 1, config.dead_letters_max, total, dead),
            (own.bytes + bytes, mib(config.mib_per_tenant_max), tenant, full),
            (all.bytes + bytes, mib(config.mib_max), total, full),
        ] {
            if count > 0 && used > limit {
                return Err(refusal(by, limit));
            }
        }
        Ok(())
    }

    /// Takes the newest messages back, down to that place: they could not be written.
    pub(in crate::store) fn retract_after(&mut self, last: MessageSeq) {
        for seq in (last.0 + 1..self.next_seq).rev().map(MessageSeq) {
            let Some(message) = self.messages.get(&seq) else { continue };
            let targeted = message.pairs.len() as u64;
            self.totals.messages -= 1;
            self.totals.targeted -= targeted;
            self.totals.nobody -= u64::from(targeted == 0);
            self.keys.remove(seq);
            self.forget_message(seq);
        }
        // Nothing is said after an acceptance in a batch, so its messages stand last.
        if let Some(home) = self.homes.get_mut(&self.segment) {
            while home.last().is_some_and(|seq| *seq > last) {
                home.pop();
            }
        }
        self.next_seq = last.0 + 1;
        for id in std::mem::take(&mut self.introduced) {
            self.unwrite_subscriber(id);
        }
    }

    /// The newest message.
    pub(in crate::store) fn newest(&self) -> MessageSeq {
        MessageSeq(self.next_seq - 1)
    }

    /// Where the record of a message lies: a long content needs no memory any more.
    pub(in crate::store) fn placed(&mut self, seq: MessageSeq, place: super::Place) {
        let Some(message) = self.messages.get_mut(&seq) else { return };
        let long = match &message.body {
            Body::Inline(content) => content.arguments.len() > self.config.inline_bytes_max,
            Body::At(_) => true,
            Body::Gone => false,
        };
        if long {
            message.body = Body::At(place);
        }
    }
}

fn record_of(
    message: NewMessage,
    seq: MessageSeq,
    subscribers: &[SubscriberId],
    now: Moment,
) -> MessageRecord {
    // A copy: the bytes are a part of a request's body, which would stay as a whole.
    let arguments = Bytes::copy_from_slice(&message.content.arguments);
    MessageRecord {
        seq,
        id: message.id,
        tenant: message.tenant,
        hub: message.hub,
        audience: message.audience,
        priority: message.priority,
        critical: message.critical,
        accepted_at: now,
        age_from: now,
        settled_at: None,
        expires_at: message.expires_at,
        body_hash: message.body_hash,
        content: Content { arguments, ..message.content },
        pairs: subscribers.iter().map(|id| (*id, PairStatus::Owed)).collect(),
        dead: Vec::new(),
        tried: Vec::new(),
        is_namesake: false,
        tries_of_expired: 0,
    }
}
