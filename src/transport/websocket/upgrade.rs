//! From a GET with `Upgrade: websocket` to a connection that owns its socket.

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use super::handshake;
use super::socket::Socket;
use super::source::Frames;
use crate::connections::{Connection, Outlet};
use crate::transport::TransportKind;
use crate::transport::answer;
use crate::transport::io::Io;
use crate::transport::room::{Refused, Transport, Visitor};
use crate::transport::router::HubRoute;
use crate::transport::table::{Claim, Slot};

/// From our 101 to the socket in our hands; only the write of the 101 lies between.
const HANDOVER: Duration = Duration::from_secs(10);

/// Whether the client wants a WebSocket.
pub(in crate::transport) fn is_upgrade(headers: &HeaderMap) -> bool {
    handshake::has_token(headers, &header::UPGRADE, "websocket")
}

/// Answers a request for a WebSocket; the connection is opened after the answer is out.
pub(in crate::transport) fn open(
    room: &Arc<Transport>,
    hub: &Arc<HubRoute>,
    parts: &mut Parts,
    visitor: Visitor,
) -> Response {
    let slot = match &visitor.id {
        Some(_) => match room.find(hub, &visitor) {
            Ok(slot) => slot,
            Err(absent) => return absent.for_websocket(),
        },
        None if !hub.allows(TransportKind::WebSockets) => {
            return answer::not_supported(TransportKind::WebSockets);
        }
        None => match room.create_unnegotiated(hub, &visitor) {
            Ok(slot) => slot,
            Err(refusal) => return refusal.answer(),
        },
    };
    let opened = claim(room, hub, parts, visitor, slot.clone());
    if opened.status() != StatusCode::SWITCHING_PROTOCOLS && slot.is_unnegotiated() {
        room.forget(&slot);
    }
    opened
}

fn claim(
    room: &Arc<Transport>,
    hub: &Arc<HubRoute>,
    parts: &mut Parts,
    visitor: Visitor,
    slot: Arc<Slot>,
) -> Response {
    if !hub.allows(TransportKind::WebSockets) {
        return answer::not_supported(TransportKind::WebSockets);
    }
    let accept = match handshake::check(&parts.headers) {
        Ok(accept) => accept,
        Err(refusal) => return refusal,
    };
    let Some(upgrade) = parts.extensions.remove::<OnUpgrade>() else {
        return answer::text(StatusCode::BAD_REQUEST, "The connection cannot be upgraded");
    };
    let handover = Handover { room: room.clone(), hub: hub.clone(), slot, upgrade };
    match handover.slot.claim_websocket() {
        Claim::New if room.is_draining() => {
            handover.slot.unclaim();
            return Refused::Stopping.answer();
        }
        Claim::New => {
            room.attached(&handover.slot);
            room.tasks().spawn(handover.begin(visitor));
        }
        Claim::Resume(connection) => {
            room.tasks().spawn(handover.resume(connection));
        }
        Claim::Taken => return answer::text(StatusCode::CONFLICT, ""),
        Claim::Other => return answer::text(StatusCode::BAD_REQUEST, answer::OTHER_TRANSPORT),
        Claim::Gone => return answer::untyped(StatusCode::NOT_FOUND, answer::NO_CONNECTION),
    }
    handshake::switching(accept)
}

/// An upgrade whose 101 is on its way.
struct Handover {
    room: Arc<Transport>,
    hub: Arc<HubRoute>,
    slot: Arc<Slot>,
    upgrade: OnUpgrade,
}

impl Handover {
    /// Opens the connection and talks until it is over.
    async fn begin(self, visitor: Visitor) {
        let Self { room, hub, slot, upgrade } = self;
        let seat = room.seat(slot.clone());
        let Some((socket, source)) = take_socket(upgrade, &room).await else { return };
        let new = hub.new_connection(&slot, &visitor, TransportKind::WebSockets);
        let outlet = Outlet::Direct(socket.clone());
        let (connection, pipe) = room.connections().open(new, Box::new(source), outlet);
        socket.belongs_to(&connection);
        slot.set_websocket(connection);
        // Nothing but the seat and the conversation stays in this task's memory.
        drop((socket, slot, room));
        let conversation = hub.endpoint.converse(pipe, visitor.opening());
        drop(hub);
        conversation.await;
        drop(seat);
    }

    /// Hands the socket to a stateful connection; its session goes on.
    async fn resume(self, connection: Arc<Connection>) {
        let Self { room, upgrade, .. } = self;
        let Some((socket, source)) = take_socket(upgrade, &room).await else { return };
        socket.belongs_to(&connection);
        // When it is over meanwhile, dropping the socket is the answer: the client starts anew.
        let _ = connection.resume(Box::new(source), Outlet::Direct(socket));
    }
}

/// The TCP socket itself, with the bytes that hyper has read beyond the request.
async fn take_socket(upgrade: OnUpgrade, room: &Transport) -> Option<(Arc<Socket>, Frames)> {
    let upgraded = match tokio::time::timeout(HANDOVER, upgrade).await {
        Ok(Ok(upgraded)) => upgraded,
        Ok(Err(error)) => {
            tracing::debug!(%error, "an upgrade failed");
            return None;
        }
        Err(_elapsed) => return None,
    };
    let Ok(parts) = upgraded.downcast::<TokioIo<Io>>() else {
        tracing::error!("WebSockets need transport::serve as the accept loop");
        return None;
    };
    let (stream, permit) = parts.io.into_inner().into_parts();
    let socket = Socket::new(stream, permit);
    room.metrics().upgrades.inc();
    let source = Frames::new(socket.clone(), parts.read_buf.to_vec(), room.metrics().clone());
    Some((socket, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<A, B, F>(_: impl Fn(A, B) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn the_task_of_an_idle_websocket_is_small() {
        // It lives as long as the connection, ten thousand times; the conversation is boxed apart.
        let size = size_of_future(Handover::begin);
        assert!(size <= 768, "{size}");
    }
}
