//! Writing hub messages (sections 4.2 and 4.3), each framed for every transport.

use bytes::Bytes;

use super::arguments::Arguments;
use super::encoded::Encoded;
use super::message::Close;
use super::raw::EncodeError;
use super::wire::{Protocol, ToWire};

/// Type 1; with an id it is a question to a client.
pub fn invocation(
    protocol: Protocol,
    id: Option<&str>,
    target: &str,
    arguments: &dyn Arguments,
) -> Result<Encoded, EncodeError> {
    let _ = (protocol, id, target, arguments);
    todo!()
}

/// Type 1 or 4 as a client sends it, with the ids of its uploads.
pub fn client_invocation(
    protocol: Protocol,
    streaming: bool,
    id: Option<&str>,
    target: &str,
    arguments: &dyn Arguments,
    stream_ids: &[&str],
) -> Result<Encoded, EncodeError> {
    let _ = (protocol, streaming, id, target, arguments, stream_ids);
    todo!()
}

/// Type 2.
pub fn stream_item(
    protocol: Protocol,
    id: &str,
    item: &dyn ToWire,
) -> Result<Encoded, EncodeError> {
    let _ = (protocol, id, item);
    todo!()
}

/// Type 3 with a value.
pub fn completion_value(
    protocol: Protocol,
    id: &str,
    value: &dyn ToWire,
) -> Result<Encoded, EncodeError> {
    let _ = (protocol, id, value);
    todo!()
}

/// Type 3 without a value: the end of a stream.
pub fn completion_void(protocol: Protocol, id: &str) -> Encoded {
    let _ = (protocol, id);
    todo!()
}

/// Type 3 with an error.
pub fn completion_error(protocol: Protocol, id: &str, error: &str) -> Encoded {
    let _ = (protocol, id, error);
    todo!()
}

/// Type 5.
pub fn cancel_invocation(protocol: Protocol, id: &str) -> Encoded {
    let _ = (protocol, id);
    todo!()
}

/// Type 6; the same bytes each time, shared.
pub fn ping(protocol: Protocol) -> Encoded {
    let _ = protocol;
    todo!()
}

/// Type 7.
pub fn close(protocol: Protocol, close: &Close) -> Encoded {
    let _ = (protocol, close);
    todo!()
}

/// Type 8.
pub fn ack(protocol: Protocol, sequence_id: i64) -> Encoded {
    let _ = (protocol, sequence_id);
    todo!()
}

/// Type 9.
pub fn sequence(protocol: Protocol, sequence_id: i64) -> Encoded {
    let _ = (protocol, sequence_id);
    todo!()
}

/// A complete message of another node, with its delimiter or prefix, to be sent as it is.
pub fn verbatim(protocol: Protocol, message: &Bytes) -> Encoded {
    let _ = (protocol, message);
    todo!()
}
