//! POST: bytes from the clients of event streams and polls (section 2.4).

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt as _;

use super::answer;
use super::inbox::{Inbox, Offer};
use super::room::{Absent, Refused, Transport, Visitor};
use super::router::HubRoute;
use super::table::Mailbox;

/// A client waits 100 s for an answer; whatever holds the inbox full or its turn for so long will
/// not let go soon.
const PATIENCE: Duration = Duration::from_secs(100);

/// Puts the body into the connection's inbox, piece by piece.
pub(super) async fn accept(
    room: &Arc<Transport>,
    hub: &HubRoute,
    visitor: &Visitor,
    body: Body,
) -> Response {
    let slot = match room.find(hub, visitor) {
        Ok(slot) => slot,
        Err(absent) => return absent.answer(),
    };
    let inbox = match slot.mailbox(room.budget()) {
        Mailbox::Inbox(inbox) => inbox,
        Mailbox::WebSocket => return answer::text(StatusCode::METHOD_NOT_ALLOWED, answer::NO_POST),
        Mailbox::Gone => return Absent::NotThere.answer(),
    };
    drop(slot);
    let reading = read(&inbox, body, room.config().body_read_timeout());
    match tokio::time::timeout(PATIENCE, reading).await {
        Ok(Posted::All) => answer::text(StatusCode::OK, ""),
        Ok(Posted::BrokenOff) => answer::text(StatusCode::BAD_REQUEST, ""),
        Ok(Posted::Gone) => Absent::NotThere.answer(),
        Ok(Posted::OverBudget) => {
            room.metrics().refuse("unattached_bytes_max");
            Refused::Full.answer()
        }
        Err(_elapsed) => answer::unavailable("The connection reads too slowly"),
    }
}

enum Posted {
    All,
    BrokenOff,
    Gone,
    OverBudget,
}

async fn read(inbox: &Inbox, body: Body, limit: Duration) -> Posted {
    let mut body = pin!(body);
    // Bodies do not mix: the order of requests is the order of their bytes.
    let _turn = inbox.turn.lock().await;
    loop {
        let piece: Bytes = match tokio::time::timeout(limit, body.frame()).await {
            Ok(None) => return Posted::All,
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(piece) => piece,
                Err(_trailers) => continue,
            },
            Ok(Some(Err(_))) | Err(_) => return Posted::BrokenOff,
        };
        match inbox.put(piece).await {
            Offer::Taken(_) => {}
            Offer::OverBudget => return Posted::OverBudget,
            Offer::Ended => return Posted::Gone,
        }
    }
}
