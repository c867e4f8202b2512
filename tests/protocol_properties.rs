//! What holds for every message and for every handful of bytes, not only for the vectors.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod meaning;

use bytes::{Bytes, BytesMut};
use conduit_realtime::protocol::{
    FrameError, HubMessage, Protocol, RawArguments, RawValue, handshake,
};
use meaning::{converted, encoded, meaning, passed_on, value};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Value, json};

const LIMIT: usize = 32_768;
const BOTH: [Protocol; 2] = [Protocol::Json, Protocol::MessagePack];

/// JSON values of every kind; fractions are exact, so that no parser's rounding shows.
fn values() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-300_i64..300).prop_map(Value::from),
        any::<i32>().prop_map(|number| Value::from(f64::from(number) / 64.0)),
        any::<String>().prop_map(Value::from),
        "[ -~]{0,40}".prop_map(Value::from),
    ];
    scalar.prop_recursive(5, 64, 20, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..20).prop_map(Value::from),
            btree_map(any::<String>(), inner, 0..20)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn ids() -> impl Strategy<Value = String> {
    prop_oneof!["[0-9]{1,3}", "\\PC{1,40}"]
}

/// Messages of all nine types, as meanings.
fn messages() -> impl Strategy<Value = Value> {
    prop_oneof![
        (
            prop_oneof![Just(1), Just(4)],
            proptest::option::of(ids()),
            ids(),
            vec(values(), 0..4),
            vec(any::<String>(), 0..3)
        )
            .prop_map(|(kind, id, target, arguments, stream_ids)| {
                let id = if kind == 4 { Some(id.unwrap_or("0".into())) } else { id };
                json!({
                    "type": kind, "id": id, "target": target, "arguments": arguments,
                    "streamIds": stream_ids,
                })
            }),
        (ids(), values()).prop_map(|(id, item)| json!({"type": 2, "id": id, "item": item})),
        (ids(), values()).prop_map(|(id, result)| json!({"type": 3, "id": id, "result": result})),
        (ids(), any::<String>())
            .prop_map(|(id, error)| json!({"type": 3, "id": id, "error": error})),
        ids().prop_map(|id| json!({"type": 3, "id": id})),
        ids().prop_map(|id| json!({"type": 5, "id": id})),
        Just(json!({"type": 6})),
        (proptest::option::of(any::<String>()), any::<bool>())
            .prop_map(|(error, again)| json!({"type": 7, "error": error, "allowReconnect": again})),
        any::<i64>().prop_map(|number| json!({"type": 8, "sequenceId": number})),
        any::<i64>().prop_map(|number| json!({"type": 9, "sequenceId": number})),
    ]
}

fn raw(value: &Value) -> RawValue {
    RawValue::parse(Protocol::Json, value.to_string().into_bytes().into()).unwrap()
}

/// Everything a buffer holds.
fn read(protocol: Protocol, buffer: &mut BytesMut, limit: usize) -> Vec<HubMessage> {
    let mut messages = Vec::new();
    while let Some(message) = protocol.split(buffer, limit).unwrap() {
        messages.push(protocol.decode(message).unwrap());
    }
    messages
}

/// Reads bytes of any origin as far as they go; what is read can be passed on in both protocols.
fn read_anything(protocol: Protocol, bytes: &[u8]) {
    let mut buffer = BytesMut::from(bytes);
    while let Ok(Some(message)) = protocol.split(&mut buffer, LIMIT) {
        let Ok(message) = protocol.decode(message) else { continue };
        let is_call_without_array =
            matches!(&message, HubMessage::Invocation(call) if call.arguments.values().is_err());
        if is_call_without_array || matches!(message, HubMessage::Unknown(_)) {
            continue;
        }
        let meant = meaning(&message);
        for other in BOTH {
            let mut again = BytesMut::from(&passed_on(other, &message).payload()[..]);
            let again = read(other, &mut again, usize::MAX);
            assert_eq!(again.len(), 1);
            assert_eq!(meaning(&again[0]), meant);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn what_is_written_reads_as_itself(message in messages()) {
        for protocol in BOTH {
            let mut buffer = BytesMut::from(&encoded(protocol, &message).payload()[..]);
            let again = read(protocol, &mut buffer, usize::MAX);
            prop_assert_eq!(again.len(), 1);
            prop_assert_eq!(&meaning(&again[0]), &message);
            prop_assert!(buffer.is_empty());
        }
    }

    #[test]
    fn a_message_split_anywhere_is_read_once(
        said in vec(messages(), 1..5),
        cuts in vec(1_usize..200, 1..20),
    ) {
        for protocol in BOTH {
            let stream: Vec<Bytes> =
                said.iter().map(|message| encoded(protocol, message).payload()).collect();
            let stream = stream.concat();
            let (mut rest, mut buffer, mut heard) = (&stream[..], BytesMut::new(), Vec::new());
            for cut in cuts.iter().cycle() {
                let (piece, later) = rest.split_at((*cut).min(rest.len()));
                buffer.extend_from_slice(piece);
                heard.extend(read(protocol, &mut buffer, usize::MAX).iter().map(meaning));
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert!(buffer.is_empty());
            prop_assert_eq!(&heard, &said);
        }
    }

    #[test]
    fn a_value_survives_the_way_to_messagepack_and_back(said in values()) {
        let there = converted(&raw(&said), Protocol::MessagePack);
        prop_assert_eq!(value(&there), said.clone());
        prop_assert_eq!(there.bind::<Value>().unwrap(), said);
    }

    #[test]
    fn messagepack_has_the_bytes_that_serde_would_write(said in values()) {
        let ours = converted(&raw(&said), Protocol::MessagePack);
        let mut theirs = Vec::new();
        conduit_realtime::protocol::ToWire::write(&said, Protocol::MessagePack, &mut theirs).unwrap();
        prop_assert_eq!(&ours.bytes()[..], &theirs[..]);
    }

    #[test]
    fn no_bytes_do_harm(bytes in vec(any::<u8>(), 0..300)) {
        for protocol in BOTH {
            read_anything(protocol, &bytes);
        }
        let _ = handshake::parse(&bytes);
        if let Ok(raw) = RawValue::parse(Protocol::MessagePack, bytes.into()) {
            let json = converted(&raw, Protocol::Json);
            prop_assert!(serde_json::from_slice::<serde::de::IgnoredAny>(json.bytes()).is_ok());
        }
    }

    #[test]
    fn no_damaged_message_does_harm(
        said in messages(),
        damages in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        for protocol in BOTH {
            let mut bytes = encoded(protocol, &said).payload().to_vec();
            for (place, byte) in &damages {
                let place = place.index(bytes.len());
                bytes[place] = *byte;
            }
            read_anything(protocol, &bytes);
            // The same with a prefix that is right.
            if protocol == Protocol::MessagePack
                && let Ok(message) = protocol.decode(Bytes::from(bytes).slice(1..))
                && let HubMessage::StreamItem { item, .. } = message
            {
                value(&item);
            }
        }
    }

    #[test]
    fn json_is_well_formed_exactly_when_serde_json_says_so(
        said in values(),
        damages in vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
    ) {
        let mut text = said.to_string().into_bytes();
        for (place, byte) in damages {
            let place = place.index(text.len());
            text[place] = byte;
        }
        let expected = std::str::from_utf8(&text)
            .is_ok_and(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok());
        prop_assert_eq!(RawValue::parse(Protocol::Json, text.into()).is_ok(), expected);
    }

    #[test]
    fn arguments_are_cut_where_their_values_are(said in vec(values(), 0..8)) {
        let text = Value::from(said.clone()).to_string();
        let json = RawArguments::parse(Protocol::Json, text.into_bytes().into()).unwrap();
        let packed = converted(&raw(&Value::from(said.clone())), Protocol::MessagePack);
        let packed = RawArguments::parse(Protocol::MessagePack, packed.bytes().clone()).unwrap();
        for arguments in [json, packed] {
            let cut: Vec<Value> = arguments.values().unwrap().iter().map(value).collect();
            prop_assert_eq!(&cut, &said);
        }
    }

    #[test]
    fn a_container_that_claims_more_than_there_is_is_refused(
        claimed in 3_u32..,
        is_map in any::<bool>(),
        depth in 0_usize..60,
    ) {
        let mut bytes = vec![0x91; depth];
        bytes.push(if is_map { 0xdf } else { 0xdd });
        bytes.extend_from_slice(&claimed.to_be_bytes());
        bytes.extend_from_slice(&[0xc0, 0xc0]);
        prop_assert!(RawValue::parse(Protocol::MessagePack, bytes.into()).is_err());
    }
}

#[test]
fn a_megabyte_of_opened_containers_is_refused_at_the_sixty_fifth() {
    for opening in ["[", "{\"a\":"] {
        let text =
            format!("{{\"type\":1,\"target\":\"x\",\"arguments\":[{}", opening.repeat(1 << 20));
        let refused = Protocol::Json.decode(text.into()).unwrap_err();
        assert_eq!(refused.to_string(), "Error reading JSON.");
    }
    for opening in [&[0x91][..], &[0x81], &[0x81, 0xc0], &[0xdd, 0, 0, 0, 1]] {
        let message = [&[0x94, 0x02, 0x80, 0xa1, b'1'][..], &opening.repeat(1 << 20)].concat();
        let refused = Protocol::MessagePack.decode(message.into()).unwrap_err();
        assert_eq!(refused.to_string(), "Reading 'item' failed.");
    }
}

#[test]
fn the_deepest_message_has_sixty_four_levels_in_both_protocols() {
    for (levels, is_fine) in [(63, true), (64, false)] {
        let nested = "[".repeat(levels) + &"]".repeat(levels);
        let text = format!("{{\"type\":2,\"invocationId\":\"1\",\"item\":{nested}}}");
        assert_eq!(Protocol::Json.decode(text.into()).is_ok(), is_fine);
        let mut message = vec![0x94, 0x02, 0x80, 0xa1, b'1'];
        message.extend(vec![0x91; levels - 1]);
        message.push(0x90);
        assert_eq!(Protocol::MessagePack.decode(message.into()).is_ok(), is_fine);
    }
}

#[test]
fn a_stream_beyond_the_limit_is_refused_in_every_protocol() {
    let refused = Err(FrameError::TooLong { limit: LIMIT });
    for (protocol, byte) in [(Protocol::Json, b' '), (Protocol::MessagePack, 0x7f)] {
        let mut buffer = BytesMut::from(&vec![byte; LIMIT + 1][..]);
        if protocol == Protocol::MessagePack {
            buffer[..4].copy_from_slice(&[0xff, 0xff, 0xff, 0x7f]);
        }
        assert_eq!(protocol.split(&mut buffer, LIMIT), refused);
    }
}

#[test]
fn messages_share_the_memory_they_arrived_in() {
    let text = "{\"type\":1,\"target\":\"Send\",\"arguments\":[\"a long enough text\"]}\u{1e}";
    let mut buffer = BytesMut::from(text.as_bytes());
    let memory = buffer.as_ptr_range();
    let message = Protocol::Json.split(&mut buffer, LIMIT).unwrap().unwrap();
    let HubMessage::Invocation(call) = Protocol::Json.decode(message).unwrap() else { panic!() };
    let values = call.arguments.values().unwrap();
    for bytes in [call.target.as_bytes(), call.arguments.bytes(), values[0].bytes()] {
        assert!(memory.contains(&bytes.as_ptr()));
    }
}
