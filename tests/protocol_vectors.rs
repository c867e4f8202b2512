//! The golden vectors of the protocol reference (sections 3 and 4.4 to 4.6) and of ASP.NET Core's
//! recorded answers, read from `tests/vectors/`.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod meaning;

use bytes::{Bytes, BytesMut};
use conduit_realtime::protocol::{HubMessage, Protocol, handshake};
use meaning::{encoded, hex, meaning};
use serde_json::{Value, json};

const LIMIT: usize = 32_768;

/// The vectors of a file.
fn vectors(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap()
}

fn valid() -> Vec<Value> {
    vectors(include_str!("vectors/valid.json"))
}

/// The byte stream of a vector in each protocol it is given in.
fn streams(vector: &Value) -> Vec<(Protocol, BytesMut)> {
    let json = vector["json"].as_str().map(|text| text.replace('␞', "\u{1e}").into_bytes());
    let message_pack = vector["hex"].as_str().map(hex);
    let streams = [(Protocol::Json, json), (Protocol::MessagePack, message_pack)];
    streams
        .into_iter()
        .filter_map(|(protocol, bytes)| Some((protocol, BytesMut::from(&bytes?[..]))))
        .collect()
}

/// Everything a stream holds, or the first error's text.
fn read(protocol: Protocol, mut stream: BytesMut) -> Result<Vec<HubMessage>, String> {
    let mut messages = Vec::new();
    while let Some(message) = protocol.split(&mut stream, LIMIT).map_err(|e| e.to_string())? {
        messages.push(protocol.decode(message).map_err(|error| error.to_string())?);
    }
    if !stream.is_empty() {
        return Err("waits".into());
    }
    Ok(messages)
}

#[test]
fn every_valid_vector_is_read_with_its_meaning() {
    for vector in valid() {
        for (protocol, stream) in streams(&vector) {
            let messages =
                read(protocol, stream).unwrap_or_else(|error| panic!("{vector}: {error}"));
            let meant: Vec<Value> = messages.iter().map(meaning).collect();
            let expected = match (protocol, &vector["hexMessages"]) {
                (Protocol::MessagePack, Value::Array(of_hex)) => of_hex,
                _ => vector["messages"].as_array().unwrap(),
            };
            assert_eq!(&meant, expected, "{} {protocol:?}", vector["id"]);
        }
    }
}

#[test]
fn every_meaning_is_written_as_its_vector() {
    let mut written = 0;
    for vector in valid() {
        for (protocol, stream) in streams(&vector) {
            if !vector["writes"].as_array().unwrap().contains(&protocol.name().into()) {
                continue;
            }
            let messages = vector["messages"].as_array().unwrap();
            let payloads: Vec<Bytes> =
                messages.iter().map(|message| encoded(protocol, message).payload()).collect();
            assert_eq!(payloads.concat(), stream, "{} {protocol:?}", vector["id"]);
            written += 1;
        }
    }
    assert!(written > 60, "only {written} were written");
}

#[test]
fn a_message_means_the_same_when_it_is_passed_on_in_either_protocol() {
    for vector in valid() {
        for (protocol, stream) in streams(&vector) {
            for message in read(protocol, stream).unwrap() {
                if let HubMessage::Unknown(_) = message {
                    continue;
                }
                for other in [Protocol::Json, Protocol::MessagePack] {
                    let payload = meaning::passed_on(other, &message).payload();
                    let again = read(other, BytesMut::from(&payload[..])).unwrap();
                    assert_eq!(meaning(&again[0]), meaning(&message), "{}", vector["id"]);
                    assert_eq!(again.len(), 1);
                }
            }
        }
    }
}

#[test]
fn every_malformed_vector_is_refused_with_dotnets_detail() {
    for vector in vectors(include_str!("vectors/malformed.json")) {
        for (protocol, stream) in streams(&vector) {
            let detail = vector["detail"].as_str().unwrap_or("waits");
            let refused = read(protocol, stream);
            assert_eq!(refused.as_ref().err().map(String::as_str), Some(detail), "{vector}");
        }
    }
}

#[test]
fn arguments_that_do_not_fit_are_found_by_whoever_binds_them() {
    for vector in vectors(include_str!("vectors/binding.json")) {
        let (protocol, stream) = streams(&vector).remove(0);
        let message = read(protocol, stream).unwrap().remove(0);
        let HubMessage::Invocation(invocation) = message else { panic!("{vector}") };
        let values = invocation.arguments.values();
        if let Some(detail) = vector["detail"].as_str() {
            assert_eq!(values.unwrap_err().to_string(), detail, "{vector}");
            continue;
        }
        let values = values.unwrap();
        assert_eq!(json!(values.len()), vector["values"], "{vector}");
        if let Some(fits) = vector["fitsString"].as_array() {
            let bound = values.iter().map(|value| value.bind::<String>().is_ok());
            assert!(bound.eq(fits.iter().map(|fits| fits == true)), "{vector}");
        }
        if let Some(fits) = vector["fitsInteger"].as_array() {
            let bound = values.iter().map(|value| value.bind::<i32>().is_ok());
            assert!(bound.eq(fits.iter().map(|fits| fits == true)), "{vector}");
        }
    }
}

#[test]
fn every_handshake_is_read_or_refused_with_dotnets_detail() {
    for vector in vectors(include_str!("vectors/handshake.json")) {
        let text = vector["text"].as_str().unwrap().replace('␞', "\u{1e}");
        let mut stream = BytesMut::from(format!("{text}rest").as_bytes());
        let request = handshake::split(&mut stream, LIMIT).unwrap().unwrap();
        assert_eq!(stream, "rest");
        match handshake::parse(&request) {
            Ok(request) => {
                assert_eq!(json!(request.protocol), vector["protocol"], "{vector}");
                assert_eq!(json!(request.version), vector["version"], "{vector}");
            }
            Err(refused) => assert_eq!(json!(refused.to_string()), vector["detail"]),
        }
    }
}

#[test]
fn the_answers_to_a_handshake_are_those_of_aspnet_core() {
    let accepted = |protocol| handshake::accepted(protocol).frame().clone();
    assert_eq!(accepted(Protocol::Json), &b"\x81\x03{}\x1e"[..]);
    assert_eq!(accepted(Protocol::MessagePack), &b"\x82\x03{}\x1e"[..]);
    let refused = handshake::refused("The protocol 'x' is not supported.").payload();
    assert_eq!(refused, "{\"error\":\"The protocol 'x' is not supported.\"}\u{1e}");
    let asked = handshake::request(Protocol::MessagePack, 1).payload();
    assert_eq!(asked, "{\"protocol\":\"messagepack\",\"version\":1}\u{1e}");
    let name = |protocol: &str| handshake::Request { protocol: protocol.into(), version: 1 };
    assert_eq!(name("JSON").protocol(), Some(Protocol::Json));
    assert_eq!(name("MessagePack").protocol(), Some(Protocol::MessagePack));
    assert_eq!(name("xyz").protocol(), None);
}

#[test]
fn a_handshake_without_an_end_is_refused_at_the_limit() {
    let mut stream = BytesMut::from(&[b'x'; LIMIT][..]);
    assert_eq!(handshake::split(&mut stream, LIMIT), Ok(None));
    stream.extend_from_slice(b"x");
    assert!(handshake::split(&mut stream, LIMIT).is_err());
}
