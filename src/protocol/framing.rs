//! Where one message ends and the next begins (sections 2 and 4.3), and the limits of that.

use bytes::{Buf, Bytes, BytesMut};

use super::message::{DecodeError, HubMessage};
use super::messagepack::write::PREFIX_MAX;
use super::wire::Protocol;
use super::{json, messagepack};

/// The byte after every JSON message and handshake: the record separator.
pub(super) const DELIMITER: u8 = 0x1e;

/// The deepest nesting of a value in a message.
pub const DEPTH_MAX: usize = 64;

/// Why a byte stream holds no message; the connection is closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// More than the limit of bytes pend without a complete message (section 5.9).
    #[error(
        "The maximum message size of {limit}B was exceeded. The message size can be configured in AddHubOptions."
    )]
    TooLong {
        /// In bytes.
        limit: usize,
    },
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
        match self {
            Self::Json => split_text(buffer, limit),
            Self::MessagePack => split_prefixed(buffer, limit),
        }
    }

    /// Reads a message that [`Protocol::split`] cut off.
    pub fn decode(self, message: Bytes) -> Result<HubMessage, DecodeError> {
        match self {
            Self::Json => json::decode(message),
            Self::MessagePack => messagepack::decode(message),
        }
    }
}

fn split_text(buffer: &mut BytesMut, limit: usize) -> Result<Option<Bytes>, FrameError> {
    // Nothing beyond the limit is searched: a message that ends there is too long anyway.
    let within = &buffer[..buffer.len().min(limit)];
    match memchr::memchr(DELIMITER, within) {
        Some(length) => {
            let message = buffer.split_to(length).freeze();
            buffer.advance(1);
            Ok(Some(message))
        }
        None if buffer.len() > limit => Err(FrameError::TooLong { limit }),
        None => Ok(None),
    }
}

fn split_prefixed(buffer: &mut BytesMut, limit: usize) -> Result<Option<Bytes>, FrameError> {
    let Some((prefix_len, length)) = prefix(buffer)? else {
        // At most four bytes pend, but the limit may be even less.
        return if buffer.len() > limit { Err(FrameError::TooLong { limit }) } else { Ok(None) };
    };
    let end = prefix_len + length;
    if end <= limit && end <= buffer.len() {
        buffer.advance(prefix_len);
        return Ok(Some(buffer.split_to(length).freeze()));
    }
    // What a prefix announces is not believed until that much has come (section 4.3).
    if buffer.len() > limit { Err(FrameError::TooLong { limit }) } else { Ok(None) }
}

/// Reads a length prefix: its own length and the one it announces. None: wait for more.
fn prefix(buffer: &[u8]) -> Result<Option<(usize, usize)>, FrameError> {
    let mut length = 0;
    for (index, byte) in buffer.iter().take(PREFIX_MAX).enumerate() {
        length |= usize::from(byte & 0x7f) << (index * 7);
        let is_last = byte & 0x80 == 0;
        if index + 1 == PREFIX_MAX && (!is_last || *byte > 7) {
            return Err(FrameError::BadLength);
        }
        if is_last {
            return Ok(Some((index + 1, length)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 32_768;

    fn split(protocol: Protocol, bytes: &[u8]) -> (Result<Option<Bytes>, FrameError>, usize) {
        let mut buffer = BytesMut::from(bytes);
        (protocol.split(&mut buffer, LIMIT), buffer.len())
    }

    #[test]
    fn prefixes_are_those_of_the_specification() {
        for (bytes, expected) in [
            (&[0x00][..], Ok(Some((1, 0)))),
            (&[0x80, 0x29], Ok(Some((2, 5_248)))),
            (&[0xff, 0xff, 0xff, 0xff, 0x07], Ok(Some((5, 0x7fff_ffff)))),
            (&[0x81, 0x00], Ok(Some((2, 1)))),
            (&[0x80], Ok(None)),
            (&[0x80, 0x80, 0x80, 0x80], Ok(None)),
            (&[0xff, 0xff, 0xff, 0xff, 0x08], Err(FrameError::BadLength)),
            (&[0x80, 0x80, 0x80, 0x80, 0x80], Err(FrameError::BadLength)),
        ] {
            assert_eq!(prefix(bytes), expected, "{bytes:02x?}");
        }
    }

    #[test]
    fn a_message_of_exactly_the_limit_passes_and_one_byte_more_does_not() {
        let text = |length: usize| [vec![b' '; length - 1], vec![DELIMITER]].concat();
        assert_eq!(split(Protocol::Json, &text(LIMIT)).0.unwrap().unwrap().len(), LIMIT - 1);
        let too_long = Err(FrameError::TooLong { limit: LIMIT });
        assert_eq!(split(Protocol::Json, &text(LIMIT + 1)).0, too_long);
        let packed = |length: usize| {
            let (prefix, count) = messagepack::write::prefix(length - 3);
            [&prefix[..count], &vec![0; length - 3]].concat()
        };
        assert_eq!(split(Protocol::MessagePack, &packed(LIMIT)).0.unwrap().unwrap().len(), 32_765);
        assert_eq!(split(Protocol::MessagePack, &packed(LIMIT + 1)).0, too_long);
    }

    #[test]
    fn a_huge_announced_length_is_not_believed_and_not_bought() {
        let mut buffer = BytesMut::from(&[0x80, 0xc2, 0xd7, 0x2f][..]);
        assert_eq!(Protocol::MessagePack.split(&mut buffer, LIMIT), Ok(None));
        assert!(buffer.capacity() < 100);
        buffer.resize(LIMIT, 0);
        assert_eq!(Protocol::MessagePack.split(&mut buffer, LIMIT), Ok(None));
        buffer.resize(LIMIT + 1, 0);
        let too_long = Err(FrameError::TooLong { limit: LIMIT });
        assert_eq!(Protocol::MessagePack.split(&mut buffer, LIMIT), too_long);
    }

    #[test]
    fn an_error_has_dotnets_text() {
        assert_eq!(
            FrameError::TooLong { limit: LIMIT }.to_string(),
            "The maximum message size of 32768B was exceeded. The message size can be configured in AddHubOptions."
        );
    }
}
