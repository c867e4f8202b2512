//! Writing hub messages (sections 4.2 and 4.3), each framed for every transport.

use std::convert::Infallible;

use bytes::Bytes;

use super::arguments::Arguments;
use super::encoded::{Encoded, FrameKind};
use super::framing::DELIMITER;
use super::json::text;
use super::message::Close;
use super::messagepack::write;
use super::raw::EncodeError;
use super::wire::{Protocol, ToWire};

/// Room for what a message holds besides its texts.
const FRAME_CAPACITY: usize = 64;

/// Type 1; with an id it is a question to a client.
pub fn invocation(
    protocol: Protocol,
    id: Option<&str>,
    target: &str,
    arguments: &dyn Arguments,
) -> Result<Encoded, EncodeError> {
    client_invocation(protocol, false, id, target, arguments, &[])
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
    let kind = if streaming { 4 } else { 1 };
    let capacity = FRAME_CAPACITY + target.len() + arguments.len_hint();
    framed(protocol, capacity, |out| match protocol {
        Protocol::Json => {
            json_head(kind, id, out);
            out.extend_from_slice(b",\"target\":");
            text::write(target, out);
            out.extend_from_slice(b",\"arguments\":");
            arguments.write(protocol, out)?;
            if !stream_ids.is_empty() {
                out.extend_from_slice(b",\"streamIds\":");
                let mut separator = b'[';
                for stream_id in stream_ids {
                    out.push(separator);
                    text::write(stream_id, out);
                    separator = b',';
                }
                out.push(b']');
            }
            out.push(b'}');
            Ok(())
        }
        Protocol::MessagePack => {
            message_pack_head(6, kind, id, out);
            write::str(target.as_bytes(), out);
            arguments.write(protocol, out)?;
            write::strs(stream_ids, out);
            Ok(())
        }
    })
}

/// Type 2.
pub fn stream_item(
    protocol: Protocol,
    id: &str,
    item: &dyn ToWire,
) -> Result<Encoded, EncodeError> {
    framed(protocol, FRAME_CAPACITY + item.len_hint(), |out| match protocol {
        Protocol::Json => {
            json_head(2, Some(id), out);
            out.extend_from_slice(b",\"item\":");
            item.write(protocol, out)?;
            out.push(b'}');
            Ok(())
        }
        Protocol::MessagePack => {
            message_pack_head(4, 2, Some(id), out);
            item.write(protocol, out)
        }
    })
}

/// Type 3 with a value.
pub fn completion_value(
    protocol: Protocol,
    id: &str,
    value: &dyn ToWire,
) -> Result<Encoded, EncodeError> {
    framed(protocol, FRAME_CAPACITY + value.len_hint(), |out| match protocol {
        Protocol::Json => {
            json_head(3, Some(id), out);
            out.extend_from_slice(b",\"result\":");
            value.write(protocol, out)?;
            out.push(b'}');
            Ok(())
        }
        Protocol::MessagePack => {
            message_pack_head(5, 3, Some(id), out);
            write::uint(3, out);
            value.write(protocol, out)
        }
    })
}

/// Type 3 without a value: the end of a stream.
pub fn completion_void(protocol: Protocol, id: &str) -> Encoded {
    certain(protocol, FRAME_CAPACITY, |out| match protocol {
        Protocol::Json => {
            json_head(3, Some(id), out);
            out.push(b'}');
        }
        Protocol::MessagePack => {
            message_pack_head(4, 3, Some(id), out);
            write::uint(2, out);
        }
    })
}

/// Type 3 with an error.
pub fn completion_error(protocol: Protocol, id: &str, error: &str) -> Encoded {
    certain(protocol, FRAME_CAPACITY + error.len(), |out| match protocol {
        Protocol::Json => {
            json_head(3, Some(id), out);
            out.extend_from_slice(b",\"error\":");
            text::write(error, out);
            out.push(b'}');
        }
        Protocol::MessagePack => {
            message_pack_head(5, 3, Some(id), out);
            write::uint(1, out);
            write::str(error.as_bytes(), out);
        }
    })
}

/// Type 5.
pub fn cancel_invocation(protocol: Protocol, id: &str) -> Encoded {
    certain(protocol, FRAME_CAPACITY, |out| match protocol {
        Protocol::Json => {
            json_head(5, Some(id), out);
            out.push(b'}');
        }
        Protocol::MessagePack => message_pack_head(3, 5, Some(id), out),
    })
}

/// Type 6; the same bytes each time, shared.
pub fn ping(protocol: Protocol) -> Encoded {
    match protocol {
        Protocol::Json => Encoded::from_static(b"\x81\x0b{\"type\":6}\x1e"),
        Protocol::MessagePack => Encoded::from_static(b"\x82\x03\x02\x91\x06"),
    }
}

/// Type 7.
pub fn close(protocol: Protocol, close: &Close) -> Encoded {
    certain(protocol, FRAME_CAPACITY, |out| match protocol {
        Protocol::Json => {
            json_head(7, None, out);
            if let Some(error) = &close.error {
                out.extend_from_slice(b",\"error\":");
                text::write(error, out);
            }
            if close.allow_reconnect {
                out.extend_from_slice(b",\"allowReconnect\":true");
            }
            out.push(b'}');
        }
        Protocol::MessagePack => {
            write::short_array(3, out);
            write::uint(7, out);
            write::str_or_nil(close.error.as_deref(), out);
            write::boolean(close.allow_reconnect, out);
        }
    })
}

/// Type 8.
pub fn ack(protocol: Protocol, sequence_id: i64) -> Encoded {
    numbered(protocol, 8, sequence_id)
}

/// Type 9.
pub fn sequence(protocol: Protocol, sequence_id: i64) -> Encoded {
    numbered(protocol, 9, sequence_id)
}

/// A complete message of another node, with its delimiter or prefix, to be sent as it is.
pub fn verbatim(protocol: Protocol, message: &Bytes) -> Encoded {
    let kind = match protocol {
        Protocol::Json => FrameKind::Text,
        Protocol::MessagePack => FrameKind::Binary,
    };
    Encoded::from_payload(kind, message)
}

/// JSON text with its delimiter, in a text frame.
pub(super) fn json_text(capacity: usize, write: impl FnOnce(&mut Vec<u8>)) -> Encoded {
    certain(Protocol::Json, capacity, write)
}

fn numbered(protocol: Protocol, kind: u8, sequence_id: i64) -> Encoded {
    certain(protocol, FRAME_CAPACITY, |out| match protocol {
        Protocol::Json => {
            json_head(kind, None, out);
            out.extend_from_slice(b",\"sequenceId\":");
            out.extend_from_slice(itoa::Buffer::new().format(sequence_id).as_bytes());
            out.push(b'}');
        }
        Protocol::MessagePack => {
            write::short_array(2, out);
            write::uint(u64::from(kind), out);
            write::int(sequence_id, out);
        }
    })
}

/// Opens the object and writes what nearly all types begin with.
fn json_head(kind: u8, id: Option<&str>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":");
    out.push(b'0' + kind);
    if let Some(id) = id {
        out.extend_from_slice(b",\"invocationId\":");
        text::write(id, out);
    }
}

/// The head of the array, the type, empty headers and the id.
fn message_pack_head(items: u8, kind: u8, id: Option<&str>, out: &mut Vec<u8>) {
    write::short_array(items, out);
    out.extend_from_slice(&[kind, 0x80]);
    write::str_or_nil(id, out);
}

/// Puts delimiter or prefix and the frame's header around what `write` appends.
fn framed<E>(
    protocol: Protocol,
    capacity: usize,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<Encoded, E> {
    match protocol {
        Protocol::Json => Encoded::build(FrameKind::Text, capacity, |out| {
            write(out)?;
            out.push(DELIMITER);
            Ok(())
        }),
        Protocol::MessagePack => Encoded::build_prefixed(capacity, write),
    }
}

/// Like [`framed`], for what cannot fail.
fn certain(protocol: Protocol, capacity: usize, write: impl FnOnce(&mut Vec<u8>)) -> Encoded {
    let Ok(encoded) = framed::<Infallible>(protocol, capacity, |out| {
        write(out);
        Ok(())
    });
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKED: Protocol = Protocol::MessagePack;

    #[test]
    fn messagepack_messages_have_the_sizes_of_the_specification() {
        let call = |id, streams: &[&str]| {
            client_invocation(PACKED, false, id, "Target", &(1,), streams).unwrap().payload_len()
        };
        assert_eq!([call(None, &[]), call(Some("1"), &[]), call(Some("1"), &["2"])], [15, 16, 18]);
        let error = Some("error".to_owned());
        assert_eq!(close(PACKED, &Close { error, allow_reconnect: false }).payload_len(), 10);
        assert_eq!(stream_item(PACKED, "1", &"").unwrap().payload_len(), 7);
        assert_eq!(completion_void(PACKED, "1").payload_len(), 7);
        assert_eq!(cancel_invocation(PACKED, "1").payload_len(), 6);
    }

    #[test]
    fn every_ping_is_the_same_memory() {
        for protocol in [Protocol::Json, PACKED] {
            let (one, two) = (ping(protocol), ping(protocol));
            assert_eq!(one.frame().as_ptr(), two.frame().as_ptr());
            assert_eq!(verbatim(protocol, &one.payload()), one);
        }
        assert_eq!(ping(PACKED).payload(), &[0x02, 0x91, 0x06][..]);
        assert_eq!(ping(Protocol::Json).payload(), "{\"type\":6}\u{1e}");
    }

    #[test]
    fn a_value_that_cannot_be_written_leaves_an_error_and_no_message() {
        let map = std::collections::BTreeMap::from([((1, 2), 3)]);
        assert!(stream_item(Protocol::Json, "1", &map).is_err(), "a pair is no key in JSON");
    }
}
