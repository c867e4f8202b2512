//! Server-Sent Events: one answer that never ends, an event for each frame (section 2.2).

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream;
use http::StatusCode;
use http::header::{self, HeaderName, HeaderValue};

use super::answer;
use super::config::TransportKind;
use super::inbox::Inbox;
use super::room::{Absent, Refused, Transport, Visitor};
use super::router::HubRoute;
use super::table::Found;
use crate::connections::{Connection, Frame, Inbound, Outlet, Pulled};

/// The first bytes: a comment, so that browsers see the stream open.
const OPENING: &[u8] = b":\r\n";
/// Payload of one write; more waits in the outbox, where it is counted.
const PULL_BYTES: usize = 65_536;
const HEADERS: [(HeaderName, &str); 4] = [
    (header::CONTENT_TYPE, "text/event-stream"),
    (header::CACHE_CONTROL, "no-cache,no-store"),
    (header::PRAGMA, "no-cache"),
    (header::CONTENT_ENCODING, "identity"),
];

/// Opens the stream and begins the conversation.
pub(super) fn open(room: &Arc<Transport>, hub: &Arc<HubRoute>, visitor: &Visitor) -> Response {
    let slot = match room.find(hub, visitor) {
        Ok(slot) => slot,
        Err(absent) => return absent.answer(),
    };
    if !hub.allows(TransportKind::ServerSentEvents) {
        return answer::not_supported(TransportKind::ServerSentEvents);
    }
    let inbox = match slot.claim_events() {
        Found::New(_) if room.is_draining() => {
            slot.unclaim();
            return Refused::Stopping.answer();
        }
        Found::New(inbox) => inbox,
        Found::Same(()) => return answer::text(StatusCode::CONFLICT, ""),
        Found::Other => return answer::text(StatusCode::BAD_REQUEST, answer::OTHER_TRANSPORT),
        Found::Refused | Found::Gone => return Absent::NotThere.answer(),
    };
    room.attached(&slot);
    let new = hub.new_connection(&slot, visitor, TransportKind::ServerSentEvents);
    let (connection, pipe) = room.connections().open(new, inbox.source(), Outlet::Pulled);
    let seat = room.seat(slot);
    let conversation = hub.endpoint.converse(pipe, visitor.opening());
    room.tasks().spawn(async move {
        conversation.await;
        drop(seat);
    });
    stream_of(connection, inbox)
}

fn stream_of(connection: Arc<Connection>, inbox: Arc<Inbox>) -> Response {
    let events = Events { connection, opened: false, _leaving: Leaving(inbox) };
    let events = stream::unfold(events, |mut events| async {
        let bytes = events.next().await?;
        Some((Ok::<_, Infallible>(bytes), events))
    });
    let mut response = Response::new(Body::from_stream(events));
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    // Proxies that buffer by default are asked not to.
    let buffering = HeaderName::from_static("x-accel-buffering");
    response.headers_mut().insert(buffering, HeaderValue::from_static("no"));
    response
}

/// The body of the answer. Hyper drops it when the client is gone, and the connection ends.
struct Events {
    connection: Arc<Connection>,
    opened: bool,
    _leaving: Leaving,
}

struct Leaving(Arc<Inbox>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.end(Inbound::Closed);
    }
}

impl Events {
    async fn next(&mut self) -> Option<Bytes> {
        if !self.opened {
            self.opened = true;
            return Some(Bytes::from_static(OPENING));
        }
        match self.connection.pull(PULL_BYTES).await {
            Pulled::Frames(frames) => Some(events_of(&frames)),
            Pulled::Over => None,
        }
    }
}

fn events_of(frames: &[Arc<Frame>]) -> Bytes {
    let length: usize = frames.iter().map(|frame| frame.encoded().payload_len() + 16).sum();
    let mut out = BytesMut::with_capacity(length);
    for frame in frames {
        put_event(&frame.encoded().payload(), &mut out);
    }
    out.freeze()
}

/// One event; a payload with line feeds becomes several lines of it.
fn put_event(payload: &[u8], out: &mut BytesMut) {
    let mut rest = payload;
    while let Some(end) = memchr::memchr(b'\n', rest) {
        let line = &rest[..end];
        put_line(line.strip_suffix(b"\r").unwrap_or(line), out);
        rest = &rest[end + 1..];
    }
    put_line(rest, out);
    out.put_slice(b"\r\n");
}

fn put_line(line: &[u8], out: &mut BytesMut) {
    out.put_slice(b"data: ");
    out.put_slice(line);
    out.put_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(payload: &str) -> String {
        let mut out = BytesMut::new();
        put_event(payload.as_bytes(), &mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn a_ping_has_the_bytes_of_the_reference() {
        assert_eq!(event("{\"type\":6}\u{1e}"), "data: {\"type\":6}\u{1e}\r\n\r\n");
    }

    #[test]
    fn every_line_of_a_payload_is_a_line_of_its_event() {
        assert_eq!(event("{\r\n\n}\u{1e}"), "data: {\r\ndata: \r\ndata: }\u{1e}\r\n\r\n");
    }
}
