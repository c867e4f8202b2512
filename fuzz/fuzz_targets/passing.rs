//! What must hold for every message that can be read at all.

use bytes::BytesMut;
use conduit_realtime::protocol::{HubMessage, Protocol};

use crate::meaning::{meaning, passed_on};

/// Reads a stream to its end or first error, and passes everything on in both protocols.
pub(crate) fn read_and_pass_on(protocol: Protocol, bytes: &[u8]) {
    let mut buffer = BytesMut::from(bytes);
    while let Ok(Some(message)) = protocol.split(&mut buffer, 32_768) {
        let Ok(message) = protocol.decode(message) else { continue };
        let is_call_without_array = matches!(
            &message, HubMessage::Invocation(call) if call.arguments.values().is_err()
        );
        if is_call_without_array || matches!(message, HubMessage::Unknown(_)) {
            continue;
        }
        let meant = meaning(&message);
        for other in [Protocol::Json, Protocol::MessagePack] {
            let mut again = BytesMut::from(&passed_on(other, &message).payload()[..]);
            let again = other.split(&mut again, usize::MAX).expect("ours").expect("complete");
            let again = other.decode(again).expect("what we write is well-formed");
            assert_eq!(meaning(&again), meant);
        }
    }
}
