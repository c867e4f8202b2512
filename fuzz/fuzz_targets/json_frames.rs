//! Any bytes as a stream of JSON hub messages.
//!
//! Nothing panics; what is read can be passed on in both protocols and then means the same; a
//! value is well-formed exactly when serde_json says so, but for the depth.
#![no_main]

#[path = "../../tests/meaning/mod.rs"]
mod meaning;
mod passing;

use bytes::Bytes;
use conduit_realtime::protocol::{Protocol, RawValue};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    passing::read_and_pass_on(Protocol::Json, bytes);
    let parsed = RawValue::parse(Protocol::Json, Bytes::copy_from_slice(bytes));
    let theirs = std::str::from_utf8(bytes)
        .is_ok_and(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok());
    let levels = bytes.iter().filter(|byte| matches!(byte, b'[' | b'{')).count();
    if levels <= 64 {
        assert_eq!(parsed.is_ok(), theirs);
    }
    if let Ok(raw) = parsed {
        let mut packed = Vec::new();
        raw.write_as(Protocol::MessagePack, &mut packed).expect("a checked value converts");
        RawValue::parse(Protocol::MessagePack, packed.into()).expect("and the outcome is a value");
    }
});
