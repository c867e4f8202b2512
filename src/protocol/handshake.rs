//! The handshake: one JSON object each way, whatever the protocol (section 3).

use bytes::{Bytes, BytesMut};

use super::encoded::Encoded;
use super::wire::Protocol;

/// The highest protocol version we speak; 2 adds Ack and Sequence.
pub const VERSION_MAX: i64 = 2;

/// What the client wants to speak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// As sent; matched without regard to case by [`Request::protocol`].
    pub protocol: String,
    /// As sent; 0 and negative numbers are accepted (section 3.4).
    pub version: i64,
}

impl Request {
    /// The protocol by its name, in any letter case.
    pub fn protocol(&self) -> Option<Protocol> {
        [Protocol::Json, Protocol::MessagePack]
            .into_iter()
            .find(|known| known.name().eq_ignore_ascii_case(&self.protocol))
    }
}

/// Why a request is no handshake; the text is .NET's detail (section 3.3).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadRequest(pub(crate) Box<str>);

/// Takes the request off the front of the buffer without its delimiter. None: wait for more.
/// `Err` when more than `limit` bytes pend without one.
pub fn split(buffer: &mut BytesMut, limit: usize) -> Result<Option<Bytes>, super::FrameError> {
    let _ = (buffer, limit);
    todo!()
}

/// Reads a request that [`split`] cut off.
pub fn parse(request: &[u8]) -> Result<Request, BadRequest> {
    let _ = request;
    todo!()
}

/// `{}` with its delimiter, in the frame kind of the agreed protocol (section 2.1).
pub fn accepted(protocol: Protocol) -> Encoded {
    let _ = protocol;
    todo!()
}

/// An error answer; always text.
pub fn refused(error: &str) -> Encoded {
    let _ = error;
    todo!()
}

/// The request of a client, for our own client room; always text.
pub fn request(protocol: Protocol, version: i64) -> Encoded {
    let _ = (protocol, version);
    todo!()
}
