//! What one connection, its session and its calls share.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use bytestring::ByteString;
use tokio_util::sync::CancellationToken;

use super::clients::HubContext;
use super::definition::Hub;
use super::desk::Desk;
use super::methods::Methods;
use super::metrics::Counters;
use super::options::HubOptions;
use crate::connections::{Connection, End, Frame, Opening, SendError};
use crate::delivery::Subscription;
use crate::protocol::Protocol;

/// What all sessions of one hub share, apart from the hub's own type.
pub(super) struct House {
    pub(super) options: HubOptions,
    pub(super) context: HubContext,
    pub(super) counters: Counters,
}

/// The hub and its methods.
pub(super) struct Served<H: Hub> {
    pub(super) hub: H,
    pub(super) methods: Methods<H>,
}

/// One connection's place at the hub.
pub(super) struct Seat<H: Hub> {
    pub(super) core: Core,
    pub(super) served: Arc<Served<H>>,
    pub(super) state: H::State,
}

/// The part of a [`Seat`] that is the same for every hub.
pub(super) struct Core {
    pub(super) connection: Arc<Connection>,
    pub(super) house: Arc<House>,
    pub(super) opening: Opening,
    pub(super) desk: Desk,
    /// Who it is across connections; none when the node keeps nothing.
    pub(super) subscription: OnceLock<Arc<Subscription>>,
    /// The hub has greeted the client, and not said goodbye yet.
    pub(super) is_welcome: AtomicBool,
    /// Cancelled when the connection is over; made when somebody wants it.
    gone: OnceLock<CancellationToken>,
}

impl Core {
    pub(super) fn new(connection: Arc<Connection>, house: Arc<House>, opening: Opening) -> Self {
        Self {
            connection,
            house,
            opening,
            desk: Desk::default(),
            subscription: OnceLock::new(),
            is_welcome: AtomicBool::new(false),
            gone: OnceLock::new(),
        }
    }

    /// The subscriber behind the connection.
    pub(super) fn subscription(&self) -> Option<&Subscription> {
        self.subscription.get().map(|own| &**own)
    }

    /// The agreed protocol.
    pub(super) fn protocol(&self) -> Protocol {
        // A session begins after its handshake, so there always is one.
        self.connection.protocol().unwrap_or(Protocol::Json)
    }

    /// Sends a frame to the own client when it has room; too long without ends the connection.
    pub(super) async fn send(&self, frame: Arc<Frame>) -> Result<(), SendError> {
        let sent = self.connection.send(frame).await;
        if sent == Err(SendError::TimedOut) {
            self.connection.end(End::SendTimedOut);
        }
        sent
    }

    /// Lets in what waited while the client was sent what it was owed; see [`Core::send`].
    pub(super) async fn let_in(&self, own: &Subscription) -> Result<u64, SendError> {
        let lost = own.let_in().await;
        if lost == Err(SendError::TimedOut) {
            self.connection.end(End::SendTimedOut);
        }
        lost
    }

    pub(super) fn gone(&self) -> &CancellationToken {
        self.gone.get_or_init(|| {
            let token = CancellationToken::new();
            if self.connection.ended().is_some() {
                token.cancel();
            }
            token
        })
    }

    /// The connection is over: whoever waits for that learns it.
    pub(super) fn leave(&self) {
        self.desk.close();
        if let Some(gone) = self.gone.get() {
            gone.cancel();
        }
    }
}

/// One call under way; when it is dropped, everything it holds is given back.
pub(super) struct Flight<H: Hub> {
    seat: Arc<Seat<H>>,
    call: u64,
    stream: Option<ByteString>,
    uploads: Vec<ByteString>,
}

impl<H: Hub> Flight<H> {
    pub(super) fn new(seat: Arc<Seat<H>>, call: u64) -> Self {
        Self { seat, call, stream: None, uploads: Vec::new() }
    }

    pub(super) fn core(&self) -> &Core {
        &self.seat.core
    }

    /// From here on the stream's id is its own.
    pub(super) fn owns_stream(&mut self, id: &ByteString) {
        self.stream = Some(id.clone());
    }

    /// From here on the uploads' ids are its own.
    pub(super) fn owns_uploads(&mut self, ids: &[ByteString]) {
        self.uploads = ids.to_vec();
    }
}

impl<H: Hub> Drop for Flight<H> {
    fn drop(&mut self) {
        self.seat.core.desk.finish(self.call, self.stream.as_ref(), &self.uploads);
    }
}
