//! Any bytes as a stream of MessagePack hub messages.
//!
//! Nothing panics; what is read can be passed on in both protocols and then means the same; every
//! value of any bytes gives valid JSON.
#![no_main]

#[path = "../../tests/meaning/mod.rs"]
mod meaning;
mod passing;

use bytes::Bytes;
use conduit_realtime::protocol::{Protocol, RawValue};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    passing::read_and_pass_on(Protocol::MessagePack, bytes);
    if let Ok(raw) = RawValue::parse(Protocol::MessagePack, Bytes::copy_from_slice(bytes)) {
        let mut text = Vec::new();
        raw.write_as(Protocol::Json, &mut text).expect("a checked value converts");
        RawValue::parse(Protocol::Json, text.clone().into()).expect("and the outcome is a value");
        serde_json::from_slice::<serde::de::IgnoredAny>(&text).expect("for serde_json too");
    }
});
