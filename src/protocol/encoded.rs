//! One message, encoded once and framed once, for every transport.
//!
//! A server's WebSocket frame is unmasked, so its header depends on nothing but opcode and
//! length: it stands in front of the payload in the same allocation. WebSocket sinks write all
//! of it; Server-Sent Events and long polling take the payload.

use bytes::{Buf, Bytes};

use super::messagepack::write::{PREFIX_MAX, prefix};

/// Room for the longest header of an unmasked frame: 2 bytes and a 64-bit length (RFC 6455, 5.2).
const HEADER_MAX: usize = 10;
const FIN: u8 = 0x80;

/// The kind of WebSocket frame that carries a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// Opcode 1, for JSON.
    Text,
    /// Opcode 2, for MessagePack.
    Binary,
}

/// The bytes of one complete hub message with their WebSocket header. Cloning copies a pointer.
#[derive(Clone, PartialEq, Eq)]
pub struct Encoded {
    bytes: Bytes,
    payload_start: u8,
}

impl Encoded {
    /// Frames what `write` appends. `write` must only append.
    pub fn build<E>(
        kind: FrameKind,
        capacity: usize,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut out = Vec::with_capacity(HEADER_MAX + capacity);
        out.resize(HEADER_MAX, 0);
        write(&mut out)?;
        let start = write_header(kind, HEADER_MAX, &mut out);
        Ok(Self::from_parts(out, start, HEADER_MAX))
    }

    /// Frames what `write` appends as one MessagePack message, with its length prefix in front.
    /// `write` must only append.
    pub(super) fn build_prefixed<E>(
        capacity: usize,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<Self, E> {
        const ROOM: usize = HEADER_MAX + PREFIX_MAX;
        let mut out = Vec::with_capacity(ROOM + capacity);
        out.resize(ROOM, 0);
        write(&mut out)?;
        let (prefix, prefix_len) = prefix(out.len() - ROOM);
        let payload_at = ROOM - prefix_len;
        out[payload_at..ROOM].copy_from_slice(&prefix[..prefix_len]);
        let start = write_header(FrameKind::Binary, payload_at, &mut out);
        Ok(Self::from_parts(out, start, payload_at))
    }

    fn from_parts(out: Vec<u8>, frame_at: usize, payload_at: usize) -> Self {
        let mut bytes = Bytes::from(out);
        bytes.advance(frame_at);
        Self { bytes, payload_start: (payload_at - frame_at) as u8 } // at most 10
    }

    /// A frame that is always the same: a header of two bytes and its payload.
    pub(super) const fn from_static(frame: &'static [u8]) -> Self {
        Self { bytes: Bytes::from_static(frame), payload_start: 2 }
    }

    /// Frames a payload that is already there.
    pub fn from_payload(kind: FrameKind, payload: &[u8]) -> Self {
        let framed = Self::build::<std::convert::Infallible>(kind, payload.len(), |out| {
            out.extend_from_slice(payload);
            Ok(())
        });
        match framed {
            Ok(encoded) => encoded,
            Err(never) => match never {},
        }
    }

    /// The whole WebSocket frame.
    pub fn frame(&self) -> &Bytes {
        &self.bytes
    }

    /// The hub message alone, with its own delimiter or length prefix.
    pub fn payload(&self) -> Bytes {
        self.bytes.slice(usize::from(self.payload_start)..)
    }

    /// Length of the hub message in bytes.
    pub fn payload_len(&self) -> usize {
        self.bytes.len() - usize::from(self.payload_start)
    }
}

impl std::fmt::Debug for Encoded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Encoded({:?})", self.payload())
    }
}

/// Writes the header right before the payload, which starts at `payload_at`, and says where the
/// header starts.
fn write_header(kind: FrameKind, payload_at: usize, out: &mut [u8]) -> usize {
    let length = out.len() - payload_at;
    let start = match length {
        0..=125 => {
            out[payload_at - 1] = length as u8;
            payload_at - 2
        }
        126..=0xffff => {
            out[payload_at - 3] = 126;
            out[payload_at - 2..payload_at].copy_from_slice(&(length as u16).to_be_bytes());
            payload_at - 4
        }
        _ => {
            out[payload_at - 9] = 127;
            out[payload_at - 8..payload_at].copy_from_slice(&(length as u64).to_be_bytes());
            payload_at - 10
        }
    };
    out[start] = FIN
        | match kind {
            FrameKind::Text => 1,
            FrameKind::Binary => 2,
        };
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_has_the_shortest_form_for_its_length() {
        for (length, header) in [
            (0_usize, vec![0x81, 0]),
            (125, vec![0x81, 125]),
            (126, vec![0x81, 126, 0, 126]),
            (0xffff, vec![0x81, 126, 0xff, 0xff]),
            (0x1_0000, vec![0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let encoded = Encoded::from_payload(FrameKind::Text, &vec![b'x'; length]);
            assert_eq!(encoded.frame().len(), header.len() + length);
            assert_eq!(encoded.frame()[..header.len()], header[..]);
            assert_eq!(encoded.payload().len(), length);
        }
    }

    #[test]
    fn a_length_prefix_stands_between_header_and_message() {
        for length in [0_usize, 3, 125, 127, 128, 16_383, 16_384, 70_000] {
            let body = vec![b'x'; length];
            let encoded = Encoded::build_prefixed::<std::convert::Infallible>(0, |out| {
                out.extend_from_slice(&body);
                Ok(())
            });
            let Ok(encoded) = encoded;
            let (prefix, count) = prefix(length);
            assert_eq!(encoded.payload()[..], [&prefix[..count], &body].concat());
            let framed = Encoded::from_payload(FrameKind::Binary, &encoded.payload());
            assert_eq!(encoded, framed);
        }
    }

    #[test]
    fn messagepack_travels_in_binary_frames() {
        let encoded = Encoded::from_payload(FrameKind::Binary, &[0x02, 0x91, 0x06]);
        assert_eq!(encoded.frame()[..], [0x82, 3, 0x02, 0x91, 0x06]);
    }
}
