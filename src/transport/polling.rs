//! Long polling: the newest poll takes what waits, older ones are told to stop (section 2.3).

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use http::header::{self, HeaderValue};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::answer;
use super::config::TransportKind;
use super::inbox::Inbox;
use super::room::{Absent, Refused, Transport, Visitor};
use super::router::HubRoute;
use super::table::Found;
use crate::connections::{Connection, Frame, Outlet, Pulled};

/// Payload of one answer, unless one frame alone is larger. More waits for the next poll.
const PULL_BYTES: usize = 1_048_576;

/// The polls of one connection.
pub(super) struct Polls {
    connection: Arc<Connection>,
    inbox: Arc<Inbox>,
    /// The number of the newest poll; older ones end when it changes.
    newest: watch::Sender<u64>,
    /// Held by the poll that takes frames: an older one is out before a newer one begins.
    turn: tokio::sync::Mutex<()>,
    open: Mutex<usize>,
}

/// An open poll; the gap to the next one begins when the last is dropped.
struct Poll<'a>(&'a Polls);

impl Polls {
    fn new(connection: Arc<Connection>, inbox: Arc<Inbox>) -> Arc<Self> {
        // Nobody polls yet: the first poll is answered at once.
        connection.set_polled(false);
        Arc::new(Self {
            connection,
            inbox,
            newest: watch::Sender::new(0),
            turn: tokio::sync::Mutex::new(()),
            open: Mutex::new(0),
        })
    }

    pub(super) fn inbox(&self) -> &Arc<Inbox> {
        &self.inbox
    }

    fn begin(&self) -> Poll<'_> {
        let mut open = self.open.lock();
        *open += 1;
        self.connection.set_polled(true);
        Poll(self)
    }

    /// Frames, or nothing more for ever.
    async fn pull(&self) -> Pulled {
        let _turn = self.turn.lock().await;
        self.connection.pull(PULL_BYTES).await
    }
}

impl Drop for Poll<'_> {
    fn drop(&mut self) {
        let mut open = self.0.open.lock();
        *open -= 1;
        if *open == 0 {
            self.0.connection.set_polled(false);
        }
    }
}

/// Answers one poll.
pub(super) async fn poll(
    room: &Arc<Transport>,
    hub: &Arc<HubRoute>,
    visitor: &Visitor,
) -> Response {
    let slot = match room.find(hub, visitor) {
        Ok(slot) => slot,
        Err(absent) => return absent.answer(),
    };
    if !hub.allows(TransportKind::LongPolling) {
        return answer::not_supported(TransportKind::LongPolling);
    }
    let mut opened = None;
    let mut refused = Refused::Stopping;
    let found = slot.claim_polls(|inbox| {
        if room.is_draining() {
            return None;
        }
        // Between two polls it holds no socket, so the bound of sockets does not bound it.
        if room.connections().count() >= room.config().connections_max {
            refused = Refused::Full;
            return None;
        }
        let new = hub.new_connection(&slot, visitor, TransportKind::LongPolling);
        let (connection, pipe) = room.connections().open(new, inbox.source(), Outlet::Pulled);
        opened = Some(pipe);
        Some(Polls::new(connection, inbox.clone()))
    });
    let polls = match found {
        Found::New(_) => {
            room.attached(&slot);
            let seat = room.seat(slot);
            if let Some(pipe) = opened {
                let conversation = hub.endpoint.converse(pipe, visitor.opening());
                room.tasks().spawn(async move {
                    conversation.await;
                    drop(seat);
                });
            }
            return octets(Vec::new());
        }
        Found::Same(polls) => polls,
        Found::Other => return answer::text(StatusCode::BAD_REQUEST, answer::OTHER_TRANSPORT),
        Found::Refused => {
            if refused == Refused::Full {
                room.metrics().refuse("connections_max");
            }
            return refused.answer();
        }
        Found::Gone => return Absent::NotThere.answer(),
    };
    drop(slot);
    wait(&polls, room.config().poll_timeout()).await
}

/// Waits for frames, a newer poll, the end, or the time-out.
async fn wait(polls: &Polls, limit: std::time::Duration) -> Response {
    let _poll = polls.begin();
    let mut newest = polls.newest.subscribe();
    let mut own = 0;
    polls.newest.send_modify(|number| {
        *number += 1;
        own = *number;
    });
    loop {
        tokio::select! {
            // A newer poll first: what waits is for the client that still listens.
            biased;
            () = until_newer(&mut newest, own) => {
                return answer::text(StatusCode::NO_CONTENT, "");
            }
            pulled = polls.pull() => return match pulled {
                Pulled::Frames(frames) => octets(join(&frames)),
                Pulled::Over => answer::text(StatusCode::NO_CONTENT, ""),
            },
            () = tokio::time::sleep(limit) => {
                // Before its handshake is answered a client cannot read an empty answer.
                if polls.connection.protocol().is_some() {
                    return answer::text(StatusCode::OK, "");
                }
            }
        }
    }
}

async fn until_newer(newest: &mut watch::Receiver<u64>, own: u64) {
    // The sender lives as long as the polls, so there is no error to speak of.
    let _ = newest.wait_for(|number| *number != own).await;
}

fn join(frames: &[Arc<Frame>]) -> Vec<u8> {
    let length = frames.iter().map(|frame| frame.encoded().payload_len()).sum();
    let mut out = Vec::with_capacity(length);
    for frame in frames {
        out.extend_from_slice(&frame.encoded().payload());
    }
    out
}

fn octets(body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    let octets = HeaderValue::from_static("application/octet-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, octets);
    response
}

/// DELETE: the client is done with its polls.
pub(super) fn delete(room: &Arc<Transport>, hub: &HubRoute, visitor: &Visitor) -> Response {
    let slot = match room.find(hub, visitor) {
        Ok(slot) => slot,
        Err(absent) => return absent.answer(),
    };
    match slot.leave() {
        Found::Same(()) => {
            room.forget(&slot);
            answer::text(StatusCode::ACCEPTED, "")
        }
        Found::Gone => Absent::NotThere.answer(),
        Found::New(_) | Found::Refused | Found::Other => {
            answer::text(StatusCode::BAD_REQUEST, answer::NO_DELETE)
        }
    }
}
