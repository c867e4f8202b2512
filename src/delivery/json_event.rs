//! The door for those who hold JSON and do not know what a protocol is.

use bytes::Bytes;

use crate::protocol::{Event, Protocol, RawArguments};

/// The text is not what an event's arguments can be.
#[derive(Debug, thiserror::Error)]
#[error("arguments are no JSON array, not well-formed, or nested too deep")]
pub struct BadArguments;

/// An event whose arguments are the text of a JSON array. It stays text: it is checked once here,
/// forwarded to JSON clients as it is, and transcoded once when a MessagePack client wants it.
pub fn event_from_json(target: &str, arguments: Bytes) -> Result<Event, BadArguments> {
    let arguments =
        RawArguments::parse(Protocol::Json, arguments).map_err(|_reason| BadArguments)?;
    Ok(Event::new(target, arguments))
}

/// An event with one argument, a text.
pub fn event_of_text(target: &str, argument: String) -> Event {
    Event::new(target, (argument,))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(event: &Event, protocol: Protocol) -> Vec<u8> {
        event.encoded(protocol).unwrap().payload().to_vec()
    }

    #[test]
    fn the_text_goes_to_json_clients_as_it_is() {
        let event = event_from_json("News", Bytes::from_static(b"[1.50, {\"a\" :null}]")).unwrap();
        assert_eq!(
            payload(&event, Protocol::Json),
            b"{\"type\":1,\"target\":\"News\",\"arguments\":[1.50, {\"a\" :null}]}\x1e"
        );
    }

    #[test]
    fn messagepack_clients_get_the_same_values() {
        let event = event_from_json("N", Bytes::from_static(b"[1]")).unwrap();
        assert!(payload(&event, Protocol::MessagePack).ends_with(b"\xa1N\x91\x01\x90"));
    }

    #[test]
    fn what_is_no_array_or_broken_or_too_deep_is_refused() {
        let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
        for text in ["{}", "1", "", "[", "[1,]", "[\"\u{1}\"]", &deep] {
            let text = Bytes::copy_from_slice(text.as_bytes());
            assert!(event_from_json("News", text.clone()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_text_is_escaped_as_its_protocol_wants_it() {
        let event = event_of_text("N", "a\"b".into());
        assert_eq!(
            payload(&event, Protocol::Json),
            b"{\"type\":1,\"target\":\"N\",\"arguments\":[\"a\\\"b\"]}\x1e"
        );
    }
}
