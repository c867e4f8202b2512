//! Client frames of RFC 6455, read as they come: any split, no buffer but for a control frame.

use bytes::{Bytes, BytesMut};

/// Longest payload of a control frame (RFC 6455, 5.5).
const CONTROL_MAX: usize = 125;
/// Opcode, length, 64-bit length, mask.
const HEADER_MAX: usize = 14;

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;

const CONTINUATION: u8 = 0;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// What besides payload was in the bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fed {
    /// The whole frame that answers the newest ping.
    pub pong: Option<Bytes>,
    /// A pong has come; the stamp of the newest one, 0 for one that is none of ours.
    pub ponged: Option<u64>,
    /// The client has closed; bytes after its close frame were not looked at.
    pub closed: bool,
}

/// Why the bytes are no WebSocket frames of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A reserved bit without an extension.
    #[error("a reserved bit is set")]
    ReservedBit,
    /// An opcode nobody defined.
    #[error("the opcode is reserved")]
    Opcode,
    /// Clients must mask.
    #[error("the frame is not masked")]
    Unmasked,
    /// A control frame that is fragmented or longer than 125 bytes.
    #[error("a control frame is too long or fragmented")]
    Control,
    /// A continuation of nothing, or a new message within a fragmented one.
    #[error("a fragment is out of place")]
    Fragment,
    /// A 64-bit length with its highest bit set.
    #[error("the length is out of range")]
    Length,
    /// A close frame with half a code, or a code that never goes over the wire.
    #[error("the close code is not valid")]
    CloseCode,
}

/// Reads the frames of one client. Data frames of every kind are one stream of bytes, because hub
/// messages carry their own boundaries (section 2.1).
#[derive(Debug, Default)]
pub struct FrameReader {
    /// The header of the current frame, as far as it has come.
    header: [u8; HEADER_MAX],
    have: u8,
    /// The mask, turned so that it fits the next payload byte.
    mask: u32,
    /// Payload bytes of the current frame that have not come yet.
    left: u64,
    place: Place,
    /// A fragmented message has begun and not ended.
    in_message: bool,
    /// The payload of a control frame that came in pieces; no allocation otherwise.
    control: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Header,
    Data,
    Control(u8),
    Closed,
}

impl FrameReader {
    /// Reads all of `bytes`, unmasks it in place and appends the payload to `out`.
    pub fn feed(&mut self, mut bytes: &mut [u8], out: &mut BytesMut) -> Result<Fed, Violation> {
        let mut fed = Fed::default();
        while !bytes.is_empty() && self.place != Place::Closed {
            if self.place == Place::Header {
                let taken = self.take_header(bytes)?;
                bytes = &mut bytes[taken..];
                if self.place == Place::Header || self.left > 0 {
                    continue;
                }
                self.end_frame(&mut fed)?;
                continue;
            }
            let take = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            let (payload, rest) = bytes.split_at_mut(take);
            self.unmask(payload);
            match self.place {
                Place::Data => out.extend_from_slice(payload),
                _ => self.control.extend_from_slice(payload),
            }
            self.left -= take as u64;
            if self.left == 0 {
                self.end_frame(&mut fed)?;
            }
            bytes = rest;
        }
        fed.closed = self.place == Place::Closed;
        Ok(fed)
    }

    /// Takes header bytes until it is complete; says how many.
    fn take_header(&mut self, bytes: &[u8]) -> Result<usize, Violation> {
        let mut taken = 0;
        loop {
            let have = usize::from(self.have);
            let need = if have < 2 { 2 } else { self.header_length() };
            let take = (need - have).min(bytes.len() - taken);
            self.header[have..have + take].copy_from_slice(&bytes[taken..taken + take]);
            self.have += take as u8; // a header has at most 14 bytes
            taken += take;
            if have + take < need {
                return Ok(taken);
            }
            if need == 2 {
                self.check_start()?;
            } else {
                self.begin_payload()?;
                return Ok(taken);
            }
        }
    }

    fn header_length(&self) -> usize {
        match self.header[1] & !MASKED {
            127 => 14,
            126 => 8,
            _ => 6,
        }
    }

    /// Everything the first two bytes can do wrong.
    fn check_start(&self) -> Result<(), Violation> {
        let [first, second, ..] = self.header;
        let is_final = first & FIN != 0;
        if first & RESERVED != 0 {
            return Err(Violation::ReservedBit);
        }
        if second & MASKED == 0 {
            return Err(Violation::Unmasked);
        }
        match first & OPCODE {
            CLOSE..=PONG if !is_final || usize::from(second & !MASKED) > CONTROL_MAX => {
                Err(Violation::Control)
            }
            CLOSE..=PONG => Ok(()),
            // Only a continuation may stand inside a message, and only there.
            opcode @ CONTINUATION..=BINARY if (opcode == CONTINUATION) != self.in_message => {
                Err(Violation::Fragment)
            }
            CONTINUATION..=BINARY => Ok(()),
            _ => Err(Violation::Opcode),
        }
    }

    fn begin_payload(&mut self) -> Result<(), Violation> {
        let header = &self.header;
        let (left, mask_at) = match header[1] & !MASKED {
            127 => {
                let mut length = [0; 8];
                length.copy_from_slice(&header[2..10]);
                (u64::from_be_bytes(length), 10)
            }
            126 => (u64::from(u16::from_be_bytes([header[2], header[3]])), 4),
            short => (u64::from(short), 2),
        };
        if left > i64::MAX as u64 {
            return Err(Violation::Length);
        }
        let mut mask = [0; 4];
        mask.copy_from_slice(&header[mask_at..mask_at + 4]);
        let first = header[0];
        self.mask = u32::from_le_bytes(mask);
        self.left = left;
        self.have = 0;
        self.place = match first & OPCODE {
            opcode @ CLOSE..=PONG => Place::Control(opcode),
            _ => {
                self.in_message = first & FIN == 0;
                Place::Data
            }
        };
        Ok(())
    }

    fn end_frame(&mut self, fed: &mut Fed) -> Result<(), Violation> {
        let Place::Control(opcode) = std::mem::take(&mut self.place) else { return Ok(()) };
        let payload = std::mem::take(&mut self.control);
        match opcode {
            PING => fed.pong = Some(control_frame(PONG, &payload)),
            CLOSE => {
                check_close(&payload)?;
                self.place = Place::Closed;
            }
            _ => fed.ponged = Some(payload.as_slice().try_into().map_or(0, u64::from_be_bytes)),
        }
        Ok(())
    }

    /// Eight bytes at a time; the mask ends up turned by what is left over.
    fn unmask(&mut self, payload: &mut [u8]) {
        let mask = u64::from(self.mask) << 32 | u64::from(self.mask);
        let mut words = payload.chunks_exact_mut(8);
        for word in &mut words {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(word);
            word.copy_from_slice(&(u64::from_le_bytes(bytes) ^ mask).to_le_bytes());
        }
        let rest = words.into_remainder();
        for (byte, mask) in rest.iter_mut().zip(mask.to_le_bytes()) {
            *byte ^= mask;
        }
        self.mask = self.mask.rotate_right(8 * (rest.len() as u32 % 4)); // fewer than 8
    }
}

/// A whole unmasked control frame of the server. `payload` has at most 125 bytes.
fn control_frame(opcode: u8, payload: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(2 + payload.len());
    frame.extend([FIN | opcode, payload.len() as u8]); // at most 125
    frame.extend_from_slice(payload);
    frame.into()
}

/// A server's ping with a stamp, which the client's pong brings back (RFC 6455, 5.5.3).
pub(super) fn ping_frame(stamp: u64) -> Bytes {
    control_frame(PING, &stamp.to_be_bytes())
}

/// A server's close frame with a code and no reason.
pub fn close_frame(code: u16) -> Bytes {
    control_frame(CLOSE, &code.to_be_bytes())
}

/// RFC 6455, 7.4: no code at all, or one that may stand in a frame. The reason is not read.
fn check_close(payload: &[u8]) -> Result<(), Violation> {
    match payload {
        [] => Ok(()),
        [high, low, ..] => match u16::from_be_bytes([*high, *low]) {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Ok(()),
            _ => Err(Violation::CloseCode),
        },
        _ => Err(Violation::CloseCode),
    }
}

#[cfg(test)]
mod tests;
