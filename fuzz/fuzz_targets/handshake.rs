//! Any bytes as a handshake request.
//!
//! Nothing panics; an accepted request says the same to serde_json; what we ask ourselves is read.
#![no_main]

use bytes::BytesMut;
use conduit_realtime::protocol::{Protocol, handshake};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut buffer = BytesMut::from(bytes);
    let Ok(Some(request)) = handshake::split(&mut buffer, 32_768) else { return };
    assert_eq!(request.len() + 1 + buffer.len(), bytes.len());
    if let Ok(read) = handshake::parse(&request) {
        // Text after the closing brace is not looked at, so serde_json reads a stream.
        let mut values = serde_json::Deserializer::from_slice(&request).into_iter();
        if let Some(Ok(serde_json::Value::Object(object))) = values.next() {
            assert_eq!(object["protocol"], read.protocol);
            // serde_json takes `-0` for a fraction.
            assert_eq!(object["version"].as_i64().unwrap_or(0), read.version);
        }
        for protocol in [Protocol::Json, Protocol::MessagePack] {
            let mut asked =
                BytesMut::from(&handshake::request(protocol, read.version).payload()[..]);
            let asked = handshake::split(&mut asked, 32_768).expect("short").expect("complete");
            let again = handshake::parse(&asked).expect("ours is well-formed");
            assert_eq!((again.protocol(), again.version), (Some(protocol), read.version));
        }
    }
});
