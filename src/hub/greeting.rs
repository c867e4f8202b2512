//! The handshake with one client (protocol reference, section 3).

use bytes::BytesMut;

use super::error::HubError;
use super::seat::Core;
use crate::connections::{End, Frame, Pipe, Read};
use crate::protocol::{Protocol, handshake};

const CANCELED: &str = "Handshake was canceled.";
/// WebSocket close code for an ordinary end (RFC 6455, 7.4.1).
pub(super) const CODE_NORMAL: u16 = 1000;
/// The protocol version that permits Ack and Sequence.
const VERSION_STATEFUL: i64 = 2;

/// A client that may talk now.
pub(super) struct Greeted {
    pub(super) pipe: Pipe,
    pub(super) protocol: Protocol,
    /// Whether its messages are counted for a resumption.
    pub(super) stateful: bool,
    /// What it has sent behind its handshake.
    pub(super) buffer: BytesMut,
}

/// Does the handshake; None when it did not succeed, and the connection is over then.
pub(super) async fn greet(mut pipe: Pipe, core: &Core) -> Option<Greeted> {
    let mut buffer = BytesMut::new();
    match agree(&mut pipe, &mut buffer, core).await {
        Ok((protocol, stateful)) => {
            let connection = pipe.connection();
            connection.send_unbounded(Frame::untracked(handshake::accepted(protocol)));
            connection.begin(protocol, stateful);
            Some(Greeted { pipe, protocol, stateful, buffer })
        }
        Err(refusal) => {
            core.house.counters.handshakes_refused.inc();
            if let Some(text) = refusal {
                tracing::debug!(connection = %pipe.connection().id(), text, "handshake refused");
                pipe.connection().send_unbounded(Frame::untracked(handshake::refused(&text)));
            }
            // No Close: the client would take it for an answer to its handshake.
            pipe.finish(End::HandshakeRefused, None, CODE_NORMAL).await;
            None
        }
    }
}

/// Reads the request. The error is the answer, if there is anybody to hear it.
async fn agree(
    pipe: &mut Pipe,
    buffer: &mut BytesMut,
    core: &Core,
) -> Result<(Protocol, bool), Option<String>> {
    let options = &core.house.options;
    let request = loop {
        match handshake::split(buffer, options.message_bytes_max) {
            Ok(Some(request)) => break request,
            Ok(None) => {}
            Err(_too_long) => return Err(Some(CANCELED.to_owned())),
        }
        match pipe.read(buffer).await {
            Read::Data => {}
            // Nothing was agreed that could be resumed.
            Read::Resumed => buffer.clear(),
            Read::Ended(End::HandshakeTimedOut) => return Err(Some(CANCELED.to_owned())),
            Read::Ended(_) => return Err(None),
        }
    };
    let request = handshake::parse(&request).map_err(|bad| {
        let error = HubError::of_kind("InvalidDataException", bad.to_string());
        let base = "An unexpected error occurred during connection handshake.";
        Some(error.told(base, options.detailed_errors))
    })?;
    let Some(protocol) = request.protocol() else {
        return Err(Some(format!("The protocol '{}' is not supported.", request.protocol)));
    };
    let name = protocol.name();
    if request.version > handshake::VERSION_MAX {
        let version = request.version;
        let text =
            format!("The server does not support version {version} of the '{name}' protocol.");
        return Err(Some(text));
    }
    let connection = pipe.connection();
    if protocol == Protocol::MessagePack && !connection.allows_binary() {
        return Err(Some(format!(
            "Cannot use the '{name}' protocol on the current transport. The transport does not \
             support 'Binary' transfer format."
        )));
    }
    let stateful = options.stateful_reconnect
        && connection.is_resumable()
        && request.version >= VERSION_STATEFUL;
    Ok((protocol, stateful))
}
