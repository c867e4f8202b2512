//! The handshake: one JSON object each way, whatever the protocol (section 3).

use bytes::{Bytes, BytesMut};

use super::encoded::Encoded;
use super::framing::{DEPTH_MAX, FrameError};
use super::wire::Protocol;
use super::{encode, json};

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
pub fn split(buffer: &mut BytesMut, limit: usize) -> Result<Option<Bytes>, FrameError> {
    Protocol::Json.split(buffer, limit) // the same delimiter, whatever the protocol will be
}

/// Reads a request that [`split`] cut off.
pub fn parse(request: &[u8]) -> Result<Request, BadRequest> {
    let text = json::valid_text(Bytes::copy_from_slice(request));
    let (mut protocol, mut version) = (None, None);
    let read = json::properties(&text, |key, scanner| {
        match key {
            "protocol" => protocol = Some(json::string(key, &text, scanner)?),
            "version" => version = json::integer_or_null(key, scanner)?,
            _ => {
                scanner.skip(DEPTH_MAX - 1)?;
            }
        }
        Ok(())
    });
    read.map_err(|error| BadRequest(error.to_string().into()))?;
    let missing = |name| {
        let error = json::missing(name);
        BadRequest(format!("{error} Message content: {}", String::from_utf8_lossy(request)).into())
    };
    Ok(Request {
        protocol: protocol.ok_or_else(|| missing("protocol"))?.to_string(),
        version: version.ok_or_else(|| missing("version"))?,
    })
}

/// `{}` with its delimiter, in the frame kind of the agreed protocol (section 2.1).
pub fn accepted(protocol: Protocol) -> Encoded {
    match protocol {
        Protocol::Json => Encoded::from_static(b"\x81\x03{}\x1e"),
        Protocol::MessagePack => Encoded::from_static(b"\x82\x03{}\x1e"),
    }
}

/// An error answer; always text.
pub fn refused(error: &str) -> Encoded {
    encode::json_text(error.len() + 16, |out| {
        out.extend_from_slice(b"{\"error\":");
        json::text::write(error, out);
        out.push(b'}');
    })
}

/// The request of a client, for our own client room; always text.
pub fn request(protocol: Protocol, version: i64) -> Encoded {
    encode::json_text(64, |out| {
        out.extend_from_slice(b"{\"protocol\":");
        json::text::write(protocol.name(), out);
        out.extend_from_slice(b",\"version\":");
        out.extend_from_slice(itoa::Buffer::new().format(version).as_bytes());
        out.push(b'}');
    })
}
