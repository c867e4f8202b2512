//! What a hub message says, as a JSON value that has the same shape in every protocol.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use conduit_realtime::protocol::{
    Close, Encoded, HubMessage, InvocationKind, Outcome, Protocol, RawArguments, RawValue, encode,
};
use serde_json::{Value, json};

/// The bytes of a text like `02 91 06`.
#[allow(dead_code, reason = "not every test that shares this file needs it")]
pub(crate) fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

/// A raw value of either protocol as JSON, after a way through MessagePack: that settles what
/// texts and numbers mean which `serde_json::Value` cannot hold (`1e999`, `-0`, half a surrogate).
pub(crate) fn value(raw: &RawValue) -> Value {
    let packed = converted(raw, Protocol::MessagePack);
    let text = converted(&packed, Protocol::Json);
    serde_json::from_slice(text.bytes()).unwrap()
}

/// The value in a protocol; what a conversion writes is always well-formed.
pub(crate) fn converted(raw: &RawValue, protocol: Protocol) -> RawValue {
    let mut out = Vec::new();
    raw.write_as(protocol, &mut out).unwrap();
    RawValue::parse(protocol, out.into()).unwrap()
}

/// What the message says.
pub(crate) fn meaning(message: &HubMessage) -> Value {
    match message {
        HubMessage::Invocation(invocation) => {
            let values = invocation.arguments.values().unwrap();
            let stream_ids: Vec<&str> = invocation.stream_ids.iter().map(|id| &**id).collect();
            json!({
                "type": if invocation.kind == InvocationKind::Invoke { 1 } else { 4 },
                "id": invocation.id.as_deref(),
                "target": &*invocation.target,
                "arguments": values.iter().map(value).collect::<Vec<_>>(),
                "streamIds": stream_ids,
            })
        }
        HubMessage::StreamItem { id, item } => json!({"type": 2, "id": &**id, "item": value(item)}),
        HubMessage::Completion(completion) => {
            let id = &*completion.id;
            match &completion.outcome {
                Outcome::Void => json!({"type": 3, "id": id}),
                Outcome::Value(raw) => json!({"type": 3, "id": id, "result": value(raw)}),
                Outcome::Error(error) => json!({"type": 3, "id": id, "error": &**error}),
            }
        }
        HubMessage::CancelInvocation { id } => json!({"type": 5, "id": &**id}),
        HubMessage::Ping => json!({"type": 6}),
        HubMessage::Close(close) => {
            json!({"type": 7, "error": close.error, "allowReconnect": close.allow_reconnect})
        }
        HubMessage::Ack(number) => json!({"type": 8, "sequenceId": number}),
        HubMessage::Sequence(number) => json!({"type": 9, "sequenceId": number}),
        HubMessage::Unknown(kind) => json!({"type": kind}),
    }
}

/// A message that says it.
pub(crate) fn encoded(protocol: Protocol, meaning: &Value) -> Encoded {
    let id = meaning["id"].as_str();
    let raw = |value: &Value| {
        RawValue::parse(Protocol::Json, value.to_string().into_bytes().into()).unwrap()
    };
    match meaning["type"].as_i64().unwrap() {
        kind @ (1 | 4) => {
            let arguments = meaning["arguments"].to_string().into_bytes().into();
            let arguments = RawArguments::parse(Protocol::Json, arguments).unwrap();
            let stream_ids = meaning["streamIds"].as_array().unwrap();
            let stream_ids: Vec<&str> = stream_ids.iter().map(|id| id.as_str().unwrap()).collect();
            let target = meaning["target"].as_str().unwrap();
            encode::client_invocation(protocol, kind == 4, id, target, &arguments, &stream_ids)
                .unwrap()
        }
        2 => encode::stream_item(protocol, id.unwrap(), &raw(&meaning["item"])).unwrap(),
        3 => match (meaning.get("error"), meaning.get("result")) {
            (Some(error), _) => {
                encode::completion_error(protocol, id.unwrap(), error.as_str().unwrap())
            }
            (None, Some(result)) => {
                encode::completion_value(protocol, id.unwrap(), &raw(result)).unwrap()
            }
            (None, None) => encode::completion_void(protocol, id.unwrap()),
        },
        5 => encode::cancel_invocation(protocol, id.unwrap()),
        6 => encode::ping(protocol),
        7 => {
            let error = meaning["error"].as_str().map(str::to_owned);
            let allow_reconnect = meaning["allowReconnect"] == true;
            encode::close(protocol, &Close { error, allow_reconnect })
        }
        8 => encode::ack(protocol, meaning["sequenceId"].as_i64().unwrap()),
        9 => encode::sequence(protocol, meaning["sequenceId"].as_i64().unwrap()),
        kind => panic!("nobody writes type {kind}"),
    }
}

/// The message as it is written to a receiver of a protocol, with its values still raw.
pub(crate) fn passed_on(protocol: Protocol, message: &HubMessage) -> Encoded {
    match message {
        HubMessage::Invocation(invocation) => {
            let stream_ids: Vec<&str> = invocation.stream_ids.iter().map(|id| &**id).collect();
            encode::client_invocation(
                protocol,
                invocation.kind == InvocationKind::Stream,
                invocation.id.as_deref(),
                &invocation.target,
                &invocation.arguments,
                &stream_ids,
            )
            .unwrap()
        }
        HubMessage::StreamItem { id, item } => encode::stream_item(protocol, id, item).unwrap(),
        HubMessage::Completion(completion) => match &completion.outcome {
            Outcome::Void => encode::completion_void(protocol, &completion.id),
            Outcome::Value(raw) => encode::completion_value(protocol, &completion.id, raw).unwrap(),
            Outcome::Error(error) => encode::completion_error(protocol, &completion.id, error),
        },
        other => encoded(protocol, &meaning(other)),
    }
}
