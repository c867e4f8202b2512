//! An acknowledged event as its handler gets it, and what the handler may say of it.

use std::sync::Weak;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::handlers::Event;
use super::session::Shared;
use super::words::Word;
use crate::protocol::{Arguments, BindError, FromWire, Protocol, RawArguments, RawValue};

/// Why a handler did not handle a message, and what is to become of it. A text alone wants it again
/// after the server's own wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub(super) error: String,
    pub(super) then: Then,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    Again,
    AgainAfter(Duration),
    Never,
}

impl Refusal {
    /// To be sent again after a wait of the server's.
    pub fn again(error: impl Into<String>) -> Self {
        Self { error: error.into(), then: Then::Again }
    }

    /// To be sent again after this wait. Clients that ack by result cannot say how long.
    pub fn again_after(wait: Duration, error: impl Into<String>) -> Self {
        Self { error: error.into(), then: Then::AgainAfter(wait) }
    }

    /// Never to be sent again: a dead letter. Clients that ack by result cannot say so.
    pub fn never(error: impl Into<String>) -> Self {
        Self { error: error.into(), then: Then::Never }
    }
}

impl From<String> for Refusal {
    fn from(error: String) -> Self {
        Self::again(error)
    }
}

impl From<&str> for Refusal {
    fn from(error: &str) -> Self {
        Self::again(error)
    }
}

/// What the server says about a message beside its payload. What the payload has under the same
/// name is the publisher's; of another type than expected, it counts as absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct BaseFields {
    /// The message's id, the same for every repeat.
    #[serde(deserialize_with = "lenient")]
    pub message_id: Option<String>,
    /// When it was accepted, in RFC 3339.
    #[serde(deserialize_with = "lenient")]
    pub timestamp: Option<String>,
    /// What the publisher ties it to.
    #[serde(deserialize_with = "lenient")]
    pub correlation_id: Option<String>,
    /// How often it was sent to this client before.
    #[serde(deserialize_with = "lenient")]
    pub retry_count: Option<u32>,
    /// Its event.
    #[serde(deserialize_with = "lenient")]
    pub message_type: Option<String>,
    /// Higher goes first.
    #[serde(deserialize_with = "lenient")]
    pub priority: Option<i64>,
    /// Whether the publisher calls it critical.
    #[serde(deserialize_with = "lenient")]
    pub is_critical: Option<bool>,
    /// After this it is not sent any more, in RFC 3339.
    #[serde(deserialize_with = "lenient")]
    pub expires_at: Option<String>,
    /// Whether that time is over.
    #[serde(deserialize_with = "lenient")]
    pub is_expired: Option<bool>,
}

/// Those that every message has and that decide what is done with it.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Essence {
    #[serde(deserialize_with = "lenient")]
    message_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    retry_count: Option<u32>,
    #[serde(deserialize_with = "lenient")]
    timestamp: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Lenient<T> {
    Fits(T),
    Other(IgnoredAny),
}

fn lenient<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Ok(match Lenient::deserialize(deserializer)? {
        Lenient::Fits(value) => Some(value),
        Lenient::Other(IgnoredAny) => None,
    })
}

/// An event for a handler that acknowledges.
pub struct Message {
    event: Event,
    /// None: an ordinary event, of which nobody wants to hear anything.
    id: Option<String>,
    retry_count: u32,
    /// The same for every repeat; not known where acknowledging is by result.
    accepted_at: Option<String>,
    /// To whom "still working" is said; nobody of a client that acks by result.
    shared: Option<Weak<Shared>>,
}

impl Message {
    /// `asked`: the invocation's id, which is the message's in the mode `result`.
    pub(super) fn new(event: Event, asked: Option<&str>, shared: Weak<Shared>) -> Self {
        if let Some(id) = asked {
            return Self {
                event,
                id: Some(id.to_owned()),
                retry_count: 0,
                accepted_at: None,
                shared: None,
            };
        }
        let essence: Essence = fields_of(&event).unwrap_or_default();
        let Essence { message_id, retry_count, timestamp: accepted_at } = essence;
        match (message_id, retry_count) {
            (Some(id), Some(retry_count)) => {
                Self { event, id: Some(id), retry_count, accepted_at, shared: Some(shared) }
            }
            // A payload may have an id of its own; only with both it is the server's.
            _ => Self { event, id: None, retry_count: 0, accepted_at: None, shared: None },
        }
    }

    /// The id, the same for every repeat. None for an event that is not acknowledged.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// By which it is remembered: an id may be used again after a day, and is another message then.
    pub(super) fn memory_key(&self) -> Option<String> {
        let id = self.id.as_deref()?;
        Some(match &self.accepted_at {
            Some(at) => format!("{id} {at}"),
            None => id.to_owned(),
        })
    }

    /// How often it was sent to this subscriber before; 0 where the server does not say it.
    pub fn retry_count(&self) -> u32 {
        self.retry_count
    }

    /// The event as it came, base fields included.
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// All base fields.
    pub fn base_fields(&self) -> BaseFields {
        fields_of(&self.event).unwrap_or_default()
    }

    /// The publisher's arguments as a tuple, `(Order,)` for a single one.
    pub fn bind<T: FromWire>(&self) -> Result<T, BindError> {
        let values = self.event.arguments().values()?;
        // With one argument the fields are inside of it, else they are the last argument.
        if self.shared.is_none() || values.len() < 2 {
            return self.event.bind();
        }
        let own: Vec<RawValue> = values[..values.len() - 1].to_vec();
        let protocol = self.event.arguments().protocol();
        let mut bytes = Vec::with_capacity(own.len_hint());
        own.write(protocol, &mut bytes).map_err(BindError::new)?;
        RawValue::from_checked(protocol, Bytes::from(bytes)).bind()
    }

    /// For a handler that needs longer than the server's answer time: asks for all of it once more.
    /// Does nothing where the server cannot be told (mode `result`).
    pub fn still_working(&self) {
        let shared = self.shared.as_ref().and_then(Weak::upgrade);
        if let (Some(shared), Some(id)) = (shared, &self.id) {
            shared.words.say(Word::StillWorking(id.clone()));
        }
    }
}

/// The fields in the last argument, when that is an object.
fn fields_of<T: DeserializeOwned>(event: &Event) -> Option<T> {
    let values = RawArguments::values(event.arguments()).ok()?;
    let last = values.last()?;
    let first_byte = *last.bytes().first()?;
    let is_object = match last.protocol() {
        Protocol::Json => first_byte == b'{',
        Protocol::MessagePack => matches!(first_byte, 0x80..=0x8f | 0xde | 0xdf),
    };
    if is_object { last.bind().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Arguments, RawArguments};

    fn message(protocol: Protocol, arguments: &str, asked: Option<&str>) -> Message {
        let json = Bytes::copy_from_slice(arguments.as_bytes());
        let mut bytes = Vec::new();
        let arguments = RawArguments::parse(Protocol::Json, json).unwrap();
        arguments.write(protocol, &mut bytes).unwrap();
        let arguments = RawArguments::parse(protocol, bytes.into()).unwrap();
        Message::new(Event::new("Order".into(), arguments), asked, Weak::new())
    }

    const BOTH: [Protocol; 2] = [Protocol::Json, Protocol::MessagePack];

    #[test]
    fn the_fields_are_read_inside_a_single_object_or_as_the_last_argument() {
        for protocol in BOTH {
            let inside = r#"[{"total":5,"messageId":"m1","retryCount":2}]"#;
            let inside = message(protocol, inside, None);
            assert_eq!((inside.id(), inside.retry_count()), (Some("m1"), 2));
            let (order,) = inside.bind::<(serde_json::Value,)>().unwrap();
            assert_eq!(order["total"], 5);

            let beside = message(protocol, r#"["x",7,{"messageId":"m2","retryCount":0}]"#, None);
            assert_eq!((beside.id(), beside.retry_count()), (Some("m2"), 0));
            assert_eq!(beside.bind::<(String, u8)>().unwrap(), ("x".to_owned(), 7));
        }
    }

    #[test]
    fn all_fields_are_there_to_read_and_one_of_another_type_is_the_publishers() {
        for protocol in BOTH {
            let text = r#"[{"messageId":"m","timestamp":"2026-11-24T12:00:00Z",
                "correlationId":null,"retryCount":1,"messageType":"Order","priority":"urgent",
                "isCritical":true,"expiresAt":"2026-11-24T13:00:00Z","isExpired":false}]"#;
            let fields = message(protocol, text, None).base_fields();
            assert_eq!(fields.message_type.as_deref(), Some("Order"));
            assert_eq!((fields.is_critical, fields.is_expired), (Some(true), Some(false)));
            assert_eq!((fields.priority, fields.correlation_id), (None, None));
            assert_eq!(fields.expires_at.as_deref(), Some("2026-11-24T13:00:00Z"));
        }
    }

    #[test]
    fn an_event_that_only_looks_like_a_message_is_none() {
        for arguments in [
            "[]",
            r#"["messageId"]"#,
            r#"[{"messageId":"chat-5"}]"#,
            r#"[{"retryCount":1}]"#,
            r#"[{"messageId":5,"retryCount":1}]"#,
            r#"[{"messageId":"m","retryCount":1},"last"]"#,
        ] {
            for protocol in BOTH {
                assert_eq!(message(protocol, arguments, None).id(), None, "{arguments}");
            }
        }
    }

    #[test]
    fn a_message_that_is_asked_has_the_id_of_its_invocation_and_all_arguments_are_the_publishers() {
        let asked =
            message(Protocol::Json, r#"["x",{"messageId":"own","retryCount":9}]"#, Some("m"));
        assert_eq!((asked.id(), asked.retry_count()), (Some("m"), 0));
        assert!(asked.bind::<(String, serde_json::Value)>().is_ok());
    }
}
