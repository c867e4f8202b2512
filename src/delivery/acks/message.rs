//! A message in memory: shared by all who are being sent it, encoded once per way of saying it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use smallvec::SmallVec;

use super::hub::{AckMode, HubAcks};
use crate::connections::Frame;
use crate::delivery::lanes::Lane;
use crate::model::{MessageId, Tenant};
use crate::protocol::{EncodeError, Field, FieldPlace, Protocol, RawArguments, encode};
use crate::store::{Accepted, Encoding, MessageSeq, Moment, NewMessage, Owed, Spent, Which};

/// Encodings that are kept of one message. A straggler's retry counts must not pile up.
const FRAMES_MAX: usize = 6;

/// One message on its way.
pub(super) struct Message {
    pub(super) seq: MessageSeq,
    /// What clients call it: its id, unless that is another's, too.
    pub(super) id: MessageId,
    pub(super) tenant: Tenant,
    pub(super) lane: Lane,
    pub(super) expires_at: Option<Moment>,
    pub(super) ordering_key: Option<Arc<str>>,
    facts: Facts,
    frames: Mutex<Frames>,
    shelf: Arc<Shelf>,
}

/// What is said, and what the base fields say about it.
struct Facts {
    target: Arc<str>,
    arguments: RawArguments,
    correlation_id: Option<Arc<str>>,
    accepted_at: Moment,
    priority: u8,
    critical: bool,
}

type Frames = SmallVec<[(Way, Arc<Frame>); 1]>;

/// How it is said to one receiver.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Way {
    protocol: Protocol,
    mode: AckMode,
    /// Always 0 where nobody is told.
    retry_count: u16,
}

impl Message {
    /// The frame for a receiver, shared with all others of the same kind.
    pub(super) fn frame(
        &self,
        protocol: Protocol,
        mode: AckMode,
        attempts: u16,
        hub: &HubAcks,
    ) -> Result<Arc<Frame>, EncodeError> {
        let retry_count = if mode == AckMode::Method { attempts } else { 0 };
        let way = Way { protocol, mode, retry_count };
        let mut frames = self.frames.lock();
        if let Some((_, frame)) = frames.iter().find(|(own, _)| *own == way) {
            return Ok(frame.clone());
        }
        let facts = &self.facts;
        let encoded = match mode {
            AckMode::Method => {
                let told = self.with_base_fields(retry_count, hub.ack_fields)?;
                encode::invocation(protocol, None, &facts.target, &told)?
            }
            AckMode::Result => {
                let id = invocation_id(self.id.as_str());
                encode::invocation(protocol, Some(&id), &facts.target, &facts.arguments)?
            }
            AckMode::None => encode::invocation(protocol, None, &facts.target, &facts.arguments)?,
        };
        let frame = Frame::marked(encoded, mark_of(self.seq));
        if frames.len() >= FRAMES_MAX {
            frames.remove(0);
        }
        frames.push((way, frame.clone()));
        Ok(frame)
    }

    /// The seed's base fields, for clients that ack by method.
    fn with_base_fields(
        &self,
        retry_count: u16,
        place: FieldPlace,
    ) -> Result<RawArguments, EncodeError> {
        let facts = &self.facts;
        let timestamp = iso(facts.accepted_at);
        let expires_at = self.expires_at.map(iso);
        let correlation_id = facts.correlation_id.as_deref();
        let fields: [Field<'_>; 9] = [
            ("messageId", &self.id.as_str()),
            ("timestamp", &timestamp),
            ("correlationId", &correlation_id),
            ("retryCount", &retry_count),
            ("messageType", &&*facts.target),
            ("priority", &facts.priority),
            ("isCritical", &facts.critical),
            ("expiresAt", &expires_at),
            // It would not be sent if it were.
            ("isExpired", &false),
        ];
        facts.arguments.with_fields(&fields, place)
    }

    pub(super) fn is_expired(&self, now: Moment) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// Whether the two must not overtake each other on a strict hub.
    pub(super) fn has_key_of(&self, other: &Self) -> bool {
        self.tenant == other.tenant && self.ordering_key == other.ordering_key
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        self.shelf.forget(self.seq, &self.id);
    }
}

/// Begins the invocation ids of messages whose own id is a number. Clients number their calls and
/// streams, so such an id would name one of those, too; and no message id has this character.
const NUMBERED: &str = "m#";

fn is_number(id: &str) -> bool {
    id.bytes().all(|byte| byte.is_ascii_digit())
}

/// Under which id a client is asked for the result of its handlers (mode `result`).
fn invocation_id(id: &str) -> Cow<'_, str> {
    if is_number(id) { format!("{NUMBERED}{id}").into() } else { id.into() }
}

/// Which message an answer is about; none for a number, which names something of the client's own.
pub(super) fn message_of(invocation: &str) -> Option<&str> {
    match invocation.strip_prefix(NUMBERED) {
        Some(id) => Some(id),
        None => Some(invocation).filter(|id| !is_number(id)),
    }
}

/// Stands between the id of a namesake and its place; no message id has this character.
const PLACE: char = '~';

/// What clients call a message. Of two of the same id, as two tenants may use it, a word of a client
/// must mean one, and a client that remembers ids must not take one for the other.
fn name_of(id: MessageId, seq: MessageSeq, is_namesake: bool) -> MessageId {
    if is_namesake { MessageId::from(&*format!("{id}{PLACE}{seq}")) } else { id }
}

/// Which message a client means; none when nothing can be called so.
pub(super) fn which(name: &str) -> Option<Which> {
    match name.rsplit_once(PLACE) {
        Some((_id, seq)) => Some(Which::Seq(MessageSeq(seq.parse().ok()?))),
        None => MessageId::parse(name).ok().map(Which::Id),
    }
}

/// The mark of a message's frames. Places begin with 1; a store that says 0 would share a mark.
pub(super) fn mark_of(seq: MessageSeq) -> NonZeroU64 {
    NonZeroU64::new(seq.0).unwrap_or(NonZeroU64::MIN)
}

fn iso(moment: Moment) -> String {
    let time = chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::from(moment));
    time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

/// The messages in memory, so that all who are sent one share it, and acks find it by its id.
#[derive(Default)]
pub(super) struct Shelf {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    by_seq: HashMap<MessageSeq, Weak<Message>>,
    /// On two hubs the same id may be used.
    by_id: HashMap<MessageId, SmallVec<[MessageSeq; 1]>>,
}

impl Shelf {
    /// A message that was just accepted.
    pub(super) fn accepted(
        self: &Arc<Self>,
        accepted: &Accepted,
        new: &NewMessage,
        now: Moment,
    ) -> Arc<Message> {
        let Accepted { seq, is_namesake, .. } = *accepted;
        self.share(seq, || Owed {
            seq,
            is_namesake,
            id: new.id.clone(),
            tenant: new.tenant.clone(),
            hub: new.hub.clone(),
            audience: new.audience.clone(),
            priority: new.priority,
            critical: new.critical,
            accepted_at: now,
            expires_at: new.expires_at,
            content: new.content.clone(),
            spent: Spent::default(),
        })
    }

    /// A message that the store gave back.
    pub(super) fn owed(self: &Arc<Self>, owed: Owed) -> Arc<Message> {
        self.share(owed.seq, || owed)
    }

    fn share(self: &Arc<Self>, seq: MessageSeq, owed: impl FnOnce() -> Owed) -> Arc<Message> {
        let mut inner = self.inner.lock();
        if let Some(message) = inner.by_seq.get(&seq).and_then(Weak::upgrade) {
            return message;
        }
        let message = Arc::new(self.message(owed()));
        inner.by_seq.insert(seq, Arc::downgrade(&message));
        let seqs = inner.by_id.entry(message.id.clone()).or_default();
        if !seqs.contains(&seq) {
            seqs.push(seq);
        }
        message
    }

    fn message(self: &Arc<Self>, owed: Owed) -> Message {
        let protocol = match owed.content.encoding {
            Encoding::Json => Protocol::Json,
            Encoding::MessagePack => Protocol::MessagePack,
        };
        Message {
            seq: owed.seq,
            id: name_of(owed.id, owed.seq, owed.is_namesake),
            tenant: owed.tenant,
            lane: Lane::of(owed.priority),
            expires_at: owed.expires_at,
            ordering_key: owed.content.ordering_key,
            facts: Facts {
                target: owed.content.target,
                arguments: RawArguments::from_checked(protocol, owed.content.arguments),
                correlation_id: owed.content.correlation_id,
                accepted_at: owed.accepted_at,
                priority: owed.priority.get(),
                critical: owed.critical,
            },
            frames: Mutex::default(),
            shelf: self.clone(),
        }
    }

    /// The places of messages in memory that have this id.
    pub(super) fn places(&self, id: &str) -> SmallVec<[MessageSeq; 1]> {
        self.inner.lock().by_id.get(id).cloned().unwrap_or_default()
    }

    fn forget(&self, seq: MessageSeq, id: &MessageId) {
        let mut inner = self.inner.lock();
        // Another of the same place may have been made since the last handle went.
        if inner.by_seq.get(&seq).is_some_and(|message| message.strong_count() > 0) {
            return;
        }
        inner.by_seq.remove(&seq);
        if let Some(seqs) = inner.by_id.get_mut(id) {
            seqs.retain(|own| *own != seq);
            if seqs.is_empty() {
                inner.by_id.remove(id);
            }
        }
    }
}
