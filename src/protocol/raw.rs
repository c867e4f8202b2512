//! Values and arguments as they came, unparsed but known to be well-formed.

use bytes::Bytes;

use super::framing::DEPTH_MAX;
use super::message::DecodeError;
use super::messagepack::read::{self, Reader};
use super::wire::{FromWire, Protocol};
use super::{convert, json};

/// One complete, well-formed value in one protocol. Cloning copies a pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawValue {
    protocol: Protocol,
    bytes: Bytes,
}

impl RawValue {
    /// Wraps bytes that the caller has checked: exactly one value, no deeper than
    /// [`super::DEPTH_MAX`], valid UTF-8 where the protocol wants it.
    pub fn from_checked(protocol: Protocol, bytes: Bytes) -> Self {
        Self { protocol, bytes }
    }

    /// Checks bytes of any origin: they must be exactly one value, well-formed and not too deep.
    /// White space around JSON is left out.
    pub fn parse(protocol: Protocol, bytes: Bytes) -> Result<Self, DecodeError> {
        let range = match protocol {
            Protocol::Json => {
                std::str::from_utf8(&bytes).map_err(|_| json::scan::Broken)?;
                let mut scanner = json::scan::Scanner::new(&bytes);
                let range = scanner.skip(DEPTH_MAX)?;
                if scanner.peek().is_ok() {
                    return Err(json::scan::Broken.into());
                }
                range
            }
            Protocol::MessagePack => {
                let mut reader = Reader::new(&bytes);
                match reader.skip(DEPTH_MAX) {
                    Ok(range) if reader.is_at_end() => range,
                    _ => return Err(DecodeError::new("Error reading MessagePack.")),
                }
            }
        };
        Ok(Self { protocol, bytes: bytes.slice(range) })
    }

    /// The protocol the bytes are in.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    pub(super) fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// The value's bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Reads the value as a type.
    pub fn bind<T: FromWire>(&self) -> Result<T, BindError> {
        T::from_wire(self)
    }

    /// Appends the value in a protocol, converting when it is the other one.
    pub fn write_as(&self, protocol: Protocol, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match (self.protocol, protocol) {
            (Protocol::Json, Protocol::MessagePack) => {
                convert::to_message_pack(&self.bytes, out).map_err(|_| EncodeError::malformed())
            }
            (Protocol::MessagePack, Protocol::Json) => {
                convert::to_json(&self.bytes, out).map_err(|_| EncodeError::malformed())
            }
            _ => {
                out.extend_from_slice(&self.bytes);
                Ok(())
            }
        }
    }
}

/// The arguments of one invocation. They may turn out not to be an array (MessagePack, B01) or to
/// be of a wrong number: that is a binding error, found only when somebody binds them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawArguments {
    protocol: Protocol,
    bytes: Bytes,
}

impl RawArguments {
    /// Wraps the bytes of the `arguments` value, checked as [`RawValue::from_checked`] says.
    pub fn from_checked(protocol: Protocol, bytes: Bytes) -> Self {
        Self { protocol, bytes }
    }

    /// Checks bytes of any origin as [`RawValue::parse`] does; they must be an array.
    pub fn parse(protocol: Protocol, bytes: Bytes) -> Result<Self, DecodeError> {
        let bytes = RawValue::parse(protocol, bytes)?.into_bytes();
        let arguments = Self { protocol, bytes };
        if arguments.is_array() {
            Ok(arguments)
        } else {
            Err(DecodeError::new(not_an_array(protocol).0))
        }
    }

    /// The protocol the bytes are in.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The bytes of the whole array.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Cuts the array into its values; never parses them. Errors when it is no array.
    pub fn values(&self) -> Result<smallvec::SmallVec<[RawValue; 4]>, BindError> {
        let mut values = smallvec::SmallVec::new();
        match self.protocol {
            Protocol::Json => {
                self.json_values(&mut values).map_err(|_| not_an_array(self.protocol))
            }
            Protocol::MessagePack => {
                self.message_pack_values(&mut values).map_err(|_| not_an_array(self.protocol))
            }
        }?;
        Ok(values)
    }

    fn json_values(&self, values: &mut Values) -> Result<(), json::scan::Broken> {
        let mut scanner = json::scan::Scanner::new(&self.bytes);
        if scanner.next()? != b'[' {
            return Err(json::scan::Broken);
        }
        if scanner.peek()? == b']' {
            return Ok(());
        }
        loop {
            let range = scanner.skip(DEPTH_MAX)?;
            values.push(RawValue::from_checked(self.protocol, self.bytes.slice(range)));
            match scanner.next()? {
                b',' => {}
                b']' => return Ok(()),
                _ => return Err(json::scan::Broken),
            }
        }
    }

    fn message_pack_values(&self, values: &mut Values) -> Result<(), read::Broken> {
        let mut reader = Reader::new(&self.bytes);
        for _ in 0..reader.array_head()? {
            let range = reader.skip(DEPTH_MAX)?;
            values.push(RawValue::from_checked(self.protocol, self.bytes.slice(range)));
        }
        Ok(())
    }

    /// Whether it is an array at all.
    pub(super) fn is_array(&self) -> bool {
        match self.protocol {
            Protocol::Json => self.bytes.first() == Some(&b'['),
            Protocol::MessagePack => Reader::new(&self.bytes).array_head().is_ok(),
        }
    }
}

type Values = smallvec::SmallVec<[RawValue; 4]>;

fn not_an_array(protocol: Protocol) -> BindError {
    BindError::new(match protocol {
        Protocol::Json => "Expected 'arguments' to be of type Array.",
        Protocol::MessagePack => "Reading array length for 'arguments' failed.",
    })
}

/// Why a value does not fit a type, or arguments a method. The text follows .NET's (section 4.6).
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BindError(Box<str>);

impl BindError {
    /// From any error or text.
    pub fn new(error: impl ToString) -> Self {
        Self(error.to_string().into())
    }

    /// From a serde error, without the value that it may quote: that may be a secret.
    pub(super) fn without_value(error: impl ToString) -> Self {
        let error = error.to_string();
        let starts = |kinds: [&str; 2]| kinds.iter().any(|kind| error.starts_with(kind));
        let expected = error.rfind("expected ").filter(|_| starts(["invalid ", "unknown "]));
        Self::new(match expected {
            Some(place) => &error[place..],
            None if starts(["missing field", "duplicate field"]) => &error,
            None => "the value does not fit the type",
        })
    }
}

/// Why a value cannot be written in a protocol.
#[derive(Debug, thiserror::Error)]
#[error("the value cannot be encoded: {0}")]
pub struct EncodeError(Box<str>);

impl EncodeError {
    /// From any error or text.
    pub fn new(error: impl ToString) -> Self {
        Self(error.to_string().into())
    }

    fn malformed() -> Self {
        Self::new("it is not well-formed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Arguments;

    #[test]
    fn white_space_around_a_value_is_no_part_of_it() {
        let raw = RawValue::parse(Protocol::Json, " \n[1, 2]\t".into()).unwrap();
        assert_eq!(raw.bytes(), "[1, 2]");
    }

    #[test]
    fn a_value_is_exactly_one() {
        for text in ["", " ", "1 2", "[1],", "\u{1e}", "{\"a\":1}x"] {
            assert!(RawValue::parse(Protocol::Json, text.into()).is_err(), "{text}");
        }
        assert!(RawValue::parse(Protocol::Json, Bytes::from_static(b"\"\xff\"")).is_err());
        for bytes in [&[][..], &[1, 2], &[0x91], &[0xc1]] {
            let parsed = RawValue::parse(Protocol::MessagePack, bytes.into());
            assert!(parsed.is_err(), "{bytes:02x?}");
        }
    }

    #[test]
    fn arguments_that_are_no_array_are_not_passed_on() {
        for bytes in [&[][..], &[0x2a], &[0x80]] {
            let arguments = RawArguments::from_checked(Protocol::MessagePack, bytes.into());
            for protocol in [Protocol::Json, Protocol::MessagePack] {
                assert!(Arguments::write(&arguments, protocol, &mut Vec::new()).is_err());
            }
            assert!(RawArguments::parse(Protocol::MessagePack, bytes.into()).is_err());
        }
    }
}
