//! Where one message ends and the next begins (sections 2 and 4.3), and the limits of that.

use bytes::{Bytes, BytesMut};

use super::message::{DecodeError, HubMessage};
use super::wire::Protocol;

/// The deepest nesting of a value in a message.
pub const DEPTH_MAX: usize = 64;

/// Why a byte stream holds no message; the connection is closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// More than the limit of bytes pend without a complete message (section 5.9).
    #[error(
        "The maximum message size of {limit}B was exceeded. The message size can be configured in AddHubOptions."
    )]
    TooLong { limit: usize },
    /// A length prefix of over five bytes or 2 GB (section 4.3).
    #[error("Messages over 2GB in size are not supported.")]
    BadLength,
}

impl Protocol {
    /// Takes the next complete message off the front of `buffer`, without delimiter or prefix.
    ///
    /// `limit` counts the delimiter or prefix. None means: wait for more bytes. Cheap to call again
    /// when nothing has changed; never copies what it takes.
    pub fn split(self, buffer: &mut BytesMut, limit: usize) -> Result<Option<Bytes>, FrameError> {
        let _ = (buffer, limit);
        todo!()
    }

    /// Reads a message that [`Protocol::split`] cut off.
    pub fn decode(self, message: Bytes) -> Result<HubMessage, DecodeError> {
        let _ = message;
        todo!()
    }
}
