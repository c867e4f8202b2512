//! How a dead letter is shown: short in lists, whole when it is asked for and in exports.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::delivery::{DeadLetter, Encoding, WholeLetter};
use crate::publish::shapes::{audience, identity, iso};

/// What a list shows.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Short {
    message_id: String,
    subscriber: String,
    identity: Value,
    hub: String,
    tenant: String,
    target: String,
    reason: &'static str,
    accepted_at: String,
    died_at: String,
    critical: bool,
    attempts_made: u64,
    last_error: Option<String>,
}

/// Everything that is known.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Whole {
    #[serde(flatten)]
    short: Short,
    audience: Value,
    priority: u8,
    expires_at: Option<String>,
    correlation_id: Option<String>,
    ordering_key: Option<String>,
    /// Of many, the first and the newest.
    attempts: Vec<Attempted>,
    /// How many there were between the first of them and the second.
    attempts_left_out: u32,
    /// As they were published, when they were JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<Box<RawValue>>,
    /// In base64, when they were MessagePack.
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments_message_pack: Option<String>,
}

#[derive(Serialize)]
struct Attempted {
    at: String,
    error: String,
}

impl Short {
    pub(super) fn of(letter: &DeadLetter) -> Self {
        Self {
            message_id: letter.id.to_string(),
            subscriber: letter.key.subscriber.to_string(),
            identity: identity(&letter.identity),
            hub: letter.hub.to_string(),
            tenant: letter.tenant.to_string(),
            target: letter.target.to_string(),
            reason: letter.reason.name(),
            accepted_at: iso(letter.accepted_at),
            died_at: iso(letter.died_at),
            critical: letter.critical,
            attempts_made: letter.attempts_made(),
            last_error: letter.attempts.last().map(|last| last.error.to_string()),
        }
    }
}

impl Whole {
    pub(super) fn of(WholeLetter { letter, content }: &WholeLetter) -> Self {
        let (arguments, arguments_message_pack) = match content.encoding {
            Encoding::Json => (raw(&content.arguments), None),
            Encoding::MessagePack => (None, Some(BASE64_STANDARD.encode(&content.arguments))),
        };
        let attempt = |own: &crate::delivery::Attempt| Attempted {
            at: iso(own.at),
            error: own.error.to_string(),
        };
        Self {
            short: Short::of(letter),
            audience: audience(&letter.audience),
            priority: letter.priority.get(),
            expires_at: letter.expires_at.map(iso),
            correlation_id: content.correlation_id.as_deref().map(Into::into),
            ordering_key: content.ordering_key.as_deref().map(Into::into),
            attempts: letter.attempts.iter().map(attempt).collect(),
            attempts_left_out: letter.attempts_left_out,
            arguments,
            arguments_message_pack,
        }
    }
}

/// The text as it is. None when a damaged disk gave back something else.
fn raw(text: &[u8]) -> Option<Box<RawValue>> {
    RawValue::from_string(std::str::from_utf8(text).ok()?.to_owned()).ok()
}
