//! Values and arguments as they came, unparsed but known to be well-formed.

use bytes::Bytes;

use super::wire::{FromWire, Protocol};

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

    /// The protocol the bytes are in.
    pub fn protocol(&self) -> Protocol {
        self.protocol
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
        let _ = (protocol, out);
        todo!()
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
        todo!()
    }
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
}
